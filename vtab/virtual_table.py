"""One audiomem table of one SQLite connection: what xBestIndex, xUpdate and the transaction methods come to.

Nothing here knows how SQLite is reached: ``sqlite`` does it through apsw, ``native`` through the C extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from audiomem_sql.columns.affinity import compile_converters, not_null_failed
from audiomem_sql.columns.defaults import fillers
from audiomem_sql.errors import ConstraintError, DataTypeError, SchemaError, UnsupportedError
from audiomem_sql.predicates import Op
from audiomem_sql.predicates.texts import Collation
from audiomem_sql.scan.plan import UNKNOWN, Constraint, Plan, Statistics, choose, parse_plan
from audiomem_sql.search import FoundRow
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab.arguments import hidden_names
from audiomem_sql.vtab.codes import SchemaChangedError
from audiomem_sql.vtab.commands import run_command
from audiomem_sql.vtab.match import Search
from audiomem_sql.vtab.question import (
    EQ,
    IGNORE,
    LIMIT,
    OFFSET,
    OPERATORS,
    REPLACE,
    Answer,
    Asked,
    Host,
    Question,
)
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.writing.transaction import OnConflict, Transaction

_CONFLICTS = {REPLACE: OnConflict.REPLACE, IGNORE: OnConflict.IGNORE}

#: What can be said of a hidden column that is an argument.
_HOW_TO_ASK = {
    "k": "Write k = 10, beside a MATCH.",
    "version": "Write version = 3, version = 'tag' or as_of = '2026-01-31 12:00:00'.",
}


class VirtualTable:
    """One audiomem table of one connection."""

    def __init__(self, tables: Tables, connection: Host, name: str, table: Table) -> None:
        self._tables = tables
        self.connection = connection
        self.name = name
        self.table = table
        #: The columns as they were declared to SQLite; the file may have others by now.
        self.schema = table.schema
        self.open_cursors = 0
        self._plans: dict[str, Plan] = {}
        self._converters = compile_converters(self.schema)
        self._defaults = fillers(self.schema)
        self._width = len(self.schema)

    # -- reading --------------------------------------------------------------------------------------------------

    def best_index(self, question: Question) -> Answer | None:
        """Translate SQLite's question for the planner, and the answer back; None: not in this order of its loops."""
        schema, readable = self.schema, self.table.readable
        constraints: list[Constraint] = []
        numbers: list[int] = []
        offset: int | None = None
        moments: dict[int, str] = {}
        search = Search(self)
        for number, asked in enumerate(question.conditions):
            if asked.op == OFFSET:
                offset = number
            elif asked.op == LIMIT or search.takes(number, asked):
                pass
            elif asked.column >= self._width:
                moments[number] = self._moment(asked)
            else:
                constraints.append(self._constraint(asked))
                numbers.append(number)
        if len(set(moments.values())) > 1:
            raise UnsupportedError(
                "version and as_of exclude each other", file=self.table.path, remedy="Ask for one of them."
            )
        search.check()
        moment = self._chosen(question, moments)
        if moments and moment is None:
            return None  # the rows depend on it: SQLite must find an order of its loops in which it is known
        if search.blocked:
            return None
        by_distance = search.match is not None and search.orders(question)
        order = 0
        if question.order and question.order[0][0] in (ROWID, schema.rowid_column):
            order = -1 if question.order[0][1] else 1
        choice = choose(
            schema,
            Statistics(readable.rows, readable.ordered),
            constraints,
            [column for column in range(self._width) if question.uses(column)],
            order=order,
            offset=offset is not None
            and question.conditions[offset].usable
            and not (question.order and not order),
            moment=None if moment is None else moments[moment],
            match=search.match,
            k=search.k is not None,
        )
        answer = Answer.empty(len(question.conditions))
        search.answer(answer, choice.plan)
        if moment is not None:
            argument = choice.plan.version or choice.plan.as_of
            assert argument is not None
            answer.use(moment, argument)
        for number, used, exact, constraint in zip(
            numbers, choice.arguments, choice.exact, constraints, strict=True
        ):
            if used is not None:
                answer.use(number, used, omit=exact)
                answer.lists[number] = constraint.op is Op.IN
        if choice.plan.offset is not None and offset is not None:
            answer.use(offset, choice.plan.offset)
        answer.text = choice.plan.text(schema)
        answer.number = len(choice.plan.terms)
        answer.cost, answer.rows = choice.cost, choice.rows
        answer.ordered = bool(choice.plan.order) or by_distance
        answer.unique = choice.unique
        return answer

    def _moment(self, asked: Asked) -> str:
        """``version`` or ``as_of``, for an equality on one of the two."""
        name = hidden_names(self.name, self.schema)[asked.column - self._width]
        if name in ("version", "as_of") and asked.op == EQ:
            return name
        raise UnsupportedError(
            f"this condition on the hidden column {name} is not understood",
            file=self.table.path,
            remedy=_HOW_TO_ASK["k" if name == "k" else "version"],
        )

    def _chosen(self, question: Question, moments: dict[int, str]) -> int | None:
        """The condition that says which version to read, a constant if there is one; SQLite compares the others."""
        usable = [number for number in moments if question.conditions[number].usable]
        return min(usable, key=lambda number: question.conditions[number].value is None, default=None)

    def _constraint(self, asked: Asked) -> Constraint:
        known = OPERATORS.get(asked.op)
        usable = known is not None and asked.usable
        collation = asked.collation.upper() if usable else "BINARY"
        if collation not in Collation.__members__:
            usable, collation = False, "BINARY"  # one of the application's own
        operator = known or Op.EQ
        if operator is Op.EQ and usable and asked.in_list:
            operator = Op.IN
        return Constraint(
            column=ROWID if asked.column == self.schema.rowid_column else asked.column,
            op=operator,
            usable=usable,
            collation=collation,
            value=UNKNOWN if asked.value is None else asked.value,
        )

    @property
    def width(self) -> int:
        """Columns that are not hidden; the hidden ones follow."""
        return self._width

    def plan(self, text: str) -> Plan:
        """The plan that SQLite kept as text."""
        found = self._plans.get(text)
        if found is None:
            found = self._plans[text] = parse_plan(text, self.schema)
        return found

    def opened(self) -> None:
        """A cursor is opened. The first one looks for commits of other processes; the others share its snapshot."""
        if not self.open_cursors:
            self.table.refresh()
            self._compare_schemas()

    def readable(self) -> Transaction | Snapshot:
        """What a statement reads, with the columns that SQLite knows."""
        readable = self.table.readable
        if isinstance(readable, Snapshot) and not readable.schema.visible.is_same(self.schema):
            return readable.at(readable.version, self.schema)
        return readable

    def _compare_schemas(self, *, writing: bool = False) -> None:
        """When the file has other columns by now, make SQLite ask for them again at the next statement.

        This statement goes on if it reads, and what it knows is still there; otherwise SchemaChangedError.
        """
        current = self.table.schema
        if current.is_same(self.schema):
            return
        self.connection.execute("PRAGMA writable_schema=RESET")
        kept = {column.id: column for column in current.columns}
        if writing or any(
            column.id not in kept or kept[column.id] != column for column in self.schema.columns
        ):
            raise SchemaChangedError(
                "the columns of the table were changed by another connection",
                file=self.table.path,
                remedy="They are known now: run the statement again.",
            )

    def faults(self) -> str | None:
        """What PRAGMA integrity_check prints of this table; None if all is well."""
        found = [str(problem) for problem in problems(self.table)]
        return "\n".join(found) or None

    def disconnect(self) -> None:
        """The connection is done with the table. DROP TABLE comes here, too: the file is the user's and stays."""
        self._tables.forget(self)
        self.table.close()

    def rename(self, name: str) -> None:
        """ALTER TABLE … RENAME TO: the file keeps its name."""
        self.name = name

    # -- writing --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first write of a transaction takes the writer's lock."""
        self.table.begin(any_thread=True)
        try:
            self._compare_schemas(writing=True)
        except SchemaError:
            self.table.rollback()
            raise

    def sync(self) -> None:
        """Write the commit, durably: SQLite reports what fails here, and nothing that fails in commit."""
        self.table.prepare()

    def commit(self) -> None:
        """The commit stands."""
        self.table.commit()

    def rollback(self) -> None:
        """Drop the changes, also those that sync wrote."""
        self.table.rollback()

    def savepoint(self, level: int) -> None:
        """Remember this moment."""
        if self.table.transaction is not None:
            self.table.transaction.savepoint(level)

    def release(self, level: int) -> None:
        """Forget savepoints from ``level`` on."""
        if self.table.transaction is not None:
            self.table.transaction.release(level)

    def rollback_to(self, level: int) -> None:
        """Return to a savepoint."""
        if self.table.transaction is not None:
            self.table.transaction.rollback_to(level)

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> int | None:
        """INSERT, or a command; the new rowid."""
        if any(value is not None for value in fields[self._width :]):
            run_command(self.table, fields[self._width :], alone=not self.connection.in_transaction)
            if not self.table.schema.is_same(self.schema):
                self.connection.execute("PRAGMA writable_schema=RESET")  # SQLite asks for the columns again
            return self.connection.last_insert_rowid()
        row = self._row(self._with_defaults(fields), rowid)
        added = None if row is None else self.table.begin().insert(rowid, row, self._on_conflict())
        if added is not None or rowid is not None:
            return added
        # The row was ignored. SQLite wants a rowid all the same: one that leaves last_insert_rowid() as it was.
        return self.connection.last_insert_rowid()

    def change(self, rowid: int, new: int, fields: Sequence[Any]) -> None:
        """UPDATE."""
        version, as_of = fields[self._width + 4 :]
        own, *others = fields[self._width : self._width + 4]
        # A row that MATCH found comes with what the cursor says of it: FoundRow, rank, distance.
        found = own is None or isinstance(own, FoundRow)
        found = found and others[2] is None and all(isinstance(v, float | None) for v in others[:2])
        if version != self.table.version or as_of is not None or not found:
            raise UnsupportedError(
                "UPDATE changes the newest version only, and no hidden column",
                file=self.table.path,
                remedy="To have an old version again: INSERT INTO t(t, rank) VALUES ('restore', 3).",
            )
        if self._on_conflict() is OnConflict.REPLACE:
            fields = self._with_defaults(fields, only_needed=True)
        row = self._row(fields, None if new == rowid else new, rowid)
        if row is None:
            return
        alias = self.schema.rowid_column
        if alias is not None and new == rowid:
            if row[alias] is None:
                name = self.schema.columns[alias].name  # in SQLite, too, this is a matter of types
                raise DataTypeError(f"cannot store NULL value in INTEGER PRIMARY KEY column {name}")
            new = row[alias]
        self.table.begin().update(rowid, new, row, self._on_conflict())

    def delete(self, rowid: int) -> None:
        """DELETE."""
        self.table.begin().delete(rowid)

    def _with_defaults(self, fields: Sequence[Any], *, only_needed: bool = False) -> Sequence[Any]:
        """The fields of a new row. SQLite says NULL for a column that INSERT left out, and for one set to NULL.

        only_needed: in NOT NULL columns alone, as UPDATE OR REPLACE does.
        """
        if not any(fields[place] is None for place, _ in self._defaults):
            return fields
        filled = list(fields)
        for place, default in self._defaults:
            if filled[place] is None and (not only_needed or self.table.schema.columns[place].not_null):
                filled[place] = default()
        return filled

    def _row(self, fields: Sequence[Any], new: int | None, old: int | None = None) -> list[Any] | None:
        """The values that the columns store; None if OR IGNORE drops the row.

        SQLite looks at the type of the rowid, at NOT NULL, and whether the rowid is new, before the types of the others;
        with a CHECK, which needs the types, it looks at these before the rowid.
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
        schema = self.schema
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
            ConstraintError(f"UNIQUE constraint failed: {name}") if self.table.begin().contains(new) else None
        )

    def _on_conflict(self) -> OnConflict:
        return _CONFLICTS.get(self.connection.vtab_on_conflict(), OnConflict.RAISE)
