"""The probabilities of ``benchmarks/durability.py``: its formulas, and that what it measures is damage."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.durability import Assumed, Measured, damage_rate, measure, yearly_loss

ASSUMED = Assumed(lost=0.02, noticed=0.01)


def test_one_copy_is_lost_as_often_as_it_fails() -> None:
    assert yearly_loss(0.01, ASSUMED, 1, 0.5) == pytest.approx(1 - math.exp(-0.03))
    assert yearly_loss(0.0, replace(ASSUMED, lost=0.0), 1, 0.5) == 0


@pytest.mark.parametrize("copies", [2, 3])
def test_all_copies_at_once_as_in_a_simulation(copies: int) -> None:
    """Rates a hundred times as high as real ones, so that a simulation meets the case often enough."""
    assumed, damage, scrub, years = Assumed(lost=1.5, noticed=0.02), 1.0, 0.1, 20_000
    chance = random.Random(7)
    events = []
    for copy in range(copies):
        for rate, is_damage in ((assumed.lost, False), (damage, True)):
            moment = chance.expovariate(rate)
            while moment < years:
                back = (moment // scrub + 1) * scrub if is_damage else moment + assumed.noticed
                events.append((moment, back, copy))
                moment += chance.expovariate(rate)
    missing, lost = [0.0] * copies, 0
    for moment, back, copy in sorted(events):
        was_there = missing[copy] <= moment
        missing[copy] = max(missing[copy], back)
        lost += was_there and all(until > moment for until in missing)
    expected = -math.log1p(-yearly_loss(damage, assumed, copies, scrub)) * years
    assert lost == pytest.approx(expected, rel=0.2)


def test_what_is_common_is_not_helped_by_copies() -> None:
    common = replace(ASSUMED, common=0.1)
    losses = [yearly_loss(0.01, common, copies, 0.1) for copies in (1, 2, 3)]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] == pytest.approx(0.002, rel=0.01)


def test_nothing_lost_in_some_trials_is_no_proof() -> None:
    measured = Measured(0.0, 0.0, 0.5, 100, (0, 0, 50)).bounded()
    assert measured.small == pytest.approx(0.0295, rel=0.01)
    assert measured.large == 0.5
    assert measured.footprint == pytest.approx(121, rel=0.01)
    rate = damage_rate(measured, Assumed(sectors=1e6, small=0.1, large=0.01))
    assert rate == pytest.approx(1e6 * 121 / 1e12 + 0.1 * 0.0295 + 0.005, rel=0.02)


@pytest.mark.damages
def test_repair_is_measured(tmp_path: Path) -> None:
    none, archive = (measure(level, 2, 1, tmp_path, 500) for level in ("none", "archive"))
    assert none.small > 0
    assert none.large > 0
    assert archive == Measured(0.0, 0.0, 0.0, 2, (0, 0, 0))
