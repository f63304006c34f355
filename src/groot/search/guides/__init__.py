"""Guides: re-scorers of next tokens and choosers among samples, by name."""

from groot.search.guides.guide import Chooser, Guide, Prefixes, SumOfGuides, Written

__all__ = ["Chooser", "Guide", "Prefixes", "SumOfGuides", "Written"]
