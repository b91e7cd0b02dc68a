"""Blocks of texts that a scan decodes as one array: the same rows, kept within the cache, damage told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.blocks.compression import PARTS_BYTES, Compressor, Decompressor
from audiomem_sql.blocks.encoding import Encoding, decode_strings, encode
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import Segment
from audiomem_sql.table.table import Table

TEXT, BLOB = ColumnType(Kind.TEXT), ColumnType(Kind.BLOB)
PARTS = [["", "é", "b" * 300], ["c"], ["日本", "d" * 70_000, ""], [""]]


def blocks_of(parts: list[list[Any]], column_type: ColumnType) -> list[tuple[bytes, int]]:
    arrow = pa.string() if column_type is TEXT else pa.binary()
    made = [encode(pa.array(part, arrow), column_type) for part in parts]
    assert all(encoding == Encoding.STRINGS for encoding, _ in made)
    return [(data, len(part)) for (_, data), part in zip(made, parts, strict=True)]


def joined(blocks: list[tuple[bytes, int]], column_type: ColumnType = TEXT) -> list[Any]:
    rows, most = sum(count for _, count in blocks), sum(len(data) for data, _ in blocks)
    return list(decode_strings(blocks, rows, most, column_type).to_pylist())


def test_blocks_of_every_width_are_joined() -> None:
    """Of lengths that take one, two and four bytes, and of nothing."""
    assert joined(blocks_of(PARTS, TEXT)) == [text for part in PARTS for text in part]
    octets = [[text.encode() for text in part] for part in PARTS]
    assert joined(blocks_of(octets, BLOB), BLOB) == [each for part in octets for each in part]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"\3" + data[1:], "lengths of 3 bytes"),
        (lambda data: b"", "lengths of 0 bytes"),
        (lambda data: data[:2], "wrong length"),
        (lambda data: data[:-1], "wrong length"),
        (lambda data: data + b"x", "wrong length"),
        (lambda data: data[:-1] + b"\xff", "not valid UTF-8"),
    ],
)
def test_what_contradicts_the_catalog(change: Callable[[bytes], bytes], message: str) -> None:
    blocks = blocks_of([["one", "two"], ["three", "four"], ["five"]], TEXT)
    for place, (data, rows) in enumerate(blocks):
        changed = [*blocks[:place], (change(data), rows), *blocks[place + 1 :]]
        with pytest.raises(DamagedFileError, match=message):
            joined(changed)


def test_no_letter_across_two_blocks() -> None:
    """Halves of a letter are no text, although the bytes of both blocks together are."""
    half = blocks_of([[b"a\xc3"], [b"\xa9b"]], BLOB)
    assert joined(half, BLOB) == [b"a\xc3", b"\xa9b"]
    with pytest.raises(DamagedFileError, match="not valid UTF-8"):
        joined(half)


def test_frames_are_decompressed_some_at_a_time() -> None:
    rng = np.random.default_rng(1)
    blocks = [rng.bytes(size) for size in (1, PARTS_BYTES // 2, PARTS_BYTES // 2 - 1, PARTS_BYTES + 1, 7, 9)]
    for dictionary in (None, blocks[1]):
        compressor = Compressor(3, dictionary, PARTS_BYTES)
        frames, sizes = [compressor.compress(each) for each in blocks], [len(each) for each in blocks]
        assert [bytes(each) for each in Decompressor(dictionary).parts(frames, sizes)] == blocks
        for place in range(len(frames)):
            for frame in (frames[place][:-1], b"", frames[(place + 1) % len(frames)]):
                changed = [*frames[:place], frame, *frames[place + 1 :]]
                with pytest.raises(DamagedFileError, match="a compressed block"):
                    list(Decompressor(dictionary).parts(changed, sizes))


ROWS = 4000


def body(number: int) -> str:
    return f"{number} " + "".join(chr(97 + (number * k) % 26) for k in range(number % 400))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("joined") / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT"], {"protection": "none"}) as table:
        table.append([{"id": n, "body": body(n)} for n in range(1, ROWS + 1)])
        table.vacuum(layout="remote", level=3)
    return path


def test_any_stretch_of_rows(path: Path) -> None:
    """Of blocks that are kept together, by themselves, both or neither; joined or not, they are the same."""
    rng = np.random.default_rng(2)
    truth = [body(number) for number in range(1, ROWS + 1)]
    for capacity in (0, 400_000, 64 << 20):
        cache = BlockCache(capacity)
        with Table(path, cache=cache) as table:
            segment = table.snapshot.segments[0]
            directory = segment.directory(1)
            assert directory is not None
            assert directory.count > 20
            for _ in range(40):
                start, stop = np.sort(rng.integers(0, ROWS + 1, 2)).tolist()
                assert segment.slice(1, start, stop).to_pylist() == truth[start:stop]
                rows = np.unique(rng.integers(0, ROWS, 5))
                assert segment.take(1, rows).to_pylist() == [truth[row] for row in rows]
                number = int(rng.integers(directory.count))
                low, high = directory.starts[number : number + 2].tolist()
                assert segment.block(1, number).to_pylist() == truth[low:high]
                assert cache.bytes <= capacity


def test_what_was_joined_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For scans, for rows and for blocks: nothing is read again, and other tables have room."""
    cache = BlockCache(64 << 20)
    with Table(path, cache=cache) as table:
        segment = table.snapshot.segments[0]
        assert isinstance(segment, Segment)
        whole = segment.slice(1, 0, ROWS).to_pylist()
        kept = cache.bytes
        assert kept >= sum(map(len, whole))

        def refused(*_: object) -> bytes:
            raise AssertionError("something was read again")

        monkeypatch.setattr(type(segment.file), "read", refused)
        assert segment.slice(1, 0, ROWS).to_pylist() == whole
        assert segment.slice(1, 77, 3333).to_pylist() == whole[77:3333]
        assert segment.take(1, np.array([5, 2500])).to_pylist() == [whole[5], whole[2500]]
        assert segment.block(1, 3).to_pylist()[0] in whole
        assert cache.bytes == kept
        cache.clear()
        with pytest.raises(AssertionError, match="read again"):
            segment.slice(1, 0, ROWS)


@pytest.mark.damages
def test_a_damaged_block_among_others(path: Path, tmp_path: Path) -> None:
    """It is told with its place, and the rows before it are there."""
    data = bytearray(path.read_bytes())
    with Table(path) as table:
        segment = table.snapshot.segments[0]
        assert isinstance(segment, Segment)
        directory = segment.directory(1)
        assert directory is not None
        number = directory.count // 2
        cells, size = segment.file.layout, segment.file.layout.cell_payload
        cell = segment.data_cell + int(directory.offsets[number] + directory.stored[number] // 2) // size
        page, within = divmod(cell, cells.cells)
        start = segment.file.source.span(page, 1, cells.header_bytes + within * cells.level.cell_bytes, 10**4)
        data[start[0] + 50] ^= 1
        before = int(directory.starts[number - 1])
    damaged = tmp_path / "t.flac"
    damaged.write_bytes(data)
    with Table(damaged, cache=BlockCache(64 << 20)) as table:
        segment = table.snapshot.segments[0]
        with pytest.raises(DamagedFileError, match=rf"page {page}, cell {within}"):
            segment.slice(1, 0, ROWS)
        assert segment.slice(1, 0, before).to_pylist() == [body(n) for n in range(1, before + 1)]
