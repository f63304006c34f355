"""The loop, stages, checkpoints, run folders and files; knows nothing of labels."""
