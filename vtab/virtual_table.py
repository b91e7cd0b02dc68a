"""One audiomem table of one SQLite connection: what xBestIndex, xUpdate and the transaction methods come to.

Nothing here knows how SQLite is reached: ``apsw`` does it, and ``extension`` with its C half, ``native``.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.errors import AudioMemError, SchemaError
from audiomem_sql.machine.interrupts import watch, watched
from audiomem_sql.scan.plan import Plan, parse_plan
from audiomem_sql.scan.planner import Statistics
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab import interface
from audiomem_sql.vtab.codes import SchemaChangedError
from audiomem_sql.vtab.found_rows import match
from audiomem_sql.vtab.hidden_columns import HiddenColumns
from audiomem_sql.vtab.index_query import IndexPlan, IndexQuery, Question
from audiomem_sql.vtab.planning import PlannedTable, plan_index
from audiomem_sql.vtab.row_conditions import check_names, failed, select_rows
from audiomem_sql.vtab.row_writer import RowWriter
from audiomem_sql.vtab.running import RunningStatement
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.writing.transaction import Transaction

#: So many answers to xBestIndex are kept.
MOST_ANSWERS = 256


class VirtualTable(interface.Table):
    """One audiomem table of one connection."""

    def __init__(
        self,
        tables: Tables,
        connection: interface.WritingHost,
        database: str,
        name: str,
        table: Table,
        hidden: HiddenColumns,
    ) -> None:
        self._tables = tables
        self.connection = connection
        #: The name under which its database is attached.
        self.database = database
        self.name = name
        self.key: tuple[str, ...] = ()
        self.table = table
        #: The columns as they were declared to SQLite; the file may have others by now.
        self.schema = table.schema
        #: Those behind them.
        self.hidden = hidden
        self.open_cursors = 0
        self._joins = False
        self._plans: dict[str, Plan] = {}
        self._planned: PlannedTable | None = None
        self._planned_for: weakref.ref[Snapshot] | None = None  # which never changes
        self._answers: dict[Question, IndexPlan | None] = {}  # for the table as it was then
        self._running = RunningStatement(connection, database, name)
        self._writer = RowWriter(table, connection, hidden, self._running)

    # -- reading
    # --------------------------------------------------------------------------------------------------

    def best_index(self, question: Question) -> IndexPlan | None:
        """xBestIndex: the plan for a query; None: not in this order of SQLite's loops.

        SQLite asks the same again for every order of a join's loops, and so does every statement like it:
        what was answered is kept as long as the table is as it was. Questions with values are not kept.
        """
        known = self.planned_table()
        if question in self._answers:
            return self._answers[question]
        query = IndexQuery.of(question)
        answer = plan_index(known, query)
        if all(each.value is None for each in query.constraints):
            if len(self._answers) == MOST_ANSWERS:
                self._answers.clear()
            self._answers[question] = answer
        return answer

    def planned_table(self) -> PlannedTable:
        """The table as the planner knows it: the same object for as long as the table is as it was."""
        table = self.table
        readable = table.readable
        if self._planned is not None and self._planned_for is not None and self._planned_for() is readable:
            return self._planned
        planned = PlannedTable(
            table.path,
            self.schema,
            self.hidden,
            table.snapshot.schema,
            Statistics(readable.rows, readable.ordered),
        )
        self._planned_for = weakref.ref(readable) if isinstance(readable, Snapshot) else None
        if self._planned != planned:
            self._planned = planned
            self._answers.clear()
        return self._planned

    def plan(self, text: str) -> Plan:
        """The plan that SQLite kept as text."""
        plan = self._plans.get(text)
        if plan is None:
            plan = self._plans[text] = parse_plan(text, self.schema)
        return plan

    def searching(self, said: dict[Hidden, Any]) -> None:
        """A search begins; its query says this in hidden columns, None where it says nothing."""
        self._writer.searched = said

    def rows_passing(self, condition: Any, moment: tuple[Hidden, Any] | None) -> I64Array:
        """The rowids of the rows for which a condition of SQL is true, ascending int64 (n,).

        The connection itself evaluates it, with its functions and tables. moment: the version that is read.
        QueryError for text that is no condition, or may not be evaluated; what its evaluation raises.
        """
        sql = select_rows(self.database, self.name, self.schema, self.hidden, condition, moment)
        with self._tables.evaluating(self.table.path):
            check_names(condition, self.database, self.name, self.integers, self.table.path)
            try:
                return np.sort(self.integers(sql))
            except Exception as error:
                raise failed(error, condition, self.table.path) from None

    def matches(self, query: Any, row: Any) -> int | None:
        """MATCH where no plan answers it, as beside an OR: 1, 0 or NULL of a row."""
        with watched(self.interrupted):
            return match(query, row, self.table.path)

    @abstractmethod
    def interrupted(self) -> bool:
        """Whether the statement that runs is to end: it was interrupted, or a progress handler says so."""

    @abstractmethod
    def integers(self, sql: str) -> I64Array:
        """The integers of the first column of a query of the connection, int64 (n,).

        InterruptError if SQLite ends it for that.
        """

    def opened(self) -> None:
        """A cursor is opened.

        The first one looks for commits of other processes; the others share its snapshot.
        """
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
        if writing or any(  # an index is nothing that SQLite knows
            column.id not in kept or replace(kept[column.id], vector_index=column.vector_index) != column
            for column in self.schema.columns
        ):
            raise SchemaChangedError(
                "the columns of the table were changed by another connection",
                file=self.table.path,
                remedy="They are known now: run the statement again.",
            )

    def faults(self) -> str | None:
        """What PRAGMA integrity_check prints of this table; None if all is well."""
        with watched(self.interrupted):
            from audiomem_sql.upkeep.verify import problems

            lines = [str(problem) for problem in problems(self.table)]
        return "\n".join(lines) or None

    def disconnect(self) -> None:
        """The connection is done with the table."""
        self._tables.forget(self)
        if not self._tables.uses(self.table):
            self.table.close()

    def dropped(self) -> str:
        """What the log of SQLite says of DROP TABLE: the file is the user's, and stays."""
        for same in self._tables.same(self):  # SQLite keeps them for as long as statements are prepared
            self._tables.forget(same)
        return (
            f"audiomem: DROP TABLE {self.name} leaves the file {self.table.files.base} as it is; "
            "`audiomem drop FILE` deletes it"
        )

    def rename(self, name: str) -> None:
        """ALTER TABLE … RENAME TO: the file keeps its name."""
        self.name = self._running.name = name

    # -- writing
    # --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first write of a transaction takes the writer's lock."""
        self._joins = self.table.transaction is not None
        before = watch(self.interrupted)  # which costs a commit less than the context manager
        try:
            self.table.begin(any_thread=True)
        finally:
            watch(before)
        self._running.forget()
        try:
            self._compare_schemas(writing=True)
        except SchemaError:
            self.table.rollback()
            raise

    def sync(self) -> None:
        """Write the commit, durably: SQLite reports what fails here, and nothing that fails in commit."""
        before = watch(self.interrupted)
        transaction = self.table.transaction
        try:
            self.table.prepare()
        finally:
            watch(before)
        if transaction is not None and transaction.last_rowid is not None:
            self.connection.set_last_insert_rowid(transaction.last_rowid)

    def commit(self) -> None:
        """The commit stands."""
        self.table.commit()

    def rollback(self) -> None:
        """Drop the changes, also those that sync wrote."""
        self.table.rollback()

    def savepoint(self, level: int) -> None:
        """Remember this moment; when the transaction is joined late, not in the place of an earlier one."""
        self._running.forget()
        if self.table.transaction is not None:
            self.table.transaction.savepoint(level, keep=self._joins)
        self._joins = False

    def release(self, level: int) -> None:
        """Forget savepoints from ``level`` on."""
        if self.table.transaction is not None:
            self.table.transaction.release(level)

    def rollback_to(self, level: int) -> None:
        """Return to a savepoint."""
        self._running.forget()
        if self.table.transaction is not None:
            self.table.transaction.rollback_to(level)

    def insert(self, rowid: int | None, fields: Sequence[Any]) -> int | None:
        """INSERT, or a command; the new rowid, or None if OR IGNORE dropped the row."""
        before = watch(self.interrupted)
        try:
            return self._writer.insert(rowid, fields)
        except AudioMemError as error:
            error.at(file=self.table.path)
            raise
        finally:
            watch(before)

    def change(self, rowid: int, new: Any, fields: Sequence[Any]) -> int | None:
        """UPDATE; the rowid, or None if OR IGNORE left the row as it was."""
        try:
            return self._writer.change(rowid, new, fields)
        except AudioMemError as error:
            error.at(file=self.table.path)
            raise

    def delete(self, rowid: int) -> None:
        """DELETE."""
        self.table.begin().delete(rowid)
