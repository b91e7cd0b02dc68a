"""Which shard each bucket is to be in: so many in each shard, or half of those of one shard in a new one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audiomem_sql.errors import OptionError
from audiomem_sql.shards import BUCKETS, MAX_SHARDS, Manifest

Buckets = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a table's shards are to be like: one of these, or none to go on with what was begun.

    to: so many shards with as many buckets each. weights: a shard for each, with buckets in proportion.
    split: the number of a shard, half of whose buckets go to a new one.
    """

    to: int | None = None
    weights: tuple[float, ...] | None = None
    split: int | None = None

    @classmethod
    def of(cls, to: Any, weights: Any, split: Any) -> Wish:
        """Checked. OptionError for what no table can have, or several wishes."""
        if sum(each is not None for each in (to, weights, split)) > 1:
            raise OptionError("to, weights and split exclude each other", remedy="Pass one of them.")
        if weights is not None:
            weights = _checked_weights(weights)
            return cls(len(weights), weights)
        for number, least in ((to, 1), (split, 0)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise OptionError(f"{number!r:.60} is no number of shards, or of a shard")
            if number is not None and not least <= number < least + MAX_SHARDS:
                raise OptionError(f"a table has 1 to {MAX_SHARDS:,} shards, not {number!r:.60}")
        return cls(to, None, split)

    def target(self, manifest: Manifest) -> Buckets:
        """The shard that each bucket is to be in. OptionError for a shard that cannot be split."""
        now, begun = manifest.shard_of_bucket, manifest.target
        if self.weights is not None:
            return weighted(now, self.weights)
        if self.to is not None:
            return balanced(now, self.to)
        if self.split is None:
            if begun is None:
                raise OptionError(
                    "nothing was begun that could go on",
                    remedy="Say how many shards there are to be: --to 24.",
                )
            return begun
        if begun is not None and is_split(now, begun, self.split, len(manifest.shards) - 1):
            return begun
        return halved(begun or now, self.split, len(manifest.shards))


def _checked_weights(weights: Any) -> tuple[float, ...]:
    """As floats. OptionError for what are no weights."""
    remedy = "Pass a number for each shard, such as 2,1,1,1."
    if isinstance(weights, str) or not isinstance(weights, Sequence):
        raise OptionError(f"{weights!r:.60} are no weights", remedy=remedy)
    for weight in weights:
        number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not number or not 0 <= weight < math.inf:
            raise OptionError(f"{weight!r:.60} is no weight of a shard", remedy=remedy)
    if not 1 <= len(weights) <= MAX_SHARDS:
        raise OptionError(f"a table has 1 to {MAX_SHARDS:,} shards, not {len(weights):,}", remedy=remedy)
    most = max(map(float, weights))
    if not most:
        raise OptionError("no shard has a weight above 0", remedy=remedy)
    return tuple(float(weight) / most for weight in weights)


def balanced(table: Sequence[int], shards: int) -> Buckets:
    """The shard of each bucket with ``shards`` shards of as many buckets, of which as few as can be move."""
    return weighted(table, (1.0,) * shards)


def weighted(table: Sequence[int], weights: Sequence[float]) -> Buckets:
    """The shard of each bucket with a shard for each of ``weights``, of which as few as can be move.

    Each has buckets in proportion to its weight, rounded.
    """
    shards = len(weights)
    kept: list[list[int]] = [[] for _ in range(shards)]
    left: list[int] = []
    for bucket, shard in enumerate(table):
        (kept[shard] if shard < shards else left).append(bucket)
    quotas = _quotas(len(table), weights, [len(buckets) for buckets in kept])
    for shard, buckets in enumerate(kept):
        left += buckets[quotas[shard] :]
        del buckets[quotas[shard] :]
    left.sort()
    for shard, buckets in enumerate(kept):
        wanted = quotas[shard] - len(buckets)
        buckets += left[:wanted]
        del left[:wanted]
    target = list(table)
    for shard, buckets in enumerate(kept):
        for bucket in buckets:
            target[bucket] = shard
    return tuple(target)


def _quotas(buckets: int, weights: Sequence[float], counts: Sequence[int]) -> list[int]:
    """How many of ``buckets`` each shard gets, by the largest remainders; of equal ones, who has most now."""
    total = math.fsum(weights)
    shares = [buckets * weight / total for weight in weights]
    quotas = [math.floor(share) for share in shares]
    order = sorted(range(len(weights)), key=lambda shard: (quotas[shard] - shares[shard], -counts[shard]))
    for shard in order[: buckets - sum(quotas)]:
        quotas[shard] += 1
    return quotas


def halved(table: Sequence[int], shard: int, new: int) -> Buckets:
    """With every other bucket of ``shard`` in the shard ``new``. OptionError if that cannot be."""
    buckets = [bucket for bucket, owner in enumerate(table) if owner == shard]
    if len(buckets) < 2:
        raise OptionError(
            f"shard {shard} cannot be split: it has {len(buckets)} of the {BUCKETS:,} buckets",
            remedy=f"Name one of the shards that have rows, 0 to {max(table)}.",
        )
    if new >= MAX_SHARDS:
        raise OptionError(f"a table has 1 to {MAX_SHARDS:,} shards, not {new + 1:,}")
    target = list(table)
    for bucket in buckets[1::2]:
        target[bucket] = new
    return tuple(target)


def is_split(now: Sequence[int], target: Sequence[int], shard: int, new: int) -> bool:
    """Whether ``target`` is ``shard`` split into itself and ``new``, and nothing else is left to be moved."""
    if new not in target or any(
        pair[0] != pair[1] and pair != (shard, new) for pair in zip(now, target, strict=True)
    ):
        return False
    before = [shard if owner == new else owner for owner in target]
    return shard in target and halved(before, shard, new) == tuple(target)
