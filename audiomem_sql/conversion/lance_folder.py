"""Tables of Lance: the folder of a LanceDB database, or one `.lance` in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.vector_index import L2, METRICS, VectorIndexOptions
from audiomem_sql.conversion.collection import Store, Wishes, rows_at_once, wished
from audiomem_sql.conversion.records import as_json
from audiomem_sql.errors import DamagedFileError, MissingExtraError, SchemaError

SUFFIX = ".lance"


@contextlib.contextmanager
def open_store(path: str, wishes: Wishes) -> Iterator[Store]:
    """The tables of a database, or the one at ``path``."""
    folder = os.path.abspath(path)
    if folder.endswith(SUFFIX):
        folders = [folder]
    else:
        folders = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(SUFFIX))
    yield Store("LanceDB", [_opened(each, wishes) for each in folders])


def _opened(folder: str, wishes: Wishes) -> LanceCollection:
    name = os.path.basename(folder).removesuffix(SUFFIX)
    try:
        try:
            return _of_lance(folder, name, wishes)
        except ImportError:
            return _of_lancedb(folder, name, wishes)
    except ImportError:
        raise MissingExtraError(
            "a table of Lance needs pylance, or lancedb",
            file=folder,
            remedy="pip install 'audiomem-sql[convert-lance]'",
        ) from None
    except (ValueError, OSError, RuntimeError) as error:
        raise DamagedFileError(
            f"Lance cannot read this: {' '.join(str(error).split())[:300]}",
            file=folder,
            remedy="Check that the folder is whole; a newer file needs a newer pylance.",
        ) from error


def _of_lance(folder: str, name: str, wishes: Wishes) -> LanceCollection:
    import lance

    # figures of an index with its centroids are large; without the setting a warning is printed
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    dataset = lance.dataset(folder)
    metrics: dict[str, str] = {}
    for index in dataset.list_indices():
        for figures in dataset.stats.index_stats(index["name"]).get("indices", ()):
            if "metric_type" in figures:
                metrics[index["fields"][0]] = str(figures["metric_type"]).lower()

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        yield from dataset.to_batches(columns=columns, batch_size=size)

    return LanceCollection(name, dataset.count_rows(), dataset.schema, metrics, read, folder, wishes)


def _of_lancedb(folder: str, name: str, wishes: Wishes) -> LanceCollection:
    import lancedb

    table = lancedb.connect(os.path.dirname(folder)).open_table(name)
    metrics: dict[str, str] = {}
    for index in table.list_indices():
        figures = table.index_stats(index.name)
        if figures is not None and figures.distance_type:
            metrics[index.columns[0]] = figures.distance_type.lower()

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        yield from table.search().select(columns).limit(None).to_batches(batch_size=size)

    return LanceCollection(name, table.count_rows(), table.schema, metrics, read, folder, wishes)


@dataclass(frozen=True)
class LanceCollection:
    """One table. ``metrics``: of the columns that have an index; the others have Lance's default, l2."""

    name: str
    rows: int
    arrow: pa.Schema
    metrics: dict[str, str]
    read: Callable[[list[str], int], Iterator[pa.RecordBatch]]
    source: str
    wishes: Wishes

    @property
    def notes(self) -> tuple[str, ...]:
        """What becomes JSON, and what is rounded."""
        found = []
        others = [name for name in self.arrow.names if name not in self._kept]
        if others:
            found.append(f"kept as JSON: {', '.join(others)}")
        rounded = [
            field.name
            for field in self.arrow
            if _is_vector(field.type) and pa.types.is_float64(field.type.value_type)
        ]
        if rounded:
            found.append(f"rounded to float32: {', '.join(rounded)}")
        return tuple(found)

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The columns that a table has a type for; the others become JSON."""
        kept = {}
        for field in self.arrow:
            with contextlib.suppress(SchemaError):
                (kept[field.name],) = schema_of_arrow(pa.schema([_plain(field)])).columns
        return kept

    def schema(self) -> Schema:
        """The columns in their order; vectors are indexed by their metric."""
        columns = []
        for field in self.arrow:
            column = self._kept.get(field.name)
            if column is None:
                (column,) = schema_of_arrow(pa.schema([pa.field(field.name, pa.string())])).columns
                json = schema_of_json(field.name)
                column = replace(column, type=json)
            elif column.type.kind is Kind.FLOAT:
                metric = self.metrics.get(field.name, L2)
                metric = "ip" if metric == "dot" else metric
                if metric in METRICS:
                    column = replace(column, vector_index=str(VectorIndexOptions(metric)), indexed=True)
            columns.append(replace(column, id=-1))
        return wished(Schema(tuple(columns)), self.wishes, self.source)

    def batches(self) -> Iterator[pa.Table]:
        """The rows in the order of the table."""
        width = sum(field.type.list_size for field in self.arrow if _is_vector(field.type))
        for batch in self.read(self.arrow.names, rows_at_once(width)):
            arrays = {}
            for field, array in zip(self.arrow, batch.columns, strict=True):
                if field.name not in self._kept:
                    values = (None if value is None else as_json(value) for value in array.to_pylist())
                    arrays[field.name] = pa.array(values, pa.string())
                else:
                    arrays[field.name] = array.cast(_plain(field).type)
            yield pa.table(arrays)


def schema_of_json(name: str) -> Any:
    """The type JSON."""
    from audiomem_sql.columns.schema import parse_columns

    return parse_columns([f"{_quoted(name)} JSON"]).columns[0].type


def _quoted(name: str) -> str:
    from audiomem_sql.columns.column import quote

    return quote(name)


def _is_vector(kind: pa.DataType) -> bool:
    return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type))


def _plain(field: pa.Field) -> pa.Field:
    """A field without Lance's metadata, its vectors of float32."""
    kind = field.type
    if _is_vector(kind):
        kind = pa.list_(pa.float32(), kind.list_size)
    elif pa.types.is_dictionary(kind):
        kind = kind.value_type
    elif pa.types.is_large_string(kind):
        kind = pa.string()
    return pa.field(field.name, kind, field.nullable)
