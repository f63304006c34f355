"""Aligned labelers: one state per word from an encoder, one label per word from a small decoder."""
