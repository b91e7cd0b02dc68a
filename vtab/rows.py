"""The rows of a plan, part by part: what a cursor of SQLite goes through, whichever way SQLite is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from audiomem_sql import search
from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.stored_values import as_sql
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, DataTypeError, QueryError
from audiomem_sql.machine.interrupts import watch
from audiomem_sql.observe import hooks
from audiomem_sql.predicates import TIME, Op, Predicate, bind
from audiomem_sql.scan import Filter as BoundTerm
from audiomem_sql.scan import ManyRows, RowFilter, fetch_rows, find_rows, in_rowid_order, scan
from audiomem_sql.scan.fetch import stored_values
from audiomem_sql.scan.lookup import FoundRows, find_by_key
from audiomem_sql.scan.plan import Plan, Term
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab.found_rows import CursorRow, matching_rows
from audiomem_sql.vtab.interface import Cursor, Part
from audiomem_sql.vtab.own_rows import own_batches, own_rows
from audiomem_sql.vtab.row_conditions import in_rows
from audiomem_sql.vtab.search_memory import SearchMemory
from audiomem_sql.writing.transaction import Transaction

if TYPE_CHECKING:
    from audiomem_sql.search import Neighbours
    from audiomem_sql.vtab.virtual_table import VirtualTable

_INTEGER = ColumnType(Kind.INTEGER)
#: Where a value of this type can only equal a stored value that is the same.
_STORED: dict[Kind, type] = {Kind.INTEGER: int, Kind.TEXT: str, Kind.JSON: str, Kind.BLOB: bytes}


class Rows(Cursor):
    """Rows of one plan, decoded as they are asked for."""

    __slots__ = (
        "_batches",
        "_found",
        "_matching",
        "_memory",
        "_owner",
        "_running",
        "_search_parts",
        "_words",
        "filter",
        "k",
        "moment",
        "plan",
        "ranking",
        "readable",
    )

    def __init__(self, owner: VirtualTable) -> None:
        self._owner = owner
        self.readable: Transaction | Snapshot = owner.readable()
        self.plan = Plan()
        self.moment: Any = None  # the value that version or as_of was compared with
        self.k: Any = None  # the value that k was compared with
        self.filter: Any = None  # the text of the filter
        self.ranking: Any = None  # the text that says how rows are ranked
        self._batches: Iterator[Batch] = iter(())
        self._search_parts: Iterator[Neighbours] | None = None
        self._words = search.SearchedWords()
        self._found: tuple[int, search.FoundRow] | None = None
        self._matching: dict[Any, I64Array] = {}  # what was asked row by row
        self._memory = SearchMemory()
        self._running: hooks.Ongoing | None = None

    @property
    def searched(self) -> bool:
        """Whether the rows are those of a search, which have ranks and distances."""
        return self._search_parts is not None

    def begin(self, text: str, arguments: Sequence[Any]) -> Part | None:
        """The first rows of a plan, None if there are none; ``arguments``: the values of its terms."""
        before = watch(self._owner.interrupted)
        try:
            if hooks.observer is not None:
                return self._begin_observed(hooks.observer, text, arguments)
            return self._begin(text, arguments)
        except AudioMemError as error:
            error.at(file=self._owner.table.path)
            raise
        finally:
            watch(before)

    def next(self) -> Part | None:
        """The next rows; None at the end."""
        before = watch(self._owner.interrupted)
        try:
            return self._next() if self._running is None else self._observed(self._running, self._next)
        finally:
            watch(before)

    def _begin_observed(self, observer: hooks.Observing, text: str, arguments: Sequence[Any]) -> Part | None:
        if self._running is not None:  # the cursor of a join begins again
            self._running.end()
        self._running = running = observer.stage("query", self._owner.table.path)
        return self._observed(running, lambda: self._begin(text, arguments))

    def _observed(self, running: hooks.Ongoing, step: Callable[[], Part | None]) -> Part | None:
        with running:
            part = step()
        if part is None:
            running.end()
            self._running = None
        return part

    def _begin(self, text: str, arguments: Sequence[Any]) -> Part | None:
        if search.FoundRow in map(type, arguments):  # of another table's hidden column
            arguments = [None if type(value) is search.FoundRow else value for value in arguments]
        self.plan = plan = self._owner.plan(text)
        self._search_parts = self._found = None
        self._matching = {}
        self._words = search.SearchedWords()
        moment = plan.version or plan.as_of
        self.moment = None if moment is None else arguments[moment - 1]
        said = (
            None if place is None else arguments[place - 1] for place in (plan.k, plan.filter, plan.ranking)
        )
        self.k, self.filter, self.ranking = said
        unknown = moment is not None and self.moment is None and not plan.null_moment
        texts = (plan.filter, self.filter), (plan.ranking, self.ranking)
        if unknown or any(place is not None and text is None for place, text in texts):  # nothing equals NULL
            self._batches = iter(())
            return None
        passing = self._passing(plan)
        if plan.match is not None or plan.filter is not None:
            roles = Hidden.K, Hidden.FILTER, Hidden.RANKING
            self._owner.searching({role: self.constant(role) for role in roles})
        if plan.match is not None:
            self._search(plan, arguments, passing)
            return self._next()
        self.readable = readable = self._as_asked(plan)
        looked_up = False
        if _is_one_lookup(plan) and type(readable) is Snapshot and not readable.own_rows:
            key = self._one_key(plan.terms[0], arguments)
            if key is not None:
                looked_up = True
                stored = find_by_key(readable, plan.terms[0].column, "BINARY", (key,))
                if stored is not None:
                    return self._by_key(stored, [])
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        if plan.order == 0 and plan.offset is None and passing is None and not looked_up:
            stored = find_rows(readable, filters)
            if stored is not None:
                return self._by_key(stored, filters)
        skip = 0
        if plan.offset is not None:
            offset = arguments[plan.offset - 1]
            skip = max(offset, 0) if isinstance(offset, int) else 0
        if plan.order and not readable.ordered:
            # the statement was prepared before rows were written out of order
            batches = scan(readable, plan.columns, filters, row_filter=passing)
            self._batches = in_rowid_order(batches, descending=plan.order < 0, skip=skip)
        else:
            self._batches = scan(
                readable,
                plan.columns,
                filters,
                row_filter=passing,
                descending=plan.order < 0,
                skip=skip,
            )
        return self._next()

    def _next(self) -> Part | None:
        if self._search_parts is not None:
            return self._next_found(self._search_parts)
        batch = next(self._batches, None)
        return None if batch is None else Part(batch.rowids, batch.arrays)

    def close(self) -> None:
        """Done; nothing more is decoded."""
        self._owner.open_cursors -= 1
        self._batches, self._search_parts = iter(()), None
        if self._running is not None:
            self._running.end()
            self._running = None

    def other(self, number: int, rowid: int) -> Any:
        """A column of a row that the plan did not name.

        The hidden one called like the table holds the row itself, for highlight and snippet; a door hands it
        over so that SQL sees NULL. Others: :meth:`constant`.
        """
        owner = self._owner
        role = owner.hidden.role(number)
        if role is None:
            row = self.readable.stored_row(rowid)
            return None if row is None else as_sql(row[number], owner.schema.columns[number].type)
        if role is Hidden.TABLE:
            found = self._found
            if found is None or found[0] != rowid:  # the column has two names
                shown = search.FoundRow(
                    CursorRow(self.readable, rowid, self.matching), owner.schema.names, self._words
                )
                self._found = found = rowid, shown
            return found[1]
        if role is Hidden.PASSAGE:
            return search.shown_spans(self._words.passages, self.readable, [rowid])[0]
        return self.constant(role)

    def constant(self, role: Hidden) -> Any:
        """What a hidden column shows in every row; rank and distance: in rows that no search found.

        version, as_of and what is said of a search are as the query has them, a tag say, so that SQLite finds
        them equal if it compares them again.
        """
        if role is Hidden.VERSION:
            return self.readable.version if self.plan.version is None else self.moment
        if role is Hidden.AS_OF:
            return None if self.plan.as_of is None else self.moment
        return {Hidden.K: self.k, Hidden.FILTER: self.filter, Hidden.RANKING: self.ranking}.get(role)

    def _as_asked(self, plan: Plan) -> Transaction | Snapshot:
        """What the query reads: the newest rows, or those of the version that it asks for."""
        table = self._owner.table
        if plan.version is not None:
            return table.at(version_of(self.moment, table.path), schema=self._owner.schema)
        if self.moment is not None:
            return table.at(as_of=self.moment, schema=self._owner.schema)
        return self._owner.readable()

    def _one_key(self, term: Term, arguments: Sequence[Any]) -> Any:
        """The key of the usual lookup of a join: ``term`` equals a value as it is stored; None if not."""
        if (term.op is not Op.EQ and term.op is not Op.IN) or term.collation != "BINARY":
            return None
        column, value = term.column, arguments[0]
        column_type = _INTEGER if column == ROWID else self.readable.schema.columns[column].type
        if column_type.logical is not None:
            return None
        kind = column_type.kind
        return value if type(value) is _STORED.get(kind) else None

    def _bind(
        self, column: int, op: Op, argument: int | None, collation: str, arguments: Sequence[Any]
    ) -> Any:
        value = None if argument is None else arguments[argument - 1]
        if op is Op.IN and not isinstance(value, (set, frozenset)):
            value = (
                () if value is None else (value,)
            )  # apsw makes None of an empty list; see in_lists for one value
        kind = _INTEGER if column == ROWID else self.readable.schema.columns[column].type
        predicate = Predicate(column, op, value)
        try:
            bound = bind(predicate, kind, collation, converted=True)
            # perhaps by its bytes: SQLite checks it again
            if collation == TIME and op in (Op.NE, Op.IS_NOT):
                bound = bind(predicate, kind, converted=True)
            return bound
        except DataTypeError as error:
            name = self.readable.schema.columns[column].name
            raise error.at(file=self._owner.table.path, place=f"column {name}") from None

    def _passing(self, plan: Plan) -> RowFilter | None:
        """What the filter of the query lets through; None without one."""
        if plan.filter is None:
            return None
        owner = self._owner
        moment = None
        if plan.version is not None:
            moment = Hidden.VERSION, version_of(self.moment, owner.table.path)
        elif self.moment is not None:
            moment = Hidden.AS_OF, self.moment
        key, readable = (self.filter, moment), owner.table.readable
        return self._memory.passing(readable, key, lambda: in_rows(owner.rows_passing(*key)))

    def _search(self, plan: Plan, arguments: Sequence[Any], passing: RowFilter | None) -> None:
        """Begin with the rows nearest to what is asked for."""
        table = self._owner.table
        assert plan.match is not None
        column, argument = plan.match
        k = None if plan.k is None else rows_wanted(self.k, table.path)
        full = table.snapshot.schema
        readable = self._searchable()
        self.readable = readable
        filters = [
            BoundTerm(term.column, self._bind(term.column, term.op, term.argument, term.collation, arguments))
            for term in plan.terms
        ]
        query = arguments[argument - 1]
        if query is None:  # nothing matches NULL
            self._search_parts = iter(())
        else:
            values = [arguments[term.argument - 1] for term in plan.terms if term.argument is not None]
            kept = self._memory.readable(readable, (plan, self.filter, *values))
            self._words = search.searched_words(kept, full, column, query, table.options, table.path)
            self._search_parts = search.results(
                kept,
                full,
                column,
                query,
                table.options,
                table.path,
                filters,
                row_filter=passing,
                k=k,
                ranking=search.Ranking.parse(self.ranking),
            )

    def _searchable(self) -> Transaction | Snapshot:
        """What a search reads: the rows of the query with all columns of the file, vectors included."""
        table = self._owner.table
        table.embed_pending()
        full = table.snapshot.schema
        if self.plan.version is not None:
            return table.at(version_of(self.moment, table.path), schema=full)
        if self.moment is not None:
            return table.at(as_of=self.moment, schema=full)
        return table.readable

    def matching(self, query: Any) -> I64Array:
        """The rowids of the rows that MATCH finds, ascending, where SQLite asks it row by row."""
        if query not in self._matching:
            table = self._owner.table
            full = table.snapshot.schema
            self._matching[query] = matching_rows(self._searchable(), full, query, table.options, table.path)
        return self._matching[query]

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

    def _by_key(self, stored: FoundRows, filters: list[BoundTerm]) -> Part | None:
        """The rows that were found by key, and what an open transaction adds to them; there are no others."""
        readable, columns = self.readable, self.plan.columns
        if isinstance(stored, ManyRows):
            self._batches = stored.batches(columns)
            if readable.has_own_rows:
                self._batches = chain(self._batches, own_batches(readable, columns, filters))
            return self._next()
        self._batches = iter(())
        rowids, *values = stored_values(stored, (ROWID, *columns))
        if readable.has_own_rows:
            for rowid, row in own_rows(readable, filters):
                rowids.append(rowid)
                for column, column_values in zip(columns, values, strict=True):
                    column_values.append(as_sql(row[column], readable.schema.columns[column].type))
        return Part(rowids, values) if rowids else None


def _is_one_lookup(plan: Plan) -> bool:
    """Whether the rows may come as a key leads to them. To one row alone no order matters."""
    if len(plan.terms) != 1 or plan.offset is not None or plan.filter is not None:
        return False
    term = plan.terms[0]
    return plan.order == 0 or (term.column == ROWID and term.op is Op.EQ)


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
