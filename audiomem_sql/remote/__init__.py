"""Bytes that are not on this machine's disk, and what keeps copies of them nearer."""
