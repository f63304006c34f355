"""Steering frozen models: reward models of prefixes, their guides, compared and diagnosed."""
