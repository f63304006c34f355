"""What commands and a server share: predict a file, export a model."""
