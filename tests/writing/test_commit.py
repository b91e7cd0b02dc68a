"""Commits are whole or not there: two writers, killed writers, a full disk."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pytest
from samples import SCHEMA, arrow, content, create, rows, same, verify

from audiomem_sql.errors import BusyError, DamagedFileError, StorageError
from audiomem_sql.table.table import Table

TESTS = str(Path(__file__).parents[1])
V1 = Path(TESTS) / "fixtures" / "v1"


def copy_of_v1(folder: Path) -> Path:
    """A table of format version 1, with a delta; its log is left out."""
    shutil.copy(V1 / "versions.flac", folder)
    shutil.copytree(V1 / "versions.flac.d", folder / "versions.flac.d")
    return folder / "versions.flac"


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process that can import what this one can."""
    head = f"import sys; sys.path.insert(0, {TESTS!r})\nfrom audiomem_sql.table.table import Table\n"
    code = f"{head}from samples import *\n{code}"
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


HOLD = """
table = Table(sys.argv[1])
table.begin()
print("locked", flush=True)
sys.stdin.read()
"""


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 5) as table:
        table.busy_timeout = 0.05
        holder = subprocess.Popen(
            [sys.executable, "-c", f"import sys\nfrom audiomem_sql.table import Table{HOLD}", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(BusyError, match=r"t\.flac: another process is writing"):
            table.append(arrow(rows(5, 0, 6)))
        with pytest.raises(BusyError):
            table.begin()
        assert same(content(table), rows(5))
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
        holder.stdin.close()
        table.append(arrow(rows(5, 0, 6)))
        assert len(table) == 10


def test_two_table_objects_of_one_process(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 5) as one, Table(tmp_path / "t.flac", busy_timeout=0.02) as other:
        one.begin()
        with pytest.raises(BusyError):
            other.append(arrow(rows(5, 0, 6)))
        one.rollback()
        other.append(arrow(rows(5, 0, 6)))
        one.begin()
        assert len(one) == 10
        one.rollback()


def test_writers_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    Table.create(path, ["id INTEGER PRIMARY KEY", "who INTEGER"], {"profile": "embedded"}).close()
    code = """
table = Table(sys.argv[1], busy_timeout=60)
for _ in range(12):
    table.append([{"who": int(sys.argv[2])}])
"""
    writers = [start(code, path, number) for number in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()
    with Table(path) as table:
        found = table.to_arrow()
        assert found.column("id").to_pylist() == list(range(1, 37))
        assert sorted(found.column("who").to_pylist()) == [0] * 12 + [1] * 12 + [2] * 12
        assert table.version == 37


APPEND = """
table = Table(sys.argv[1])
print("ready", flush=True)
for first in range(1001, 3000, 20):
    table.append(arrow(rows(20, 7, first)))
"""
CREATE = """
print("ready", flush=True)
for number in range(100):
    with create(Path(sys.argv[1]).with_name(f"new{number}.flac"), 30):
        pass
"""


@pytest.mark.parametrize("seed", range(10))
def test_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "t.flac"
    with create(path, 0 if seed % 2 else 20):
        pass
    before = rows(0 if seed % 2 else 20)
    writer = start(APPEND, path)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).random() * 0.4)
    writer.kill()
    writer.wait()
    writer.stdout.close()
    with Table(path) as table:
        commits = table.version - (1 if seed % 2 else 2)
        expected = [row for n in range(commits) for row in rows(20, 7, 1001 + 20 * n)]
        assert same(content(table), before + expected)
        table.append(arrow(rows(20, 7, 9001)))
        assert len(table) == len(before) + len(expected) + 20
    left = [name for _, _, names in os.walk(tmp_path) for name in names if ".tmp" in name]
    assert left == []


def test_killed_while_creating(tmp_path: Path) -> None:
    writer = start(CREATE, tmp_path / "t.flac")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(0.3)
    writer.kill()
    writer.wait()
    writer.stdout.close()
    for path in tmp_path.glob("*.flac"):
        with Table(path) as table:
            assert len(table) in (0, 30)


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 5) as table:
        table.checkpoint()
        table.append(arrow(rows(5, 0, 6)))
    (tmp_path / "t.flac.d").mkdir()
    left = [
        ".t.flac.abcdefgh.tmp",
        ".t.flac.a_c0efgh.tmp.old",
        ".t.flac-wal.abcdefgh.tmp",
        "t.flac.d/.00000004.flac.abcdefgh.tmp",
    ]
    kept = [
        ".u.flac.abcdefgh.tmp",
        ".t.flac.tmp",
        "t.flac.abcdefgh.tmp",
        ".t.flac.abcdefgh.tmp.txt",
        "t.flac.d/notes.tmp",
    ]
    for name in left + kept:
        (tmp_path / name).write_bytes(b"x")
    with Table(path) as table:
        assert all((tmp_path / name).exists() for name in left)
        table.append(arrow(rows(5, 0, 11)))
    assert not any((tmp_path / name).exists() for name in left)
    assert all((tmp_path / name).exists() for name in kept)


def test_deltas_that_were_replaced_are_removed_by_the_next_writer(tmp_path: Path) -> None:
    """Of format version 1: the first write makes one file. A crash came before the deltas were deleted."""
    path, folder = copy_of_v1(tmp_path), tmp_path / "versions.flac.d"
    saved = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert saved
    with Table(path) as held:
        before = content(held)
        with Table(path) as table:
            table.tag("upgraded")
        assert not folder.exists()
        folder.mkdir()
        for name, data in saved.items():
            (folder / name).write_bytes(data)
        with Table(path) as reader:
            assert same(content(reader), before)
            reader.refresh()
        assert {file.name for file in folder.iterdir()} == set(saved)
        with Table(path) as writer:
            writer.tag("again")
            assert not folder.exists()
        assert same(content(held), before)


@pytest.mark.damages
def test_deltas_that_are_not_contained_stay(tmp_path: Path) -> None:
    """Deltas of another table, or unreadable; all of them if what replaced them is cut off."""
    path, folder = copy_of_v1(tmp_path), tmp_path / "versions.flac.d"
    own = (folder / "00000005.flac").read_bytes()
    with Table(path) as table:
        table.vacuum(level=1)
    assert not folder.exists()
    folder.mkdir()
    left = folder / "00000005.flac"
    for data in (
        (V1 / "small.flac.d" / "00000003.flac").read_bytes(),
        (V1 / "columns.flac.d" / "00000007.flac").read_bytes(),
        own[:1000],
        b"music",
    ):
        left.write_bytes(data)
        with Table(path) as table:
            table.begin()
            table.rollback()
        assert left.read_bytes() == data
    left.write_bytes(own)
    whole = path.read_bytes()
    path.write_bytes(whole[: -len(whole) // 3])
    with pytest.raises(DamagedFileError), Table(path) as table:
        table.begin()
    assert left.exists()
    path.write_bytes(whole)
    with Table(path) as table:
        table.begin()
        table.rollback()
    assert not folder.exists()


FULL = """
import resource
from audiomem_sql.errors import StorageError
path, limit = sys.argv[1], int(sys.argv[2])
table = Table(path)
sys.dont_write_bytecode = True  # it would be cut short
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    table.append(arrow(rows(int(sys.argv[3]), 3, 1001)))
except StorageError as error:
    print(error)
assert len(table) == int(sys.argv[4]), len(table)
"""


@pytest.mark.parametrize("count", [500, 5000], ids=["log", "delta"])
@pytest.mark.parametrize("before", [0, 10])
@pytest.mark.parametrize("limit", [0, 1, 100, 4096, 10_000, 30_000])
def test_no_room(tmp_path: Path, before: int, limit: int, count: int) -> None:
    """The system refuses to let files grow; the table stays as it was."""
    path = tmp_path / "t.flac"
    create(path, before).close()
    data = path.read_bytes()
    writer = start(FULL, path, limit, count, before)
    out, _ = writer.communicate()
    assert writer.returncode == 0
    assert "File too large" in out
    assert str(path) in out
    assert path.read_bytes() == data
    names = [name for _, _, names in os.walk(tmp_path) for name in names]
    assert names == ["t.flac"]
    with Table(path) as table:
        assert len(table) == before


def test_creating_never_replaces(tmp_path: Path) -> None:
    """Many processes create the same table: one of them succeeds."""
    code = """
from audiomem_sql.errors import StorageError
try:
    create(Path(sys.argv[1]), 0).close()
    print("created")
except StorageError as error:
    print("refused")
"""
    path = tmp_path / "t.flac"
    found = []
    for writer in [start(code, path) for _ in range(4)]:
        out, _ = writer.communicate()
        found.append(out.strip())
    assert sorted(found) == ["created", *["refused"] * 3]
    assert os.listdir(tmp_path) == ["t.flac"]


@pytest.mark.damages
def test_a_file_cut_short_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 200).close()
    data = path.read_bytes()
    path.write_bytes(data[:-9000])
    with (
        Table(path) as table,
        pytest.raises(DamagedFileError, match=r"t\.flac: pages are missing at the end"),
    ):
        table.append(arrow(rows(1, 0, 1000)))
    assert len(os.listdir(tmp_path)) == 1


def test_a_version_that_was_written_already(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path, 5) as table:
        table.checkpoint()
        (tmp_path / "t.flac.d").mkdir()
        blocked = tmp_path / "t.flac.d" / "00000003.flac"
        blocked.mkdir()
        with pytest.raises((StorageError, DamagedFileError), match=r"00000003\.flac"):
            table.append(arrow(rows(1, 0, 10)))
        blocked.rmdir()
        with Table(path) as other:
            assert other.append(arrow(rows(1, 0, 10))) == 3


def test_messages_and_times(tmp_path: Path) -> None:
    before = time.time_ns() // 1000
    with Table.create(tmp_path / "t.flac", SCHEMA) as table:
        table.append(arrow(rows(1)), message="first row")
        table.append(pa.table({"n": [1]}), message="é" * 1000)
        assert [version.message for version in table.versions] == [None, "first row", "é" * 1000]
        times = [before, *(version.time for version in table.versions), time.time_ns() // 1000]
        assert times == sorted(times)


READ_ONLY = """
import os
from audiomem_sql.errors import StorageError
with Table(sys.argv[1]) as table:
    table.append(arrow(rows(1, 0, 100)))  # everything that is imported late is imported by now
    if os.getuid() == 0:
        os.setuid(65534)
    assert table.refresh() is False
    assert len(content(table)) == 6
    try:
        table.append(arrow(rows(1, 0, 200)))
    except StorageError as error:
        print(error)
try:
    create(Path(sys.argv[1]).with_name("u.flac"), 0)
except StorageError as error:
    print(error)
"""


def test_a_folder_that_cannot_be_written() -> None:
    """In a process of another user, if this one is root's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        create(folder / "t.flac", 5).close()
        folder.chmod(0o755)
        writer = start(READ_ONLY, folder / "t.flac")
        if os.getuid() != 0:
            folder.chmod(0o555)
        out, _ = writer.communicate()
        folder.chmod(0o755)
        assert writer.returncode == 0
        first, second = out.splitlines()
        assert first.startswith(f"{folder}: cannot be written. Check the permissions")
        assert second.startswith(f"{folder / 'u.flac'}: Permission denied. Check the permissions")
        verify(folder / "t.flac")


@pytest.mark.parametrize("path", ["/proc/t.flac", "/proc/self/fd/t.flac", "/dev/null/t.flac"])
def test_places_where_no_file_can_be(path: str) -> None:
    with pytest.raises(StorageError, match=re.escape(os.path.dirname(os.path.realpath(path)))):
        create(Path(path), 0)


@pytest.mark.parametrize("count", [1, 99, 5000])
def test_rowids_further_apart_than_64_bits(tmp_path: Path, count: int) -> None:
    """In one commit, or one after the other, through the log or not: no difference of them may be taken."""
    far, path = 5 * 10**18, tmp_path / "t.flac"
    keys = [far, *range(-far, -far + count)]
    for divided in (False, True):
        with Table.create(path, ["id INTEGER PRIMARY KEY", "x INTEGER"]) as table:
            for part in (keys[:1], keys[1:]) if divided else (keys,):
                table.append(pa.table({"id": part, "x": part}))
            assert table.checkpoint() or count == 5000
        with Table(path) as table:
            assert table.snapshot.log is None
            assert table.to_arrow().sort_by("id").to_pydict() == {"id": sorted(keys), "x": sorted(keys)}
        path.unlink()
