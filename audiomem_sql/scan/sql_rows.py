"""SQL expressions over rows, decided by SQLite itself: a private database sees a batch of rows as a table.

The database is empty but for that table, and may only compute: it has SQLite's own functions, ``decimal_add``
and the like, sub-selects of what the row itself holds (``json_each``), and no other tables. The text is the
caller's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.expressions import SqlValue, empty_database, watched
from audiomem_sql.columns.lexemes import quote
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.syntax import is_expression
from audiomem_sql.columns.types import ColumnType, Kind, sqlite_declaration
from audiomem_sql.errors import DataTypeError, QueryError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.predicates import ROWID
from audiomem_sql.predicates.predicate import SqlPredicate
from audiomem_sql.predicates.where import no_column, not_understood

if TYPE_CHECKING:
    import apsw

#: Names that no expression has by accident: of the module, of the table, and of the number of a row.
_MODULE, _TABLE, _PLACE = "rows", "\x01rows", "\x01place"
#: What sub-selects may read.
_READ = ("json_each", "json_tree", "jsonb_each", "jsonb_tree", "generate_series")
#: What SQLite says around a name in double quotes.
_NAME = re.compile(r'"(.*)" - should this be .*')
_INTEGER = ColumnType(Kind.INTEGER)
#: Steps of SQLite's machine after which Python looks for Ctrl-C.
_STEPS = 20_000
#: Schemas that databases are kept for.
_MOST_SCHEMAS = 4
#: Databases that are not in use, by the identity of the schema.
_kept: dict[int, list[tuple[apsw.Connection, _Table]]] = {}


class SqlRows:
    """An expression, ready for rows of a table with ``schema``. Any thread may use it.

    QueryError for what SQLite does not understand, with the place in ``whole``, the text that it is part of.
    what: of which kind that text is.
    """

    def __init__(self, predicate: SqlPredicate, schema: Schema, whole: str, what: str = "filter") -> None:
        self._predicate = predicate
        self._schema = schema
        self._whole = whole
        self._what = what
        if not is_expression(predicate.text):
            raise not_understood(whole, predicate.start, "this is no expression of SQL", what)
        self.columns = self._columns()

    def decide(self, load: Callable[[int], pa.Array]) -> tuple[BoolArray, BoolArray]:
        """The rows for which the expression is true, and those for which it is NULL, bool (n,) each.

        load: gives the rows' values of a column, by its number or ROWID.
        """
        opposites = self._evaluated("NOT", load)
        count = len(opposites)
        true = np.fromiter((opposite == 0 for opposite in opposites), bool, count)
        return true, np.fromiter((opposite is None for opposite in opposites), bool, count)

    def values(self, load: Callable[[int], pa.Array]) -> list[SqlValue]:
        """The value of the expression for each row; load as in :meth:`decide`."""
        return self._evaluated("", load)

    def _evaluated(self, operator: str, load: Callable[[int], pa.Array]) -> list[SqlValue]:
        """What ``operator`` makes of the value of the expression, for each row."""
        import apsw

        lists = {column: sql_values(load(column), self._type(column)) for column in self.columns}
        count = len(next(iter(lists.values()))) if lists else len(load(ROWID))
        evaluated: list[SqlValue] = [None] * count
        sql = f"SELECT {quote(_PLACE)}, {operator} ({self._predicate.text}\n) FROM {quote(_TABLE)}"
        with _private(self._schema) as (connection, table):
            table.hold(lists, count)
            try:
                for place, value in connection.execute(sql, self._predicate.parameters):
                    evaluated[place] = value
            except (apsw.Error, DataTypeError) as error:
                rowid = load(ROWID)[table.row].as_py() if table.row < count else None
                raise self._failed(error, rowid) from None
            finally:
                table.hold({}, 0)
        return evaluated

    def _failed(self, error: Exception, rowid: int | None) -> QueryError:
        return QueryError(
            f"the {self._what} {self._predicate.text!r} fails: {error}",
            place=None if rowid is None else f"row {rowid}",
            remedy="Write it so that it has a value for every row, such as with json_valid() or CASE.",
        )

    def _type(self, column: int) -> ColumnType:
        return _INTEGER if column == ROWID else self._schema.columns[column].type

    def _columns(self) -> tuple[int, ...]:
        """The columns that the expression names."""
        import apsw

        named: set[str] = set()

        def allow(action: int, first: str | None, second: str | None) -> bool:
            if action == apsw.SQLITE_FUNCTION:
                return second != "load_extension"
            if action != apsw.SQLITE_READ:
                return action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE)
            if first == _TABLE and second is not None:
                named.add(second)
            if not second:  # rows are counted, such as those of a WITH; only SQLite's own tables are others
                return not (first or "").startswith(("sqlite_", "pragma_"))
            return first == _TABLE or first in _READ

        # an aggregate has no place in a WHERE
        sql = f"SELECT 1 FROM {quote(_TABLE)} WHERE ("
        text = f"{sql}{self._predicate.text}\n) LIMIT 0"
        with _private(self._schema) as (connection, _), watched(connection, allow):
            try:
                connection.execute(text, self._predicate.parameters, can_cache=False)
            except apsw.Error as error:
                raise self._not_understood(error, len(sql)) from None
        alias = self._schema.rowid_column
        rowid = {"ROWID"} if alias is None else {"ROWID", self._schema.columns[alias].name}
        columns = [place for place, name in enumerate(self._schema.names) if name in named - rowid]
        return (*columns, ROWID) if named & rowid else tuple(columns)

    def _not_understood(self, error: apsw.Error, before: int) -> QueryError:
        reason, text = str(error), self._predicate.text
        offset: int = getattr(error, "error_offset", -1)  # apsw does not declare it; in bytes
        at = len(text.encode()[: max(offset - before, 0)].decode(errors="ignore"))
        if at >= len(text):
            at, reason = len(text), "the condition ends where a column or a value is needed"
        if reason.startswith("no such column: "):
            name = _NAME.sub(r"\1", reason.removeprefix("no such column: "))
            reason = no_column(name, self._schema.names)
        elif reason.startswith("no such table: "):
            reason += "; sub-selects of tables need a connection"
        return not_understood(self._whole, self._predicate.start + at, reason, self._what)


@contextmanager
def _private(schema: Schema) -> Iterator[tuple[apsw.Connection, _Table]]:
    """A database with a table for rows of ``schema``, and that table, for one user at a time.

    Those that are not in use are kept, but not by their threads: a thread of another program, as DuckDB's
    are, cannot close one any more when it ends.
    """
    made = None
    with suppress(IndexError):
        made = _kept.setdefault(id(schema), []).pop()
    if made is None or made[1].schema is not schema:
        from audiomem_sql.columns.exact_decimals import SCALARS

        table = _Table(schema)
        connection = empty_database()
        for function in SCALARS:
            connection.create_scalar_function(function.__name__, function, 2, deterministic=True)
        connection.create_module(_MODULE, cast(Any, table), use_bestindex_object=True)
        connection.execute(f"CREATE VIRTUAL TABLE {quote(_TABLE)} USING {_MODULE}")
        connection.set_progress_handler(_not_wanted, _STEPS)
        made = connection, table
    try:
        yield made
    finally:
        while len(_kept) > _MOST_SCHEMAS:
            _kept.pop(next(iter(_kept)))
        _kept.setdefault(id(schema), []).append(made)


def _not_wanted() -> bool:
    check_interrupt()
    return False


class _Table:
    """Module, table and cursor in one: the rows of a batch, of which one statement reads at a time."""

    def __init__(self, schema: Schema) -> None:
        columns = [
            f"{quote(column.name)} {sqlite_declaration(column.type)}{column.compared()}"
            for column in schema.columns
        ]
        self._declaration = f"CREATE TABLE x({', '.join(columns)}, {quote(_PLACE)} HIDDEN)"
        self.schema = schema
        self._width = len(columns)
        self._alias = schema.rowid_column
        self._lists: list[Sequence[Any] | None] = []
        self._count = 0
        self.row = 0

    def hold(self, lists: dict[int, list[Any]], count: int) -> None:
        """Have these rows, by column."""
        self._count, self.row = count, 0
        held = [lists.get(column) for column in range(self._width)]
        if self._alias is not None:
            held[self._alias] = lists.get(ROWID)
        self._lists = [*held, range(count), lists.get(ROWID)]  # the last is Column(-1)

    def Create(self, *arguments: Any) -> Any:
        """The table, whatever the arguments."""
        return self._declaration, self

    Connect = Create

    def BestIndexObject(self, index: Any) -> bool:
        """Every row, in order."""
        return True

    def Open(self) -> Any:
        """The cursor."""
        return self

    def Filter(self, number: int, text: str | None, arguments: Any) -> None:
        """The first row."""
        self.row = 0

    def Eof(self) -> bool:
        """Whether there is no row."""
        return self.row >= self._count

    def Next(self) -> None:
        """The next row."""
        self.row += 1

    def Column(self, number: int) -> Any:
        """A value of this row; -1 is the rowid."""
        return self._lists[number][self.row]  # type: ignore[index]  # what is named is held

    def Rowid(self) -> int:
        """The rowid of this row, if it is named."""
        held = self._lists[-1]
        return self.row if held is None else int(held[self.row])

    def Close(self) -> None:
        """Done."""

    Disconnect = Destroy = Close
