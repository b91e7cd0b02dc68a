"""The Python half of DuckDB's loadable extension, whose C half is ``native/duckdb.c``.

It is called once a statement, or once a part of rows.
Parts of rows cross as ``(count, columns)``, each column an Arrow array as a pair of capsules, or None where
DuckDB wants no values. Types are DuckDB's, by their numbers in ``duckdb_type``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.columns.logical.node import Node
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError
from audiomem_sql.machine.urls import file_name
from audiomem_sql.vtab import codes
from audiomem_sql.vtab.duckdb import nearest, pushed_filters, vectors
from audiomem_sql.vtab.duckdb.attaching import AttachPragma
from audiomem_sql.vtab.duckdb.copying import CopyFunction
from audiomem_sql.vtab.duckdb.functions import FUNCTIONS, TableFunction
from audiomem_sql.vtab.duckdb.many_files import is_pattern, tables_of
from audiomem_sql.vtab.duckdb.native_types import (
    conditions_schema,
    described_field,
    logical_of_field,
    spelled,
)
from audiomem_sql.vtab.duckdb.native_values import native, stored_of
from audiomem_sql.vtab.duckdb.settings import SETTINGS
from audiomem_sql.vtab.duckdb.source import Source, open_table
from audiomem_sql.vtab.duckdb.stream import Stream
from audiomem_sql.vtab.duckdb.vectors import (
    ANY,
    ARRAY,
    BIGINT,
    BLOB,
    DOUBLE,
    LIST,
    STRUCT,
    VARCHAR,
)
from audiomem_sql.vtab.duckdb.write_function import WritingFunction

_NUMBERS = {"VARCHAR": VARCHAR, "BIGINT": BIGINT, "ANY": ANY}
#: A byte of a BLOB that DuckDB writes as text.
_ESCAPED = re.compile(rb"\\x([0-9A-Fa-f]{2})")
#: What arguments and results of scalar functions are, see ``udfs/function.py``. Vectors are lists of FLOAT.
_SCALAR_NUMBERS = {"text": VARCHAR, "vector": LIST, "real": DOUBLE, "integer": BIGINT}


class Scalar(Protocol):
    """A scalar function, see :class:`audiomem_sql.udfs.function.Function`."""

    @property
    def name(self) -> str:
        """Its name in SQL."""

    @property
    def call(self) -> Callable[..., Any]:
        """The function of one row."""

    @property
    def takes(self) -> tuple[str, ...]:
        """What its arguments are."""

    @property
    def returns(self) -> str:
        """What its result is."""

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers of arguments that it can be called with."""

    @property
    def many(self) -> Callable[..., list[Any]] | None:
        """The function of many rows, of a list for each argument; None: there is none."""


class NativeSource:
    """What a table function gives: its columns, and their rows when they are asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._condition: pc.Expression | None = None
        #: What it says of columns that files have, where others have one value for each file.
        self._on_files: tuple[pc.Expression | None, ...] = ()
        #: Name, type, and type in SQL of each column.
        self.columns = tuple(map(_column, source.schema))
        self._nodes = tuple(map(logical_of_field, source.schema))
        #: How many rows there are; None: not known.
        self.rows = source.rows

    def open(self, wanted: Sequence[int]) -> Stream:
        """The rows with the columns whose indexes are ``wanted``; -1 stands for none."""
        indexes = sorted({index for index in wanted if index >= 0})
        order = [indexes.index(index) if index >= 0 else None for index in wanted]
        condition, filtered = self._condition, self._source.filtered
        batches = (
            self._source.batches(indexes)
            if condition is None or filtered is None
            else filtered(indexes, condition, *self._on_files)
        )
        nodes = [self._nodes[index] for index in indexes]
        return Stream(map(partial(_natively, nodes), batches) if any(nodes) else batches, order)

    def prune(self, conditions: Sequence[pushed_filters.Node | None]) -> None:
        """Take the conditions that a WHERE has on these rows; DuckDB applies them once more.

        It may say them again, and then those of before do not count.
        """
        schema, constant = conditions_schema(self._source.schema), self._source.constant_columns
        self._condition = pushed_filters.condition(conditions, schema)
        if constant:
            self._on_files = (pushed_filters.condition(conditions, schema, constant),)


class NativeFunction:
    """A table function: types of its arguments, (name, type) of those that are named, and what it gives."""

    def __init__(self, function: TableFunction) -> None:
        self.name = function.name
        self.positional = tuple(_NUMBERS[parameter.type] for parameter in function.positional)
        self.named = tuple((parameter.name, _NUMBERS[parameter.type]) for parameter in function.named)
        self._function = function

    def bind(self, *arguments: Any) -> NativeSource:
        """The source of a call; arguments as C passes them, see :func:`_value`."""
        return NativeSource(self._function.bind(*map(_value, arguments)))


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """A scalar function: the types of its arguments, as often as it can be called, and of what it returns.

    call: takes the number of rows and a list for each argument, and returns a list.
    """

    name: str
    overloads: tuple[tuple[int, ...], ...]
    returns: int
    call: Callable[..., list[Any]]
    #: Whether the same arguments may give something else the next time.
    is_volatile: bool = False


class Door:
    """What the extension registers with a database."""

    def __init__(self, scalars: Sequence[Scalar]) -> None:
        self.scalars = (*map(_scalar, scalars), _nearest())
        self.tables = tuple(map(NativeFunction, FUNCTIONS))
        #: Where the build for the release of DuckDB has registered the scan.
        self.other_tables = tuple(table for table in self.tables if table.name != "audiomem_scan")
        self.aggregates = (WritingFunction(),)
        self.settings = SETTINGS
        #: From DuckDB 1.5.6 on. Without FORMAT, COPY takes the one that is called like the file's extension.
        self.copies = tuple(map(CopyFunction, ("audiomem", "flac", "shards")))

    def is_table(self, name: str) -> bool:
        """Whether ``FROM 'name'`` is for audiomem_scan: a FLAC file that is not simply music.

        A damaged table is one: its error says more than DuckDB's, that there is no such table.
        """
        if not file_name(name).lower().endswith((".flac", ".shards")):
            return False
        if is_pattern(name):
            return any(True for _ in tables_of(name))
        try:
            open_table(name)
        except NotAudioMemoryError:
            return False
        except AudioMemError:
            return True
        return True


def scan_function() -> NativeFunction:
    """``audiomem_scan`` alone, for the build against the second interface of a release of DuckDB."""
    return next(NativeFunction(function) for function in FUNCTIONS if function.name == "audiomem_scan")


def attach_pragma() -> AttachPragma:
    """The pragma, for that build."""
    return AttachPragma()


def message(error: BaseException) -> str:
    """What DuckDB is told of an exception."""
    return codes.explained(error)[1]


# -- inside
# -----------------------------------------------------------------------------------------------------------


def _value(value: Any) -> Any:
    """An argument as the table functions take it.

    C passes None, int, str, lists of them, and of other types (type, text).
    """
    if isinstance(value, list):
        return [float(item[1]) if isinstance(item, tuple) else item for item in value]
    if isinstance(value, float):
        return str(value)
    if not isinstance(value, tuple):
        return value
    type_number, text = value
    if type_number in (LIST, ARRAY):
        return json.loads(text)
    if type_number == BLOB:
        return _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode("latin-1"))
    return text


def _column(field: pa.Field) -> tuple[str, vectors.Type, str]:
    """(name, type, type in SQL) of a column, as DuckDB is told of it."""
    described = described_field(field)
    return field.name, described, spelled(described)


def _natively(nodes: Sequence[Node | None], batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose logical columns are as DuckDB keeps them."""
    arrays = [
        array if node is None else native(node, stored_of(node, array))
        for node, array in zip(nodes, batch.columns, strict=False)
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[str(place) for place in range(len(arrays))])


def _scalar(function: Scalar) -> ScalarFunction:
    types = tuple(_SCALAR_NUMBERS[argument] for argument in function.takes)

    def call(rows: int, *columns: list[Any]) -> list[Any]:
        if function.many is not None:
            return function.many(*columns)
        return list(map(function.call, *columns)) if columns else [function.call() for _ in range(rows)]

    overloads = tuple(types[:count] for count in function.counts)
    return ScalarFunction(function.name, overloads, _SCALAR_NUMBERS[function.returns], call)


def _nearest() -> ScalarFunction:
    """``audiomem_nearest``, of vectors and of texts."""
    rest = (BIGINT, VARCHAR, VARCHAR)
    overloads = tuple(
        (VARCHAR, query, *rest[: count - 2])
        for query in (LIST, LIST | DOUBLE << 8, VARCHAR)
        for count in nearest.COUNTS
    )

    def call(rows: int, *columns: list[Any]) -> list[Any]:
        return nearest.of_lists(*columns)

    return ScalarFunction(nearest.NAME, overloads, STRUCT, call, is_volatile=True)
