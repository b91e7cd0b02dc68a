"""``audiomem_write(path, row)``, an aggregate function of DuckDB's loadable extension that writes a file.

A group of rows becomes a table. What is known of a group is kept here, by the number that is its state in
DuckDB. A state may be combined with others more than once, and is let go by :func:`discard`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array, U64Array
from audiomem_sql.errors import QueryError
from audiomem_sql.vtab.duckdb import vectors
from audiomem_sql.vtab.duckdb.given_values import field_of, values_of_rows
from audiomem_sql.vtab.duckdb.writing import NewTable, option_values, write_batches

_ROW = "audiomem_write('x.flac', t) FROM t"
#: What C tells of the states of rows: that of the first one, whether it may be the one of all of them, and
#: those of all, None if there are none. ``native/duckdb_write.c`` says why.
States = tuple[bytes, int, bytes | None]


@dataclass(slots=True)
class _Group:
    path: str
    options: dict[str, Any]
    batches: list[pa.RecordBatch] = field(default_factory=list)


_groups: dict[int, _Group] = {}
_lock = threading.Lock()


@dataclass(frozen=True)
class WritingMacro:
    """``CALL audiomem_write(query, path)``, a table macro around the aggregate function.

    DuckDB puts the query into the statement, which so sees temporary tables and the open transaction.
    """

    name: str = "audiomem_write"
    parameters: tuple[str, ...] = ("query", "path")
    #: Those that are NULL if they are not given.
    optional: tuple[str, ...] = ("options",)
    body: str = "SELECT audiomem_write(path, audiomem_row, options) AS rows FROM query(query) AS audiomem_row"

    @property
    def texts(self) -> tuple[str, str]:
        """Name and body, as C takes them."""
        return self.name, self.body

    def statement(self) -> str:
        """What makes the macro for one connection, where no interface of DuckDB lets an extension do it."""
        declared = [*self.parameters, *(f"{name} := NULL" for name in self.optional)]
        return f"CREATE OR REPLACE TEMP MACRO {self.name}({', '.join(declared)}) AS TABLE {self.body}"


WRITING_MACRO = WritingMacro()


class WritingFunction:
    """What C registers: the name, the types of its arguments, and what is done with the states."""

    name = "audiomem_write"
    overloads = ((vectors.VARCHAR, vectors.ANY), (vectors.VARCHAR, vectors.ANY, vectors.ANY))

    def update(
        self, states: States, rows: int, arguments: Sequence[tuple[vectors.Type, vectors.Vector]]
    ) -> None:
        """Take rows. arguments: path, row, options; a type and a vector each."""
        (_, paths), (row_type, row_vector), *more = arguments
        if row_type[0] != vectors.STRUCT:
            raise QueryError("audiomem_write takes a path and a row", remedy=f"Write: SELECT {_ROW}")
        named = vectors.array((vectors.VARCHAR,), paths, rows)
        arrays, there = values_of_rows(row_type, row_vector, rows)
        options = _options(*more[0], rows) if more else {}
        schema = pa.schema([field_of(name, described) for name, described in row_type[1]])
        batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
        numbers, inverse = np.unique(_state_of_each(states, named), return_inverse=True)
        for place, number in enumerate(numbers.tolist()):
            indexes = np.flatnonzero(inverse == place)
            self._add(number, named.take(pa.array(indexes)), options, _rows(batch, there, indexes))

    def combine(self, sources: bytes, targets: bytes) -> None:
        """Add the rows of each source to its target."""
        with _lock:
            for source, target in zip(_numbers(sources), _numbers(targets), strict=True):
                group = _groups.get(source)
                if group is None:
                    continue
                known = _groups.setdefault(target, _Group(group.path, group.options))
                _check_path(known, group.path)
                known.batches += group.batches

    def finish(self, states: bytes) -> list[int | None]:
        """Write the file of each group; the numbers of its rows, None for a group without rows."""
        counts: list[int | None] = []
        for number in _numbers(states):
            with _lock:
                group = _groups.get(number)
            counts.append(None if group is None else _written(group))
        return counts

    def _add(self, number: int, paths: pa.Array, options: dict[str, Any], batch: pa.RecordBatch) -> None:
        (path, *others) = paths.unique().to_pylist()
        if others or path is None:
            raise QueryError(
                f"the rows of a group go to one file, not to {paths.unique().to_pylist()[:2]}",
                remedy="GROUP BY what the path is made of.",
            )
        with _lock:
            group = _groups.setdefault(number, _Group(path, options))
            _check_path(group, path)
            group.batches.append(batch)


def discard(states: bytes) -> None:
    """Forget groups; called by C."""
    with _lock:
        for number in _numbers(states):
            _groups.pop(number, None)


# -- inside
# -----------------------------------------------------------------------------------------------------------


def _state_of_each(states: States, paths: pa.Array) -> U64Array:
    """The number of the state of each row."""
    first, may_be_of_all, numbers = states
    if numbers is None or (may_be_of_all and len(paths.unique()) == 1):
        return np.repeat(np.frombuffer(first, "<u8"), len(paths))
    return np.frombuffer(numbers, "<u8")


def _written(group: _Group) -> int:
    options = dict(group.options)
    overwrite = bool(options.pop("overwrite", False))
    table = NewTable.of(group.batches[0].schema, options, "overwrite")
    return write_batches(table, group.path, group.batches, overwrite=overwrite)


def _numbers(states: bytes) -> list[int]:
    numbers: list[int] = np.frombuffer(states, "<u8").tolist()
    return numbers


def _rows(batch: pa.RecordBatch, there: BoolArray, indexes: I64Array) -> pa.RecordBatch:
    """The rows at ``indexes``, without those that are NULL as a whole."""
    indexes = indexes[there[indexes]]
    return batch if len(indexes) == batch.num_rows else batch.take(pa.array(indexes))


def _check_path(group: _Group, path: str) -> None:
    if group.path != path:
        raise QueryError(
            f"the rows of a group go to one file, not to {[group.path, path]}",
            remedy="GROUP BY what the path is made of.",
        )


def _options(described: vectors.Type, vector: vectors.Vector, rows: int) -> dict[str, Any]:
    """The options of a struct, {'primary_key': 'id'}; NULL: none."""
    if described[0] == vectors.SQLNULL:
        return {}
    given = vectors.array(described, vector, rows)
    if given.null_count == rows:
        return {}
    if described[0] != vectors.STRUCT:
        raise QueryError("the options of audiomem_write are a STRUCT", remedy="Write: {'primary_key': 'id'}")
    return option_values(list((given[0].as_py() or {}).items()))
