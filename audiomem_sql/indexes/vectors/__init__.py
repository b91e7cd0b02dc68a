"""Vectors as few bytes, and the nearest of them."""
