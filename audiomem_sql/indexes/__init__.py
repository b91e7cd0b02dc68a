"""Indexes over the rows of a segment: of keys, of vectors, of words."""
