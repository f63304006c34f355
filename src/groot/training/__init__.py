"""Training: the loop, checkpoints, and the recipes that make up a run."""
