"""A writer of a sharded table that stops at a point, so that it can be killed there."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.forked import SERVE, serve

from audiomem_sql.table import shard_writer, sharded_session
from audiomem_sql.table.shard_writer import ShardWriter
from audiomem_sql.table.sharded_session import ShardedSession
from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits

#: Where a writer stops: before what, or behind it, how often.
POINTS = {
    "begun": (ShardWriter, "begin", 1),
    "first shard": (ShardWriter, "write", 1),
    "third shard": (ShardWriter, "write", 3),
    "manifest written": (sharded_session, "write_manifest", 1),
    "manifest in place": (ShardedSession, "replace_manifest", 1),
    "first shard accepted": (ShardWriter, "accept", 1),
    "third shard accepted": (ShardWriter, "accept", 3),
    "taken back": (shard_writer.Transactions, "restore", 1),
    "columns taken back": (ShardWriter, "take_columns_back", 1),
}


def stop_at(point: str) -> None:
    """Stop at ``point``, and say so."""
    owner, name, times = POINTS[point]
    original = getattr(owner, name)
    count = 0

    def stopping(*given: Any, **named: Any) -> Any:
        nonlocal count
        answer = original(*given, **named)
        count += 1
        if count == times:
            print("there", flush=True)
            time.sleep(600)
        return answer

    setattr(owner, name, stopping)


def write(path: str, point: str, many: bool) -> None:
    """Add 30 rows, replace five, and stop at ``point``."""
    if many:
        log_limits.LOGGED_ROWS = 2  # parts of shards become segments
    stop_at(point)
    with Table(path) as table:
        rows = [{"code": f"new{number}", "year": number, "body": None} for number in range(30)]
        table.append(rows, replace="year < 5")


def alter(path: str, point: str, change: str) -> None:
    """Change the columns, and stop at ``point``."""
    stop_at(point)
    with Table(path) as table:
        table.alter(change)


if __name__ == "__main__" and SERVE in sys.argv:
    serve(write)
