"""Delta files that a merge or a vacuum replaced: all that they hold is in the files that are in use."""

from __future__ import annotations

from dataclasses import replace

from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import Segment, Version
from audiomem_sql.versions.snapshot import Snapshot


def is_replaced(path: str, snapshot: Snapshot) -> bool:
    """Whether ``snapshot`` has every commit of the delta at ``path`` that is not older than what is kept."""
    try:
        replaced = Segment.open(path, BlockCache(0))
    except AudioMemError:
        return False
    try:
        base = snapshot.segments[0].catalog
        stored = {
            version.number: version for segment in snapshot.segments for version in segment.catalog.versions
        }
        return (
            replaced.catalog.table_id == base.table_id
            and replaced.catalog.last_version <= snapshot.segments[-1].catalog.last_version
            and not any(segment.file.truncated for segment in snapshot.segments)
            and all(
                _is_stored(version, stored)
                if version.number in stored
                else version.number < base.first_version
                for version in replaced.catalog.versions
            )
        )
    finally:
        replaced.close()


def _is_stored(version: Version, stored: dict[int, Version]) -> bool:
    """Whether ``stored`` has ``version``, perhaps with the time that it counts as where times fell."""
    same, before = stored[version.number], stored.get(version.number - 1)
    if same == version or before is None:
        return same == version
    return version.time <= before.time and same == replace(version, time=before.time + 1)
