"""A reshard that stops at a point, so that it can be killed there."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.forked import SERVE, serve

from audiomem_sql.table import resharding
from audiomem_sql.table.shard_writer import ShardWriter
from audiomem_sql.table.sharded_session import ShardedSession

#: Behind which call it stops, and the how many-th.
POINTS = {
    "new shard": (resharding, "create_file", 1),
    "target": (ShardedSession, "replace_manifest", 1),
    "first shard": (ShardWriter, "write", 1),
    "both shards": (ShardWriter, "write", 2),
    "second manifest": (ShardedSession, "replace_manifest", 2),
    "third step": (ShardWriter, "write", 5),
}


def write(path: str, point: str) -> None:
    """Have four shards, or split the first one, and stop at ``point``."""
    owner, name, times = POINTS[point.removeprefix("split ")]
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
    if point.startswith("split "):
        resharding.reshard(path, split=0, most_rows=10)
    else:
        resharding.reshard(path, 4, most_rows=10)


if __name__ == "__main__" and SERVE in sys.argv:
    serve(write)
