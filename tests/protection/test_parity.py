"""The plan: every cell has one place, a hole falls on all groups alike, and parity takes bounded memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.arrays import U8Array
from audiomem_sql.protection import parity
from audiomem_sql.protection.parity import LARGEST_GROUP, ParityPlan, ParityShare
from audiomem_sql.protection.parity_encoder import ParityEncoder, encode_bands, parity_bands

SIZE = 12


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups of 300 cells, so that few cells make many."""
    monkeypatch.setattr(parity, "LARGEST_GROUP", 300)


def encoded(plan: ParityPlan, sources: U8Array) -> U8Array:
    encoder = ParityEncoder(plan, SIZE)
    encoder.add(0, sources)
    return encoder.finish().reshape(-1, SIZE)[: plan.parities]


def random_cells(count: int, seed: int = 1) -> U8Array:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE), np.uint8)


@given(st.integers(1, 200_000), st.integers(1, 60_000))
@settings(max_examples=60, deadline=None)
def test_every_cell_has_one_place(sources: int, parities: int) -> None:
    plan = ParityPlan(sources, parities)
    groups = range(plan.groups)
    for of, total, place in (
        (plan.sources_of, sources, plan.place_of_source),
        (plan.parities_of, parities, plan.place_of_parity),
    ):
        members = [of(group) for group in groups]
        assert np.array_equal(np.sort(np.concatenate(members)), np.arange(total))
        lengths = {len(member) for member in members}
        assert max(lengths) - min(lengths) <= 1
        for cell in {0, total // 3, total - 1}:
            group, at = place(cell)
            assert members[group][at] == cell
    assert plan.columns + plan.rows <= LARGEST_GROUP + 2


@given(st.integers(1, 2_000_000), st.integers(0, 2_000_000), st.integers(1, 400_000))
@settings(max_examples=60, deadline=None)
def test_a_hole_takes_as_many_from_every_group(cells: int, start: int, length: int) -> None:
    plan = ParityPlan(cells, max(1, cells // 5))
    hit = np.bincount(np.arange(start, start + length) % plan.groups, minlength=plan.groups)
    assert hit.max() - hit.min() <= 1


@pytest.mark.parametrize("total", [255, 8192, 8193, 100_000, 10_000_000])
def test_groups_are_one_or_a_prime(total: int) -> None:
    groups = ParityPlan(total - total // 5, total // 5).groups
    assert all(groups % divisor for divisor in range(2, groups))
    assert total / groups <= LARGEST_GROUP
    assert groups == 1 or total / groups > LARGEST_GROUP / 2 or groups <= 3


@given(st.integers(0, 3), st.integers(1, 3), st.integers(4, 20), st.integers(1, 100_000))
@settings(max_examples=200, deadline=None)
def test_a_share_leaves_exactly_the_source_pages(extra: int, part: int, of: int, source: int) -> None:
    share = ParityShare(part, of, extra)
    total = share.total_pages(source)
    assert total - share.parity_pages(total) == source
    assert total - 1 - share.parity_pages(total - 1) < source


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize(("sources", "parities"), [(1000, 250), (1001, 249), (700, 300), (5, 3), (900, 97)])
def test_each_group_recovers(sources: int, parities: int) -> None:
    plan = ParityPlan(sources, parities)
    cells = random_cells(sources)
    stored = encoded(plan, cells)
    rng = np.random.default_rng(2)
    for group in range(plan.groups):
        own = np.concatenate([cells[plan.sources_of(group)], stored[plan.parities_of(group)]])
        present = np.ones(len(own), np.bool_)
        lost = max(1, len(plan.parities_of(group)) // 2)
        present[rng.choice(len(own), lost, replace=False)] = False
        found, there = plan.recover(group, np.where(present[:, None], own, 9).astype(np.uint8), present)
        assert there.all()
        assert np.array_equal(found, own)
        assert not plan.recover(group, own, np.zeros(len(own), np.bool_))[1].any()


@pytest.mark.usefixtures("small_groups")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bands", [1, 2, 100])
def test_bands_make_the_same_parity(bands: int, threads: int) -> None:
    plan = ParityPlan(3001, 701)
    cells = random_cells(plan.sources)
    out = np.zeros((plan.parities, SIZE), np.uint8)
    lock, seen = threading.Lock(), [0, 0]

    def read(first: int, count: int) -> U8Array:
        with lock:
            seen[0] += count
        return cells[first : first + count]

    def write(first: int, run: U8Array) -> None:
        with lock:
            seen[1] += len(run)
        out[first : first + len(run)] = run

    budget = plan.rows * plan.groups * SIZE * threads // bands
    assert len(parity_bands(plan, SIZE, budget // threads)) >= min(bands, plan.groups)
    encode_bands(plan, SIZE, read, write, budget, threads)
    assert np.array_equal(out, encoded(plan, cells))
    assert seen == [plan.sources, plan.parities]  # each cell is read once, and written once


@pytest.mark.usefixtures("small_groups")
@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_pieces_of_any_size_in_any_order(pieces: list[int], seed: int) -> None:
    plan = ParityPlan(sum(pieces), 60)
    cells = random_cells(plan.sources, seed)
    ends = np.cumsum(pieces).tolist()
    encoder = ParityEncoder(plan, SIZE)
    for i in np.random.default_rng(seed).permutation(len(pieces)).tolist():
        encoder.add(ends[i] - pieces[i], cells[ends[i] - pieces[i] : ends[i]])
    assert np.array_equal(encoder.finish().reshape(-1, SIZE)[: plan.parities], encoded(plan, cells))


def test_no_plan_of_nothing() -> None:
    with pytest.raises(ValueError, match="are no code"):
        ParityPlan(0, 1)
