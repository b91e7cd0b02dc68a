"""Tables whose bytes are elsewhere: in object stores and on web servers, named by URL.

- ``RemoteFile`` is an object as a place of bytes (``bytes/source.py``), pinned to one state of it.
- ``RemoteOptions`` are the numbers of how it is read, and ``Counts`` what was asked of the store.
- ``memory_store`` is the store of ``memory://`` URLs, of obstore.
- ``ArchivedError`` is that of an object that must be restored first, ``archived`` makes it,
  ``NoObjectError`` of one that is not there.
- ``replace_object`` puts a file in the place of an object, if that is unchanged.

``tiers`` keeps copies of what was read in nearer places, ``commits`` makes commits in a store.
"""

from audiomem_sql.remote.faults import ArchivedError, NoObjectError, archived
from audiomem_sql.remote.file import RemoteFile
from audiomem_sql.remote.options import RemoteOptions
from audiomem_sql.remote.requests import Counts
from audiomem_sql.remote.rewriting import replace_object
from audiomem_sql.remote.stores import memory_store

__all__ = [
    "ArchivedError",
    "Counts",
    "NoObjectError",
    "RemoteFile",
    "RemoteOptions",
    "archived",
    "memory_store",
    "replace_object",
]
