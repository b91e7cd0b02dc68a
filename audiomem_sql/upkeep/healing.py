"""Makes the places of a table whole: copies of its file, or of the objects that a manifest names."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.machine.progress import Progress
from audiomem_sql.shards import is_sharded
from audiomem_sql.storage.segment import NumberedElsewhereError
from audiomem_sql.upkeep.heal import Healed, heal_copies
from audiomem_sql.versions import check_alone, open_copies


def heal(places: Sequence[str], progress: Progress | None = None) -> list[Healed]:
    """Write what is damaged in ``places`` anew, from where it is whole; what was done, a place each.

    A place where no file is, or nobody answers, is told, and not filled; but objects of a table with a
    manifest are put where they are missing. StorageError if the places are no copies of one table,
    DamagedFileError if all copies of a file together are not whole; then nothing is written. progress: called
    with places done and in all.
    """
    if is_sharded(places[0]):
        from audiomem_sql.upkeep.heal_stored import heal_stored

        return heal_stored([place.rstrip("/") for place in places], progress)
    for place in places:
        check_alone(place)
    try:
        copies = open_copies(places)
    except NumberedElsewhereError:
        from audiomem_sql.upkeep.heal_stored import heal_stored

        return heal_stored(places, progress)
    return heal_copies(copies, progress)
