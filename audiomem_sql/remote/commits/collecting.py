"""Removing what no manifest will name again, by epochs and without a clock.

A collection first raises the epoch. From then on a commit can name only objects that are uploaded under the
new one, so what has an older one, and is not named now, never will be.
"""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.remote.commits.changes import NewEpoch
from audiomem_sql.remote.commits.committer import Committer
from audiomem_sql.remote.commits.paths import epoch_of
from audiomem_sql.remote.commits.store import Missing


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection removed."""

    objects: int
    uploads: int


def collect(committer: Committer) -> Collected:
    """Remove the garbage of the table, and what writers left half-uploaded.

    Objects that were part of a version within the retention stay. A collection that was killed is made up for
    by the next one. BusyError, StorageError if the epoch cannot be raised; Unanswered if the store does not
    answer for long.
    """
    committer.make(NewEpoch(committer.new_id()))
    manifest = committer.refresh()  # of the new epoch, or a later one
    store, paths = committer.store, committer.reader.paths
    answered = committer.reader.answered

    def is_old(key: str) -> bool:
        epoch = epoch_of(key.removeprefix(paths.segments))
        return epoch is not None and epoch < manifest.epoch

    named = {paths.object(name) for name in manifest.names}
    keys = answered(lambda: store.keys(paths.segments))
    garbage = [key for key in keys if is_old(key) and key not in named]
    for key in garbage:
        answered(lambda key=key: store.delete(key))  # type: ignore[misc]
    # Where the object is named, its upload was begun twice.
    left = [upload for upload in answered(lambda: store.uploads(paths.segments)) if is_old(upload.key)]
    for upload in left:
        try:
            answered(lambda upload=upload: store.abort(upload))  # type: ignore[misc]
        except Missing:  # it was completed, or aborted, meanwhile
            continue
    return Collected(len(garbage), len(left))
