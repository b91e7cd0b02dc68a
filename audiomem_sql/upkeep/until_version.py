"""What a table had up to one of its versions: rows, changes of the columns, sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiomem_sql.columns.batch import Batch
from audiomem_sql.columns.selection import taken
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.segment import NEVER, NO_HISTORY, ReadableSegment, SchemaHistory
from audiomem_sql.versions import Snapshot, VersionedBatch, known_sources, segment_sources


def history_until(snapshot: Snapshot) -> SchemaHistory:
    """How the columns changed up to the version of ``snapshot``."""
    first, last = snapshot.versions[0].number, snapshot.version
    schemas = tuple((max(start, first), schema) for start, schema in snapshot.schemas if start <= last)
    migrations = tuple(step for step in snapshot.migrations if step.version <= last)
    if len(schemas) < 2 and not migrations:
        return NO_HISTORY
    return SchemaHistory(schemas if len(schemas) > 1 else (), migrations, snapshot.next_column)


def sources_until(
    segments: Sequence[ReadableSegment], commits: Sequence[LogRecord], last: int
) -> dict[str, bytes]:
    """What was ingested up to version ``last``.

    A segment with versions on both sides of it does not say which of its sources came before: they are left
    out, and read again when they are ingested the next time.
    """
    whole = [segment for segment in segments if segment.catalog.last_version <= last]
    unclear = {name for segment in segments if segment not in whole for name in segment_sources(segment)}
    known = known_sources(whole, commits)
    return {name: digest for name, digest in known.items() if name not in unclear}


def shown_until(rows: VersionedBatch, last: int) -> VersionedBatch | None:
    """The rows that were made up to version ``last``; those that ended later have not."""
    ended = np.where(rows.ended > last, NEVER, rows.ended)
    chosen = np.flatnonzero(rows.created <= last)
    if len(chosen) == len(rows.created):
        return VersionedBatch(rows.batch, rows.created, ended)
    if not len(chosen):
        return None
    arrays = tuple(taken(array, chosen) for array in rows.batch.arrays)
    return VersionedBatch(Batch(rows.batch.rowids[chosen], arrays), rows.created[chosen], ended[chosen])
