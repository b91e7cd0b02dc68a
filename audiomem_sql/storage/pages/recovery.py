"""Brings back the cells of a protected segment that do not match their CRC-32C.

What costs least comes first: the page of a cell through the inner code; the same with the failing cells
declared lost, if they are few; the groups of what is still missing through the outer code; and the same once
more after every page of those groups went through the inner code. A cell from the inner code has its CRC to
prove it; one from the outer code was computed from cells that have, and from more of them than needed.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array, distinct
from audiomem_sql.audio import PageSource
from audiomem_sql.observe import hooks
from audiomem_sql.storage.pages.segment_map import CellStarts, SegmentMap
from audiomem_sql.storage.pages.shared_pages import SharedPages

#: Cells of a page that may be declared lost to the inner code: more are more than a codeword can bear.
ERASED_CELLS = 3
#: Groups that are solved in one reading of the file, and pages read at once.
GROUPS_AT_ONCE = 16
_PAGES_AT_ONCE = 64
#: Pages of a segment for each that is there, beyond which the outer code, which adds a third at most, is not
#: asked.
MOST_PER_PRESENT = 4
#: Bytes of recovered cells that are remembered.
CACHE_BYTES = 64 << 20


@dataclass(slots=True)
class Corrections:
    """What was repaired since the file was opened: cells by the inner code, and by the outer.

    ``failed``: neither could.
    """

    inner: int = 0
    outer: int = 0
    failed: int = 0


@dataclass(slots=True)
class Recovered:
    """payload: uint8 (n, size).

    There: bool (n,), False where it could not be recovered; outer: bool (n,), by which code.
    """

    payload: U8Array
    there: BoolArray
    outer: BoolArray


@dataclass(slots=True)
class _Known:
    """Cells that were recovered, by number, the least recently used first."""

    limit: int
    cells: OrderedDict[int, tuple[bytes, bool]] = field(default_factory=OrderedDict)

    def get(self, cell: int) -> tuple[bytes, bool] | None:
        payload = self.cells.get(cell)
        if payload is not None:
            self.cells.move_to_end(cell)
        return payload

    def put(self, cell: int, payload: bytes, outer: bool) -> None:
        self.cells[cell] = payload, outer
        while len(self.cells) > self.limit:
            self.cells.popitem(last=False)


class Recovery:
    """Of one segment. Safe to use from several threads; one at a time recovers."""

    def __init__(self, shared: SharedPages, pages: SegmentMap, starts: CellStarts, first: int = 0) -> None:
        """Of the segment whose page 0 is page ``first`` of the file."""
        self.corrections = Corrections()
        self._shared = shared
        self._generation = shared.generation
        self._pages = pages
        self._layout = pages.layout
        self._starts = starts
        self._first = first
        self._lock = threading.RLock()
        self._known = _Known(max(1024, CACHE_BYTES // self._layout.cell_payload))
        self._hopeless: set[int] = set()

    @property
    def _source(self) -> PageSource:
        return self._shared.source

    @property
    def _moved(self) -> bool:
        return not self._source.in_place

    @property
    def is_in_proportion(self) -> bool:
        """Whether so many pages are there that the outer code may bring back others."""
        return self._pages.total <= MOST_PER_PRESENT * max(1, self._source.present)

    def cells(self, wanted: Sequence[int] | I64Array) -> Recovered:
        """The payload of cells, by their numbers in the segment, that failed their CRC."""
        numbers = [int(cell) for cell in wanted]
        recovered: dict[int, tuple[bytes, bool]] = {}
        with self._lock:
            before = replace(self.corrections)
            if self._generation != self._shared.generation:
                self._generation = self._shared.generation
                self._hopeless.clear()
            for cell in numbers:
                known = self._known.get(cell)
                if known is not None:
                    recovered[cell] = known
            missing = [cell for cell in numbers if cell not in recovered and cell not in self._hopeless]
            for group in self._batches(missing):
                self._by_pages({cell // self._layout.cells for cell in group}, recovered)
                unsolved = [cell for cell in group if cell not in recovered]
                if unsolved:
                    self._by_groups(unsolved, recovered)
                self._hopeless.update(cell for cell in unsolved if cell not in recovered)
            failed = [cell for cell in numbers if cell not in recovered]
            self.corrections.failed += len([cell for cell in missing if cell not in recovered])
            self._tell(before)
        size = self._layout.cell_payload
        payload = np.zeros((len(numbers), size), np.uint8)
        for row, cell in enumerate(numbers):
            if cell in recovered:
                payload[row] = np.frombuffer(recovered[cell][0], np.uint8)
        there = np.array([cell in recovered for cell in numbers], bool)
        outer = np.array([cell in recovered and recovered[cell][1] for cell in numbers], bool)
        assert len(failed) == int((~there).sum())
        return Recovered(payload, there, outer)

    def _tell(self, before: Corrections) -> None:
        now = self.corrections
        if now != before:
            hooks.corrected(self._source.path, "page", now.inner - before.inner)
            lost = now.failed - before.failed
            hooks.corrected(self._source.path, "parity", now.outer - before.outer, lost)

    def _batches(self, cells: Sequence[int]) -> Iterator[list[int]]:
        """The cells, some pages' worth at a time."""
        step = _PAGES_AT_ONCE * self._layout.cells
        for start in range(0, len(cells), step):
            yield list(cells[start : start + step])

    # -- the inner code

    def _by_pages(self, pages: set[int], recovered: dict[int, tuple[bytes, bool]]) -> None:
        """Put what the inner code brings back of ``pages`` into ``found``."""
        for page in sorted(pages):
            content, _ = self._source.read_checked(self._first + page, 1)
            for cell, payload in self._corrected(page, content).items():
                self._remember(cell, payload, recovered, outer=False)

    def _corrected(self, page: int, content: U8Array) -> dict[int, bytes]:
        """The cells of a page that fail their CRC and pass it after the inner code, by number."""
        code = self._layout.code
        assert code is not None
        if page > self._source.present:  # a part of the page at ``present`` may be there
            return {}
        _, intact = self._decode(self._layout.cells_of(content), page)
        other = self._read_otherwise(page, intact)
        if other:
            return other
        body = self._layout.body(content)
        if intact.all():
            return {}
        doubtful = self._source.doubtful(self._first + page)[self._layout.header_bytes :]
        if doubtful.any():  # where the sound itself tells, the code corrects twice as much
            return self._passing(code.decode(body, doubtful[None]).data, page, intact)
        if not code.worth_decoding(body)[0]:
            return {}
        corrected = self._passing(code.decode(body).data, page, intact)
        bad = np.flatnonzero(~intact)
        if len(corrected) < len(bad) <= ERASED_CELLS:
            erased = np.zeros(body.shape, bool)
            size = self._layout.level.cell_bytes
            for cell in bad.tolist():
                erased[0, cell * size : (cell + 1) * size] = True
            corrected |= self._passing(code.decode(body, erased).data, page, intact)
        return corrected

    def _read_otherwise(self, page: int, intact: BoolArray) -> dict[int, bytes]:
        """The cells of a page that pass their CRC when its bytes are taken from another place.

        See ``PageSource.alternatives``.
        """
        cells: dict[int, bytes] = {}
        for reading in self._source.alternatives(self._first + page):
            cells |= self._passing(self._layout.cells_of(reading[np.newaxis]), page, intact)
        return cells

    def _passing(self, data: U8Array, page: int, before: BoolArray) -> dict[int, bytes]:
        cells = np.ascontiguousarray(data).reshape(-1, self._layout.level.cell_bytes)[: self._layout.cells]
        payload, intact = self._decode(cells, page)
        first = page * self._layout.cells
        return {first + int(i): payload[i].tobytes() for i in np.flatnonzero(intact & ~before)}

    def _decode(self, cells: U8Array, page: int) -> tuple[U8Array, BoolArray]:
        return self._layout.level.cells.decode(cells, self._starts.seed(page), page * self._layout.cells)

    # -- the outer code

    def _by_groups(self, cells: Sequence[int], recovered: dict[int, tuple[bytes, bool]]) -> None:
        """Put what the outer code brings back of the groups of ``cells`` into ``found``."""
        if not self.is_in_proportion:
            return  # what page headers count may be a lie; so many pages cannot be solved for
        groups = sorted({self._pages.group_of(cell) for cell in cells})
        for start in range(0, len(groups), GROUPS_AT_ONCE):
            some = groups[start : start + GROUPS_AT_ONCE]
            unsolved = self._solve(some, cells, recovered, corrected=False)
            if unsolved:
                self._solve(unsolved, cells, recovered, corrected=True)

    def _solve(
        self,
        groups: Sequence[int],
        wanted: Sequence[int],
        recovered: dict[int, tuple[bytes, bool]],
        *,
        corrected: bool,
    ) -> list[int]:
        """Solve ``groups``; those that have cells missing all the same.

        corrected: pages with failing cells go through the inner code first.
        """
        numbers = {group: self._pages.cells_of_group(group) for group in groups}
        size = self._layout.cell_payload
        cells = {group: np.zeros((len(own), size), np.uint8) for group, own in numbers.items()}
        present = {group: np.zeros(len(own), bool) for group, own in numbers.items()}
        self._collect(numbers, cells, present, corrected=corrected)
        unsolved = []
        for group in groups:
            for row in np.flatnonzero(np.isin(numbers[group], wanted) & present[group]).tolist():
                # read again, it passes: it did not come from a place that is damaged, but was read wrongly
                # before
                self._remember(int(numbers[group][row]), cells[group][row].tobytes(), recovered, outer=False)
            lost = np.flatnonzero(~present[group])
            for row in lost.tolist():
                known = self._known.get(int(numbers[group][row]))
                if known is not None:
                    cells[group][row] = np.frombuffer(known[0], np.uint8)
                    present[group][row] = True
            whole, now = self._pages.plan.recover(group, cells[group], present[group])
            for row in lost.tolist():
                if now[row]:
                    self._remember(int(numbers[group][row]), whole[row].tobytes(), recovered, outer=True)
            if not now.all():
                unsolved.append(group)
                if corrected:  # nothing more can be done for any of its cells
                    self._hopeless.update(numbers[group][~now].tolist())
        return unsolved

    def _collect(
        self,
        numbers: dict[int, I64Array],
        cells: dict[int, U8Array],
        present: dict[int, BoolArray],
        *,
        corrected: bool,
    ) -> None:
        """Read the cells of groups; each page once."""
        per_page = self._layout.cells
        wanted = np.concatenate(list(numbers.values()))
        group_of = np.repeat(np.arange(len(numbers)), [len(own) for own in numbers.values()])
        row_of = np.concatenate([np.arange(len(own)) for own in numbers.values()])
        order = np.argsort(wanted, kind="stable")
        wanted, group_of, row_of = wanted[order], group_of[order], row_of[order]
        targets = list(numbers)
        pages = wanted // per_page
        for first, count in _runs(distinct(pages)):
            low, high = np.searchsorted(pages, [first, first + count])
            content, _ = self._source.read_checked(self._first + first, count)
            own = self._layout.cells_of(content)
            places = wanted[low:high] - first * per_page
            payload, intact = self._check(own, places, first)
            if not intact.all() and (corrected or self._moved):
                for page in distinct(places[~intact] // per_page).tolist():
                    fixed = self._corrected(first + page, content[page : page + 1])
                    for at in np.flatnonzero((places // per_page == page) & ~intact).tolist():
                        cell = fixed.get(int(wanted[low + at]))
                        if cell is not None:
                            payload[at], intact[at] = np.frombuffer(cell, np.uint8), True
            for at in np.flatnonzero(intact).tolist():
                group = targets[group_of[low + at]]
                cells[group][row_of[low + at]] = payload[at]
                present[group][row_of[low + at]] = True

    def _check(self, cells: U8Array, places: I64Array, first: int) -> tuple[U8Array, BoolArray]:
        """Payload and intactness of the cells at ``places``, counted from page ``first``."""
        codec, start = self._layout.level.cells, first * self._layout.cells
        if len(places) == len(cells) and self._starts.is_one(first, first + len(cells) // self._layout.cells):
            return codec.decode(cells, self._starts.seed(first), start)
        numbers = places + start
        return codec.decode_each(cells[places], 0, numbers + self._starts.seeds(numbers))

    def _remember(
        self, cell: int, payload: bytes, recovered: dict[int, tuple[bytes, bool]], *, outer: bool
    ) -> None:
        if cell in recovered:
            return
        recovered[cell] = payload, outer
        self._known.put(cell, payload, outer)
        if outer:
            self.corrections.outer += 1
        else:
            self.corrections.inner += 1


def _runs(pages: I64Array) -> Iterator[tuple[int, int]]:
    """(first, count) of stretches of neighbouring pages, none too long to read at once.

    Pages: int64 (n,), ascending.
    """
    if not len(pages):
        return
    breaks = np.flatnonzero(np.diff(pages) != 1) + 1
    for run in np.split(pages, breaks):
        for start in range(0, len(run), _PAGES_AT_ONCE):
            part = run[start : start + _PAGES_AT_ONCE]
            yield int(part[0]), len(part)
