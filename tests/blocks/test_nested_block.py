"""Blocks of nested values: what a few bytes may claim, and what is not written."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.blocks import nested_block
from audiomem_sql.blocks.encoding import Encoding, decode
from audiomem_sql.blocks.integers import INTEGERS_HEADER
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
