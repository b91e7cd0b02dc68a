"""How a column is cut into blocks, what its zone maps say, and its compression."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.blocks.column_writer import (
    BLOCK_ROWS,
    MIN_DICTIONARY_SOURCE,
    ColumnWriter,
    choose_dictionary,
)
from audiomem_sql.blocks.compression import Compressor, Decompressor
from audiomem_sql.blocks.directory import MAX_BLOCK_BYTES, MAX_BLOCK_ROWS, BlockDirectory
from audiomem_sql.blocks.encoding import decode
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import DamagedFileError

INTEGER, TEXT, VECTOR = ColumnType(Kind.INTEGER), ColumnType(Kind.TEXT), ColumnType(Kind.FLOAT, 100)
BLOCK_BYTES = 4096


def write(
    column_type: ColumnType, arrays: list[pa.Array], block_bytes: int = BLOCK_BYTES
) -> tuple[list[pa.Array], BlockDirectory]:
    """The blocks that the arrays become, decoded again, and their directory."""
    writer = ColumnWriter("c", column_type, level=3, block_bytes=block_bytes, keyed=False)
    blocks = [block for array in arrays for block in writer.add(array)] + writer.flush()
    offset, decoded = 0, []
    for block in blocks:
        encoded = writer.encode(block)
        raw = Decompressor().decompress(encoded.stored, encoded.raw) if encoded.raw else b""
        decoded.append(decode(encoded.encoding, raw, encoded.rows, encoded.zone[0], column_type))
        writer.place(offset, encoded)
        offset += len(encoded.stored)
    directory = writer.directory()
    packed = directory.to_catalog()
    back = BlockDirectory.from_catalog(packed, column_type, sum(map(len, arrays)), offset)
    assert back.to_catalog() == packed
    return decoded, back


@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.text(max_size=3000)), min_size=1, max_size=12),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=60, deadline=None)
def test_texts_are_cut_by_bytes(batches: list[list[str | None]]) -> None:
    values = [value for batch in batches for value in batch]
    blocks, directory = write(TEXT, [pa.array(batch, pa.string()) for batch in batches])
    assert [value for block in blocks for value in block.to_pylist()] == values
    assert directory.starts.tolist() == np.cumsum([0, *map(len, blocks)]).tolist()
    for number, block in enumerate(blocks):
        sizes = [len((value or "").encode()) for value in block.to_pylist()]
        assert len(sizes) == 1 or sum(sizes) <= BLOCK_BYTES
        if number + 1 < len(blocks):  # the next row would not have fitted
            assert sum(sizes) + len((blocks[number + 1][0].as_py() or "").encode()) > BLOCK_BYTES


def test_a_long_value_has_a_block_of_its_own() -> None:
    blocks, _ = write(TEXT, [pa.array(["a", "b" * 100_000, "c"])])
    assert [len(block) for block in blocks] == [1, 1, 1]


def test_numbers_are_cut_by_rows() -> None:
    blocks, directory = write(INTEGER, [pa.array(range(n, n + 5000)) for n in range(0, 50_000, 5000)])
    assert [len(block) for block in blocks] == [BLOCK_ROWS] * 3 + [50_000 - 3 * BLOCK_ROWS]
    assert directory.find(BLOCK_ROWS) == 1
    assert directory.span(BLOCK_ROWS - 1, BLOCK_ROWS + 1) == range(2)
    assert directory.span(7, 7) == range(0)
    assert BLOCK_ROWS <= MAX_BLOCK_ROWS


def test_vectors_are_cut_by_bytes() -> None:
    array = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(100 * 55, "f4")), 100)
    blocks, _ = write(VECTOR, [array])
    assert [len(block) for block in blocks] == [10] * 5 + [5]


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=40)), min_size=1, max_size=40), st.binary(max_size=40)
)
@settings(max_examples=200, deadline=None)
def test_zones_leave_nothing_out(values: list[bytes | None], probe: bytes) -> None:
    blob = ColumnType(Kind.BLOB)
    array = pa.array(values, pa.binary())
    zones = Zones.unpack(Zones.build([len(values)], [Zones.of(array, blob)], blob).pack(), blob)
    present = [value for value in values if value is not None]
    assert zones.nulls.tolist() == [len(values) - len(present)]
    if present:
        assert zones.low is not None
        assert zones.high is not None
        assert bytes(zones.low[0]) == min(present)[:PREFIX].rstrip(b"\0")
        assert bytes(zones.high[0]) == max(value[:PREFIX] for value in present).rstrip(b"\0")
    for value in [*present, probe]:
        if value in present:
            assert zones.touching(value, value)[0]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=40))
def test_zones_of_integers_are_exact(values: list[int | None]) -> None:
    nulls, low, high = Zones.of(pa.array(values, pa.int64()), INTEGER)
    present = [value for value in values if value is not None]
    assert nulls == len(values) - len(present)
    if present:
        assert (low, high) == (min(present), max(present))


def damaged(packed: dict[str, object], rows: int = 30, data_bytes: int = 300) -> None:
    with pytest.raises(DamagedFileError):
        BlockDirectory.from_catalog(packed, INTEGER, rows, data_bytes)


def directory_of(**changes: object) -> dict[str, object]:
    zones = {
        "rows": np.array([10, 20], "<i8").tobytes(),
        "nulls": np.array([0, 3], "<i8").tobytes(),
        "low": np.array([1, 2], "<i8").tobytes(),
        "high": np.array([5, 6], "<i8").tobytes(),
    }
    packed: dict[str, object] = {
        "offsets": np.array([0, 100], "<i8").tobytes(),
        "stored": np.array([100, 200], "<u4").tobytes(),
        "raw": np.array([500, 600], "<u4").tobytes(),
        "encodings": bytes([1, 1]),
        "zones": zones,
    }
    for name, value in changes.items():
        (zones if name in zones else packed)[name] = value
    return packed


def test_directories_that_make_no_sense() -> None:
    assert BlockDirectory.from_catalog(directory_of(), INTEGER, 30, 300).count == 2
    damaged(directory_of(), rows=31)
    damaged(directory_of(), data_bytes=299)
    for name, values, dtype in [
        ("offsets", [0, 99], "<i8"),
        ("offsets", [0, -1], "<i8"),
        ("offsets", [-1, 100], "<i8"),
        ("offsets", [2**63 - 1, 0], "<i8"),
        ("offsets", [2**63 - 50, 49], "<i8"),
        ("offsets", [0], "<i8"),
        ("stored", [100, 2**32 - 1], "<u4"),
        ("raw", [2**32 - 1, 600], "<u4"),
        ("raw", [MAX_BLOCK_BYTES, 600], "<u4"),
        ("encodings", [1], "u1"),
        ("rows", [0, 30], "<i8"),
        ("rows", [-10, 40], "<i8"),
        ("rows", [2**62, 2**62], "<i8"),
        ("nulls", [0, 21], "<i8"),
        ("nulls", [-1, 0], "<i8"),
        ("low", [6, 2], "<i8"),
        ("high", [5], "<i8"),
    ]:
        damaged(directory_of(**{name: np.array(values, dtype).tobytes()}))
    damaged(directory_of(zones=None))
    damaged(directory_of(offsets=None))


def test_compression_with_and_without_a_dictionary() -> None:
    rng = random.Random(1)
    words = [rng.randbytes(40).hex() for _ in range(500)]
    texts = [" ".join(rng.choices(words, k=6)) for _ in range(4000)]
    assert choose_dictionary([pa.array(texts[:100])]) is None
    array = pa.array(texts)
    assert array.nbytes > MIN_DICTIONARY_SOURCE
    dictionary = choose_dictionary([array.slice(0, 1000), array.slice(1000)])
    assert dictionary
    data = "".join(texts[:20]).encode()
    packed = Compressor(9, dictionary, len(data)).compress(data)
    assert len(packed) < len(Compressor(9).compress(data))
    assert Decompressor(dictionary).decompress(packed, len(data)) == data
    with pytest.raises(DamagedFileError):
        Decompressor().decompress(packed, len(data))
    with pytest.raises(DamagedFileError):
        Decompressor(dictionary).decompress(packed, len(data) + 1)
    for nonsense in (b"", b"x", packed[:-1], packed[:20]):
        with pytest.raises(DamagedFileError):
            Decompressor(dictionary).decompress(nonsense, len(data))


def test_a_dictionary_of_nulls_is_none() -> None:
    assert choose_dictionary([pa.nulls(2_000_000, pa.string())]) is None
