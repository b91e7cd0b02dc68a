"""What a reader would refuse is refused by the writer, before anything is written, through every door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sealed import Sealed

import audiomem_sql
from audiomem_sql.audio.flac.comments import MAX_PICTURES, Picture, read_tags, with_cover
from audiomem_sql.audio.flac.metadata import MAX_BLOCKS
from audiomem_sql.bytes import open_source
from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, LimitError, OptionError
from audiomem_sql.storage.segment import catalog, catalog_history, catalog_packing, labels, seal
from audiomem_sql.storage.segment.catalog import fits_an_extent
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import commit_limits, log_limits
from audiomem_sql.writing.commit_limits import MAX_MESSAGE_BYTES, MAX_TAG_BYTES, shortened

MANY = 5000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    audiomem_sql.write_flac([{"a": 0}], tmp_path / "t.flac").close()
    return tmp_path / "t.flac"


def refused(path: Path, change: Callable[[Table], Any], kind: type[AudioMemError], match: str) -> None:
    """The change is refused, by a message that names the file, and leaves all files as they were."""
    table = Table(path)
    before = path.read_bytes(), table.version, len(table)
    with pytest.raises(kind, match=match) as raised:
        change(table)
    assert raised.value.file == str(path)
    assert (table.version, len(table)) == before[1:]
    table.append([{"a": 1}], message="after it")
    table.close()
    with Table(path) as table:
        assert (table.version, table.versions[-1].message) == (before[1] + 1, "after it")
        assert not list(problems(table))


def committed(table: Table, message: Any) -> None:
    table.begin().insert(None, (1,))
    try:
        table.commit(message=message)
    finally:
        table.rollback()


DOORS: dict[str, Callable[[Table, Any], Any]] = {
    "append": lambda table, message: table.append([{"a": 1}], message=message),
    "append many": lambda table, message: table.append([{"a": 1}] * MANY, message=message),
    "append a stream": lambda table, message: table.append_stream(
        pa.table({"a": [1] * MANY}).to_reader(), message=message
    ),
    "commit": committed,
    "alter": lambda table, message: table.alter("ADD COLUMN b TEXT", message=message),
}


@pytest.mark.parametrize("door", DOORS)
def test_messages(path: Path, door: str) -> None:
    for message, kind, match in (
        (b"bytes", DataTypeError, "message of a commit is a text, not bytes"),
        (5, DataTypeError, "is a text, not int"),
        ("\ud800", DataTypeError, "not valid Unicode"),
        ("x" * (MAX_MESSAGE_BYTES + 1), LimitError, "65,537 bytes, the limit is 65,536"),
        ("é" * (MAX_MESSAGE_BYTES // 2 + 1), LimitError, "65,538 bytes"),
    ):
        refused(path, lambda table, m=message: DOORS[door](table, m), kind, match)  # type: ignore[misc]
    with Table(path) as table:
        DOORS[door](table, "x" * MAX_MESSAGE_BYTES)
        assert table.versions[-1].message == "x" * MAX_MESSAGE_BYTES


def test_tags(path: Path) -> None:
    for name, kind in (("x" * (MAX_TAG_BYTES + 1), LimitError), ("\ud800", DataTypeError)):
        refused(path, lambda table, n=name: table.tag(n), kind, "name|message")  # type: ignore[misc]
    for wrong in (5, b"x", None, ""):
        refused(path, lambda table, n=wrong: table.tag(n), OptionError, "no name for a version")  # type: ignore[misc]
    with Table(path) as table:
        table.tag("x" * MAX_TAG_BYTES)
    assert list(Table(path).tags) == ["x" * MAX_TAG_BYTES]


def test_what_all_versions_say(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Table(path) as table:
        table.append([{"a": 1}], message="x" * 100)
        table.alter("ADD COLUMN c TEXT")
        table.tag("y" * 50)
        said = 100 + 50 + len("tag " + "y" * 50) + 2 * len("ADD COLUMN c TEXT")
        used = table.snapshot.history_bytes
        assert said <= used <= said + 100
    assert Table(path).snapshot.history_bytes == used
    monkeypatch.setattr(commit_limits, "MAX_HISTORY_BYTES", used + 20)
    for door in DOORS.values():
        refused_by = r"messages, tags and changes of columns of \d+ versions have more than .*--retain"
        with Table(path) as table, pytest.raises(LimitError, match=refused_by):
            door(table, "x" * 21)
    with Table(path) as table:
        with pytest.raises(LimitError):
            table.tag("z" * 9)
        table.append([{"a": 1}], message="x" * 20)
        with pytest.raises(LimitError):
            table.append([{"a": 1}], message="x")
        table.vacuum(retain=Retention(count=1))
        table.append([{"a": 1}], message="x")


def test_changes_of_columns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_limits, "MAX_MIGRATIONS", 2)
    monkeypatch.setattr(catalog_history, "MAX_MIGRATIONS", 2)
    with Table(path) as table:
        table.alter("ADD COLUMN b TEXT")
        table.alter("DROP COLUMN b")
        table.vacuum()
    refused(path, lambda table: table.alter("ADD COLUMN c TEXT"), LimitError, "changed 2 times")


def test_ids_of_columns(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_limits, "MAX_COLUMN_ID", 2)
    with Table(path) as table:
        table.alter("ADD COLUMN b TEXT")
        table.alter("DROP COLUMN b")
        table.alter("ADD COLUMN c TEXT")
        table.alter("DROP COLUMN c")
    refused(path, lambda table: table.alter("ADD COLUMN d TEXT"), LimitError, "no id for one more column")


def test_a_long_change_is_no_long_message(path: Path) -> None:
    with Table(path) as table:
        table.alter(f"ADD COLUMN {'b' * MAX_MESSAGE_BYTES} TEXT")
        message = table.versions[-1].message
        assert message is not None
        assert message.lower().startswith("add column b")
        assert len(message) < MAX_MESSAGE_BYTES < len(table.migrations[0].text)
    assert shortened("x" * MAX_MESSAGE_BYTES) == "x" * MAX_MESSAGE_BYTES
    for long in ("x", "é", "😀", "\ud800"):
        assert len(shortened(long * (MAX_MESSAGE_BYTES + 1)).encode(errors="replace")) <= MAX_MESSAGE_BYTES


# -- catalogs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (catalog_packing, "MAX_ELEMENTS", 60),
        (catalog_packing, "MAX_LENGTH", 5),
        (catalog_packing, "MAX_CATALOG_BYTES", 900),
        (labels, "MAX_SIGNPOST_BYTES", 200),
        (seal, "MAX_EARLIER", -1),
    ],
)
def test_catalogs_that_no_reader_takes(
    path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, value: int
) -> None:
    rows = [{"a": number} for number in range(MANY)]
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        columns = [f"column_{number} INTEGER" for number in range(8)]
        patch.setattr(module, name, value)
        with pytest.raises(LimitError):
            Table.create(path.with_name("u.flac"), columns)
        assert not path.with_name("u.flac").exists()
    assert path.read_bytes() == before
    with Table(path) as table:
        table.append(rows)
        assert len(table) == MANY + 1


def test_lists_that_no_reader_takes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 20 * MANY
    with Table(path) as table:
        table.append(pa.table({"a": np.arange(rows)}))
    monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 1 << 10)
    monkeypatch.setattr(catalog, "LARGE_EXTENT_BYTES", 1000)
    monkeypatch.setattr(catalog, "MAX_EXTENT_RATIO", 10)
    delete = "DELETE FROM t WHERE a % 7 IN (1, 3, 6)"  # steps that repeat, of which compression makes little
    before = path.read_bytes()
    with pytest.raises(LimitError, match=r"which compression makes \d+, .*Divide it"):
        audiomem_sql.connect(str(path)).execute(delete)
    assert path.read_bytes() == before
    monkeypatch.setattr(catalog, "MAX_EXTENT_RATIO", 2000)
    audiomem_sql.connect(str(path)).execute(delete)
    assert len(Table(path)) == rows + 1 - sum(number % 7 in (1, 3, 6) for number in range(rows))


def test_which_lists_fit() -> None:
    most, large, ratio = catalog.MAX_EXTENT_BYTES, catalog.LARGE_EXTENT_BYTES, catalog.MAX_EXTENT_RATIO
    assert fits_an_extent(1, large)
    assert not fits_an_extent(1, large + 1)
    assert fits_an_extent(large // ratio + 1, large + 1)
    assert not fits_an_extent(large // ratio, large + 1)
    assert fits_an_extent(most, most)
    assert not fits_an_extent(most, most + 1)
    assert not fits_an_extent(10, 11, 10)


@pytest.mark.damages
def test_a_list_of_zeros_is_not_read(path: Path) -> None:
    for size, fits in ((1 << 20, True), (catalog.LARGE_EXTENT_BYTES + 1, False)):
        sealed = Sealed.read(path)
        sealed.catalog["sources"] = sealed.store(bytes(size))
        sealed.write(path.with_name("u.flac"))
        with pytest.raises(DamagedFileError) as raised:
            Table(path.with_name("u.flac")).sources  # noqa: B018
        assert ("larger than any that is written" in str(raised.value)) != fits


# -- pictures ------------------------------------------------------------------------------------------------


def test_pictures_are_kept_as_far_as_a_reader_takes_them(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    start = head.index(b"\xff\xf8")
    first = 4 + 4 + int.from_bytes(head[5:8], "big")
    picture = Picture(b"x", "image/png", 1, 1).to_bytes()
    block = bytes([6]) + len(picture).to_bytes(3, "big") + picture
    room = MAX_BLOCKS - sum(1 for _ in _blocks(head[:start]))
    path.write_bytes(head[:first] + block * room + path.read_bytes()[first:])
    with Table(path) as table:
        assert len(table) == 1
        table.vacuum()
        table.append([{"a": 1}])
    assert len(Table(path)) == 2
    assert len(read_tags(path).pictures) == MAX_PICTURES


def _blocks(head: bytes) -> Iterator[int]:
    at = 4
    while True:
        yield at
        last, at = head[at] & 128, at + 4 + int.from_bytes(head[at + 1 : at + 4], "big")
        if last:
            return


def test_one_picture_too_many(path: Path) -> None:
    head = path.read_bytes()
    first = 4 + 4 + int.from_bytes(head[5:8], "big")
    room = MAX_BLOCKS - sum(1 for _ in _blocks(head))
    path.write_bytes(head[:first] + b"\x02\0\0\x04AAAA" * room + head[first:])
    with closing(open_source(str(path))) as file:
        assert len(with_cover(file, None)[0]) > 8 * room
        with pytest.raises(LimitError, match="4,097 metadata blocks, the limit is 4,096"):
            with_cover(file, Picture(b"x", "image/png", 1, 1))
