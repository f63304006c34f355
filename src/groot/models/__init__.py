"""Models: the one room that imports transformers. Load, score candidates, decode step by step."""
