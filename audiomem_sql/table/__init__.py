"""The table that all doors share: read, written, described, displayed, as an Arrow dataset."""
