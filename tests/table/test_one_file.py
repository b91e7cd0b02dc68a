"""At rest a table is one file; beside its log it says so, and what does not go together is told."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import apsw
import pytest
from open_files import open_below

import audiomem_sql as am
from audiomem_sql import Table
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError, UpkeepWarning
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import log_limits, placement

from .named_tables import create, ids

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v1"
WRITER = """
import os, signal, sys
from audiomem_sql import Table
table = Table(sys.argv[1])
table.append([{"id": int(sys.argv[2]), "body": "by another process"}])
print("written", flush=True)
sys.stdin.readline()
table.close()
"""


@pytest.fixture(params=["anew", "appended"])
def placed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where folds put their segments."""
    if request.param == "appended":
        monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
        monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
        monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    return str(request.param)


def writer(path: Path, rowid: int) -> subprocess.Popen[str]:
    """Another process that has written a row, and waits for a line before it closes."""
    command = [sys.executable, "-c", WRITER, str(path), str(rowid)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    return process


def ended(process: subprocess.Popen[str], *, killed: bool = False) -> None:
    if killed:
        process.send_signal(signal.SIGKILL)
    process.communicate("\n", timeout=60)
    assert process.returncode == (-signal.SIGKILL if killed else 0)


@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_a_closed_table_is_one_file(tmp_path: Path, protection: str) -> None:
    path = tmp_path / "t.flac"
    create(path, 3, protection=protection)
    assert os.listdir(tmp_path) == ["t.flac"]
    for number in range(10, 13):
        with Table(path) as table:
            table.append([{"id": number}])
            assert set(os.listdir(tmp_path)) == {"t.flac", "t.flac-wal"}
        assert os.listdir(tmp_path) == ["t.flac"]
    connection = am.connect(path)
    connection.execute("INSERT INTO t(id) VALUES (20)")
    connection.close()
    with Table(path) as table:
        table.begin()
        table.rollback()
    assert os.listdir(tmp_path) == ["t.flac"]
    shutil.copy(path, tmp_path / "copy.flac")
    assert ids(tmp_path / "copy.flac") == [1, 2, 3, 10, 11, 12, 20]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("modulation", ["pcm", "spectrum"])
def test_a_copy_without_the_log_is_refused(tmp_path: Path, modulation: str) -> None:
    path, copy = tmp_path / "t.flac", tmp_path / "copy.flac"
    create(path, 3, modulation=modulation)
    process = writer(path, 10)
    for killed in (False, True):
        if killed:
            ended(process, killed=True)
        shutil.copy(path, copy)
        missing = r"version 3 and those after it are in .*copy\.flac-wal, which is not here.*Copy both"
        with pytest.raises(DamagedFileError, match=missing):
            Table(copy)
    assert ids(path) == [1, 2, 3, 10]
    with Table(path) as table:  # the next writer folds what the killed one left
        table.append([{"id": 11}])
    assert os.listdir(tmp_path) == ["copy.flac", "t.flac"] or set(os.listdir(tmp_path)) == {
        "copy.flac",
        "t.flac",
    }
    assert ids(path) == [1, 2, 3, 10, 11]


@pytest.mark.usefixtures("placed")
def test_the_last_session_folds(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 1)
    one, two = writer(path, 10), writer(path, 11)
    ended(one)
    assert Path(f"{path}-wal").exists()
    ended(two)
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 10, 11]


@pytest.mark.usefixtures("placed")
def test_a_session_that_checkpoints_announces_anew(tmp_path: Path) -> None:
    path, copy = tmp_path / "t.flac", tmp_path / "copy.flac"
    create(path, 1)
    with Table(path) as table:
        for number in (10, 11):
            table.append([{"id": number}])
            shutil.copy(path, copy)
            with pytest.raises(DamagedFileError, match="which is not here"):
                Table(copy)
            table.checkpoint()
            assert os.listdir(tmp_path) != ["t.flac-wal"]
            shutil.copy(path, copy)
            assert ids(copy)[-1] == number
            copy.unlink()
    assert os.listdir(tmp_path) == ["t.flac"]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("how", ["deleted log", "base copied over", "base replaced"])
def test_what_is_done_to_the_files_of_an_open_writer(tmp_path: Path, how: str) -> None:
    """Before the next commit is acknowledged it is an error, and nothing of ours is written over it."""
    path, other = tmp_path / "t.flac", tmp_path / "other.flac"
    create(path, 1)
    create(other, 5)
    with Table(path) as table:
        table.append([{"id": 10}])
        transaction = table.begin()
        transaction.insert(11, (11, "late"))
        if how == "deleted log":
            os.unlink(f"{path}-wal")
        elif how == "base copied over":
            with open(path, "r+b") as base:
                base.write(other.read_bytes())
                base.truncate()
        else:
            shutil.copy(other, tmp_path / "new")
            os.replace(tmp_path / "new", path)
        there = path.read_bytes()
        with pytest.raises(AudioMemError, match=r"t\.flac"):
            table.commit()
        assert path.read_bytes() == there
        with pytest.raises(AudioMemError):
            table.append([{"id": 12}])
        assert path.read_bytes() == there
    if how != "deleted log":
        os.path.lexists(f"{path}-wal") and os.unlink(f"{path}-wal")
        assert ids(path) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("placed")
def test_tags_are_edited_under_an_open_writer(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 1)
    with Table(path) as table:
        table.append([{"id": 10}])
        subprocess.run(["metaflac", "--set-tag=ARTIST=me", str(path)], check=True)
        table.append([{"id": 11}])
        subprocess.run(["metaflac", "--remove-all", "--dont-use-padding", str(path)], check=True)
        table.append([{"id": 12}])
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 10, 11, 12]


@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("closed", [True, False])
def test_the_base_is_encoded_again(tmp_path: Path, closed: bool) -> None:
    path = tmp_path / "t.flac"
    create(path, 1)

    def encode() -> None:
        made = tmp_path / "again.flac"
        subprocess.run(["flac", "-s", "-f", "-8", "-o", str(made), str(path)], check=True)
        os.replace(made, path)

    if closed:
        encode()
    with Table(path) as table:
        table.append([{"id": 10}])
        if not closed:
            encode()
        table.append([{"id": 11}])
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 10, 11]


@pytest.mark.parametrize(
    "options",
    [
        {"modulation": "spectrum"},
        {"modulation": "spectrum", "band_plan": "mission"},
        {"modulation": "spectrum", "robustness": "broadcast"},
        {"modulation": "spectrum", "robustness": "lossy"},
    ],
    ids=["flat", "mission", "broadcast", "lossy"],
)
def test_modulated_tables(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "t.flac"
    create(path, 2, **options)
    for number in (10, 11):
        with Table(path) as table:
            table.append([{"id": number}])
        assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 2, 10, 11]


def rows_at(table: Table, version: int) -> list[str]:
    with table.checkout(version) as old:
        return sorted(map(repr, old.to_arrow().to_pylist()))


@pytest.mark.parametrize("name", ["versions.flac", "columns.flac", "labels.flac", "small.flac", "large.flac"])
def test_version_1_becomes_version_2_with_the_first_write(tmp_path: Path, name: str) -> None:
    for source in FIXTURES.glob(f"{name}*"):
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / source.name)
    path = tmp_path / name
    with Table(path) as table:
        versions, tags = table.versions, table.tags
        contents = [rows_at(table, version.number) for version in versions]
        assert table.snapshot.needs_upgrade
        table.tag("upgraded")
        assert not table.snapshot.needs_upgrade
    assert os.listdir(tmp_path) == [name]
    with Table(path) as table:
        assert table.versions[:-1] == versions
        assert tags.items() <= table.tags.items()
        for version, before in zip(versions, contents, strict=True):
            assert rows_at(table, version.number) == before


@pytest.mark.parametrize("call", ["pwrite", "ftruncate", "fdatasync", "replace", "fsync"])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails(
    tmp_path: Path, placed: str, call: str, error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the announcement nothing is committed; in a fold the log stays, and the next close tries it again."""
    path = tmp_path / "t.flac"
    create(path, 1)
    before = path.read_bytes()

    def fails(*arguments: object, **options: object) -> object:
        raise OSError(error, os.strerror(error))

    table = Table(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(StorageError):
            table.append([{"id": 10}])
    assert ids(path) == [1]
    table.append([{"id": 11}])
    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        folding = {"anew": ("replace", "fsync"), "appended": ("pwrite", "fdatasync", "ftruncate", "fsync")}
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            table.close()
        assert [each.category for each in told] == [UpkeepWarning] * (call in folding[placed])
    if (placed, call) != ("appended", "fsync"):  # that one fails when the log is deleted
        assert Path(f"{path}-wal").exists() == bool(told)
    assert ids(path) == [1, 11]
    with Table(path) as table:
        table.append([{"id": 12}])
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 11, 12]
    assert before != path.read_bytes()


@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("large", [False, True])
def test_sql_that_is_rolled_back(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared, as a commit over several tables is, then taken back: as if it had never been."""
    if large:
        monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 0)
    path = tmp_path / "t.flac"
    create(path, 1)
    with Table(path) as table:
        for number in (10, 11):
            table.begin().insert(number, (number, "x" * 100))
            table.prepare()
            table.rollback()
            assert len(table) == 1
        assert ids(path) == [1]
        table.begin().insert(12, (12, "kept"))
        table.commit()
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 12]


@pytest.mark.usefixtures("placed")
def test_savepoints(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 1)
    connection = am.connect(path)
    connection.execute("BEGIN; INSERT INTO t(id) VALUES (10); SAVEPOINT s; INSERT INTO t(id) VALUES (11)")
    connection.execute("ROLLBACK TO s; INSERT INTO t(id) VALUES (12); RELEASE s; COMMIT")
    connection.close()
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 10, 12]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize(
    "statements",
    [
        ["INSERT INTO t(id) VALUES (20), (1)"],  # the second row is refused, and the statement taken back
        ["BEGIN", "INSERT INTO t(id) VALUES (20)", "ROLLBACK"],
        ["BEGIN", "INSERT INTO t(id) VALUES (20), (1)", "ROLLBACK"],
        ["BEGIN", "SAVEPOINT s", "INSERT INTO t(id) VALUES (20)", "ROLLBACK TO s", "COMMIT"],
        ["SAVEPOINT s", "INSERT INTO t(id) VALUES (20)", "ROLLBACK TO s", "RELEASE s"],
    ],
)
def test_sql_that_commits_nothing_announces_nothing(tmp_path: Path, statements: list[str]) -> None:
    """Of a connection that stays open a copy of the file alone is the whole table."""
    path = tmp_path / "t.flac"
    create(path, 1)
    before = path.read_bytes()
    connection = am.connect(path)
    for statement in statements:
        with contextlib.suppress(apsw.ConstraintError):
            connection.execute(statement)
    assert path.read_bytes() == before
    shutil.copy(path, tmp_path / "copy.flac")
    assert ids(tmp_path / "copy.flac") == [1]
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(1,)]
    connection.execute("INSERT INTO t(id) VALUES (21)")
    shutil.copy(path, tmp_path / "copy.flac")
    with pytest.raises(DamagedFileError, match="which is not here"):
        Table(tmp_path / "copy.flac")
    connection.close()
    assert ids(path) == [1, 21]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
def test_one_table_refuses_what_another_has_prepared(tmp_path: Path) -> None:
    """SQLite asks all tables (xSync) before any commits: what the first had made durable is taken back."""
    one, two = tmp_path / "one.flac", tmp_path / "two.flac"
    create(one, 1)
    create(two, 1)
    connection = am.connect(one)
    connection.execute(f"CREATE VIRTUAL TABLE two USING audiomem('{two}')")
    shutil.copy(one, tmp_path / "before.flac")
    connection.execute("BEGIN; INSERT INTO one(id) VALUES (20); INSERT INTO two(id) VALUES (20)")
    os.rename(two, tmp_path / "moved.flac")
    with pytest.raises(StorageError, match=r"two\.flac: the file was moved"):
        connection.execute("COMMIT")
    os.rename(tmp_path / "moved.flac", two)
    shutil.copy(one, tmp_path / "copy.flac")
    if not Path(f"{one}-wal").exists():
        assert ids(tmp_path / "copy.flac") == [1]
    assert ids(one) == ids(two) == [1]
    connection.execute("INSERT INTO one(id) VALUES (21)")
    connection.close()
    assert ids(one) == [1, 21]
    assert sorted(os.listdir(tmp_path)) == ["before.flac", "copy.flac", "one.flac", "two.flac"]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_a_kill_between_fold_and_deletion_of_the_log(tmp_path: Path, protection: str) -> None:
    """The log is passed over, alone and with the file on a read-only medium, and goes with the next writer."""
    path = tmp_path / "t.flac"
    create(path, 1, protection=protection)
    pid = os.fork()
    if pid == 0:
        table = Table(path)
        table.append([{"id": 10}])
        unlink = os.unlink
        os.unlink = lambda name: os._exit(9) if name.endswith("-wal") else unlink(name)  # type: ignore[assignment]
        table.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert sorted(os.listdir(tmp_path)) == ["t.flac", "t.flac-wal"]
    before = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    assert ids(path) == [1, 10]
    with Table(path) as table:
        assert table.snapshot.has_leftover_log
        assert list(problems(table)) == []
    assert (path.read_bytes(), Path(f"{path}-wal").read_bytes()) == before
    shutil.copy(path, tmp_path / "alone.flac")
    assert ids(tmp_path / "alone.flac") == [1, 10]
    with Table(path) as table:
        table.append([{"id": 11}])
    assert sorted(os.listdir(tmp_path)) == ["alone.flac", "t.flac"]
    assert ids(path) == [1, 10, 11]


@pytest.mark.damages
@pytest.mark.usefixtures("placed")
@pytest.mark.parametrize("change", ["encoded again", "no metadata", "both"])
@pytest.mark.parametrize("protection", ["none", "archive"])
def test_the_file_of_a_writer_is_encoded_again(tmp_path: Path, change: str, protection: str) -> None:
    """The session goes on, the copy still says that it is not all, and the close makes one valid file."""
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    create(path, 1, protection=protection)
    with Table(path) as table:
        table.append([{"id": 10}])
        if change != "no metadata":
            subprocess.run(["flac", "-s", "-f", "-8", str(path), "-o", str(new)], check=True)
            os.replace(new, path)
        if change != "encoded again":
            command = ["metaflac", "--remove-all", "--dont-use-padding", str(path)]
            subprocess.run(command, check=True)
        shutil.copy(path, new)
        with pytest.raises(DamagedFileError, match="which is not here"):
            Table(new)
        new.unlink()
        assert ids(path) == [1, 10]
        table.append([{"id": 11}])
        assert ids(path) == [1, 10, 11]
    assert os.listdir(tmp_path) == ["t.flac"]
    assert ids(path) == [1, 10, 11]
    subprocess.run(["flac", "-t", "-s", str(path)], check=True)
    with Table(path) as table:
        assert list(problems(table)) == []


def test_a_table_that_is_dropped_keeps_no_file_open(tmp_path: Path) -> None:
    """Whoever comes later is the last writer then, and folds the log."""
    path = tmp_path / "t.flac"
    am.write_flac([{"id": 1}], path, primary_key="id").close()
    table = am.open(path)
    table.append([{"id": 2}])
    del table
    gc.collect()
    assert not open_below(tmp_path)
    with am.open(path) as table:
        table.append([{"id": 3}])
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]
