"""INSERT and UPDATE in SQLite: from the fields of a statement to the row that is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from audiomem_sql.columns.affinity import compile_converters, not_null_failed
from audiomem_sql.columns.defaults import fillers
from audiomem_sql.errors import ConstraintError, DataTypeError, UnsupportedError
from audiomem_sql.search import FoundRow
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.commands import run_command
from audiomem_sql.vtab.index_query import IGNORE, REPLACE
from audiomem_sql.vtab.interface import Host
from audiomem_sql.writing.transaction import OnConflict

_CONFLICTS = {REPLACE: OnConflict.REPLACE, IGNORE: OnConflict.IGNORE}


class RowWriter:
    """Writes the rows of one table, with the columns that it had when it was connected."""

    def __init__(self, table: Table, connection: Host) -> None:
        self._table = table
        self._connection = connection
        self._schema = table.schema
        self._width = len(self._schema)
        self._converters = compile_converters(self._schema)
        self._defaults = fillers(self._schema)

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> int | None:
        """INSERT, or a command; the new rowid."""
        if any(value is not None for value in fields[self._width :]):
            run_command(self._table, fields[self._width :], alone=not self._connection.in_transaction)
            if not self._table.schema.is_same(self._schema):
                self._connection.execute("PRAGMA writable_schema=RESET")  # SQLite asks for the columns again
            return self._connection.last_insert_rowid()
        row = self._row(self._with_defaults(fields), rowid)
        added = None if row is None else self._table.begin().insert(rowid, row, self._on_conflict())
        if added is not None or rowid is not None:
            return added
        # The row was ignored. SQLite wants a rowid all the same: one that leaves last_insert_rowid() as it
        # was.
        return self._connection.last_insert_rowid()

    def change(self, rowid: int, new: int, fields: Sequence[Any]) -> None:
        """UPDATE."""
        version, as_of = fields[self._width + 4 :]
        own, *others = fields[self._width : self._width + 4]
        # A row that MATCH found comes with what the cursor says of it: FoundRow, rank, distance.
        unchanged = own is None or isinstance(own, FoundRow)
        unchanged = unchanged and others[2] is None and all(isinstance(v, float | None) for v in others[:2])
        if version != self._table.version or as_of is not None or not unchanged:
            raise UnsupportedError(
                "UPDATE changes the newest version only, and no hidden column",
                file=self._table.path,
                remedy="To have an old version again: INSERT INTO t(t, rank) VALUES ('restore', 3).",
            )
        if self._on_conflict() is OnConflict.REPLACE:
            fields = self._with_defaults(fields, only_needed=True)
        row = self._row(fields, None if new == rowid else new, rowid)
        if row is None:
            return
        alias = self._schema.rowid_column
        if alias is not None and new == rowid:
            if row[alias] is None:
                name = self._schema.columns[alias].name  # in SQLite, too, this is a matter of types
                raise DataTypeError(f"cannot store NULL value in INTEGER PRIMARY KEY column {name}")
            new = row[alias]
        self._table.begin().update(rowid, new, row, self._on_conflict())

    def _with_defaults(self, fields: Sequence[Any], *, only_needed: bool = False) -> Sequence[Any]:
        """The fields of a new row.

        SQLite says NULL for a column that INSERT left out, and for one set to NULL.

        only_needed: in NOT NULL columns alone, as UPDATE OR REPLACE does.
        """
        if not any(fields[column] is None for column, _ in self._defaults):
            return fields
        filled = list(fields)
        for column, default in self._defaults:
            if filled[column] is None and (not only_needed or self._table.schema.columns[column].not_null):
                filled[column] = default()
        return filled

    def _row(self, fields: Sequence[Any], new: int | None, old: int | None = None) -> list[Any] | None:
        """The values that the columns store; None if OR IGNORE drops the row.

        SQLite looks at the type of the rowid, at NOT NULL, and whether the rowid is new, before the types of
        the others; with a CHECK, which needs the types, it looks at these before the rowid.
        """
        try:
            return [convert(value) for convert, value in zip(self._converters, fields, strict=False)]
        except DataTypeError:
            first = self._violated_before_types(fields, new, old)
            if first is None:
                raise
            if self._on_conflict() is OnConflict.IGNORE:
                return None
            raise first from None

    def _violated_before_types(
        self, fields: Sequence[Any], new: int | None, old: int | None
    ) -> ConstraintError | None:
        schema = self._schema
        alias, name = schema.rowid_column, "rowid"
        if alias is not None:
            name = schema.columns[alias].name
            if new is None:
                new = cast("int | None", self._converters[alias](fields[alias]))
        for column, value in zip(schema.columns, fields, strict=False):
            if value is None and column.not_null and not column.is_rowid:
                return not_null_failed(column)
        if new is None or new == old or schema.checks or self._on_conflict() is OnConflict.REPLACE:
            return None
        return (
            ConstraintError(f"UNIQUE constraint failed: {name}")
            if self._table.begin().contains(new)
            else None
        )

    def _on_conflict(self) -> OnConflict:
        return _CONFLICTS.get(self._connection.vtab_on_conflict(), OnConflict.RAISE)
