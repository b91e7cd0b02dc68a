"""Jobs in a server's own processes: beside other servers of the folder, and when something fails."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.jobs import local
from audiomem_sql.jobs.job import Job
from audiomem_sql.jobs.local import LocalQueue

from .test_jobs import make_tables


def wait(fine: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not fine():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    make_tables(folder)
    return folder


@pytest.fixture
def queues(tables: Path, tmp_path: Path) -> Iterator[Callable[[], LocalQueue]]:
    made = []

    def make() -> LocalQueue:
        made.append(LocalQueue(str(tmp_path), lambda name: str(tables / f"{name}.flac"), lambda job: None))
        return made[-1]

    yield make
    for each in made:
        each.close()


def state(queue: LocalQueue, job: Job) -> str:
    known = queue.records.get(job.id)
    assert known is not None
    return known.state


def test_another_server_cancels_what_runs_here(queues: Callable[[], LocalQueue]) -> None:
    one, two = queues(), queues()
    crawl = one.submit(Job.made("kb", "scrub", {"rate": 0.01, "repair": True}))
    wait(lambda: state(two, crawl) == "running")
    waits = two.submit(Job.made("kb", "scrub", {"rate": 1000, "repair": True}))
    time.sleep(0.3)
    assert state(one, waits) == "queued"
    told = two.cancel(crawl)
    assert told is not None
    assert told.cancelling
    wait(lambda: state(two, crawl) == "cancelled")
    wait(lambda: state(one, waits) == "done")


def test_jobs_go_on_after_faults(
    queues: Callable[[], LocalQueue], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local, "_PAUSE", 0.05)
    queue = queues()
    faults: dict[str, list[Exception]] = {
        "next": [apsw.BusyError(), apsw.FullError()],
        "end": [apsw.FullError()],
        "Popen": [OSError(12, "Cannot allocate memory")] * local._THREADS,
        "changed": [ZeroDivisionError()],
    }

    def failing(name: str, does: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if faults[name]:
                raise faults[name].pop()
            return does(*given, **named)

        return call

    monkeypatch.setattr(queue.records, "next", failing("next", queue.records.next))
    monkeypatch.setattr(queue.records, "end", failing("end", queue.records.end))
    monkeypatch.setattr(subprocess, "Popen", failing("Popen", subprocess.Popen))
    monkeypatch.setattr(queue, "_changed", failing("changed", lambda job: None))
    jobs = [queue.submit(Job.made("kb", "scrub", {"rate": 1000 + each})) for each in range(local._THREADS)]
    wait(lambda: all(state(queue, job) == "failed" for job in jobs))
    known = queue.records.get(jobs[0].id)
    assert known is not None
    assert known.problem is not None
    assert known.problem["kind"] == "OSError"
    last = queue.submit(Job.made("kb", "scrub", {"rate": 2000}))
    wait(lambda: state(queue, last) == "done")
    assert not any(faults.values())
    assert "cannot be remembered" in caplog.text
