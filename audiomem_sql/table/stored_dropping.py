"""Deletes a table in a store: the object at its URL, and those that belong to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.errors import AudioMemError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import file_name, is_playlist, shown, without_query
from audiomem_sql.shards import EXTENSION
from audiomem_sql.storage.segment import NumberedElsewhereError, open_table_file
from audiomem_sql.versions import check_keeps_conditions, only_read

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer


def drop_stored(url: str, busy_timeout: float = 0.0, *, only_new: bool = False) -> list[str]:
    """Delete the table at ``url``; the URLs of the objects that are gone. See ``dropping.drop``.

    A table with a manifest is gone when that is replaced by one that says so, by one conditional PUT. Where
    it is interrupted behind that, opening says so, and dropping it again goes on. The manifest tells what
    belongs to the table, so one with damaged segments is dropped as well. A table that is one object is that
    object. Who has the table open gets an error at the next read that needs the store.

    only_new: BusyError if the table has commits behind the one that made it.
    """
    from audiomem_sql.remote import NoObjectError, RemoteOptions
    from audiomem_sql.remote.commits import Committer, Missing, drop_objects, mark_dropped, table_store

    if is_playlist(url):
        raise only_read(url)
    _check_no_part(url)
    check_keeps_conditions(url)
    options = RemoteOptions.of_environment()
    store, key = table_store(url, options.timeout)
    committer = Committer(store, key, seconds=max(busy_timeout, options.budget, 1.0))
    committer.reader.seconds = options.budget
    own = _own_object(url)
    with InFile(shown(url)):
        if own == "table":
            if _has_manifest(committer):
                raise StorageError(
                    "another file is in the place of the object that belongs to "
                    f"{committer.reader.paths.manifest}: it is not clear which of the two is to be deleted",
                    remedy="Delete one of them with the tools of the store.",
                )
            committer.reader.answered(lambda: store.delete(key))
            return [shown(url)]
        try:
            mark_dropped(committer, only_new=only_new)
        except Missing:
            if committer.reader.has_segments():
                raise
            if own is None:
                raise NoObjectError("there is no such table", remedy="Check bucket and key.") from None
            committer.reader.answered(lambda: store.delete(key))  # whoever made it was killed
            return [shown(url)]
        gone = drop_objects(committer, key if own == "marker" else None)
    place = shown(url).removesuffix(key)
    return [place + each for each in gone]


def _check_no_part(url: str) -> None:
    """UnsupportedError for an object that belongs to a table at another URL: a segment, or a shard."""
    from audiomem_sql.remote.commits.paths import epoch_of

    if epoch_of(file_name(url)) is not None:
        raise UnsupportedError(
            "is a segment of a table, which is not deleted by itself",
            file=shown(url),
            remedy="Drop the table by its own URL.",
        )
    if without_query(url).rpartition("/")[0].lower().endswith(EXTENSION):
        raise UnsupportedError(
            "is a part of a sharded table, which is not deleted by itself",
            file=shown(url),
            remedy="Delete all objects of that table.",
        )


def _own_object(url: str) -> str | None:
    """What is at the URL itself: the ``marker`` of a table with a manifest, a whole ``table``, or None.

    NotAudioMemoryError for something else; what the store refuses is raised.
    """
    from audiomem_sql.remote import NoObjectError, RemoteFile

    try:
        open_table_file(RemoteFile(url), BlockCache(0)).close()
    except NumberedElsewhereError:
        return "marker"
    except NoObjectError:
        return None
    return "table"


def _has_manifest(committer: Committer) -> bool:
    """Whether there is a manifest, whatever it says."""
    from audiomem_sql.remote.commits import Missing

    reader = committer.reader
    try:
        reader.answered(lambda: reader.store.get(reader.paths.manifest))
    except Missing:
        return False
    return True


def described(url: str) -> str:
    """What a table is that is to be deleted, and cannot be opened. Raises why it cannot be dropped."""
    from audiomem_sql.remote import RemoteOptions
    from audiomem_sql.remote.commits import DroppedError, ManifestReader, table_store

    options = RemoteOptions.of_environment()
    reader = ManifestReader(*table_store(url, options.timeout), seconds=options.budget)
    try:
        manifest = reader.load().manifest
    except DroppedError:
        return "what is left of a table"
    return f"a table at version {manifest.version:,}, which cannot be read as a whole"


def remove_new_stored(url: str) -> None:
    """Delete a table that was just made, unless somebody else wrote to it; what fails is left."""
    try:
        drop_stored(url, only_new=True)
    except AudioMemError:
        return
