"""The Python half of DuckDB's loadable extension (``native/duckdb.c``): what is asked once a statement, or once a part of rows.

Parts of rows cross as ``(count, columns)``, each column an Arrow array as a pair of capsules, or None where DuckDB wants no values.
Types are DuckDB's, by their numbers in ``duckdb_type``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.timestamps import parse
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError, QueryError, SchemaError
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes
from audiomem_sql.vtab import codes
from audiomem_sql.vtab.duckdb.open_tables import OpenTables
from audiomem_sql.vtab.rows import rows_wanted, version_of

BOOLEAN, BIGINT, FLOAT, DOUBLE, TIMESTAMP, VARCHAR, BLOB, LIST, ARRAY, ANY = (
    1,
    5,
    10,
    11,
    12,
    17,
    18,
    24,
    33,
    34,
)
_TYPES: dict[pa.DataType, int] = {
    pa.bool_(): BOOLEAN,
    pa.int64(): BIGINT,
    pa.float32(): FLOAT,
    pa.float64(): DOUBLE,
    pa.timestamp("us"): TIMESTAMP,
    pa.string(): VARCHAR,
    pa.large_string(): VARCHAR,
    pa.binary(): BLOB,
    pa.large_binary(): BLOB,
}
_MOMENT = (("version", ANY), ("as_of", VARCHAR))
#: What a part of rows is made of: batches with the columns that are asked for, by their places.
Batches = Callable[[list[int]], Iterator[pa.RecordBatch]]
Many = Callable[..., list[Any]] | None


class Source:
    """What a table function gives: its columns, and their rows when they are asked for."""

    def __init__(self, schema: pa.Schema, batches: Batches, rows: int | None = None) -> None:
        self._batches = batches
        self.columns = tuple(_column(field) for field in schema)
        #: How many rows there are; None: not known.
        self.rows = rows

    def open(self, wanted: Sequence[int]) -> Stream:
        """The rows with the columns at the places ``wanted``; -1 stands for none."""
        places = sorted({place for place in wanted if place >= 0})
        return Stream(
            self._batches(places), [places.index(place) if place >= 0 else None for place in wanted]
        )


class Stream:
    """The rows of one statement, for several threads."""

    def __init__(self, batches: Iterator[pa.RecordBatch], order: list[int | None]) -> None:
        self._batches = batches
        self._order = order
        self._lock = threading.Lock()

    def next(self) -> tuple[int, tuple[Any, ...]] | None:
        """The next part that has rows; None at the end."""
        with self._lock:
            batch = next((each for each in self._batches if each.num_rows), None)
        if batch is None:
            return None
        arrays = [column.__arrow_c_array__() for column in batch.columns]
        return batch.num_rows, tuple(None if at is None else arrays[at] for at in self._order)

    def close(self) -> None:
        """Nothing more is decoded."""
        self._batches = iter(())


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A table function: types of its arguments, (name, type) of those that are named, and what it gives."""

    name: str
    positional: tuple[int, ...]
    named: tuple[tuple[str, int], ...]
    bind: Callable[..., Source]


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A scalar function: the types of its arguments, as often as it can be called, and of what it returns.

    call: takes the number of rows and a list for each argument, and returns a list.
    """

    name: str
    overloads: tuple[tuple[int, ...], ...]
    returns: int
    call: Callable[..., list[Any]]


class Door:
    """What the extension registers with a database."""

    def __init__(self, functions: Sequence[tuple[str, Sequence[int], Callable[..., Any], Many]]) -> None:
        #: of (name, numbers of arguments, function of one row, function of many)
        self.scalars = tuple(_scalar(*function) for function in functions)
        self.tables = (
            TableFunction("audiomem_scan", (VARCHAR,), (*_MOMENT, ("filter", VARCHAR)), audiomem_scan),
            TableFunction(
                "audiomem_search",
                (VARCHAR, VARCHAR),
                (("k", BIGINT), *_MOMENT, ("filter", VARCHAR), ("column", VARCHAR)),
                audiomem_search,
            ),
            TableFunction("audiomem_snapshots", (VARCHAR,), (), audiomem_snapshots),
            TableFunction("audiomem_changes", (VARCHAR, ANY, ANY), (), audiomem_changes),
        )

    def is_table(self, name: str) -> bool:
        """Whether ``FROM 'name'`` is for audiomem_scan: a FLAC file that is not simply music.

        A damaged table is one: its error says more than DuckDB's, that there is no such table.
        """
        if not name.lower().endswith(".flac"):
            return False
        try:
            _TABLES.at(name)
        except NotAudioMemoryError:
            return False
        except AudioMemError:
            return True
        return True


def message(error: BaseException) -> str:
    """What DuckDB is told of an exception."""
    return codes.explained(error)[1]


def audiomem_scan(path: Any, version: Any, as_of: Any, where: Any) -> Source:
    """The rows of a file, of its newest version or of another one."""
    table = _Named(path, version, as_of)
    reader = table.bound
    schema = reader.schema.to_arrow()
    reader.scan([], where)  # a filter that is wrong is told at once

    def batches(places: list[int]) -> Iterator[pa.RecordBatch]:
        return table.now().scan([schema.names[place] for place in places], where)

    return Source(schema, batches, len(reader) if where is None else None)


def audiomem_search(
    path: Any, query: Any, k: Any, version: Any, as_of: Any, where: Any, column: Any
) -> Source:
    """The rows nearest to a text, with their distances."""
    table = _Named(path, version, as_of)
    if not isinstance(query, str):
        raise QueryError("there is nothing to search for", file=path, remedy="Pass a text.")
    count = 10 if k is None else rows_wanted(k, path)
    names = table.bound.schema.names
    schema = table.bound.schema.to_arrow().append(pa.field("distance", pa.float32()))

    def batches(places: list[int]) -> Iterator[pa.RecordBatch]:
        wanted = [names[place] for place in places if place < len(names)]
        found = table.now().search(query, count, where, columns=wanted, column=column)
        if places and places[-1] < len(names):
            found = found.drop_columns(["distance"])
        return iter(found.combine_chunks().to_batches())

    return Source(schema, batches)


def audiomem_snapshots(path: Any) -> Source:
    """The versions of a file."""
    table = _Named(path)

    def rows() -> list[tuple[Any, ...]]:
        reader = table.now()
        tags: dict[int, list[str]] = {}
        for name, number in sorted(reader.tags.items()):
            tags.setdefault(number, []).append(name)
        return [
            (v.number, v.time, v.inserted, v.deleted, ", ".join(tags.get(v.number, ())) or None, v.message)
            for v in reader.versions
        ]

    return _made(_SNAPSHOTS, rows)


def audiomem_changes(path: Any, first: Any, last: Any) -> Source:
    """What commits changed, with the columns that the newest of them has."""
    table = _Named(path)

    def newest(reader: TableReader) -> int:
        return reader.version if last is None else reader.at(version_of(last, path)).version

    table.bound.at(version_of(first, path))  # a version that is not kept is told at once
    now = table.bound.snapshot.schema_at(newest(table.bound)).visible

    def rows() -> list[tuple[Any, ...]]:
        reader = table.now()
        snapshot = reader.snapshot
        found = changes(snapshot, reader.at(version_of(first, path)).version, newest(reader))
        return [
            (
                each.version,
                each.rowid,
                each.kind,
                *_by_column(snapshot.schema_at(each.version).visible, now, each.values),
            )
            for each in found
        ]

    return _made(pa.schema([*_CHANGES, *now.to_arrow().remove_metadata()]), rows)


# -- inside -----------------------------------------------------------------------------------------------------------


_SNAPSHOTS = pa.schema(
    [
        ("snapshot_id", pa.int64()),
        ("snapshot_time", pa.timestamp("us")),
        ("inserted", pa.int64()),
        ("deleted", pa.int64()),
        ("tag", pa.string()),
        ("commit_message", pa.string()),
    ]
)
_CHANGES = pa.schema([("snapshot_id", pa.int64()), ("row_id", pa.int64()), ("change_type", pa.string())])


_TABLES = OpenTables()


class _Named:
    """A table that a statement names: as it is when the statement is prepared, and again whenever it is run."""

    def __init__(self, path: Any, version: Any = None, as_of: Any = None) -> None:
        if not isinstance(path, str):
            raise QueryError("there is no path", remedy="Pass the path of a FLAC file as text.")
        if version is not None and as_of is not None:
            raise QueryError("version and as_of exclude each other", file=path, remedy="Pass one of them.")
        self._path, self._as_of = path, as_of
        self._version = None if version is None else version_of(version, path)
        self.bound = _TABLES.at(path, self._version, as_of)

    def now(self) -> TableReader:
        """The table with the commits that there are by now. SchemaError if it has other columns than it had."""
        found = _TABLES.at(self._path, self._version, self._as_of)
        if not found.schema.is_same(self.bound.schema):
            raise SchemaError(
                "the columns of the table were changed since the statement was prepared",
                file=self._path,
                remedy="Prepare it again.",
            )
        return found


def _made(schema: pa.Schema, rows: Callable[[], list[tuple[Any, ...]]]) -> Source:
    """What DuckDB reads, of rows of values that are made when it asks."""

    def batches(places: list[int]) -> Iterator[pa.RecordBatch]:
        columns: Sequence[Sequence[Any]] = list(zip(*rows(), strict=True)) or [()] * len(schema)
        arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=schema).combine_chunks()
        return iter(table.select(places or [0]).to_batches())

    return Source(schema, batches)


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
    """An array of values as SQL sees them, or of what is meant by them."""
    if pa.types.is_fixed_size_list(arrow_type):
        return array_of(values, ColumnType(Kind.FLOAT, arrow_type.list_size))
    if pa.types.is_timestamp(arrow_type):
        values = [parse(value) if isinstance(value, str) else value for value in values]
    elif pa.types.is_boolean(arrow_type):
        values = [None if value is None else bool(value) for value in values]
    return pa.array(values, arrow_type)


def _column(field: pa.Field) -> tuple[str, int, int]:
    """(name, type, numbers in a vector) of a column, as DuckDB is told of it."""
    if pa.types.is_fixed_size_list(field.type):
        return field.name, ARRAY, field.type.list_size
    return field.name, _TYPES[field.type], 0


def _by_column(then: Schema, now: Schema, values: Sequence[Any]) -> Iterator[Any]:
    """The values of a row of an older schema by the columns of a newer one; None for those that were not there."""
    known = {column.id: value for column, value in zip(then.columns, values, strict=True)}
    return (known.get(column.id) for column in now.columns)


#: What scalar functions take, as many of it as they are called with, and what they return. Vectors are lists of FLOAT.
_SIGNATURES: dict[str, tuple[tuple[int, ...], int]] = {
    "audiomem_version": ((), VARCHAR),
    "embed": ((VARCHAR,) * 3, LIST),
    "vec_from_json": ((VARCHAR,), LIST),
    "vec_to_json": ((LIST,), VARCHAR),
    "cosine_distance": ((LIST, LIST), DOUBLE),
    "l2_distance": ((LIST, LIST), DOUBLE),
    "highlight": ((VARCHAR,) * 4, VARCHAR),
    "snippet": ((*(VARCHAR,) * 5, BIGINT), VARCHAR),
}


def _scalar(name: str, counts: Sequence[int], function: Callable[..., Any], many: Many) -> ScalarFunction:
    types, returns = _SIGNATURES[name]

    def call(rows: int, *columns: list[Any]) -> list[Any]:
        if many is not None:
            return many(*columns)
        return list(map(function, *columns)) if columns else [function() for _ in range(rows)]

    return ScalarFunction(name, tuple(types[:count] for count in counts), returns, call)
