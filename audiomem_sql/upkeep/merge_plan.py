"""Which deltas become one: those of like size, a few at a time.

A merge can only take the newest deltas, all of them from one on, since the versions of a segment follow each
other. A delta is of tier t when its weight is at least ``fan`` to the power of t, in units. Let S(t) be the
newest deltas of tier t or less, up to the first that is larger. It becomes one delta when

- ``fan`` of it are of tier t: the new one is of a higher tier. Deltas of like size are merged in this way,
  and each row is written again once in a tier;
- or it has more deltas than ``fan - 1`` of each tier: small ones in front of large ones would pile up.

So there are at most ``fan - 1`` deltas of each tier, which is logarithmic in the bytes, and each row is
written again at most ``fan + 1`` times in a tier, whatever the sizes are.
"""

from __future__ import annotations

from collections.abc import Sequence

#: What a tier begins with, and what each version counts for besides the bytes of its rows.
UNIT_BYTES = 1 << 10


def weight_of(data_bytes: int, versions: int) -> int:
    """What a delta counts for: that of a merged one is the sum of those in it."""
    return data_bytes + UNIT_BYTES * max(versions, 1)


def tier_of(weight: int, fan: int) -> int:
    """The tier of a delta."""
    tier, units = 0, weight // UNIT_BYTES
    while units >= fan:
        units //= fan
        tier += 1
    return tier


def merged_from(weights: Sequence[int], fan: int, most: int | None = None) -> int | None:
    """The first of the deltas that are to become one together with all behind it; None for no merge.

    weights: oldest first. most: the weight of what becomes one; None for any.
    """
    tiers = [tier_of(weight, fan) for weight in weights]
    for tier in sorted(set(tiers), reverse=True):
        first, total, alike = len(tiers), 0, 0
        while first and tiers[first - 1] <= tier and (most is None or total + weights[first - 1] <= most):
            first -= 1
            total += weights[first]
            alike += tiers[first] == tier
        if alike >= fan or len(tiers) - first > (fan - 1) * (tier + 1):
            return first
    return None
