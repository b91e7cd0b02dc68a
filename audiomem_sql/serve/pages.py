"""Rows of a snapshot in the order of their rowids, from one on, decoded as they are asked for."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import InFile, QueryError
from audiomem_sql.predicates import ROWID, Op, Predicate, bind
from audiomem_sql.scan import Filter, RowFilter, fetch_rows, filters_of_text, scan
from audiomem_sql.serve.values import json_values
from audiomem_sql.table.reader import TableReader

#: Rows that are fetched at once where rowids had to be sorted first.
_FETCHED = 2048
_LAST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: behind ``rowid``, in ``version``, so that all pages are of one snapshot."""

    version: int
    rowid: int

    def text(self) -> str:
        """As clients get it."""
        return base64.urlsafe_b64encode(json.dumps([self.version, self.rowid]).encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """The cursor that ``text`` is; QueryError for what is none."""
        try:
            version, rowid = json.loads(
                base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
            )
        except (ValueError, TypeError, binascii.Error, RecursionError):
            version = rowid = None
        if type(version) is not int or type(rowid) is not int or not -_LAST <= rowid <= _LAST or version < 0:
            raise QueryError("this is no cursor", remedy="Pass what `next` of the page before said.")
        return cls(version, rowid)


def row_of(reader: TableReader, columns: Sequence[str] | None, rowid: int) -> dict[str, Any] | None:
    """The row with a rowid, by column name, its values as JSON has them; None if there is none."""
    visible = reader.schema
    with InFile(reader.path):
        names = visible.names if columns is None else columns
        numbers = [visible.index(name) for name in names]
        if not -_LAST - 1 <= rowid <= _LAST:
            return None
        readable, arrays = fetch_rows(reader.readable, np.array([rowid], np.int64), numbers)
        if not readable[0]:
            return None
        return {
            visible.columns[number].name: json_values(array, visible.columns[number].type)[0]
            for number, array in zip(numbers, arrays, strict=True)
        }


class Page:
    """The rows behind ``after``, None for the first, at most ``limit``, of those that pass ``where``.

    columns: names, None for all. Iterating gives record batches; ``last`` is then the rowid of the last row
    that was given, and ``more`` whether there are rows behind it. What is wrong is raised here.
    """

    def __init__(
        self,
        reader: TableReader,
        columns: Sequence[str] | None,
        where: str | None,
        parameters: Sequence[Any],
        after: int | None,
        limit: int,
    ) -> None:
        visible = reader.schema
        with InFile(reader.path):
            filters, self._row_filter = filters_of_text(where, parameters, visible)
            names = list(visible.names) if columns is None else list(columns)
            self._numbers = [visible.index(name) for name in names]
        arrow = visible.to_arrow()
        whole = columns is None
        self.schema = pa.schema(
            [arrow.field(number) for number in self._numbers], arrow.metadata if whole else None
        )
        self.types = [visible.columns[number].type for number in self._numbers]
        self._filters = filters if after is None else [_behind(after), *filters]
        self._snapshot = reader.readable
        self._limit = limit
        self.last: int | None = None
        self.more = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        left = self._limit
        for rowids, arrays in self._batches():
            if len(rowids) > left:
                self.more = True
                rowids, arrays = rowids[:left], [array.slice(0, left) for array in arrays]
            left -= len(rowids)
            if len(rowids):
                self.last = int(rowids[-1])
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)
            if self.more:
                return

    def _batches(self) -> Iterator[tuple[I64Array, list[pa.Array]]]:
        filters: list[Filter] = self._filters
        row_filter: RowFilter | None = self._row_filter
        if self._snapshot.ordered:
            for batch in scan(self._snapshot, self._numbers, filters, row_filter=row_filter):
                yield batch.rowids, list(batch.arrays)
            return
        chosen = _first_rowids(scan(self._snapshot, (), filters, row_filter=row_filter), self._limit + 1)
        for start in range(0, len(chosen), _FETCHED):
            rowids = chosen[start : start + _FETCHED]
            readable, arrays = fetch_rows(self._snapshot, rowids, self._numbers)
            yield rowids[readable], arrays


def _behind(rowid: int) -> Filter:
    return Filter(ROWID, bind(Predicate(ROWID, Op.GT, rowid), ColumnType(Kind.INTEGER), literal=True))


def _first_rowids(batches: Iterator[Any], count: int) -> I64Array:
    """The ``count`` least rowids, ascending; no more than twice as many are held."""
    held = np.empty(0, np.int64)
    waiting: list[I64Array] = []
    size = 0
    for batch in batches:
        waiting.append(batch.rowids)
        size += len(batch.rowids)
        if size > count:
            held, waiting, size = np.sort(np.concatenate([held, *waiting]))[:count], [], 0
    return np.sort(np.concatenate([held, *waiting]))[:count]
