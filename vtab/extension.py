"""The Python half of SQLite's loadable extension, whose C half is ``native/*.c``.

It is called once a statement, or once a part of rows.

The C half keeps ``sqlite3*`` and hands values over; here they meet the same tables as in ``sqlite``. A part
of rows crosses as ``(count, columns)`` with one entry for each declared column and one for the rowid:

- ``None``: not held; the cursor is asked for each value (``other``)
- ``(schema, array)``: two capsules of the Arrow PyCapsule interface
- ``(value,)``: the same in every row
- a list: a value a row, each None, int, float, str or bytes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.errors import QueryError
from audiomem_sql.table.table import Table
from audiomem_sql.vtab import arguments as creation
from audiomem_sql.vtab import codes
from audiomem_sql.vtab.index_query import EQ, IndexConstraint, IndexQuery
from audiomem_sql.vtab.interface import Part
from audiomem_sql.vtab.rows import Rows
from audiomem_sql.vtab.table_functions import TableFunction, table_functions
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.vtab.virtual_table import VirtualTable

#: (argument, omit, list) of each condition, text, number, cost, rows, ordered, unique.
Planned = tuple[tuple[tuple[int, bool, bool], ...], str, int, float, int, bool, bool]
Crossing = tuple[int, tuple[Any, ...]]
#: Result code, message, and the exception for a host that takes exceptions as they are, or None.
Explained = tuple[int, str, BaseException | None]
#: For such a host: its own exception, of one of ours and the table that it concerns.
Raised = Callable[[BaseException, str | None], BaseException]
_ROWS_AT_ONCE = 256


def _explained(error: BaseException, raised: Raised | None, table: str | None = None) -> Explained:
    code, message = codes.explained(error, table)
    if raised is None:
        return code, message, None
    # SQLite runs a statement again by itself when the columns have changed; an exception says that it was not
    # run
    return codes.ERROR if code == codes.SCHEMA else code, message, raised(error, table)


class NativeHost:
    """The connection, by functions that C made: see :class:`~audiomem_sql.vtab.interface.Host`."""

    def __init__(
        self,
        execute: Callable[[str], None],
        db_filename: Callable[[str], str | None],
        last_insert_rowid: Callable[[], int],
        vtab_on_conflict: Callable[[], int],
        autocommit: Callable[[], int],
    ) -> None:
        self.execute = execute
        self.db_filename = db_filename
        self.last_insert_rowid = last_insert_rowid
        self.vtab_on_conflict = vtab_on_conflict
        self._autocommit = autocommit

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun by hand."""
        return not self._autocommit()


class Door:
    """What the extension registers with one connection."""

    def __init__(
        self,
        host: NativeHost,
        scalars: Sequence[tuple[str, int, Callable[..., Any], int]],
        raised: Raised | None = None,
    ) -> None:
        self.host = host
        self.raised = raised
        self.scalars = tuple(scalars)
        self._tables = Tables()
        self.functions = tuple(
            (function.name, FunctionTable(function, raised))
            for function in table_functions(self._tables, lambda: host)
        )

    def create(self, again: int, database: str, name: str, *arguments: str) -> tuple[str, NativeTable]:
        """(declaration, table) of CREATE VIRTUAL TABLE; ``again``: of a database that was opened."""
        if again:
            table = creation.connect(self.host, database, arguments)
        else:
            table = creation.create(self.host, database, name, arguments)
        try:
            made = NativeTable(self._tables, self.host, name, table, self.raised)
            declaration = creation.declaration(name, table.schema)
        except BaseException:
            table.close()
            raise
        self._tables.add(made)
        return declaration, made

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return _explained(error, self.raised)


class NativeTable(VirtualTable):
    """One audiomem table of one connection, as C asks for it."""

    def __init__(
        self, tables: Tables, host: NativeHost, name: str, table: Table, raised: Raised | None
    ) -> None:
        super().__init__(tables, host, name, table)
        self._raised = raised

    def planned(
        self, conditions: Sequence[tuple[int, int, bool, str, Any, bool]], order: Any, used: int
    ) -> Planned | None:
        """What SQLite is told of a plan; None: not in this order of its loops."""
        answer = self.best_index(IndexQuery([IndexConstraint(*each) for each in conditions], order, used))
        if answer is None:
            return None
        uses = zip(answer.arguments, answer.omitted, answer.lists, strict=True)
        rest = (answer.text, answer.number, answer.cost, answer.rows, answer.ordered, answer.unique)
        return tuple(uses), *rest

    def open(self) -> NativeCursor:
        """A cursor."""
        self.opened()
        cursor = NativeCursor(self)
        self.open_cursors += 1
        return cursor

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return _explained(error, self._raised, self.name)


class NativeCursor:
    """Rows of one plan, as parts that C can take apart."""

    def __init__(self, owner: NativeTable) -> None:
        self._owner = owner
        self._rows = Rows(owner)
        self._rowids: Sequence[int] = ()

    def filter(self, text: str, arguments: Sequence[Any]) -> Crossing | None:
        """Begin with the first rows of a plan; lists are those of ``IN``."""
        values = [frozenset(value) if type(value) is list else value for value in arguments]
        return self._crossing(self._rows.begin(text, values))

    def next(self) -> Crossing | None:
        """The next rows; None at the end."""
        return self._crossing(self._rows.next())

    def other(self, column: int, row: int) -> Any:
        """A value of a row of the part that was given last, in a column that the plan does not name.

        A FoundRow crosses as a pointer, which SQL takes for NULL and functions get back.
        """
        return self._rows.other(column, int(self._rowids[row]))

    def close(self) -> None:
        """Done."""
        self._rows.close()

    def _crossing(self, part: Part | None) -> Crossing | None:
        if part is None:
            return None
        rows, schema = self._rows, self._owner.schema
        self._rowids = part.rowids
        width = len(schema)
        columns: list[Any] = [None] * (width + 1)  # the last of these is called like the table
        columns += [(rows.other(column, 0),) for column in range(width + 1, width + 6)]
        columns.append(_crossing_values(part.rowids))
        if schema.rowid_column is not None:
            columns[schema.rowid_column] = columns[-1]
        for column, values in zip(rows.plan.columns, part.columns, strict=True):
            columns[column] = _crossing_values(values)
        if part.ranks is not None:
            columns[width + 1], columns[width + 2] = part.ranks, part.distances
        return len(part.rowids), tuple(columns)


def _crossing_values(values: Any) -> Any:
    if type(values) is list:
        return values
    return (integer_array(values) if isinstance(values, np.ndarray) else values).__arrow_c_array__()


class FunctionTable:
    """A table-valued function as an eponymous virtual table; its arguments are hidden columns."""

    def __init__(self, function: TableFunction, raised: Raised | None) -> None:
        self.function = function
        self._raised = raised
        hidden = ", ".join(f"{quote(name)} HIDDEN" for name in function.parameters)
        self.declaration = f"CREATE TABLE x({', '.join(map(quote, function.columns))}, {hidden})"

    def planned(
        self, conditions: Sequence[tuple[int, int, bool, str, Any, bool]], order: Any, used: int
    ) -> Planned | None:
        """The arguments are equalities on hidden columns; the text of the plan names those that are given."""
        names: list[str] = []
        uses = []
        for column, op, usable, *_ in conditions:
            parameter = column - len(self.function.columns)
            name = self.function.parameters[parameter] if parameter >= 0 and op == EQ else None
            if name is None or name in names:
                uses.append((0, False, False))
                continue
            if not usable:
                return None
            names.append(name)
            uses.append((len(names), True, False))
        return tuple(uses), ",".join(names), len(names), 1000.0 / (1 + len(names)), 100, False, False

    def open(self) -> FunctionCursor:
        """A cursor."""
        return FunctionCursor(self.function)

    def disconnect(self) -> None:
        """The connection is done with the function."""

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return _explained(error, self._raised)


class FunctionCursor:
    """The rows of one call."""

    def __init__(self, function: TableFunction) -> None:
        self._function = function
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._arguments: tuple[Any, ...] = ()
        self._first = 0

    def filter(self, text: str, arguments: Sequence[Any]) -> Crossing | None:
        """Call the function with the arguments that ``text`` names."""
        named = dict(zip(text.split(",") if text else (), arguments, strict=True))
        self._rows = self._function.call(**named)
        self._arguments = tuple((named.get(name),) for name in self._function.parameters)
        self._first = 0
        return self.next()

    def next(self) -> Crossing | None:
        """The next rows; None at the end."""
        rows = list(islice(self._rows, _ROWS_AT_ONCE))
        if not rows:
            return None
        rowids = list(range(self._first, self._first + len(rows)))
        self._first += len(rows)
        columns = map(list, zip(*rows, strict=True))
        return len(rows), (*columns, *self._arguments, rowids)

    def other(self, column: int, row: int) -> Any:
        """Every column is held."""
        raise QueryError(f"{self._function.name} has no column {column}")

    def close(self) -> None:
        """Done."""
        self._rows = iter(())
