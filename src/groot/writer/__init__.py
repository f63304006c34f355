"""What a user holds: a model with its target format and search."""
