"""One audiomem table of one SQLite connection: what xBestIndex, xUpdate and the transaction methods come to.

Nothing here knows how SQLite is reached: ``sqlite`` does it through apsw, ``native`` through the C extension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiomem_sql.errors import SchemaError
from audiomem_sql.scan.plan import Plan, parse_plan
from audiomem_sql.scan.planner import Statistics
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import Snapshot
from audiomem_sql.vtab import interface
from audiomem_sql.vtab.codes import SchemaChangedError
from audiomem_sql.vtab.index_query import IndexPlan, IndexQuery
from audiomem_sql.vtab.planning import PlannedTable, plan_index
from audiomem_sql.vtab.row_writer import RowWriter
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.writing.transaction import Transaction


class VirtualTable(interface.Table):
    """One audiomem table of one connection."""

    def __init__(self, tables: Tables, connection: interface.Host, name: str, table: Table) -> None:
        self._tables = tables
        self.connection = connection
        self.name = name
        self.table = table
        #: The columns as they were declared to SQLite; the file may have others by now.
        self.schema = table.schema
        self.open_cursors = 0
        self._plans: dict[str, Plan] = {}
        self._writer = RowWriter(table, connection)

    # -- reading
    # --------------------------------------------------------------------------------------------------

    def best_index(self, query: IndexQuery) -> IndexPlan | None:
        """xBestIndex: the plan for a query; None: not in this order of SQLite's loops."""
        table, readable = self.table, self.table.readable
        statistics = Statistics(readable.rows, readable.ordered)
        known = PlannedTable(self.name, table.path, self.schema, table.snapshot.schema, statistics)
        return plan_index(known, query)

    def plan(self, text: str) -> Plan:
        """The plan that SQLite kept as text."""
        plan = self._plans.get(text)
        if plan is None:
            plan = self._plans[text] = parse_plan(text, self.schema)
        return plan

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
        lines = [str(problem) for problem in problems(self.table)]
        return "\n".join(lines) or None

    def disconnect(self) -> None:
        """The connection is done with the table."""
        self._tables.forget(self)
        self.table.close()

    def dropped(self) -> str:
        """What the log of SQLite says of DROP TABLE: the file is the user's, and stays."""
        return (
            f"audiomem: DROP TABLE {self.name} leaves the file {self.table.files.base} as it is; "
            "`audiomem drop FILE` deletes it"
        )

    def rename(self, name: str) -> None:
        """ALTER TABLE … RENAME TO: the file keeps its name."""
        self.name = name

    # -- writing
    # --------------------------------------------------------------------------------------------------

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
        return self._writer.insert(rowid, fields)

    def change(self, rowid: int, new: int, fields: Sequence[Any]) -> None:
        """UPDATE."""
        self._writer.change(rowid, new, fields)

    def delete(self, rowid: int) -> None:
        """DELETE."""
        self.table.begin().delete(rowid)
