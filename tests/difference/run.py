"""Runs cases: one seed is one case."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field

from vtab.test_conformance import small_blocks

from .sides import Sides
from .steps import Difference, Step, Tally
from .world import World

#: Statements of a case beside those that make its schema.
LENGTH = 400


@dataclass
class Case:
    """What became of a case."""

    seed: int
    tally: Tally = field(default_factory=Tally)
    difference: str = ""
    steps: list[Step] = field(default_factory=list)
    extension: bool = True
    small: bool = False


def run(seed: int, length: int = LENGTH) -> Case:
    """One case, to its end or to the first difference."""
    case = Case(seed)
    world = World(seed, case.tally)
    with world.sides, small_blocks(world.small):
        case.extension, case.small = world.sides.extension, world.small
        try:
            world.create()
            for _ in range(length):
                world.next()
            world.finish()
        except Difference as difference:
            case.difference = str(difference)
        except Exception:
            case.difference = traceback.format_exc()
        case.steps = world.sides.steps
    return case


def replay(steps: list[Step], extension: bool, small: bool) -> str:
    """The first difference of these steps, or an empty text."""
    with Sides(extension) as sides, small_blocks(small):
        try:
            for step in steps:
                sides.step(step)
            if not sides.ours.in_transaction:
                sides.verify()
        except Difference as difference:
            return str(difference)
    return ""


def minimise(case: Case) -> list[Step]:
    """Fewer steps that end in the same statement's difference."""

    def fails(steps: list[Step]) -> bool:
        found = replay(steps, case.extension, case.small)
        return bool(found) and found.partition("\n")[0] == first

    first = replay(case.steps, case.extension, case.small).partition("\n")[0]
    steps = list(case.steps)
    if not first:
        return steps
    size = len(steps) // 2
    while size:
        place = 0
        while place < len(steps):
            fewer = steps[:place] + steps[place + size :]
            if fails(fewer):
                steps = fewer
            else:
                place += size
        size //= 2
    return steps
