"""The log of a table: torn ends, damage in the middle, later versions, and no room for a record."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from samples import arrow, content, create, rows, same

from audiomem_sql.errors import (
    DamagedFileError,
    DamageWarning,
)
from audiomem_sql.storage.log.reader import (
    RECORD_HEADER,
    read_log,
)
from audiomem_sql.table.table import Table
from storage.log.test_log import record


def torn(log: Path, end: int, bytes_in: int = 30) -> None:
    """Put the beginning of a record at ``end``."""
    data = bytearray(log.read_bytes())
    whole = record(99).pack() + bytes(100)
    data[end : end + bytes_in] = (RECORD_HEADER.pack(len(whole), 7, bytes(16)) + whole)[:bytes_in]
    log.write_bytes(data)


@pytest.mark.damages
def test_a_torn_end_is_told_once(tmp_path: Path) -> None:
    """With file, byte, version and what to do, as a warning at the line that opened the table.

    Not for zeros.
    """
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    with create(path, 5) as table:
        table.append(arrow(rows(1, 0, 6)))
        assert table.snapshot.log is not None
        end = table.snapshot.log.end
        Table(path).close()
        torn(log, end)
        with pytest.warns(DamageWarning) as told:
            Table(path).close()
        assert len(told) == 1
        assert told[0].filename == __file__
        text = str(told[0].message)
        assert text.startswith(f"{log}: byte {end}: what stands behind version 3 is no whole commit. ")
        assert "the next commit takes its place" in text
        assert "audiomem verify" in text
        Table(path).close()
        with table.checkout(version=2):
            pass


@pytest.mark.damages
def test_damage_in_the_middle_is_told(tmp_path: Path) -> None:
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    table = create(path, 5)
    assert table.snapshot.log is not None
    at_record = table.snapshot.log.end
    for first in (6, 7, 8):
        table.append(arrow(rows(1, 0, first)))
    data = bytearray(log.read_bytes())
    end = read_log(str(log), table.snapshot.segments[0].catalog.table_id).records  # type: ignore[union-attr]
    assert [each.version for each in end] == [2, 3, 4, 5]
    at = bytes(data).index(b"\xa7version\x03")
    data[at + 20] ^= 1
    log.write_bytes(data)
    with pytest.raises(DamagedFileError, match="cut short or is damaged at version 3") as told:
        Table(path)
    assert (told.value.file, told.value.place) == (str(log), f"byte {at_record}")
    assert "Restore the log from a copy, or read up to version 2 with salvage=True" in str(told.value)
    with pytest.warns(DamageWarning, match="at version 3"), Table(path, salvage=True) as other:
        assert other.version == 2
    assert log.read_bytes() == data
    table.close()


@pytest.mark.damages
def test_a_commit_that_is_being_written_is_not_told(tmp_path: Path) -> None:
    """A reader that comes in the middle of a write sees the same bytes; somebody has the lock then."""
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    with create(path, 5) as table:
        table.append(arrow(rows(1, 0, 6)))
        assert table.snapshot.log is not None
        end, data = table.snapshot.log.end, log.read_bytes()
        table.begin()
        torn(log, end)
        for _ in range(2):
            with Table(path) as reader:
                assert reader.snapshot.log is not None
                assert reader.snapshot.log.torn
        log.write_bytes(data)
        table.rollback()
        Table(path).close()
        table.begin()
        torn(log, end)
        table.rollback()
        with pytest.warns(DamageWarning, match="no whole commit"):
            Table(path).close()
        table.refresh()
        table.append(arrow(rows(1, 0, 7)))
        assert same(content(table), [*rows(5), *rows(1, 0, 6), *rows(1, 0, 7)])


RACE = """
import sys
from audiomem_sql.table.table import Table
table = Table(sys.argv[1])
table.append([{"raw": bytes(100_000)}])
print("ready", flush=True)
while True:
    table.append([{"raw": bytes(100_000)}])
"""


def test_readers_that_race_with_a_writer_hear_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 5).close()
    with subprocess.Popen([sys.executable, "-c", RACE, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            seen = set()
            for _ in range(150):
                with Table(path) as table:
                    seen.add(table.version)
        finally:
            writer.kill()
    assert len(seen) > 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)  # it was killed wherever it was
        with Table(path) as table:
            table.append([{"raw": b""}])


@pytest.mark.damages
def test_a_log_of_later_versions(tmp_path: Path) -> None:
    """An older file stands beside the log of a newer one."""
    path = tmp_path / "t.flac"
    with create(path, 5) as table:
        table.checkpoint()
        older = path.read_bytes()
        table.append(arrow(rows(1, 0, 6)))
        table.checkpoint()
        table.append(arrow(rows(1, 0, 7)))
        path.write_bytes(older)
        with pytest.raises(
            DamagedFileError, match=r"the log continues version 3 of segment .* ends with version 2"
        ):
            Table(path)


FULL = """
import resource, signal, sys
from pathlib import Path
from samples import *
from audiomem_sql.errors import StorageError
from audiomem_sql.table.table import Table
path, limit, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
table = Table(path)
if limit % 2:
    table.append(arrow(rows(1, 0, 100)))
before = len(table)
data = {file: file.read_bytes() for file in Path(path).parent.iterdir()}
sys.dont_write_bytecode = True  # it would be cut short
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    table.append(arrow(rows(count, 0, 200)))
except StorageError as error:
    print(error)
left = {file: file.read_bytes() for file in Path(path).parent.iterdir()}
assert left.keys() == data.keys()
assert all(left[file].rstrip(bytes(1)) == data[file].rstrip(bytes(1)) for file in data)
assert len(table) == before
with Table(path) as other:
    assert len(other) == before
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
table.append(arrow(rows(count, 0, 200)))
assert len(table) == before + count
table.close()
"""


@pytest.mark.parametrize(("limit", "count"), [(0, 3), (20, 3), (1000, 3), (60_000, 3), (101, 3), (301, 30)])
def test_no_room_for_a_record(tmp_path: Path, limit: int, count: int) -> None:
    """The log cannot be made, or (odd limits) cannot take the record; the next commit can."""
    path = tmp_path / "t.flac"
    create(path, 5).close()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(path), str(limit), str(count)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "t.flac-wal: File too large. Raise the limit" in done.stdout
    with Table(path) as table:
        assert len(table) == 5 + limit % 2 + count


NO_ROOM_AHEAD = """
import os, resource, signal, sys
from audiomem_sql.table.table import Table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # it would be cut short
with Table(sys.argv[1]) as table:
    table.append([{"a": "small"}])
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    print(table.append([{"a": "x" * 600_000}]), os.stat(sys.argv[1] + "-wal").st_size <= 1 << 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


def test_a_large_record_that_just_fits(tmp_path: Path) -> None:
    """The room for those that follow it is not needed yet."""
    path = tmp_path / "t.flac"
    Table.create(path, ["a TEXT"]).close()
    command = [sys.executable, "-c", NO_ROOM_AHEAD, str(path)]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "3 True\n"
    with Table(path) as table:
        assert table.to_arrow().to_pydict() == {"a": ["small", "x" * 600_000]}
