"""Blocks of nested values: what a few bytes may claim, and what is not written."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from columns.logical.random_types import Values
from columns.logical.random_types import node as random_node

import audiomem_sql
from audiomem_sql.blocks import nested_block
from audiomem_sql.blocks.encoding import Encoding, decode, encode
from audiomem_sql.blocks.integers import INTEGERS_HEADER
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError, LimitError, SchemaError

PART = struct.Struct("<BII")
MOST = nested_block.MAX_ELEMENTS


def part(encoding: int, nulls: int, data: bytes = b"") -> bytes:
    return PART.pack(encoding, nulls, len(data)) + data


def same(number: int) -> bytes:
    """A part of integers that are all ``number``."""
    return part(Encoding.INTEGERS, 0, INTEGERS_HEADER.pack(0, 0, number, 1, 0))


def nulls(count: int) -> bytes:
    return part(Encoding.NULLS, count)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("BIGINT[]", same((1 << 31) - 1) + same(7)),
        ("BIGINT[]", same(MOST + 1) + nulls(MOST + 1)),
        ("BIGINT[]", same(MOST) + nulls(MOST)),
        ("BIGINT[][]", same(MOST) + nulls(MOST) + nulls(0)),
        ("BIGINT[][]", same(1 << 26) + same(2) + nulls(1 << 27)),
        ("BIGINT[][]", same(1 << 22) + same(29) + nulls(29 << 22)),
        ("DECIMAL(76,0)[]", same(1 << 26) + nulls(1 << 26)),
        ("BOOLEAN[]", same(MOST) + nulls(MOST)),
        ("DOUBLE[]", same(MOST) + nulls(MOST) + struct.pack("<I", 1) + bytes(8)),
        ("INTEGER[16777216][]", same(9) + nulls(9) + nulls(9 << 24)),
        ("MAP(BIGINT, BIGINT)", same(1 << 27) + same(1) + same(1)),
        ("STRUCT(a BIGINT[], b BIGINT[])", part(3, 0, b"\1") + (same(1 << 26) + nulls(1 << 26)) * 2),
    ],
    ids=lambda given: given if isinstance(given, str) else str(len(given)),
)
def test_a_claim_is_refused_before_memory_is_taken(kind: str, data: bytes) -> None:
    tracemalloc.start()
    taken = pa.total_allocated_bytes()
    try:
        with pytest.raises(DamagedFileError, match=r"claims more|out of range|wrong length"):
            decode(Encoding.NESTED, data, 1, 0, ColumnType.parse(kind))
        assert tracemalloc.get_traced_memory()[1] < 1 << 29
        assert pa.total_allocated_bytes() - taken < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_value_with_more_items_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nested_block, "MAX_ELEMENTS", 1 << 24)  # 134,217,728 take gigabytes
    for items, fits in (((1 << 24) - 1, True), (1 << 24, False)):
        truths = pa.Array.from_buffers(pa.bool_(), items, [None, pa.py_buffer(bytes(1 << 21))])
        rows = pa.table({"flags": pa.ListArray.from_arrays(pa.array([0, items], pa.int32()), truths)})
        table = audiomem_sql.create(tmp_path / f"{items}.flac", ["flags BOOLEAN[]"])
        if fits:
            table.append(rows)
        else:
            with pytest.raises(LimitError, match=r"column flags: nested .* 16,777,216 items"):
                table.append(rows)
        assert len(audiomem_sql.open(tmp_path / f"{items}.flac")) == fits


@pytest.mark.parametrize(
    "kind",
    [
        "INTEGER[30000][30000]",
        "INTEGER[16777217]",
        "TEXT[300][300][300]",
        "STRUCT(a INTEGER[16777216], b INTEGER[16777216])",
        "STRUCT(a INTEGER[5000])[5000]",
    ],
)
def test_types_of_too_many_items(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="16,777,216 items"):
        audiomem_sql.create(tmp_path / "t.flac", [f"c {kind}"])
    assert not (tmp_path / "t.flac").exists()


def test_types_of_just_as_many_items() -> None:
    for kind in ("BIGINT[4096][4096]", "BIGINT[30000][][30000]", "BIGINT[16777216]"):
        assert str(ColumnType.parse(kind)) == kind


def blocks_of(kind: str, values: Any) -> tuple[Encoding, bytes, pa.Array]:
    """A block of one column, and the stored values that it holds."""
    column_type = ColumnType.parse(kind)
    assert column_type.logical is not None
    stored = stored_form(column_type.logical, pa.array(values, arrow_of(column_type.logical)))
    return *encode(stored, column_type), stored


@pytest.mark.parametrize("seed", range(120))
def test_random_values_come_back(seed: int) -> None:
    values = Values(seed)
    node = values.type(3)
    while not node.is_nested:
        node = values.type(3)
    array = stored_form(node, values.array(node, values.random.choice([0, 1, 7, 40])))
    kind = ColumnType.of(node)
    for rows in (array, array.slice(1), array.slice(0, 3), array.drop_null()):
        if not len(rows) or rows.null_count == len(rows):
            continue
        encoding, data = encode(rows, kind)
        assert encoding is Encoding.NESTED
        assert decode(encoding, data, len(rows), rows.null_count, kind).equals(rows)
        for cut in (1, 8, len(data) // 2):
            with pytest.raises(DamagedFileError):
                decode(encoding, data[:-cut], len(rows), rows.null_count, kind)
        with pytest.raises(DamagedFileError):
            decode(encoding, data + b"\0", len(rows), rows.null_count, kind)


@pytest.mark.parametrize(
    ("kind", "count", "distinct"),
    [
        ("DOUBLE[]", 16, 0),  # too few to look for equal ones
        ("DOUBLE[]", 17, 1),
        ("FLOAT[]", 64, 1),
        ("HALF[]", 64, 0),  # a code would take as much as half of a number
    ],
)
def test_equal_numbers_are_codes_where_that_is_less(kind: str, count: int, distinct: int) -> None:
    encoding, data, stored = blocks_of(kind, [[1.5] * count])
    assert decode(encoding, data, 1, 0, ColumnType.parse(kind)).equals(stored)
    width = {"DOUBLE[]": 8, "FLOAT[]": 4, "HALF[]": 2}[kind]
    numbers = data[-(4 + (width + count if distinct else width * count)) :]
    assert struct.unpack_from("<I", numbers) == (distinct,)


def test_codes_are_taken_only_if_they_are_less_than_half() -> None:
    for different, coded in ((46, True), (48, False)):
        _, data, _ = blocks_of("DOUBLE[]", [[float(number % different) for number in range(126)]])
        size = 4 + (different * 8 + 126 if coded else 126 * 8)
        assert struct.unpack_from("<I", data, len(data) - size) == (different if coded else 0,)


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        ("DOUBLE", 8), ("FLOAT", 4), ("HALF", 2), ("BOOLEAN", 1), ("NULL", 1), ("BIGINT[3]", 1),
        ("STRUCT(a BIGINT)", 1), ("BIGINT[]", 24), ("MAP(BIGINT, BIGINT)", 24), ("VARCHAR", 4), ("BLOB", 4),
        ("JSON", 4), ("TINYINT", 8), ("BIGINT", 8), ("DATE", 8), ("DECIMAL(18,2)", 8), ("DECIMAL(38,2)", 16),
        ("DECIMAL(76,2)", 32), ("UUID", 16), ("BIT", 4), ("TIMESTAMP", 8),
    ],
)  # fmt: skip
def test_what_an_element_counts(kind: str, width: int) -> None:
    budget = nested_block._Budget()
    assert budget.take(random_node(kind), 5)
    assert (budget.elements, budget.bytes) == (5, 5 * width)


def test_a_budget_is_used_up_at_its_end() -> None:
    for elements, fits in ((MOST, True), (MOST + 1, False)):
        assert nested_block._Budget().take(random_node("BOOLEAN"), elements) is fits
    for size, fits in ((nested_block.MAX_BYTES, True), (nested_block.MAX_BYTES + 1, False)):
        assert nested_block._Budget().take_bytes(size) is fits
    texts = nested_block._Budget()
    assert texts.take_bytes(nested_block.MAX_BYTES - 4)
    assert texts.take(random_node("VARCHAR"), 1)
    assert not texts.take(random_node("VARCHAR"), 1)


def test_the_bytes_of_texts_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    text, lists = "x" * 1000, 24 + 4  # of a list and of a text
    for most, fits in ((1000 + lists, True), (999 + lists, False)):
        monkeypatch.setattr(nested_block, "MAX_BYTES", most)
        if fits:
            encoding, data, stored = blocks_of("VARCHAR[]", [[text]])
            assert decode(encoding, data, 1, 0, ColumnType.parse("VARCHAR[]")).equals(stored)
        else:
            with pytest.raises(LimitError):
                blocks_of("VARCHAR[]", [[text]])
            with pytest.raises(DamagedFileError, match="claims more"):
                decode(encoding, data, 1, 0, ColumnType.parse("VARCHAR[]"))


def test_what_contradicts_itself() -> None:
    kind = ColumnType.parse("BIGINT[]")
    for data, words in (
        (same(0) + part(Encoding.NULLS, 1), "holds some"),
        (same(0) + part(Encoding.NULLS, 0, b"x"), "holds some"),
        (same(-1) + nulls(0), "out of range"),
        (same(1), "contradicts itself"),
        (PART.pack(Encoding.INTEGERS, 0, 100), "ends too soon"),
    ):
        with pytest.raises(DamagedFileError, match=words):
            decode(Encoding.NESTED, data, 1, 0, kind)
    assert decode(Encoding.NESTED, same(0) + nulls(0), 1, 0, kind).equals(blocks_of("BIGINT[]", [[]])[2])
