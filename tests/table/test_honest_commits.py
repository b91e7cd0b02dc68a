"""A commit that is durable does not fail, whatever becomes of the upkeep behind it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from itertools import pairwise
from pathlib import Path

import pytest

import audiomem_sql
from audiomem_sql.audio import VerbatimPages
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import AudioMemError, LimitError, UpkeepWarning
from audiomem_sql.storage.segment import catalog_packing
from audiomem_sql.table import commit_upkeep
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction, merge_plan
from audiomem_sql.warn_once import warned
from audiomem_sql.writing import log_limits


def with_deltas(path: Path, count: int) -> None:
    """A table with ``count`` deltas behind its first segment, of several pages each."""
    audiomem_sql.write_flac([{"a": "base"}], path).close()
    for number in range(count):
        with audiomem_sql.open(path) as table:
            table.append([{"a": os.urandom(40_000).hex()}], message=str(number))
    with audiomem_sql.open(path) as table:
        assert len(table.snapshot.segments) == count + 1


def damage(path: Path, delta: int) -> bytes:
    """Nothing of a delta but its first and last page stays; its id."""
    with audiomem_sql.open(path) as table:
        segment = table.snapshot.segments[1 + delta]
        file, source = segment.file, segment.file.source
        assert isinstance(source, VerbatimPages)
        start, stop = source.offset(file.first + 1), source.offset(file.first + file.own_pages - 1)
        assert stop - start > 20_000
    with open(path, "r+b") as opened:
        opened.seek(start)
        opened.write(os.urandom(stop - start))
    return segment.catalog.segment_id


def segments_of(path: Path) -> list[bytes]:
    """The ids of the segments, oldest first."""
    with audiomem_sql.open(path) as table:
        return [segment.catalog.segment_id for segment in table.snapshot.segments]


@pytest.fixture
def few_deltas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 4)
    monkeypatch.setattr(merge_plan, "UNIT_BYTES", 64 << 10)  # all are of like size then
    monkeypatch.setattr(log_limits, "CHECKPOINT_COMMITS", 2)


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    warned.clear()


def write(path: Path, door: str) -> None:
    """Commits through one of the doors."""
    if door == "sql":
        connection = audiomem_sql.connect(path)
        for number in range(4):
            connection.execute("INSERT INTO t(a) VALUES (?)", (f"new {number}",))
        connection.close()
        return
    table = audiomem_sql.open(path)
    if door == "segment":
        table.append([{"a": "new" * 100} for _ in range(5000)])
    for number in range(1 if door == "close" else 4):
        if door == "transaction":
            table.begin().insert(None, (f"new {number}",))
            table.commit()
        else:
            table.append([{"a": f"new {number}"}])
    table.close()


def write_more(table: Table) -> None:
    for _ in range(40):
        table.append([{"a": "more"}])


def appended(table: Table, count: int) -> Table:
    for number in range(count):
        table.append([{"a": number}])
    return table


@pytest.mark.damages
@pytest.mark.usefixtures("few_deltas")
@pytest.mark.parametrize("door", ["append", "transaction", "segment", "close", "sql"])
def test_a_merge_that_fails_behind_a_commit(tmp_path: Path, door: str) -> None:
    path = tmp_path / "t.flac"
    with_deltas(path, 3)
    damaged = damage(path, 1)
    with pytest.warns(UpkeepWarning, match=rf"{path}: .*(merged|delta): {path}: .*CRC-32C.*tried again"):
        write(path, door)
    assert damaged in segments_of(path)
    with audiomem_sql.open(path) as table:
        assert len(table) == {"close": 5, "segment": 5008}.get(door, 8)
        with pytest.raises(AudioMemError):
            table.merge()


@pytest.mark.usefixtures("few_deltas")
def test_which_deltas_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.flac"
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "MERGED_AT_ONCE", 99)
        with_deltas(path, 6)
    with audiomem_sql.open(path) as table:
        snapshot = table._session.opened.snapshot
        deltas = segments_of(path)[1:]

        def chosen(*unreadable: bytes) -> list[bytes]:
            return [delta.catalog.segment_id for delta in compaction.like_deltas(snapshot, set(unreadable))]

        assert chosen() == deltas
        assert chosen(deltas[4]) == []
        assert chosen(deltas[1]) == deltas[2:]
        assert chosen(deltas[2]) == []


@pytest.mark.damages
@pytest.mark.usefixtures("few_deltas")
def test_a_merge_goes_around_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with_deltas(path, 3)
    damaged = damage(path, 0)
    table = audiomem_sql.open(path)
    with pytest.warns(UpkeepWarning):
        write_more(table)
    table.close()
    assert segments_of(path)[1] == damaged
    assert len(segments_of(path)) < 2 * 4


@pytest.mark.damages
@pytest.mark.usefixtures("few_deltas")
def test_the_merge_that_finds_damage_goes_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or sessions of few commits, each of which finds it anew, would never merge what lies behind."""
    path = tmp_path / "t.flac"
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "MERGED_AT_ONCE", 99)
        with_deltas(path, 7)
    damaged = damage(path, 1)
    table = audiomem_sql.open(path)
    with pytest.raises(AudioMemError, match="CRC-32C"):
        table.checkpoint()
    assert segments_of(path)[2] == damaged
    assert len(segments_of(path)) == 4
    table.close()


def test_a_checkpoint_that_fails_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "CHECKPOINT_COMMITS", 1)
    monkeypatch.setattr(commit_upkeep, "MOST_SKIPPED", 4)
    path = tmp_path / "t.flac"
    audiomem_sql.write_flac([{"a": 1}], path).close()
    attempts: list[int] = []
    table = audiomem_sql.open(path)
    session = table._session
    real = session.empty_log

    def refused() -> bool:
        attempts.append(table.version)
        raise OSError("no room")

    monkeypatch.setattr(session, "empty_log", refused)
    with pytest.warns(UpkeepWarning, match="no room") as told:
        appended(table, 20)
    with pytest.raises(OSError, match="no room"):  # whoever asks gets the error
        table.checkpoint()
    attempts.pop()
    assert len(told) == 1
    assert [after - before for before, after in pairwise(attempts)] == [2, 3, 5, 5]
    monkeypatch.setattr(session, "empty_log", real)
    table.close()
    assert not os.path.exists(f"{path}-wal")


@pytest.mark.damages
@pytest.mark.usefixtures("few_deltas")
def test_warnings_that_are_errors_do_not_fail_a_commit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "t.flac"
    with_deltas(path, 3)
    damage(path, 0)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING), audiomem_sql.open(path) as table:
        warnings.simplefilter("error")
        versions = [table.append([{"a": "x"}]) for _ in range(3)]
        assert versions[-1] == table.version
    assert "CRC-32C" in caplog.text


KILLED = """
import os, signal, sys
import audiomem_sql
from audiomem_sql.upkeep import compaction, merge_plan
compaction.MERGED_AT_ONCE = 4
compaction.SMALL_TABLE_BYTES = 0
table = audiomem_sql.open(sys.argv[1])
left = int(sys.argv[2])
def stop(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
for name in ("replace", "unlink", "fsync", "link"):
    def counted(*arguments, real=getattr(os, name), **options):
        stop()
        return real(*arguments, **options)
    setattr(os, name, counted)
table.append([{"a": "more"}])
table.close()
"""


def test_merges_proceed_although_writers_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    path = tmp_path / "t.flac"
    with_deltas(path, 7)
    rows = 8
    for calls in range(3, 40, 3):
        ended = subprocess.run([sys.executable, "-c", KILLED, path, str(calls)], check=False).returncode
        assert ended in (0, -signal.SIGKILL)
        with audiomem_sql.open(path) as table:
            assert len(table) in (rows, rows + 1)
            rows = len(table)
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 4)
    monkeypatch.setattr(merge_plan, "UNIT_BYTES", 64 << 10)  # all are of like size then
    with audiomem_sql.open(path) as table:
        table.append([{"a": "last"}])
    with audiomem_sql.open(path) as table:
        assert len(table) == rows + 1
    assert len(segments_of(path)) < 5


# -- times ---------------------------------------------------------------------------------------------------


def stored_times(table: Table) -> list[int]:
    """The times of commits as the files have them."""
    snapshot = table._session.opened.snapshot
    stored = [version.time for segment in snapshot.segments for version in segment.catalog.versions]
    return stored + [record.time for record in snapshot.logged]


def test_times_rise_although_the_clock_falls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.flac"
    table = audiomem_sql.write_flac([{"a": "base"}], path)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 10**18)
    table.append([{"a": "log"}])
    table.tag("named")
    table.begin().insert(None, ("transaction",))
    table.commit()
    table.append([{"a": "segment"} for _ in range(5000)])
    table.alter("ADD COLUMN b TEXT")
    table.append([{"a": "log"}])
    table.append([{"a": "again"}])
    assert stored_times(table) == sorted(set(stored_times(table)))
    table.close()
    with audiomem_sql.open(path) as other:  # as another process
        other.append([{"a": "other"}])
        times = [version.time for version in other.versions]
        assert times == sorted(set(times))
        assert times[-1] - times[1] == len(times) - 2
        for version in other.versions:
            with other.checkout(as_of=render(version.time)) as old:
                assert old.version == version.number
        other.vacuum()
        assert [version.time for version in other.versions] == times


def test_a_file_whose_times_fall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiomem_sql.writing import commit, group_commit

    path = tmp_path / "t.flac"
    table = audiomem_sql.write_flac([{"a": 0}], path)
    first = table.versions[-1].time
    for module in (commit, group_commit):
        monkeypatch.setattr(module, "commit_time", lambda snapshot: first)
    table.append([{"a": 1}])
    for module in (commit, group_commit):
        monkeypatch.setattr(module, "commit_time", lambda snapshot: first - 10**6)
    table.append([{"a": row} for row in range(5000)])
    monkeypatch.undo()
    table.append([{"a": 2}])
    times = [version.time for version in table.versions]
    assert times[1:4] == [first, first + 1, first + 2]
    assert times[4] > times[3]
    with table.checkout(as_of=render(first)) as old:
        assert len(old) == 1
    table.vacuum()
    assert [version.time for version in table.versions] == times
    table.close()


# -- the limit of versions -----------------------------------------------------------------------------------


def test_the_limit_of_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.flac"
    table = audiomem_sql.write_flac([{"a": 0}], path)
    monkeypatch.setattr(catalog_packing, "MAX_VERSIONS", 5)
    while table.version < 5:
        table.append([{"a": table.version}])

    def transaction() -> None:
        table.begin().insert(None, (1,))
        table.commit()

    before = len(table)
    for change in (
        lambda: table.append([{"a": 1}]),
        lambda: table.append([{"a": 1}] * 5000),
        lambda: table.tag("x"),
        lambda: table.alter("ADD COLUMN b TEXT"),
        transaction,
    ):
        with pytest.raises(LimitError, match=r"keeps 5 versions.*--retain"):
            change()
    assert (table.version, len(table)) == (5, before)
    table.checkpoint()
    table.merge()
    table.vacuum(retain=compaction.Retention(count=2))
    table.append([{"a": 1}])
    table.close()
    assert Table(path).version == 6


# -- several processes ---------------------------------------------------------------------------------------

CREATOR = """
import sys
import audiomem_sql
sys.stdin.readline()
number = int(sys.argv[2])
audiomem_sql.write_flac([{"who": number, "n": n} for n in range(3)], sys.argv[1], if_exists="append").close()
"""


def test_processes_that_create_and_append_at_once(tmp_path: Path) -> None:
    for attempt in range(3):
        path = tmp_path / f"{attempt}.flac"
        running = [
            subprocess.Popen([sys.executable, "-c", CREATOR, path, str(number)], stdin=subprocess.PIPE)
            for number in range(4)
        ]
        for process in running:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.close()
        assert [process.wait() for process in running] == [0] * 4
        with audiomem_sql.open(path) as table:
            assert len(table) == 12
            assert sorted(set(table.to_pandas()["who"])) == [0, 1, 2, 3]


def test_a_creator_that_fails_leaves_what_others_wrote(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    creator = Table.create(path, ["a INTEGER"])
    audiomem_sql.write_flac([{"a": 1}], path, if_exists="append").close()
    creator.take_back_creation()
    with audiomem_sql.open(path) as table:
        assert len(table) == 1
    alone = tmp_path / "alone.flac"
    Table.create(alone, ["a INTEGER"]).take_back_creation()
    assert not alone.exists()
