"""The same bytes in several places: reads take the fastest, and another one where that fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.remote.tiers.tier import PerProcess

#: Bytes at the front and at the end by which a copy is told from another file of the same size.
ENDS_BYTES = 4096
#: What a new measurement counts in the moving average of a place.
_SHARE = 0.2
#: A place that failed is asked last for so long.
PAUSE_SECONDS = 30.0
#: Of so many reads one goes to the place that was not asked for longest, to see how fast it is by now.
LOOK_EVERY = 32


class Difference(NamedTuple):
    """A range in which a place has other bytes than the first one, or none: then there is an error."""

    name: str
    offset: int
    length: int
    error: StorageError | None


class _Pace:
    """How fast a place was lately."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.asked = 0
        self.failed_until = 0.0


class _Paces:
    """The paces of all places, and how many reads there were."""

    def __init__(self, count: int) -> None:
        self.lock = threading.Lock()
        self.reads = 0
        self.paces = [_Pace() for _ in range(count)]


class ReplicatedSource(ByteSource):
    """``places``, which it takes over: name, size and identity are those of the first one.

    ``left_out``: places that are no copy of it, with the reason, which are closed. Identities are not
    compared, because stores of different kinds have different ones for the same bytes; sizes are, and the
    bytes at both ends, which in a table's file tell its segments. OptionError without a place.
    StorageError if the first one cannot be read. ``clock``: seconds, for the paces.
    """

    def __init__(self, places: Sequence[ByteSource], clock: Callable[[], float] = time.perf_counter) -> None:
        if not places:
            raise OptionError("there is no place to read from", remedy="Name at least one.")
        first = places[0]
        self.name, self.size = first.name, first.size
        self.identity: Hashable = first.identity
        self.left_out: list[tuple[str, str]] = []
        self._clock = clock
        try:
            ends = self._ends(first)
            self._places = [first, *(each for each in places[1:] if self._is_copy(each, ends))]
        except BaseException:
            for each in places:
                each.close()
            raise
        count = len(self._places)
        self._paces = PerProcess(lambda: _Paces(count))
        self._is_open = True

    @staticmethod
    def _ends(place: ByteSource) -> list[bytes]:
        return place.read([(0, ENDS_BYTES), (max(0, place.size - ENDS_BYTES), ENDS_BYTES)])

    def _is_copy(self, place: ByteSource, ends: list[bytes]) -> bool:
        reason = None
        if place.size != self.size:
            reason = f"has {place.size:,} bytes, and {self.name} has {self.size:,}"
        else:
            try:
                if self._ends(place) != ends:
                    reason = f"holds another file than {self.name}"
            except StorageError as error:
                reason = str(error)
        if reason is not None:
            self.left_out.append((place.name, reason))
            place.close()
        return reason is None

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """From the fastest place that has it whole; the error of the first that was asked, if none has."""
        if not self._is_open:
            raise StorageError("is closed", file=self.name)
        wanted = [max(0, min(length, self.size - offset)) for offset, length in ranges]
        fault: StorageError | None = None
        for number in self._order():
            start = self._clock()
            try:
                answers = self._places[number].read(ranges)
            except StorageError as error:
                fault = fault or error
            else:
                if [len(answer) for answer in answers] == wanted:
                    self._measured(number, self._clock() - start)
                    return answers
                fault = fault or StorageError("ends before its size says so", file=self._places[number].name)
            self._failed(number)
        assert fault is not None
        raise fault

    def differences(self, ranges: Sequence[tuple[int, int]]) -> list[Difference]:
        """What the places have otherwise than the first one. StorageError if that cannot be read."""
        expected = self._places[0].read(ranges)
        found = []
        for place in self._places[1:]:
            for (offset, length), right in zip(ranges, expected, strict=True):
                error = None
                try:
                    same = place.read_at(offset, length) == right
                except StorageError as fault:
                    same, error = False, fault
                if not same:
                    found.append(Difference(place.name, offset, length, error))
        return found

    def _order(self) -> list[int]:
        """The numbers of the places as they are to be asked: unmeasured first, then by their pace."""
        state = self._paces.get()
        with state.lock:
            state.reads += 1
            now = time.monotonic()
            numbers = range(len(state.paces))
            order = sorted(
                numbers,
                key=lambda number: (state.paces[number].failed_until > now, state.paces[number].seconds),
            )
            if state.reads % LOOK_EVERY == 0:
                oldest = min(numbers, key=lambda number: state.paces[number].asked)
                order.remove(oldest)
                order.insert(0, oldest)
            state.paces[order[0]].asked = state.reads
            return order

    def _measured(self, number: int, seconds: float) -> None:
        state = self._paces.get()
        with state.lock:
            pace = state.paces[number]
            pace.seconds = seconds if not pace.seconds else pace.seconds + _SHARE * (seconds - pace.seconds)
            pace.failed_until = 0.0

    def _failed(self, number: int) -> None:
        state = self._paces.get()
        with state.lock:
            state.paces[number].failed_until = time.monotonic() + PAUSE_SECONDS

    def reopen(self) -> ReplicatedSource:
        """The same places, opened again."""
        if not self._is_open:
            raise StorageError("is closed", file=self.name)
        again = ReplicatedSource.__new__(ReplicatedSource)
        vars(again).update(vars(self), _places=[place.reopen() for place in self._places])
        return again

    def close(self) -> None:
        """Let go of all places; twice is harmless."""
        if self._is_open:
            self._is_open = False
            for place in self._places:
                place.close()
