"""Cells and pages of a file: their layout, their writing, reading and recovery."""
