"""Sorted indexes of keys, and hashes of keys of several columns."""
