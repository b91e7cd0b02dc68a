"""The Python half of SQLite's loadable extension, whose C half is ``native/*.c``.

It is called once a statement, or once a part of rows.

The C half keeps ``sqlite3*`` and hands values over; here they meet the same tables as in ``apsw``. A part
of rows crosses as ``(count, columns)`` with one entry for each declared column and one for the rowid:

- ``None``: not held; the cursor is asked for each value (``other``)
- ``(schema, array)``: two capsules of the Arrow PyCapsule interface
- ``(value,)``: the same in every row
- a list: a value a row, each None, int, float, str or bytes
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, cast

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.sql_values import sql_array
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import InterruptError
from audiomem_sql.table.table import Table
from audiomem_sql.vtab import arguments as creation
from audiomem_sql.vtab import codes
from audiomem_sql.vtab.extension_functions import (
    Crossing,
    Explained,
    FunctionTable,
    Planned,
    Raised,
    explained,
)
from audiomem_sql.vtab.hidden_columns import OF_ROW
from audiomem_sql.vtab.index_query import IndexPlan, Question
from audiomem_sql.vtab.interface import Part
from audiomem_sql.vtab.missing_table import MissingTable
from audiomem_sql.vtab.not_utf8 import is_not_utf8, refused_text
from audiomem_sql.vtab.rows import Rows
from audiomem_sql.vtab.table_functions import table_functions
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.vtab.virtual_table import VirtualTable


class NativeHost:
    """The connection, by functions that C made: see :class:`~audiomem_sql.vtab.interface.WritingHost`."""

    def __init__(
        self,
        execute: Callable[[str], None],
        db_filename: Callable[[str], str | None],
        last_insert_rowid: Callable[[], int],
        set_last_insert_rowid: Callable[[int], None],
        vtab_on_conflict: Callable[[], int],
        autocommit: Callable[[], int],
        total_changes: Callable[[], int],
        finds: Callable[[str], bool | None],
        writing: Callable[[], tuple[str | None, ...]],
        returning: Callable[[], tuple[str | None, ...]],
        integers: Callable[[str], bytes],
    ) -> None:
        self.execute = execute
        self.db_filename = db_filename
        self.last_insert_rowid = last_insert_rowid
        self.set_last_insert_rowid = set_last_insert_rowid
        self.vtab_on_conflict = vtab_on_conflict
        self._autocommit = autocommit
        self.total_changes = total_changes
        self.finds = finds
        self.writing = writing
        self.returning = returning
        self.integers = integers

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was begun by hand."""
        return not self._autocommit()


class Door:
    """What the extension registers with one connection."""

    def __init__(
        self,
        host: NativeHost,
        scalars: Mapping[str, Callable[..., Any]],
        aggregates: Mapping[str, Callable[[], Any]],
        raised: Raised | None = None,
    ) -> None:
        self.host = host
        self.raised = raised
        self._scalars = scalars
        self._aggregates = aggregates
        self._tables = Tables()
        self._functions = {
            function.name: FunctionTable(function, raised)
            for function in table_functions(self._tables, lambda: host)
        }

    def scalar(self, name: str) -> Callable[..., Any]:
        """What a scalar function calls; C has registered their names."""
        return self._scalars[name]

    def aggregate(self, name: str) -> Callable[[], Any]:
        """What makes the state of a group of an aggregate."""
        return self._aggregates[name]

    def function(self, name: str) -> FunctionTable:
        """A table-valued function."""
        return self._functions[name]

    def create(
        self, again: int, database: str, name: str, *arguments: str
    ) -> tuple[str, NativeTable | NativeMissingTable]:
        """(declaration, table) of CREATE VIRTUAL TABLE; ``again``: of a database that was opened."""
        key = (database, *arguments)
        open_already = self._tables.writing(key) if again else None
        if open_already is not None:
            declared = creation.joined(open_already, name, arguments)
        elif again and creation.is_missing(self.host, database, arguments):
            return creation.missing_declaration(name, arguments), self._missing(database, name, arguments)
        elif again:
            declared = creation.connect(self.host, database, name, arguments)
        else:
            declared = creation.create(self.host, database, name, arguments)
        try:
            made = NativeTable(self._tables, self.host, database, name, declared, self.raised)
            made.key = key
            declaration = declared.declaration
        except BaseException:
            if open_already is None:
                declared.table.close()
            raise
        self._tables.add(made)
        return declaration, made

    def _missing(self, database: str, name: str, arguments: Sequence[str]) -> NativeMissingTable:
        def find() -> Table:
            return creation.connect(self.host, database, name, arguments).table

        missing = NativeMissingTable(self._tables, self.host, name, find, self.raised)
        self._tables.add(missing)
        return missing

    def not_utf8(self, *arguments: Any) -> NoReturn:
        """Refuse to call a function with a text that is not UTF-8."""
        raise refused_text("a function was given text that is not UTF-8", arguments)

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return explained(error, self.raised)


class NativeTable(VirtualTable):
    """One audiomem table of one connection, as C asks for it."""

    def __init__(
        self,
        tables: Tables,
        host: NativeHost,
        database: str,
        name: str,
        declared: creation.Declared,
        raised: Raised | None,
    ) -> None:
        super().__init__(tables, host, database, name, declared.table, declared.hidden)
        self._raised = raised
        self._host = host

    def interrupted(self) -> bool:
        """Whether the statement that runs is to end."""
        try:
            self._host.execute(codes.ASK)
        except RuntimeError as error:
            return str(error) == "interrupted"
        return False

    def integers(self, sql: str) -> I64Array:
        """The integers of the first column of a query of the connection, int64 (n,)."""
        try:
            return np.frombuffer(self._host.integers(sql), np.int64)
        except Exception as error:
            if str(error) == "interrupted":
                raise InterruptError("interrupted", file=self.table.path) from None
            raise

    def planned(self, *question: Any) -> Planned | None:
        """What SQLite is told of a plan; None: not in this order of its loops."""
        answer = self.best_index(cast(Question, question))
        return None if answer is None else _planned(answer)

    def not_utf8(self, *arguments: Any) -> NoReturn:
        """Refuse a row with a text that is not UTF-8; the arguments are those of insert or change."""
        *rowids, fields = arguments
        names = [*self.schema.names, *self.hidden.names]
        rowid = next((each for each in rowids if each is not None), None)
        key = self.schema.rowid_column
        if rowid is None and key is not None:
            rowid = fields[key]
        bad = next(name for name, value in zip(names, fields, strict=True) if is_not_utf8(value))
        error = refused_text(f"the text for column {bad} is not UTF-8", fields)
        raise error.at(file=self.table.path, place="a new row" if rowid is None else f"row {rowid}")

    def open(self) -> NativeCursor:
        """A cursor."""
        self.opened()
        cursor = NativeCursor(self)
        self.open_cursors += 1
        return cursor

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return explained(error, self._raised, self.name)


def _planned(answer: IndexPlan) -> Planned:
    uses = zip(answer.arguments, answer.omitted, answer.lists, strict=True)
    rest = (answer.text, answer.number, answer.cost, answer.rows, answer.ordered, answer.unique)
    return tuple(uses), *rest


class NativeMissingTable(MissingTable):
    """One audiomem table of one connection whose file is missing, as C asks for it."""

    def __init__(
        self,
        tables: Tables,
        host: NativeHost,
        name: str,
        find: Callable[[], Table],
        raised: Raised | None,
    ) -> None:
        super().__init__(tables, host, name, find)
        self._raised = raised

    def planned(self, *question: Any) -> Planned:
        """No plan, or one that never runs."""
        return _planned(self.best_index(cast(Question, question)))

    def open(self) -> NoReturn:
        """No cursor."""
        self.refuse()

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return explained(error, self._raised, self.name)


class NativeCursor:
    """Rows of one plan, as parts that C can take apart."""

    def __init__(self, owner: NativeTable) -> None:
        self._owner = owner
        self._rows = Rows(owner)
        self._rowids: Sequence[int] = ()
        self._shown: tuple[Any, ...] = ()
        self._hidden: tuple[Any, ...] = ()

    def filter(self, text: str, arguments: Sequence[Any]) -> Crossing | None:
        """Begin with the first rows of a plan; lists are those of ``IN``."""
        values = [frozenset(value) if type(value) is list else value for value in arguments]
        return self._crossing(self._rows.begin(text, values))

    def not_utf8(self, text: str, arguments: Sequence[Any]) -> NoReturn:
        """Refuse to compare with a text that is not UTF-8; the arguments are those of filter."""
        plan, schema = self._owner.plan(text), self._owner.schema
        bad = next(number for number, value in enumerate(arguments, 1) if is_not_utf8(value))
        key = schema.rowid_column
        row = "rowid" if key is None else schema.names[key]
        columns = [term.column for term in plan.terms if term.argument == bad]
        names = [row if column < 0 else schema.names[column] for column in columns]
        what = f"column {names[0]} is compared with" if names else "a condition has"
        raise refused_text(f"{what} text that is not UTF-8", arguments).at(file=self._owner.table.path)

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
        columns: list[Any] = [None] * width
        columns += self._constants(rows)
        columns.append(_crossing_values(part.rowids))
        if schema.rowid_column is not None:
            columns[schema.rowid_column] = columns[-1]
        for column, values in zip(rows.plan.columns, part.columns, strict=True):
            columns[column] = _crossing_values(values, schema.columns[column].type)
        if part.ranks is not None:
            for place, role in enumerate(self._owner.hidden.roles, width):
                if role is Hidden.RANK:
                    columns[place] = part.ranks
                elif role is Hidden.DISTANCE:
                    columns[place] = part.distances
        return len(part.rowids), tuple(columns)

    def _constants(self, rows: Rows) -> tuple[Any, ...]:
        """What crosses for the hidden columns: one value for all rows, but for that called like the table."""
        plan = rows.plan
        given = rows.moment, rows.k, rows.filter
        shown = rows.readable.version, *given, plan.version is None, plan.as_of is None
        if shown != self._shown:
            self._shown = shown
            self._hidden = tuple(
                None if role in OF_ROW else (rows.constant(role),) for role in self._owner.hidden.roles
            )
        return self._hidden


def _crossing_values(values: Any, column_type: ColumnType | None = None) -> Any:
    if column_type is not None and type(values) is not list:
        values = sql_array(values, column_type)
    if type(values) is list:
        return values
    return (integer_array(values) if isinstance(values, np.ndarray) else values).__arrow_c_array__()
