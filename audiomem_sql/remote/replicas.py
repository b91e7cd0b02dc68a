"""The same bytes in several places: reads take the fastest, and another one where that fails."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Hashable, Sequence

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.remote.paces import Paces
from audiomem_sql.remote.tiers.tier import PerProcess

#: Offset and length.
_Range = tuple[int, int]
#: Start, stop, and the number of a place.
_Chosen = tuple[int, int, int]


class ReplicatedSource(ByteSource):
    """``places``, which it takes over, and which have the same bytes but for damage: who opens them looks.

    identity: what is the same for all of them; by default that of the first one, whose name and size it has.
    OptionError without a place. clock: seconds, for the paces. paces: in which order they are asked.

    A read goes to one place. Where its bytes do not match their checksums, who reads asks ``read_anew``: each
    call takes the same ranges from the next place, past its caches, until all have been asked. From then on
    these ranges come from there.
    """

    prefers_short_reads = True

    def __init__(
        self,
        places: Sequence[ByteSource],
        *,
        identity: Hashable = None,
        clock: Callable[[], float] = time.perf_counter,
        paces: Paces | None = None,
    ) -> None:
        if not places:
            raise OptionError("there is no place to read from", remedy="Name at least one.")
        first = places[0]
        self.name, self.size = first.name, first.size
        self.identity: Hashable = first.identity if identity is None else identity
        self._clock = clock
        self._places = list(places)
        self._paces = paces or Paces(len(places))
        #: Ranges that come from one place, ascending, without overlaps: start, stop, and its number.
        #: The list is replaced, never changed.
        self._chosen: list[_Chosen] = []
        #: How many places were asked for a range that was read anew.
        self._attempts: dict[_Range, int] = {}
        self._lock = PerProcess(threading.Lock)
        #: What was chosen when a thread read last.
        self._seen = threading.local()
        self._is_open = True

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """From the fastest place that has it whole; the error of the first that was asked, if none has."""
        self._check_open()
        self._seen.chosen = chosen = self._chosen
        if not chosen:
            return self._read(ranges, self._paces.order())
        pieces = [self._pieces(chosen, *each) for each in ranges]
        by_place: dict[int, list[_Range]] = {}
        for start, stop, place in (piece for own in pieces for piece in own):
            by_place.setdefault(place, []).append((start, stop - start))
        answers: dict[tuple[int, _Range], bytes] = {}
        for place, wanted in by_place.items():
            order = self._paces.order()
            if place >= 0:
                order = [place, *(each for each in order if each != place)]
            for each, data in zip(wanted, self._read(wanted, order), strict=True):
                answers[place, each] = data
        return [
            b"".join(answers[place, (start, stop - start)] for start, stop, place in own) for own in pieces
        ]

    def _read(self, ranges: Sequence[_Range], order: Sequence[int]) -> list[bytes]:
        """From the first place in ``order`` that has it whole."""
        wanted = [max(0, min(length, self.size - offset)) for offset, length in ranges]
        fault: StorageError | None = None
        for number in order:
            place = self._places[number]
            before, start = _steps(place), self._clock()
            try:
                answers = place.read(ranges)
            except StorageError as error:
                fault = fault or error
            else:
                if [len(answer) for answer in answers] == wanted:
                    in_memory = before is not None and before == _steps(place)
                    self._paces.answered(number, None if in_memory else self._clock() - start)
                    return answers
                fault = fault or StorageError("ends before its size says so", file=place.name)
            self._paces.failed(number)
        assert fault is not None
        raise fault

    def _pieces(self, chosen: list[_Chosen], offset: int, length: int) -> list[_Chosen]:
        """A range, cut where it comes from a chosen place: start, stop and place, or -1 for any."""
        stop = min(offset + length, self.size)
        pieces = []
        number = max(0, bisect_right(chosen, (offset,)) - 1)
        while offset < stop and number < len(chosen):
            low, high, place = chosen[number]
            number += 1
            if high <= offset:
                continue
            if low >= stop:
                break
            if low > offset:
                pieces.append((offset, low, -1))
                offset = low
            pieces.append((offset, min(high, stop), place))
            offset = min(high, stop)
        if offset < stop:
            pieces.append((offset, stop, -1))
        return pieces

    def prefetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Tell the place that will be asked next."""
        self._check_open()
        for number in self._paces.order():
            try:
                self._places[number].prefetch(ranges)
            except StorageError:
                self._paces.failed(number)
            else:
                return

    def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
        """Take each range from the next place; False when each place was asked for all of them."""
        self._check_open()
        any_new = False
        for offset, length in ranges:
            start, stop = offset, min(offset + length, self.size)
            if start < stop and self._from_next_place(start, stop):
                any_new = True
        return any_new

    def _from_next_place(self, start: int, stop: int) -> bool:
        """Take a range from the next place that answers; False if there is none left.

        If another thread has chosen a place since this one read, that is the next one.
        """
        count, length = len(self._places), stop - start
        seen = getattr(self._seen, "chosen", self._chosen)
        while True:
            with self._lock.get():
                now = self._pieces(self._chosen, start, length)
                if now != self._pieces(seen, start, length):
                    return True
                attempts = self._attempts.get((start, stop), 0)
                if attempts == count:
                    return False
                self._attempts[start, stop] = attempts + 1
                before = now[0][2]
                number = ((self._paces.last if before < 0 else before) + 1) % count
                self._choose(start, stop, number)
                seen = self._chosen
            try:
                self._places[number].read_anew([(start, stop - start)])
            except StorageError:
                self._paces.failed(number)
            else:
                return True

    def _choose(self, start: int, stop: int, place: int) -> None:
        """Let a range come from ``place``, and what is around it from where it came before."""
        kept = []
        for low, high, other in self._chosen:
            if high <= start or low >= stop:
                kept.append((low, high, other))
                continue
            if low < start:
                kept.append((low, start, other))
            if high > stop:
                kept.append((stop, high, other))
        insort(kept, (start, stop, place))
        self._chosen = kept

    def is_current(self) -> bool:
        """Whether no place that answers has other bytes by now."""
        self._check_open()
        for number, place in enumerate(self._places):
            if self._paces.is_paused(number):
                continue
            try:
                if not place.is_current():
                    return False
            except StorageError:
                self._paces.failed(number)
        return True

    def _check_open(self) -> None:
        if not self._is_open:
            raise StorageError("is closed", file=self.name)

    def reopen(self) -> ReplicatedSource:
        """The same places, opened again."""
        self._check_open()
        again = ReplicatedSource.__new__(ReplicatedSource)
        vars(again).update(vars(self), _places=[place.reopen() for place in self._places])
        again._attempts, again._seen = dict(self._attempts), threading.local()
        return again

    def close(self) -> None:
        """Let go of all places; twice is harmless."""
        if self._is_open:
            self._is_open = False
            for place in self._places:
                place.close()


def _steps(place: ByteSource) -> int | None:
    """How often a place asked a store so far; None where it is asked for each read."""
    counts = getattr(place, "counts", None)
    return None if counts is None else int(counts.steps)
