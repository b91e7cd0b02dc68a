"""Tables whose bytes are elsewhere: in object stores and on web servers, named by URL.

- ``RemoteFile`` is an object as a place of bytes (``bytes/source.py``), pinned to one state of it.
- ``RemoteOptions`` are the numbers of how it is read, and ``Counts`` what was asked of the store.
- ``memory_store`` is the store of ``memory://`` URLs, of obstore.

``tiers`` keeps copies of what was read in nearer places, ``commits`` makes commits in a store.
"""

from audiomem_sql.remote.file import RemoteFile
from audiomem_sql.remote.options import RemoteOptions
from audiomem_sql.remote.requests import Counts
from audiomem_sql.remote.stores import memory_store

__all__ = ["Counts", "RemoteFile", "RemoteOptions", "memory_store"]
