"""SQLite's door: module ``audiomem`` for apsw. CamelCase only where SQLite calls in.

One file per thing that SQLite knows: this one is the module and its tables, ``sqlite_cursor`` the cursor.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import apsw

from audiomem_sql.columns.affinity import compile_converters, not_null_failed
from audiomem_sql.columns.arguments import is_option, parse_options
from audiomem_sql.columns.column import HIDDEN, fold, quote
from audiomem_sql.columns.defaults import fillers
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import (
    BusyError,
    ConstraintError,
    DataTypeError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.planner import UNKNOWN, Constraint, Plan, Statistics, choose, parse_plan
from audiomem_sql.predicates import Op
from audiomem_sql.predicates.texts import Collation
from audiomem_sql.segment import ROWID
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.table import Table
from audiomem_sql.table_options import TableOptions
from audiomem_sql.transaction import OnConflict, Transaction
from audiomem_sql.verify import problems
from audiomem_sql.vtab.commands import run_command
from audiomem_sql.vtab.in_lists import lists_may_be_empty
from audiomem_sql.vtab.sqlite_cursor import Cursor
from audiomem_sql.vtab.sqlite_match import Search

MODULE = "audiomem"

_OPERATORS = {
    apsw.SQLITE_INDEX_CONSTRAINT_EQ: Op.EQ,
    apsw.SQLITE_INDEX_CONSTRAINT_NE: Op.NE,
    apsw.SQLITE_INDEX_CONSTRAINT_LT: Op.LT,
    apsw.SQLITE_INDEX_CONSTRAINT_LE: Op.LE,
    apsw.SQLITE_INDEX_CONSTRAINT_GT: Op.GT,
    apsw.SQLITE_INDEX_CONSTRAINT_GE: Op.GE,
    apsw.SQLITE_INDEX_CONSTRAINT_IS: Op.IS,
    apsw.SQLITE_INDEX_CONSTRAINT_ISNOT: Op.IS_NOT,
    apsw.SQLITE_INDEX_CONSTRAINT_ISNULL: Op.IS_NULL,
    apsw.SQLITE_INDEX_CONSTRAINT_ISNOTNULL: Op.NOT_NULL,
    apsw.SQLITE_INDEX_CONSTRAINT_LIKE: Op.LIKE,
    apsw.SQLITE_INDEX_CONSTRAINT_GLOB: Op.GLOB,
}
# apsw raises what a module raised even where SQLite ignored it, so the module itself ignores.
_CONFLICTS = {apsw.SQLITE_REPLACE: OnConflict.REPLACE, apsw.SQLITE_IGNORE: OnConflict.IGNORE}


class SqlConstraintError(ConstraintError, apsw.ConstraintError):
    """A violated key: both our error and SQLite's, so that OR FAIL and OR ROLLBACK find it."""

    extendedresult: int


class SqlBusyError(BusyError, apsw.BusyError):
    """Another process is writing: both our error and SQLite's."""


class SqlSchemaChangedError(SchemaError, apsw.SchemaChangeError):
    """The columns changed while a statement knew the old ones: both our error and SQLite's."""


Function = TypeVar("Function", bound=Callable[..., Any])


def _as_sqlite(function: Function) -> Function:
    """Give errors that SQLite has a code for that code."""

    @wraps(function)
    def called(self: VirtualTable, *arguments: Any) -> Any:
        try:
            return function(self, *arguments)
        except ConstraintError as error:
            for kind, code in _CONSTRAINT_CODES.items():
                prefix = f"{kind} constraint failed: "
                if error.what.startswith(prefix):
                    what = error.what.removeprefix(prefix)
                    if kind != "CHECK":
                        what = ", ".join(f"{self.name}.{column}" for column in what.split(", "))
                    translated = SqlConstraintError(prefix + what)
                    translated.extendedresult = code
                    raise translated from error
            raise
        except BusyError as error:
            raise SqlBusyError(error.what, file=error.file, remedy=error.remedy) from error

    return called  # type: ignore[return-value]


def _changes_a_row(function: Function) -> Function:
    """Undo the rows that a statement changed already when it fails at a later one.

    SQLite calls RollbackTo for that, but apsw leaves the call out while an exception is on its way, as it is then.
    """

    @wraps(function)
    def called(self: VirtualTable, *arguments: Any) -> Any:
        transaction = self.table.begin(any_thread=True)
        changes = self.connection.total_changes()
        if changes != self._changes:  # it counts whole statements, so this is the first row of one
            self._changes, self._steps = changes, transaction.steps
        try:
            return function(self, *arguments)
        except BaseException as error:
            if not isinstance(error, apsw.ConstraintError) or self.connection.vtab_on_conflict() not in _KEPT:
                transaction.undo(self._steps)
            raise

    return called  # type: ignore[return-value]


#: OR FAIL keeps the rows before the one that failed; OR ROLLBACK ends the transaction.
_KEPT = (apsw.SQLITE_FAIL, apsw.SQLITE_ROLLBACK)
_CONSTRAINT_CODES = {
    "UNIQUE": apsw.SQLITE_CONSTRAINT_UNIQUE,
    "NOT NULL": apsw.SQLITE_CONSTRAINT_NOTNULL,
    "CHECK": apsw.SQLITE_CONSTRAINT_CHECK,
}


class Module:
    """``CREATE VIRTUAL TABLE t USING audiomem('file.flac', columns …, options …)``, for one connection."""

    def __init__(self) -> None:
        self._tables: list[VirtualTable] = []

    def find(self, name: str) -> VirtualTable:
        """The table called ``name``; QueryError if the connection has none."""
        for table in self._tables:
            if fold(table.name) == fold(name):
                return table
        known = ", ".join(table.name for table in self._tables) or "none"
        raise QueryError(f"there is no audiomem table {name}", remedy=f"Tables in use: {known}.")

    def forget(self, table: VirtualTable) -> None:
        """The connection is done with a table."""
        if table in self._tables:
            self._tables.remove(table)

    def Create(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """A table at a new file, or at one that exists; its columns may then be left out."""
        path, definitions, options = _parse(arguments)
        path = _resolve(connection, database, path)
        if not os.path.lexists(path):
            if not definitions:
                raise StorageError(
                    "there is no such file, and no columns are given to create it with",
                    file=path,
                    remedy="Check the path, or name the columns behind it: 'notes.flac', id INTEGER PRIMARY KEY, body TEXT.",
                )
            schema = parse_columns(definitions)
            _hidden_names(name, schema)
            return self._declare(connection, name, Table.create(path, schema, options))
        return self._declare(connection, name, _open_existing(path, definitions, options))

    def Connect(
        self, connection: apsw.Connection, module: str, database: str, name: str, *arguments: str
    ) -> Any:
        """The table again, from the schema of a database that was closed meanwhile; nothing is created."""
        path, definitions, options = _parse(arguments)
        path = _resolve(connection, database, path)
        return self._declare(connection, name, _open_existing(path, definitions, options, again=True))

    def _declare(self, connection: apsw.Connection, name: str, table: Table) -> Any:
        try:
            connection.vtab_config(apsw.SQLITE_VTAB_CONSTRAINT_SUPPORT, 1)
            connection.vtab_config(apsw.SQLITE_VTAB_DIRECTONLY)
            hidden = ", ".join(f"{quote(column)} HIDDEN" for column in _hidden_names(name, table.schema))
            declaration = f"CREATE TABLE x({table.schema.declaration()}, {hidden})"
            self._tables.append(VirtualTable(self, connection, name, table))
            return declaration, self._tables[-1]
        except BaseException:
            table.close()
            raise


def _parse(arguments: tuple[str, ...]) -> tuple[str, list[str], dict[str, str]]:
    """(path, column definitions, options) of the arguments of CREATE VIRTUAL TABLE."""
    if not arguments or not arguments[0].strip():
        raise OptionError(
            "audiomem needs the path of a FLAC file",
            remedy="Write: CREATE VIRTUAL TABLE t USING audiomem('t.flac', …).",
        )
    path = arguments[0].strip()
    if path[0] in "'\"" and path[-1] == path[0] and len(path) > 1:
        path = path[1:-1].replace(path[0] * 2, path[0])
    definitions = [argument for argument in arguments[1:] if not is_option(argument)]
    return path, definitions, parse_options(argument for argument in arguments[1:] if is_option(argument))


def _resolve(connection: apsw.Connection, database: str, path: str) -> str:
    """A relative path starts at the folder of the database file, so that the two travel together."""
    if path.startswith("~"):
        path = os.path.expanduser(path)
    folder = os.path.dirname(connection.db_filename(database) or "")
    return os.path.abspath(os.path.join(folder, path))


def _open_existing(
    path: str, definitions: list[str], options: dict[str, str], *, again: bool = False
) -> Table:
    """The table at ``path``. again: it was created long ago, and its columns may have changed since."""
    table = Table(
        path,
        version=options.pop("version", None),
        as_of=options.pop("as_of", None),
        salvage=_salvage(options),
        on_damage=options.pop("on_damage", "fail").lower(),
    )
    try:
        changed = again and table.migrations
        if definitions and not changed and parse_columns(definitions) != table.schema:
            raise SchemaError(
                f"the columns given are not those of the file, which has {table.schema.sql()}",
                file=path,
                remedy="Leave the columns out: the file knows its own.",
            )
        if options:
            given = TableOptions.parse(options)
            for option in options:
                if options[option].lower() != "auto" and getattr(given, option) != getattr(
                    table.options, option
                ):
                    raise OptionError(
                        f"the file was made with {option}={getattr(table.options, option)}",
                        file=path,
                        remedy="Leave the option out: the file knows its own.",
                    )
    except BaseException:
        table.close()
        raise
    return table


def _salvage(options: dict[str, str]) -> bool:
    """Take ``salvage=on`` out of the options: how the file is opened, not how it was made."""
    chosen = options.pop("salvage", "off").lower()
    if chosen not in ("on", "off"):
        raise OptionError(f"salvage is on or off, not {chosen!r}")
    return chosen == "on"


def _hidden_names(name: str, schema: Schema) -> list[str]:
    """The hidden columns: one with the table's name, then rank, distance, k, version, as_of.

    Where a column has the table's name already, the hidden one gets an underscore behind it.
    """
    own = name
    while own in schema or fold(own) in HIDDEN:
        own += "_"
    return [own, *HIDDEN]


#: What can be said of a hidden column that is an argument.
_HOW_TO_ASK = {
    "k": "Write k = 10, beside a MATCH.",
    "version": "Write version = 3, version = 'tag' or as_of = '2026-01-31 12:00:00'.",
}


class VirtualTable:
    """One audiomem table of one connection."""

    def __init__(self, module: Module, connection: apsw.Connection, name: str, table: Table) -> None:
        self._module = module
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
        self._changes = -1  # of the connection, when the statement that writes now began
        self._steps = 0  # of the transaction, at that moment

    # -- reading --------------------------------------------------------------------------------------------------

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:
        """Translate SQLite's question for the planner, and the answer back."""
        schema, readable = self.schema, self.table.readable
        constraints: list[Constraint] = []
        numbers: list[int] = []
        offset: int | None = None
        moments: dict[int, str] = {}
        search = Search(self)
        for number in range(index.nConstraint):
            op, column = index.get_aConstraint_op(number), index.get_aConstraint_iColumn(number)
            if op == apsw.SQLITE_INDEX_CONSTRAINT_OFFSET:
                offset = number
            elif op == apsw.SQLITE_INDEX_CONSTRAINT_LIMIT or search.takes(index, number, op, column):
                pass
            elif column >= self._width:
                moments[number] = self._moment(op, column)
            else:
                constraints.append(self._constraint(index, number, op, column))
                numbers.append(number)
        if len(set(moments.values())) > 1:
            raise UnsupportedError(
                "version and as_of exclude each other", file=self.table.path, remedy="Ask for one of them."
            )
        search.check()
        moment = self._chosen(index, moments)
        if moments and moment is None:
            return False  # the rows depend on it: SQLite must find an order of its loops in which it is known
        if search.blocked:
            return False
        by_distance = search.match is not None and search.orders(index)
        order = 0
        if index.nOrderBy and index.get_aOrderBy_iColumn(0) in (ROWID, schema.rowid_column):
            order = -1 if index.get_aOrderBy_desc(0) else 1
        choice = choose(
            schema,
            Statistics(readable.rows, readable.ordered),
            constraints,
            [
                column
                for column in range(self._width)
                if column in index.colUsed or (column >= 63 and 63 in index.colUsed)
            ],
            order=order,
            offset=offset is not None
            and bool(index.get_aConstraint_usable(offset))
            and not (index.nOrderBy and not order),
            moment=None if moment is None else moments[moment],
            match=search.match,
            k=search.k is not None,
        )
        search.answer(index, choice.plan)
        if moment is not None:
            asked = choice.plan.version or choice.plan.as_of
            assert asked is not None
            index.set_aConstraintUsage_argvIndex(moment, asked)
            index.set_aConstraintUsage_omit(moment, True)
        for number, argument, exact, constraint in zip(
            numbers, choice.arguments, choice.exact, constraints, strict=True
        ):
            if argument is not None:
                index.set_aConstraintUsage_argvIndex(number, argument)
                index.set_aConstraintUsage_omit(number, exact)
                if constraint.op is Op.IN and lists_may_be_empty():
                    index.set_aConstraintUsage_in(number, True)
        if choice.plan.offset is not None and offset is not None:
            index.set_aConstraintUsage_argvIndex(offset, choice.plan.offset)
            index.set_aConstraintUsage_omit(offset, True)
        index.idxStr = choice.plan.text(schema)
        index.idxNum = len(choice.plan.terms)
        index.estimatedCost = choice.cost
        index.estimatedRows = choice.rows
        index.orderByConsumed = bool(choice.plan.order) or by_distance
        if choice.unique:
            index.idxFlags = apsw.SQLITE_INDEX_SCAN_UNIQUE
        return True

    def _moment(self, op: int, column: int) -> str:
        """``version`` or ``as_of``, for an equality on one of the two."""
        name = _hidden_names(self.name, self.schema)[column - self._width]
        if name in ("version", "as_of") and op == apsw.SQLITE_INDEX_CONSTRAINT_EQ:
            return name
        raise UnsupportedError(
            f"this condition on the hidden column {name} is not understood",
            file=self.table.path,
            remedy=_HOW_TO_ASK["k" if name == "k" else "version"],
        )

    def _chosen(self, index: apsw.IndexInfo, moments: dict[int, str]) -> int | None:
        """The condition that says which version to read, a constant if there is one; SQLite compares the others."""
        usable = [number for number in moments if index.get_aConstraint_usable(number)]
        return min(usable, key=lambda number: index.get_aConstraint_rhs(number) is None, default=None)

    def _constraint(self, index: apsw.IndexInfo, number: int, op: int, column: int) -> Constraint:
        known = _OPERATORS.get(op)
        usable = known is not None and index.get_aConstraint_usable(number)
        collation = index.get_aConstraint_collation(number).upper() if usable else "BINARY"
        if collation not in Collation.__members__:
            usable, collation = False, "BINARY"  # one of the application's own
        value = index.get_aConstraint_rhs(number)
        operator = known or Op.EQ
        if operator is Op.EQ and usable and index.get_aConstraintUsage_in(number):
            operator = Op.IN
        return Constraint(
            column=ROWID if column == self.schema.rowid_column else column,
            op=operator,
            usable=usable,
            collation=collation,
            value=UNKNOWN if value is None else value,
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

    def Open(self) -> Cursor:
        """A cursor. The first one open looks for commits of other processes; the others share its snapshot."""
        if not self.open_cursors:
            self.table.refresh()
            self._compare_schemas()
        cursor = Cursor(self)
        self.open_cursors += 1
        return cursor

    def readable(self) -> Transaction | Snapshot:
        """What a statement reads, with the columns that SQLite knows."""
        readable = self.table.readable
        if isinstance(readable, Snapshot) and not readable.schema.visible.is_same(self.schema):
            return readable.at(readable.version, self.schema)
        return readable

    def _compare_schemas(self, *, writing: bool = False) -> None:
        """When the file has other columns by now, make SQLite ask for them again at the next statement.

        This statement goes on if it reads, and what it knows is still there; otherwise SqlSchemaChangedError.
        """
        current = self.table.schema
        if current.is_same(self.schema):
            return
        self.connection.execute("PRAGMA writable_schema=RESET")
        kept = {column.id: column for column in current.columns}
        if writing or any(
            column.id not in kept or kept[column.id] != column for column in self.schema.columns
        ):
            raise SqlSchemaChangedError(
                "the columns of the table were changed by another connection",
                file=self.table.path,
                remedy="They are known now: run the statement again.",
            )

    def FindFunction(self, name: str, arguments: int) -> None:
        """No function is overloaded."""
        return

    def Integrity(self, schema: str, name: str, quick: int) -> str | None:
        """What PRAGMA integrity_check prints of this table; None if all is well."""
        found = [str(problem) for problem in problems(self.table)]
        return "\n".join(found) or None

    def Disconnect(self) -> None:
        """The connection is done with the table."""
        self._module.forget(self)
        self.table.close()

    def Destroy(self) -> None:
        """DROP TABLE: the connection forgets the table; the file is the user's and stays."""
        self.Disconnect()

    def Rename(self, name: str) -> None:
        """ALTER TABLE … RENAME TO: the file keeps its name."""
        self.name = name

    # -- writing --------------------------------------------------------------------------------------------------

    @_as_sqlite
    def Begin(self) -> None:
        """The first write of a transaction takes the writer's lock."""
        self._changes = -1
        self.table.begin(any_thread=True)
        try:
            self._compare_schemas(writing=True)
        except SchemaError:
            self.table.rollback()
            raise

    @_as_sqlite
    def Sync(self) -> None:
        """Write the commit, durably: SQLite reports what fails here, and nothing that fails in Commit."""
        self.table.prepare()

    def Commit(self) -> None:
        """The commit stands."""
        self.table.commit()

    def Rollback(self) -> None:
        """Drop the changes, also those that Sync wrote."""
        self.table.rollback()

    def Savepoint(self, level: int) -> None:
        """Remember this moment."""
        if self.table.transaction is not None:
            self.table.transaction.savepoint(level)

    def Release(self, level: int) -> None:
        """Forget savepoints from ``level`` on."""
        if self.table.transaction is not None:
            self.table.transaction.release(level)

    def RollbackTo(self, level: int) -> None:
        """Return to a savepoint."""
        self._changes = -1
        if self.table.transaction is not None:
            self.table.transaction.rollback_to(level)

    @_changes_a_row
    @_as_sqlite
    def UpdateInsertRow(self, rowid: int | None, fields: tuple[Any, ...]) -> int | None:
        """INSERT; the new rowid."""
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

    @_changes_a_row
    @_as_sqlite
    def UpdateChangeRow(self, rowid: int, new: int, fields: tuple[Any, ...]) -> None:
        """UPDATE."""
        version, as_of = fields[self._width + 4 :]
        others = fields[self._width : self._width + 4]
        if version != self.table.version or as_of is not None or others != (None, None, None, None):
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

    @_changes_a_row
    @_as_sqlite
    def UpdateDeleteRow(self, rowid: int) -> None:
        """DELETE."""
        self.table.begin().delete(rowid)

    def _with_defaults(self, fields: tuple[Any, ...], *, only_needed: bool = False) -> tuple[Any, ...]:
        """The fields of a new row. SQLite says NULL for a column that INSERT left out, and for one set to NULL.

        only_needed: in NOT NULL columns alone, as UPDATE OR REPLACE does.
        """
        if not any(fields[place] is None for place, _ in self._defaults):
            return fields
        filled = list(fields)
        for place, default in self._defaults:
            if filled[place] is None and (not only_needed or self.table.schema.columns[place].not_null):
                filled[place] = default()
        return tuple(filled)

    def _row(self, fields: tuple[Any, ...], new: int | None, old: int | None = None) -> list[Any] | None:
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
        self, fields: tuple[Any, ...], new: int | None, old: int | None
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


def register(connection: apsw.Connection) -> Module:
    """Make module ``audiomem`` known to ``connection``."""
    module = Module()
    try:
        connection.create_module(MODULE, cast(Any, module), use_bestindex_object=True, iVersion=4)
    except Exception as error:
        # apsw has 33 places in a process for modules above version 2; below, only PRAGMA integrity_check is missing.
        if "slots" not in str(error):
            raise
        connection.create_module(MODULE, cast(Any, module), use_bestindex_object=True, iVersion=2)
    return module
