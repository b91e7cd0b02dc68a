"""The table functions of DuckDB: their names, arguments, columns and rows, for both doors.

``python.py`` gives them to DuckDB's Python package, ``extension.py`` to the loadable extension. Each function
takes a path first. NULL is an argument that is not given. A column that the function itself adds gets
underscores in front where the table has a column of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import InFile, QueryError
from audiomem_sql.scan import parse_order
from audiomem_sql.search import (
    Ranking,
    cross_encoder,
    search_fields,
)
from audiomem_sql.table.explanations import EXPLANATION
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes
from audiomem_sql.vtab.duckdb.analyses import (
    audiomem_cluster_rows,
    audiomem_clusters,
    audiomem_duplicates,
    audiomem_knn,
    audiomem_map,
)
from audiomem_sql.vtab.duckdb.attaching import audiomem_attach
from audiomem_sql.vtab.duckdb.cache import audiomem_cache
from audiomem_sql.vtab.duckdb.scanning import audiomem_scan
from audiomem_sql.vtab.duckdb.source import NamedTable, Source, source_of_rows, values_by_column
from audiomem_sql.vtab.duckdb.vocabularies import audiomem_suggest, audiomem_vocabulary
from audiomem_sql.vtab.rows import rows_wanted, version_of

_K = 10
#: Other names of named arguments: ``column`` is a reserved word of DuckDB, which must be written in double
#: quotes.
ALIASES = {"condition": "filter", "searched": "column"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a table function. type: the name of DuckDB's type, ANY for a value of any type."""

    name: str
    type: str = "VARCHAR"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TableFunction:
    """A table function; ``rows`` takes an argument for each parameter but the aliases, by its name."""

    name: str
    positional: tuple[Parameter, ...]
    named: tuple[Parameter, ...]
    rows: Callable[..., Source]

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters: positional ones, then named ones."""
        return (*self.positional, *self.named)

    def bind(self, *values: Any) -> Source:
        """The source of a call.

        values: one for each parameter, int, str, bytes or list; None: not given.
        QueryError for values that make no sense; what :class:`~audiomem_sql.table.reader.TableReader` raises.
        """
        arguments = {parameter.name: value for parameter, value in zip(self.parameters, values, strict=True)}
        for alias, name in ALIASES.items():
            value = arguments.pop(alias, None)
            if value is None:
                continue
            if arguments[name] is not None:
                raise QueryError(
                    f"{name} and {alias} are the same argument",
                    file=_path_text(arguments["path"]),
                    remedy="Pass one of them.",
                )
            arguments[name] = value
        return self.rows(**arguments)


def audiomem_search(
    path: Any,
    query: Any,
    k: Any,
    version: Any,
    as_of: Any,
    filter: Any,
    column: Any,
    vector: Any = None,
    weights: Any = None,
    replicas: Any = None,
    **ranking: Any,
) -> Source:
    """The rows that answer a text, are nearest to a vector or both, best first, and their distances."""
    table = NamedTable(path, version, as_of, replicas)
    _check_search(path, query if vector is None else vector, ranking)
    count = _K if k is None else rows_wanted(k, path)
    names = table.bound.schema.names
    table.bound.scan([], filter)
    schema = table.bound.schema.to_arrow().remove_metadata()
    for field in search_fields(table.bound.snapshot.schema):
        schema = schema.append(field)

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        columns = [names[index] for index in column_indexes if index < len(names)]
        rows = table.now().search(
            query,
            count,
            filter,
            columns=columns,
            column=column,
            vector=vector,
            weights=weights,
            **ranking,
        )
        if column_indexes:
            kept = [len(columns) + index - len(names) for index in column_indexes if index >= len(names)]
            rows = rows.select([*range(len(columns)), *kept])
        return iter(rows.combine_chunks().to_batches())

    return Source(lambda: schema, batches)


def audiomem_explain(
    path: Any,
    query: Any,
    k: Any,
    version: Any,
    as_of: Any,
    filter: Any,
    column: Any,
    vector: Any = None,
    weights: Any = None,
    replicas: Any = None,
    **ranking: Any,
) -> Source:
    """Why a search gives these rows: the figures that each score is made of."""
    table = NamedTable(path, version, as_of, replicas)
    _check_search(path, query if vector is None else vector, ranking)
    count = _K if k is None else rows_wanted(k, path)
    table.bound.scan([], filter)

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        rows = table.now().explain(
            query, count, filter, column=column, vector=vector, weights=weights, **ranking
        )
        return iter(rows.select(column_indexes or [0]).combine_chunks().to_batches())

    return Source(lambda: EXPLANATION, batches)


def _check_search(path: Any, query: Any, ranking: dict[str, Any]) -> None:
    """QueryError for what is no search.

    UnsupportedError for a model that nobody allowed: a macro or a view of a stranger's may name it.
    """
    if query is None:
        raise QueryError("there is nothing to search for", file=path, remedy="Pass a text, or a vector.")
    with InFile(path):
        Ranking.of(**ranking)
        if ranking["rerank"] is not None:
            cross_encoder(ranking["rerank"])


def audiomem_top(
    path: Any, ordering: Any, k: Any, version: Any, as_of: Any, filter: Any, replicas: Any = None
) -> Source:
    """The first rows in an order; columns that the order does not name are read of these rows only."""
    table = NamedTable(path, version, as_of, replicas)
    if ordering is None:
        raise QueryError("there is no order", file=path, remedy="Pass one as text: 'year DESC, title'.")
    count = _K if k is None else rows_wanted(k, path)
    schema = table.bound.schema.to_arrow().remove_metadata()
    parse_order(ordering, table.bound.schema)
    table.bound.scan([], filter)

    def batches(column_indexes: list[int]) -> Iterator[pa.RecordBatch]:
        columns = [schema.names[index] for index in column_indexes or [0]]
        return iter(table.now().top(ordering, count, filter, columns=columns).combine_chunks().to_batches())

    return Source(lambda: schema, batches)


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
_CHANGES = {"snapshot_id": pa.int64(), "row_id": pa.int64(), "change_type": pa.string()}


def audiomem_snapshots(path: Any, replicas: Any = None) -> Source:
    """The versions of a table."""
    table = NamedTable(path, replicas=replicas)

    def rows() -> list[tuple[Any, ...]]:
        reader = table.now()
        tags: dict[int, list[str]] = {}
        for name, number in sorted(reader.tags.items()):
            tags.setdefault(number, []).append(name)
        return [
            (v.number, v.time, v.inserted, v.deleted, ", ".join(tags.get(v.number, ())) or None, v.message)
            for v in reader.versions
        ]

    return source_of_rows(_SNAPSHOTS, rows)


def audiomem_changes(path: Any, first: Any, last: Any, replicas: Any = None) -> Source:
    """The rows that the commits from ``first`` to ``last`` changed, with the columns that ``last`` has."""
    table = NamedTable(path, replicas=replicas)

    def newest(reader: TableReader) -> int:
        return reader.version if last is None else reader.at(version_of(last, path)).version

    table.bound.at(version_of(first, path))  # a version that is not kept is refused at once
    new = table.bound.snapshot.schema_at(newest(table.bound)).visible

    def rows() -> list[tuple[Any, ...]]:
        reader = table.now()
        snapshot = reader.snapshot
        row_changes = changes(snapshot, reader.at(version_of(first, path)).version, newest(reader))
        return [
            (
                change.version,
                change.rowid,
                change.kind,
                *values_by_column(snapshot.schema_at(change.version).visible, new, change.values),
            )
            for change in row_changes
        ]

    added = zip(_free_names(tuple(_CHANGES), new), _CHANGES.values(), strict=True)
    return source_of_rows(pa.schema([*added, *new.to_arrow().remove_metadata()]), rows)


def _free_names(names: tuple[str, ...], schema: Schema) -> list[str]:
    """``names``, with underscores in front of those that columns of the table have."""
    taken = {fold(name) for name in schema.names}
    free = []
    for name in names:
        while fold(name) in taken:
            name = f"_{name}"
        free.append(name)
    return free


def _path_text(path: Any) -> str | None:
    return path if isinstance(path, str) else None


_PATH = Parameter("path")
_PATHS = Parameter("path", "ANY")
_MANY = (Parameter("union_by_name", "ANY", optional=True), Parameter("filename", "ANY", optional=True))
_HIVE = (
    Parameter("hive_partitioning", "ANY", optional=True),
    Parameter("hive_types_autocast", "ANY", optional=True),
    Parameter("hive_types", "ANY", optional=True),
)
_PARTIAL = Parameter("partial", "ANY", optional=True)
_COUNT = Parameter("k", "BIGINT", optional=True)
_VERSION = (Parameter("version", "ANY", optional=True), Parameter("as_of", optional=True))
_FILTER = (Parameter("filter", optional=True), Parameter("condition", optional=True))
#: Where else the file is, as text with commas.
_REPLICAS = (Parameter("replicas", optional=True),)
_COLUMN = (Parameter("column", optional=True), Parameter("searched", optional=True))
_RANKING = (
    Parameter("fusion", optional=True),
    Parameter("weight", "ANY", optional=True),
    Parameter("rank_constant", "ANY", optional=True),
    Parameter("rerank", optional=True),
    Parameter("rerank_rows", "ANY", optional=True),
    Parameter("column_weights", optional=True),  # an object of JSON
)
#: A vector; or one for each of several columns, and what each counts, as objects of JSON.
_VECTOR = (Parameter("vector", "ANY", optional=True), Parameter("weights", optional=True))

FUNCTIONS = (
    TableFunction(
        "audiomem_scan",
        (_PATHS,),
        (*_VERSION, *_FILTER, *_MANY, _PARTIAL, *_REPLICAS, *_HIVE),
        audiomem_scan,
    ),
    TableFunction(
        "audiomem_search",
        (_PATH, Parameter("query", "ANY")),
        (_COUNT, *_VERSION, *_FILTER, *_COLUMN, *_VECTOR, *_REPLICAS, *_RANKING),
        audiomem_search,
    ),
    TableFunction(
        "audiomem_explain",
        (_PATH, Parameter("query", "ANY")),
        (_COUNT, *_VERSION, *_FILTER, *_COLUMN, *_VECTOR, *_REPLICAS, *_RANKING),
        audiomem_explain,
    ),
    TableFunction(
        "audiomem_top",
        (_PATH, Parameter("ordering")),
        (_COUNT, *_VERSION, *_FILTER, *_REPLICAS),
        audiomem_top,
    ),
    TableFunction("audiomem_cache", (), (), audiomem_cache),
    TableFunction("audiomem_snapshots", (_PATH,), _REPLICAS, audiomem_snapshots),
    TableFunction("audiomem_vocabulary", (_PATH,), (Parameter("kind", optional=True),), audiomem_vocabulary),
    TableFunction("audiomem_suggest", (_PATH, Parameter("word")), (_COUNT,), audiomem_suggest),
    TableFunction(
        "audiomem_changes",
        (_PATH, Parameter("first", "ANY"), Parameter("last", "ANY", optional=True)),
        _REPLICAS,
        audiomem_changes,
    ),
    TableFunction(
        "audiomem_knn",
        (_PATH, Parameter("left_column"), Parameter("right"), Parameter("right_column")),
        (
            _COUNT,
            *_VERSION,
            *_FILTER,
            Parameter("left_version", "ANY", optional=True),
            Parameter("left_filter", optional=True),
        ),
        audiomem_knn,
    ),
    TableFunction(
        "audiomem_duplicates",
        (_PATH,),
        (*_COLUMN, Parameter("threshold", "ANY", optional=True), *_VERSION, *_FILTER),
        audiomem_duplicates,
    ),
    TableFunction("audiomem_clusters", (_PATH,), (*_COLUMN, _COUNT, *_VERSION, *_FILTER), audiomem_clusters),
    TableFunction(
        "audiomem_cluster_rows", (_PATH,), (*_COLUMN, _COUNT, *_VERSION, *_FILTER), audiomem_cluster_rows
    ),
    TableFunction("audiomem_map", (_PATH,), (*_COLUMN, _COUNT, *_VERSION, *_FILTER), audiomem_map),
    TableFunction("audiomem_attach", (_PATH,), (Parameter("schema", optional=True),), audiomem_attach),
)
