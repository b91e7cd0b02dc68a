"""At rest a table is one file; beside its log it says so, and what does not go together is told."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql import Table
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError, UpkeepWarning
from audiomem_sql.upkeep import compaction
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
