"""COPY … TO and COPY … FROM of DuckDB's loadable extension, from DuckDB 1.5.6 on.

Types and vectors are those of :mod:`~audiomem_sql.vtab.duckdb.vectors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.casting import UnfitError, stored_of_arrow
from audiomem_sql.columns.logical.forms import arrow_form
from audiomem_sql.columns.logical.node import ITEMS, Node
from audiomem_sql.errors import DataTypeError, OptionError, SchemaError, UnsupportedError
from audiomem_sql.vtab.duckdb import native_types, vectors
from audiomem_sql.vtab.duckdb.given_values import field_of, values_of, values_of_rows
from audiomem_sql.vtab.duckdb.native_types import (
    JSON_TYPE,
    is_vector_list,
    logical_of_field,
    node_of_described,
)
from audiomem_sql.vtab.duckdb.native_values import native, stored_of
from audiomem_sql.vtab.duckdb.scanning import audiomem_scan
from audiomem_sql.vtab.duckdb.settings import OF_TABLES, of_tables
from audiomem_sql.vtab.duckdb.source import Source
from audiomem_sql.vtab.duckdb.stream import Stream
from audiomem_sql.vtab.duckdb.writing import FileWriter, NewTable, option_values

#: What COPY … FROM takes in brackets, and the types of it.
_NAMED = (("version", vectors.ANY), ("as_of", vectors.VARCHAR), ("filter", vectors.VARCHAR))
#: Types into which Arrow casts.
_CAST = frozenset(
    (
        *range(vectors.BOOLEAN, vectors.DOUBLE + 1),
        *(vectors.TIMESTAMP, vectors.DATE, vectors.TIME, vectors.VARCHAR, vectors.BLOB),
        *(vectors.TIMESTAMP_S, vectors.TIMESTAMP_MS, vectors.TIMESTAMP_NS, vectors.TIMESTAMP_TZ),
    )
)


class CopyFunction:
    """A format of COPY."""

    named = _NAMED
    #: Settings whose values C passes to ``bind``.
    settings = OF_TABLES

    def __init__(self, name: str) -> None:
        self.name = name

    def bind(
        self,
        names: Sequence[str] | None,
        types: Sequence[vectors.Type],
        options: Sequence[tuple[str, Any]],
        settings: Sequence[str | None] = ("",) * len(OF_TABLES),
    ) -> CopyTarget:
        """What a COPY … TO writes.

        names: None where DuckDB does not tell them; then option ``columns`` does, or the only column is a
        STRUCT, whose fields are taken.
        """
        values = of_tables(list(settings)) | option_values(options)
        given = values.pop("columns", names)
        return CopyTarget(
            given if given is None or isinstance(given, (list, tuple)) else [given], types, values
        )

    def read(self, columns: Sequence[tuple[str, vectors.Type]], arguments: Sequence[Any]) -> CopySource:
        """The rows of a COPY … FROM for a table with these columns."""
        path, *named = arguments
        return CopySource(path, audiomem_scan(path, *named), columns)


class CopyTarget:
    """The columns and options of one COPY … TO."""

    def __init__(
        self, names: Sequence[str] | None, types: Sequence[vectors.Type], options: dict[str, Any]
    ) -> None:
        #: As DuckDB has them: the vectors of the writers are of these types.
        self.types = tuple(types)
        self._spread = len(types) == 1 and types[0][0] == vectors.STRUCT
        if self._spread:
            fields = types[0][1]
            names = [name for name, _ in fields] if names is None or len(names) != len(fields) else names
            types = [described for _, described in fields]
        if names is None:
            raise UnsupportedError(
                "DuckDB does not tell this extension how the columns are called",
                remedy="Say so, (FORMAT audiomem, COLUMNS ['id', 'title']), or copy rows: "
                "COPY (SELECT t FROM t) TO …",
            )
        if len(names) != len(types):
            raise OptionError(
                f"columns has {len(names)} names, and the query {len(types)} columns",
                remedy="Name each once.",
            )
        self._names = tuple(names)
        schema = pa.schema(list(map(field_of, names, types)))
        self.table = NewTable.of(schema, options, "columns")

    def begin(self, path: str) -> CopyWriter:
        """What takes the rows of one file.

        Where DuckDB makes up the names, with PARTITION_BY, it knows no extension: ``data_0.``
        """
        return CopyWriter(self, f"{path}flac" if os.path.basename(path).endswith(".") else path)

    def batch(self, rows: int, columns: Sequence[vectors.Vector]) -> pa.RecordBatch:
        """A chunk of DuckDB's."""
        if self._spread:
            arrays, _ = values_of_rows(
                self.types[0], columns[0], rows
            )  # with the NULLs of the rows themselves
        else:
            arrays = [
                values_of(name, described, vector, rows)
                for name, described, vector in zip(self._names, self.types, columns, strict=True)
            ]
        return pa.RecordBatch.from_arrays(arrays, schema=self.table.schema)


class CopyWriter:
    """The rows of one file, which several threads may write."""

    def __init__(self, target: CopyTarget, path: str) -> None:
        self.types = target.types
        self._target = target
        self._writer = FileWriter(target.table, path)
        #: Called as DuckDB ends the statement, or gives it up.
        self.close = self._writer.close
        self.finish = self._writer.finish

    def write(self, rows: int, columns: Sequence[vectors.Vector]) -> None:
        """Take a chunk."""
        self._writer.write(self._target.batch(rows, columns))


class CopySource:
    """What COPY … FROM reads: the columns of the table that it fills, from those of the file.

    By name if the file has one for each, else by their order. Values are converted where nothing is lost.
    """

    rows = None

    def __init__(self, path: str, source: Source, columns: Sequence[tuple[str, vectors.Type]]) -> None:
        self._path = path
        self._source = source
        self._targets = columns
        names = [fold(name) for name in source.schema.names]
        wanted = [fold(name) for name, _ in columns]
        if len(names) != len(wanted):
            raise SchemaError(
                f"the table has {len(wanted)} columns, and the file {len(names)}",
                file=path,
                remedy="Name those of the file behind the table, or use INSERT INTO … BY NAME FROM the "
                "file: the others get their DEFAULT.",
            )
        same = sorted(names) == sorted(wanted)
        self._places = [names.index(name) for name in wanted] if same else list(range(len(names)))
        for name, described in columns:
            node_of_described(name, described)
        self.columns = tuple((name, described, "") for name, described in columns)

    def open(self, wanted: Sequence[int]) -> Stream:
        """The rows with the columns of the table whose indexes are ``wanted``."""
        places = sorted({self._places[index] for index in wanted if index >= 0})
        kept = [index for index in wanted if index >= 0]
        order = [kept.index(index) if index >= 0 else None for index in wanted]
        return Stream(self._batches(places, kept), order)

    def _batches(self, places: list[int], wanted: list[int]) -> Iterator[pa.RecordBatch]:
        nodes = [logical_of_field(field) for field in self._source.schema]
        for batch in self._source.batches(places):
            columns = []
            for index in wanted:
                place = self._places[index]
                columns.append(
                    self._converted(self._targets[index], batch.column(places.index(place)), nodes[place])
                )
            yield pa.RecordBatch.from_arrays(columns, names=[str(number) for number in range(len(columns))])

    def _converted(self, target: tuple[str, vectors.Type], values: pa.Array, node: Node | None) -> pa.Array:
        """The values as the C half copies them into a vector of the column's type."""
        name, described = target
        try:
            if node is not None and described == native_types.described(node):
                return native(node, stored_of(node, values))
            if node is not None:
                values = arrow_form(node, stored_of(node, values))
            if not is_vector_list(described) and (
                described[0] not in _CAST or described == JSON_TYPE or isinstance(values, pa.ExtensionArray)
            ):
                wanted = node_of_described(name, described)
                if wanted.name in ITEMS:
                    return _plain(wanted, values)
                return native(wanted, stored_of_arrow(wanted, _opened(values)))
            if described[0] == vectors.LIST:
                return values
            return values.cast(vectors.arrow_type(name, described))
        except (pa.ArrowException, NotImplementedError, UnfitError) as error:
            raise DataTypeError(
                f"values of the file do not fit: {error}",
                file=self._path,
                place=f"column {name}",
                remedy="Use INSERT INTO … SELECT … FROM the file, with a CAST.",
            ) from error


def _opened(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        return values.storage
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _plain(node: Node, values: pa.Array) -> pa.Array:
    """Values for a column of texts or numbers, which Arrow does not make of theirs."""
    if pa.types.is_string(values.type):
        return values
    texts = [None if value is None else str(value) for value in values.to_pylist()]
    made = pa.array(texts, pa.string())
    return made if node.name in ("VARCHAR", "JSON") else made.cast(arrow_of(node))
