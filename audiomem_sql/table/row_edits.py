"""Rows deleted, updated and merged in Python: each call is one transaction, as an UPDATE of SQL is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import stored_rows
from audiomem_sql.errors import (
    AudioMemError,
    ConstraintError,
    DamagedFileError,
    DataTypeError,
    InFile,
    OptionError,
    QueryError,
    did_you_mean,
)
from audiomem_sql.scan import Filter, RowFilter, fetch_rows, filters_of_text, scan
from audiomem_sql.table.keyed_rows import KeyedRows
from audiomem_sql.table.new_values import NewValue, NewValues
from audiomem_sql.table.session import Session
from audiomem_sql.table.transactions import Transactions
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids
from audiomem_sql.writing.group_commit import Append
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    import pyarrow.compute as pc

#: Which rows: a filter as text, or an expression of pyarrow.
Where: TypeAlias = "str | pc.Expression"
#: What becomes of a row of the table whose key was given, of a row that was given and has no counterpart, and
#: of a row of the table whose key was not given.
WhenMatched = Literal["update", "delete", "ignore", "fail"]
WhenNotMatched = Literal["insert", "ignore", "fail"]
WhenNotMatchedBySource = Literal["ignore", "delete"]
#: A rowid, or None for the next one; stored values; and how messages call the row.
_NewRow: TypeAlias = "tuple[int | None, Sequence[StoredValue], str]"


@dataclass(frozen=True, slots=True)
class ChangedRows:
    """What one call did: the version that the table has now, and how many rows it changed.

    version: that from before where no row was concerned, as then there is no commit. updated: also counts
    rows that were given the values that they had, as SQL does.
    """

    version: int
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


class RowEdits:
    """The edits of a session. The arguments of the methods are those of ``Table``."""

    def __init__(self, session: Session, transactions: Transactions) -> None:
        self._session = session
        self._opened = session.opened
        self._transactions = transactions

    def delete(self, where: Where, parameters: Sequence[Any], message: str | None) -> ChangedRows:
        """Delete the rows that pass a filter."""

        def work(transaction: Transaction) -> tuple[int, int, int]:
            passing = _filters(where, parameters, transaction.schema.visible)
            rowids = matching_rowids(transaction.snapshot, *passing)
            return 0, 0, _delete(transaction, rowids.tolist())

        return self._committed(work, message)

    def update(
        self,
        where: Where,
        values: Mapping[str, NewValue],
        sql: Mapping[str, str],
        parameters: Sequence[Any],
        message: str | None,
    ) -> ChangedRows:
        """Give columns of the rows that pass a filter new values."""

        def work(transaction: Transaction) -> tuple[int, int, int]:
            schema = transaction.schema.visible
            new = NewValues(values, sql, schema)
            rowids, table = _passing_rows(transaction, _filters(where, parameters, schema))
            if not len(rowids):
                return 0, 0, 0
            rows = new.rows(rowids, table)
            alias = schema.rowid_column
            _delete(transaction, rowids.tolist())
            _insert(
                transaction,
                (
                    (rowid if alias is None else _rowid(row[alias], rowid, schema), row, f"row {rowid}")
                    for rowid, row in zip(rowids.tolist(), rows, strict=True)
                ),
            )
            return 0, len(rows), 0

        return self._committed(work, message)

    def merge(
        self,
        data: Any,
        on: str | Sequence[str] | None,
        message: str | None,
        *,
        when_matched: WhenMatched = "update",
        when_not_matched: WhenNotMatched = "insert",
        when_not_matched_by_source: WhenNotMatchedBySource = "ignore",
    ) -> ChangedRows:
        """Match rows that are given with those of the table by a key."""
        with InFile(self._opened.path):
            _check_word("when_matched", when_matched, get_args(WhenMatched))
            _check_word("when_not_matched", when_not_matched, get_args(WhenNotMatched))
            _check_word(
                "when_not_matched_by_source", when_not_matched_by_source, get_args(WhenNotMatchedBySource)
            )
            self._session.check_no_transaction()
            schema = self._opened.schema
            given = KeyedRows.of(data, schema, on)
            expected = Append(schema.to_arrow().empty_table(), schema, lambda snapshot: NO_ROWIDS)

        def work(transaction: Transaction) -> tuple[int, int, int]:
            expected.check_schema(transaction.snapshot)
            matches = given.matches(transaction)
            known = {number for _, number in matches}
            unknown = [number for number in range(len(given.rows)) if number not in known]
            if when_matched == "fail" and matches:
                raise _refused(given, matches[0][1], "is there already")
            if when_not_matched == "fail" and unknown:
                raise _refused(given, unknown[0], "is not there")
            others: list[int] = []
            if when_not_matched_by_source == "delete":
                rowids = matching_rowids(transaction.snapshot, (), None)
                others = np.setdiff1d(rowids, [rowid for rowid, _ in matches]).tolist()
            updated = _updated(transaction, given, matches) if when_matched == "update" else []
            deleted = _delete(transaction, others)
            if when_matched in ("update", "delete"):
                gone = _delete(transaction, (rowid for rowid, _ in matches))
                deleted += gone if when_matched == "delete" else 0
            new = _new(given, unknown) if when_not_matched == "insert" else []
            _insert(transaction, updated)
            _insert(transaction, new)
            return len(new), len(updated), deleted

        return self._committed(work, message)

    def _committed(
        self, work: Callable[[Transaction], tuple[int, int, int]], message: str | None
    ) -> ChangedRows:
        """What ``work`` does in a transaction, as one commit; nothing of it where it fails.

        work: gives the numbers of rows that it inserted, updated and deleted.
        """
        with InFile(self._opened.path):
            self._session.check_no_transaction()
            transaction = self._transactions.begin()
            try:
                counts = work(transaction)
                version = self._transactions.commit(message=message)
            except BaseException:
                self._transactions.rollback()
                raise
            return ChangedRows(version, *counts)


def _filters(
    where: Where, parameters: Sequence[Any], schema: Schema
) -> tuple[Sequence[Filter], RowFilter | None]:
    if isinstance(where, str):
        return filters_of_text(where, parameters, schema)
    import pyarrow.compute as pc

    if not isinstance(where, pc.Expression):
        raise QueryError(
            f"a filter is a text or an expression of pyarrow, not {where!r:.60}",
            remedy="Write 'year > 2020', or 'true' for all rows.",
        )
    if parameters:
        raise QueryError("an expression of pyarrow has no parameters", remedy="Write the values into it.")
    from audiomem_sql.scan.arrow_filter import filters_of_expression

    return filters_of_expression(where, schema)


def _passing_rows(
    transaction: Transaction, passing: tuple[Sequence[Filter], RowFilter | None]
) -> tuple[I64Array, pa.Table]:
    """The rowids of the rows that pass a filter, int64 (n,), and the rows."""
    schema, (filters, row_filter) = transaction.schema.visible, passing
    numbers = range(len(schema))
    batches = list(scan(transaction.snapshot, numbers, filters, row_filter=row_filter, whole=True))
    arrow = schema.to_arrow()
    parts = [pa.RecordBatch.from_arrays(list(batch.arrays), schema=arrow) for batch in batches]
    rowids = np.concatenate([NO_ROWIDS, *(batch.rowids for batch in batches)])
    return rowids, pa.Table.from_batches(parts, arrow)


def _rowid(value: StoredValue, rowid: int, schema: Schema) -> int:
    """The rowid that a row has after an update."""
    if isinstance(value, int):
        return value
    assert schema.rowid_column is not None
    name = schema.columns[schema.rowid_column].name
    raise DataTypeError(f"cannot store NULL value in INTEGER PRIMARY KEY column {name}", place=f"row {rowid}")


def _updated(transaction: Transaction, given: KeyedRows, matches: Sequence[tuple[int, int]]) -> list[_NewRow]:
    """The rows of the table with what was given; columns that were not keep what they have."""
    schema, alias = given.schema, given.schema.rowid_column
    whole = frozenset(range(len(schema)))
    in_part = [rowid for rowid, number in matches if given.given[number] != whole]
    before = dict(zip(in_part, _stored(transaction, in_part, schema), strict=True))
    rows: list[_NewRow] = []
    for rowid, number in matches:
        row: list[StoredValue] = list(given.rows[number])
        if rowid in before:
            brought = given.given[number]
            row = [
                value if place in brought else kept
                for place, (value, kept) in enumerate(zip(row, before[rowid], strict=True))
            ]
        if alias is not None and row[alias] is None:
            row[alias] = rowid  # NULL asks for a rowid, and this row has one
        new = rowid if alias is None else row[alias]
        assert isinstance(new, int)
        rows.append((new, row, f"row {number}"))
    return rows


def _stored(transaction: Transaction, rowids: Sequence[int], schema: Schema) -> list[tuple[StoredValue, ...]]:
    """Rows of the snapshot as stored values. DamagedFileError if one cannot be read."""
    if not rowids:
        return []
    readable, arrays = fetch_rows(transaction.snapshot, np.array(rowids, np.int64), range(len(schema)))
    if not readable.all():
        lost = rowids[int(np.flatnonzero(~readable)[0])]
        raise DamagedFileError("the row cannot be read, so it is not changed", place=f"row {lost}")
    return list(stored_rows(pa.Table.from_arrays(arrays, schema=schema.to_arrow()), schema))


def _new(given: KeyedRows, numbers: Sequence[int]) -> list[_NewRow]:
    """Rows to insert: first those that say their rowid, which the next free one then is none of."""
    alias = given.schema.rowid_column
    rows: list[_NewRow] = [(None, given.rows[number], f"row {number}") for number in numbers]
    return rows if alias is None else sorted(rows, key=lambda row: row[1][alias] is None)


def _delete(transaction: Transaction, rowids: Iterable[int]) -> int:
    return sum(transaction.delete(rowid) for rowid in rowids)


def _insert(transaction: Transaction, rows: Iterable[_NewRow]) -> None:
    for rowid, row, name in rows:
        try:
            transaction.insert(rowid, row)
        except AudioMemError as error:
            error.at(place=name)
            raise


def _refused(given: KeyedRows, number: int, what: str) -> ConstraintError:
    return ConstraintError(f"{given.key_text(number)} {what}", place=f"row {number}")


def _check_word(option: str, word: object, words: Sequence[str]) -> None:
    if word not in words:
        raise OptionError(
            f"{option} cannot be {word!r:.60}",
            remedy=f"{did_you_mean(word, words)}Say {', '.join(words[:-1])} or {words[-1]}.",
        )
