"""SQLite's door through apsw: module ``audiomem``. CamelCase only where SQLite calls in.

What a table does is in ``virtual_table``; here it is put into apsw's words. ``sqlite_cursor`` is the cursor.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import apsw
import apsw.ext

from audiomem_sql.errors import BusyError, ConstraintError, SchemaError
from audiomem_sql.search import highlight, snippet
from audiomem_sql.table.table import Table
from audiomem_sql.vtab import arguments as creation
from audiomem_sql.vtab.apsw.cursor import Cursor
from audiomem_sql.vtab.apsw.in_lists import lists_may_be_empty
from audiomem_sql.vtab.codes import SchemaChangedError, constraint
from audiomem_sql.vtab.index_query import FAIL, LIMIT, OFFSET, ROLLBACK, IndexConstraint, IndexQuery
from audiomem_sql.vtab.table_functions import table_functions
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.vtab.virtual_table import VirtualTable

MODULE = "audiomem"


# apsw raises what a module raised even where SQLite ignored it, so tables ignore by themselves.
class SqlConstraintError(ConstraintError, apsw.ConstraintError):
    """A violated key: both our error and SQLite's, so that OR FAIL and OR ROLLBACK find it."""

    extendedresult: int


class SqlBusyError(BusyError, apsw.BusyError):
    """Another process is writing: both our error and SQLite's."""


class SqlSchemaChangedError(SchemaChangedError, SchemaError, apsw.SchemaChangeError):
    """The columns changed while a statement knew the old ones: both our error and SQLite's."""


Function = TypeVar("Function", bound=Callable[..., Any])


def raised(error: BaseException, table: str | None) -> BaseException:
    """What apsw's user catches: our error, and SQLite's as well where it has a code for that."""
    made: BaseException | None = None
    if isinstance(error, ConstraintError) and table is not None:
        found = constraint(error, table)
        if found is not None:
            made = SqlConstraintError(found[1])
            made.extendedresult = found[0]
    elif isinstance(error, BusyError):
        made = SqlBusyError(error.what, file=error.file, remedy=error.remedy)
    elif isinstance(error, SchemaChangedError):
        made = SqlSchemaChangedError(error.what, file=error.file, remedy=error.remedy)
    if made is None:
        return error
    made.__cause__ = error
    return made


def _as_sqlite(function: Function) -> Function:
    """Give errors that SQLite has a code for that code."""

    @wraps(function)
    def called(self: ApswTable, *arguments: Any) -> Any:
        try:
            return function(self, *arguments)
        except (BusyError, ConstraintError, SchemaChangedError) as error:
            raise raised(error, self.name) from error

    return called  # type: ignore[return-value]


def _changes_a_row(function: Function) -> Function:
    """Undo the rows that a statement changed already when it fails at a later one.

    SQLite calls RollbackTo for that, but apsw leaves the call out while an exception is on its way, as it is
    then.
    """

    @wraps(function)
    def called(self: ApswTable, *arguments: Any) -> Any:
        transaction = self.table.begin(any_thread=True)
        changes = self.apsw.total_changes()
        if changes != self._changes:  # it counts whole statements, so this is the first row of one
            self._changes, self._steps = changes, transaction.steps
        try:
            return function(self, *arguments)
        except BaseException as error:
            if not isinstance(error, apsw.ConstraintError) or self.apsw.vtab_on_conflict() not in _KEPT:
                transaction.undo(self._steps)
            raise

    return called  # type: ignore[return-value]


#: OR FAIL keeps the rows before the one that failed; OR ROLLBACK ends the transaction.
_KEPT = (FAIL, ROLLBACK)


class Module(Tables):
    """``CREATE VIRTUAL TABLE … USING audiomem('file.flac', columns …, options …)`` of one connection."""

    def Create(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """A table at a new file, or at one that exists; its columns may then be left out."""
        return self._declare(connection, name, creation.create(connection, database, name, arguments))

    def Connect(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """The table again, from the schema of a database that was closed meanwhile; nothing is created."""
        return self._declare(connection, name, creation.connect(connection, database, arguments))

    def _declare(self, connection: apsw.Connection, name: str, table: Table) -> Any:
        try:
            connection.vtab_config(apsw.SQLITE_VTAB_CONSTRAINT_SUPPORT, 1)
            connection.vtab_config(apsw.SQLITE_VTAB_DIRECTONLY)
            made = ApswTable(self, connection, name, table)
            declaration = creation.declaration(name, table.schema)
            self.add(made)
            return declaration, made
        except BaseException:
            table.close()
            raise


class ApswTable(VirtualTable):
    """One audiomem table of one apsw connection."""

    def __init__(self, module: Module, connection: apsw.Connection, name: str, table: Table) -> None:
        super().__init__(module, connection, name, table)
        self.apsw = connection
        self._changes = -1  # of the connection, when the statement that writes now began
        self._steps = 0  # of the transaction, at that moment

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:
        """Hand SQLite's query on, and the plan back."""
        answer = self.best_index(_index_query(index))
        if answer is None:
            return False
        lists = any(answer.lists) and lists_may_be_empty()
        for number, argument in enumerate(answer.arguments):
            if argument:
                index.set_aConstraintUsage_argvIndex(number, argument)
                index.set_aConstraintUsage_omit(number, answer.omitted[number])
                if lists and answer.lists[number]:
                    index.set_aConstraintUsage_in(number, True)
        index.idxStr, index.idxNum = answer.text, answer.number
        index.estimatedCost, index.estimatedRows = answer.cost, answer.rows
        index.orderByConsumed = answer.ordered
        if answer.unique:
            index.idxFlags = apsw.SQLITE_INDEX_SCAN_UNIQUE
        return True

    @_as_sqlite
    def Open(self) -> Cursor:
        """A cursor."""
        self.opened()
        cursor = Cursor(self)
        self.open_cursors += 1
        return cursor

    def FindFunction(self, name: str, arguments: int) -> Callable[..., Any] | None:
        """``highlight`` and ``snippet`` know the row where their first argument is the table."""
        return {"highlight": highlight, "snippet": snippet}.get(name.lower())

    def Integrity(self, schema: str, name: str, quick: int) -> str | None:
        """What PRAGMA integrity_check prints of this table; None if all is well."""
        return self.faults()

    Disconnect = VirtualTable.disconnect

    def Destroy(self) -> None:
        """DROP TABLE: the file stays, and the log of SQLite says so."""
        apsw.log(apsw.SQLITE_NOTICE, self.dropped())
        self.disconnect()

    Rename = VirtualTable.rename

    @_as_sqlite
    def Begin(self) -> None:
        """The first write of a transaction."""
        self._changes = -1
        self.begin()

    Sync = _as_sqlite(VirtualTable.sync)
    Commit = VirtualTable.commit
    Rollback = VirtualTable.rollback
    Savepoint = VirtualTable.savepoint
    Release = VirtualTable.release

    def RollbackTo(self, level: int) -> None:
        """Return to a savepoint."""
        self._changes = -1
        self.rollback_to(level)

    UpdateInsertRow = _changes_a_row(_as_sqlite(VirtualTable.insert))
    UpdateChangeRow = _changes_a_row(_as_sqlite(VirtualTable.change))
    UpdateDeleteRow = _changes_a_row(_as_sqlite(VirtualTable.delete))


def _index_query(index: apsw.IndexInfo) -> IndexQuery:
    constraints = []
    for number in range(index.nConstraint):
        op, usable = index.get_aConstraint_op(number), index.get_aConstraint_usable(number)
        about_rows = op not in (LIMIT, OFFSET)
        constraints.append(
            IndexConstraint(
                index.get_aConstraint_iColumn(number),
                op,
                usable,
                index.get_aConstraint_collation(number) if usable and about_rows else "BINARY",
                index.get_aConstraint_rhs(number),
                usable and about_rows and index.get_aConstraintUsage_in(number),
            )
        )
    order = [
        (index.get_aOrderBy_iColumn(number), index.get_aOrderBy_desc(number))
        for number in range(index.nOrderBy)
    ]
    return IndexQuery(constraints, order, sum(1 << column for column in index.colUsed))


def register(connection: apsw.Connection) -> Module:
    """Make module ``audiomem`` known to ``connection``."""
    module = Module()
    try:
        connection.create_module(MODULE, cast(Any, module), use_bestindex_object=True, iVersion=4)
    except Exception as error:
        # apsw has 33 places in a process for modules above version 2; below, only PRAGMA integrity_check is
        # missing.
        if "slots" not in str(error):
            raise
        connection.create_module(MODULE, cast(Any, module), use_bestindex_object=True, iVersion=2)
    return module


def register_functions(connection: apsw.Connection, module: Module) -> None:
    """Make the table-valued functions known to ``connection``, whose tables ``module`` has."""
    connected = weakref.ref(connection)
    for function in table_functions(module, lambda: cast(apsw.Connection, connected())):
        made = cast(Any, function.call)
        made.columns = function.columns
        made.column_access = apsw.ext.VTColumnAccess.By_Index
        apsw.ext.make_virtual_module(cast(Any, _DirectOnly(connection)), function.name, made)


class _DirectOnly:
    """A connection whose modules no view or trigger of a schema that is not trusted may read from."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def create_module(self, name: str, module: Any, **options: Any) -> None:
        """As of ``apsw.Connection``."""
        connect = module.Connect

        def connected(connection: apsw.Connection, *arguments: Any) -> Any:
            connection.vtab_config(apsw.SQLITE_VTAB_DIRECTONLY)
            return connect(connection, *arguments)

        module.Create = module.Connect = connected
        self._connection.create_module(name, module, **options)
