"""Where bytes are: a contract of size, identity and reads of ranges, and the local file behind it."""
