"""Models that score prefixes or whole texts."""
