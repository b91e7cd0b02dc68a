"""A table that is searched by several processes; run as a program, one that is killed."""

from __future__ import annotations

import os
import signal
import sys
import time

from audiomem_sql.search.ranking.processes import Workers, workers_of
from audiomem_sql.table.table import Table


def started(table: Table) -> Workers:
    """The processes that search ``table``, once they have started."""
    found = workers_of(table.snapshot)
    assert found is not None
    workers = found[1]
    end = time.monotonic() + 60
    while not workers.ready():
        assert time.monotonic() < end
        time.sleep(0.01)
    return workers


if __name__ == "__main__":
    table = Table(sys.argv[1])
    print(*started(table).ids, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
