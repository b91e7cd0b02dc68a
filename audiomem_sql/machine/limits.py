"""The limits of a profile besides its sound.

How hard it compresses, how many threads it uses, and what it keeps in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

KIB, MIB = 1 << 10, 1 << 20
#: Of the memory, the part that decoded blocks may take.
_CACHE_SHARE = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one profile; by default of desktop.

    None of it is needed to read a file: other limits only make other blocks.

    block_bytes: of values in a block, before compression. level, vacuum_level: of zstd, for commits where a
    table says nothing else, and for a vacuum. threads: that compress. sample_bytes: of rows held back to
    choose dictionaries from. cache_bytes: of decoded blocks that are kept, and cache_most: where an eighth of
    the memory is more, up to which part of that. log_bytes: of commits that wait in the log, as rows, to
    become a segment. spool_bytes: of a segment that is being written, before it goes to a temporary file.
    window_bytes: of rows that a merge or a vacuum has in
    its hands. batch_bytes: of rows that a scan decodes at once. ahead: whether it decodes the next on another
    thread. parity_bytes: of parity that is worked out in one pass over a segment. vector_bytes: of the
    vectors of a table that are compared with each other, before they go to a temporary file. sparing: give
    memory back to the system early (see :mod:`audiomem_sql.machine.malloc`).
    """

    block_bytes: int = 128 * KIB
    level: int = 9
    vacuum_level: int = 19
    threads: int = 64
    sample_bytes: int = 48 * MIB
    cache_bytes: int = 64 * MIB
    cache_most: int = 1024 * MIB
    log_bytes: int = 8 * MIB
    spool_bytes: int = 8 * MIB
    window_bytes: int = 8 * MIB
    batch_bytes: int = 1 * MIB
    ahead: bool = True
    parity_bytes: int = 256 * MIB
    vector_bytes: int = 256 * MIB
    sparing: bool = False


LIMITS: Mapping[str, Limits] = MappingProxyType(
    {
        "server": Limits(block_bytes=256 * KIB, level=12, cache_bytes=256 * MIB),
        "desktop": Limits(),
        "mobile": Limits(
            block_bytes=64 * KIB,
            level=7,
            threads=2,
            sample_bytes=16 * MIB,
            cache_bytes=16 * MIB,
            cache_most=16 * MIB,
            log_bytes=2 * MIB,
            spool_bytes=4 * MIB,
            window_bytes=4 * MIB,
            parity_bytes=64 * MIB,
            vector_bytes=64 * MIB,
        ),
        "embedded": Limits(
            block_bytes=32 * KIB,
            level=6,
            vacuum_level=15,
            threads=1,
            sample_bytes=2 * MIB,
            cache_bytes=4 * MIB,
            cache_most=4 * MIB,
            log_bytes=1 * MIB,
            spool_bytes=512 * KIB,
            window_bytes=1 * MIB,
            batch_bytes=256 * KIB,
            ahead=False,
            parity_bytes=4 * MIB,
            vector_bytes=8 * MIB,
            sparing=True,
        ),
    }
)
DEFAULT = "desktop"


def limits_of(profile: object) -> Limits:
    """Of the profile that a catalog names; the default's for a name of another version, or none."""
    return LIMITS[profile] if isinstance(profile, str) and profile in LIMITS else LIMITS[DEFAULT]


@cache
def cache_room(limits: Limits) -> int:
    """Bytes of decoded blocks that are kept on this machine, or in this container."""
    if limits.cache_most <= limits.cache_bytes:
        return limits.cache_bytes  # without the modules that know the memory: they take some themselves
    from audiomem_sql.machine.hardware import total_memory

    return max(limits.cache_bytes, min(total_memory() // _CACHE_SHARE, limits.cache_most))
