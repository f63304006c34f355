"""Numbers without training."""
