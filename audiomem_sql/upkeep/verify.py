"""Looks at every cell of every file of a table, and at what the blocks say, and reports every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from audiomem_sql.blocks.bloom import hash_array
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.errors import AudioMemError, DamagedFileError, StorageError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.storage.pages import PageDamage, foreign_at
from audiomem_sql.storage.segment import (
    CREATED,
    ENDED,
    ROWID,
    ReadableSegment,
    check_copies,
    check_data,
    check_places,
)
from audiomem_sql.upkeep.file_faults import file_faults, folder_faults
from audiomem_sql.upkeep.log_faults import log_faults
from audiomem_sql.upkeep.repair import Loss, losses
from audiomem_sql.upkeep.sharded_faults import sharded_faults
from audiomem_sql.versions import SegmentView, Snapshot, TableFiles, segment_sources
from audiomem_sql.warn_once import warn_once
from audiomem_sql.writing.unique_keys import combined_hashes

#: Rowids that are compared at once.
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault: the file, the page and the damaged cells in it, as far as it has them, and what it is.

    repair: what brings the cells back, ``page`` (the parity in their page), ``parity`` (other cells of the
    file) or, in a file without protection, ``band`` (the code of a frequency band); None if nothing does,
    ``file`` if no cell is concerned and writing the file again is enough. shard: the number of that of a
    sharded table whose file it is.
    """

    file: str
    page: int | None
    cells: tuple[int, ...]
    what: str
    repair: str | None = None
    shard: int | None = None

    def __str__(self) -> str:
        shard = "" if self.shard is None else f"shard {self.shard}: "
        place = "" if self.page is None else f"page {self.page}: "
        return f"{self.file}: {shard}{place}{self.what}"


class Verifiable(Protocol):
    """What ``problems`` reads of a table."""

    @property
    def snapshot(self) -> Snapshot:
        """The segments and the log."""
        ...

    @property
    def files(self) -> TableFiles:
        """The paths of the files."""
        ...


def problems(table: Verifiable, progress: Progress | None = None) -> Iterator[Problem]:
    """Every fault in the files of ``table``, in the order of the files.

    The log, which has no pages, comes last. progress: called with pages looked at and pages in all; a page is
    looked at twice, for its bytes and for its meaning, and counts a half each time.
    """
    if isinstance(table.snapshot, ShardedSnapshot):
        yield from _sharded(table.snapshot, progress)
        return
    old = table.snapshot.tried_old()
    segments = [*(each for each in old if not isinstance(each, AudioMemError)), *table.snapshot.segments]
    total = sum(segment.file.page_count for segment in segments)
    done, whole = 0, True

    def report(pages: float) -> None:
        if progress is not None:
            progress(int(done + pages), total)

    for page, fault, repair in file_faults(table.snapshot.table_file):
        yield Problem(table.files.base, page, (), fault, repair)
    yield from _unopened(old, table.files.base)
    for segment in segments:
        intact = True
        for problem in _pages(segment, report):
            intact = intact and problem.repair is not None
            yield problem
        if intact:
            for fault in _contents(segment, report):
                intact = False
                yield Problem(segment.path, None, (), fault)
        whole = whole and intact
        done += segment.file.page_count
        report(0)
    if whole:
        yield from _shared_rowids(table.snapshot)
    yield from _missing(table)
    for path, fault, repair in folder_faults(table.snapshot, table.files):
        yield Problem(path, None, (), fault, repair)
    for fault, repair in log_faults(table.snapshot, table.files, whole=whole):
        yield Problem(table.files.log, None, (), fault, repair)


def _unopened(tried: Iterable[ReadableSegment | AudioMemError], base: str) -> Iterator[Problem]:
    """What keeps segments of old versions from being read; of an archived one a warning says so."""
    for error in tried:
        if not isinstance(error, AudioMemError):
            continue
        from audiomem_sql.remote import ArchivedError

        name = error.file or base
        if isinstance(error, ArchivedError):
            warn_once(("archived", name), f"{name} is archived, and was not looked at")
        else:
            yield Problem(name, None, (), error.what)


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard as a table of its own."""

    snapshot: Snapshot
    files: TableFiles


def _sharded(snapshot: ShardedSnapshot, progress: Progress | None) -> Iterator[Problem]:
    """Every fault of a sharded table: those of its shards, then those of the whole."""
    tried = snapshot.tried()
    counts = [0 if isinstance(shard, AudioMemError) else _pages_of(shard) for shard in tried]
    sound = set(range(len(tried)))
    for number, shard in enumerate(tried):
        before = sum(counts[:number])

        def report(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, sum(counts))

        for problem in _of_shard(shard, snapshot.shard_files[number].files, number, report):
            if problem.repair is None:
                sound.discard(number)
            yield replace(problem, shard=number)
    for path, fault, repair in sharded_faults(snapshot, sorted(sound)):
        yield Problem(path, None, (), fault, repair)


def _pages_of(snapshot: Snapshot) -> int:
    return sum(segment.file.page_count for segment in snapshot.segments)


def _of_shard(
    shard: Snapshot | AudioMemError, files: TableFiles, number: int, report: Progress
) -> Iterator[Problem]:
    """Every fault of a shard. What keeps it from being read is one, too."""
    error = shard if isinstance(shard, AudioMemError) else None
    if not isinstance(shard, AudioMemError):
        try:
            yield from problems(_Shard(shard, files), report)
        except (DamagedFileError, StorageError) as fault:
            error = fault
    if error is not None:
        what = error.what.removeprefix(f"shard {number} ")
        yield Problem(error.file or files.base, None, (), f"{error.place}: {what}" if error.place else what)


def _missing(table: Verifiable) -> Iterator[Problem]:
    """Versions that no file holds, and tags of such."""
    snapshot = table.snapshot
    for gap in snapshot.gaps:
        fault = f"versions {gap.start} to {gap[-1]} are missing: no file holds them"
        yield Problem(table.files.base, None, (), fault)
    for name, number in snapshot.tags.items():
        if not snapshot.versions[0].number <= number <= snapshot.newest:
            fault = f"the tag {name} names version {number}, which is not kept"
            yield Problem(snapshot.segments[-1].path, None, (), fault)


def _pages(segment: ReadableSegment, report: Callable[[float], None]) -> Iterator[Problem]:
    file = segment.file
    protected = file.is_protected
    for damage in file.damage(progress=lambda pages: report(pages / 2)):
        faults = []
        repair = "file" if protected else None
        if damage.headers:
            stranger = foreign_at(file.source, file.first + damage.page, file.place)
            faults.extend([] if stranger is None else [f"two states are mixed in the file: {stranger}"])
        if damage.cells:
            plural = "s" if len(damage.cells) > 1 else ""
            faults.append(f"cell{plural} {', '.join(map(str, damage.cells))}: CRC-32C mismatch")
            numbers = damage.page * file.layout.cells + np.array(damage.cells)
            recovered, by_parity = file.recover(numbers)
            code = "page" if protected else "band"
            repair = ("parity" if by_parity.any() else code) if recovered.all() else None
            if repair is None and not file.holds(numbers[~recovered]).any():
                repair = "file"
                faults.append("nothing is stored there")
            else:
                faults.append(_consequence(segment, repair, numbers[~recovered].tolist()))
        if damage.parity:
            faults.append("the page's parity is damaged")
        if damage.headers:
            faults.append(f"{damage.headers} copies of the page header are damaged")
        if damage.frame:
            faults.append("the FLAC frame around it is damaged")
        yield Problem(
            segment.path,
            file.first + damage.page,
            damage.cells,
            "; ".join(filter(None, faults)),
            repair or _harmless(damage),
        )
    missing = file.missing
    if missing:
        first, last = file.first + missing[0], file.first + missing[-1]
        fault = f"page {first} to {last}: missing, the file ends before them"
        numbers = np.arange(missing[0] * file.layout.cells, (missing[-1] + 1) * file.layout.cells)
        recovered, _ = file.recover(numbers)
        repair = "parity" if recovered.all() else None
        consequence = _consequence(segment, repair, numbers[~recovered].tolist()) if protected else ""
        yield Problem(segment.path, None, (), f"{fault}; {consequence}" if consequence else fault, repair)


def _harmless(damage: PageDamage) -> str | None:
    """``file`` where no cell is damaged, so that everything can be read all the same."""
    return None if damage.cells else "file"


def _consequence(segment: ReadableSegment, repair: str | None, lost: list[int]) -> str:
    """What becomes of damaged cells: how they are repaired, or the rows that they cost."""
    if repair is not None:
        return {
            "page": "repairable by the parity in the page",
            "band": "corrected by the code of their frequency band",
            "parity": "repairable by other cells",
        }[repair]
    costs: dict[str, list[str]] = {}
    for loss in losses(segment, lost):
        costs.setdefault(loss.column or "rowid", []).append(_rows(segment, loss))
    if not costs:
        return ""
    named = "; ".join(f"{column} of rows {', '.join(spans)}" for column, spans in costs.items())
    return f"lost: {named}"


def _rows(segment: ReadableSegment, loss: Loss) -> str:
    """The rowids from the first to the last of a loss.

    When the rowids are lost as well, it is the numbers of the rows in the segment.
    """
    try:
        return f"{segment.rowid(loss.start)}–{segment.rowid(loss.stop - 1)}"
    except DamagedFileError:
        return f"{loss.start + 1}–{loss.stop} of the file"


def _contents(segment: ReadableSegment, report: Callable[[float], None]) -> Iterator[str]:
    """Cells that are intact may still hold what makes no sense: compare everything with everything else."""
    checks: list[Callable[[], None]] = [
        partial(check_copies, segment),
        partial(check_places, segment),
        partial(check_data, segment),
        lambda: _check_extents(segment),
    ]
    for column in [ROWID, CREATED, ENDED, *range(len(segment.schema))]:
        directory = segment.directory(column)
        if directory is not None and (column < 0 or column != segment.schema.rowid_column):
            checks.extend(partial(_check_block, segment, column, n) for n in range(directory.count))
    for key in range(len(segment.schema.combined_keys)):
        checks.extend(
            partial(_check_key, segment, key, start) for start in range(0, segment.rows, _ROWS_AT_ONCE)
        )
    checks.append(lambda: _check_versions(segment))
    for number, check in enumerate(checks):
        check_interrupt()
        report(segment.file.page_count * (1 + number / len(checks)) / 2)
        try:
            check()
        except DamagedFileError as error:
            yield f"{error.place}: {error.what}" if error.place else error.what


def _check_extents(segment: ReadableSegment) -> None:
    segment.tombstones()
    segment_sources(segment)


def _check_block(segment: ReadableSegment, column: int, number: int) -> None:
    """The block decodes, and its zone map and Bloom filter speak the truth."""
    array = segment.block(column, number)
    directory = segment.directory(column)
    assert directory is not None
    rows = int(directory.starts[number + 1] - directory.starts[number])
    true = Zones.build([rows], [Zones.of(array, segment.column_type(column))], segment.column_type(column))
    stated = directory.zones.take(np.array([number]))
    name = segment.column_name(column)
    place = f"column {name}, block {number}"
    if true.filled[0] and not stated.is_open and not _tells(stated, true, number in directory.of_labels):
        raise DamagedFileError("the zone map has another least or greatest value", place=place)
    bloom = segment.bloom(column)
    if bloom is not None and not bloom.may_contain(hash_array(array)).all():
        raise DamagedFileError("the Bloom filter lacks a key", place=place)


def _tells(stated: Zones, true: Zones, of_group: bool) -> bool:
    """Whether a zone map tells the truth of a block. of_group: it is of several blocks."""
    if not of_group or stated.low is None or stated.high is None:
        return bool((true.low, true.high) == (stated.low, stated.high))
    return bool(stated.low[0] <= true.low[0] and true.high[0] <= stated.high[0])  # type: ignore[index]


def _check_key(segment: ReadableSegment, number: int, start: int) -> None:
    """The Bloom filter of a key of several columns has the keys of the rows from ``start`` on."""
    bloom = segment.key_bloom(number)
    key_columns = segment.schema.combined_keys[number]
    if bloom is None:
        return
    _, hashes = combined_hashes(segment, key_columns, start, min(start + _ROWS_AT_ONCE, segment.rows))
    if not bloom.may_contain(hashes).all():
        raise DamagedFileError(
            "the Bloom filter lacks a key", place=f"key ({', '.join(map(segment.column_name, key_columns))})"
        )


def _check_versions(segment: ReadableSegment) -> None:
    """A row was made before it was deleted, and after the row before it under its rowid was deleted."""
    if segment.catalog.created is None:
        return
    created, ended, rowids = segment.created(), segment.ended(), segment.rowids()
    wrong = np.flatnonzero(ended <= created)
    again = np.flatnonzero((rowids[1:] == rowids[:-1]) & (created[1:] < ended[:-1]))
    if len(wrong):
        raise DamagedFileError(f"row {rowids[wrong[0]]} was deleted before it was made", place="column ended")
    if len(again):
        raise DamagedFileError(f"row {rowids[again[0]]} was there twice in a version", place="column ended")


def _shared_rowids(snapshot: Snapshot) -> Iterator[Problem]:
    """Rows of two segments that have the same rowid, where the later one did not delete the earlier."""
    views = snapshot.views
    for number, later in enumerate(views[1:], 1):
        for earlier in views[:number]:
            rowid = _shared_rowid(earlier, later)
            if rowid is not None:
                fault = f"row {rowid} is there twice, also in {_name(earlier.segment, later.segment)}"
                yield Problem(later.segment.path, None, (), fault)


def _shared_rowid(earlier: SegmentView, later: SegmentView) -> int | None:
    """A rowid that two segments show a row of; None if there is none.

    The rows are looked at of which there are fewer: a segment without stored rowids may say that it has 2⁴⁸.
    """

    def effort(view: SegmentView) -> tuple[bool, int]:
        return view.segment.catalog.first_rowid is not None, view.segment.rows

    one, other = sorted((later, earlier), key=effort)
    low = max(one.segment.catalog.low_rowid, other.segment.catalog.low_rowid)
    high = min(one.segment.catalog.high_rowid, other.segment.catalog.high_rowid)
    first, rows = one.segment.catalog.first_rowid, one.segment.rows
    start, end = (0, rows) if first is None else (max(low - first, 0), min(high - first + 1, rows))
    for begin in range(start, end if low <= high else start, _ROWS_AT_ONCE):
        stop = min(begin + _ROWS_AT_ONCE, end)
        rowids = int64_view(one.segment.slice(ROWID, begin, stop))
        live = one.live(begin, stop)
        rows_of_other = np.setdiff1d(
            other.segment.find_many(rowids if live is None else rowids[live]), other.deleted
        )
        if len(rows_of_other):
            return int(other.segment.rowid(int(rows_of_other[0])))
    return None


def _name(segment: ReadableSegment, beside: ReadableSegment) -> str:
    """What tells a segment from another one."""
    if segment.path != beside.path:
        return segment.path
    return f"the segment from page {segment.file.first} on"
