"""What is wrong with a table's file outside its segments: its front, what stands behind them, their order."""

from __future__ import annotations

from collections.abc import Iterator

from audiomem_sql.storage.segment import TableFile

#: The page, what it is, and what brings it back, as in :class:`audiomem_sql.upkeep.verify.Problem`.
Fault = tuple[int | None, str, str | None]


def file_faults(file: TableFile | None) -> Iterator[Fault]:
    """Every such fault.

    A front that is only behind is none: a crash leaves it, and the next commit heals it.
    """
    if file is None:
        return
    front, newest = file.front, file.newest
    ends = f"version {newest.catalog.last_version} of segment {newest.catalog.segment_id.hex()}"
    if front is not None and front.table_id != newest.catalog.table_id:
        yield None, f"the front of the file is of another table, {front.table_id.hex()}", "file"
    elif (
        front is not None
        and front.segment_id != newest.catalog.segment_id
        and (file.mixed or front.generation >= file.generation)
    ):
        told = f"version {front.last_version} of segment {front.segment_id.hex()}"
        what = f"the front of the file is of another state: it ends with {told}, but the file with {ends}"
        yield None, what, "file"
    if file.torn:
        first = file.stop + (file.announced is not None)
        last = newest.file.source.present - 1
        what = "pages of a segment that was never finished; the next fold removes them"
        yield first, f"from here to page {last}: {what}", "file"
    generation = 0
    for segment in file.segments:
        seal = segment.catalog.seal
        if seal is not None and seal.generation <= generation:
            what = f"segment {segment.catalog.segment_id.hex()} has generation {seal.generation}"
            yield segment.file.first, f"{what}, and the one before it {generation}", None
        generation = 0 if seal is None else seal.generation
