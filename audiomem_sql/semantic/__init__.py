"""Text and meaning: vectors, keywords, and their fusion."""
