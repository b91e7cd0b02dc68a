"""The delta files that are left of a table of which files are missing, or of another copy of it."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import ReadableSegment, salvaged_file
from audiomem_sql.versions import HeadRecord, TableFiles, check_table, read_head


class SalvagedDeltas:
    """The deltas that go on from ``base``, or follow each other.

    Of two that do not continue each other the newer one counts, unless the head file says that it is not the
    newest: rows of two histories would be a state that never was. opened: gets what stays open. unreadable:
    gets what is not read, and why.
    """

    def __init__(
        self,
        files: TableFiles,
        base: Sequence[ReadableSegment],
        cache: BlockCache,
        opened: list[ReadableSegment],
        unreadable: list[str],
    ) -> None:
        self._files = files
        self._base = base
        self._cache = cache
        self._opened = opened
        self._unreadable = unreadable
        self._deltas: list[ReadableSegment] = []
        self._others: dict[bytes, str] = {}  # the segments that deltas of another history continue

    def read(self) -> list[ReadableSegment]:
        """Them, oldest first."""
        base, deltas = self._base, self._deltas
        head = self._head()
        for number, path in reversed(self._files.deltas()):
            if (base and number <= base[-1].catalog.last_version) or (
                deltas and number >= deltas[0].catalog.first_version
            ):
                continue
            delta = self._open(path, number)
            if delta is not None:
                self._check_newest(delta, head)
                self._add(delta)
        if base:
            self._check_newest(base[-1], head)
            self._check_base(base[-1])
        return deltas

    def _open(self, path: str, number: int) -> ReadableSegment | None:
        other = next(iter([*self._base, *self._deltas]), None)
        try:
            delta = _whole(path, number, other, self._cache)
        except (AudioMemError, OSError) as error:
            self._unreadable.append(str(error).split("\n")[0])
            return None
        self._opened.append(delta)
        return delta

    def _add(self, delta: ReadableSegment) -> None:
        if self._deltas and _parted(delta, self._deltas[0]):
            self._leave_out([delta])
        elif delta.catalog.segment_id in self._others:
            # It may be of both histories. Who moves the other delta away has it.
            self._leave_out([delta], f", as {self._others[delta.catalog.segment_id]}, which continues it")
        else:
            self._deltas.insert(0, delta)

    def _check_newest(self, before: ReadableSegment, head: HeadRecord | None) -> None:
        """Leave out the only delta so far if it does not continue ``before`` and the head names another."""
        if len(self._deltas) == 1 and _is_another_newest(self._deltas[0], head):
            seal = self._deltas[0].catalog.seal
            link = None if seal is None else seal.before
            if link is None or link.segment_id != before.catalog.segment_id:
                self._leave_out([self._deltas.pop()])

    def _check_base(self, base: ReadableSegment) -> None:
        """Leave out the oldest delta, and those that go on from it, if it does not continue the base."""
        deltas = self._deltas
        if deltas and _parted(base, deltas[0]):
            count = 1
            while count < len(deltas) and _follows(deltas[count - 1], deltas[count]):
                count += 1
            self._leave_out(deltas[:count])
            del deltas[:count]

    def _leave_out(self, deltas: Sequence[ReadableSegment], why: str = "") -> None:
        """Close deltas of another history, and say so."""
        for delta in deltas:
            self._unreadable.append(f"{delta.path}: it is of another history of the table{why}")
            seal = delta.catalog.seal
            if seal is not None and seal.before is not None:
                self._others[seal.before.segment_id] = delta.path
            self._opened.remove(delta)
            delta.close()

    def _head(self) -> HeadRecord | None:
        """What the head file says is the newest segment; None if it cannot be read."""
        try:
            return read_head(self._files.head)
        except AudioMemError as error:
            self._unreadable.append(str(error).split("\n")[0])
            return None


def _is_another_newest(delta: ReadableSegment, head: HeadRecord | None) -> bool:
    """Whether the head file says that another segment ended with the last version of ``delta``."""
    catalog = delta.catalog
    generation = 0 if catalog.seal is None else catalog.seal.generation
    return (
        head is not None
        and head.last_version == catalog.last_version
        and head.segment_id != catalog.segment_id
        and head.generation >= generation
    )


def _follows(before: ReadableSegment, after: ReadableSegment) -> bool:
    """Whether no version is missing between the two."""
    return before.catalog.last_version + 1 == after.catalog.first_version


def _parted(before: ReadableSegment, after: ReadableSegment) -> bool:
    """Whether ``after`` begins with the version after ``before``, but continues another segment."""
    seal = after.catalog.seal
    if seal is None or seal.before is None or not _follows(before, after):
        return False
    return seal.before.segment_id != before.catalog.segment_id


def check_of_use(segment: ReadableSegment) -> None:
    """AudioMemError if rowids and deletions cannot be read: without these the rows would be wrong."""
    segment.tombstones()
    segment.rowids()
    segment.created()
    segment.ended()


def _whole(path: str, number: int, other: ReadableSegment | None, cache: BlockCache) -> ReadableSegment:
    """The delta that ends with version ``number``, of the table that ``other`` is of.

    AudioMemError if its catalog, rowids and deletions cannot be read.
    """
    delta = salvaged_file(path, cache, check_of_use)
    try:
        (segment,) = delta.segments
        check_of_use(segment)
        if other is not None:
            check_table(other, segment, other.path)
        if segment.catalog.last_version != number:
            raise DamagedFileError(f"ends with version {segment.catalog.last_version}", file=path)
    except BaseException:
        delta.close()
        raise
    return segment
