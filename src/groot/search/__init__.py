"""Search: loops over decoding steps that they are given, and the choice among candidates."""
