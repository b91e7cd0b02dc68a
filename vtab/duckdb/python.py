"""DuckDB's Python package: tables by name, and the table functions.

DuckDB's Python package has no table functions of Python's. What it has are Arrow datasets, to which it hands
columns and filters, and which a query finds as Python variables. So each function is a macro around
``query_table(name)``: the name comes from a Python function, which DuckDB evaluates while it binds the query,
and which puts a dataset of that name among the global variables of the caller. Therefore columns and filters
reach the scan of ``audiomem_scan('notes.flac')`` too.

DuckDB 1.4 to 2.0 has no other place where a name can be added while a query is bound: ``register`` waits for
the connection, which the query holds; a view of another connection is a temporary one, or begins after the
query; and the catalog and the local and global variables of the caller are all that DuckDB looks into. So the
variable is there for that moment only: DuckDB asks the dataset for its schema as soon as it has it, and with
that the variable is removed. Every call has a name of its own, so threads and cursors do not meet.
"""

from __future__ import annotations

import itertools
import json
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from audiomem_sql.errors import MissingExtraError, OptionError, UnsupportedError
from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.table.open_dataset import dataset
from audiomem_sql.table.reader import TableReader
from audiomem_sql.vtab.duckdb import nearest
from audiomem_sql.vtab.duckdb.files_ahead import may_read_ahead, one_after_another
from audiomem_sql.vtab.duckdb.functions import FUNCTIONS, Parameter, TableFunction
from audiomem_sql.vtab.duckdb.in_arrow import DUCKDB_FORM, shown_batch, shown_schema
from audiomem_sql.vtab.duckdb.native_types import logical_of_field
from audiomem_sql.vtab.duckdb.source import Source

__all__ = ["OLDEST", "attach", "check_connection", "register"]

#: The oldest DuckDB that this is tested with.
OLDEST = (1, 4)
#: The Python function that the macros call.
_SOURCE = "audiomem_source"
#: Stands where a function has no parameter.
_UNUSED = Parameter("unused", optional=True)


def check_connection(connection: Any) -> None:
    """OptionError unless ``connection`` is one of DuckDB's.

    MissingExtraError without the package, UnsupportedError for one that is too old.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError(
            "duckdb is not installed", remedy="Run: pip install 'audiomem-sql[duckdb]'"
        ) from None
    if connection is not duckdb and not isinstance(connection, duckdb.DuckDBPyConnection):
        raise OptionError(
            f"a {type(connection).__name__} is no connection of DuckDB",
            remedy="Pass what duckdb.connect() gives.",
        )
    numbers = tuple(int(part) for part in duckdb.__version__.split(".")[:2])
    if numbers < OLDEST:
        raise UnsupportedError(
            f"DuckDB {duckdb.__version__} is too old",
            remedy="Run: pip install --upgrade 'audiomem-sql[duckdb]'",
        )


def attach(connection: Any, source: TableReader | str, name: str) -> None:
    """Make the table known as ``name``; every query sees what is committed by then."""
    check_connection(connection)
    evolving = dataset(source, live=True, coded=True, evolving=True, form=DUCKDB_FORM)
    known = _with_row_count(evolving)
    if known is None:
        connection.register(name, dataset(evolving.table, live=True, coded=True, form=DUCKDB_FORM))
    else:
        connection._register_arrow_source(name, known)


def _with_row_count(rows: FlacDataset) -> Any:
    """The dataset as DuckDB 2 wraps one, with the number of rows, by which it orders joins.

    That class is no public part of DuckDB, which takes a dataset without it, too: then there is None.
    """
    try:
        from duckdb import DuckDBPyConnection
        from duckdb._sources.pyarrow import PyArrowDatasetSource
    except ImportError:
        return None
    if not hasattr(DuckDBPyConnection, "_register_arrow_source"):
        return None

    class CountedSource(PyArrowDatasetSource):  # type: ignore[misc]
        schema_is_stable = False

        def rows(self) -> int:
            return rows.count_rows()

    return CountedSource(rows)


def register(connection: Any, replace_function: Callable[..., None]) -> None:
    """Make the table functions of :mod:`~audiomem_sql.vtab.duckdb.functions` known to a connection.

    The macros belong to this connection; each cursor of it is registered by itself. replace_function: how an
    Arrow function gets a name.
    """
    check_connection(connection)
    replace_function(connection, _SOURCE, _variable_of, "VARCHAR")
    replace_function(connection, nearest.NAME, nearest.of_arrow, nearest.RETURNED, is_volatile=True)
    _MAKING.variables = []
    try:
        for function in FUNCTIONS:
            connection.execute(_macro(function))
    finally:
        for variable in _MAKING.variables:
            variable.remove()
        _MAKING.variables = None


def _macro(function: TableFunction) -> str:
    """The statement that makes the macro of a table function."""
    # DuckDB looks for the table of a macro without parameters when the macro is made.
    taken = function.parameters or (_UNUSED,)
    parameters = [_declared(parameter) for parameter in taken]
    arguments = [_passed(parameter) for parameter in taken]
    return (
        f"CREATE OR REPLACE TEMP MACRO {function.name}({', '.join(parameters)}) AS TABLE "
        f"FROM query_table({_SOURCE}({', '.join([repr(function.name), *arguments])}))"
    )


def _declared(parameter: Parameter) -> str:
    return f'"{parameter.name}" := NULL' if parameter.optional else f'"{parameter.name}"'


def _passed(parameter: Parameter) -> str:
    return (
        f'"{parameter.name}"' if parameter.type == "ANY" else f'CAST("{parameter.name}" AS {parameter.type})'
    )


# -- the variable
# ----------------------------------------------------------------------------------------------------


class Variable:
    """A dataset among the global variables of a module, until DuckDB has it."""

    _numbers = itertools.count(1)

    def __init__(self, variables: dict[str, Any]) -> None:
        self.name = f"{_SOURCE}_{next(self._numbers)}"
        self._variables = variables

    def put(self, rows: ds.Dataset) -> None:
        """Add the variable."""
        self._variables[self.name] = rows

    def remove(self) -> None:
        """Take the variable away.

        Its module is let go, too: what DuckDB keeps must not keep the caller's connections.
        """
        self._variables.pop(self.name, None)
        self._variables = {}


class _Making(threading.local):
    """The variables of macros that this thread makes: DuckDB 1.4 evaluates one, and asks for no schema."""

    variables: list[Variable] | None = None


_MAKING = _Making()


class _Table(FlacDataset):
    """The rows of a table, as they are. Columns and filters that DuckDB hands over reach the scan."""

    def __init__(self, table: TableReader, variable: Variable) -> None:
        super().__init__(table, coded=True, form=DUCKDB_FORM)
        self._variable = variable

    @property
    def schema(self) -> pa.Schema:
        """The columns. DuckDB asks for them when it has found the dataset."""
        self._variable.remove()
        return super().schema


class _Tables(ds.Dataset):  # type: ignore[misc]
    """The rows of several tables with the same columns. Columns and filters reach the scan of each."""

    def __init__(self, tables: Sequence[TableReader], variable: Variable) -> None:
        # Dataset.__init__ refuses everybody; what it would set up is used by none of the methods here
        self._datasets = [FlacDataset(table, form=DUCKDB_FORM) for table in tables]
        self._ahead = may_read_ahead(tables)
        self._variable = variable

    @property
    def schema(self) -> pa.Schema:
        """The columns. DuckDB asks for them when it has found the dataset."""
        self._variable.remove()
        return self._datasets[0].schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **options: Any) -> ds.Scanner:
        """What reads ``columns`` of the rows for which ``filter`` is true."""
        scanners = [each.scanner(columns=columns, filter=filter, **options) for each in self._datasets]
        batches = one_after_another([each.to_batches for each in scanners], ahead=self._ahead)
        schema = scanners[0].projected_schema
        return ds.Scanner.from_batches(pa.RecordBatchReader.from_batches(schema, batches))


class _Rows(ds.Dataset):  # type: ignore[misc]
    """The rows of any other source, made when they are read.

    DuckDB's filter is applied to them by Arrow.
    """

    def __init__(self, source: Source, variable: Variable) -> None:
        # Dataset.__init__ refuses everybody; what it would set up is used by none of the methods here
        self._source = source
        self._variable = variable
        self._nodes = list(map(logical_of_field, source.schema))
        self._shown = shown_schema(source.schema)

    @property
    def schema(self) -> pa.Schema:
        """The columns. DuckDB asks for them when it has found the dataset."""
        self._variable.remove()
        return self._shown

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **options: Any) -> ds.Scanner:
        """What reads ``columns`` of the rows for which ``filter`` is true."""
        schema = self._shown
        names = list(schema.names) if columns is None else list(columns)
        indexes = sorted({schema.get_field_index(name) for name in names}) or [0]
        if filter is not None and not _can_filter(schema, indexes, filter):
            indexes = list(range(len(schema)))
        read = pa.schema([schema.field(index) for index in indexes])
        filtered = self._source.filtered
        rows = (
            self._source.batches(indexes)
            if filter is None or filtered is None
            else filtered(indexes, filter)  # with rows more than pass it, maybe
        )
        nodes = [self._nodes[index] for index in indexes]
        rows = (shown_batch(batch, nodes, read) for batch in rows)
        batches = pa.RecordBatchReader.from_batches(read, rows)
        return ds.Scanner.from_batches(batches, columns=names, filter=filter)


def _can_filter(schema: pa.Schema, indexes: list[int], filter: Any) -> bool:
    """Whether a filter speaks of no other columns than those at ``indexes``."""
    columns = pa.schema([schema.field(index) for index in indexes])
    try:
        ds.InMemoryDataset(columns.empty_table()).to_table(filter=filter)
    except pa.ArrowInvalid:
        return False
    return True


_BY_NAME: Mapping[str, TableFunction] = {function.name: function for function in FUNCTIONS}


def _variable_of(*arguments: Any) -> Any:
    """Called by the macros while a query is bound: the name of a variable that holds the rows of a call.

    arguments: the name of the function, and its arguments, as Arrow arrays of one value each. It lives as
    long as the process: a connection that is closed leaves its functions to the others of its database, but
    lets go of what Python gave it.
    """
    name, *values = (argument[0].as_py() for argument in arguments)
    function = _BY_NAME[name]
    source = function.bind(*map(_value, values[: len(function.parameters)]))
    variable = Variable(_variables_of_caller())
    variable.put(_dataset(source, variable))
    if _MAKING.variables is not None:
        _MAKING.variables.append(variable)
    return pa.array([variable.name])


def _dataset(source: Source, variable: Variable) -> ds.Dataset:
    if source.table is not None:
        return _Table(source.table, variable)
    return _Tables(source.tables, variable) if source.tables else _Rows(source, variable)


def _value(value: Any) -> Any:
    """An argument as the table functions take it."""
    if isinstance(value, bool):
        return json.dumps(value)
    return value if value is None or isinstance(value, int | str | bytes | list) else str(value)


def _variables_of_caller() -> dict[str, Any]:
    """The global variables of whoever runs the query, where DuckDB looks for tables."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame.f_globals


def _is_between(module: str) -> bool:
    """Whether a module stands between the caller and here."""
    return module.partition(".")[0] in ("duckdb", "audiomem_sql")
