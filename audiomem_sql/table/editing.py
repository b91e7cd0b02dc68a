"""The rows of a table changed from Python: each call is one commit, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomem_sql.table.new_values import NewValue
    from audiomem_sql.table.row_edits import (
        ChangedRows,
        RowEdits,
        WhenMatched,
        WhenNotMatched,
        WhenNotMatchedBySource,
        Where,
    )
    from audiomem_sql.table.session import Session
    from audiomem_sql.table.transactions import Transactions


class Editing:
    """The edits of the rows of a table.

    Each is one commit, checked by all constraints: the table has a new version with all of it, or is as it
    was. Where no row is concerned there is no commit. ``message`` is that of the commit. StorageError while
    this thread has a transaction open, BusyError as in ``begin``, ConstraintError for what violates NOT NULL,
    UNIQUE, PRIMARY KEY or CHECK. What is changed is in memory until it is written.

    where: a filter as text with ``parameters`` for its question marks, as in ``to_arrow``, or an expression
    of pyarrow, such as ``pc.field("year") > 2020``; ``"true"`` is every row.
    """

    _session: Session
    _transactions: Transactions

    @property
    def _edits(self) -> RowEdits:
        """What edits rows, loaded with the first edit."""
        from audiomem_sql.table.row_edits import RowEdits

        return RowEdits(self._session, self._transactions)

    def delete(
        self, where: Where, parameters: Sequence[Any] = (), *, message: str | None = None
    ) -> ChangedRows:
        """Delete the rows that pass a filter. QueryError for what is no filter."""
        return self._edits.delete(where, parameters, message)

    def update(
        self,
        where: Where,
        values: Mapping[str, NewValue] | None = None,
        parameters: Sequence[Any] = (),
        *,
        sql: Mapping[str, str] | None = None,
        message: str | None = None,
    ) -> ChangedRows:
        """Give columns of the rows that pass a filter new values; the other columns stay.

        values: by column, a constant (a text is a text), a function that is given the rows as an Arrow table
        and returns an array or a list of a value for each, or one for all, or an expression of pyarrow, such
        as ``pc.field("price") * 2``. sql: by column, an expression of SQL, such as ``"upper(title)"``, as in
        ``SET title = upper(title)``. All of them see the rows as they were. The constraints are asked about
        the rows as they are in the end, so that ``sql={"id": "id + 1"}`` works.

        SchemaError for columns that are not there, DataTypeError for values that do not fit, QueryError for
        expressions that cannot be understood and functions that fail.
        """
        return self._edits.update(where, values or {}, sql or {}, parameters, message)

    def upsert(
        self, rows: Any, key: str | Sequence[str] | None = None, *, message: str | None = None
    ) -> ChangedRows:
        """Update the rows whose key is there, and insert the others.

        rows: as in ``append``. Columns that a row does not bring stay as they are in a row that is there, and
        take their default in a new one. key: one column or several, by default the primary key, or the only
        UNIQUE one. They need not be a key of the table: all of its rows with that key are updated then.

        SchemaError for columns that are not there, DataTypeError for values that do not fit; ConstraintError
        for a key that is NULL, or twice among ``rows``. Rows are counted from 0 in messages.
        """
        return self._edits.merge(rows, key, message)

    def merge_rows(
        self,
        rows: Any,
        on: str | Sequence[str] | None = None,
        *,
        when_matched: WhenMatched = "update",
        when_not_matched: WhenNotMatched = "insert",
        when_not_matched_by_source: WhenNotMatchedBySource = "ignore",
        message: str | None = None,
    ) -> ChangedRows:
        """Match ``rows`` with those of the table by a key, and say what becomes of each: MERGE of SQL.

        It is not called merge, as ``merge`` makes one delta of all deltas of the table's file, and changes no
        row.

        rows, on, and what is refused: as rows and key of :meth:`upsert`, which this is by default.
        when_matched: ``update`` a row of the table whose key is among ``rows``, ``delete`` or ``ignore`` it,
        or ``fail``. when_not_matched: ``insert`` a row whose key is not in the table, ``ignore`` it, or
        ``fail``. when_not_matched_by_source: ``ignore`` the rows of the table whose key is not among
        ``rows``, or ``delete`` them, so that no others are left. OptionError for other words,
        ConstraintError where it fails; then nothing is written.
        """
        return self._edits.merge(
            rows,
            on,
            message,
            when_matched=when_matched,
            when_not_matched=when_not_matched,
            when_not_matched_by_source=when_not_matched_by_source,
        )
