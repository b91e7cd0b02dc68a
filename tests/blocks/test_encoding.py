"""Blocks: what goes in comes out, for every type, with NULLs, slices and extremes; nonsense is refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.blocks.directory import MAX_SHARED_BLOCK_BYTES
from audiomem_sql.blocks.encoding import Encoding, decode, encode
from audiomem_sql.blocks.integers import INTEGERS_HEADER, decode_integers, encode_integers
from audiomem_sql.blocks.strings import DICTIONARY_HEADER
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import DamagedFileError

INTEGER, REAL, TEXT = ColumnType(Kind.INTEGER), ColumnType(Kind.REAL), ColumnType(Kind.TEXT)
BLOB, BOOLEAN, TIMESTAMP = ColumnType(Kind.BLOB), ColumnType(Kind.BOOLEAN), ColumnType(Kind.TIMESTAMP)
JSON, VECTOR = ColumnType(Kind.JSON), ColumnType(Kind.FLOAT, 3)

INT64 = st.integers(-(2**63), 2**63 - 1)
#: NaN with bits of its own.
(PAYLOAD,) = struct.unpack("<d", (0xFFF8DEAD00000001).to_bytes(8, "little"))
FEW_TEXTS = st.sampled_from(["", "a", "naïve", "🎼🎼", "a\0b", "x" * 300])
TEXTS = st.one_of(FEW_TEXTS, st.text(max_size=40))
VALUES: dict[str, tuple[ColumnType, st.SearchStrategy[Any]]] = {
    "integer": (INTEGER, st.one_of(INT64, st.integers(-3, 300), st.sampled_from([2**63 - 1, -(2**63), 0]))),
    "rising": (INTEGER, st.integers(0, 50).map(lambda n: n * 1_000_000)),
    "real": (REAL, st.one_of(st.floats(), st.sampled_from([0.0, -0.0, -math.nan, PAYLOAD]))),
    "text": (TEXT, TEXTS),
    "category": (TEXT, FEW_TEXTS),
    "json": (JSON, st.sampled_from(["{}", "[1]", '"x"'])),
    "blob": (BLOB, st.one_of(st.binary(max_size=300), st.sampled_from([b"", b"\0", b"\xff" * 5]))),
    "boolean": (BOOLEAN, st.booleans()),
    "timestamp": (
        TIMESTAMP,
        st.one_of(st.integers(MIN_MICROS, MAX_MICROS), st.sampled_from([MIN_MICROS, MAX_MICROS])),
    ),
    "vector": (
        VECTOR,
        st.lists(st.floats(width=32), min_size=3, max_size=3).map(lambda v: struct.pack("<3f", *v)),
    ),
}  # fmt: skip


def bits(array: pa.Array) -> list[bytes | None]:
    """The values as bytes, so that NaN equals itself and 0.0 differs from -0.0."""
    if pa.types.is_floating(array.type):
        return [None if value is None else struct.pack("<d", value) for value in array.to_pylist()]
    if pa.types.is_fixed_size_list(array.type):
        return [None if value is None else struct.pack("<3f", *value) for value in array.to_pylist()]
    return array.to_pylist()


@pytest.mark.parametrize("name", VALUES)
def test_round_trip(name: str) -> None:
    column_type, values = VALUES[name]

    @given(
        st.lists(st.one_of(values, st.none()) if name != "rising" else values, min_size=1, max_size=70),
        st.data(),
    )
    @settings(max_examples=80, deadline=None)
    def law(rows: list[Any], data: st.DataObject) -> None:
        whole = array_of(rows, column_type)
        start = data.draw(st.integers(0, len(rows) - 1))
        array = whole.slice(start, data.draw(st.integers(1, len(rows) - start)))
        encoding, raw = encode(array, column_type)
        out = decode(encoding, raw, len(array), array.null_count, column_type)
        out.validate(full=True)
        assert out.type == arrow_type(column_type)
        assert bits(out) == bits(array)
        assert out.null_count == array.null_count

    law()


@pytest.mark.parametrize(
    "column_type", [INTEGER, REAL, TEXT, JSON, BLOB, BOOLEAN, TIMESTAMP, VECTOR], ids=str
)
def test_all_null_takes_nothing(column_type: ColumnType) -> None:
    array = pa.nulls(1000, arrow_type(column_type))
    assert encode(array, column_type) == (Encoding.NULLS, b"")
    assert decode(Encoding.NULLS, b"", 1000, 1000, column_type).null_count == 1000


@given(st.lists(INT64, min_size=1, max_size=60))
@settings(max_examples=200, deadline=None)
def test_integers_never_overflow(values: list[int]) -> None:
    raw = encode_integers(np.array(values, np.int64))
    out, end = decode_integers(b"??" + raw, 2, len(values))
    assert out.tolist() == values
    assert end == len(raw) + 2


@pytest.mark.parametrize(
    ("values", "mode", "width"),
    [
        ([7] * 100, 0, 0),
        (range(1000), 1, 0),
        (range(0, 10**12, 10**10), 1, 0),
        ([1_700_000_000_000_000 + s * 1_000_000 for s in (5, 3, 200)], 0, 1),
        ([-(2**63), 2**63 - 1, -(2**63)], 0, 1),
        ([0, 1, 2**32, 5, 2**33 + 1], 0, 8),
    ],
)
def test_integers_take_the_smaller_form(values: Any, mode: int, width: int) -> None:
    raw = encode_integers(np.array(list(values), np.int64))
    assert raw[:2] == bytes([mode, width])


def test_distinct_values_or_all_of_them() -> None:
    few = pa.array(["alpha", "beta", "gamma"] * 100)
    many = pa.array([f"value {n}" for n in range(300)])
    assert encode(few, TEXT)[0] == Encoding.DICTIONARY
    assert encode(many, TEXT)[0] == Encoding.STRINGS
    assert encode(pa.array(["one"]), TEXT)[0] == Encoding.STRINGS
    half = pa.array([f"value {n // 2}" for n in range(70_000)][:1000])
    assert decode(*encode(half, TEXT), 1000, 0, TEXT).equals(half)


def test_big_strings() -> None:
    array = pa.array(["", "x" * 70_000, "é" * 3_000_000, None])
    encoding, raw = encode(array, TEXT)
    assert decode(encoding, raw, 4, 1, TEXT).equals(array)


def refused(encoding: int, raw: bytes, rows: int, nulls: int, column_type: ColumnType) -> None:
    with pytest.raises(DamagedFileError) as caught:
        decode(encoding, raw, rows, nulls, column_type)
    assert caught.value.file is None


def test_what_contradicts_the_catalog() -> None:
    raw = encode(pa.array([1, 2, 500]), INTEGER)[1]
    refused(Encoding.INTEGERS, raw, 3, 4, INTEGER)
    refused(Encoding.INTEGERS, raw, 4, 0, INTEGER)
    refused(Encoding.INTEGERS, raw, 2, 0, INTEGER)
    refused(Encoding.INTEGERS, raw, 3, 1, INTEGER)
    refused(Encoding.INTEGERS, raw, 3, 0, REAL)
    refused(Encoding.INTEGERS, raw[:-1], 3, 0, INTEGER)
    refused(Encoding.INTEGERS, raw + b"\0", 3, 0, INTEGER)
    refused(Encoding.NULLS, raw, 3, 3, INTEGER)
    refused(Encoding.NULLS, b"", 3, 2, INTEGER)
    refused(7, raw, 3, 0, INTEGER)
    refused(Encoding.REALS, bytes(23), 3, 0, REAL)
    refused(Encoding.BITS, bytes(2), 8, 0, BOOLEAN)
    refused(Encoding.VECTORS, bytes(35), 3, 0, VECTOR)
    refused(Encoding.STRINGS, b"", 3, 0, TEXT)
    with_nulls = encode(pa.array([1, None, 3]), INTEGER)[1]
    refused(Encoding.INTEGERS, b"\7" + with_nulls[1:], 3, 1, INTEGER)


def test_integers_that_make_no_sense() -> None:
    refused(Encoding.INTEGERS, INTEGERS_HEADER.pack(2, 1, 0, 1, 0) + bytes(3), 3, 0, INTEGER)
    refused(Encoding.INTEGERS, INTEGERS_HEADER.pack(0, 3, 0, 1, 0) + bytes(9), 3, 0, INTEGER)
    refused(Encoding.INTEGERS, INTEGERS_HEADER.pack(1, 2, 0, 1, 0), 1, 0, INTEGER)
    refused(Encoding.INTEGERS, INTEGERS_HEADER.pack(0, 0, MAX_MICROS + 1, 1, 0), 5, 0, TIMESTAMP)
    refused(Encoding.INTEGERS, INTEGERS_HEADER.pack(0, 0, MIN_MICROS - 1, 1, 0), 5, 0, TIMESTAMP)


def test_strings_that_make_no_sense() -> None:
    refused(Encoding.STRINGS, b"\3" + bytes(9), 3, 0, TEXT)
    refused(Encoding.STRINGS, b"\1\1\1\1ab", 3, 0, TEXT)
    refused(Encoding.STRINGS, b"\1\1\1\1abcd", 3, 0, TEXT)
    refused(Encoding.STRINGS, b"\1\1\1\1a\xffb", 3, 0, TEXT)
    refused(Encoding.STRINGS, b"\1\1\1\1a\xc3\xa9", 3, 0, TEXT)
    assert decode(Encoding.STRINGS, b"\1\1\1\1a\xffb", 3, 0, BLOB).to_pylist() == [b"a", b"\xff", b"b"]
    refused(Encoding.STRINGS, b"\4" + struct.pack("<3I", 2**32 - 1, 2**32 - 1, 2), 3, 0, TEXT)


def test_dictionaries_that_make_no_sense() -> None:
    values = b"\1\1\1ab"
    good = DICTIONARY_HEADER.pack(2) + values + b"\1\0\1\1"
    assert decode(Encoding.DICTIONARY, good, 3, 0, TEXT).to_pylist() == ["a", "b", "b"]
    refused(Encoding.DICTIONARY, DICTIONARY_HEADER.pack(0) + good[4:], 3, 0, TEXT)
    refused(Encoding.DICTIONARY, DICTIONARY_HEADER.pack(4) + good[4:], 3, 0, TEXT)
    refused(Encoding.DICTIONARY, DICTIONARY_HEADER.pack(2**32 - 1) + good[4:], 3, 0, TEXT)
    refused(Encoding.DICTIONARY, good[:-1] + b"\2", 3, 0, TEXT)
    refused(Encoding.DICTIONARY, good[:-3], 3, 0, TEXT)
    refused(Encoding.DICTIONARY, good[:3], 3, 0, TEXT)
    refused(Encoding.DICTIONARY, good + b"x", 3, 0, TEXT)


def test_a_dictionary_cannot_blow_up() -> None:
    size, rows = 1 << 16, 1 << 16
    bomb = DICTIONARY_HEADER.pack(1) + b"\4" + struct.pack("<I", size) + bytes(size) + b"\1" + bytes(rows)
    assert size * rows > MAX_SHARED_BLOCK_BYTES
    refused(Encoding.DICTIONARY, bomb, rows, 0, BLOB)


def test_without_the_kernels_of_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory is scarce strings are told apart without them: to the same bytes, and back."""
    text, blob = ColumnType(Kind.TEXT), ColumnType(Kind.BLOB)
    arrays = [
        (pa.array([f"naïve {n % 7}" for n in range(500)], pa.string()).slice(3, 400), text),
        (pa.array([b"", b"\xff", None, b"\xff"] * 100, pa.binary()).slice(1), blob),
        (pa.array([str(n) for n in range(300)], pa.string()), text),
    ]
    usual = [encode(array, kind) for array, kind in arrays]
    assert [encoding for encoding, _ in usual] == [Encoding.DICTIONARY, Encoding.DICTIONARY, Encoding.STRINGS]
    monkeypatch.setattr("audiomem_sql.blocks.strings.without_kernels", lambda: True)
    assert [encode(array, kind) for array, kind in arrays] == usual
    for (array, kind), (encoding, data) in zip(arrays, usual, strict=True):
        assert decode(encoding, data, len(array), array.null_count, kind).equals(array)
