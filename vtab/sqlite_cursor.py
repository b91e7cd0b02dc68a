"""The cursor of a virtual table: pages are decoded on demand, a batch at a time, and handed over value by value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import apsw

from audiomem_sql.batch import Batch
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import QueryError
from audiomem_sql.lookup import find_by_key, find_rows, value_at
from audiomem_sql.planner import Plan, Term
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.query import results, words_of
from audiomem_sql.scan import Filter as BoundTerm
from audiomem_sql.scan import in_rowid_order, scan
from audiomem_sql.search import Neighbours
from audiomem_sql.segment import ROWID, Segment
from audiomem_sql.semantic.keyword_query import Expression
from audiomem_sql.shown import FoundRow
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.vtab.sqlite import VirtualTable

_INTEGER = ColumnType(Kind.INTEGER)
#: Where a value of this type can only equal a stored value that is the same.
_STORED: dict[Kind, type] = {Kind.INTEGER: int, Kind.TEXT: str, Kind.JSON: str, Kind.BLOB: bytes}


class Cursor:
    """Rows of one plan. Values wait as one list a column; SQLite asks for them one by one."""

    __slots__ = (
        "_asked",
        "_batches",
        "_distances",
        "_eof",
        "_found",
        "_lists",
        "_owner",
        "_plan",
        "_ranks",
        "_readable",
        "_row",
        "_rowids",
        "_rows",
        "_words",
    )

    def __init__(self, owner: VirtualTable) -> None:
        self._owner = owner
        self._readable: Transaction | Snapshot = owner.readable()
        self._plan = Plan()
        self._asked: Any = None  # the value that version or as_of was compared with
        self._batches: Iterator[Batch] = iter(())
        self._found: Iterator[Neighbours] | None = None
        self._distances: Sequence[float | None] = ()
        self._ranks: Sequence[float | None] = ()
        self._lists: list[Sequence[Any] | None] = []
        self._rowids: Sequence[int] = ()
        self._row = 0
        self._rows = 0
        self._eof = True
        self._words: tuple[Expression | None, dict[str, int]] = None, {}

    # -- SQLite calls these ---------------------------------------------------------------------------------------

    def Filter(self, number: int, text: str, arguments: Sequence[Any]) -> None:
        """Begin with the rows of a plan; ``arguments`` are the values that its terms refer to."""
        self._plan = plan = self._owner.plan(text)
        moment = plan.version or plan.as_of
        self._asked = None if moment is None else arguments[moment - 1]
        if moment is not None and self._asked is None:  # nothing equals NULL
            self._batches = iter(())
            self._advance()
            return
        self._found = None
        self._words = None, {}
        if plan.match is not None:
            self._search(plan, arguments)
            return
        self._readable = readable = self._as_asked(plan)
        if len(plan.terms) == 1 and type(readable) is Snapshot and not readable.own_rows:
            found = self._by_one_key(plan.terms[0], arguments)
            if found is not None:
                self._hold(found, [])
                return
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        if plan.order == 0 and plan.offset is None:
            found = find_rows(readable, filters)
            if found is not None:
                self._hold(found, filters)
                return
        skip = 0
        if plan.offset is not None:
            given = arguments[plan.offset - 1]
            skip = max(given, 0) if isinstance(given, int) else 0
        if plan.order and not readable.ordered:
            # the statement was prepared before rows were written out of order
            self._batches = in_rowid_order(
                scan(readable, plan.columns, filters), descending=plan.order < 0, skip=skip
            )
        else:
            self._batches = scan(readable, plan.columns, filters, descending=plan.order < 0, skip=skip)
        self._advance()

    def Eof(self) -> bool:
        """Whether there is no row."""
        return self._eof

    def Next(self) -> None:
        """The next row."""
        self._row += 1
        if self._row >= self._rows:
            self._advance()

    def Column(self, number: int) -> Any:
        """A value of this row; -1 is the rowid."""
        try:
            return self._lists[number][self._row]  # type: ignore[index]
        except TypeError:
            return self._other(number)

    def Rowid(self) -> int:
        """The rowid of this row."""
        return self._rowids[self._row]

    def Close(self) -> None:
        """Done."""
        self._owner.open_cursors -= 1
        self._batches = iter(())

    # -- inside ---------------------------------------------------------------------------------------------------

    def _as_asked(self, plan: Plan) -> Transaction | Snapshot:
        """What the query reads: the newest rows, or those of the version that it asks for."""
        table = self._owner.table
        if plan.version is not None:
            return table.at(version_of(self._asked, table.path), schema=self._owner.schema)
        if plan.as_of is not None:
            return table.at(as_of=self._asked, schema=self._owner.schema)
        return self._owner.readable()

    def _by_one_key(self, term: Term, arguments: Sequence[Any]) -> list[tuple[Segment, int]] | None:
        """The usual lookup of a join, without what other predicates need: ``term`` equals a value as it is stored."""
        if (term.op is not Op.EQ and term.op is not Op.IN) or term.collation != "BINARY":
            return None
        column, value = term.column, arguments[0]
        kind = Kind.INTEGER if column == ROWID else self._readable.schema.columns[column].type.kind
        if type(value) is not _STORED.get(kind):
            return None
        return find_by_key(self._readable, column, "BINARY", (value,))

    def _bind(
        self, column: int, op: Op, argument: int | None, collation: str, arguments: Sequence[Any]
    ) -> Any:
        value = None if argument is None else arguments[argument - 1]
        if op is Op.IN and not isinstance(value, (set, frozenset)):
            value = (
                () if value is None else (value,)
            )  # apsw makes None of an empty list; see in_lists for one value
        kind = _INTEGER if column == ROWID else self._readable.schema.columns[column].type
        return bind(
            Predicate("rowid" if column == ROWID else column, op, value), kind, collation, converted=True
        )

    def _search(self, plan: Plan, arguments: Sequence[Any]) -> None:
        """Begin with the rows nearest to what is asked for."""
        table = self._owner.table
        assert plan.match is not None
        column, argument = plan.match
        k = None if plan.k is None else rows_wanted(arguments[plan.k - 1], table.path)
        table.embed_pending()
        full = table.snapshot.schema
        if plan.version is not None:
            readable: Transaction | Snapshot = table.at(version_of(self._asked, table.path), schema=full)
        elif plan.as_of is not None:
            readable = table.at(as_of=self._asked, schema=full)
        else:
            readable = table.readable
        self._readable = readable
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        asked = arguments[argument - 1]
        if asked is None:  # nothing matches NULL
            self._found = iter(())
        else:
            self._words = words_of(full, column, asked, table.path)
            self._found = results(readable, full, column, asked, table.options, table.path, filters, k=k)
        self._advance()

    def _take_neighbours(self) -> None:
        """The next rows of a search."""
        assert self._found is not None
        found = next(self._found, None)
        self._row = 0
        if found is None:
            self._eof, self._rows = True, 0
            return
        readable, rowids = self._readable, found.rowids.tolist()
        self._begin(rowids)
        self._distances = [None if value != value else value for value in found.distances.tolist()]
        self._ranks = self._distances if found.ranks is None else found.ranks.tolist()
        columns = readable.schema.columns
        own = {rowid: row for rowid in rowids if (row := readable.own_row(rowid)) is not None}
        stored = {rowid: place_of(readable, rowid) for rowid in rowids if rowid not in own}
        for place in self._plan.columns:
            kind = columns[place].type
            self._lists[place] = [
                as_sql(own[rowid][place], kind)
                if rowid in own
                else value_at(stored[rowid][0], place, stored[rowid][1])
                for rowid in rowids
            ]

    def _found_row(self) -> FoundRow:
        """What the hidden column called like the table holds: this row, for highlight and snippet. SQL sees NULL."""
        names = self._owner.schema.names
        return FoundRow(RowOfCursor(self._readable, self._rowids[self._row]), names, *self._words)

    def _advance(self) -> None:
        """Take the next batch."""
        if self._found is not None:
            self._take_neighbours()
            return
        batch = next(self._batches, None)
        self._row = 0
        if batch is None:
            self._eof, self._rows = True, 0
            return
        self._begin(batch.rowids.tolist())
        columns = self._readable.schema.columns
        for place, array in zip(self._plan.columns, batch.arrays, strict=True):
            self._lists[place] = sql_values(array, columns[place].type)

    def _hold(self, found: list[tuple[Segment, int]], filters: list[BoundTerm]) -> None:
        """Few rows that were found by key, and what an open transaction adds to them."""
        self._row = 0
        readable = self._readable
        own = list(_own_rows(readable, filters)) if readable.own_rowids() else []
        self._begin([value_at(segment, ROWID, row) for segment, row in found] + [rowid for rowid, _ in own])
        columns = readable.schema.columns
        for place in self._plan.columns:
            stored = [value_at(segment, place, row) for segment, row in found]
            self._lists[place] = stored + [as_sql(row[place], columns[place].type) for _, row in own]

    def _begin(self, rowids: list[int]) -> None:
        schema = self._owner.schema
        self._rowids = rowids
        self._rows = len(rowids)
        self._eof = not rowids
        self._lists = [None] * (len(schema) + 7)
        self._lists[-1] = rowids  # Column(-1)
        if schema.rowid_column is not None:
            self._lists[schema.rowid_column] = rowids

    def _other(self, number: int) -> Any:
        """A column that the plan did not name: hidden ones are NULL, but for the version and the time asked for.

        They are as they were asked for, a tag say, so that SQLite finds them equal if it compares them again.
        """
        schema = self._owner.schema
        if number < len(schema):
            row = self._readable.stored_row(self._rowids[self._row])
            return None if row is None else as_sql(row[number], schema.columns[number].type)
        if number == len(schema):
            return apsw.pyobject(self._found_row())
        if self._found is not None and number - len(schema) in (1, 2):
            return (self._ranks if number == len(schema) + 1 else self._distances)[self._row]
        if number == len(schema) + 4:
            return self._readable.version if self._plan.version is None else self._asked
        return self._asked if number == len(schema) + 5 and self._plan.as_of is not None else None


class RowOfCursor:
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


def place_of(readable: Transaction | Snapshot, rowid: int) -> tuple[Segment, int]:
    """The segment and row of a row that is there."""
    for view in reversed(readable.views):
        row = view.find(rowid)
        if row >= 0:
            return view.segment, row
    raise AssertionError(f"row {rowid} was found, and is not there")


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
