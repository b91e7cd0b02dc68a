"""Scans: prune by zone maps, filter column by column, and decode the rest only where rows remain.

A scan yields batches. Rows come segment by segment, in rowid order inside each. While the consumer works on
one batch the next is decoded on another thread, from the second batch on: a LIMIT 1 costs one block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.selection import taken
from audiomem_sql.columns.stored_values import int64_view, integer_array
from audiomem_sql.columns.types import arrow_type
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.memory import out_of_memory
from audiomem_sql.observe import hooks
from audiomem_sql.scan.candidates import candidate_rows
from audiomem_sql.scan.filters import Filter, RowFilter
from audiomem_sql.scan.loaded_rows import LoadedRows
from audiomem_sql.scan.lost_rows import tell_lost_rows, tell_lost_values
from audiomem_sql.scan.passing_by import PassingBy
from audiomem_sql.scan.per_segment import PerSegment
from audiomem_sql.scan.read_ahead import Part, asked_ahead, decoded_ahead
from audiomem_sql.scan.readable import Readable, narrowed
from audiomem_sql.scan.spans import FILTER_ROWS, edges_of, rows_in, spans_of
from audiomem_sql.storage.segment import ROWID, ReadableSegment
from audiomem_sql.versions import SegmentView

#: Bytes of values in a batch, before NULLs and offsets; the first batch of a scan is smaller.
BATCH_BYTES = 1 << 20
FIRST_BATCH_BYTES = 128 << 10
#: Bytes of values, once decoded, that one step of a scan has in its hands, unless a row has more.
MOST_BYTES = 256 << 20
#: Known rows that are read at first.
FIRST_ROWS = 64


def scan(
    snapshot: Readable,
    columns: Sequence[int],
    filters: Sequence[Filter] = (),
    *,
    row_filter: RowFilter | None = None,
    descending: bool = False,
    skip: int = 0,
    ahead: int = 1,
    whole: bool = False,
    coded: Collection[int] = (),
) -> Iterator[Batch]:
    """The rows of ``snapshot`` that pass every filter, as batches of ``columns``; never an empty batch.

    row_filter: applied after ``filters``. descending: segments and rows in reverse. skip: rows to leave out
    at the start. ahead: stretches of rows that are decoded on other threads while the consumer is busy.
    whole: the consumer will take all rows, most likely: what is far is asked for earlier. coded: columns of
    texts to give as dictionary arrays with int32 codes.

    Raises DamagedFileError when a block that is needed does not match its checksum.
    """
    ranked = tuple(sorted(filters, key=lambda f: f.bound.cost))
    known = PerSegment(columns, ranked, BATCH_BYTES)
    work = _Work(tuple(columns), ranked, row_filter, descending, ahead, whole, frozenset(coded), known)
    if hooks.observer is None:
        return _scan(work, snapshot, skip)
    return hooks.each("scan", lambda: _scan(work, snapshot, skip), getattr(snapshot, "path", None))


def _scan(work: _Work, snapshot: Readable, skip: int) -> Iterator[Batch]:
    filters, row_filter = work.filters, work.row_filter
    for batch in work.batches(narrowed(snapshot, filters), skip if not filters and row_filter is None else 0):
        if isinstance(batch, int):
            skip -= batch
        elif skip >= len(batch):
            skip -= len(batch)
        elif skip:
            yield Batch(batch.rowids[skip:], tuple(array.slice(skip) for array in batch.arrays))
            skip = 0
        else:
            yield batch


def count_rows(
    snapshot: Readable, filters: Sequence[Filter] = (), row_filter: RowFilter | None = None
) -> int:
    """How many rows pass every filter; blocks whose zone maps tell are not decoded.

    Raises DamagedFileError as :func:`scan`.
    """
    ranked = tuple(sorted(filters, key=lambda f: f.bound.cost))
    work = _Work((), ranked, row_filter, False, 0, True, frozenset(), PerSegment((), ranked, BATCH_BYTES))
    return work.count(narrowed(snapshot, ranked))


def scan_rows(
    parts: Iterable[tuple[ReadableSegment, I64Array]], columns: Sequence[int], filters: Sequence[Filter] = ()
) -> Iterator[Batch]:
    """Those of known rows that pass every filter, as batches of ``columns``: few at first, then more.

    parts: segments, each with rows of it, ascending int64 (n,).
    Raises DamagedFileError as :func:`scan`.
    """
    ranked = tuple(sorted(filters, key=lambda f: f.bound.cost))
    known = PerSegment(columns, ranked, BATCH_BYTES)
    work = _Work(tuple(columns), ranked, None, False, 0, False, frozenset(), known)
    step = FIRST_ROWS
    for segment, rows in parts:
        most = rows_in(segment, (*(item.column for item in ranked), *columns), BATCH_BYTES)
        start = 0
        while start < len(rows):
            count = min(step, most)
            yield from work.chosen(segment, rows[start : start + count])
            start, step = start + count, 4 * count


@dataclass(frozen=True, slots=True)
class _Work:
    columns: tuple[int, ...]
    filters: tuple[Filter, ...]
    row_filter: RowFilter | None
    descending: bool
    ahead: int
    whole: bool
    coded: frozenset[int]
    known: PerSegment
    #: What is kept in the cache of what is tested, and of what is given.
    tested: PassingBy = field(default_factory=PassingBy)
    given: PassingBy = field(default_factory=PassingBy)

    def batches(self, readable: Readable, skip: int) -> Iterator[Batch | int]:
        """All batches.

        A segment that lies wholly within the first ``skip`` rows yields its number of rows instead.
        """
        if self.descending and readable.pending is not None:
            for batch in self._pending(readable.pending):
                skip = max(skip - len(batch), 0)
                yield batch
        views = [view for view in readable.views if view.live_rows]
        if self.descending:
            views.reverse()
        while views and 0 < views[0].live_rows <= skip:
            skip -= views[0].live_rows
            yield views.pop(0).live_rows
        self.tested.expect(views, (item.column for item in self.filters))
        self.given.expect(views, self.columns)
        # one after the other without a pause: the first rows of a segment are decoded behind the last before
        ahead = self.ahead if all(view.segment.limits.ahead for view in views) else 0
        yield from decoded_ahead(self.tasks(views), ahead)
        if not self.descending and readable.pending is not None:
            yield from self._pending(readable.pending)

    def count(self, readable: Readable) -> int:
        """How many rows pass."""
        views = [view for view in readable.views if view.live_rows]
        if self.row_filter is not None or any(_must_be_read(view.segment) for view in views):
            return sum(map(len, _scan(self, readable, 0)))
        total = 0 if readable.pending is None else sum(map(len, self._pending(readable.pending)))
        for view in views:
            for start, stop in self._part(view).spans:
                check_interrupt()
                if self.known.deciding(view.segment, start, stop):
                    total += sum(map(len, self.run(view, start, stop)))
                else:
                    low, high = np.searchsorted(view.deleted, [start, stop]).tolist()
                    total += stop - start - (high - low)
        return total

    def _pending(self, pending: Batch) -> Iterator[Batch]:
        """The rows of a transaction that pass."""

        def load(column: int) -> pa.Array:
            array = integer_array(pending.rowids) if column == ROWID else pending.arrays[column]
            return array if chosen is None else taken(array, chosen)

        chosen: I64Array | None = None
        for test in [*(item.passes for item in self.filters), self.row_filter]:
            if test is not None:
                passed = np.flatnonzero(test(load))
                chosen = passed if chosen is None else chosen[passed]
        rowids = pending.rowids if chosen is None else pending.rowids[chosen]
        if len(rowids):
            arrays = tuple(
                load(column).dictionary_encode() if column in self.coded else load(column)
                for column in self.columns
            )
            batch = Batch(rowids, arrays)
            yield batch.backwards() if self.descending else batch

    def tasks(self, views: Sequence[SegmentView]) -> Iterator[Callable[[], Iterable[Batch]]]:
        """One task for each stretch of rows that may hold a match."""
        parts = map(self._part, views)
        if not any(view.segment.file.is_far for view in views):
            for part in parts:
                yield from (partial(self.run, part.view, start, stop) for start, stop in part.spans)
            return
        for view, start, stop, wait in asked_ahead(parts, whole=self.whole):

            def task(
                view: SegmentView = view,
                start: int = start,
                stop: int = stop,
                wait: Callable[[], None] = wait,
            ) -> Iterable[Batch]:
                wait()
                return self.run(view, start, stop)

            yield task

    def _part(self, view: SegmentView) -> Part:
        """What is read of a segment."""
        segment = view.segment
        filtered = bool(self.filters) or self.row_filter is not None
        ahead = [f.column for f in self.filters] if filtered else list(self.columns)
        size = min(BATCH_BYTES, segment.limits.batch_bytes)
        rows = min(FILTER_ROWS, rows_in(segment, ahead, size * (3 if filtered else 1)))
        first = min(rows, rows_in(segment, self.columns, FIRST_BATCH_BYTES))
        edges = edges_of(segment, ahead)
        spans = spans_of(candidate_rows(segment, self.filters), first, rows, edges, self.descending)
        return Part(view, self.columns, ahead if filtered else None, spans)

    def run(self, view: SegmentView, start: int, stop: int) -> Iterable[Batch]:
        """The batches of rows start … stop - 1; those beyond ``MOST_BYTES`` as they are asked for.

        Those that are damaged beyond repair are left out, if that is wanted.
        """
        try:
            return self._run(view, start, stop)
        except DamagedFileError:
            if not view.segment.skip_damage:
                raise
            return self._readable(view, start, stop)
        except _TooLarge:
            return self._later(view, (start, (start + stop) // 2), ((start + stop) // 2, stop))
        except MemoryError:
            raise out_of_memory(view.segment.path) from None

    def _later(self, view: SegmentView, *stretches: tuple[int, int]) -> Iterator[Batch]:
        """The batches of stretches of rows, one after the other."""
        for low, high in reversed(stretches) if self.descending else stretches:
            yield from self.run(view, low, high)

    def _readable(self, view: SegmentView, start: int, stop: int) -> list[Batch]:
        """The batches of the rows whose blocks can all be read; of the others a warning."""
        segment = view.segment
        edges = {start, stop}
        for column in [*range(len(segment.schema)), ROWID]:
            directory = segment.directory(column)
            if directory is not None:
                directory = directory.across(start, stop)
                edges |= {edge for edge in directory.starts.tolist() if start < edge < stop}
        batches: list[Batch] = []
        for low, high in pairwise(sorted(edges)) if not self.descending else pairwise(sorted(edges)[::-1]):
            low, high = min(low, high), max(low, high)
            try:
                batches += self._run(view, low, high)
            except DamagedFileError as error:
                try:
                    batches += self._with_nulls(view, low, high)
                except DamagedFileError:
                    tell_lost_rows(segment, low, high, error)
        return batches

    def _with_nulls(self, view: SegmentView, start: int, stop: int) -> list[Batch]:
        """Rows start … stop - 1, of one block of each column, with NULL for what cannot be recovered.

        That is any column where NULLs are wanted, and else the vectors of texts only, which can be made anew.
        DamagedFileError for another column, if the rowids cannot be recovered either, or if a condition
        cannot be looked at.
        """
        segment = view.segment
        rowids = segment.slice(ROWID, start, stop)
        readable: dict[int, pa.Array] = {ROWID: rowids}
        for column in dict.fromkeys(self.columns):
            try:
                readable[column] = segment.slice(column, start, stop)
            except DamagedFileError as error:
                if not segment.null_damage and not segment.is_derived(column):
                    raise
                tell_lost_values(segment, column, start, stop, error)
                readable[column] = pa.nulls(stop - start, arrow_type(segment.column_type(column)))
        live = view.live(start, stop)
        chosen = np.arange(stop - start) if live is None else np.flatnonzero(live)

        def load(column: int) -> pa.Array:
            return segment.take(column, chosen + start)

        for test in [*(item.passes for item in self.filters), self.row_filter]:
            if test is not None and len(chosen):
                chosen = chosen[np.flatnonzero(test(load))]
        if not len(chosen):
            return []
        batch = Batch(
            np.asarray(rowids)[chosen], tuple(taken(readable[column], chosen) for column in self.columns)
        )
        return [batch.backwards() if self.descending else batch]

    def _run(self, view: SegmentView, start: int, stop: int) -> Iterable[Batch]:
        """The batches of rows start … stop - 1. _TooLarge where not even the first is small enough."""
        segment = view.segment
        live = view.live(start, stop)
        chosen = None if live is None else np.flatnonzero(live)
        loaded = LoadedRows(segment, start, stop, chosen, self.tested)
        for item in self.known.deciding(segment, start, stop):
            if not loaded.keep(item.bound.mask(loaded(item.column))):
                return []
        if self.row_filter is not None:
            loaded.keep(self.row_filter(loaded))
        rows = loaded.rows
        if not len(rows):
            return []
        pieces = range(0, len(rows), step := self.known.step(segment))
        batches: list[Batch] = []
        room = MOST_BYTES
        for at in reversed(pieces) if self.descending else pieces:
            part = rows[at : at + step]
            try:
                with self.given.reading(segment):
                    batches.append(self._batch(segment, part, room, loaded))
            except _TooLarge:
                if not batches:
                    raise
                rest = (start, int(part[-1]) + 1) if self.descending else (int(part[0]), stop)
                return chain(batches, self._later(view, rest))
            size = batches[-1].nbytes
            self.given.count(size)
            room -= size
        return batches

    def chosen(self, segment: ReadableSegment, rows: I64Array) -> Iterator[Batch]:
        """The batches of those of ``rows``, ascending, that pass."""
        check_interrupt()
        for item in self.filters:
            if len(rows):
                rows = rows[item.bound.mask(segment.take(item.column, rows))]
        if not len(rows):
            return
        try:
            yield self._batch(segment, rows, MOST_BYTES)
        except _TooLarge:
            half = len(rows) // 2
            yield from self.chosen(segment, rows[:half])
            yield from self.chosen(segment, rows[half:])
        except MemoryError:
            raise out_of_memory(segment.path) from None

    def _batch(
        self, segment: ReadableSegment, rows: I64Array, room: int, loaded: LoadedRows | None = None
    ) -> Batch:
        """The batch of ``rows``, ascending. _TooLarge for several that take more than ``room`` bytes.

        loaded: what was read of rows among which these are.
        """
        low, high = int(rows[0]), int(rows[-1]) + 1
        in_a_row = high - low == len(rows)
        arrays: list[pa.Array] = []
        segment.prefetch((ROWID, *self.columns), rows)
        take = segment.take if loaded is None else loaded.take
        for column in (ROWID, *self.columns):
            coded = column in self.coded
            if in_a_row:
                arrays.append(segment.slice(column, low, high, coded=coded))
            else:
                arrays.append(take(column, rows, coded=coded))
            room -= arrays[-1].nbytes
            if room < 0 and len(rows) > 1:
                raise _TooLarge
        batch = Batch(int64_view(arrays[0]), tuple(arrays[1:]))
        return batch.backwards() if self.descending else batch


def _must_be_read(segment: ReadableSegment) -> bool:
    """Whether rows are counted by reading them: lost ones are left out, and far ones asked for in windows."""
    return segment.skip_damage or segment.file.is_far


class _TooLarge(Exception):
    """Rows take more memory than one step of a scan may."""
