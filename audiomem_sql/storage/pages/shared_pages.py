"""The pages of a file that has several segments: each of them reads these, and the last one closes them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from audiomem_sql.audio import PageSource
from audiomem_sql.errors import AudioMemError


class SharedPages:
    """``source``, counted by those who took it. Safe to use from several threads."""

    def __init__(self, source: PageSource) -> None:
        self.source = source
        #: Rises whenever ``source`` is another one.
        self.generation = 0
        #: Bytes of all catalogs that were unpacked of the file.
        self.catalog_bytes = 0
        self._replaced: list[PageSource] = []
        self._takers = 0
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._looked = False

    def take(self) -> SharedPages:
        """Count one more who reads the pages, until :meth:`release`."""
        with self._lock:
            self._takers += 1
        return self

    def release(self) -> None:
        """Close the file if nobody else reads it."""
        with self._lock:
            self._takers -= 1
            if self._takers > 0:
                return
        for source in (self.source, *self._replaced):
            source.close()

    def look_again(self, pages: int, whole: Callable[[PageSource], int]) -> bool:
        """Look for the pages anew, once: bytes may have been put in and taken out.

        pages: of the file. whole: counts what is intact as a source reads it. True if that found more.
        """
        with self._looking:
            if self._looked or not self.source.in_place:
                return False
            self._looked = True
            from audiomem_sql.audio import rescan

            try:
                source = rescan(self.source.file.reopen(), self.source.profile, pages, self.source.mode)
            except AudioMemError:
                return False
            if whole(source) > whole(self.source):
                self._replaced.append(self.source)
                self.source = source
                self.generation += 1
                return True
            source.close()
            return False
