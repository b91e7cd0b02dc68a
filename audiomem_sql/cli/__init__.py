"""The shell: one verb a file."""
