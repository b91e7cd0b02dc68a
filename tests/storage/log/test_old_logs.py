"""Logs that tables of format version 1 left behind: formats 1 and 2. They are read, and never written to."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.storage.log.reader import commits_behind, flawed_versions, has_more, read_log
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.log.writer import LogWriter
from storage.log.test_log import plain, records_of

FOLDER = Path(__file__).parents[2] / "fixtures" / "v1" / "logs"
TABLE_ID = b"table of fixture"
TIME = 1_700_000_000_000_000


def expected(version: int) -> LogRecord:
    """What each record of the fixtures says."""
    if version == 8:
        return plain(LogRecord(8, TIME + 8, [(8, (8, "x" * 2000, None, None, None))]))
    return LogRecord(
        version,
        TIME + version,
        [(version, (version, f"word {version}", bytes(range(version)), None, version / 8))],
        [version - 1] if version % 3 == 0 else [],
        "été" if version == 4 else None,
        b"\x80" if version == 5 else None,
        {"tag": version} if version == 6 else {},
    )


@pytest.fixture(params=[("plain-wal", 1, 1), ("standard-wal", 2, 3)], ids=lambda each: str(each[0]))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int, int]:
    """A log as the writer of version 1 made it, with the records 3, 4, [5, 6, 7] and 8."""
    name, version, copies = request.param
    path = tmp_path / "log"
    path.write_bytes(gzip.decompress((FOLDER / f"{name}.gz").read_bytes()))
    return path, version, copies


def test_it_is_read(old: tuple[Path, int, int]) -> None:
    path, version, copies = old
    found = read_log(str(path), TABLE_ID)
    assert found is not None
    assert records_of(found) == [expected(number) for number in range(3, 9)]
    assert (found.format, found.copies, found.after, found.version) == (version, copies, 2, 8)
    assert (found.session, found.predecessor, found.folded, found.torn) == (None, None, None, False)
    assert not has_more(str(path), found)
    assert flawed_versions(str(path), found) == []
    assert read_log(str(path), TABLE_ID, found) == found
    with pytest.raises(DamagedFileError, match="another table"):
        read_log(str(path), bytes(16))


def test_it_is_not_written_to(old: tuple[Path, int, int]) -> None:
    path, version, copies = old
    data = path.read_bytes()
    found = read_log(str(path), TABLE_ID)
    assert found is not None
    writer = LogWriter(str(path), TABLE_ID, copies)
    for write in (lambda: writer.append(found, expected(9)), lambda: writer.cut(found.emptied())):
        with pytest.raises(StorageError, match=f"in format version {version}, which is only read"):
            write()
    assert path.read_bytes() == data


def test_its_end_may_be_torn_or_gone(old: tuple[Path, int, int]) -> None:
    """As ever: it has no watermark that could tell."""
    path, _, copies = old
    data, found = path.read_bytes(), read_log(str(path), TABLE_ID)
    assert found is not None
    offset, header = found.last
    strip = 262144
    for behind in (b"", b"\7" * len(header)):
        image = bytearray(data)
        for copy in range(copies):
            start = copy * strip
            stop = start + (strip if copies > 1 else len(data))
            image[start + offset : stop] = behind.ljust(stop - start - offset, b"\0")
        path.write_bytes(image)
        again = read_log(str(path), TABLE_ID)
        assert again is not None
        assert (again.version, again.torn) == (7, bool(behind))
        assert not commits_behind(str(path), again)
    image = bytearray(data)
    for copy in range(copies):
        image[copy * strip + found.begin + 30] ^= 0xFF
        image[copy * strip + found.begin + 31] ^= 0xFF
    path.write_bytes(image)
    again = read_log(str(path), TABLE_ID)
    assert again is not None
    if copies == 1:
        assert (again.version, again.torn, commits_behind(str(path), again)) == (2, True, True)
    else:
        assert again.version == 8
        assert flawed_versions(str(path), again) == [(3, 3)]
