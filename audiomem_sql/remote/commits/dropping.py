"""Deleting a table in a store: first its manifest is replaced by one that says so, last it is deleted.

From the replacement on nobody opens the table, or commits to it. Whoever is killed before the end leaves what
:func:`drop_objects` goes on to delete.
"""

from __future__ import annotations

import re

from audiomem_sql.errors import BusyError, InFile, StorageError
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.remote.commits.committer import Committer
from audiomem_sql.remote.commits.manifest_bytes import pack_dropped
from audiomem_sql.remote.commits.paths import epoch_of
from audiomem_sql.remote.commits.reading import DroppedError
from audiomem_sql.remote.commits.store import Missing, Refused, Unanswered
from audiomem_sql.remote.commits.waiting import Patience

#: Objects that are deleted at the same time.
_AT_ONCE = 16
#: What ``probing`` leaves where it is killed, behind the folder of the table.
_PROBE = re.compile(r"probe-[0-9a-f]{32}")


def mark_dropped(committer: Committer, *, only_new: bool = False) -> None:
    """Let the manifest say that the table is being deleted; nothing happens if it says so.

    only_new: BusyError if there are commits behind the one that made the table.
    Missing where there is no manifest, DamagedFileError for one that cannot be read, BusyError where others
    go on committing or hold a lease, Unanswered if the store does not answer. Nothing is changed then, unless
    the last answer was lost.
    """
    reader, store = committer.reader, committer.store
    patience = Patience(committer.seconds, committer.surroundings)
    with InFile(reader.where):
        while True:
            try:
                head = reader.load()
            except DroppedError:
                return
            if only_new and head.manifest.version > 1:
                raise BusyError(
                    "somebody has written to the new table", remedy="Drop it if it is not wanted."
                )
            if head.manifest.writer not in (None, committer.writer):
                raise BusyError(
                    "another writer alone may write to the table", remedy="Wait until it is done."
                )
            try:
                store.put_if_match(reader.paths.manifest, pack_dropped(head.manifest), head.mark)
            except Refused as error:
                if not patience.wait():
                    raise BusyError("other writers were faster each time", remedy="Try again.") from error
            except Unanswered:
                if not patience.wait():
                    raise
            else:
                return


def drop_objects(committer: Committer, own: str | None) -> list[str]:
    """Delete the objects of a table that ``mark_dropped`` marked, the manifest last; their keys.

    own: the key of the object that tells readers of the manifest; None where something else is there, or
    nothing. Only names that objects of tables have are deleted. StorageError, with the first key that stays,
    for what the store refuses; then the manifest stays, too, and says that the table is being deleted.
    """
    reader, store, paths = committer.reader, committer.store, committer.reader.paths
    answered = reader.answered
    with InFile(reader.where):
        keys = [
            key
            for key in answered(lambda: store.keys(paths.folder))
            if epoch_of(key.removeprefix(paths.segments)) is not None
            or _PROBE.fullmatch(key.removeprefix(paths.folder))
        ]
        for upload in answered(lambda: store.uploads(paths.segments)):
            try:
                answered(lambda upload=upload: store.abort(upload))  # type: ignore[misc]
            except Missing:  # it was completed, or aborted, meanwhile
                continue
        keys += [] if own is None else [own]

        def delete(key: str) -> None:
            try:
                answered(lambda: store.delete(key))
            except StorageError as error:
                raise StorageError(
                    f"the table is deleted, but {key} stays of it: {error.what}",
                    remedy="See to it that it may be deleted, and drop the table again.",
                ) from error

        if keys:
            with ThreadPool(min(len(keys), _AT_ONCE), "drop") as pool:
                list(pool.map(delete, keys))
        delete(paths.manifest)
    return [*keys, paths.manifest]
