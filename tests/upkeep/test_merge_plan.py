"""The plan of merges, whatever the sizes of the deltas are."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.upkeep.merge_plan import UNIT_BYTES, merged_from, tier_of, weight_of


@dataclass
class Deltas:
    """What stays of deltas that come one after another.

    rewritten: how often the rows of each were written again.
    """

    fan: int
    most: int | None = None

    def __post_init__(self) -> None:
        self.weights: list[int] = []
        self.parts: list[list[int]] = []
        self.rewritten: list[int] = []
        self.largest_merge = 0

    def add(self, weight: int) -> int:
        """One more delta; the bytes that were written again behind it."""
        self.weights.append(weight)
        self.parts.append([len(self.rewritten)])
        self.rewritten.append(0)
        written = 0
        while (first := merged_from(self.weights, self.fan, self.most)) is not None:
            assert len(self.weights) - first >= 2
            total = sum(self.weights[first:])
            assert self.most is None or total <= self.most
            numbers = [number for part in self.parts[first:] for number in part]
            for number in numbers:
                self.rewritten[number] += 1
            self.weights[first:], self.parts[first:] = [total], [numbers]
            written += total
        return written

    def tiers(self) -> int:
        """How many tiers there can be."""
        return tier_of(sum(self.weights), self.fan) + 1


SIZES = st.one_of(
    st.integers(0, 2000),
    st.integers(0, 1 << 20),
    st.integers(0, 1 << 33),
    st.sampled_from([0, 1 << 13, 1 << 23]),
)


@given(st.lists(SIZES, max_size=400), st.integers(2, 9))
@settings(max_examples=300, deadline=None)
def test_any_sizes(sizes: list[int], fan: int) -> None:
    deltas = Deltas(fan)
    for size in sizes:
        deltas.add(weight_of(size, 1))
        assert len(deltas.weights) <= (fan - 1) * deltas.tiers()
        assert [number for part in deltas.parts for number in part] == list(range(len(deltas.rewritten)))
    assert max(deltas.rewritten, default=0) <= (fan + 1) * deltas.tiers()


@given(st.lists(SIZES, max_size=400), st.integers(2, 9), st.integers(1 << 12, 1 << 24))
@settings(max_examples=200, deadline=None)
def test_no_merge_is_larger_than_it_may_be(sizes: list[int], fan: int, most: int) -> None:
    """What is too large for a merge stays, and is all that stays beside the few of each tier."""
    deltas = Deltas(fan, most)
    for size in sizes:
        deltas.add(weight_of(size, 1))
        total = 0
        newest = [weight for weight in deltas.weights[::-1] if (total := total + weight) <= most]
        assert len(newest) <= (fan - 1) * (tier_of(most, fan) + 1)


def test_deltas_of_like_size_are_written_again_once_in_a_tier() -> None:
    for size in (1, 3000, 200_000, 1 << 30):
        deltas = Deltas(8)
        for _ in range(4096):
            deltas.add(weight_of(size, 1))
        assert max(deltas.rewritten) <= 5
        assert len(deltas.weights) <= 4 * 7 + 1


def test_small_ones_between_large_ones_do_not_pile_up() -> None:
    """The worst order there is: few small ones, then one that is larger, in every tier."""

    def worst(tier: int) -> list[int]:
        return [0] * 7 if tier == 0 else [*worst(tier - 1), UNIT_BYTES * 8**tier] * 7 + worst(tier - 1)

    deltas = Deltas(8)
    for size in worst(4):
        deltas.add(weight_of(size, 1))
        assert len(deltas.weights) <= 7 * deltas.tiers()
    assert max(deltas.rewritten) <= 9 * deltas.tiers()


def test_what_a_commit_pays() -> None:
    """Most commits nothing; one that merges, no more than the deltas of like size."""
    deltas, rng = Deltas(8, 1 << 20), random.Random(0)
    paid = [deltas.add(weight_of(rng.randrange(100, 60_000), 1)) for _ in range(4000)]
    assert sum(bytes_written == 0 for bytes_written in paid) > 2800
    assert max(paid) <= 3 << 20
    total = sum(deltas.weights)
    assert sum(paid) < 6 * total


def test_tiers() -> None:
    assert [tier_of(UNIT_BYTES * units, 8) for units in (1, 7, 8, 63, 64, 511, 512)] == [0, 0, 1, 1, 2, 2, 3]
    assert weight_of(5000, 3) == 5000 + 3 * UNIT_BYTES
    assert weight_of(0, 0) == UNIT_BYTES
    assert merged_from([], 8) is None
    assert merged_from([UNIT_BYTES] * 7, 8) is None
    assert merged_from([1 << 30, *[UNIT_BYTES] * 8], 8) == 1
    assert merged_from([UNIT_BYTES] * 8, 1 << 30) is None
