"""Tiers as one cache, the fastest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audiomem_sql.remote.tiers.block import BLOCK_BYTES, Block
from audiomem_sql.remote.tiers.tier import Tier


class Cache:
    """``tiers``, each slower, larger or shared by more than the one before it."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self.tiers = tuple(tiers)

    def get(self, wanted: Mapping[bytes, int], lengths: Mapping[bytes, int]) -> dict[bytes, Block]:
        """What there is of the blocks of these keys, with sectors that are wanted or more.

        wanted: the sectors by key. lengths: of the blocks that are not of BLOCK_BYTES.
        A tier is asked for what the faster ones do not have whole; what it gives, they keep.
        """
        found: dict[bytes, Block] = {}
        missing = list(wanted)
        for place, tier in enumerate(self.tiers):
            if not missing:
                break
            given = {
                key: block
                for key, block in tier.get_many(missing).items()
                if block.fits(lengths.get(key, BLOCK_BYTES))
            }
            hits = [key for key, block in given.items() if block.has(wanted[key])]
            tier.counters.add(
                hits=len(hits),
                misses=len(missing) - len(hits),
                bytes_out=sum(len(block.data) for block in given.values()),
            )
            for key, block in given.items():
                found[key] = found[key].joined(block) if key in found else block
            missing = [key for key in missing if key not in found or not found[key].has(wanted[key])]
            promoted = {key: found[key] for key in given}
            _put(self.tiers[:place], promoted)
        return found

    def put(self, blocks: Mapping[bytes, Block]) -> None:
        """Let every tier keep the blocks."""
        _put(self.tiers, blocks)


def _put(tiers: Sequence[Tier], blocks: Mapping[bytes, Block]) -> None:
    if blocks:
        for tier in tiers:
            tier.counters.add(bytes_in=tier.put_many(blocks))
