"""Copies of tables whose own file is not all of them: with a log beside it, or deltas in a folder."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass

from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.table.table import Table

#: Seconds for which a copy is served, although there is a newer version.
_SECONDS = 5.0


@dataclass(slots=True)
class _Copy:
    path: str
    version: int
    made: float


class Copies:
    """The newest copy of each table, in a folder that is gone with the server. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._folder: str | None = None
        self._copies: dict[str, _Copy] = {}
        self._count = 0

    def of(self, table: ServedTable) -> str:
        """The path of a copy of ``table``, as it is now, or was some seconds ago."""
        with self._lock:
            lock = self._locks.setdefault(table.name, threading.Lock())
        with lock:
            known = self._copies.get(table.name)
            version = table.reader().version
            if known is not None and (known.version == version or time.monotonic() - known.made < _SECONDS):
                return known.path
            with self._lock:
                if self._folder is None:
                    self._folder = tempfile.mkdtemp(prefix="audiomem-serve-")
                self._count += 1
                path = os.path.join(self._folder, f"{self._count}.flac")
            with Table(table.place) as source:
                copied = source.backup(path)
            self._copies[table.name] = _Copy(path, copied, time.monotonic())
            if known is not None:
                os.unlink(known.path)  # who reads it has it open
            return path

    def known(self, table: ServedTable) -> str | None:
        """The path of the copy that was made last; None if none was."""
        copy = self._copies.get(table.name)
        return None if copy is None else copy.path

    def close(self) -> None:
        """Remove them."""
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
