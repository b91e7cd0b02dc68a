"""Strategies for tables: columns, rows of awkward values, and how the rows come to lie in segments."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st
from model import ModelColumn, Twins
from spellings import TIMES, spellings

from audiomem_sql.columns.timestamps import render

TYPES = ("INTEGER", "REAL", "TEXT", "BLOB", "BOOLEAN", "TIMESTAMP", "JSON", "FLOAT[2]")
_TYPES = st.sampled_from((*TYPES, "INTEGER", "TEXT", "REAL", "TEXT"))
_COLLATIONS = st.sampled_from(("BINARY", "BINARY", "NOCASE", "RTRIM"))
_DIRECTIONS = st.sampled_from(("", "", " ASC", " DESC"))
_CLAUSES = st.sampled_from(((), (), (), (), ("NOT NULL",), ("UNIQUE",), ("UNIQUE", "NOT NULL")))
#: What DEFAULT may say of a type, as SQL.
_DEFAULTS = {
    "INTEGER": ("7", "-1", "'12'", "(1 + 1)", "0x10"),
    "REAL": ("1", "-.5e1", "(1.0 / 3)"),
    "TEXT": ("'a'", "''", "12", "(upper('ab') || 'c')"),
    "BLOB": ("x''", "x'6100'"),
    "BOOLEAN": ("TRUE", "false", "0"),
}
#: What CHECK may say of a column of a type; ``{c}`` is the column, ``{d}`` another.
_CHECKS = {
    "INTEGER": ("{c} <> 3", "{c} > -1000 OR {c} < 0", "typeof({c}) IN ('integer', 'null')", "{c} IS NOT {d}"),
    "REAL": ("{c} < 1e300", "typeof({c}) IN ('real', 'null')", "{c} <> {d}"),
    "TEXT": (
        "{c} <> 'A'",
        "length({c}) < 4",
        "{c} < 'b' OR {c} GLOB '*b*'",
        "{c} NOT LIKE 'a_' OR {d} IS NULL",
    ),
    "BLOB": ("{c} <> x'41'", "typeof({c}) IN ('blob', 'null')"),
    "BOOLEAN": ("{c}", "{c} IN (0, 1)", "NOT {c} OR {d} IS NOT NULL"),
    "TIMESTAMP": ("{c} < '2100'", "length({c}) >= 19"),
    "JSON": ("json_valid({c})", "length({c}) < 1000"),
    "FLOAT[2]": ("length({c}) = 8",),
}
#: A small pool of names, so that two tables share some (NATURAL, USING).
_NAMES = ("a", "b", "c", "D d", "e", "group")
#: Names of hidden columns, and those of our tables.
HIDDEN_NAMES = ("version", "k", "Rank", "distance", "AS_OF", "a_t", "A_U")
#: How a type may be written.
_WORDS_OF_TYPES = {
    "INTEGER": ("int", "BigInt"),
    "REAL": ("DOUBLE PRECISION", "Float"),
    "TEXT": ("VARCHAR(20)", "string", "varchar ( 3 )"),
    "BOOLEAN": ("bool",),
    "TIMESTAMP": ("datetime",),
    "FLOAT[2]": ("float [2]",),
}

INTEGERS = st.one_of(
    st.integers(-2, 5),
    st.sampled_from(
        (2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**63 - 2, 10**18, 12, -7, 2**62)
    ),
)
REALS = st.one_of(
    st.integers(-2, 5).map(float),
    st.sampled_from((0.0, -0.0, 0.5, -1.5, 1e-300, 5e-324, 1e300, 1e308, math.inf, -math.inf, 0.1, 1 / 3)),
    st.sampled_from((2.0**53, 2.0**53 + 2, -(2.0**53), 2.0**63, -(2.0**63), 9.2e18, 1e18, 12.0)),
)
_WORDS = (
    "",
    "A",
    "a",
    "a ",
    "A  ",
    "aB",
    "AB",
    "ab",
    "b",
    "é",
    "É",
    "ß",
    "日本",
    "\U0001f600x",
    "%",
    "_",
    "a%",
    "[a]",
    "*",
    "?",
)
_NUMBERS = (
    "1",
    "01",
    "1.0",
    " 1",
    "2",
    "-1",
    "1e0",
    "0",
    "0.5",
    "12",
    "12abc",
    "9007199254740993",
    "9223372036854775808",
    "inf",
)
_LONG = ("common prefix of many words a", "common prefix of many words b", "Common Prefix of many words A")
_NULS = ("a\0", "a\0b", "A\0B", "\0", "1\0", "a\0 ")
TEXTS = st.one_of(
    st.sampled_from(_WORDS), st.sampled_from(_NUMBERS), st.sampled_from(_LONG), st.sampled_from(_NULS)
)
BLOBS = st.sampled_from(
    (b"", b"\0", b"a", b"A", b"1", b"\xff", b"\xff\xff", b"ab", b"a\0b", b"\xc3", b"0123456789abcdefgh")
)
TIMESTAMPS = TIMES.map(render)
JSONS = st.sampled_from(("null", "1", '"a"', "[]", '{"a":1}', ' {"a" : 1} ', "[1,2]", "true", "1.0", '"A"'))
VECTORS = st.sampled_from(
    tuple(struct.pack("<2f", *pair) for pair in ((0, 0), (-0.0, 0), (1, 2), (1.5, -2), (3e38, 0)))
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": INTEGERS,
    "REAL": REALS,
    "TEXT": TEXTS,
    "BLOB": BLOBS,
    "BOOLEAN": st.integers(0, 1),
    "TIMESTAMP": TIMESTAMPS,
    "JSON": JSONS,
    "FLOAT[2]": VECTORS,
}
#: What may also be offered to a column, and is converted or refused there.
_FOREIGN: dict[str, st.SearchStrategy[Any]] = {
    "INTEGER": st.one_of(REALS, st.sampled_from(_NUMBERS), BLOBS),
    "REAL": st.one_of(INTEGERS, st.sampled_from(_NUMBERS), BLOBS),
    "TEXT": st.one_of(INTEGERS, REALS, BLOBS),
    "BLOB": st.one_of(INTEGERS, TEXTS),
}
#: Rowids: SQLite and we agree on the one given to a row without, unless the greatest is negative, was
#: deleted, or is the greatest possible. So tables have either NULLs and the first kind, or the second kind
#: and no NULL.
FREE_ROWIDS = st.one_of(st.integers(1, 9), st.sampled_from((12, 2**53, 10**18, 2**62)))
#: Any SQL value, for the right side of a comparison.
ANY = st.one_of(INTEGERS, REALS, TEXTS, BLOBS, TIMESTAMPS, JSONS, VECTORS, st.none())


@lru_cache(maxsize=1000)
def operands_of(column: ModelColumn) -> st.SearchStrategy[Any]:
    """Values that a column is compared with: its own, and any other.

    A TIMESTAMP refuses most others: it gets times in any spelling, and seldom another value.
    """
    own = values_of(column)
    if column.type != "TIMESTAMP":
        return st.one_of(own, own, ANY)
    spelled = TIMES.flatmap(spellings)
    return st.one_of(own, *[spelled] * 6, ANY)


@lru_cache(maxsize=1000)
def values_of(column: ModelColumn, *, foreign: bool = False) -> st.SearchStrategy[Any]:
    """Values for a column; with ``foreign`` also some of other types. NULL is among them."""
    own = _VALUES[column.type]
    some = st.one_of(own, own, own, st.none())
    if foreign and column.type in _FOREIGN:
        return st.one_of(*[some] * 12, _FOREIGN[column.type])
    return some


@st.composite
def columns(draw: st.DrawFn, most: int = 6) -> tuple[ModelColumn, ...]:
    """The columns of one table; at most one of them is the primary key."""
    pool = _NAMES + (HIDDEN_NAMES if draw(st.integers(0, 2)) == 0 else ())
    names = draw(st.permutations(pool))[: draw(st.integers(1, most))]
    key = draw(st.sampled_from((-1, -1, 0, 0, 0, 1)))
    found = []
    for place, name in enumerate(names):
        if place == key:
            kind = draw(
                st.sampled_from(("INTEGER", "INTEGER", "INTEGER", "TEXT", "REAL", "BLOB", "TIMESTAMP"))
            )
            apart = kind == "INTEGER" and draw(st.integers(0, 3)) == 0
            clauses: tuple[str, ...] = ("PRIMARY KEY DESC",) if apart else ("PRIMARY KEY",)
        else:
            kind, clauses = draw(_TYPES), draw(_CLAUSES)
            if kind in ("BOOLEAN", "FLOAT[2]", "JSON"):
                clauses = tuple(clause for clause in clauses if clause == "NOT NULL")
            if kind in _DEFAULTS and draw(st.integers(0, 4)) == 0:
                clauses = (*clauses, f"DEFAULT {draw(st.sampled_from(_DEFAULTS[kind]))}")
        words = draw(st.sampled_from(("", "", *_WORDS_OF_TYPES.get(kind, ()))))
        if "PRIMARY KEY" in clauses:
            words = ""
        collated = kind == "TEXT" or (kind in ("INTEGER", "REAL", "BLOB") and draw(st.integers(0, 5)) == 0)
        found.append(ModelColumn(name, kind, clauses, draw(_COLLATIONS) if collated else "BINARY", words))
    return tuple(found)


@st.composite
def constraints(draw: st.DrawFn, definition: tuple[ModelColumn, ...]) -> tuple[str, ...]:
    """CHECKs and keys of several columns, for one table in four each."""
    found = []
    able = [column for column in definition if column.type not in ("JSON", "FLOAT[2]")]
    if len(able) > 1 and draw(st.integers(0, 3)) == 0:
        key = draw(st.lists(st.sampled_from(able), min_size=2, max_size=3, unique=True))
        keyed = any(clause.startswith("PRIMARY KEY") for column in definition for clause in column.clauses)
        primary = not keyed and draw(st.booleans())
        if draw(st.integers(0, 4)) == 0:
            key = [*key, key[0]]
        names = ", ".join(f'"{column.name}"{draw(_DIRECTIONS)}' for column in key)
        found.append(f"{'PRIMARY KEY' if primary else 'UNIQUE'} ({names})")
    if draw(st.integers(0, 3)) == 0:
        for column in draw(st.lists(st.sampled_from(definition), min_size=1, max_size=2)):
            condition = draw(st.sampled_from(_CHECKS[column.type]))
            other = draw(st.sampled_from(definition))
            found.append(f"CHECK ({condition.format(c=quoted(column), d=quoted(other))})")
    return tuple(found)


def quoted(column: ModelColumn) -> str:
    """The column's name as SQL."""
    return f'"{column.name}"'


@dataclass(frozen=True)
class Step:
    """One statement of a layout, with ``{t}`` in it, and its bindings."""

    sql: str
    bindings: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A table as it comes about: one list of steps a transaction; the last one stays open if ``pending``."""

    columns: tuple[ModelColumn, ...]
    constraints: tuple[str, ...]
    transactions: tuple[tuple[Step, ...], ...]
    pending: bool
    reopened: bool
    prefixed: bool = False  # hidden columns have no short names

    def build(self, twins: Twins, name: str) -> None:
        """Make the table, but for what is pending."""
        options = ["hidden=prefixed"] if self.prefixed else []
        twins.create(name, *self.columns, constraints=self.constraints, options=options)
        for steps in self.transactions[: len(self.transactions) - self.pending]:
            twins.connection.execute("BEGIN")
            self._run(twins, name, steps)
            twins.connection.execute("COMMIT")

    def leave_pending(self, twins: Twins, name: str) -> None:
        """The rest, in the transaction that is open."""
        if self.pending:
            self._run(twins, name, self.transactions[-1])

    def _run(self, twins: Twins, name: str, steps: tuple[Step, ...]) -> None:
        for step in steps:
            twins.write(step.sql.replace("{t}", f"{{{name}}}"), step.bindings)


@st.composite
def layouts(draw: st.DrawFn, most_columns: int = 6, most_rows: int = 8) -> Layout:
    """A table in one segment or in several, with rows deleted, updated, out of order or not committed yet."""
    definition = draw(columns(most_columns))
    alias = next((column for column in definition if column.is_rowid), None)
    free = alias is not None and draw(st.booleans())
    ids = st.one_of(FREE_ROWIDS, st.none(), st.none()) if free else INTEGERS
    row = st.tuples(*(ids if column.is_rowid else values_of(column, foreign=True) for column in definition))
    together = draw(constraints(definition))
    marks = ", ".join("?" * len(definition))
    in_keys = [quoted(column) for column in definition if any(quoted(column) in text for text in together)]
    verbs = ["INSERT OR IGNORE", "INSERT OR IGNORE", "INSERT"]
    keyed = any(column.is_key and not column.is_rowid for column in definition)
    keyed = keyed or any(not text.startswith("CHECK") for text in together)
    if not free or not keyed:
        verbs.append("INSERT OR REPLACE")
    transactions = []
    for _ in range(draw(st.integers(1, 3))):
        rows = draw(st.lists(row, max_size=most_rows))
        verb = draw(st.sampled_from(verbs))
        start = f"{verb} INTO {{t}} VALUES"
        steps = [Step(f"{start} ({marks})", values) for values in rows]
        change = draw(st.sampled_from(("", "", "", "DELETE", "UPDATE", "rowid")))
        if change == "DELETE":
            condition = "rowid % ? = 0 AND rowid <> (SELECT max(rowid) FROM {t})"
            steps.append(Step(f"DELETE FROM {{t}} WHERE {condition}", (draw(st.integers(2, 3)),)))
        elif change == "rowid":
            step, place = draw(st.integers(0, 9)), draw(st.integers(1, 5))
            steps.append(Step("UPDATE {t} SET rowid = rowid + ? WHERE rowid = ?", (step, place)))
        elif change:
            column = draw(st.sampled_from([column for column in definition if column is not alias] or [None]))
            if column is not None:
                one = column.is_key or quoted(column) in in_keys
                rest = "WHERE rowid = ?" if one else "WHERE rowid % 2 = ?"
                value, place = draw(values_of(column)), draw(st.integers(0, 1 + 4 * one))
                steps.append(Step(f'UPDATE {{t}} SET "{column.name}" = ? {rest}', (value, place)))
        transactions.append(tuple(steps))
    ends = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    return Layout(definition, together, tuple(transactions), *ends)
