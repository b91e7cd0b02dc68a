"""Jobs that workers of Celery do, on a Redis: once, however often they come, and told to every server."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import apsw
import pytest
import redis

import audiomem_sql as am
from audiomem_sql.jobs.celery_queue import CeleryQueue, tell

from .conftest import Running, serving
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


def test_a_long_job_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis delivers what is not acknowledged again after a second, unless the worker is heard of."""
    token = make_tables(tmp_path)
    begun: list[str] = []
    told = CeleryQueue._told

    def note(self: CeleryQueue, said: dict[str, Any]) -> None:
        if said.get("stage") == "starting":
            begun.append(said["id"])
        told(self, said)

    monkeypatch.setattr(CeleryQueue, "_told", note)
    tokens, place = str(tmp_path / "tokens.json"), tmp_path / "kb.flac"
    with (
        redis_queue() as queue,
        serving(place, tokens=tokens, writable=True, queue=queue, jobs=str(tmp_path / "jobs")) as server,
        worker(queue, place, redeliver_after=1),
    ):
        server.client.headers["Authorization"] = f"Bearer {token}"
        long = submitted(server, "kb", kind="scrub", rate=0.2)
        job = ended(server, long)
        assert job["state"] == "done"
        last = submitted(server, "kb", kind="scrub", rate=1000)  # one that came again would come before it
        assert ended(server, last)["state"] == "done"
        assert begun == [long.removeprefix("/jobs/"), last.removeprefix("/jobs/")]
        assert server.client.get(long).json() == job


def test_what_is_told_of_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes count once, those of jobs of others too; what cannot be remembered comes again."""
    token = make_tables(tmp_path)
    tokens, place = str(tmp_path / "tokens.json"), tmp_path / "kb.flac"
    with contextlib.ExitStack() as stack:
        queue = stack.enter_context(redis_queue())
        settings = {"tokens": tokens, "writable": True, "queue": queue}
        one, two = (
            stack.enter_context(serving(place, **settings, jobs=str(tmp_path / name)))
            for name in ("one", "two")
        )
        for each in (one, two):
            each.client.headers["Authorization"] = f"Bearer {token}"
        here, there = one.service.jobs, two.service.jobs
        assert isinstance(here, CeleryQueue)
        assert isinstance(there, CeleryQueue)

        def say(event: str, id: str, **more: Any) -> None:
            said = {"id": id, "table": "kb", "kind": "scrub", "digest": "0" * 64, "event": event}
            with here._app.connection() as connection, connection.Producer() as producer:
                tell(producer, said | more)

        done = {"state": "done", "result": {"problems": 0}, "problem": None}
        failed = {"state": "failed", "result": None, "problem": {"kind": "BusyError", "detail": "?"}}
        where = submitted(one, "kb", kind="scrub")
        number = where.removeprefix("/jobs/")
        end, faults = there.records.end, [apsw.BusyError()]

        def failing(*given: Any) -> Any:
            if given[0] == "other" and faults:
                raise faults.pop()
            return end(*given)

        monkeypatch.setattr(there.records, "end", failing)
        say("ended", number, **failed)
        say("ended", number, **done)
        say("running", number, progress=0.5, stage="again", time=1.0)
        say("ended", "other", **failed)
        for each in (one, two):
            until_known(each, "/jobs/other")
            assert ended(each, where)["state"] == "failed"
            assert each.client.get(where).json()["problem"] == failed["problem"]
        assert not faults
        assert two.client.post(f"{where}/again").status_code == 409
        assert one.client.post(f"{where}/again").status_code == 202
        waits = submitted(one, "kb", kind="scrub", rate=3)
        redis.Redis.from_url(queue).shutdown(nosave=True)
        answer = one.client.post("/tables/kb/jobs", json={"kind": "scrub", "rate": 2})
        assert (answer.status_code, answer.json()["detail"]) == (503, "the queue of jobs cannot be reached")
        assert one.client.delete(waits).status_code == 503


def until_known(running: Running, where: str) -> None:
    for _ in range(200):
        if running.client.get(where).status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError(where)
