"""Jobs that workers of Celery do, on a Redis: once, however often they come, and told to every server."""

from __future__ import annotations

from pathlib import Path

import audiomem_sql as am

from .conftest import serving
from .queues import redis_queue, worker
from .test_jobs import ended, make_tables, sources, submitted, until


def version_of(path: Path) -> int:
    with am.open(path) as table:
        return table.version


def test_a_worker_that_is_killed_leaves_its_job_to_another(tmp_path: Path) -> None:
    token = make_tables(tmp_path)
    tokens, places = str(tmp_path / "tokens.json"), (tmp_path / "docs.flac", tmp_path / "kb.flac")
    given = sources(30, 12000)  # some commits
    headers = {"Authorization": f"Bearer {token}"}
    with redis_queue() as queue:
        settings = {"tokens": tokens, "writable": True, "queue": queue}
        with serving(*places, **settings, jobs=str(tmp_path / "one")) as one:
            one.client.headers.update(headers)
            with worker(queue, *places) as first:
                ingest = submitted(one, "docs", kind="ingest", sources=given)
                until(one, ingest, lambda _: version_of(tmp_path / "docs.flac") > 1)
                first.kill()
                first.wait()
                dropped = submitted(one, "kb", kind="vacuum")
                assert one.client.delete(dropped).json()["state"] == "cancelled"
            with (
                worker(queue, *places),
                serving(*places, **settings, jobs=str(tmp_path / "two")) as two,
            ):
                two.client.headers.update(headers)
                job = ended(one, ingest)
                assert job["state"] == "done"
                scrub = submitted(one, "kb", kind="scrub", rate=0.01)
                until(two, scrub, lambda job: job["progress"] > 0)
                assert two.client.delete(scrub).json()["cancelling"]
                assert ended(one, scrub)["state"] == ended(two, scrub)["state"] == "cancelled"
                assert one.client.get(dropped).json()["state"] == "cancelled"
    with am.open(tmp_path / "docs.flac") as table:
        assert sorted(table.sources) == sorted(each["source"] for each in given)
