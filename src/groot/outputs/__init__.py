"""What outputs say: items, votes, expected rewards and marginals; no models."""
