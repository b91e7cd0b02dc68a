"""SQLite's door through apsw: module ``audiomem``. CamelCase only where SQLite calls in.

What a table does is in ``virtual_table``; here it is put into apsw's words. ``cursor`` has its cursors.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

import apsw
import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.exact_order import compare_numbers
from audiomem_sql.columns.time_order import compare
from audiomem_sql.columns.types import NUMBER_COLLATION, TIME_COLLATION
from audiomem_sql.errors import BusyError, ConstraintError, InterruptError, SchemaError
from audiomem_sql.search import bm25, highlight, snippet
from audiomem_sql.vtab import arguments as creation
from audiomem_sql.vtab.apsw.checks import refuse_check
from audiomem_sql.vtab.apsw.cursor import Cursor
from audiomem_sql.vtab.apsw.host import ApswHost
from audiomem_sql.vtab.apsw.kept_plans import Signature, Told, question_of, signature_of, tell, told_of
from audiomem_sql.vtab.apsw.missing_table import ApswMissingTable
from audiomem_sql.vtab.codes import ASK, SchemaChangedError, constraint
from audiomem_sql.vtab.index_query import FAIL, ROLLBACK
from audiomem_sql.vtab.planning import PlannedTable
from audiomem_sql.vtab.table_functions import TableFunction, table_functions
from audiomem_sql.vtab.tables import Tables
from audiomem_sql.vtab.virtual_table import MOST_ANSWERS, VirtualTable

MODULE = "audiomem"


# apsw raises what a module raised even where SQLite ignored it, so tables ignore by themselves.
class SqlConstraintError(ConstraintError, apsw.ConstraintError):
    """A violated key: both our error and SQLite's, so that OR FAIL and OR ROLLBACK find it."""

    extendedresult: int


class SqlBusyError(BusyError, apsw.BusyError):
    """Another process is writing: both our error and SQLite's."""


class SqlInterruptError(InterruptError, apsw.InterruptError):
    """A statement was interrupted: both our error and SQLite's."""


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
    elif isinstance(error, InterruptError):
        made = SqlInterruptError(error.what, file=error.file, remedy=error.remedy)
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
        except (BusyError, ConstraintError, InterruptError, SchemaChangedError) as error:
            raise raised(error, self.name) from error

    return called  # type: ignore[return-value]


def _changes_a_row(function: Function) -> Function:
    """Let the statements of the connection know what they change, and what they keep when they fail."""

    @wraps(function)
    def called(self: ApswTable, *arguments: Any) -> Any:
        self.touched()
        try:
            return function(self, *arguments)
        except apsw.ConstraintError:
            if self.apsw.vtab_on_conflict() in _KEPT:
                self.statements.keeps()
            raise

    return called  # type: ignore[return-value]


#: What apsw calls beyond the usual methods.
_METHODS: dict[str, Any] = {"use_bestindex_object": True, "use_no_change": True}
#: OR FAIL keeps the rows before the one that failed; OR ROLLBACK ends the transaction.
_KEPT = (FAIL, ROLLBACK)


class Module(Tables):
    """``CREATE VIRTUAL TABLE … USING audiomem('file.flac', columns …, options …)`` of one connection."""

    def __init__(self) -> None:
        super().__init__()
        self._host: ApswHost | None = None
        #: Whether PRAGMA integrity_check asks the tables.
        self.is_checked = True

    def Create(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """A table at a new file, or at one that exists; its columns may then be left out."""
        table = creation.create(connection, database, name, arguments)
        return self._declare(connection, database, name, table, arguments)

    def Connect(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """The table again, from the schema of a database that was closed meanwhile; nothing is created."""
        open_already = self.writing((database, *arguments))
        if open_already is not None:
            declared = creation.joined(open_already, name, arguments)
        elif not creation.is_missing(connection, database, arguments):
            declared = creation.connect(connection, database, name, arguments)
        else:
            missing = ApswMissingTable(
                self, connection, name, lambda: creation.connect(connection, database, name, arguments).table
            )
            self.add(missing)
            self._refuse_checks(connection)
            return creation.missing_declaration(name, arguments), missing
        return self._declare(connection, database, name, declared, arguments)

    def _refuse_checks(self, connection: apsw.Connection) -> None:
        if not self.is_checked:
            connection.trace_v2(apsw.SQLITE_TRACE_STMT, refuse_check, id=self)

    def _declare(
        self,
        connection: apsw.Connection,
        database: str,
        name: str,
        declared: creation.Declared,
        arguments: tuple[str, ...],
    ) -> Any:
        try:
            connection.vtab_config(apsw.SQLITE_VTAB_CONSTRAINT_SUPPORT, 1)
            if self._host is None:
                self._host = ApswHost(connection)
                self._refuse_checks(connection)
            made = ApswTable(self, self._host, database, name, declared)
            made.key = (database, *arguments)
            self.add(made)
            return declared.declaration, made
        except BaseException:
            if not self.uses(declared.table):
                declared.table.close()
            raise


class ApswTable(VirtualTable):
    """One audiomem table of one apsw connection."""

    def __init__(
        self, module: Module, host: ApswHost, database: str, name: str, declared: creation.Declared
    ) -> None:
        super().__init__(module, host, database, name, declared.table, declared.hidden)
        self._host = host
        self.apsw = host.apsw
        self.statements = host.statements
        self._told_of: PlannedTable | None = None
        self._told: dict[Signature, Told | None] = {}  # answers that are kept, of that table

    def interrupted(self) -> bool:
        """Whether the statement that runs is to end. SqlInterruptError if it is."""
        try:
            self.apsw.execute(ASK).fetchall()
        except apsw.InterruptError:
            raise SqlInterruptError("interrupted") from None
        except (apsw.AuthError, apsw.SQLError):
            return False
        return False

    def integers(self, sql: str) -> I64Array:
        """The integers of the first column of a query of the connection, int64 (n,)."""
        try:
            rows = self.apsw.execute(sql, can_cache=False)
            return np.fromiter((number for (number,) in rows), np.int64)
        except apsw.InterruptError:
            raise SqlInterruptError("interrupted", file=self.table.path) from None

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:
        """Hand SQLite's query on, and the plan back; what was asked before is not asked again."""
        planned = self.planned_table()
        if planned is not self._told_of:
            self._told_of = planned
            self._told.clear()
        signature = signature_of(index)
        try:
            told = self._told[signature]
        except KeyError:
            question = question_of(index)
            told = told_of(self.best_index(question))
            if all(value is None for *_, value, _ in question[0]):
                if len(self._told) == MOST_ANSWERS:
                    self._told.clear()
                self._told[signature] = told
        if told is None:
            return False
        tell(index, told)
        return True

    @_as_sqlite
    def Open(self) -> Cursor:
        """A cursor."""
        self.opened()
        cursor = Cursor(self)
        self.open_cursors += 1
        return cursor

    def touched(self) -> None:
        """The statement that writes now is to change the table."""
        self.statements.touches(self, self.table.begin(any_thread=True).steps)

    def undo(self, steps: int) -> None:
        """Take back all changes of the transaction but the first ``steps``."""
        if self.table.transaction is not None:
            self.table.transaction.undo(steps)

    def FindFunction(self, name: str, arguments: int) -> Callable[..., Any] | None:
        """``highlight``, ``snippet`` and ``bm25`` know the row where their first argument is the table.

        So does ``match``, which SQLite calls where no plan answers MATCH.
        """
        functions: dict[str, Callable[..., Any]] = {
            "highlight": highlight,
            "snippet": snippet,
            "bm25": bm25,
            "match": self.matches,
        }
        return functions.get(name.lower())

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
        self.begin()
        self.statements.begins()
        self.touched()

    Sync = _as_sqlite(VirtualTable.sync)

    def Commit(self) -> None:
        """The transaction is written."""
        self.statements.ends()
        self.commit()

    def Rollback(self) -> None:
        """The transaction is dropped."""
        self.statements.ends()
        self.rollback()

    def Savepoint(self, level: int) -> None:
        """A savepoint, or a statement that may have to be taken back."""
        self.savepoint(level)
        self.statements.savepoint(level)
        self.touched()

    def Release(self, level: int) -> None:
        """What came behind a savepoint is kept."""
        self.release(level)
        self.statements.settled(level)

    def RollbackTo(self, level: int) -> None:
        """Return to a savepoint."""
        self.rollback_to(level)
        self.statements.settled(level)

    @_changes_a_row
    @_as_sqlite
    def UpdateInsertRow(self, rowid: int | None, fields: Sequence[Any]) -> int:
        """INSERT.

        For a row that was dropped SQLite wants a rowid all the same: one that leaves last_insert_rowid() as
        it was.
        """
        added = self.insert(rowid, fields)
        return self.apsw.last_insert_rowid() if added is None else added

    @_changes_a_row
    @_as_sqlite
    def UpdateChangeRow(self, rowid: int, new: Any, fields: Sequence[Any]) -> int | None:
        """UPDATE."""
        if apsw.no_change in fields:
            fields = [math.nan if value is apsw.no_change else value for value in fields]
        return self.change(rowid, new, fields)

    UpdateDeleteRow = _changes_a_row(_as_sqlite(VirtualTable.delete))


def register(connection: apsw.Connection) -> Module:
    """Make module ``audiomem`` known to ``connection``."""
    module = Module()
    connection.create_collation(TIME_COLLATION, compare)
    connection.create_collation(NUMBER_COLLATION, compare_numbers)
    try:
        connection.create_module(MODULE, cast(Any, module), **_METHODS, iVersion=4)
    except Exception as error:
        # apsw has 33 places in a process for modules above version 2; below, only PRAGMA integrity_check is
        # missing.
        if "slots" not in str(error):
            raise
        module.is_checked = False
        connection.create_module(MODULE, cast(Any, module), **_METHODS, iVersion=2)
    return module


def register_functions(connection: apsw.Connection, module: Module) -> None:
    """Make the table-valued functions known to ``connection``, whose tables ``module`` has."""
    connected = weakref.ref(connection)
    for function in table_functions(module, lambda: cast(apsw.Connection, connected())):
        made = cast(Any, _FunctionModule(function))
        connection.create_module(
            function.name, made, use_bestindex_object=True, eponymous=True, read_only=True
        )


class _FunctionModule:
    """The module of a table-valued function, made by ``apsw.ext`` when a statement first names it.

    That imports what few programs use. No view or trigger of a schema that is not trusted may read from it.
    """

    def __init__(self, function: TableFunction) -> None:
        self._function = function
        self._made: Any = None

    def Connect(self, connection: apsw.Connection, *arguments: Any) -> Any:
        """Make the function's table."""
        connection.vtab_config(apsw.SQLITE_VTAB_DIRECTONLY)
        if self._made is None:
            from apsw import ext

            call = cast(Any, self._function.call)
            call.columns = self._function.columns
            call.column_access = ext.VTColumnAccess.By_Index
            ext.make_virtual_module(cast(Any, self), self._function.name, call)
        return self._made.Connect(connection, *arguments)

    Create = Connect

    def create_module(self, name: str, module: Any, **options: Any) -> None:
        """Take the module that ``apsw.ext`` makes, in the place of a connection."""
        self._made = module
