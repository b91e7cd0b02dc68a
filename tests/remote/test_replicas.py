"""The same bytes in several places: the fastest is read, and another one where that fails."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from bytes.contract import ByteSourceContract
from bytes.memory_source import MemorySource

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.remote.paces import LOOK_EVERY, InOrder
from audiomem_sql.remote.replica_names import parse_replicas
from audiomem_sql.remote.replicas import ReplicatedSource

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
    source = ReplicatedSource([slow, fast], clock=clock)
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


def test_there_must_be_a_place() -> None:
    with pytest.raises(OptionError, match="no place to read from"):
        ReplicatedSource([])


class Damaged(MemorySource):
    """Has wrong bytes in ``wrong`` ranges; notes what was read anew."""

    def __init__(self, name: str, *wrong: tuple[int, int]) -> None:
        data = bytearray(DATA)
        for start, stop in wrong:
            data[start:stop] = bytes(255 - byte for byte in data[start:stop])
        super().__init__(bytes(data), name)
        self.anew: list[tuple[int, int]] = []

    def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
        self.anew += ranges
        return False


def right(source: ReplicatedSource, offset: int, length: int) -> bool:
    """Read as who has checksums does: again as long as there may be something else."""
    while source.read_at(offset, length) != DATA[offset : offset + length]:
        if not source.read_anew([(offset, length)]):
            return False
    return True


@pytest.mark.parametrize("turns", range(3))
def test_what_is_damaged_in_one_place_comes_from_another(turns: int) -> None:
    places = [Damaged("a", (100, 120)), Damaged("b", (110, 130), (500, 600)), Damaged("c", (500, 501))]
    source = ReplicatedSource(places[turns:] + places[:turns], paces=InOrder(3))
    assert right(source, 100, 30)
    assert right(source, 90, 100)
    assert source.read([(0, 9), (95, 40), (119, 2), (126, 300)]) == [
        DATA[0:9],
        DATA[95:135],
        DATA[119:121],
        DATA[126:426],
    ]
    assert right(source, 500, 100)
    assert all(right(source, start, 10) for start in range(0, len(DATA), 10))
    assert source.read([(0, len(DATA))]) == [DATA]
    again = source.reopen()
    source.close()
    assert again.read([(0, len(DATA))]) == [DATA]
    assert any(place.anew for place in places)  # past the caches of the place
    again.close()


def test_a_part_of_what_was_chosen_comes_from_elsewhere() -> None:
    """What is around it comes from where it came before."""
    places = [Damaged("a", (100, 130)), Damaged("b", (110, 115)), Damaged("c", (100, 110), (115, 130))]
    source = ReplicatedSource(places, paces=InOrder(3))
    source.read_at(100, 30)
    assert source.read_anew([(100, 30)])
    assert right(source, 110, 5)
    assert source.read_at(95, 40) == DATA[95:135]
    source.close()


def test_what_is_damaged_everywhere_is_asked_for_once_in_each_place() -> None:
    places = [Damaged("a", (100, 101)), Damaged("b", (100, 101))]
    source = ReplicatedSource(places)
    assert not right(source, 100, 2)
    assert [place.anew for place in places] == [[(100, 2)], [(100, 2)]]
    assert not source.read_anew([(100, 2)])
    assert right(source, 101, 2)
    source.close()


def test_another_thread_has_chosen_meanwhile() -> None:
    """Both read wrong bytes of one place; the second one looks at what the first has chosen, not further."""
    places = [Damaged("a", (5, 6)), Damaged("b"), Damaged("c", (5, 6))]
    source = ReplicatedSource(places, paces=InOrder(3))
    assert source.read_at(5, 1) != DATA[5:6]
    with ThreadPoolExecutor(1) as other:
        assert other.submit(right, source, 5, 1).result()
    assert source.read_anew([(5, 1)])
    assert source.read_at(5, 1) == DATA[5:6]
    source.close()


def test_a_place_that_does_not_answer_when_read_anew() -> None:
    class Dead(Damaged):
        def read_anew(self, ranges: Sequence[tuple[int, int]]) -> bool:
            raise StorageError("the network is down", file="dead")

    source = ReplicatedSource([Damaged("a", (5, 6)), Dead("b"), Damaged("c")])
    assert right(source, 5, 1)
    source.close()


def test_a_place_that_has_it_in_memory_is_not_taken_for_fast() -> None:
    source, slow, fast = two_places()
    slow.counts = SimpleNamespace(steps=0)  # type: ignore[attr-defined]
    for _ in range(9):
        source.read_at(0, 9)  # the slow one is asked first, and says that it needed no store
    slow.counts.steps = 1  # type: ignore[attr-defined]
    assert len(slow.requests) == 9
    original = slow.read

    def read(ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        slow.counts.steps += 1  # type: ignore[attr-defined]
        return original(ranges)

    slow.read = read  # type: ignore[method-assign]
    for _ in range(9):
        source.read_at(0, 9)
    assert (len(slow.requests), len(fast.requests)) == (10, 8)
    source.close()


def test_in_order() -> None:
    places = [MemorySource(DATA, "a"), MemorySource(DATA, "b")]
    source = ReplicatedSource(places, paces=InOrder(2))
    for _ in range(2 * LOOK_EVERY):
        source.read_at(0, 9)
    assert (len(places[0].requests), len(places[1].requests)) == (2 * LOOK_EVERY, 0)
    source.close()


def test_whether_it_is_current() -> None:
    class Replaced(MemorySource):
        answer: bool | StorageError = False

        def is_current(self) -> bool:
            if isinstance(self.answer, StorageError):
                raise self.answer
            return self.answer

    first, second = Replaced(DATA), Replaced(DATA)
    source = ReplicatedSource([first, second])
    first.answer = True
    assert not source.is_current()
    second.answer = True
    assert source.is_current()
    second.answer = StorageError("the network is down")
    assert source.is_current()
    source.close()


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("s3://b/kb.flac,  https://h/kb.flac", ("s3://b/kb.flac", "https://h/kb.flac")),
        (["/a,b/kb.flac"], ("/a,b/kb.flac",)),
    ],
)
def test_names(given: str | list[str] | None, parsed: tuple[str, ...]) -> None:
    assert parse_replicas(given, "kb.flac") == parsed


@pytest.mark.parametrize("given", [["kb.flac"], "s3://b/k?x=SECRET, s3://b/k?x=SECRET", b"x", {"a": 1}, [1]])
def test_names_that_are_none(given: Any) -> None:
    with pytest.raises(OptionError, match=r"option replicas: .*(named twice|no list of places)") as raised:
        parse_replicas(given, "kb.flac")
    assert "SECRET" not in str(raised.value)
