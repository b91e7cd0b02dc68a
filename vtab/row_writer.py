"""INSERT and UPDATE in SQLite: from the fields of a statement to the row that is stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any, cast

from audiomem_sql.columns.affinity import compile_converters, converter, not_null_failed
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.defaults import fillers
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import ConstraintError, DataTypeError, UnsupportedError
from audiomem_sql.search import FoundRow
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.commands import Command
from audiomem_sql.vtab.hidden_columns import HiddenColumns
from audiomem_sql.vtab.index_query import ABORT, IGNORE, REPLACE
from audiomem_sql.vtab.interface import WritingHost
from audiomem_sql.vtab.running import RunningStatement
from audiomem_sql.vtab.statement_text import Writing
from audiomem_sql.writing.on_conflict import OnConflict, rule_of
from audiomem_sql.writing.transaction import Transaction

#: What hidden columns hold when SQLite hands them back in an UPDATE that leaves them as they are.
_AS_READ: dict[Hidden, type | tuple[()]] = {
    Hidden.TABLE: FoundRow,
    Hidden.RANK: float,
    Hidden.DISTANCE: float,
    Hidden.K: (),  # this, the filter and the ranking: what the query asked for
    Hidden.FILTER: (),
    Hidden.RANKING: (),
    Hidden.AS_OF: NoneType,
    Hidden.PASSAGE: str,
}
_convert_rowid = converter(Column("rowid", ColumnType(Kind.INTEGER), primary_key=True))
_CONFLICTS = {REPLACE: OnConflict.REPLACE, IGNORE: OnConflict.IGNORE}


class RowWriter:
    """Writes the rows of one table, with the columns that it had when it was connected."""

    def __init__(
        self,
        table: Table,
        connection: WritingHost,
        hidden: HiddenColumns,
        running: RunningStatement,
    ) -> None:
        self._table = table
        self._connection = connection
        self._running = running
        self._hidden = hidden
        places = list(enumerate(hidden.roles, hidden.width))
        self._versions = [place for place, role in places if role is Hidden.VERSION]
        self._as_read = [(place, role, _AS_READ[role]) for place, role in places if role in _AS_READ]
        #: The k, filter and ranking of the search that began last: what rows that it found show.
        self.searched: dict[Hidden, Any] = {}
        self._schema = table.schema
        self._width = len(self._schema)
        self._is_remote = table.files.is_remote
        self._converters = compile_converters(self._schema)
        self._defaults = fillers(self._schema)
        self._told: Writing | None = None  # the statement that wrote last,
        self._left_out = self._defaults  # and the columns with a default that it did not name
        self._changes = -1  # of the connection, when the statement that updates now began

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> int | None:
        """INSERT, or a command; the new rowid, or None if OR IGNORE dropped the row."""
        self._running.refuse_returning()
        if _some(fields[self._width :]):
            fields = _as_sql_sees(fields)
        if _some(fields[self._width :]):
            self._running.refuse_command(self._table.path)
            command = Command.written(self._table, self._hidden, fields)
            command.run(self._table, alone=not self._connection.in_transaction)
            if not self._table.schema.is_same(self._schema):
                self._connection.execute("PRAGMA writable_schema=RESET")  # SQLite asks for the columns again
            return self._connection.last_insert_rowid()
        fields = _without_negative_zero(fields)
        on_conflict = self._on_conflict()
        row = self._row(self._with_defaults(fields, on_conflict), on_conflict, rowid)
        added = None if row is None else self._added(rowid, row, on_conflict)
        if added is None and on_conflict is not OnConflict.IGNORE:
            # A constraint of the table ignored it, and SQLite wants a rowid all the same.
            return self._connection.last_insert_rowid()
        return added

    def _added(self, rowid: int | None, row: list[Any], on_conflict: OnConflict) -> int | None:
        """Insert a row; its rowid. The transaction learns if nobody is told a rowid that it chose."""
        transaction = self._table.begin()
        added = transaction.insert(rowid, row, on_conflict)
        alias = self._schema.rowid_column
        chosen = rowid is None and (alias is None or row[alias] is None)
        if self._is_remote and chosen and added is not None and self._running.tells_at_the_end():
            transaction.untold.add(added)
        return added

    def change(self, rowid: int, new: Any, fields: Sequence[Any]) -> int | None:
        """UPDATE; the rowid, or None if OR IGNORE left the row as it was.

        new: what ``SET rowid = …`` says, of any type: of a virtual table SQLite does not look at it.
        """
        if not self._is_of_now(fields):
            raise UnsupportedError(
                "UPDATE changes the newest version only, and no hidden column",
                file=self._table.path,
                remedy="To have an old version again: INSERT INTO t(t, rank) VALUES ('restore', 3).",
            )
        new = _rowid_of(new)
        transaction = self._table.begin()
        fields = _without_negative_zero(fields)
        if any(value != value for value in fields):
            fields = self._with_kept(transaction, rowid, fields)
        changes = self._connection.total_changes()
        if changes != self._changes:  # it counts whole statements: this is the first row of one
            self._changes = changes
            transaction.replaced.clear()
        on_conflict = self._on_conflict()
        fields = self._with_needed(fields, on_conflict)
        row = self._row(fields, on_conflict, None if new == rowid else new, rowid)
        if row is None:
            return None if on_conflict is OnConflict.IGNORE else rowid
        alias = self._schema.rowid_column
        if alias is not None and new == rowid:
            if row[alias] is None:
                name = self._schema.columns[alias].name  # in SQLite, too, this is a matter of types
                raise DataTypeError(f"cannot store NULL value in INTEGER PRIMARY KEY column {name}")
            new = row[alias]
        done = transaction.update(rowid, new, row, on_conflict)
        return new if done is None and on_conflict is not OnConflict.IGNORE else done

    def _with_kept(self, transaction: Transaction, rowid: int, fields: Sequence[Any]) -> list[Any]:
        """The fields with what the row has where NaN says that it stays: NaN of any bits, or -0.0."""
        row = transaction.stored_row(rowid) or ()
        return [
            value if value == value else row[place] if place < len(row) else None
            for place, value in enumerate(fields)
        ]

    def _is_of_now(self, fields: Sequence[Any]) -> bool:
        """Whether the hidden columns of an UPDATE are those of a row of the newest version, as it was read.

        A row that MATCH found comes with what the cursor says of it: FoundRow, rank, distance, k, filter,
        ranking.
        """
        version = self._table.version
        for place in self._versions:
            if fields[place] != version:
                return False
        for place, role, kind in self._as_read:
            value = fields[place]
            if value is None or isinstance(value, kind):
                continue
            if kind or value != self.searched.get(role):
                return False
        return True

    def _with_defaults(self, fields: Sequence[Any], on_conflict: OnConflict) -> Sequence[Any]:
        """The fields of a new row.

        SQLite says NULL for a column that INSERT left out, and for one set to NULL. The text of the statement
        tells them apart; where it cannot be had, as in a trigger, NULL takes the default.
        """
        if not any(fields[column] is None for column, _ in self._defaults):
            return fields
        writing = self._running.writing()
        if writing is not self._told:
            self._told, self._left_out = writing, self._left_out_by(writing)
        filled = list(fields)
        for column, default in self._left_out:
            if filled[column] is None:
                filled[column] = default()
        return self._with_needed(filled, on_conflict)

    def _left_out_by(self, writing: Writing | None) -> list[tuple[int, Callable[[], Any]]]:
        """The columns with a default that a statement does not name; all of them where it is not known."""
        if writing is None:
            return self._defaults
        if writing.columns is None:
            return []
        names = self._schema.names
        return [each for each in self._defaults if fold(names[each[0]]) not in writing.columns]

    def _with_needed(self, fields: Sequence[Any], on_conflict: OnConflict) -> Sequence[Any]:
        """With defaults in place of NULL where NOT NULL is violated, and replaces."""
        if on_conflict not in (OnConflict.REPLACE, OnConflict.OWN):
            return fields
        filled = list(fields)
        for column, default in self._defaults:
            if filled[column] is None and _null_rule(self._schema.columns[column], on_conflict) is (
                OnConflict.REPLACE
            ):
                filled[column] = default()
        return filled

    def _row(
        self, fields: Sequence[Any], on_conflict: OnConflict, new: int | None, old: int | None = None
    ) -> list[Any] | None:
        """The values that the columns store; None if the row is dropped.

        SQLite looks at the type of the rowid, at NOT NULL, and whether the rowid is new, before the types of
        the others; with a CHECK, which needs the types, it looks at these before the rowid.
        """
        try:
            return [convert(value) for convert, value in zip(self._converters, fields, strict=False)]
        except DataTypeError:
            if FoundRow in map(type, fields):
                return self._row(_as_sql_sees(fields), on_conflict, new, old)
            first = self._violated_before_types(fields, on_conflict, new, old)
            if first is None:
                raise
            error, rule = first
            if rule is OnConflict.IGNORE:
                return None
            raise error from None

    def _violated_before_types(
        self, fields: Sequence[Any], on_conflict: OnConflict, new: int | None, old: int | None
    ) -> tuple[ConstraintError, OnConflict] | None:
        """The first violation, and what becomes of the row."""
        schema = self._schema
        alias, name = schema.rowid_column, "rowid"
        if alias is not None:
            name = schema.columns[alias].name
            if new is None:
                new = cast("int | None", self._converters[alias](fields[alias]))
        for column, value in zip(schema.columns, fields, strict=False):
            if value is None and column.not_null and not column.is_rowid:
                return not_null_failed(column), _null_rule(column, on_conflict)
        rule = on_conflict if alias is None else rule_of(schema.columns[alias].key_conflict, on_conflict)
        if new is None or new == old or schema.checks or rule is OnConflict.REPLACE:
            return None
        if not self._table.begin().contains(new):
            return None
        return ConstraintError(f"UNIQUE constraint failed: {name}"), rule

    def _on_conflict(self) -> OnConflict:
        mode = self._connection.vtab_on_conflict()
        if mode == ABORT and self._schema.has_conflict_clauses:  # or there was no OR
            writing = self._running.writing()
            return OnConflict.RAISE if writing is not None and writing.conflict else OnConflict.OWN
        return _CONFLICTS.get(mode, OnConflict.RAISE)


def _rowid_of(value: Any) -> int:
    """The rowid that UPDATE sets; DataTypeError for what is no integer, as SQLite's own tables refuse it."""
    rowid = None if type(value) is FoundRow else _convert_rowid(value)
    if rowid is None:
        raise DataTypeError("cannot store NULL value in the rowid", remedy="A row has a rowid")
    return cast(int, rowid)


def _some(values: Sequence[Any]) -> bool:
    """Whether one of them is not NULL."""
    return values.count(None) != len(values)


def _without_negative_zero(fields: Sequence[Any]) -> Sequence[Any]:
    """The fields with 0.0 for -0.0, as SQLite's own tables store it."""
    if 0.0 not in fields:
        return fields
    return [value + 0.0 if type(value) is float else value for value in fields]


def _as_sql_sees(fields: Sequence[Any]) -> list[Any]:
    """The fields, with NULL for what a hidden column holds for ``highlight``."""
    return [None if type(value) is FoundRow else value for value in fields]


def _null_rule(column: Column, on_conflict: OnConflict) -> OnConflict:
    """What becomes of a row with NULL in a column."""
    return rule_of(column.null_conflict, on_conflict) if column.not_null else OnConflict.RAISE
