"""The type of each column of texts: one that every text is a value of, and that loses no digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from audiomem_sql.importing.delimited_sql import (
    BOOLEAN,
    DATE,
    INTEGER,
    REAL,
    TEXT,
    TIME_OF_DAY,
    TIMESTAMP,
    ZONED_TIMESTAMP,
    TextColumn,
    doubtful,
    is_bad,
)
from audiomem_sql.importing.duckdb_connection import literal, reader
from audiomem_sql.importing.taken_types import takes
from audiomem_sql.importing.text_values import DECIMAL_DIGITS, PLAIN, is_exact
from audiomem_sql.importing.text_values import INTEGER as INTEGERS

#: In the order in which they are tried, and what holds the values as Arrow has them.
_TRIED: Mapping[str, pa.DataType] = {
    BOOLEAN: pa.bool_(),
    INTEGER: pa.int64(),
    DATE: pa.date32(),
    TIMESTAMP: pa.timestamp("us"),
    ZONED_TIMESTAMP: pa.timestamp("us", "UTC"),
    TIME_OF_DAY: pa.time64("us"),
    REAL: pa.float64(),
}
#: Columns that one statement asks about.
_COLUMNS_AT_ONCE = 40


def decided(made: Any, rows: str, columns: Sequence[tuple[str, str]]) -> list[TextColumn]:
    """The columns with their types. rows: a query. columns: the name of each, and what the query calls it."""
    found: list[TextColumn] = []
    for start in range(0, len(columns), _COLUMNS_AT_ONCE):
        part = columns[start : start + _COLUMNS_AT_ONCE]
        asked = ", ".join(_facts(text) for _, text in part)
        ((*facts_found,),) = made.execute(f"SELECT {asked} FROM ({rows})").fetchall()
        facts = iter(facts_found)
        for name, _ in part:
            found.append(_decided(name, [next(facts) for _ in range(_FACTS)]))
    reals = [i for i, column in enumerate(found) if column.type == REAL]
    for place in _inexact(made, rows, [(i, columns[i][1], found[i]) for i in reals]):
        found[place] = _exact(made, rows, columns[place])
    return found


_FACTS = len(_TRIED) + 3


def _facts(text: str) -> str:
    """How many texts are not blank, whether all are integers, the longest, whether all are of each type."""
    there = f"FILTER (trim({text}) <> '')"
    asked = [
        f"count(*) {there}",
        f"bool_and(regexp_full_match(trim({text}), {literal(INTEGERS)})) {there}",
        f"max(length(ltrim(trim({text}), '-'))) {there}",
    ]
    asked += [f"NOT coalesce(bool_or({is_bad(text, TextColumn('', kind))}), false)" for kind in _TRIED]
    return ", ".join(asked)


def _decided(name: str, facts: Sequence[Any]) -> TextColumn:
    count, integers, digits, *fits = facts
    if not count:
        return TextColumn(name)
    for kind, fit in zip(_TRIED, fits, strict=True):
        if kind == REAL and integers:  # beyond 64 bits
            return TextColumn(name, _decimal(digits, 0))
        if fit and takes(_TRIED[kind]):
            return TextColumn(name, kind)
    return TextColumn(name)


def _decimal(whole: int, scale: int) -> str:
    precision = max(whole + scale, 1)
    if precision > DECIMAL_DIGITS or not takes(pa.decimal128(precision, scale)):
        return TEXT
    return f"DECIMAL({precision},{scale})"


def _exact(made: Any, rows: str, column: tuple[str, str]) -> TextColumn:
    """A column of numbers that no double holds: decimals of all their digits, or texts."""
    name, text = column
    there = f"FILTER (trim({text}) <> '')"
    ((plain, whole, scale),) = made.execute(
        f"SELECT bool_and(regexp_full_match(trim({text}), {literal(PLAIN)})) {there}, "
        f"max(length(ltrim(split_part(trim({text}), '.', 1), '-'))) {there}, "
        f"max(length(split_part(trim({text}), '.', 2))) {there} FROM ({rows})"
    ).fetchall()
    return TextColumn(name, _decimal(whole, scale) if plain else TEXT)


def _inexact(made: Any, rows: str, reals: Sequence[tuple[int, str, TextColumn]]) -> list[int]:
    """The places of columns with a number that no double holds."""
    found: list[int] = []
    for place, text, column in reals:
        asked = doubtful(text, column)
        with reader(made, f"SELECT d FROM (SELECT {asked} AS d FROM ({rows})) WHERE d IS NOT NULL") as texts:
            if any(
                not is_exact(each, float(each)) for batch in texts for each in batch.column(0).to_pylist()
            ):
                found.append(place)
    return found
