"""Texts on their way to vectors: what is embedded, where passages end, and what is stored."""
