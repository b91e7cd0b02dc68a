"""Predicates on columns of logical types, bound alone: every value with its neighbours, by every operator.

The oracle of what SQLite asks is a native table of the images, with the affinity and collation of the type;
that of filters, which SQLite does not see, is the order in which these stand.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import apsw
import pytest

import audiomem_sql
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.affinity import converter
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.exact_order import is_number
from audiomem_sql.columns.logical.parsing import PARSERS
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.time_order import compare as compare_times
from audiomem_sql.columns.types import ColumnType, Kind, collation_of, sqlite_declaration
from audiomem_sql.predicates import Bound, Op, Predicate
from audiomem_sql.predicates.binding import bind
from audiomem_sql.predicates.bounds import Nothing
from audiomem_sql.predicates.operands import text_of

#: Values of each type, from the least to the greatest one, and what lies between and beyond them.
VALUES: dict[str, tuple[list[str], list[Any]]] = {
    "DECIMAL(5,2)": (
        ["-999.99", "-1.50", "-0.01", "0.00", "0.01", "9.55", "9.56", "100.00", "999.99"],
        [
            "9.555",
            "-0.001",
            "0.005",
            "1000",
            "-1000",
            "9.550",
            "+9.55",
            "955e-2",
            "1e9999",
            9.55,
            9.555,
            -1.5,
            0,
            100,
            -1,
            1e300,
            -1e300,
            999.995,
            5e-324,
            99.99999999999999,
            float("inf"),
            float("-inf"),
        ],
    ),
    "DECIMAL(76,20)": (
        [
            f"-{10**55 - 1}.{'9' * 20}",
            f"0.{'0' * 20}",
            f"0.{'0' * 19}1",
            f"1.{'0' * 20}",
            f"{10**55}.{'0' * 20}",
        ],
        ["1e-21", "1e-500", "-1e-500", "1e55", "1e56", "-1e56", 1, 0.1, 2**62, 1e55, "1e401", "-1e401"],
    ),
    "HUGEINT": (
        [str(-(2**127)), str(-(2**63) - 1), "-1", "0", "1", str(2**63), str(2**127 - 1)],
        ["0.5", "-0.5", str(2**127), str(-(2**127) - 1), 1, 0.5, -1, 2.0**63, 1e300, "1e400", "1.0"],
    ),
    "UHUGEINT": (
        ["0", "1", str(2**64), str(2**128 - 1)],
        ["-1", "0.5", str(2**128), -1, 1, 0, 2.0**64, "-0", "-0.5"],
    ),
    "BIGNUM": (
        [f"-{10**40}", "-256", "-255", "0", "255", "256", str(10**40)],
        ["0.5", "-255.5", "1e500", "-1e500", 255, 255.5, 1e40, "1e41"],
    ),
    "UBIGINT": (
        ["0", "1", str(2**63 - 1), str(2**63), str(2**64 - 1)],
        ["-1", "0.5", str(2**64), -1, 1, 2.0**63, 2.0**64, 2**63 - 1, "1e30", "-1e30"],
    ),
    "DATE": (
        [
            "-infinity",
            "5877642-06-23 (BC)",
            "5877642-06-25 (BC)",
            "0001-12-31 (BC)",
            "0001-01-01",
            "1969-12-31",
            "1970-01-01",
            "2024-02-29",
            "9999-12-31",
            "10000-01-01",
            "5881580-07-10",
            "infinity",
        ],
        [
            "2024-02-29 00:00:00",
            "2024-02-29 12:00",
            "2024-02-29T00:00Z",
            "2024-02-28 23:00-01:00",
            "2024-02",
            "2024-02-30",
            "999999999-01-01",
            "-999999999-01-01",
            "5881580-07-11",
            "0044-03-15 (BC)",
            "5877642-06-23 12:00:00 (BC)",
            "5877642-06-24 (BC)",
            "5877642-06-24 12:00:00 (BC)",
            "5877642-06-22 12:00:00 (BC)",
            "5877642-06-22 (BC)",
            "tomorrow",
        ],
    ),
    "TIMESTAMP_S": (
        [
            "-infinity",
            "292277022658-01-27 08:29:52 (BC)",
            "292277022658-01-27 08:29:54 (BC)",
            "0044-03-15 00:00:00 (BC)",
            "1970-01-01 00:00:00",
            "2024-02-29 23:59:59",
            "2024-03-01 00:00:00",
            "infinity",
        ],
        [
            "2024-02-29 23:59:59.5",
            "2024-02-29T23:59:59Z",
            "2024-03-01",
            "2024-03-01 01:00+01:00",
            "2024",
            "2024-02-29 23:59:59.000",
            "292277022658-01-27 08:29:52.5 (BC)",
            "292277022658-01-27 08:29:53 (BC)",
            "292277022658-01-27 08:29:51.5 (BC)",
            "292277026596-12-04 15:30:06",
            "292277026596-12-04 15:30:06.5",
            "292277026596-12-04 15:30:07",
            "292277026596-12-04 15:30:08",
            "999999999999-01-01",
        ],
    ),
    "TIMESTAMP_NS": (
        [
            "1677-09-21 00:12:43.145224192",
            "1677-09-21 00:12:43.145224193",
            "2024-02-29 23:59:59.999999999",
            "2024-03-01 00:00:00",
            "2262-04-11 23:47:16.854775806",
            "2262-04-11 23:47:16.854775807",
        ],
        [
            "1677-09-21 00:12:43.1452241925",
            "1677-09-21 00:12:43.1452241915",
            "1677-09-21 00:12:43.145224191",
            "2262-04-11 23:47:16.8547758075",
            "2262-04-11 23:47:16.854775808",
            "infinity",
            "-infinity",
            "2024-02-29 23:59:59.9999999995",
            "2263-01-01",
            "1600-01-01",
            "2024-03-01 00:00:00.000000000",
        ],
    ),
    "TIMESTAMPTZ": (
        ["-infinity", "0044-03-15 00:00:00+00:00 (BC)", "2024-02-29 23:59:59.5+00:00", "infinity"],
        ["2024-02-29 23:59:59.5", "2024-03-01 00:59:59.5+01:00", "2024-02-29 23:59:59.5000001"],
    ),
    "TIME": (
        ["00:00:00", "03:04:05.5", "23:59:59.999999"],
        ["03:04", "03:04:05.50", "24:00:00", "03:04:05.6"],
    ),
    "TIME_S": (["00:00:00", "03:04:05", "23:59:59"], ["03:04:05.0", "3:04:05", "25", "03:04:05.5"]),
    "TIME_NS": (["00:00:00.000000001", "03:04:05"], ["03:04:05.000", "00:00:00", "00:00:00.0000000011"]),
    "TIMETZ": (
        ["03:04:05+05:30", "03:04:05+00", "03:04:05-08"],
        ["03:04:05", "03:04:05+00:00", "02:04:05+00"],
    ),
    "DURATION_MS": (
        ["-27:04:05.5", "-00:00:00.001", "00:00:00", "100:00:00"],
        ["1 day", "00:00", "99:00:00"],
    ),
    "INTERVAL": (["-1 day", "00:00:00", "29 days", "1 month", "1 year"], ["30 days", "1 mon", "12 months"]),
    "UUID": (
        ["00000000-0000-0000-0000-000000000000", "f47ac10b-58cc-4372-a567-0e02b2c3d479"],
        ["F47AC10B-58CC-4372-A567-0E02B2C3D479", "f47ac10b58cc4372a5670e02b2c3d479", "f47ac10b-", "g"],
    ),
    "BIT": (["0", "00101", "1", "11"], ["10", "2", "", "001010"]),
    "INTEGER[]": (["[]", "[1,2]", "[1,null]", "[10]"], ["[1, 2]", "[", "[1,3]", "[1,2"]),
    "STRUCT(a INTEGER)": (['{"a":1}', '{"a":null}'], ['{"a": 1}', "{}", '{"a":2}']),
}
#: What no column of these types has.
JUNK: list[Any] = [None, "", "x", b"", b"x", 7, -0.5, "7", " 7 ", 2**63 - 1, -(2**63), True]
OPERATORS = {
    Op.EQ: operator.eq,
    Op.NE: operator.ne,
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}
IS = (Op.IS, Op.IS_NOT)
#: Types whose texts are in the order of the values.
ORDERED = ("TIME_S", "TIME_MS", "TIME", "TIME_NS", "UUID")


class Images:
    """A column with NULL in it, as it is stored and as SQL sees it."""

    def __init__(self, name: str) -> None:
        self.type = ColumnType.parse(name)
        assert self.type.logical is not None
        self.node = self.type.logical
        function = converter(Column("x", self.type))
        values = [*VALUES[name][0], None]
        self.array = array_of([function(value) for value in values], self.type)
        self.images = sql_values(self.array, self.type)
        assert self.images == values  # they are written as they are shown
        plain = ColumnType(self.type.kind)
        self.zones = []
        for size in (1, 3):
            parts = [self.array.slice(start, size) for start in range(0, len(self.array), size)]
            entries = [Zones.of(part, plain) for part in parts]
            self.zones.append((size, Zones.build([len(part) for part in parts], entries, plain)))
        self.operands = [*values[:-1], *VALUES[name][1], *JUNK]

    def check(self, bound: Bound, wanted: list[bool], *, exact: bool) -> None:
        """exact: no row more than ``wanted``; otherwise none less."""
        mask = bound.mask(self.array).tolist()
        if exact:
            assert mask == wanted
        assert all(found or not asked for found, asked in zip(mask, wanted, strict=True))
        assert [bound.test(image) for image in self.images] == mask
        stored = self.array.to_pylist()
        for size, zones in self.zones:
            for number, keeps in enumerate(bound.prune(zones).tolist()):
                assert keeps or not any(mask[number * size : (number + 1) * size])
        matching = [value for value, found in zip(stored, mask, strict=True) if found]
        if bound.keys is not None:
            assert set(matching) <= set(bound.keys)
        if bound.bounds is not None and self.type.kind is Kind.INTEGER:
            assert all(bound.bounds[0] <= value <= bound.bounds[1] for value in matching)


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    yield connection
    connection.close()


@pytest.mark.parametrize("name", VALUES)
def test_what_sqlite_asks_for(database: apsw.Connection, name: str) -> None:
    column = Images(name)
    declared = f'"{sqlite_declaration(column.type)}" COLLATE {collation_of(column.node)}'
    database.execute(f"DROP TABLE IF EXISTS n; CREATE TABLE n(id INTEGER PRIMARY KEY, x {declared})")
    database.executemany("INSERT INTO n VALUES (?, ?)", list(enumerate(column.images)))

    def rows(condition: str, *operands: Any) -> list[bool]:
        found = {row for (row,) in database.execute(f"SELECT id FROM n WHERE {condition}", operands)}
        return [row in found for row in range(len(column.images))]

    for operand in column.operands:
        for op in (*OPERATORS, *IS):
            bound = bind(Predicate(0, op, operand), column.type)
            by_text = collation_of(column.node) == "BINARY" and operand not in column.images
            column.check(bound, rows(f"x {op.value} ?", operand), exact=bound.exact and not by_text)
            if bound.exact:
                assert bound.nulls(column.array).tolist() == rows(f"(x {op.value} ?) IS NULL", operand)
        for other in (operand, column.images[0], None):
            bound = bind(Predicate(0, Op.IN, (operand, other)), column.type)
            column.check(bound, rows("x IN (?, ?)", operand, other), exact=not isinstance(operand, float))
            nulls = rows("(x IN (?, ?)) IS NULL", operand, other)
            assert isinstance(operand, float) or bound.nulls(column.array).tolist() == nulls


def _order(column: Images, image: str, operand: Any, op: Op) -> int:
    """Of two values of a filter: numbers by what they are, times by the moment, others by their texts.

    But in what is no comparison of texts alone any spelling of a value will do.
    """
    if isinstance(operand, bytes):
        return -1
    text = operand if isinstance(operand, str) else text_of(operand)
    if column.node.is_number:
        if operand in (float("inf"), float("-inf")):
            return -1
        if isinstance(operand, str) and not is_number(text):  # above all numbers
            return -1
        number = Fraction(Decimal(operand if isinstance(operand, str) else repr(operand)))
        return (Fraction(image) > number) - (Fraction(image) < number)
    if column.node.is_moment:
        return compare_times(image, text)
    if not column.node.is_nested and (op in (Op.EQ, Op.NE) or column.node.name in ORDERED):
        try:
            stored = [PARSERS[column.node.name](column.node, each) for each in (image, text)]
        except ValueError:
            stored = [image, text]
        return (stored[0] > stored[1]) - (stored[0] < stored[1])
    return _sign(image, text)


def _sign(left: str, right: str) -> int:
    return (left > right) - (left < right)


@pytest.mark.parametrize("name", VALUES)
def test_what_a_filter_asks_for(name: str) -> None:
    column = Images(name)
    for operand in column.operands:
        if operand is None:
            continue
        operand = int(operand) if isinstance(operand, bool) else operand
        for op, holds in OPERATORS.items():
            order = [None if image is None else _order(column, image, operand, op) for image in column.images]
            wanted = [sign is not None and holds(sign, 0) for sign in order]
            bound = bind(Predicate(0, op, operand), column.type, literal=True)
            column.check(bound, wanted, exact=True)
            assert bound.exact
            if not isinstance(bound, Nothing) or any(wanted):
                assert bound.nulls(column.array).tolist() == [image is None for image in column.images]
            if op in (Op.EQ, Op.NE):
                bound = bind(
                    Predicate(0, Op.IS if op is Op.EQ else Op.IS_NOT, operand), column.type, literal=True
                )
                wanted = [
                    found or (op is Op.NE and sign is None) for found, sign in zip(wanted, order, strict=True)
                ]
                column.check(bound, wanted, exact=True)
                assert not bound.nulls(column.array).any()
