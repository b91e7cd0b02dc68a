"""Whole tables: nearest rows of each row, duplicates, topics, and a map."""
