"""A process that does jobs: lines of JSON on stdin say which, lines of JSON on stdout say how they go.

The line ``cancel ID`` on stdin ends one, ``interrupt`` too. So does the end of stdin, which comes when the
server is killed, or wants no more of it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from dataclasses import asdict
from functools import partial
from typing import Any


class _Orders:
    """What stdin says."""

    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.reasons: dict[str, str] = {}
        self.interrupted = False

    def listen(self) -> None:
        """To the end."""
        for line in sys.stdin:
            word, _, job_id = line.strip().partition(" ")
            if word == "cancel":
                self.reasons[job_id] = "cancelled"
            elif word == "interrupt":
                self.interrupted = True
            else:
                self.jobs.put(json.loads(line))
        self.interrupted = True
        self.jobs.put(None)

    def ended(self, job_id: str) -> str | None:
        """Why a job is to end."""
        return self.reasons.get(job_id, "interrupted" if self.interrupted else None)


def main() -> None:
    """Do the jobs."""
    lines = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no part of it
    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.WARNING)
    orders = _Orders()
    threading.Thread(target=orders.listen, daemon=True).start()
    from audiomem_sql.jobs.performing import perform

    def tell(part: float, stage: str) -> None:
        lines.write(json.dumps({"progress": part, "stage": stage}) + "\n")

    while (order := orders.jobs.get()) is not None:
        job_id = order.pop("id")
        outcome = perform(**order, tell=tell, ended=partial(orders.ended, job_id))
        lines.write(json.dumps({"outcome": asdict(outcome)}) + "\n")


if __name__ == "__main__":
    main()
