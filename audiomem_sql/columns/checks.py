"""CHECK: whether rows fulfil the conditions that a table sets, as SQLite itself decides it.

A table in memory, of our own, has the same columns and the same CHECKs; a row that SQLite puts into it
fulfils them. It holds only those columns that a CHECK names, and one row at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.column import ROWID_NAMES, Column
from audiomem_sql.columns.constraints import Check
from audiomem_sql.columns.expressions import (
    DATE_FUNCTIONS,
    deterministic_functions,
    empty_database,
    watched,
)
from audiomem_sql.columns.lexemes import Lexeme, Token, lexemes, quote, source
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import sqlite_declaration
from audiomem_sql.errors import ConstraintError, DataTypeError, SchemaError

CHECK_FAILED = "CHECK constraint failed: "
_REMEDY = "Change the row, or the table's CHECK"
_TABLE = "the row"
#: Arguments of the date functions that make them depend on the moment or on the place.
_MOMENTS = ("now", "localtime", "utc")
#: Evaluators that a thread keeps.
_KEPT = 16
#: Rows that are Python values at once.
_ROWS_AT_ONCE = 1 << 10
_threads = threading.local()


def checks_of(schema: Schema) -> Checks | None:
    """The evaluator, of this thread, of the CHECKs of a table; None if it has none.

    SchemaError as for :class:`Checks`.
    """
    if not schema.checks:
        return None
    kept: dict[int, Checks] = _threads.__dict__.setdefault("kept", {})
    evaluator = kept.get(id(schema))
    if evaluator is None or evaluator.schema is not schema:
        while len(kept) >= _KEPT:
            kept.pop(next(iter(kept)))
        evaluator = kept[id(schema)] = Checks(schema)
    return evaluator


class Checks:
    """The CHECKs of ``schema``, compiled. Belongs to one thread.

    SchemaError for what SQLite refuses: a sub-select, a parameter, a column or function that is not there,
    and functions whose result may change from one time to the next.
    """

    def __init__(self, schema: Schema) -> None:
        import apsw

        self.schema = schema
        self._connection = empty_database()
        self._failure = apsw.ConstraintError
        self._error = apsw.Error
        columns = ", ".join(map(_declaration, schema.columns))
        self._connection.execute(f"CREATE TABLE probe({columns})")
        named: set[str] = set()
        for check in schema.checks:
            named |= self._columns_of(check)
        constraints = ", ".join(check.sql() for check in schema.checks)
        self._try(f'CREATE TABLE "{_TABLE}"({columns}, {constraints})')
        # it is compiled, and not run: a CHECK may fail for any row, as in SQLite
        self._try(f'EXPLAIN INSERT INTO "{_TABLE}" DEFAULT VALUES')
        self._places = [place for place, column in enumerate(schema.columns) if column.name in named]
        self._types = [schema.columns[place].type for place in self._places]
        names = [quote(schema.columns[place].name) for place in self._places]
        # Where no CHECK asks for the rowid, all rows have the same one, and each takes the place of the one
        # before. It has no name where columns took all three.
        rowid = next((name for name in ROWID_NAMES if name not in schema), None)
        #: Whether a CHECK asks for the rowid.
        self.by_rowid = rowid is not None and "ROWID" in named
        marks = ["?"] * len(names)
        if rowid is not None:
            names, marks = [rowid, *names], ["?" if self.by_rowid else "1", *marks]
        values = f"({', '.join(names)}) VALUES ({', '.join(marks)})" if names else "DEFAULT VALUES"
        # a CHECK that fails stops OR REPLACE as well
        self._insert = f'INSERT OR REPLACE INTO "{_TABLE}" {values}'
        self._rowid = 0

    def _try(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except self._error as error:
            raise SchemaError(f"CHECK: {error}") from None

    def _columns_of(self, check: Check) -> set[str]:
        """The columns that a CHECK names; ``ROWID`` may be among them.

        Raises SchemaError for what a CHECK may not say.
        """
        import apsw

        columns: set[str] = set()
        functions: set[str] = set()
        selects = 0

        def allow(action: int, first: str | None, second: str | None) -> bool:
            nonlocal selects
            if action == apsw.SQLITE_READ and second is not None:
                columns.add(second)
            elif action == apsw.SQLITE_FUNCTION and second is not None:
                functions.add(second.lower())
            selects += action == apsw.SQLITE_SELECT
            return action in (apsw.SQLITE_READ, apsw.SQLITE_FUNCTION) or (
                action == apsw.SQLITE_SELECT and selects == 1
            )

        place = f"CHECK ({check.expression})"
        with watched(self._connection, allow):
            try:
                self._connection.execute(f"SELECT 1 FROM probe WHERE ({check.expression}\n)", can_cache=False)
            except apsw.BindingsError:
                raise SchemaError("a parameter has no place in a CHECK", place=place) from None
            except apsw.Error as error:
                what = "a sub-select has no place in a CHECK" if selects > 1 else str(error)
                raise SchemaError(what, place=place) from None
        strange = functions - deterministic_functions() - DATE_FUNCTIONS
        if strange or _asks_the_clock(check, functions):
            name = min(strange or functions & DATE_FUNCTIONS)
            raise SchemaError(
                f"{name}() may give something else the next time",
                place=place,
                remedy="A CHECK depends on the row only",
            )
        return columns

    def failed(self, rowid: int, row: Sequence[StoredValue]) -> str | None:
        """The name of the first CHECK that a row of stored values violates, or its text.

        None if there is none.
        """
        values = [as_sql(row[place], kind) for place, kind in zip(self._places, self._types, strict=True)]
        return self._first([(rowid, *values)])

    def check_table(self, rowids: I64Array, table: pa.Table) -> None:
        """Raise ConstraintError for the first row of an Arrow table that violates a CHECK, naming it."""
        for start in range(0, len(rowids), _ROWS_AT_ONCE):
            piece = table.slice(start, _ROWS_AT_ONCE)
            columns = [
                sql_values(piece.column(place).combine_chunks(), kind)
                for place, kind in zip(self._places, self._types, strict=True)
            ]
            numbers = rowids[start : start + _ROWS_AT_ONCE].tolist()
            failure = self._first(zip(numbers, *columns, strict=True))
            if failure is not None:
                raise check_failed(failure, self._rowid)

    def _first(self, rows: Iterable[tuple[Any, ...]]) -> str | None:
        """The failure of the first of (rowid, values …) that has one; its rowid is then in ``_rowid``."""
        connection = self._connection
        try:
            connection.execute("BEGIN")
            connection.executemany(self._insert, self._counted(rows))
        except self._failure as error:
            return str(error).removeprefix(CHECK_FAILED)
        except self._error as error:
            raise DataTypeError(f"a CHECK cannot be evaluated: {error}", place=f"row {self._rowid}") from None
        finally:
            connection.execute("ROLLBACK")
        return None

    def _counted(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            self._rowid = row[0]
            yield row if self.by_rowid else row[1:]


def with_renamed_column(schema: Schema, name: str, new: str) -> tuple[Check, ...]:
    """The CHECKs of ``schema`` after its column ``name`` was called ``new``; SQLite itself rewrites them."""
    connection = empty_database()
    declared = ", ".join(map(_declaration, schema.columns))
    changed = []
    for check in schema.checks:
        connection.execute(f'CREATE TABLE "{_TABLE}"({declared}, CHECK ({check.expression}\n))')
        connection.execute(f'ALTER TABLE "{_TABLE}" RENAME COLUMN {quote(name)} TO {quote(new)}')
        sql = str(connection.execute("SELECT sql FROM sqlite_schema").fetchall()[0][0])
        words = lexemes(sql)
        begin = next(place for place, word in enumerate(words) if word.is_word("CHECK")) + 2
        changed.append(Check(source(sql, words[begin:-2]), check.name))
        connection.execute(f'DROP TABLE "{_TABLE}"')
    return tuple(changed)


def check_failed(name: str, rowid: int | None = None) -> ConstraintError:
    """The error of a CHECK; ``error.what`` is SQLite's wording."""
    place = None if rowid is None else f"row {rowid}"
    return ConstraintError(CHECK_FAILED + name, place=place, remedy=_REMEDY)


def _declaration(column: Column) -> str:
    """The column with its affinity and collation, without constraints, and never as the rowid."""
    return f"{quote(column.name)} {sqlite_declaration(column.type)}{column.compared()}"


def _asks_the_clock(check: Check, functions: set[str]) -> bool:
    """Whether a date function is called for the moment, or without arguments, which means the same."""
    if not functions & DATE_FUNCTIONS:
        return False
    words = lexemes(check.expression)
    return any(map(_names_a_moment, words)) or any(
        word.is_word(*map(str.upper, DATE_FUNCTIONS))
        and [after.text for after in words[i + 1 : i + 3]] == ["(", ")"]
        for i, word in enumerate(words)
    )


def _names_a_moment(word: Lexeme) -> bool:
    return word.token is Token.STRING and word.value.strip().lower() in _MOMENTS
