"""Which commits go to the log, and when the log becomes a delta."""

from __future__ import annotations

from audiomem_sql.machine.limits import limits_of

#: Commits of at most this size, and appends of at most so many rows, go to the log.
LOGGED_COMMIT_BYTES = 4 << 20
LOGGED_ROWS = 1 << 12
#: What goes to the log of a shard, or into the manifest of a store, where a commit has parts of its own.
LOGGED_PART_BYTES = 256 << 10
#: The log becomes a delta when it is larger than this, or holds so many commits.
CHECKPOINT_BYTES = 8 << 20
CHECKPOINT_COMMITS = 1000
#: Rows of other threads that are written to a store with those of one.
STORED_GROUP_BYTES = 1 << 20


def logged_commit_bytes(profile: object) -> int:
    """The largest commit that goes to the log of a table of this profile, in bytes."""
    return min(LOGGED_COMMIT_BYTES, limits_of(profile).log_bytes // 2)


def logged_part_bytes() -> int:
    """The same of a commit with parts."""
    return min(LOGGED_COMMIT_BYTES, LOGGED_PART_BYTES)


def checkpoint_bytes(profile: object) -> int:
    """The log of a table of this profile becomes a delta when it is larger than this, in bytes."""
    return min(CHECKPOINT_BYTES, limits_of(profile).log_bytes)
