"""The block directory of a column in two levels, for readers who fetch ranges of a large file from far away.

The catalog says of each group of blocks where they are, what they can contain, and where in the data stream
the *directory page* with the entries of these blocks is. Pages are read when a block of theirs is asked for.
Where a page cannot be read, the labels behind the blocks tell what was in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Protocol

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, distinct
from audiomem_sql.blocks.directory import BlockDirectory, stretches_of
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.segment.catalog import Extent
from audiomem_sql.storage.segment.directory_groups import Groups
from audiomem_sql.storage.segment.directory_page import unpack_page

#: Rows up to which blocks are fetched together with the pages that say where they are, and the most bytes of
#: a stretch that has such a block.
_FEW_ROWS = 4
_STRETCH_BYTES = 96 << 10
#: Groups whose pages are read ahead where rows are read in order.
_AHEAD = 64
_ARRAYS = tuple(field.name for field in fields(BlockDirectory))


class PageReader(Protocol):
    """What reads the data stream: :class:`~audiomem_sql.storage.segment.data_stream.DataStream`."""

    def prefetch(self, extents: Iterable[tuple[int, int]]) -> None:
        """Tell what will be read next."""

    def extent(self, extent: Extent) -> bytes:
        """The bytes of an extent, decompressed."""

    def lost_page(
        self, groups: Groups, group: int, column: int, error: DamagedFileError, *, labels: bool
    ) -> BlockDirectory:
        """What a page says that cannot be read because of ``error``, by labels or not at all."""

    def locate(self, error: DamagedFileError, extent: Extent) -> None:
        """Give ``error`` the place of ``extent``."""


class _Contradiction(DamagedFileError):
    """A page can be read, and the catalog says other things."""


class GroupedDirectory(BlockDirectory):
    """A block directory whose arrays come from pages.

    ``around``, ``across`` and ``among`` read what they need of them; an attribute that is asked for itself
    reads all. Safe to use from several threads.
    """

    __slots__ = ("_column", "_filled", "_lock", "_present", "_reader", "_starts", "_type", "groups")
    groups: Groups
    _column: int
    _filled: BlockDirectory | None
    _lock: threading.RLock
    _present: BoolArray
    _reader: PageReader | None
    _starts: I64Array
    _type: ColumnType

    def __init__(self, groups: Groups, column_type: ColumnType) -> None:
        for name, value in (
            ("groups", groups),
            ("_type", column_type),
            ("_starts", groups.starts),
            ("_present", np.zeros(len(groups), np.bool_)),
            ("_filled", None),
            ("_lock", threading.RLock()),
            ("_reader", None),
            ("_column", 0),
        ):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """An array that is not there yet: then all pages are read."""
        if name not in _ARRAYS:
            raise AttributeError(name)
        return getattr(self._with(np.arange(len(self.groups))), name)

    def bind(self, reader: PageReader, column: int) -> None:
        """Read pages with ``reader`` from now on. column: whose blocks these are."""
        object.__setattr__(self, "_reader", reader)
        object.__setattr__(self, "_column", column)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.groups.blocks

    @property
    def may_hold_nan(self) -> bool:
        """Whether the zone map of a group of reals leaves room for NaN."""
        return bool(self.groups.zones.with_nan.any())

    @property
    def stored_bytes(self) -> int:
        """Bytes of all blocks and pages."""
        return int(self.groups.stored.sum() + 2 * self.groups.pages[:, 2].sum())

    @property
    def raw_bytes(self) -> int:
        """Bytes of all blocks before compression."""
        return int(self.groups.raw.sum())

    @property
    def densest(self) -> float:
        """The most bytes for a row in one block."""
        return float(self.groups.densest.max(initial=0))

    def places(self) -> I64Array:
        """Offset and stored bytes of all blocks, pages and copies of pages, int64 (n, 2)."""
        return np.concatenate(
            [super().places(), *(np.stack(pair, axis=1) for pair in self.groups.page_places())]
        )

    def moved(self, finals: Callable[[I64Array], I64Array]) -> BlockDirectory:
        """The directory with other places for blocks and pages; no page may have been read."""
        groups = self.groups
        pages = np.column_stack([*(finals(places) for places, _ in groups.page_places()), groups.pages[:, 2]])
        return GroupedDirectory(replace(groups, offsets=finals(groups.offsets), pages=pages), self._type)

    def stretches(self) -> tuple[I64Array, list[tuple[I64Array, I64Array]]]:
        """See :meth:`BlockDirectory.stretches`; by groups where a page is not there."""
        groups = self.groups
        directory = self._with(np.arange(len(groups)))
        if not directory.of_labels:
            return directory.starts, [(directory.offsets, directory.stored)]
        return self._starts, [(groups.offsets, groups.lengths), groups.page_places()[0]]

    @property
    def edges(self) -> I64Array:
        """Where groups begin."""
        return self._starts

    def rows_encoded(self, encodings: Sequence[int]) -> tuple[int, int]:
        """See :meth:`BlockDirectory.rows_encoded`; by the first, the middle and the last group."""
        last = len(self.groups) - 1
        chosen = distinct(np.array([0, last // 2, last]))
        directory = self._with(chosen)
        numbers = np.concatenate([np.arange(*self.groups.numbers(group)) for group in chosen.tolist()])
        rows = directory.zones.rows[numbers]
        return int(rows[np.isin(directory.encodings[numbers], encodings)].sum()), int(rows.sum())

    def none(self) -> BlockDirectory:
        """A directory without blocks."""
        nothing = np.zeros(0, np.int64)
        zones = self.groups.zones.take(nothing)
        return BlockDirectory(np.zeros(1, np.int64), nothing, nothing, nothing, np.zeros(0, np.uint8), zones)

    def around(self, rows: I64Array | Sequence[int]) -> BlockDirectory:
        """A directory that is right where it speaks of ``rows``."""
        filled = self._filled
        if filled is not None and len(rows) == 1:  # most of the time of a lookup of one row
            group = int(self._starts.searchsorted(rows[0], side="right")) - 1
            if 0 <= group < len(self._present) and self._present[group]:
                return filled
        return self._with(self._groups_of(rows))

    def across(self, start: int, stop: int) -> BlockDirectory:
        """A directory that is right from row ``start`` to ``stop`` - 1."""
        if stop <= start:
            return self._with(np.empty(0, np.int64))
        first, last = self._starts.searchsorted([start, stop - 1], side="right").tolist()
        if self._filled is not None and self._present[first - 1 : last].all():
            return self._filled
        return self._with(np.arange(first - 1, last))

    def among(self, numbers: Sequence[int]) -> BlockDirectory:
        """A directory that is right for the blocks ``numbers``."""
        filled = self._filled
        if filled is not None and len(numbers) == 1 and self._present[numbers[0] // self.groups.size]:
            return filled
        return self._with(distinct(np.asarray(numbers, np.int64) // self.groups.size))

    def find(self, row: int) -> int:
        """The block that holds ``row``."""
        return self.around([row]).find(row)

    def span(self, start: int, stop: int) -> range:
        """The blocks that hold rows start … stop - 1."""
        return self.across(start, stop).span(start, stop)

    def passing(self, keeps: Callable[[Zones], Any]) -> I64Array | None:
        """See :meth:`BlockDirectory.passing`; only pages of groups that can have such rows are read.

        None is read of a column of which a page says no more than the catalog.
        """
        groups = self.groups
        kept = keeps(groups.zones)
        keep = np.repeat(kept, groups.counts)
        if groups.zones.low is None or groups.zones.is_open:
            return stretches_of(keep, self._first_rows())
        directory = self._with(np.flatnonzero(kept))
        numbers = np.flatnonzero(keep)
        keep[numbers] = keeps(directory.zones.take(numbers))
        for number in directory.lost:
            keep[number] = kept[number // groups.size]
        return stretches_of(keep, directory.starts)

    def expected(self, rows: I64Array | Sequence[int]) -> list[tuple[int, int]]:
        """What to ask for before blocks of ``rows`` are read, (place, bytes): pages that are missing.

        Of a few rows also the stretches in which their blocks are.
        """
        groups = self.groups
        missing = self._missing(self._groups_of(rows))
        wanted = self._pages_of(missing)
        for row in map(int, rows) if missing and len(rows) <= _FEW_ROWS else ():
            group = int(np.searchsorted(self._starts, row, side="right")) - 1
            if not self._present[group]:
                stretch = groups.stretch(group, row - int(self._starts[group]))
                if 0 < stretch[1] <= _STRETCH_BYTES:
                    wanted.append(stretch)
        return wanted

    def _missing(self, groups: I64Array) -> list[int]:
        """Those of ``groups`` whose page was not read; where that of the one before was, some behind, too."""
        missing: list[int] = groups[~self._present[groups]].tolist()
        if missing and missing[0] and self._present[missing[0] - 1]:
            behind = np.arange(missing[-1] + 1, min(missing[-1] + 1 + _AHEAD, len(self.groups)))
            missing += behind[~self._present[behind]].tolist()
        return missing

    def _pages_of(self, groups: Sequence[int]) -> list[tuple[int, int]]:
        """Places and stored bytes of the pages of ``groups``."""
        extents = (self.groups.page(group, self._type)[0] for group in groups)
        return [(extent.offset, extent.stored) for extent in extents]

    def _groups_of(self, rows: I64Array | Sequence[int]) -> I64Array:
        found = np.searchsorted(self._starts, np.asarray(rows, np.int64), side="right") - 1
        return distinct(np.clip(found, 0, max(len(self._starts) - 2, 0)))

    def _with(self, groups: I64Array) -> BlockDirectory:
        """A directory that is right where it speaks of ``groups``."""
        if self._filled is not None and self._present[groups].all():
            return self._filled
        with self._lock:
            if self._filled is None:
                object.__setattr__(self, "_filled", self._empty())
            filled, reader = self._filled, self._reader
            assert filled is not None
            missing = self._missing(groups)
            if missing:
                assert reader is not None
                reader.prefetch(self._pages_of(missing))
                for group in missing:
                    self._fill(group, filled, reader)
            return filled

    def _fill(self, group: int, filled: BlockDirectory, reader: PageReader) -> None:
        """Put the entries of a group where they belong."""
        groups = self.groups
        first, stop = groups.numbers(group)
        extent, copy = groups.page(group, self._type)
        try:
            part = self._read_page(group, extent, reader)
        except DamagedFileError as error:
            try:
                part = self._read_page(group, copy, reader)
            except DamagedFileError as second:
                known = not isinstance(second, _Contradiction)  # what the groups have
                part = reader.lost_page(groups, group, self._column, error, labels=known)
        filled.starts[first:stop] = part.starts[:-1] + self._starts[group]
        filled.offsets[first:stop] = part.offsets + groups.offsets[group]
        for name in ("stored", "raw", "encodings"):
            getattr(filled, name)[first:stop] = getattr(part, name)
        for name in ("rows", "nulls", "low", "high"):
            if (values := getattr(filled.zones, name)) is not None:
                values[first:stop] = getattr(part.zones, name)
        filled.lost.update((first + number, reason) for number, reason in part.lost.items())
        filled.of_labels.update(first + number for number in part.of_labels)
        self._present[group] = True

    def _read_page(self, group: int, extent: Extent, reader: PageReader) -> BlockDirectory:
        """What a page of a group says. DamagedFileError if it is lost, or not what the catalog says."""
        groups = self.groups
        first, stop = groups.numbers(group)
        data = reader.extent(extent)
        try:
            try:
                part = unpack_page(data, stop - first, self._type, int(groups.zones.rows[group]))
            except DamagedFileError as error:
                raise _Contradiction(error.what) from None
            if not groups.says(group, part):
                raise _Contradiction("the catalog and a page of a block directory contradict each other")
        except DamagedFileError as error:
            reader.locate(error, extent)
            raise
        return part

    def _empty(self) -> BlockDirectory:
        """Arrays in which no page was filled in: of those, all blocks begin with the group's first row."""
        groups, blocks = self.groups, self.groups.blocks
        low, high = (
            None if bound is None else np.zeros(blocks, bound.dtype)
            for bound in (groups.zones.low, groups.zones.high)
        )
        offsets, stored, raw, rows, nulls = (np.zeros(blocks, np.int64) for _ in range(5))
        encodings = np.zeros(blocks, np.uint8)
        zones = Zones(rows, nulls, low, high)
        return BlockDirectory(self._first_rows(), offsets, stored, raw, encodings, zones)

    def _first_rows(self) -> I64Array:
        """The first row of the group of each block, then the number of rows, int64 (n + 1,)."""
        return np.append(np.repeat(self._starts[:-1], self.groups.counts), self._starts[-1])

    def to_catalog(self) -> dict[str, Any]:
        """A map with one key, the groups."""
        return {"groups": self.groups.pack()}

    @classmethod
    def from_catalog(
        cls, entry: Mapping[str, Any], column_type: ColumnType, rows: int, data_bytes: int
    ) -> BlockDirectory:
        """The inverse; what pages say is checked when they are read."""
        return cls(Groups.unpack(entry["groups"], column_type, rows, data_bytes), column_type)
