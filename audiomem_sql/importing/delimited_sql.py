"""SQL of DuckDB that makes typed columns of texts, and says which text is none of its type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audiomem_sql.columns.column import Column
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.importing.duckdb_connection import literal
from audiomem_sql.importing.text_values import DATE as DAY
from audiomem_sql.importing.text_values import NUMBER, SAFE_DIGITS, TIME, ZONED
from audiomem_sql.importing.text_values import TIMESTAMP as MOMENT

#: Types that a column of texts may have, and the patterns of those that are asked for by patterns alone.
TEXT, INTEGER, REAL, BOOLEAN, DATE, TIMESTAMP, ZONED_TIMESTAMP, TIME_OF_DAY = (
    "VARCHAR",
    "BIGINT",
    "DOUBLE",
    "BOOLEAN",
    "DATE",
    "TIMESTAMP",
    "TIMESTAMPTZ",
    "TIME",
)
#: Kinds that a declared column is read as; texts of any other, and of logical types, are handed to the
#: engine, which converts them.
_DECLARED = {
    Kind.INTEGER: INTEGER,
    Kind.REAL: REAL,
    Kind.BOOLEAN: BOOLEAN,
    Kind.TIMESTAMP: TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts and the type of its values.

    declared: said by the user, not by the texts. logical: of a declared column that the engine converts.
    """

    name: str
    type: str = TEXT
    declared: bool = False
    logical: ColumnType | None = None

    @classmethod
    def of(cls, column: Column) -> TextColumn:
        """A declared column."""
        if column.type.logical is not None:
            return cls(column.name, TEXT, True, column.type)
        return cls(column.name, _DECLARED.get(column.type.kind, TEXT), True)


def value(text: str, column: TextColumn) -> str:
    """The value of ``text``, an expression; NULL for one that is none."""
    kind = column.type
    if kind == TEXT:
        node = None if column.logical is None else column.logical.logical
        if node is None or node.name == "ENUM":
            return text
        return f"CASE WHEN trim({text}) <> '' THEN {text} END"
    if kind == BOOLEAN and column.declared:
        plain = f"lower(trim({text}))"
        yes, no = "'true', '1', 't', 'yes'", "'false', '0', 'f', 'no'"
        return f"CASE WHEN {plain} IN ({yes}) THEN true WHEN {plain} IN ({no}) THEN false END"
    if kind == INTEGER and column.declared:
        whole = f"regexp_full_match(trim({text}), '[+-]?[0-9]+(\\.0*)?')"
        return f"CASE WHEN {whole} THEN TRY_CAST({text} AS BIGINT) END"
    made = f"TRY_CAST({text} AS {kind})"
    if kind == TIMESTAMP and column.declared:  # DuckDB would leave the zone out
        zoned = f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
        return f"CASE WHEN regexp_matches(trim({text}), {literal(_ZONE)}) THEN {zoned} ELSE {made} END"
    return made


#: A time of day with a zone behind it.
_ZONE = ":[0-9]{2}(\\.[0-9]+)? ?([A-Za-z]|[+-][0-9]{2})"


def is_bad(text: str, column: TextColumn) -> str | None:
    """An expression that is true for a text that is no value of the column's type; None if any is.

    A text that DuckDB writes the value as is one, which is asked first: it is most of them.
    """
    if column.type == TEXT:
        return None
    made = value(text, column)
    if not column.declared:
        rule = _RULES.get(column.type)
    else:
        rule = _finer if column.type == TIMESTAMP else None
    fault = f"{made} IS NULL" + (f" OR {rule(text, made)}" if rule else "")
    if column.type.startswith("DECIMAL"):
        scale = int(column.type[column.type.index(",") + 1 : -1])
        fault += f" OR length(split_part(trim({text}), '.', 2)) > {scale} OR contains(lower({text}), 'e')"
    own = f"CAST({made} AS VARCHAR) IS DISTINCT FROM {text}"
    if column.type in (DATE, TIMESTAMP):  # DuckDB has more years, and infinity
        own = f"({own} OR substr({text}, 5, 1) <> '-')"
    return f"({own} AND {text} IS NOT NULL AND trim({text}) <> '' AND ({fault}))"


def doubtful(text: str, column: TextColumn) -> str | None:
    """An expression of the text where only its digits tell whether it is a double; None for other types."""
    if column.type != REAL or column.declared:
        return None
    made = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CASE WHEN CAST({made} AS VARCHAR) IS DISTINCT FROM {text} AND {made} IS NOT NULL "
        f"AND (length({text}) > {SAFE_DIGITS} OR abs({made}) > 1e300 OR abs({made}) < 1e-300) "
        f"AND NOT regexp_full_match({text}, '[-+ ]?[0.]+') THEN {text} END"
    )


def _other_integer(text: str, made: str) -> str:
    """``007``, ``+1`` and ``1_000`` are no integers, but texts that look like some."""
    return f"CAST({made} AS VARCHAR) <> trim({text})"


def _other_number(text: str, made: str) -> str:
    """``007.5`` and ``1_000.5`` are no numbers, but texts that look like some."""
    digit = "BETWEEN '0' AND '9'"
    looks = (
        f"(starts_with({text}, '0') AND substr({text}, 2, 1) {digit})",
        f"(starts_with({text}, '-0') AND substr({text}, 3, 1) {digit})",
        f"starts_with({text}, ' ')",
        f"starts_with({text}, '+')",
    )
    whole = f"NOT regexp_full_match(trim({text}), {literal(NUMBER)})"
    return f"contains({text}, '_') OR (({' OR '.join(looks)}) AND {whole})"


def _finer(text: str, made: str) -> str:
    """A timestamp that is declared may be written in any way, but not finer than a microsecond."""
    finer = f"regexp_matches({text}, '\\.[0-9]{{7,}}')"
    return f"{finer} OR {made} < TIMESTAMP '0001-01-01' OR {made} >= TIMESTAMP '10000-01-01'"


def _pattern(pattern: str) -> Callable[[str, str], str]:
    return lambda text, made: f"NOT regexp_full_match({text}, {literal(pattern)})"


def _year(pattern: str) -> Callable[[str, str], str]:
    """One of the years 1 to 9999: the pattern has four digits."""
    return lambda text, made: f"NOT regexp_full_match({text}, {literal(pattern)}) OR {text} < '0001'"


_RULES: dict[str, Callable[[str, str], str]] = {
    BOOLEAN: lambda text, made: f"lower(trim({text})) NOT IN ('true', 'false')",
    INTEGER: _other_integer,
    REAL: _other_number,
    DATE: _year(DAY),
    TIMESTAMP: _year(MOMENT),
    ZONED_TIMESTAMP: _year(ZONED),
    TIME_OF_DAY: _pattern(TIME),
}
