"""Types as a tree: what they count, what they are, and which are none."""

from __future__ import annotations

import pytest

from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.spelling import parse_node
from audiomem_sql.errors import SchemaError
from columns.logical.random_types import node


@pytest.mark.parametrize(
    ("spelling", "items", "depth"),
    [
        ("DATE", 1, 1),
        ("DATE[]", 1, 2),
        ("DATE[7]", 7, 2),
        ("DATE[7][2]", 14, 3),
        ("DATE[7][][2]", 2, 4),
        ("MAP(UUID, DATE[5])", 1, 3),
        ("STRUCT(a DATE)", 1, 2),
        ("STRUCT(a DATE, b UUID, c BIGINT[])", 3, 3),
        ("STRUCT(a DATE[3], b UUID)[4]", 16, 4),
        ("STRUCT(a STRUCT(b DATE[2], c DATE[3]), d DATE)", 6, 4),
    ],
)
def test_items_and_depth(spelling: str, items: int, depth: int) -> None:
    found = node(spelling)
    assert (found.items, found.depth) == (items, depth)
    assert parse_node(str(found)) == found


@pytest.mark.parametrize(
    ("spelling", "size", "integer", "number", "moment"),
    [
        ("DECIMAL(18,2)", 0, True, True, False), ("DECIMAL(19,2)", 16, False, True, False),
        ("DECIMAL(38,2)", 16, False, True, False), ("DECIMAL(39,2)", 32, False, True, False),
        ("HUGEINT", 16, False, True, False), ("UHUGEINT", 16, False, True, False),
        ("BIGNUM", 0, False, True, False), ("UBIGINT", 0, True, True, False),
        ("DATE", 0, True, False, True), ("TIMESTAMP_NS", 0, True, False, True),
        ("TIMESTAMPTZ_S", 0, True, False, True), ("TIME", 0, True, False, False),
        ("TIMETZ", 0, True, False, False), ("DURATION_MS", 0, True, False, False),
        ("INTERVAL", 32, False, False, False), ("UUID", 16, False, False, False),
        ("BIT", 0, False, False, False),
        ("ENUM('a')", 0, False, False, False), ("DATE[]", 0, False, False, False),
    ],
)  # fmt: skip
def test_what_they_are(spelling: str, size: int, integer: bool, number: bool, moment: bool) -> None:
    found = node(spelling)
    assert (found.bytes, found.is_integer, found.is_number, found.is_moment) == (
        size,
        integer,
        number,
        moment,
    )


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("TIME_S", "s"), ("TIME_MS", "ms"), ("TIME", "us"), ("TIME_NS", "ns"), ("TIMESTAMP_S", "s"),
        ("TIMESTAMP_MS", "ms"), ("TIMESTAMP_NS", "ns"), ("TIMESTAMPTZ_S", "s"), ("TIMESTAMPTZ_MS", "ms"),
        ("TIMESTAMPTZ", "us"), ("TIMESTAMPTZ_NS", "ns"), ("DURATION_S", "s"), ("DURATION_MS", "ms"),
        ("DURATION_US", "us"), ("DURATION_NS", "ns"),
    ],
)  # fmt: skip
def test_units(name: str, unit: str) -> None:
    assert node(name).unit == unit


def test_what_is_no_type() -> None:
    date = Node("DATE")
    for made, words in (
        (lambda: Node("DECIMAL", (77, 0)), "1 to 76 digits"),
        (lambda: Node("DECIMAL", (0, 0)), "is not a type"),
        (lambda: Node("DECIMAL", (3, 4)), "is not a type"),
        (lambda: Node("ARRAY", (0,), children=(date,)), "is not a type"),
        (lambda: Node("ARRAY", (1 << 24 | 1,), children=(date,)), "is not a type"),
        (lambda: Node("STRUCT"), "without fields"),
        (lambda: Node("STRUCT", words=("a", "A"), children=(date, date)), "two fields of one name"),
        (lambda: Node("ENUM", words=("a", "b", "a")), "a value twice"),
    ):
        with pytest.raises(SchemaError, match=words):
            made()
    assert str(Node("DECIMAL", (76, 76))) == "DECIMAL(76,76)"
    assert str(Node("DECIMAL", (1, 0))) == "DECIMAL(1,0)"
    assert str(Node("ARRAY", (1 << 24,), children=(date,))) == "DATE[16777216]"
