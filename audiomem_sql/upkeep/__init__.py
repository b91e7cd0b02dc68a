"""Checkpoint, merge and vacuum; verify, repair and salvage."""
