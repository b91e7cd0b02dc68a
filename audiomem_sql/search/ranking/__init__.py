"""Ranking rows: by words, by meaning, by both, and anew by a model."""
