"""Threads that share one table: appends in one flush, each with a version and errors of its own.

Whole snapshots for readers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.errors import (
    BusyError,
    ConstraintError,
    DamagedFileError,
    DataTypeError,
    SchemaError,
    StorageError,
)
from audiomem_sql.storage.log import LogContent, LogRecord, LogWriter
from audiomem_sql.storage.log.chain import FIRST_RECORD, SLOTS
from audiomem_sql.storage.log.reader import commits_behind, read_log
from audiomem_sql.table.table import Table
from writing.callers import Call, create, rows, rows_at


@contextmanager
def waiting(table: Table, count: int) -> Iterator[list[Call]]:
    """The body starts calls that all wait; at its end they go on together."""
    calls: list[Call] = []
    table.begin()
    yield calls
    deadline = time.monotonic() + 30
    while table._session.turn.waiting < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    table.rollback()


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every fdatasync."""
    done: list[int] = []
    real = os.fdatasync

    def counted(handle: int) -> None:
        real(handle)
        done.append(handle)

    monkeypatch.setattr(os, "fdatasync", counted)
    return done


def test_those_that_wait_share_a_flush(tmp_path: Path, flushes: list[int]) -> None:
    path = tmp_path / "t.flac"
    with create(path) as table:
        table.append([{"name": "first"}])
        flushes.clear()
        with waiting(table, 10) as calls:
            for number in range(10):
                row = {"name": f"row {number}", "v": number}
                calls.append(Call(lambda row=row: table.append([row], message=row["name"])))  # type: ignore[misc]
        versions = [call.result() for call in calls]
        assert len(flushes) == 1
        assert sorted(versions) == list(range(3, 13))
        with Table(path) as other:
            assert other.version == table.version == 12
            for number, version in enumerate(versions):
                assert other.versions[version - 1].message == f"row {number}"
                added = rows_at(other, version) - rows_at(other, version - 1)
                assert added == {(version - 1, f"row {number}", number)}


def test_what_shares_a_flush_is_no_more_than_the_log_of_the_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in memory at once, several times: 1 MiB of rows beside the first for a small device."""
    sizes: list[int] = []
    real = LogWriter.append_group

    def measured(
        self: LogWriter, content: LogContent, commits: Sequence[LogRecord], **how: Any
    ) -> LogContent:
        sizes.append(sum(len(commit.pack()) for commit in commits))
        return real(self, content, commits, **how)

    monkeypatch.setattr(LogWriter, "append_group", measured)
    with create(tmp_path / "t.flac") as table:
        with waiting(table, 8) as calls:
            for number in range(8):
                calls.append(Call(lambda number=number: table.append([{"name": f"{number}" * 400_000}])))  # type: ignore[misc]
        assert sorted(call.result() for call in calls) == list(range(2, 10))
    assert sum(sizes) > 8 * 400_000
    assert max(sizes) < (1 << 20) + 450_000


def test_errors_belong_to_their_threads(tmp_path: Path, flushes: list[int]) -> None:
    with create(tmp_path / "t.flac") as table:
        table.append([{"id": 1, "name": "there"}])
        flushes.clear()
        appends: list[tuple[Any, str | None]] = [
            ([{"name": "good"}], None),
            ([{"name": "there"}], None),
            ([{"id": 1, "name": "same id"}], None),
            ([{"name": "good"}], None),  # of two that wait, one is first
            ([{"id": 50, "name": "a"}, {"id": 50, "name": "b"}], None),
            ([{"name": "there", "v": 2}], "id = 1"),
            ([], "id = 77"),
        ]
        with waiting(table, len(appends)) as calls:
            for data, replace in appends:
                calls.append(Call(lambda data=data, replace=replace: table.append(data, replace=replace)))  # type: ignore[misc]
                while table._session.turn.waiting < len(calls):
                    time.sleep(0.001)
            with pytest.raises(DataTypeError):
                Call(lambda: table.append([{"name": "x", "v": "no number"}])).result()
        for call in calls:
            call.join(60)
        assert [call.value for call in calls] == [3, None, None, None, None, 4, 4]
        for place, key in ((1, "'there'"), (2, "key 1"), (3, "'good'"), (4, "key 50")):
            error = calls[place].error
            assert isinstance(error, ConstraintError)
            assert key in str(error)
        assert len(flushes) == 1
        assert {row[1:] for row in rows(table)} == {("good", None), ("there", 2)}


def test_a_flush_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everyone of the group is told, with an error of their own, and nothing is there."""
    path = tmp_path / "t.flac"
    with create(path) as table:
        table.append([{"name": "first"}])
        real, failing = os.fdatasync, True

        def fdatasync(handle: int) -> None:
            nonlocal failing
            if failing:
                failing = False
                raise OSError(5, "Input/output error")
            real(handle)

        with waiting(table, 5) as calls:
            for number in range(5):
                calls.append(Call(lambda number=number: table.append([{"name": f"lost {number}"}])))  # type: ignore[misc]
            monkeypatch.setattr(os, "fdatasync", fdatasync)
        for call in calls:
            with pytest.raises(StorageError, match="Input/output error"):
                call.result()
        assert len({id(call.error) for call in calls}) == 5
        assert table.version == 2
        with Table(path) as other:
            assert other.version == 2
        assert table.append([{"name": "lost 1"}]) == 3
        assert {row[1] for row in rows(table)} == {"first", "lost 1"}


def test_columns_that_others_changed_are_told_with_file_and_remedy(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path) as table, Table(path) as other:
        for count in (1, 3000):  # through the log, and as a segment
            other.alter(f"add column e{count} INTEGER")
            with pytest.raises(SchemaError, match="changed meanwhile") as told:
                table.append([{"name": f"{count} {number}"} for number in range(count)])
            assert told.value.file == str(path)
            assert told.value.remedy == "Append the rows again."
            version = table.append([{"name": f"{count} {number}"} for number in range(count)])
            assert (table.version, len(table)) == (version, 1 if count == 1 else 3001)


def test_an_interrupt_in_the_thread_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is raised there.

    The others hear of it, nothing remains of the group, and the next append is well.
    """
    path = tmp_path / "t.flac"
    with create(path) as table:
        table.append([{"name": "first"}])
        real, interrupted = os.fdatasync, False

        def fdatasync(handle: int) -> None:
            nonlocal interrupted
            if not interrupted:
                interrupted = True
                raise KeyboardInterrupt
            real(handle)

        with waiting(table, 4) as calls:
            for number in range(4):
                calls.append(Call(lambda number=number: table.append([{"name": f"lost {number}"}])))  # type: ignore[misc]
            monkeypatch.setattr(os, "fdatasync", fdatasync)
        for call in calls:
            call.join(60)
        kinds = sorted(type(call.error).__name__ for call in calls)
        assert kinds == ["KeyboardInterrupt", "StorageError", "StorageError", "StorageError"]
        assert table.append([{"name": "lost 1"}]) == 3
        with Table(path) as other:
            assert {row[1] for row in rows(other)} == {"first", "lost 1"}


def test_a_transaction_of_another_thread(tmp_path: Path) -> None:
    """Appends wait for it, up to the busy timeout; what it changes is seen by its thread alone."""
    with create(tmp_path / "t.flac") as table:
        table.append([{"name": "first"}])
        table.busy_timeout = 0.05
        transaction = table.begin()
        transaction.insert(None, (None, "second", 1))
        assert len(table) == 2
        assert Call(lambda: len(table)).result() == 1
        assert Call(lambda: table.get(2)).result() is None
        assert Call(table.refresh).result() is False
        for call in (table.begin, table.checkpoint, table.vacuum, lambda: table.append([{"v": 1}])):
            with pytest.raises(BusyError, match=r"another thread is writing, for 0\.05 s"):
                Call(call).result()
        with pytest.raises(StorageError, match="the transaction is another thread's"):
            Call(table.commit).result()
        Call(table.rollback).result()
        with pytest.raises(StorageError, match="a transaction is open"):
            table.append([{"v": 1}])
        table.busy_timeout = 30
        waits = Call(lambda: table.append([{"name": "third"}]))
        time.sleep(0.05)
        assert waits.is_alive()
        assert table.commit() == 3
        assert waits.result() == 4
        assert rows(table) == {(1, "first", None), (2, "second", 1), (3, "third", None)}


def test_turns_come_in_the_order_of_asking(tmp_path: Path) -> None:
    """A vacuum is not passed by for ever by appends that share flushes."""
    with create(tmp_path / "t.flac") as table:
        table.append([{"v": 0}])
        order: list[str] = []

        def told(name: str, call: Callable[[], Any]) -> Callable[[], None]:
            def run() -> None:
                call()
                order.append(name)

            return run

        with waiting(table, 4) as calls:
            for place, (name, call) in enumerate(
                [
                    ("a", lambda: table.append([{"v": 1}])),
                    ("merge", table.merge),
                    ("b", lambda: table.append([{"v": 2}])),
                    ("c", lambda: table.append([{"v": 3}])),
                ]
            ):
                calls.append(Call(told(name, call)))
                while table._session.turn.waiting <= place:
                    time.sleep(0.001)
        for each in calls:
            each.result()
        assert order[:2] == ["a", "merge"]
        assert sorted(order[2:]) == ["b", "c"]
        assert sorted(row[2] for row in rows(table)) == [0, 1, 2, 3]


def test_writing_within_writing_is_refused(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac") as table:
        refused = []

        def progress(done: int, total: int) -> None:
            with pytest.raises(BusyError, match="this thread is writing to the table already"):
                table.append([{"v": 1}])
            refused.append(done)

        table.append([{"name": f"n{number}", "v": number} for number in range(5000)], progress=progress)
        assert refused
        assert len(table) == 5000


def test_a_group_is_whole_or_not_there(tmp_path: Path) -> None:
    """Cut at any byte, or without any of its sectors: none of it is there, and no damage is claimed."""
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    with create(path) as table:
        table.append([{"name": "before"}])
        assert table.snapshot.log is not None
        start, before = table.snapshot.log.end, log.read_bytes()
        with waiting(table, 5) as calls:
            for number in range(5):
                name = f"{number}" * 700
                calls.append(Call(lambda name=name: table.append([{"name": name}])))  # type: ignore[misc]
        for call in calls:
            call.result()
        assert table.snapshot.log is not None
        end, whole, table_id = (
            table.snapshot.log.end,
            log.read_bytes(),
            table.snapshot.segments[0].catalog.table_id,
        )
        # until the group is durable, no watermark tells of it
        data = whole[: SLOTS[0]] + before[SLOTS[0] : FIRST_RECORD] + whole[FIRST_RECORD:]
        assert data != whole
        log.write_bytes(data)
        found = read_log(str(log), table_id)
        assert found is not None
        assert [record.version for record in found.records] == [2, 3, 4, 5, 6, 7]
        for cut in [*range(start, start + 40), *range(start + 40, end, 97), end - 1]:
            for spoiled in (
                data[:cut] + bytes(len(data) - cut),
                data[:start] + bytes(cut - start) + data[cut:],
            ):
                if spoiled == data:
                    continue
                log.write_bytes(spoiled)
                found = read_log(str(log), table_id)
                assert found is not None
                assert found.version == 2
                assert not commits_behind(str(log), found)
                # Once its watermark is there, the group was durable: the same is damage.
                log.write_bytes(whole[:FIRST_RECORD] + spoiled[FIRST_RECORD:])
                with pytest.raises(DamagedFileError, match="is damaged at version 3"):
                    read_log(str(log), table_id)
        # A group behind something torn, on the other hand, was flushed after it: that is damage.
        torn = bytearray(data)
        torn[start - 3] ^= 1
        log.write_bytes(torn)
        with pytest.raises(DamagedFileError, match="at version 2"):
            read_log(str(log), table_id)
        found = read_log(str(log), table_id, unreadable=[])
        assert found is not None
        assert found.version == 1
        assert commits_behind(str(log), found)
        log.write_bytes(whole)


def test_close_waits_for_appends(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    for attempt in range(5):
        table = create(path) if attempt == 0 else Table(path)
        told: list[int] = []

        def append(table: Table = table, told: list[int] = told) -> None:
            for _ in range(1000):
                told.append(table.append([{"v": 1}]))

        calls = [Call(append) for _ in range(4)]
        time.sleep(0.02 * attempt)
        table.close()
        closed = len(told)
        with pytest.raises(StorageError, match="the table is closed"):
            table.append([{"v": 1}])
        for call in calls:
            with pytest.raises(StorageError, match="the table is closed"):
                call.result()
        assert len(told) - closed <= 4
        with Table(path) as table:
            assert set(told) <= {version.number for version in table.versions}
            assert len(table) == table.version - 1
            assert table.snapshot.log is None
