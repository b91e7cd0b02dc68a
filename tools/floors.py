"""Where the boxes of a picture stand: floors by what imports what, then places that keep arrows short.

The method is Sugiyama's (1981). A node stands one floor above the highest that it points to. An arrow that
passes a floor has a bend there. The order on a floor follows the mean of the neighbours, and places are a
least-squares fit to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from tools.imports import circles

SWEEPS = 60
GAP = 16.0
#: How much a box that its neighbours draw away stays near the middle of the picture.
PULL = 0.06
#: What an arrow that passes a floor takes there.
BEND_WIDTH = 6.0

#: A box is its name; a bend is (source, target, floor).
Point = str | tuple[str, str, int]


@dataclass(frozen=True)
class Layout:
    """The floor of each box, the arrows that are drawn, and the x of the middle of every box and bend."""

    floor: Mapping[str, int]
    arrows: frozenset[tuple[str, str]]
    places: Mapping[Point, float]
    width: float

    def bends(self, source: str, target: str) -> list[Point]:
        """The points of an arrow between its two boxes, from the top."""
        return [(source, target, floor) for floor in range(self.floor[source] - 1, self.floor[target], -1)]


def lay_out(names: Iterable[str], pairs: Iterable[tuple[str, str]], width: Callable[[str], float]) -> Layout:
    """Floors and places of boxes of a given width; arrows that follow from others are left out."""
    leader = {name: name for name in names}
    pairs = set(pairs)
    for group in circles(pairs):
        leader |= dict.fromkeys(group, group[0])
    targets: dict[str, set[str]] = {name: set() for name in leader.values()}
    for source, target in pairs:
        if leader[source] != leader[target]:
            targets[leader[source]].add(leader[target])
    reached: dict[str, set[str]] = {}
    floor: dict[str, int] = {}
    for name in targets:
        _climb(name, targets, reached, floor)
    floors = {name: floor[leader[name]] for name in leader}
    drawn = frozenset(
        (source, target)
        for source, below in targets.items()
        for target in below
        if not any(target in reached[other] for other in below)
    )
    rows = _rows(floors, drawn)
    widths = {point: width(point) if isinstance(point, str) else BEND_WIDTH for row in rows for point in row}
    neighbours = _neighbours(floors, drawn)
    _order(rows, neighbours)
    places = _place(rows, widths, neighbours)
    left = min(place - widths[point] / 2 for point, place in places.items())
    places = {point: place - left for point, place in places.items()}
    return Layout(floors, drawn, places, max(place + widths[point] / 2 for point, place in places.items()))


def _climb(
    name: str, targets: Mapping[str, set[str]], reached: dict[str, set[str]], floor: dict[str, int]
) -> None:
    """Find the floor of a node, and all that can be reached from it, after those of its targets."""
    if name not in floor:
        reached[name], floor[name] = set(targets[name]), 0
        for target in targets[name]:
            _climb(target, targets, reached, floor)
            reached[name] |= reached[target]
            floor[name] = max(floor[name], floor[target] + 1)


def _rows(floor: Mapping[str, int], drawn: Iterable[tuple[str, str]]) -> list[list[Point]]:
    """The points of every floor, boxes in the order of their names, then bends."""
    rows: list[list[Point]] = [[] for _ in range(max(floor.values()) + 1)]
    for name in sorted(floor):
        rows[floor[name]].append(name)
    for source, target in sorted(drawn):
        for level in range(floor[target] + 1, floor[source]):
            rows[level].append((source, target, level))
    return rows


def _neighbours(floor: Mapping[str, int], drawn: Iterable[tuple[str, str]]) -> dict[Point, list[Point]]:
    """What each point is joined to, on the floor above and on the floor below."""
    joined: dict[Point, list[Point]] = {}
    for source, target in sorted(drawn):
        levels = range(floor[source] - 1, floor[target], -1)
        points: list[Point] = [source, *((source, target, level) for level in levels), target]
        for upper, lower in pairwise(points):
            joined.setdefault(upper, []).append(lower)
            joined.setdefault(lower, []).append(upper)
    return joined


def _order(rows: list[list[Point]], neighbours: Mapping[Point, list[Point]]) -> None:
    """Sort each floor by the mean rank of the neighbours, up and down again, so that few arrows cross."""
    rank = {point: index - len(row) / 2 for row in rows for index, point in enumerate(row)}
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            means = {}
            for point in row:
                ranks = [rank[other] for other in neighbours.get(point, ())]
                means[point] = sum(ranks) / len(ranks) if ranks else rank[point]
            row.sort(key=lambda point: means[point])
            rank |= {point: index - len(row) / 2 for index, point in enumerate(row)}


def _place(
    rows: list[list[Point]], widths: Mapping[Point, float], neighbours: Mapping[Point, list[Point]]
) -> dict[Point, float]:
    """The x of every point: near the mean of its neighbours, in the order of its floor, without overlaps."""
    places: dict[Point, float] = {}
    for row in rows:
        places |= _fit(row, widths, dict.fromkeys(row, 0.0))
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = {}
            for point in row:
                near = [places[other] for other in neighbours.get(point, ())]
                wanted[point] = (1 - PULL) * sum(near) / len(near) if near else places[point]
            places |= _fit(row, widths, wanted)
    return places


def _fit(
    row: list[Point], widths: Mapping[Point, float], wanted: Mapping[Point, float]
) -> dict[Point, float]:
    """The places nearest to the wanted ones that keep order and distance: pooling of adjacent violators."""
    shifts = [0.0]
    for one, other in pairwise(row):
        gap = GAP if isinstance(one, str) and isinstance(other, str) else GAP / 2
        shifts.append(shifts[-1] + (widths[one] + widths[other]) / 2 + gap)
    pools: list[tuple[float, float, int]] = []
    for point, shift in zip(row, shifts, strict=True):
        # A bend weighs more than a box: long arrows run straight.
        mean, weight, count = wanted[point] - shift, 1.0 if isinstance(point, str) else 3.0, 1
        while pools and pools[-1][0] > mean:
            other_mean, other_weight, other_count = pools.pop()
            mean = (mean * weight + other_mean * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return {point: mean + shift for point, mean, shift in zip(row, means, shifts, strict=True)}
