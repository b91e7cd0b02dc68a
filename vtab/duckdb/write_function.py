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

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import QueryError
from audiomem_sql.vtab.duckdb import vectors
from audiomem_sql.vtab.duckdb.writing import NewTable, option_values, write_batches

_ROW = "audiomem_write('x.flac', t) FROM t"


@dataclass(slots=True)
class _Group:
    path: str
    options: dict[str, Any]
    batches: list[pa.RecordBatch] = field(default_factory=list)


_groups: dict[int, _Group] = {}
_lock = threading.Lock()


class WritingFunction:
    """What C registers: the name, the types of its arguments, and what is done with the states."""

    name = "audiomem_write"
    overloads = ((vectors.VARCHAR, vectors.ANY), (vectors.VARCHAR, vectors.ANY, vectors.ANY))

    def update(
        self, states: bytes, rows: int, arguments: Sequence[tuple[vectors.Type, vectors.Vector]]
    ) -> None:
        """Take rows. arguments: path, row, options; a type and a vector each."""
        (_, paths), (row_type, row_vector), *more = arguments
        if row_type[0] != vectors.STRUCT:
            raise QueryError("audiomem_write takes a path and a row", remedy=f"Write: SELECT {_ROW}")
        named = vectors.array((vectors.VARCHAR,), paths, rows)
        given = vectors.array(row_type, row_vector, rows)
        options = [_options(vectors.array(*more[0], rows), more[0][0], rows)] if more else [{}]
        batch = pa.RecordBatch.from_arrays(given.flatten(), schema=pa.schema(list(given.type)))
        numbers, inverse = np.unique(np.frombuffer(states, "<u8"), return_inverse=True)
        for place, number in enumerate(numbers.tolist()):
            indexes = np.flatnonzero(inverse == place)
            self._add(number, named.take(pa.array(indexes)), options[0], _rows(batch, given, indexes))

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


def _written(group: _Group) -> int:
    options = dict(group.options)
    overwrite = bool(options.pop("overwrite", False))
    table = NewTable.of(group.batches[0].schema, options)
    return write_batches(table, group.path, group.batches, overwrite=overwrite)


def _numbers(states: bytes) -> list[int]:
    numbers: list[int] = np.frombuffer(states, "<u8").tolist()
    return numbers


def _rows(batch: pa.RecordBatch, given: pa.Array, indexes: I64Array) -> pa.RecordBatch:
    """The rows at ``indexes``, without those that are NULL as a whole."""
    if given.null_count:
        indexes = indexes[np.asarray(given.is_valid())[indexes]]
    return batch if len(indexes) == batch.num_rows else batch.take(pa.array(indexes))


def _check_path(group: _Group, path: str) -> None:
    if group.path != path:
        raise QueryError(
            f"the rows of a group go to one file, not to {[group.path, path]}",
            remedy="GROUP BY what the path is made of.",
        )


def _options(given: pa.Array, described: vectors.Type, rows: int) -> dict[str, Any]:
    """The options of a struct, {'primary_key': 'id'}."""
    if described[0] != vectors.STRUCT:
        raise QueryError("the options of audiomem_write are a STRUCT", remedy="Write: {'primary_key': 'id'}")
    values = given[0].as_py() if rows else None
    return option_values(list((values or {}).items()))
