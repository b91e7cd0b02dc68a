"""Segments and log as a snapshot at a version; what changed between two; which files there are."""
