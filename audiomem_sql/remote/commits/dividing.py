"""A vacuum that divides: rows that ended go into a segment that old versions alone are read from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from audiomem_sql.remote.commits.changes import NO_COMMIT, Fold, NewSegment, Uploaded
from audiomem_sql.remote.commits.manifest import Manifest, SegmentEntry


@dataclass(frozen=True)
class Divide(Fold):
    """A :class:`Fold` of everything into two segments.

    ended: has the rows that no version from ``until`` on shows, and the joined one the others. time: of the
    version ``until``.
    """

    ended: NewSegment = field(kw_only=True)
    until: int = field(kw_only=True)
    time: int = field(kw_only=True)

    def divided(self, head: Manifest, joined: Uploaded, ended: Uploaded) -> Manifest:
        """``head`` with both segments."""
        newer = self.apply(head, joined)
        made = self.ended
        entry = SegmentEntry(
            ended.name, made.size, ended.mark, made.segment_id, max(newer.oldest, 1), self.until,
            made.rows, made.low_rowid, made.high_rowid, self.time, NO_COMMIT, made.storage_class,
        )  # fmt: skip
        return replace(newer, history=(*newer.history, entry))
