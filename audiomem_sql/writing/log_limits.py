"""Which commits go to the log, and when the log becomes a delta."""

from __future__ import annotations

#: Commits of at most this size, and appends of at most so many rows, go to the log.
LOGGED_COMMIT_BYTES = 256 << 10
LOGGED_ROWS = 1 << 12
#: The log becomes a delta when it is larger than this, or holds so many commits.
CHECKPOINT_BYTES = 1 << 20
CHECKPOINT_COMMITS = 1000
