"""Ranking by meaning, by words and by both; snippets; embedding of texts."""
