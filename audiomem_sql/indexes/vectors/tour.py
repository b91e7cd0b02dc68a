"""An order of lists in which neighbours are near each other.

A search looks through the lists that are nearest to its query. Where lists follow a short way through their
centres, these stand in few stretches, and each stretch is one read. The way goes to the nearest centre that
is left, and is then made shorter by turning parts of it around (2-opt; Croes 1958).
"""

from __future__ import annotations

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.machine.interrupts import check_interrupt

#: With more centres the distances of all pairs are not kept, and no part is turned around.
_MOST_TURNED = 2048
_ROUNDS = 12


def tour(centres: F32Array) -> I64Array:
    """A short way through all of float32 (n, d) centres: their numbers, int64 (n,)."""
    squares = np.einsum("ij,ij->i", centres, centres)
    order = _to_the_nearest(centres, squares)
    if 3 < len(order) <= _MOST_TURNED:
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * (centres @ centres.T), 0))
        _turn_around(order, distances)
    return order


def _to_the_nearest(centres: F32Array, squares: F32Array) -> I64Array:
    """From the centre that is farthest from their mean always to the nearest one that is left."""
    order = np.empty(len(centres), np.int64)
    if not len(centres):
        return order
    left = np.zeros(len(centres), np.float32)  # infinite for those that were visited
    here = int(np.square(centres - centres.mean(axis=0)).sum(axis=1).argmax())
    for place in range(len(centres)):
        if not place % 256:
            check_interrupt()
        order[place] = here
        left[here] = np.inf
        here = int((squares - 2 * (centres @ centres[here]) + left).argmin())
    return order


def _turn_around(order: I64Array, distances: F32Array) -> None:
    """Turn parts of a way around, in place, as long as that makes it shorter."""
    for _ in range(_ROUNDS):
        check_interrupt()
        shorter = False
        for before in range(len(order) - 2):
            here, following = order[before], order[before + 1]
            ends, behind = order[before + 2 : -1], order[before + 3 :]
            gains = distances[here, following] - distances[here, order[before + 2 :]]
            gains[:-1] += distances[ends, behind] - distances[following, behind]
            best = int(gains.argmax())
            if gains[best] > 1e-6:
                stop = before + 3 + best
                order[before + 1 : stop] = order[before + 1 : stop][::-1].copy()
                shorter = True
        if not shorter:
            return
