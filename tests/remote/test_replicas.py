"""The same bytes in several places: the fastest is read, and another one where that fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from bytes.contract import ByteSourceContract
from bytes.memory_source import MemorySource

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.remote.replicas import LOOK_EVERY, ReplicatedSource

DATA = bytes(range(256)) * 100


class TestReplicated(ByteSourceContract):
    """Two places in memory."""

    def make(self, data: bytes) -> ReplicatedSource:
        return ReplicatedSource([MemorySource(data, "first"), MemorySource(data, "second")])

    def replace(self, source: ByteSource, data: bytes) -> ReplicatedSource:
        return self.make(data)


class Clock:
    """Seconds that only places let pass."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Place(MemorySource):
    """Takes ``seconds`` for a read; ``error``, ``short``: raises, or gives less."""

    def __init__(self, data: bytes, name: str, clock: Clock, seconds: float) -> None:
        super().__init__(data, name)
        self.clock, self.seconds = clock, seconds
        self.error: StorageError | None = None
        self.short = 0

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        self.clock.now += self.seconds
        if self.error is not None:
            self.requests.append(list(ranges))
            raise self.error
        return [answer[: len(answer) - self.short] for answer in super().read(ranges)]


def two_places() -> tuple[ReplicatedSource, Place, Place]:
    clock = Clock()
    slow, fast = Place(DATA, "slow", clock, 0.09), Place(DATA, "fast", clock, 0.01)
    source = ReplicatedSource([slow, fast], clock)
    slow.requests.clear()
    fast.requests.clear()
    return source, slow, fast


def test_the_fastest_is_read() -> None:
    source, slow, fast = two_places()
    for offset in range(LOOK_EVERY - 1):
        assert source.read_at(offset, 9) == DATA[offset : offset + 9]
    assert (len(slow.requests), len(fast.requests)) == (1, LOOK_EVERY - 2)
    slow.seconds = 0.001
    for _ in range(40 * LOOK_EVERY):  # it is looked at now and then, and found to be faster by now
        source.read_at(0, 9)
    before = len(slow.requests)
    for _ in range(LOOK_EVERY):
        source.read_at(0, 9)
    assert len(slow.requests) >= before + LOOK_EVERY - 1
    source.close()


@pytest.mark.parametrize("fault", ["error", "short"])
def test_a_place_that_fails_is_asked_last(fault: str) -> None:
    source, slow, fast = two_places()
    source.read_at(0, 9)
    source.read_at(0, 9)
    fast.requests.clear()
    slow.requests.clear()
    if fault == "error":
        fast.error = StorageError("the network is down", file="fast")
    else:
        fast.short = 1
    for offset in range(9):
        assert source.read([(offset, 9), (len(DATA) - 3, 9)]) == [DATA[offset : offset + 9], DATA[-3:]]
    assert (len(fast.requests), len(slow.requests)) == (1, 9)
    slow.error = StorageError("the disk is gone", file="slow")
    with pytest.raises(StorageError, match="the disk is gone"):
        source.read_at(0, 9)
    source.close()


def test_what_is_no_copy_is_left_out() -> None:
    other = DATA[:100] + b"?" + DATA[101:]
    broken = Place(DATA, "broken", Clock(), 0)
    broken.error = StorageError("the network is down", file="broken")
    places = [MemorySource(DATA, "a"), MemorySource(DATA[:-1], "b"), MemorySource(other, "c"), broken]
    source = ReplicatedSource(places)
    assert source.left_out == [
        ("b", "has 25,599 bytes, and a has 25,600"),
        ("c", "holds another file than a"),
        ("broken", "broken: the network is down"),
    ]
    with pytest.raises(StorageError, match="closed"):
        places[2].read_at(0, 1)
    assert source.read_at(100, 1) == DATA[100:101]
    source.close()
    with pytest.raises(OptionError, match="no place to read from"):
        ReplicatedSource([])
    first, second = Place(DATA, "first", Clock(), 0), MemorySource(DATA)
    first.error = StorageError("the network is down", file="first")
    with pytest.raises(StorageError, match="the network is down"):
        ReplicatedSource([first, second])
    with pytest.raises(StorageError, match="closed"):
        second.read_at(0, 1)


def test_places_are_compared() -> None:
    clock = Clock()
    damaged = DATA[:9000] + b"\0" + DATA[9001:]
    third = Place(DATA, "third", clock, 0)
    source = ReplicatedSource([MemorySource(DATA, "first"), MemorySource(damaged, "second"), third])
    ranges = [(0, 8000), (8000, 8000), (16000, 20000)]
    assert source.differences(ranges) == [("second", 8000, 8000, None)]
    third.error = StorageError("the network is down", file="third")
    assert source.differences(ranges[:1]) == [("third", 0, 8000, third.error)]
    source.close()
