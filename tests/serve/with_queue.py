"""Workers that are killed again and again while they do jobs, on RabbitMQ and on Redis: rows come once.

``make jobs``; ``AUDIOMEM_JOB_KILLS`` says how many are killed on each.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import audiomem_sql as am

from .conftest import serving
from .queues import rabbit_queue, redis_queue, worker
from .test_jobs import ended, make_tables, sources, submitted, until

KILLS = int(os.environ.get("AUDIOMEM_JOB_KILLS", "6"))


@pytest.mark.parametrize("kind", ["amqp", "redis"])
def test_rows_come_once_whatever_is_killed(kind: str, tmp_path: Path) -> None:
    queue_of: Callable[[], AbstractContextManager[str]] = rabbit_queue if kind == "amqp" else redis_queue
    token = make_tables(tmp_path)
    tokens, places = str(tmp_path / "tokens.json"), (tmp_path / "docs.flac", tmp_path / "kb.flac")
    chance = random.Random(7)
    given = sources(40, 8000)
    with (
        queue_of() as queue,
        serving(*places, tokens=tokens, writable=True, queue=queue) as server,
    ):
        server.client.headers["Authorization"] = f"Bearer {token}"
        jobs = [submitted(server, "docs", kind="ingest", sources=given)]
        jobs += [submitted(server, "kb", kind="vacuum"), submitted(server, "docs", kind="vacuum")]
        for _ in range(KILLS):
            with worker(queue, *places) as one:
                time.sleep(2 + 4 * chance.random())
                one.kill()
        with worker(queue, *places), worker(queue, *places):
            assert [ended(server, job)["state"] for job in jobs] == ["done"] * 3
            again = ended(server, submitted(server, "docs", kind="ingest", sources=given))["result"]
            assert (again["unchanged"], again["rows_added"]) == (len(given), 0)
            scrub = submitted(server, "kb", kind="scrub", rate=0.02)
            until(server, scrub, lambda job: job["progress"] > 0)
            server.client.delete(scrub)
            assert ended(server, scrub)["state"] == "cancelled"
    with am.open(tmp_path / "docs.flac") as table:
        rows = table.to_pandas(columns=["source", "seq"])
    assert len(rows) == len(rows.drop_duplicates())
    assert set(rows["source"]) == {each["source"] for each in given}
