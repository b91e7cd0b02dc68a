"""How writing ends: whatever a body does, others can write afterwards, and the snapshot is the newest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from crash.faulty import FileLayer

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    ConstraintError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.table.session import Session
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.commit import Commit, now
from audiomem_sql.writing.log_limits import LOGGED_ROWS

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT UNIQUE"]
#: So many rows are a segment of their own.
MANY = LOGGED_ROWS + 1


class Stop(BaseException):
    """As sudden as Ctrl-C."""


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with Table.create(tmp_path / "t.flac", COLUMNS, {"profile": "embedded"}) as table:
        table.append([{"name": "first"}])
        yield table


@pytest.fixture
def session(table: Table) -> Session:
    return table._session


def check_free(table: Table) -> None:
    """Nothing is held, the table shows what is on the disk, and other tables and threads can write."""
    session = table._session
    assert not session.turn.busy
    assert not session.lock.held
    assert table.transaction is None
    assert table.readable is table.snapshot
    with Table(table.path, busy_timeout=0) as other:
        assert other.version == table.version
        assert other.to_arrow().equals(table.to_arrow())
        other.append([{"name": f"other {other.version}"}])
    versions: list[int] = []
    thread = threading.Thread(
        target=lambda: versions.append(table.append([{"name": f"thread {table.version}"}]))
    )
    thread.start()
    thread.join(30)
    assert versions == [table.version]


def rows(count: int) -> list[dict[str, Any]]:
    return [{"name": f"row {number}"} for number in range(count)]


def commit_record(session: Session) -> None:
    """Commit through the log, without a word to the snapshot."""
    session.append_to_log(LogRecord(session.opened.snapshot.newest + 1, now(), message="stands"))


def commit_segment(session: Session) -> None:
    session.checkpoint()
    session.commit_segment(Commit((), 0, message="stands"))


# -- the body of writing() -----------------------------------------------------------------------------------


def test_nobody_else_writes_during_a_body(table: Table, session: Session) -> None:
    table.busy_timeout = 0
    errors: list[AudioMemError] = []

    def append() -> None:
        try:
            table.append([{"name": "thread"}])
        except AudioMemError as error:
            errors.append(error)

    with session.writing():
        assert session.turn.mine
        with Table(table.path, busy_timeout=0) as other, pytest.raises(BusyError, match="is writing"):
            other.append([{"name": "other"}])
        thread = threading.Thread(target=append)
        thread.start()
        thread.join(30)
    assert [str(error) for error in errors if "another thread" in str(error)]
    check_free(table)


@pytest.mark.parametrize("commit", [commit_record, commit_segment])
def test_a_body_that_commits_and_returns(
    table: Table, session: Session, commit: Callable[[Session], None]
) -> None:
    def body() -> int:
        with session.writing():
            commit(session)
            return table.version

    assert body() == 2, "the snapshot is loaded when the body has ended"
    assert table.version == 3
    assert table.versions[-1].message == "stands"
    check_free(table)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), ValueError("no"), Stop()], ids=repr)
@pytest.mark.parametrize("commit", [None, commit_record, commit_segment])
def test_a_body_that_fails(
    table: Table, session: Session, commit: Callable[[Session], None] | None, error: BaseException
) -> None:
    """What was committed before the error stands, and is shown."""

    def body() -> None:
        with session.writing():
            if commit is not None:
                commit(session)
            raise error

    with pytest.raises(type(error)) as raised:
        body()
    assert raised.value is error
    assert table.version == (2 if commit is None else 3)
    check_free(table)


def test_the_error_of_the_body_is_the_one_raised(table: Table, session: Session) -> None:
    """Also where loading afterwards fails, because the file is gone."""
    base = Path(table.files.base)
    away = base.with_name("away")

    def body() -> None:
        with session.writing():
            base.rename(away)
            raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        body()
    away.rename(base)
    check_free(table)


def test_who_cannot_become_the_writer(table: Table, session: Session) -> None:
    with Table(table.path) as other:
        other.begin()
        with pytest.raises(BusyError), session.writing(timeout=0):
            raise AssertionError("another table is writing")
        other.rollback()
    check_free(table)
    with Table(table.path, version=1) as old, pytest.raises(UnsupportedError), old._session.writing():
        raise AssertionError("an old version does not change")
    with Table(table.path, salvage=True) as saved, pytest.raises(StorageError), saved._session.writing():
        raise AssertionError("a table is not changed while it is salvaged")


def test_a_transaction_of_this_thread_comes_first(table: Table, session: Session) -> None:
    table.begin().insert(None, (None, "mine"))
    with pytest.raises(StorageError, match="a transaction is open"), session.writing():
        raise AssertionError("this thread has a transaction")
    assert len(table) == 2
    assert table.commit() == 3
    check_free(table)


# -- transactions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_commit(table: Table, count: int, prepared: bool) -> None:
    transaction = table.begin()
    for row in rows(count):
        transaction.insert(None, (None, row["name"] + "x" * 100))
    if prepared:
        table.prepare()
    assert table.commit() == table.version == 3
    assert len(table) == 1 + count
    check_free(table)


@pytest.mark.parametrize("count", [0, 1, MANY])
@pytest.mark.parametrize("prepared", [False, True])
def test_a_rollback(table: Table, count: int, prepared: bool) -> None:
    transaction = table.begin()
    for row in rows(count):
        transaction.insert(None, (None, row["name"] + "x" * 100))
    if prepared:
        table.prepare()
    table.rollback()
    assert table.version == 2
    assert len(table) == 1
    check_free(table)


class Disk(FileLayer):
    """A disk on which the calls called ``broken`` fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda call: call in self.broken)
        self.broken: tuple[str, ...] = ()


@pytest.mark.parametrize("count", [1, MANY])
def test_a_commit_that_the_disk_refuses(tmp_path: Path, count: int) -> None:
    with Disk(tmp_path) as disk, Table.create(tmp_path / "t.flac", COLUMNS, {"profile": "embedded"}) as table:
        table.append([{"name": "first"}])
        transaction = table.begin()
        for row in rows(count):
            transaction.insert(None, (None, row["name"] + "x" * 100))
        disk.broken = ("fsync", "fdatasync")
        with pytest.raises(StorageError):
            table.commit()
        disk.broken = ()
        assert table.version == 2
        check_free(table)


def test_a_rollback_that_the_disk_refuses(tmp_path: Path) -> None:
    """The prepared commit stays in the log, and the table shows it."""
    with Disk(tmp_path) as disk, Table.create(tmp_path / "t.flac", COLUMNS, {"profile": "embedded"}) as table:
        table.append([{"name": "first"}])
        table.begin().insert(None, (None, "prepared"))
        table.prepare()
        disk.broken = ("pwrite", "shrink", "fdatasync")
        with pytest.raises(StorageError):
            table.rollback()
        disk.broken = ()
        assert len(table) == table.version - 1 == 2
        check_free(table)


# -- everything else that writes -----------------------------------------------------------------------------


def stop(*_: object) -> NoReturn:
    raise Stop


def deleting(snapshot: Snapshot) -> I64Array:
    return np.array([1], np.int64)


@pytest.mark.parametrize(
    ("action", "version"),
    [
        (lambda table: table.append(rows(2)), 3),
        (lambda table: table.append(rows(MANY)), 3),
        (lambda table: table.exchange([], deleting), 3),
        (lambda table: table.append([]), 2),
        (lambda table: table.checkpoint(), 2),
        (lambda table: table.merge(), 2),
        (lambda table: table.vacuum(), 2),
        (lambda table: table.transcode({"protection": "archive"}), 2),
        (lambda table: table.set_cover(None), 2),
        (lambda table: table.tag("spring"), 3),
        (lambda table: table.restore(1), 3),
        (lambda table: table.alter("add column year INTEGER"), 3),
    ],
)
def test_actions_that_succeed(table: Table, action: Callable[[Table], object], version: int) -> None:
    action(table)
    assert table.version == version
    table.refresh()
    assert table.version == version
    check_free(table)


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda table: table.append([{"name": "first"}]), ConstraintError),
        (lambda table: table.append([*rows(MANY), {"name": "first"}]), ConstraintError),
        (lambda table: table.exchange(rows(2), stop), Stop),
        (lambda table: table.exchange(rows(MANY), stop), Stop),
        (lambda table: table.append(rows(MANY), progress=stop), Stop),
        (lambda table: table.vacuum(progress=stop), Stop),
        (lambda table: table.vacuum(protection="no level"), OptionError),
        (lambda table: table.transcode({"protection": "archive"}, progress=stop), Stop),
        (lambda table: table.repair(), UnsupportedError),
        (lambda table: table.tag("spring", 99), QueryError),
        (lambda table: table.restore(99), QueryError),
        (lambda table: table.alter("drop column nothing"), SchemaError),
        (lambda table: table.reembed(), SchemaError),
    ],
)
def test_actions_that_fail(
    table: Table, action: Callable[[Table], object], error: type[BaseException]
) -> None:
    with pytest.raises(error):
        action(table)
    assert table.version == 2
    check_free(table)


@pytest.mark.parametrize("name", ["fsync", "pwrite", "replace", "unlink"])
def test_actions_that_the_disk_refuses(tmp_path: Path, name: str) -> None:
    with Disk(tmp_path) as disk, Table.create(tmp_path / "t.flac", COLUMNS, {"profile": "embedded"}) as table:
        table.append(rows(20))
        for action in (table.checkpoint, table.merge, table.vacuum, lambda: table.tag("spring")):
            disk.broken = (name,)
            with contextlib.suppress(StorageError):
                action()
            disk.broken = ()
            check_free(table)


def test_a_table_that_is_closed(table: Table) -> None:
    table.begin().insert(None, (None, "lost"))
    closing = threading.Thread(target=table.close)
    closing.start()
    closing.join(30)
    assert not table._session.lock.held
    with pytest.raises(StorageError, match="closed"):
        table.append([{"name": "late"}])
    with Table(table.path) as other:
        assert len(other) == 1
