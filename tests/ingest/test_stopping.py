"""An ingest that is to end early ends soon, wherever it is, and says what became of the sources."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from audiomem_sql.errors import InterruptError, StorageError
from audiomem_sql.ingest import ingestion
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, ingest
from audiomem_sql.ingest.sources import Source, find_sources
from audiomem_sql.ingest.stopping import Stopped, Stopping
from audiomem_sql.machine import interrupts
from audiomem_sql.machine.interrupts import check_interrupt, watched
from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits


def work() -> None:
    """A long loop as there are many below an ingest."""
    while True:
        time.sleep(0.001)
        check_interrupt()


def test_long_work_hears_of_it() -> None:
    with pytest.raises(Stopped), Stopping(lambda: True).watched():
        work()
    check_interrupt()  # nobody is asked any more


def test_a_time_limit() -> None:
    stopping = Stopping(lambda: True)
    assert stopping.is_due()
    stopping.allow(0.2)
    stopping.check()
    started = time.monotonic()
    with pytest.raises(Stopped), stopping.watched():
        work()
    assert time.monotonic() - started >= 0.15
    with pytest.raises(Stopped):
        stopping.check()


def test_who_was_asked_before_is_asked_still() -> None:
    with watched(lambda: True):
        with pytest.raises(InterruptError), Stopping(lambda: False).watched():
            work()
        with pytest.raises(InterruptError):
            work()


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(tmp_path)
    files = [tmp_path / "docs" / f"{number}.txt" for number in range(6)]
    files[0].parent.mkdir()
    for number, file in enumerate(files):
        file.write_text("".join(f"Word{n * 7919 + number} and w{n % 997}. " for n in range(10_000)))
    return files


@pytest.mark.usefixtures("files")
def test_a_commit_that_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the index of words is made, of which no progress is told."""
    monkeypatch.setattr(interrupts, "INTERVAL", 0.0)
    monkeypatch.setattr(ingestion, "LAST_CHARACTERS", 0)
    monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 0)  # a segment, which takes time
    writing: list[int] = []
    columns = [column.replace("body TEXT", "body TEXT INDEXED") for column in DEFAULT_COLUMNS]
    with Table.create("kb.flac", columns) as table:
        report = ingest(table, find_sources(["docs"]), on_commit=writing.append, stop=lambda: bool(writing))
        assert (report.stopped, report.dropped, report.commits, report.read) == (True, 6, 0, 0)
        assert (table.version, table.sources, len(writing)) == (1, {}, 1)
        report = ingest(table, find_sources(["docs"]))
        assert (report.new, len(table.sources), report.dropped, report.stopped) == (6, 6, 0, False)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("limit", [0, 60])
def test_what_was_read_is_committed_if_that_is_quick(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in time or not as a whole; beyond so many characters it is not even tried."""
    monkeypatch.setattr(ingestion, "LAST_SECONDS", limit)
    monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 0)  # a segment, which takes time
    read: list[str] = []
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        stop = {"on_source": lambda source: read.append(source.name), "stop": lambda: len(read) >= 2}
        report = ingest(table, find_sources(["docs"]), **stop)  # type: ignore[arg-type]
        done = 2 if limit else 0
        assert (report.stopped, report.dropped, report.new) == (True, 2 - done, done)
        assert sorted(table.sources) == read[:done]
        monkeypatch.setattr(ingestion, "LAST_CHARACTERS", os.path.getsize(read[0]) - 10)
        read.clear()
        report = ingest(table, find_sources(["docs/3.txt", "docs/4.txt", "docs/5.txt"]), **stop)  # type: ignore[arg-type]
        assert (report.stopped, report.dropped, report.new) == (True, 2, 0)


def test_processes_that_are_ended_leave_nobody_waiting(tmp_path: Path) -> None:
    """Also while they send what they read: there is no thread that waits for the rest of it."""
    (tmp_path / "docs").mkdir()
    for number in range(14):
        (tmp_path / "docs" / f"{number:02d}.txt").write_text(f"Words of {number}. " * 30_000)

    def end(source: Source) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with Table.create(tmp_path / "kb.flac", DEFAULT_COLUMNS) as table:
        with pytest.raises(StorageError, match="ended from outside"):
            ingest(table, find_sources([tmp_path / "docs"]), processes=2, on_source=end)
        assert not multiprocessing.active_children()
        assert (table.version, table.sources) == (1, {})


@pytest.mark.usefixtures("files")
def test_stopped_before_anything_was_read() -> None:
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        report = ingest(table, find_sources(["docs"]), stop=lambda: True)
        assert (report.stopped, report.dropped, report.commits, table.version) == (True, 0, 0, 1)
