"""An object of a store as a place where bytes are, pinned to the state that it was opened in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from urllib.parse import urlsplit

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import NotAudioMemoryError, StorageError
from audiomem_sql.remote.coming import Coming
from audiomem_sql.remote.contract import NoRangesError, ObjectReader, Pin, TransientFaultError
from audiomem_sql.remote.fsspec_object import FsspecObject
from audiomem_sql.remote.kept import Kept, assembled
from audiomem_sql.remote.options import (
    GAP_BYTES,
    REQUEST_BYTES,
    WHOLE_BYTES,
    WIDE_GAPS_BYTES,
    RemoteOptions,
)
from audiomem_sql.remote.requests import Counts, Requests
from audiomem_sql.remote.stored_object import StoredObject
from audiomem_sql.remote.stores import knows

#: From a byte to behind another.
_Stretch = tuple[int, int]


def reader_of(url: str, options: RemoteOptions) -> ObjectReader:
    """What reads the object at ``url``. StorageError or MissingExtraError where nothing does."""
    if knows(urlsplit(url).scheme.lower()):
        return StoredObject(url, options.timeout)
    return FsspecObject(url)


class _Ask:
    """A request for a range, which goes past caches when an answer of theirs was cut.

    A cache that keeps a file in parts and finds that two of them are of different states does that.
    """

    def __init__(self, reader: ObjectReader, start: int, stop: int, pin: Pin, fresh: bool) -> None:
        self._get = partial(reader.get, start, stop, pin)
        self._fresh = fresh

    def __call__(self) -> bytes:
        try:
            return self._get(fresh=self._fresh)
        except TransientFaultError as fault:
            self._fresh = self._fresh or fault.cut
            raise


class _Opened:
    """What those share that read one state of an object."""

    def __init__(self, reader: ObjectReader, options: RemoteOptions) -> None:
        self.reader = reader
        self.requests = Requests(reader.name, options, reader.survives_forks)
        self.kept = Kept(max(options.kept, options.head))
        self.coming = Coming()
        self.parallel = options.parallel
        self.pin, head = self._first(options)
        self.kept.put(0, head)
        #: Stretches that were read again because a checksum failed.
        self.read_anew: set[_Stretch] = set()

    def _first(self, options: RemoteOptions) -> tuple[Pin, bytes]:
        try:
            return self.requests.all([partial(self.reader.first, options.head)])[0]
        except NoRangesError:
            pin, data = self.requests.all([partial(self.reader.whole, None, WHOLE_BYTES)])[0]
            self.kept = Kept(len(data))
            return pin, data

    def state(self) -> Pin:
        """The state that the object is in now."""
        try:
            return self.requests.all([partial(self.reader.first, 1)])[0][0]
        except NoRangesError:
            return self.requests.all([partial(self.reader.whole, None, WHOLE_BYTES)])[0][0]

    def fetch(self, stretches: Iterable[_Stretch], *, fresh: bool = False) -> list[tuple[int, bytes]]:
        """The bytes of stretches that do not overlap, in parts with their offsets, by as many requests."""
        cut = [
            (low, min(low + REQUEST_BYTES, stop))
            for start, stop in stretches
            for low in range(start, stop, REQUEST_BYTES)
        ]
        asks: list[Callable[[], bytes]] = [_Ask(self.reader, low, high, self.pin, fresh) for low, high in cut]
        if not asks:
            return []
        try:
            answers = self.requests.all(asks)
        except NoRangesError:  # a server behind the same name that knows no ranges
            _, data = self.requests.all([partial(self.reader.whole, self.pin, WHOLE_BYTES)])[0]
            return [(low, data[low:high]) for low, high in cut]
        return [(low, answer) for (low, _), answer in zip(cut, answers, strict=True)]


class RemoteFile(ByteSource):
    """The object at ``url`` in the state that it is in now.

    ``identity``: server, bucket, key, ETag and size. A read of an object that was replaced raises
    StorageError, unless it is of bytes that are in memory. Raises ``StorageError`` for what cannot be opened,
    ``NotAudioMemoryError`` for an empty object, ``MissingExtraError`` where a package is missing.
    """

    prefers_short_reads = True

    def __init__(
        self, url: str, options: RemoteOptions | None = None, *, reader: ObjectReader | None = None
    ) -> None:
        """Open the object at ``url``; reader: what reads it, by default what its scheme says."""
        options = options or RemoteOptions.of_environment()
        self._begin(_Opened(reader or reader_of(url, options), options))
        if not self.size:
            raise NotAudioMemoryError("the file is empty", file=self.name, remedy="Put a table there")

    def _begin(self, opened: _Opened) -> None:
        self._opened = opened
        self._closed = False
        self.name = opened.reader.name
        self.size = opened.pin.size
        self.identity: Hashable = (*opened.reader.place, opened.pin.tag, opened.pin.size)

    @property
    def pin(self) -> Pin:
        """The state that it was opened in."""
        return self._opened.pin

    @property
    def counts(self) -> Counts:
        """What was asked of the store so far, by all that share the object."""
        return self._opened.requests.counts

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """All of them in one step: what is missing is asked for at the same time."""
        self._check_open()
        wanted = [(offset, min(offset + length, self.size)) for offset, length in ranges]
        parts = [self._opened.kept.parts(*each) if each[0] < each[1] else [] for each in wanted]
        gaps = [gap for each, own in zip(wanted, parts, strict=True) for gap in _gaps(own, *each)]
        fetched = self._fetched(gaps)
        starts = [start for start, _ in fetched]
        answers = []
        for (start, stop), own in zip(wanted, parts, strict=True):
            if start >= stop:
                answers.append(b"")
                continue
            first = max(0, bisect_right(starts, start) - 1)
            answers.append(assembled([*own, *_until(fetched, first, stop)], start, stop))
        return answers

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Read what will be asked for next, in one step."""
        self._check_open()
        wanted, room = [], self._opened.kept.limit // 2  # what comes may not push out what came with it
        for offset, length in ranges:
            room -= length
            if room >= 0:
                wanted.append((offset, min(offset + length, self.size)))
        self._fetched([gap for each in wanted if each[0] < each[1] for gap in self._opened.kept.gaps(*each)])

    def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Read ranges past all caches, this one and those on the way; False if that was done before."""
        self._check_open()
        wanted = {(offset, min(offset + length, self.size)) for offset, length in ranges}
        fresh = _joined(stretch for stretch in wanted - self._opened.read_anew if stretch[0] < stretch[1])
        if not fresh:
            return False
        self._opened.read_anew |= wanted
        for start, data in self._opened.fetch(fresh, fresh=True):
            self._opened.kept.forget(start, start + len(data))
            self._opened.kept.put(start, data)
        return True

    def is_current(self) -> bool:
        """Whether the object is still in the state that it was opened in; one small request."""
        self._check_open()
        return self._opened.state() == self._opened.pin

    def _fetched(self, gaps: Sequence[_Stretch]) -> list[tuple[int, bytes]]:
        """What is missing, in parts with their offsets, ascending; it is kept from now on.

        What somebody else asks for at this moment is waited for.
        """
        opened, found = self._opened, []
        while gaps:
            with opened.coming.claimed(_fitted(_joined(gaps), opened.parallel)) as (own, others):
                for start, data in opened.fetch(own):
                    opened.kept.put(start, data)
                    found.append((start, data))
            gaps = []
            for start, stop in others:  # those of a request that failed, or were pushed out, are asked for
                parts = opened.kept.parts(start, stop)
                found += [(max(low, start), data[max(start - low, 0) : stop - low]) for low, data in parts]
                gaps += _gaps(parts, start, stop)
        return sorted(found)

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("the file is closed", file=self.name, remedy="Open the table again.")

    @property
    def has_lasting_identity(self) -> bool:
        """Whether nobody will ever find other bytes under this identity, so that copies may outlive it."""
        return self._opened.pin.is_lasting

    @property
    def lasting_identity(self) -> Hashable | None:
        """``identity``, where the store says by an ETag which state it is."""
        return self.identity if self.has_lasting_identity else None

    def reopen(self) -> RemoteFile:
        """The same state of the object, without a request."""
        self._check_open()
        other = RemoteFile.__new__(RemoteFile)
        other._begin(self._opened)
        return other

    def close(self) -> None:
        """Let go of it; twice is harmless."""
        self._closed = True


def _joined(stretches: Iterable[_Stretch]) -> list[_Stretch]:
    """Stretches in order, those joined that overlap or are near each other."""
    joined: list[_Stretch] = []
    for start, stop in sorted(stretches):
        if joined and start - joined[-1][1] <= GAP_BYTES:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return joined


def _fitted(stretches: list[_Stretch], most: int) -> list[_Stretch]:
    """Stretches that are no more than ``most``, if little between them has to be read along for that."""
    too_many = len(stretches) - most
    if too_many <= 0:
        return stretches
    between = [after[0] - before[1] for before, after in pairwise(stretches)]
    narrow = sorted(range(len(between)), key=between.__getitem__)[:too_many]
    if sum(between[number] for number in narrow) > WIDE_GAPS_BYTES:
        return stretches
    cuts = [number + 1 for number in sorted(set(range(len(between))).difference(narrow))]
    return [
        (stretches[first][0], stretches[last - 1][1]) for first, last in pairwise([0, *cuts, len(stretches)])
    ]


def _gaps(parts: Sequence[tuple[int, bytes]], start: int, stop: int) -> Iterator[_Stretch]:
    """The stretches of ``start`` to ``stop`` that parts, in order, do not cover."""
    for low, data in parts:
        if low > start:
            yield start, low
        start = max(start, low + len(data))
    if start < stop:
        yield start, stop


def _until(parts: Sequence[tuple[int, bytes]], first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Parts from number ``first`` on that begin before ``stop``."""
    for number in range(first, len(parts)):
        if parts[number][0] >= stop:
            return
        yield parts[number]
