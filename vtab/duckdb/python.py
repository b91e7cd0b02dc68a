"""DuckDB in Python: tables by name, and table functions.

DuckDB's Python package has no table functions of Python's. What it has are Arrow datasets, to which it hands columns and
filters, and which a query finds as Python variables. So each function here is a macro around ``query_table(name)``: the name
comes from a Python function, which DuckDB evaluates while it binds the query, and which puts a dataset of that name among the
global variables of the caller. Therefore columns and filters reach the scan of ``audiomem_scan('notes.flac')`` too.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import ModuleType
from typing import Any, cast

import pyarrow as pa

from audiomem_sql.columns.affinity import StoredValue
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.timestamps import parse
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import MissingExtraError, OptionError, QueryError, UnsupportedError
from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.table.open_dataset import dataset
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import Snapshot, changes

__all__ = ["OLDEST", "attach", "check_connection", "register"]

#: The oldest DuckDB that this is tested with.
OLDEST = (1, 4)
#: The Python function that the macros call.
_SOURCE = "audiomem_source"
_PREFIX = "audiomem_source_"
#: Most tables and answers that are held open for the functions.
_KEPT = 32

_MACROS = {
    "audiomem_scan": ("path, version := NULL, as_of := NULL", "path, version, as_of"),
    "audiomem_search": (
        "path, query, k := 10, condition := NULL, version := NULL, searched := NULL",
        "path, query, k, condition, version, searched",
    ),
    "audiomem_top": (
        "path, ordering, k := 10, condition := NULL, version := NULL",
        "path, ordering, k, condition, version",
    ),
    "audiomem_snapshots": ("path", "path"),
    "audiomem_changes": ("path, first_version, last_version := NULL", "path, first_version, last_version"),
}


def check_connection(connection: Any) -> None:
    """OptionError unless ``connection`` is one of DuckDB's; MissingExtraError without the package, UnsupportedError for one
    that is too old."""
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
    known = _with_row_count(dataset(source, live=True, coded=True, evolving=True))
    if known is None:
        connection.register(name, dataset(source, live=True, coded=True))
    else:
        connection._register_arrow_source(name, known)


def _with_row_count(rows: FlacDataset) -> Any:
    """The dataset as DuckDB 2 wraps one, with the number of rows, from which it tells the smaller side of a join.

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


def register(connection: Any, replace_function: Callable[[Any, str, Callable[..., Any], str], None]) -> None:
    """Make ``audiomem_scan``, ``audiomem_search``, ``audiomem_top``, ``audiomem_snapshots`` and ``audiomem_changes`` known.

    The macros belong to this connection; each cursor of it is registered by itself. replace_function: how an Arrow function
    gets a name.
    """
    check_connection(connection)
    replace_function(connection, _SOURCE, _name_of, "VARCHAR")
    for name, (parameters, arguments) in _MACROS.items():
        connection.execute(
            f"CREATE OR REPLACE TEMP MACRO {name}({parameters}) AS TABLE "
            f"FROM query_table({_SOURCE}('{name}', {arguments}))"
        )


@dataclass(slots=True)
class _Answer:
    """What a call of a function gave, and for which version of the table."""

    rows: Any
    version: int
    #: The modules that have it among their variables; not the variables, which hold connections alive.
    seen_by: weakref.WeakSet[ModuleType]


class _Sources:
    """The tables and answers of the functions, of all connections."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tables: OrderedDict[str, TableReader] = OrderedDict()
        self._answers: OrderedDict[str, _Answer] = OrderedDict()

    def name_of(self, *arguments: Any) -> Any:
        """Evaluate a call, given as Arrow arrays of one value each, and put what it gives where DuckDB looks for it."""
        function, path, *rest = (argument[0].as_py() for argument in arguments)
        with self._lock:
            return self._named(function, path, rest)

    def _named(self, function: str, path: object, rest: list[Any]) -> Any:
        if not isinstance(path, str):
            raise QueryError(f"{path!r} is no path", remedy=f"Write {function}('notes.flac').")
        table = self._table(path)
        key = hashlib.sha256(repr((function, table.path, rest)).encode()).hexdigest()[:16]
        name = _PREFIX + key
        found = self._answers.get(name)
        if found is None or found.version != table.version:
            seen_by = found.seen_by if found is not None else weakref.WeakSet()
            found = self._answers[name] = _Answer(_FUNCTIONS[function](table, *rest), table.version, seen_by)
        self._answers.move_to_end(name)
        variables = _variables_of_caller()
        variables[name] = found.rows
        module = sys.modules.get(str(variables.get("__name__")))
        if module is not None and vars(module) is variables:
            found.seen_by.add(module)
        while len(self._answers) > _KEPT:
            old, answer = self._answers.popitem(last=False)
            for seen in answer.seen_by:
                vars(seen).pop(old, None)
        return pa.array([name])

    def _table(self, path: str) -> TableReader:
        path = os.path.abspath(path)
        table = self._tables.get(path)
        if table is None:
            table = self._tables[path] = TableReader(path)
            while len(self._tables) > _KEPT:
                self._tables.popitem(last=False)  # closed when the last dataset of it is gone
        else:
            table.refresh()
        self._tables.move_to_end(path)
        return table


def _variables_of_caller() -> dict[str, Any]:
    """The global variables of whoever runs the query, where DuckDB looks for tables."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "duckdb",
        "audiomem_sql",
    ):
        frame = frame.f_back
    return frame.f_globals


# A connection that is closed leaves its functions to the others of its database, but lets go of what Python gave it:
# therefore they live as long as the process.
_name_of = _Sources().name_of


# -- the functions ---------------------------------------------------------------------------------------------------


def _scan(table: TableReader, version: object, as_of: object) -> FlacDataset:
    if as_of is not None and not isinstance(as_of, str | datetime):
        raise QueryError(f"{as_of!r} is no time", file=table.path, remedy="Pass a TIMESTAMP or a text.")
    return dataset(table, version=_version(version, table), as_of=as_of, coded=True)


def _search(
    table: TableReader, query: object, k: object, condition: object, version: object, searched: object
) -> pa.Table:
    if not isinstance(k, int):
        raise QueryError(f"k = {k!r} is no number of rows", file=table.path, remedy="Ask for 1 or more.")
    texts = [given for given in (condition, searched) if given is not None]
    if not all(isinstance(given, str) for given in texts):
        raise QueryError("a condition and the name of a column are texts", file=table.path)
    where, column = cast("str | None", condition), cast("str | None", searched)
    if version is None:
        return table.search(query, k, where, column=column)
    with TableReader(table.path, version=_version(version, table)) as old:
        return old.search(query, k, where, column=column)


def _top(table: TableReader, ordering: object, k: object, condition: object, version: object) -> pa.Table:
    if not isinstance(k, int):
        raise QueryError(f"k = {k!r} is no number of rows", file=table.path, remedy="Ask for 1 or more.")
    if not isinstance(ordering, str) or not isinstance(condition, str | None):
        raise QueryError("an order and a condition are texts", file=table.path)
    if version is None:
        return table.top(ordering, k, condition)
    with TableReader(table.path, version=_version(version, table)) as old:
        return old.top(ordering, k, condition)


def _version(given: object, table: TableReader) -> int | str | None:
    if given is not None and not isinstance(given, int | str):
        raise QueryError(f"{given!r} is no version", file=table.path, remedy="Pass a number or a tag.")
    return given


def _snapshots(table: TableReader) -> pa.Table:
    tags: dict[int, list[str]] = {}
    for name, number in sorted(table.tags.items()):
        tags.setdefault(number, []).append(name)
    versions = table.versions
    return pa.table(
        {
            "snapshot_id": pa.array([version.number for version in versions], pa.int64()),
            "snapshot_time": pa.array([version.time for version in versions], pa.timestamp("us")),
            "inserted": pa.array([version.inserted for version in versions], pa.int64()),
            "deleted": pa.array([version.deleted for version in versions], pa.int64()),
            "tag": pa.array(
                [", ".join(tags.get(version.number, ())) or None for version in versions], pa.string()
            ),
            "commit_message": pa.array([version.message for version in versions], pa.string()),
        }
    )


def _changes(table: TableReader, first: object, last: object) -> pa.Table:
    """What changed, with the columns of the last version; one that the table did not have then is NULL."""
    snapshot = table.snapshot
    low, high = (table.at(_version(given, table)).version for given in (first, last))
    found = changes(snapshot, low, high)
    schema = snapshot.schema_at(high).visible
    columns: list[list[StoredValue]] = [[] for _ in schema.columns]
    for change in found:
        for values, value in zip(
            columns, _as_seen(snapshot, change.version, change.values, schema), strict=True
        ):
            values.append(value)
    names = ["snapshot_id", "row_id", "change_type"]
    taken = {name.lower() for name in schema.names}
    names = [f"_{name}" if name in taken else name for name in names]
    arrays = [
        pa.array([change.version for change in found], pa.int64()),
        pa.array([change.rowid for change in found], pa.int64()),
        pa.array([change.kind for change in found], pa.string()),
    ]
    for column, values in zip(schema.columns, columns, strict=True):
        arrays.append(array_of(values, column.type) if values else pa.nulls(0, arrow_type(column.type)))
    return pa.Table.from_arrays(arrays, [*names, *schema.names])


def _as_seen(snapshot: Snapshot, version: int, values: tuple[Any, ...], schema: Schema) -> list[StoredValue]:
    """The values of a row of ``version``, by the ids of the columns, in the order of ``schema``."""
    then = snapshot.schema_at(version).visible
    by_id = dict(zip(then.ids, values, strict=True))
    return [_stored(by_id.get(column.id), column.type) for column in schema.columns]


def _stored(value: Any, column_type: ColumnType) -> StoredValue:
    """A value of SQL as it is stored."""
    if value is None:
        return None
    if column_type.kind is Kind.TIMESTAMP:
        return parse(value)
    return bool(value) if column_type.kind is Kind.BOOLEAN else cast(StoredValue, value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "audiomem_scan": _scan,
    "audiomem_search": _search,
    "audiomem_top": _top,
    "audiomem_snapshots": _snapshots,
    "audiomem_changes": _changes,
}
