"""DuckDB's vectors as Arrow arrays."""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from audiomem_sql.columns.logical.forms import arrow_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.errors import DataTypeError
from audiomem_sql.vtab.duckdb import vectors
from audiomem_sql.vtab.duckdb.given_values import field_of, values_of
from audiomem_sql.vtab.duckdb.vectors import array, arrow_type


def entries(*pairs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<QQ", *pair) for pair in pairs)


def test_items_of_lists_may_stand_in_any_order() -> None:
    items = (None, np.arange(6, dtype="<f4").tobytes())
    described = (vectors.LIST, (vectors.FLOAT,))
    made = array(described, (b"\x0b", entries((4, 2), (0, 1), (77, 99), (1, 0)), 6, items), 4)
    assert made.to_pylist() == [[4.0, 5.0], [0.0], None, []]
    assert made.type == arrow_type("a", described)
    made.validate(full=True)


def test_structs_in_structs_with_nulls() -> None:
    inner = (vectors.STRUCT, (("s", (vectors.VARCHAR,)),))
    described = (vectors.STRUCT, (("n", (vectors.BIGINT,)), ("i", inner)))
    text = (b"\x05", np.array([0, 2, 2, 5], "<i8").tobytes(), b"abcde")
    vector = (b"\x06", (None, np.array([1, 2, 3], "<i8").tobytes()), (None, text))
    assert array(described, vector, 3).to_pylist() == [
        None,
        {"n": 2, "i": {"s": None}},
        {"n": 3, "i": {"s": "cde"}},
    ]


@pytest.mark.parametrize(("width", "holds", "number"), [(4, 3, "<i2"), (9, 4, "<i4"), (18, 5, "<i8")])
def test_decimals_of_every_width(width: int, holds: int, number: str) -> None:
    values = np.array([-125, 0, 7], number).tobytes()
    made = array((vectors.DECIMAL, width, 2, holds), (b"\x05", values), 3)
    assert made.to_pylist() == [Decimal("-1.25"), None, Decimal("0.07")]


def test_wide_decimals_and_huge_integers() -> None:
    values = b"".join((number % (1 << 128)).to_bytes(16, "little") for number in (-(10**37), 5))
    assert array((vectors.DECIMAL, 38, 1, vectors.HUGEINT), (None, values), 2).to_pylist() == [
        Decimal(-(10**36)),
        Decimal("0.5"),
    ]
    stored = values_of("a", (vectors.HUGEINT,), (b"\x02", values), 2)
    assert arrow_form(Node("HUGEINT"), stored).to_pylist() == [None, Decimal(5)]


def test_more_rows_than_a_byte_of_validity_has() -> None:
    flags = bytes(number % 3 == 0 for number in range(11))
    made = array((vectors.BOOLEAN,), (b"\xff\x06", flags), 11)
    assert made.to_pylist() == [number % 3 == 0 if number != 8 else None for number in range(11)]


@pytest.mark.parametrize("described", [(vectors.UNION,), (41,), (99,), (vectors.LIST, (vectors.UNION,))])
def test_types_without_an_arrow_type(described: Any) -> None:
    with pytest.raises(DataTypeError, match="column a: no column type holds DuckDB's"):
        field_of("a", described)


def test_a_word_of_an_enum() -> None:
    described = (vectors.ENUM, 6, ("a", "b"))
    made = array(described, (b"\x03", b"\x01\x00\xff"), 3)
    assert made.to_pylist() == ["b", "a", None]
    assert made.type == arrow_type("a", described) == pa.dictionary(pa.int32(), pa.string())
