"""Layers between payload bytes and page bytes: each finds or repairs one kind of damage."""
