"""One block of one column as bytes, and what prunes it: zone maps and Bloom filters."""
