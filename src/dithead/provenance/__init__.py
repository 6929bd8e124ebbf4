"""Says of every output that it is synthetic, and finds out what a file says of itself."""
