"""All that a server has: its tables, tokens, threads and connections."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import OptionError
from audiomem_sql.jobs.queue import Queue
from audiomem_sql.observe import hooks
from audiomem_sql.serve.changes import Changes
from audiomem_sql.serve.copies import Copies
from audiomem_sql.serve.formats import Format
from audiomem_sql.serve.job_queue import jobs_of
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.settings import Settings
from audiomem_sql.serve.sound import Looks
from audiomem_sql.serve.sql_guard import bound_memory
from audiomem_sql.serve.sql_pool import SqlPool
from audiomem_sql.serve.streaming import Made, Streamed
from audiomem_sql.serve.streams import Streams
from audiomem_sql.serve.table_writer import TableWriter
from audiomem_sql.serve.tokens import TokenFile
from audiomem_sql.serve.work import Job, Workers

LOGGER = logging.getLogger("audiomem.serve")


class Service:
    """The tables in ``places``, as ``settings`` say. A context manager, which closes all of it.

    OptionError for two tables of one name, and what opening a table raises.
    """

    def __init__(self, places: Sequence[str], settings: Settings) -> None:
        self.settings = settings
        self.tokens = None if settings.tokens is None else TokenFile(settings.tokens)
        self.tables: dict[str, ServedTable] = {}
        self.writers: dict[str, TableWriter] = {}
        self.copies = Copies()
        self.streams = Streams()
        self.looks = Looks()
        limits = settings.limits
        self.workers = Workers(limits.threads, limits.waiting, limits.waiting_seconds)
        self.sql = SqlPool(limits, 4 * limits.threads)
        self.jobs: Queue | None = None
        self.changes = Changes(self.tables, settings.changes)
        self._memory_before: int | None = None
        try:
            self._open(places)
            if settings.writable:
                self.jobs = jobs_of(settings, self.tables, self.changes)
        except BaseException:
            self.close()
            raise
        self._memory_before = bound_memory(settings.limits.memory_bytes)
        hooks.refreshes.append(self._refresh)

    def _open(self, places: Sequence[str]) -> None:
        folded: dict[str, str] = {}
        for place in places:
            table = ServedTable(place)
            other = folded.setdefault(fold(table.name), place)
            if other is not place:
                table.close()
                raise OptionError(
                    f"{other} and {place} would both be the table {table.name}", remedy="Rename one of them."
                )
            self.tables[table.name] = table
            if self.settings.writable:
                self.writers[table.name] = TableWriter(table, self.changes.look)

    def job(self) -> Job:
        """New work."""
        return Job(self.settings.limits.statement_seconds)

    def streamed(self, job: Job, make: Callable[[], Made], *, most: int | None = None) -> Streamed:
        """The answer that ``make`` makes. most: bytes of it, by default as the limits have it."""
        limits = self.settings.limits
        bytes_limit = limits.response_bytes if most is None else most
        return Streamed(self.workers, job, make, seconds=limits.response_seconds, most=bytes_limit or None)

    def hide(self, text: str) -> str:
        """``text`` with the names of tables in the place of where they are."""
        for table in self.tables.values():
            for name in table.names:
                text = text.replace(name, table.name)
        return text

    def note(self, error: BaseException) -> None:
        """Log a fault of the server's own."""
        LOGGER.error("%s: %s", type(error).__name__, error, exc_info=error)

    def _refresh(self) -> None:
        """Load what was committed, for metrics; a store is asked as seldom as for requests."""
        for table in self.tables.values():
            table.is_ready()

    def close(self) -> None:
        """End the work, write what is in logs to the tables, close the files."""
        with contextlib.suppress(ValueError):
            hooks.refreshes.remove(self._refresh)
        self.workers.close()
        if self.jobs is not None:
            self.jobs.close()
        self.changes.close()
        self.sql.close()
        for writer in self.writers.values():
            writer.close()
        for table in self.tables.values():
            table.close()
        self.streams.close()
        self.copies.close()
        if self._memory_before is not None:
            bound_memory(self._memory_before)
            self._memory_before = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def headers_of(form: Format, version: int | None = None, **more: str) -> Mapping[str, str]:
    """The headers of an answer in a format."""
    headers = {
        "Content-Type": form.content_type,
        "Vary": "Accept, Authorization",
        "Cache-Control": "no-store",
    }
    if version is not None:
        headers["Audiomem-Version"] = str(version)
    return headers | more
