"""What is trained, top to bottom."""
