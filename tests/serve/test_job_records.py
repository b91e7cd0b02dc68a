"""What is remembered of jobs, by several servers of one folder."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from audiomem_sql.cli import main
from audiomem_sql.jobs import records as module
from audiomem_sql.jobs.job import Job, Outcome
from audiomem_sql.jobs.performing import perform
from audiomem_sql.jobs.records import Records


def test_one_job_that_writes_runs_for_a_table_whoever_does_it(tmp_path: Path) -> None:
    one, two = Records(str(tmp_path)), Records(str(tmp_path))
    first = one.add(Job.made("kb", "vacuum", {}))
    second = two.add(Job.made("kb", "vacuum", {"level": 3}))
    reads = two.add(Job.made("kb", "scrub", {}))
    repairs = two.add(Job.made("kb", "scrub", {"repair": True}))
    begun = one.next()
    assert begun is not None
    assert (begun.id, begun.state, begun.arguments) == (first.id, "running", {})
    begun = two.next()
    assert begun is not None
    assert begun.id == reads.id
    assert two.next() is None
    one.end(first.id, Outcome("done"))
    begun = two.next()
    assert begun is not None
    assert (begun.id, begun.arguments) == (second.id, {"level": 3})
    two.end(second.id, Outcome("failed"))
    begun = two.next()
    assert begun is not None
    assert begun.id == repairs.id
    one.close()
    two.close()


def test_what_has_ended_stays_so(tmp_path: Path) -> None:
    one, two = Records(str(tmp_path)), Records(str(tmp_path))
    job = one.add(Job.made("kb", "vacuum", {}))
    ended = two.end(job.id, Outcome("cancelled"), ("queued",))
    assert ended is not None
    assert one.end(job.id, Outcome("done")) is None
    assert one.change(job.id, state="running") is None
    assert one.get(job.id) == replace(ended, arguments=None)
    assert one.next() is None
    assert one.get("none") is one.change("none", stage="?") is None
    one.close()
    two.close()


def lose(folder: Path) -> None:
    """A server that was killed: it ran one job, and another one waited."""
    records = Records(str(folder))
    records.add(Job.made("kb", "vacuum", {}))
    records.add(Job.made("docs", "vacuum", {}))
    records.next()
    assert records._database is not None
    assert records._own_lock is not None
    records._database.close()
    os.close(records._own_lock)


def test_servers_that_start_together_take_over_once_and_have_one_name(tmp_path: Path) -> None:
    for number in range(8):
        folder = tmp_path / str(number)
        lose(folder)
        for extra in range(20):  # servers that left nothing but their locks
            (folder / f"{extra}.lock").touch()
        together = threading.Barrier(4, timeout=30)

        def start(folder: Path = folder, together: threading.Barrier = together) -> tuple[str, int]:
            together.wait()
            records = Records(str(folder))
            said = records.name, records.waiting()
            together.wait()
            records.close()
            return said

        with ThreadPoolExecutor(4) as pool:
            started = [pool.submit(start) for _ in range(4)]
        said = [each.result() for each in started]
        assert len({name for name, _ in said}) == 1
        assert sorted(waiting for _, waiting in said) == [0, 0, 0, 1]
        last = Records(str(folder))
        assert sorted(job.state for job in last.listed(["kb", "docs"], 10)) == ["interrupted", "queued"]
        assert last.waiting() == 1
        last.close()
        assert not list(folder.glob("*.lock"))


def test_what_a_lost_server_ran_keeps_no_other_waiting(tmp_path: Path) -> None:
    here = Records(str(tmp_path))
    job = here.add(Job.made("kb", "vacuum", {"level": 3}))
    lose(tmp_path)
    begun = here.next()
    assert begun is not None
    assert begun.id == job.id
    here.close()


def test_arguments_of_what_ended_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ENDED_BYTES", 2500)
    records = Records(None)
    jobs = []
    for number in range(4):
        job = Job.made("kb", "ingest", {"sources": [{"source": str(number), "text": "x" * 1000}]})
        jobs.append(records.add(job))
        records.end(job.id, Outcome("failed"))
        time.sleep(0.001)
    records.add(Job.made("kb", "vacuum", {}))
    kept = [records.with_arguments(job).arguments for job in jobs]
    assert kept == [None, None, jobs[2].arguments, jobs[3].arguments]
    assert all(records.get(job.id) == replace(records.get(job.id), arguments=None) for job in jobs)  # type: ignore[type-var]
    records.close()


def test_no_path_leaves_a_job_whose_table_is_behind_a_link(tmp_path: Path) -> None:
    real = tmp_path / "secret"
    real.mkdir()
    (real / "kb.flac").write_bytes(b"no table")
    (tmp_path / "kb.flac").symlink_to(real / "kb.flac")
    outcome = perform("kb", str(tmp_path / "kb.flac"), "vacuum", {}, lambda part, stage: None, lambda: None)
    assert outcome.problem is not None
    assert "kb" in outcome.problem["detail"]
    assert str(tmp_path) not in outcome.problem["detail"]


def test_several_processes_need_a_folder_for_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["serve", "s3://bucket/kb.flac", "--writable", "--tokens", "t", "--workers", "2"]) != 0
    assert "--jobs FOLDER" in capsys.readouterr().err
