"""Vectors: kept in few bytes, found by the angle between them.

Everything here is arrays and bytes; it knows neither segments nor SQL. docs/VECTORS.md has the format and the figures.
"""
