"""The T5 family over the model's own weights: passes that cost less and say the same."""
