"""A backup is one sealed file with a version that was, whatever goes on around the table meanwhile."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from cli.conftest import process
from crash.faulty import FileLayer
from samples import MODULATIONS

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, DamagedFileError, QueryError, StorageError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import backup as backups
from audiomem_sql.upkeep import write_backup
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["id INTEGER PRIMARY KEY", "n INTEGER", "v TEXT"]
V1 = Path(__file__).parent.parent / "fixtures" / "v1"

WRITER = """
import sys
from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits
log_limits.CHECKPOINT_COMMITS = 5
with Table(sys.argv[1], busy_timeout=60) as table:
    number = 0
    while not sys.stdin.closed:
        number += 1
        transaction = table.begin()
        for row in range(3):
            transaction.insert(None, (None, number, "x" * (number % 50)))
        if number % 3 == 0:
            transaction.delete(number)
        table.commit(message=f"commit {number}")
        if number % 40 == 0:
            table.vacuum()
        if number == 3:
            print("ready", flush=True)
        if sys.argv[2] == "limited" and number == 200:
            break
"""


@contextmanager
def writer(path: Path, until: str = "killed") -> Iterator[subprocess.Popen[str]]:
    """A process that commits all the time, and makes the log a segment after every fifth commit."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), until],
        stdout=subprocess.PIPE,
        text=True,
        stdin=subprocess.PIPE,
    ) as running:
        try:
            assert running.stdout is not None
            assert running.stdout.readline() == "ready\n"
            yield running
        finally:
            running.kill()


def rows(table: Any) -> list[dict[str, Any]]:
    """The rows by rowid, in whatever order they are stored."""
    found: list[dict[str, Any]] = table.to_arrow().to_pylist()
    by_id = bool(found) and "id" in found[0]
    return sorted(found, key=lambda row: row["id"] if by_id else repr(row))


def facts(table: Table, version: int) -> list[Any]:
    return [each for each in table.versions if each.number <= version]


def check(copy: Path, source: Table, version: int) -> None:
    """The copy alone is what the table was at ``version``, with all versions before it, and closed."""
    with Table(copy) as table:
        assert table.version == version
        assert facts(table, version) == facts(source, version)
        for number in {source.versions[0].number, max(1, version - 1), version}:
            assert rows(table.checkout(version=number)) == rows(source.checkout(version=number))
        assert list(problems(table)) == []
        file = table.snapshot.table_file
        assert file is not None
        assert len(file.segments) == len(table.snapshot.segments)
        assert file.format_version == 2
        assert file.announced is None
        assert file.front is not None
        assert not file.front.is_open
        assert file.front.digest == file.newest.digest
        assert file.newest.catalog.table_id == source.snapshot.segments[0].catalog.table_id
        assert file.newest.catalog.seal is not None
        assert file.newest.catalog.seal.before is not None
    assert not list(copy.parent.glob(f"{copy.name}-wal")) + list(copy.parent.glob(f"{copy.name}.d"))


def make(path: Path, **options: Any) -> Table:
    """A table with a segment of several versions, one of one version, and a log; rows of each are deleted."""
    table = Table.create(path, COLUMNS, {"profile": "embedded", **options})
    for number in range(4):
        table.append([{"n": number, "v": f"{number} {row}"} for row in range(30)])
    table.checkpoint()
    transaction = table.begin()
    transaction.delete(3)
    transaction.insert(3, (3, -3, "again"))
    transaction.delete(40)
    table.commit()
    table.tag("told", 4)
    transaction = table.begin()
    transaction.delete(3)
    transaction.delete(120)
    table.commit(message="the last")
    return table


def test_while_others_commit(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    Table.create(path, COLUMNS, {"profile": "embedded"}).close()
    copies: dict[Path, int] = {}
    with writer(path), Table(path) as source:
        # how many commits come during a backup is up to the system
        while len(copies) < 20 or len(set(copies.values())) <= 10:
            assert len(copies) < 200, "the writer does not get on"
            copy = tmp_path / f"copy {len(copies)}.flac"
            before = source.version
            copies[copy] = source.backup(copy)
            assert copies[copy] >= before
    with Table(path) as source:
        for copy, version in copies.items():
            check(copy, source, version)


@pytest.mark.parametrize("modulation", MODULATIONS.values(), ids=MODULATIONS)
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_every_version(tmp_path: Path, modulation: Any, protection: str) -> None:
    options = {"protection": protection, **modulation}
    with make(tmp_path / "t.flac", **options) as table:
        assert table.version == 8
        for version in [None, *range(1, 9)]:
            copy = tmp_path / f"{version}.flac"
            assert table.backup(copy, version) == (version or 8)
            check(copy, table, version or 8)
            with Table(copy) as copied:
                assert copied.options == table.options
                assert copied.tags == ({"told": 4} if version is None or version >= 4 else {})
        assert table.backup(tmp_path / "told.flac", "told") == 4


def test_a_copy_goes_on_by_itself(tmp_path: Path) -> None:
    with make(tmp_path / "t.flac") as table:
        for version in (3, 5, 8):
            table.backup(tmp_path / "copy.flac", version)
            with Table(tmp_path / "copy.flac") as copy:
                copy.append([{"n": 100}])
                transaction = copy.begin()
                transaction.delete(1)
                copy.commit()
            with Table(tmp_path / "copy.flac") as copy:
                assert copy.version == version + 2
                expected = [row["id"] for row in rows(table.checkout(version=version))]
                assert [row["id"] for row in rows(copy)][:-1] == expected[1:]
                assert list(problems(copy)) == []
            os.unlink(tmp_path / "copy.flac")


def test_it_names_what_it_continues(tmp_path: Path) -> None:
    with make(tmp_path / "t.flac") as table:
        newest = table.snapshot.segments[-1]
        for version in (2, 8):
            table.backup(tmp_path / f"{version}.flac", version)
            with Table(tmp_path / f"{version}.flac") as copy:
                seal = copy.snapshot.segments[-1].catalog.seal
                assert seal is not None
                assert seal.before is not None
                assert (seal.before.segment_id, seal.before.digest) == (
                    newest.catalog.segment_id,
                    newest.digest,
                )
                assert seal.generation > seal.before.generation
        table.checkpoint()
        table.backup(tmp_path / "closed.flac")
        with Table(tmp_path / "closed.flac") as copy:
            assert [segment.digest for segment in copy.snapshot.segments] == [
                segment.digest for segment in table.snapshot.segments
            ]


@pytest.mark.damages
def test_a_copy_beside_the_log_is_refused(tmp_path: Path) -> None:
    """Who puts a copy in the place of a table that is in use is told so."""
    with make(tmp_path / "t.flac") as table:
        table.backup(tmp_path / "copy.flac")
        table.append([{"n": 5}])
        (tmp_path / "there").mkdir()
        shutil.copy(tmp_path / "copy.flac", tmp_path / "there" / "t.flac")
        shutil.copy(tmp_path / "t.flac-wal", tmp_path / "there" / "t.flac-wal")
        with pytest.raises(DamagedFileError, match="another history, or they were copied"):
            Table(tmp_path / "there" / "t.flac")


@pytest.mark.parametrize("name", ["small", "labels", "columns", "versions", "large"])
def test_version_1_becomes_version_2(tmp_path: Path, name: str) -> None:
    for part in V1.glob(f"{name}.flac*"):
        (shutil.copytree if part.is_dir() else shutil.copy)(part, tmp_path / part.name)
    with Table(tmp_path / f"{name}.flac") as table:
        for each in table.versions:
            version = each.number
            table.backup(tmp_path / f"{version}.flac", version)
            with Table(tmp_path / f"{version}.flac") as copy:
                assert copy.version == version
                assert copy.schema == table.checkout(version=version).schema
                assert facts(copy, version) == facts(table, version)
                for number in range(table.versions[0].number, version + 1):
                    assert rows(copy.checkout(version=number)) == rows(table.checkout(version=number))
                assert list(problems(copy)) == []
                assert [step.version for step in copy.migrations] == [
                    step.version for step in table.migrations if step.version <= version
                ]


def test_columns_that_came_later(tmp_path: Path) -> None:
    with make(tmp_path / "t.flac") as table:
        table.alter("add column late TEXT DEFAULT 'soon'")
        table.alter("drop column n")
        table.append([{"v": "w", "late": "now"}])
        table.vacuum()
        for version in range(1, 12):
            table.backup(tmp_path / f"{version}.flac", version)
            check(tmp_path / f"{version}.flac", table, version)
            with Table(tmp_path / f"{version}.flac") as copy:
                assert copy.schema == table.checkout(version=version).schema
                assert len(copy.migrations) == max(0, min(2, version - 8))


def test_sources(tmp_path: Path) -> None:
    """A source is known to a copy only if its rows are surely in it."""
    one, two = bytes(15) + b"\1", bytes(15) + b"\2"
    with Table.create(tmp_path / "t.flac", COLUMNS, {}) as table:
        table.append([{"n": 1}], sources={"a": one})
        table.append([{"n": 2}], sources={"b": one})
        table.append([{"n": 3}], sources={"b": two})

        def known(version: int) -> dict[str, bytes]:
            (tmp_path / "copy.flac").unlink(missing_ok=True)
            table.backup(tmp_path / "copy.flac", version)
            with Table(tmp_path / "copy.flac") as copy:
                return copy.sources

        assert [known(version) for version in range(1, 5)] == [
            {}, {"a": one}, {"a": one, "b": one}, {"a": one, "b": two},
        ]  # fmt: skip
        table.checkpoint()  # versions 1 to 4 are one segment, which does not say when it learnt of which
        assert [known(version) for version in range(1, 5)] == [{}, {}, {}, {"a": one, "b": two}]


def test_of_a_snapshot_while_its_files_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with make(path) as table:
        reader = Table(path)
        table.append([{"n": 1}])
        table.checkpoint()
        table.append([{"n": 2}])
        table.vacuum()
        opened = reader._opened
        write_backup(opened.files, opened.snapshot, tmp_path / "new.flac", opened.options)
        old = opened.snapshot.at(3)
        write_backup(opened.files, old, tmp_path / "old.flac", opened.options)
        check(tmp_path / "new.flac", table, 8)
        check(tmp_path / "old.flac", table, 3)
        reader.close()


def test_nobody_is_kept_from_writing(tmp_path: Path) -> None:
    """It neither takes the lock nor waits for it, also while a transaction is open elsewhere."""
    path = tmp_path / "t.flac"
    with make(path) as table, Table(path, busy_timeout=0) as other:
        transaction = table.begin()
        transaction.insert(None, (None, 9, "not yet"))
        thread = threading.Thread(target=other.backup, args=(tmp_path / "a.flac",))
        thread.start()
        thread.join()
        table.backup(tmp_path / "b.flac")
        table.commit()
        for name in ("a.flac", "b.flac"):
            check(tmp_path / name, table, 8)
        with Table(path, version=5) as fixed:
            assert fixed.backup(tmp_path / "c.flac") == 5
        check(tmp_path / "c.flac", table, 5)


@pytest.mark.parametrize("taken", ["copy.flac", "copy.flac-wal", "copy.flac.d", "link"])
def test_it_replaces_nothing(tmp_path: Path, taken: str) -> None:
    with make(tmp_path / "t.flac") as table:
        if taken == "link":
            os.symlink(tmp_path / "nowhere", tmp_path / "copy.flac")
        else:
            (tmp_path / taken).write_bytes(b"mine")
        before = sorted(os.listdir(tmp_path))
        for version in (None, 3):
            with pytest.raises(StorageError, match=r"exists already|would be taken for a part"):
                table.backup(tmp_path / "copy.flac", version)
        with pytest.raises(StorageError, match="exists already"):
            table.backup(tmp_path / "t.flac")
        assert sorted(os.listdir(tmp_path)) == before
        if taken != "link":
            assert (tmp_path / taken).read_bytes() == b"mine"


def test_what_takes_its_name_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "copy.flac"
    check_in_place = backups._check_in_place

    def taking(source: str) -> None:
        path.write_bytes(b"mine")
        check_in_place(source)

    monkeypatch.setattr(backups, "_check_in_place", taking)
    with make(tmp_path / "t.flac") as table:
        for logged, version in ((True, None), (True, 3), (False, None)):
            if not logged:
                table.checkpoint()
            with pytest.raises(StorageError, match="File exists"):
                table.backup(path, version)
            assert path.read_bytes() == b"mine"
            path.unlink()
            assert not list(tmp_path.glob(".*"))


FULL = """
import resource, signal, sys
from audiomem_sql.errors import StorageError
from audiomem_sql.table.table import Table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # it would be cut short
with Table(sys.argv[1]) as table:
    for limit in range(0, 120_000, 7_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            table.backup(sys.argv[2], int(sys.argv[3]))
        except StorageError as error:
            assert "File too large" in str(error), error
        else:
            print(limit)
            break
"""


@pytest.mark.parametrize(("logged", "version"), [(True, 8), (False, 8), (True, 3), (True, 7)])
def test_a_full_disk_leaves_nothing(tmp_path: Path, version: int, *, logged: bool) -> None:
    (tmp_path / "there").mkdir()
    with make(tmp_path / "t.flac") as table:
        if not logged:
            table.checkpoint()
        copy = tmp_path / "there" / "copy.flac"
        command = [sys.executable, "-c", FULL, str(tmp_path / "t.flac"), str(copy), str(version)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 7_000
        assert os.listdir(tmp_path / "there") == ["copy.flac"]
        check(copy, table, version)


def test_mode_and_tags_are_those_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with make(path) as table:
        path.chmod(0o640)
        before = os.umask(0)
        try:
            for version in (None, 2):
                table.backup(tmp_path / f"{version}.flac", version)
            table.checkpoint()
            table.backup(tmp_path / "closed.flac")
        finally:
            os.umask(before)
        for name in ("None.flac", "2.flac", "closed.flac"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640
        path.rename(tmp_path / "moved.flac")
        for version in (None, 2):
            with pytest.raises(AudioMemError):
                table.backup(tmp_path / "late.flac", version)
        assert not (tmp_path / "late.flac").exists()
        (tmp_path / "moved.flac").rename(path)


def test_from_a_folder_that_is_only_read_to_another_file_system(tmp_path: Path) -> None:
    other = Path("/dev/shm" if os.path.isdir("/dev/shm") else tmp_path) / f"audiomem {os.getpid()}.flac"
    try:
        with make(tmp_path / "t.flac") as table:
            tmp_path.chmod(0o500)
            try:
                for version in (None, 7):
                    table.backup(other, version)
                    check(other, table, version or 8)
                    other.unlink()
            finally:
                tmp_path.chmod(0o700)
    finally:
        other.unlink(missing_ok=True)


@pytest.mark.damages
def test_damage_is_not_copied(tmp_path: Path) -> None:
    for protection, logged in (("none", True), ("none", False), ("standard", True), ("standard", False)):
        path = tmp_path / f"{protection} {logged}.flac"
        with make(path, protection=protection) as table:
            expected = rows(table)
            if not logged:
                table.checkpoint()
        with Table(path) as table:
            if logged:
                table.append([{"id": 1000, "n": 1}])
                expected = rows(table)
            size = path.stat().st_size
            with path.open("r+b") as file:
                file.seek(size // 2)
                file.write(bytes(1500))
            copy = tmp_path / f"copy {path.name}"
            with Table(path) as reader:
                if protection == "none":
                    with pytest.raises(DamagedFileError, match=r"so would its copy be"):
                        reader.backup(copy)
                    assert not copy.exists()
                else:
                    reader.backup(copy)
                    with Table(copy) as copied:
                        assert rows(copied) == expected
                        assert list(problems(copied)) == []
            assert not list(tmp_path.glob(".*"))


@pytest.mark.damages
def test_a_log_with_a_damaged_record(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with make(path) as table:
        content = table.snapshot.log
        assert content is not None
        shutil.copy(path, tmp_path / "b.flac")
        shutil.copy(str(path) + "-wal", tmp_path / "b.flac-wal")
    log = bytearray((tmp_path / "b.flac-wal").read_bytes())
    place = log.index(b"again")
    log[place : place + 5] = b"other"
    (tmp_path / "b.flac-wal").write_bytes(log)
    with pytest.raises(DamagedFileError, match="version 6"):
        Table(tmp_path / "b.flac").backup(tmp_path / "copy.flac")
    assert not (tmp_path / "copy.flac").exists()


def test_in_sql(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', {', '.join(COLUMNS)})")
    connection.execute("INSERT INTO t(n) VALUES (1), (2)")
    copy = tmp_path / "copy.flac"
    connection.execute("INSERT INTO t(t, rank) VALUES ('backup', ?)", (str(copy),))
    with Table(copy) as copied:
        assert [row["n"] for row in rows(copied)] == [1, 2]
    with pytest.raises(AudioMemError, match="exists already"):
        connection.execute("INSERT INTO t(t, rank) VALUES ('backup', ?)", (str(copy),))
    with pytest.raises(AudioMemError, match=r"no command 'backup' with the argument None.*backup \(a path\)"):
        connection.execute("INSERT INTO t(t) VALUES ('backup')")
    connection.execute("BEGIN; INSERT INTO t(n) VALUES (3)")
    with pytest.raises(AudioMemError, match="a transaction of its own"):
        connection.execute("INSERT INTO t(t, rank) VALUES ('backup', ?)", (str(tmp_path / "no.flac"),))
    connection.execute("ROLLBACK")
    assert not (tmp_path / "no.flac").exists()


def test_in_the_shell(tmp_path: Path) -> None:
    with make(tmp_path / "t.flac") as table:
        done = process("backup", "t.flac", "copy.flac", "--version", "told", cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert done.out == "copy.flac: version 4 of t.flac, 90 rows\n"
        check(tmp_path / "copy.flac", table, 4)
        assert process("backup", "t.flac", "new.flac", cwd=tmp_path).code == 0
        check(tmp_path / "new.flac", table, 8)
        for arguments, words in (
            (["copy.flac"], "exists already"),
            (["x.flac", "--version", "9"], "version 9 is not kept"),
            (["x.flac", "--version", "nameless"], "no tag 'nameless'"),
            (["nowhere/x.flac"], "No such file or directory"),
        ):
            done = process("backup", "t.flac", *arguments, cwd=tmp_path)
            assert done.code == 1
            assert words in done.err
        assert not (tmp_path / "x.flac").exists()
        with pytest.raises(QueryError, match="not kept"):
            table.backup(tmp_path / "x.flac", 99)


@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_an_error_of_the_disk_names_the_copy(tmp_path: Path, call: str) -> None:
    path, copy = tmp_path / "t.flac", tmp_path / "copy.flac"
    am.write_flac([{"id": 1}], path, primary_key="id").close()
    with am.open(path) as table:
        with FileLayer(tmp_path, lambda name: name == call), pytest.raises(StorageError, match=r"copy\.flac"):
            table.backup(copy)
        assert os.listdir(tmp_path) == ["t.flac"]
        table.backup(copy)
    with am.open(copy) as table:
        assert table.version == 2
