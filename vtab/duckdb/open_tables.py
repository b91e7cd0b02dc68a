"""Tables that are kept open from statement to statement, where a database names each by its path alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime

from audiomem_sql.machine.file_names import place_of
from audiomem_sql.table.reader import TableReader

#: Tables that are kept open; each has a file or a few, and its blocks in the cache that all tables share.
KEPT = 32


class OpenTables:
    """Readers by path, those that were used last. Safe to use from several threads."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        #: By path, replicas, and whether it is read in part: the reader, and the view of its newest version.
        self._readers: OrderedDict[tuple[str, str, bool], tuple[TableReader, TableReader]] = OrderedDict()
        self._lock = threading.Lock()

    def at(
        self,
        path: str,
        version: int | str | None = None,
        as_of: str | datetime | None = None,
        replicas: str | None = None,
        *,
        partial: bool = False,
    ) -> TableReader:
        """The table at ``path`` with the commits that there are now, or at a version; it stays as it is.

        replicas: where else its file is, as text with commas. partial: all of it may not have arrived. The
        reader shares its files with others, and must not be closed: they are when nobody has them any more.
        Raises what :class:`~audiomem_sql.table.reader.TableReader` raises.
        """
        key = place_of(path), replicas or "", partial
        with self._lock:
            # taken out first: what cannot be read any more is opened anew the next time
            reader, newest = self._readers.pop(key, (None, None))
            if reader is None:
                reader = TableReader(path, replicas=replicas, partial=partial)
                newest = reader.pinned()
            elif reader.refresh() or newest is None:
                newest = reader.pinned()
            view = newest if version is None and as_of is None else reader.pinned(version, as_of)
            self._readers[key] = reader, newest
            if len(self._readers) > self._kept:
                self._readers.popitem(last=False)
        return view
