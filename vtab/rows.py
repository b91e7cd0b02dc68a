"""The rows of a plan, part by part: what a cursor of SQLite goes through, whichever way SQLite is reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.indexes.words import Expression
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter as BoundTerm
from audiomem_sql.scan import fetch_rows, find_rows, in_rowid_order, scan
from audiomem_sql.scan.fetch import stored_values
from audiomem_sql.scan.lookup import find_by_key
from audiomem_sql.scan.plan import Plan, Term
from audiomem_sql.search import FoundRow, Neighbours, keyword_expression, results
from audiomem_sql.storage.segment import ROWID, ReadableSegment
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab.interface import Cursor, Part
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.vtab.virtual_table import VirtualTable

_INTEGER = ColumnType(Kind.INTEGER)
#: Where a value of this type can only equal a stored value that is the same.
_STORED: dict[Kind, type] = {Kind.INTEGER: int, Kind.TEXT: str, Kind.JSON: str, Kind.BLOB: bytes}


class Rows(Cursor):
    """Rows of one plan, decoded as they are asked for."""

    __slots__ = ("_batches", "_owner", "_search_parts", "_words", "moment", "plan", "readable")

    def __init__(self, owner: VirtualTable) -> None:
        self._owner = owner
        self.readable: Transaction | Snapshot = owner.readable()
        self.plan = Plan()
        self.moment: Any = None  # the value that version or as_of was compared with
        self._batches: Iterator[Batch] = iter(())
        self._search_parts: Iterator[Neighbours] | None = None
        self._words: tuple[Expression | None, dict[str, int]] = None, {}

    @property
    def searched(self) -> bool:
        """Whether the rows are those of a search, which have ranks and distances."""
        return self._search_parts is not None

    def begin(self, text: str, arguments: Sequence[Any]) -> Part | None:
        """The first rows of a plan, None if there are none; ``arguments``: the values of its terms."""
        self.plan = plan = self._owner.plan(text)
        self._search_parts = None
        self._words = None, {}
        moment = plan.version or plan.as_of
        self.moment = None if moment is None else arguments[moment - 1]
        if moment is not None and self.moment is None:  # nothing equals NULL
            self._batches = iter(())
            return None
        if plan.match is not None:
            self._search(plan, arguments)
            return self.next()
        self.readable = readable = self._as_asked(plan)
        if _is_one_lookup(plan) and type(readable) is Snapshot and not readable.own_rows:
            stored = self._by_one_key(plan.terms[0], arguments)
            if stored is not None:
                return self._by_key(stored, [])
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        if plan.order == 0 and plan.offset is None:
            stored = find_rows(readable, filters)
            if stored is not None:
                return self._by_key(stored, filters)
        skip = 0
        if plan.offset is not None:
            offset = arguments[plan.offset - 1]
            skip = max(offset, 0) if isinstance(offset, int) else 0
        if plan.order and not readable.ordered:
            # the statement was prepared before rows were written out of order
            self._batches = in_rowid_order(
                scan(readable, plan.columns, filters), descending=plan.order < 0, skip=skip
            )
        else:
            self._batches = scan(readable, plan.columns, filters, descending=plan.order < 0, skip=skip)
        return self.next()

    def next(self) -> Part | None:
        """The next rows; None at the end."""
        if self._search_parts is not None:
            return self._next_found(self._search_parts)
        batch = next(self._batches, None)
        return None if batch is None else Part(batch.rowids, batch.arrays)

    def close(self) -> None:
        """Done; nothing more is decoded."""
        self._owner.open_cursors -= 1
        self._batches, self._search_parts = iter(()), None

    def other(self, number: int, rowid: int) -> Any:
        """A column of a row that the plan did not name: hidden ones are NULL, but for version and as_of.

        These are as the query has them, a tag say, so that SQLite finds them equal if it compares them again.
        The one called like the table holds the row itself, for highlight and snippet; a door hands it over so
        that SQL sees NULL.
        """
        schema = self._owner.schema
        if number < len(schema):
            row = self.readable.stored_row(rowid)
            return None if row is None else as_sql(row[number], schema.columns[number].type)
        if number == len(schema):
            return FoundRow(_Row(self.readable, rowid), schema.names, *self._words)
        if number == len(schema) + 4:
            return self.readable.version if self.plan.version is None else self.moment
        return self.moment if number == len(schema) + 5 and self.plan.as_of is not None else None

    # -- inside
    # ---------------------------------------------------------------------------------------------------

    def _as_asked(self, plan: Plan) -> Transaction | Snapshot:
        """What the query reads: the newest rows, or those of the version that it asks for."""
        table = self._owner.table
        if plan.version is not None:
            return table.at(version_of(self.moment, table.path), schema=self._owner.schema)
        if plan.as_of is not None:
            return table.at(as_of=self.moment, schema=self._owner.schema)
        return self._owner.readable()

    def _by_one_key(self, term: Term, arguments: Sequence[Any]) -> list[tuple[ReadableSegment, int]] | None:
        """The usual lookup of a join: ``term`` equals a value as it is stored."""
        if (term.op is not Op.EQ and term.op is not Op.IN) or term.collation != "BINARY":
            return None
        column, value = term.column, arguments[0]
        kind = Kind.INTEGER if column == ROWID else self.readable.schema.columns[column].type.kind
        if type(value) is not _STORED.get(kind):
            return None
        return find_by_key(self.readable, column, "BINARY", (value,))

    def _bind(
        self, column: int, op: Op, argument: int | None, collation: str, arguments: Sequence[Any]
    ) -> Any:
        value = None if argument is None else arguments[argument - 1]
        if op is Op.IN and not isinstance(value, (set, frozenset)):
            value = (
                () if value is None else (value,)
            )  # apsw makes None of an empty list; see in_lists for one value
        kind = _INTEGER if column == ROWID else self.readable.schema.columns[column].type
        return bind(Predicate(column, op, value), kind, collation, converted=True)

    def _search(self, plan: Plan, arguments: Sequence[Any]) -> None:
        """Begin with the rows nearest to what is asked for."""
        table = self._owner.table
        assert plan.match is not None
        column, argument = plan.match
        k = None if plan.k is None else rows_wanted(arguments[plan.k - 1], table.path)
        table.embed_pending()
        full = table.snapshot.schema
        if plan.version is not None:
            readable: Transaction | Snapshot = table.at(version_of(self.moment, table.path), schema=full)
        elif plan.as_of is not None:
            readable = table.at(as_of=self.moment, schema=full)
        else:
            readable = table.readable
        self.readable = readable
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        query = arguments[argument - 1]
        if query is None:  # nothing matches NULL
            self._search_parts = iter(())
        else:
            self._words = keyword_expression(full, column, query, table.path)
            self._search_parts = results(
                readable, full, column, query, table.options, table.path, filters, k=k
            )

    def _next_found(self, search: Iterator[Neighbours]) -> Part | None:
        """The next rows of a search. Where damage is passed over, rows that are lost are left out."""
        for neighbours in search:
            there, arrays = fetch_rows(self.readable, neighbours.rowids, self.plan.columns)
            if not there.any():
                continue
            distances = [
                None if distance != distance else distance
                for distance in neighbours.distances[there].tolist()
            ]
            ranks = distances if neighbours.ranks is None else neighbours.ranks[there].tolist()
            return Part(neighbours.rowids[there], arrays, ranks, distances)
        return None

    def _by_key(self, stored: list[tuple[ReadableSegment, int]], filters: list[BoundTerm]) -> Part | None:
        """Few rows that were found by key, and what an open transaction adds to them; there are no others."""
        self._batches = iter(())
        readable, columns = self.readable, self.plan.columns
        rowids, *values = stored_values(stored, (ROWID, *columns))
        if readable.own_rowids():
            for rowid, row in _own_rows(readable, filters):
                rowids.append(rowid)
                for column, column_values in zip(columns, values, strict=True):
                    column_values.append(as_sql(row[column], readable.schema.columns[column].type))
        return Part(rowids, values) if rowids else None


def _is_one_lookup(plan: Plan) -> bool:
    """Whether the rows may come as a key leads to them. To one row alone no order matters."""
    if len(plan.terms) != 1 or plan.offset is not None:
        return False
    term = plan.terms[0]
    return plan.order == 0 or (term.column == ROWID and term.op is Op.EQ)


class _Row:
    """The row that a cursor is at, for functions that are called for it."""

    __slots__ = ("_readable", "_rowid")

    def __init__(self, readable: Transaction | Snapshot, rowid: int) -> None:
        self._readable = readable
        self._rowid = rowid

    def value(self, column: int) -> Any:
        """What a column holds, as SQL has it."""
        if column == self._readable.schema.rowid_column:
            return self._rowid
        row = self._readable.stored_row(self._rowid)
        return None if row is None else as_sql(row[column], self._readable.schema.columns[column].type)


def rows_wanted(k: Any, path: str) -> int:
    """The number behind ``k =``. QueryError for what is no positive number."""
    if isinstance(k, float) and k.is_integer():
        k = int(k)
    if not isinstance(k, int) or k < 1:
        raise QueryError(f"k = {k!r} is no number of rows", file=path, remedy="Write k = 10, or LIMIT 10.")
    return k


def version_of(value: Any, path: str) -> int | str:
    """The number or tag of a version that SQL gives; QueryError for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, (int, str)):
        raise QueryError(f"{value!r} is no version", file=path, remedy="Pass a number or a tag.")
    return value


def _own_rows(
    transaction: Transaction | Snapshot, filters: list[BoundTerm]
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """The rows outside the segments that pass."""
    columns = transaction.schema.columns
    alias = transaction.schema.rowid_column
    candidates: Sequence[int] | None = None
    for item in filters:
        known = item.bound.lookup
        if known is None:
            continue
        if item.column == ROWID or item.column == alias:
            candidates = sorted(set(known[1]))
            break
        if candidates is None:
            candidates = transaction.own_rowids_by_key(item.column, *known)
    for rowid in transaction.own_rowids() if candidates is None else candidates:
        row = transaction.own_row(rowid)
        if row is not None and all(
            item.bound.test(
                rowid if item.column == ROWID else as_sql(row[item.column], columns[item.column].type)
            )
            for item in filters
        ):
            yield rowid, row
