"""Making a table in a store: what must be true of the store, and which objects come first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audiomem_sql.errors import AudioMemError, InFile, StorageError, UnsupportedError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.machine.urls import shown
from audiomem_sql.storage.segment import NumberedElsewhereError, open_table_file

if TYPE_CHECKING:
    from audiomem_sql.remote.commits import Committer

#: The stores that were found to keep the conditions of writes, by name, endpoint and all.
_CHECKED: set[object] = set()


class AlreadyThereError(StorageError):
    """Something is where a table is to be made."""


def check_keeps_conditions(url: str) -> None:
    """UnsupportedError unless what is at ``url`` can be written to; tried once for a bucket."""
    from audiomem_sql.remote import RemoteOptions
    from audiomem_sql.remote.commits import check_conditions, table_store
    from audiomem_sql.remote.stores import HTTP, endpoint

    scheme = urlsplit(url).scheme.lower()
    if scheme in HTTP:
        raise UnsupportedError(
            f"{scheme}:// has no conditional writes, so it can only be read",
            file=shown(url),
            remedy="Write to the bucket by its own URL, such as s3://bucket/kb.flac.",
        )
    store, key = table_store(url, RemoteOptions.of_environment().timeout)
    checked = (store.name, endpoint(scheme))
    if checked not in _CHECKED:
        check_conditions(store, key)
        _CHECKED.add(checked)


def make_table(url: str, marker: bytes, begin: Callable[[Committer, bytes], object]) -> None:
    """A table at ``url``, where nothing is: the object that tells other readers of it, then the manifest.

    marker: the bytes of that object. begin: given what commits, and the id of the table, makes the first
    version. AlreadyThereError, and nothing is changed, if something is there.
    """
    from audiomem_sql.remote import RemoteOptions
    from audiomem_sql.remote.commits import Committer, Missing, Refused, table_store

    check_keeps_conditions(url)
    options = RemoteOptions.of_environment()
    store, key = table_store(url, options.timeout)
    committer = Committer(store, key, seconds=max(options.budget, 1.0))
    reader = committer.reader

    def put() -> bool:
        try:
            store.put_if_absent(key, marker)
        except Refused:
            return False
        return True

    table = committer.new_id()
    if not reader.answered(put):
        try:
            manifest = reader.load().manifest
            unfinished, table = manifest.version == 0, manifest.table
        except Missing:  # whoever began was killed, or an answer was lost
            unfinished = _is_marker(url)
            if unfinished and reader.has_segments():
                reader.load()  # raises if it was lost: an empty table in its place would hide the rows
                unfinished = False  # somebody else is making it
        if not unfinished:
            raise AlreadyThereError(
                "the file exists already", file=shown(url), remedy="Open it, or choose another name."
            )
    with InFile(shown(url)):
        try:
            committer.create(table)
            begin(committer, table)
        except AudioMemError:
            if committer.refresh().version:
                raise AlreadyThereError("there is a table already", remedy="Open it.") from None
            raise


def _is_marker(url: str) -> bool:
    """Whether the object at ``url`` only says that a manifest has the table."""
    from audiomem_sql.remote import RemoteFile

    try:
        open_table_file(RemoteFile(url), BlockCache(0)).close()
    except NumberedElsewhereError:
        return True
    except AudioMemError:
        return False
    return False
