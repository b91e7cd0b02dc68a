"""Parquet, through pyarrow: DuckDB's reader rounds decimals of more than 38 digits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.types import ColumnType, shown_type
from audiomem_sql.errors import AudioMemError, DamagedFileError, SchemaError
from audiomem_sql.importing.bad_lines import BadLines
from audiomem_sql.importing.contract import Wishes
from audiomem_sql.importing.inputs import Input, Inputs
from audiomem_sql.importing.taken_types import TYPE, cast, combined, has_interval, taken, told

_BATCH_ROWS = 1 << 14
_CONSTRAINTS = b"audiomem:constraints"


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[ParquetRows]:
    """The rows of Parquet files."""
    yield ParquetRows(inputs, wishes)


class ParquetRows:
    """Rows of Parquet files, their columns united by name; see ``RowSource``."""

    key: str | None = None
    sorts = False

    def __init__(self, inputs: Inputs, wishes: Wishes) -> None:
        self._inputs = inputs
        self._done = 0
        schemas = []
        for file in inputs.files:
            with _reading(file), pq.ParquetFile(file.path) as opened:
                schemas.append(opened.schema_arrow)
            _check_names(schemas[-1], file)
        try:
            united = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise SchemaError(
                f"the files have a column of different types ({error})",
                file=inputs.label,
                remedy="Import them one by one.",
            ) from error
        ours = {name: text for name, text in (schemas[0].metadata or {}).items() if name == _CONSTRAINTS}
        self._source = united
        self._told = {
            item.name: own
            for item in united
            if wishes.of(item.name) is None and (own := _told(item.name, schemas)) is not None
        }
        fields = [
            told(item, self._told[item.name].type) if item.name in self._told else taken(item)
            for item in united
        ]
        self._fields = pa.schema(fields, ours or None)

    def schema(self, whole: bool) -> pa.Schema:
        """The columns; see ``RowSource``."""
        return self._fields

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; see ``RowSource``."""
        before = 0
        for file in self._inputs.files:
            with _reading(file), pq.ParquetFile(file.path, pre_buffer=False, buffer_size=1 << 20) as opened:
                rows, count = opened.metadata.num_rows, 0
                for batch in opened.iter_batches(batch_size=_BATCH_ROWS):
                    count += batch.num_rows
                    self._done = before + file.size * count // max(rows, 1)
                    yield self._united(batch)
            before += file.size

    def _united(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = []
        for source, item in zip(self._source, self._fields, strict=True):
            place = batch.schema.get_field_index(source.name)
            if place < 0:
                arrays.append(pa.nulls(len(batch), item.type))
                continue
            array = batch.column(place)
            array = array if array.type == source.type else array.cast(source.type)
            own = self._told.get(source.name)
            arrays.append(cast(array, item) if own is None else combined(cast_column(own, [array])))
        return pa.RecordBatch.from_arrays(arrays, schema=self._fields)

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return self._done, self._inputs.size


def _told(name: str, schemas: Sequence[pa.Schema]) -> Column | None:
    """The column that was exported, where its Arrow type alone does not tell, and all files say the same.

    An ENUM is a dictionary, an INTERVAL a text, and Parquet has no times of whole seconds.
    """
    fields = [schema.field(name) for schema in schemas if name in schema.names]
    if not all(field.equals(fields[0], check_metadata=True) for field in fields):
        return None
    try:
        found = ColumnType.parse((fields[0].metadata or {}).get(TYPE, b"").decode())
    except (AudioMemError, UnicodeDecodeError):
        return None
    node, kind = found.logical, fields[0].type
    if node is None or kind == shown_type(found):
        return Column(name, found) if node is not None and node.name == "ENUM" else None
    is_other = (
        (node.name == "ENUM" and pa.types.is_dictionary(kind))
        or (kind == pa.string() and has_interval(node))
        or (node.name, kind) in (("TIME_S", pa.time32("ms")), ("TIMESTAMP_S", pa.timestamp("ms")))
    )
    return Column(name, found) if is_other else None


def _check_names(schema: pa.Schema, file: Input) -> None:
    known: dict[str, str] = {}
    for name in schema.names:
        if (other := known.setdefault(fold(name), name)) is not name:
            raise SchemaError(
                f"two columns are called {other!r} and {name!r}",
                file=file.label,
                remedy="Rename one; capitals make no difference.",
            )


@contextlib.contextmanager
def _reading(file: Input) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DamagedFileError(
            f"the Parquet data cannot be read ({' '.join(str(error).split())[:200]})",
            file=file.label,
            remedy="Write the file again from its source.",
        ) from error
