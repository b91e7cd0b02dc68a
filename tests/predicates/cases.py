"""Columns with values of every kind, and what SQLite says of conditions on them."""

from __future__ import annotations

import math
import struct
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.timestamps import MAX_MICROS, MIN_MICROS, render
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.predicates import Bound, Op

WIDTH = 2


TYPES = [ColumnType(kind, WIDTH if kind is Kind.FLOAT else 0) for kind in Kind]


STRICT = {
    Kind.INTEGER: "INTEGER",
    Kind.REAL: "REAL",
    Kind.TEXT: "TEXT",
    Kind.BLOB: "BLOB",
    Kind.BOOLEAN: "INTEGER",
    Kind.TIMESTAMP: "TEXT",
    Kind.JSON: "TEXT",
    Kind.FLOAT: "BLOB",
}


COMPARISONS = [Op.EQ, Op.NE, Op.LT, Op.LE, Op.GT, Op.GE, Op.IS, Op.IS_NOT]


NASTY = "aA%_*?[]^-éİ\0 bz"


INTEGERS = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(
        [-(1 << 63), (1 << 63) - 1, 1 << 53, (1 << 53) + 1, (1 << 53) + 3, -(1 << 53) - 1, 12, 10**18]
    ),
    st.integers(-(1 << 63), (1 << 63) - 1),
)


REALS = st.one_of(
    st.sampled_from(
        [0.0, -0.0, 0.5, -1.5, 2.0, 12.0, 2.0**53, 2.0**53 + 2, -(2.0**63), 2.0**63, 1e300, 5e-324]
    ),
    st.sampled_from([math.inf, -math.inf, 9223372036854774784.0]),
    st.floats(allow_nan=False),
)


TEXTS = st.one_of(
    st.text(st.sampled_from(NASTY), max_size=6),
    st.sampled_from(
        ["12", " 12 ", "1e1", "0.5", "-1.5", "9007199254740993", "9223372036854775808", "12abc", "", "2"]
    ),
    st.sampled_from(
        ["common prefix of many words a", "common prefix of many words b", "common prefix of m", "Common"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)


BLOBS = st.one_of(
    st.binary(max_size=3), st.binary(min_size=14, max_size=18), TEXTS.map(lambda text: text.encode())
)


MICROS = st.one_of(
    st.integers(1_700_000_000_000_000, 1_700_000_000_000_010),
    st.sampled_from([0, -1, 1, 1_700_000_000_000_000, MIN_MICROS, MAX_MICROS, 1_700_000_000_500_000]),
    st.integers(MIN_MICROS, MAX_MICROS),
)


VECTORS = st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.5, math.inf]), min_size=WIDTH, max_size=WIDTH)


STORED: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.INTEGER: INTEGERS,
    Kind.REAL: st.one_of(REALS, st.sampled_from([math.nan, -math.nan])),
    Kind.TEXT: TEXTS,
    Kind.BLOB: BLOBS,
    Kind.BOOLEAN: st.booleans(),
    Kind.TIMESTAMP: MICROS,
    Kind.JSON: TEXTS,
    Kind.FLOAT: VECTORS,
}


TIME_TEXTS = st.one_of(
    MICROS.map(render),
    MICROS.map(lambda us: render(us)[:10]),
    MICROS.map(lambda us: render(us).replace(" ", "T")),
    MICROS.map(lambda us: render(us) + " "),
    MICROS.map(lambda us: render(us) + "\0"),
    st.sampled_from(
        ["2023-11-14 22:13:20.", "2023-11-14 22:13:20.000001", "2023-11-14 22:13:20.0", "A", ":", "/"]
    ),
)


OPERANDS = st.one_of(
    st.none(),
    INTEGERS,
    REALS,
    TEXTS,
    BLOBS,
    TIME_TEXTS,
    VECTORS.map(lambda vector: struct.pack(f"<{WIDTH}f", *vector)),
)


class Case:
    """A column as an Arrow array (a slice of a longer one) and as a table."""

    def __init__(
        self, database: apsw.Connection, column_type: ColumnType, stored: list[Any], junk: list[Any]
    ) -> None:
        self.database, self.column_type = database, column_type
        whole = pa.array(junk + stored + junk, arrow_type(column_type))
        self.array = whole.slice(len(junk), len(stored))
        self.values = sql_values(self.array, column_type)
        self.table = column_type.kind.value
        database.execute(f"DELETE FROM {self.table}")
        database.executemany(
            f"INSERT INTO {self.table}(rowid, c) VALUES (?, ?)", list(enumerate(self.values, start=0))
        )

    def rows(self, condition: str, operands: tuple[Any, ...]) -> list[bool]:
        """What SQLite says of each row."""
        found = self.database.execute(f"SELECT rowid FROM {self.table} WHERE {condition}", operands)
        rows = {row for (row,) in found}
        return [row in rows for row in range(len(self.values))]

    def check(self, bound: Bound, expected: list[bool], *, exact: bool | None = None) -> None:
        """The mask against SQLite's answer, and ``test``, ``prune`` and ``covers`` against the mask."""
        mask = bound.mask(self.array)
        assert mask.dtype == np.bool_
        if bound.exact if exact is None else exact:
            assert mask.tolist() == expected
        else:
            assert all(found or not wanted for found, wanted in zip(mask.tolist(), expected, strict=True))
        assert [bound.test(value) for value in self.values] == mask.tolist()
        for size in (1, 2, 5):
            starts = range(0, len(self.array), size)
            parts = [self.array.slice(start, size) for start in starts]
            zones = Zones.build(
                [len(part) for part in parts],
                [Zones.of(part, self.column_type) for part in parts],
                self.column_type,
            )
            zones = Zones.unpack(zones.pack(), self.column_type)
            may = bound.prune(zones)
            assert may.shape == (len(parts),)
            assert all(
                keep or not mask[start : start + size].any()
                for keep, start in zip(may.tolist(), starts, strict=True)
            )
            certain = bound.covers(zones)
            assert certain.shape == (len(parts),)
            assert all(
                mask[start : start + size].all()
                for covered, start in zip(certain.tolist(), starts, strict=True)
                if covered
            )
        self.check_keys(bound, mask)

    def check_keys(self, bound: Bound, mask: np.ndarray[Any, Any]) -> None:
        """Keys and bounds hold every stored value that matches."""
        stored = self.array
        if self.column_type.kind is Kind.TIMESTAMP:
            stored = stored.cast(pa.int64())
        values = self.values if self.column_type.kind is Kind.FLOAT else stored.to_pylist()
        matching = [value for value, found in zip(values, mask.tolist(), strict=True) if found]
        if bound.keys is not None:
            assert all(value in bound.keys for value in matching)
        if bound.bounds is not None and self.column_type.kind in (Kind.INTEGER, Kind.BOOLEAN, Kind.TIMESTAMP):
            assert all(bound.bounds[0] <= value <= bound.bounds[1] for value in matching)


def cases(column_type: ColumnType) -> st.SearchStrategy[tuple[list[Any], list[Any]]]:
    values = st.one_of(
        st.none(), STORED[column_type.kind], STORED[column_type.kind], STORED[column_type.kind]
    )
    return st.tuples(st.lists(values, max_size=12), st.lists(values, max_size=3))


def operand_of(draw: st.DrawFn, stored: list[Any], column_type: ColumnType) -> Any:
    """Often a value of the column."""
    present = [value for value in stored if value is not None]
    if present and draw(st.booleans()):
        return sql_values(pa.array([draw(st.sampled_from(present))], arrow_type(column_type)), column_type)[0]
    return draw(OPERANDS)


def sql_of(op: Op) -> str:
    return f"c {op.value} ?"


@st.composite
def comparisons(draw: st.DrawFn, column_type: ColumnType) -> tuple[list[Any], list[Any], Op, Any]:
    stored, junk = draw(cases(column_type))
    return stored, junk, draw(st.sampled_from(COMPARISONS)), operand_of(draw, stored, column_type)


def is_short(number: float) -> bool:
    """Its text is the same in every version of SQLite."""
    return (
        number != 0 and len(repr(number).replace(".", "").split("e")[0]) <= 12 and 1e-300 < abs(number) < 1e15
    )
