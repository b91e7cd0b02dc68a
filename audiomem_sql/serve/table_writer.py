"""Writes to a table that is served: appends that are made once, however often they come, and sources."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.ingest.ingestion import Reading, ingest
from audiomem_sql.ingest.sources import KINDS, Kind, Source
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import NO_ROWIDS

#: Seconds without a write after which the log becomes part of the file.
_IDLE = 1.0
_LONGEST_MESSAGE = 1000
#: Versions in which a key is looked for.
_MOST_VERSIONS = 10_000


@dataclass(frozen=True, slots=True)
class Key:
    """What tells a request from others, and what it said: digests of 16 hexadecimal digits.

    They stand at the end of the message of the version that it made, so that it is made once, whichever
    server it reaches, and whatever happens in between.
    """

    name: str
    content: str

    @classmethod
    def of(cls, token: str | None, key: str, content: bytes) -> Key:
        """That of a key, which a client chose, of a token, and of the content."""
        return cls(sha256(f"{token}\0{key}".encode()).hexdigest()[:16], sha256(content).hexdigest()[:16])

    def in_message(self, message: str | None) -> str:
        """The message of the version that it makes."""
        return f"{message} {self._mark}{self.content})" if message else f"{self._mark}{self.content})"

    @property
    def _mark(self) -> str:
        return f"(idempotency-key {self.name}/"

    def version_in(self, snapshot: Snapshot) -> int | None:
        """The version that it made; None if there is none. Problem 422 if it came with another content."""
        for version in reversed(snapshot.versions[-_MOST_VERSIONS:]):
            _, mark, content = (version.message or "").rpartition(self._mark)
            if mark:
                if content != f"{self.content})":
                    raise Problem(422, "this Idempotency-Key came with other rows before")
                return version.number
        return None


class _RepeatedError(Exception):
    """The same was written before, as version ``version``."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class TableWriter:
    """Writes to ``table``, which is opened for it when the first comes. Safe to use from several threads.

    committed: called with its name after a commit.
    """

    def __init__(self, table: ServedTable, committed: Callable[[str], None]) -> None:
        self._committed = committed
        self._served = table
        self._lock = threading.Lock()
        self._table: Table | None = None
        self._timer: threading.Timer | None = None
        self._closed = False

    def append(self, rows: Any, message: str | None, key: Key | None) -> tuple[int, bool]:
        """(version, whether it was made now) of rows that are added in one commit."""
        if message is not None and len(message) > _LONGEST_MESSAGE:
            raise QueryError(f"the message has more than {_LONGEST_MESSAGE} characters", remedy="Shorten it.")
        table = self._opened()

        def not_made(snapshot: Snapshot) -> I64Array:
            made = None if key is None else key.version_in(snapshot)
            if made is not None:
                raise _RepeatedError(made)
            return NO_ROWIDS

        try:
            said = message if key is None else key.in_message(message)
            version = table.exchange(rows, not_made, message=said)
        except _RepeatedError as repeated:
            return repeated.version, False
        finally:
            self._written()
        return version, True

    def ingest(self, name: str, kind: Kind, content: bytes, reading: Reading) -> Mapping[str, Any]:
        """Bring the rows of the source ``name`` up to date with its ``content``; what became of it."""
        table = self._opened()
        with tempfile.TemporaryDirectory(prefix="audiomem-serve-") as folder:
            extension = next(suffix for suffix, known in KINDS.items() if known == kind)
            path = Path(folder) / f"source{extension}"
            path.write_bytes(content)
            try:
                report = ingest(table, [Source(path, name, len(content), kind)], reading)
            finally:
                self._written()
        if report.skipped:
            raise QueryError(f"the source cannot be read: {report.skipped[0][1]}", remedy="Check its kind.")
        outcome = "new" if report.new else "changed" if report.changed else "unchanged"
        return {
            "version": table.version,
            "source": name,
            "outcome": outcome,
            "rows_added": report.rows_added,
            "rows_removed": report.rows_removed,
        }

    def settle(self) -> None:
        """Make what is in the log part of the file, whoever wrote it, if nobody is writing now."""
        with contextlib.suppress(AudioMemError, Problem):
            self._opened().checkpoint(timeout=1.0)

    def close(self) -> None:
        """Close the table; what is in its log becomes part of the file."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
            table, self._table = self._table, None
        if table is not None:
            table.close()

    def _opened(self) -> Table:
        with self._lock:
            if self._closed:
                raise Problem(503, "the server ends")
            if self._table is None:
                self._table = Table(self._served.place)
            return self._table

    def _written(self) -> None:
        self._committed(self._served.name)
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            if not self._closed:
                self._timer = threading.Timer(_IDLE, self.settle)
                self._timer.daemon = True
                self._timer.start()
