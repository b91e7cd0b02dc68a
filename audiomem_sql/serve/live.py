"""Versions as they are committed: who waits for the next one, and what each one changed.

Nobody has a queue: who follows a table remembers the version that it saw last, and asks for those behind it.
So a slow client costs nothing but its connection, and one that comes again goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import AudioMemError, InFile, QueryError
from audiomem_sql.predicates import ROWID
from audiomem_sql.scan import fetch_rows, filters_of_text
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable, gone
from audiomem_sql.serve.values import column_lists, json_value
from audiomem_sql.storage.segment import Version
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes

if TYPE_CHECKING:
    from audiomem_sql.serve.service import Service

#: Seconds between two looks at a table that is followed.
_POLL = 0.2
#: Most versions that are made into events at once, and most rows that they may have changed.
_VERSIONS, MOST_ROWS = 100, 10_000
_LATER = ("insert", "update_postimage")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an event is to say. rows: also the rows that changed, with ``columns``, if ``where`` holds.

    An image of a row, before or after an update, is listed where it meets the condition itself.
    """

    rows: bool = False
    columns: Sequence[str] | None = None
    where: str | None = None
    parameters: Sequence[Any] = ()

    def check(self, reader: TableReader) -> None:
        """QueryError for columns and conditions that the table does not have."""
        if not self.rows and (self.columns is not None or self.where is not None):
            raise QueryError("columns and where choose rows", remedy="Ask for rows=true with them.")
        with InFile(reader.path):
            filters_of_text(self.where, self.parameters, reader.schema)
            for name in self.columns or ():
                reader.schema.index(name)


@dataclass(slots=True)
class _Watch:
    newest: int = -1
    waiting: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Live:
    """Those who follow the tables of ``service``. Used by one event loop.

    A table is looked at while somebody waits for it, once for all of them, and when another server tells of
    it.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self._watches: dict[str, _Watch] = {}
        self._open = 0
        #: Connections that may follow at the same time; the others are for requests.
        self.most = max(1, service.settings.limits.connections // 2)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be one of those who follow. Problem 503 if there are too many."""
        if self._open >= self.most:
            raise Problem(503, "too many clients follow tables; come again later")
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    async def events(
        self, table: ServedTable, after: int, wanted: Wanted
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """The versions behind ``after``, in order, as they come: lists of events.

        Problem 410 where what comes next is not kept any more.
        """
        while True:
            found = await self.some(table, after, wanted)
            if found:
                yield found
                after = found[-1]["version"]
            else:
                await self._another(table, after)

    async def some(
        self, table: ServedTable, after: int, wanted: Wanted, most: int = _VERSIONS
    ) -> list[dict[str, Any]]:
        """Events of the next versions behind ``after`` that are there already, at most ``most``."""
        service = self.service
        return await service.workers.run(
            service.job(), lambda: events_of(table.reader(), after, wanted, most)
        )

    async def _another(self, table: ServedTable, seen: int) -> None:
        """Wait until the newest version is perhaps another one than ``seen``."""
        watch = self._watches.setdefault(table.name, _Watch())
        watch.waiting += 1
        if watch.task is None or watch.task.done():
            watch.newest = -1
            watch.task = asyncio.create_task(self._look(table, watch))
        try:
            while watch.newest < 0 or watch.newest == seen:
                await watch.changed.wait()
            if watch.newest < seen:  # known from an older look, or another table is there now
                await asyncio.sleep(2 * _POLL)
        finally:
            watch.waiting -= 1

    async def _look(self, table: ServedTable, watch: _Watch) -> None:
        told = asyncio.Event()
        end = await self._listen(table, told)
        try:
            while watch.waiting:
                told.clear()
                await self._look_once(table, watch)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told.wait(), _POLL)
        finally:
            end()

    async def _look_once(self, table: ServedTable, watch: _Watch) -> None:
        service = self.service
        try:
            newest = await service.workers.run(service.job(), lambda: table.reader().version)
        except (Problem, AudioMemError, OSError) as error:
            if not isinstance(error, Problem):
                service.note(error)
            await asyncio.sleep(4 * _POLL)
            return
        if newest != watch.newest:
            watch.newest = newest
            changed, watch.changed = watch.changed, asyncio.Event()
            changed.set()

    async def _listen(self, table: ServedTable, told: asyncio.Event) -> Callable[[], None]:
        """Have ``told`` set when another server tells of the table, if servers do; what ends it."""
        service, loop = self.service, asyncio.get_running_loop()
        if service.settings.changes is None:
            return lambda: None

        def tell(version: int) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(told.set)

        try:
            return await service.workers.run(
                service.job(), lambda: service.changes.subscribe(table.name, tell)
            )
        except (Problem, AudioMemError, OSError):
            return lambda: None  # looking tells why


def check_after(reader: TableReader, after: int) -> None:
    """Problem 410 if not all versions behind ``after`` are there, or if it is none of this table."""
    oldest = reader.versions[0].number
    if not (oldest if oldest > 1 else 0) <= after <= reader.version:
        raise gone(reader, f"the versions behind {after} cannot be told one by one")


def events_of(reader: TableReader, after: int, wanted: Wanted, most: int) -> list[dict[str, Any]]:
    """Events of the next versions behind ``after``, at most ``most``, and of some ``MOST_ROWS`` rows."""
    check_after(reader, after)
    chosen: list[Version] = []
    rows = 0
    for version in reader.versions:
        if after < version.number <= reader.version:
            rows += version.inserted + version.deleted
            if len(chosen) == most or (wanted.rows and chosen and rows > MOST_ROWS):
                break
            chosen.append(version)
    made = [_event(version) for version in chosen]
    if wanted.rows and chosen:
        small = [each for each in chosen if each.inserted + each.deleted <= MOST_ROWS]
        by_version = _changes(reader, small, wanted)
        for event in made:
            event["changes"] = by_version.get(event["version"])
    return made


def _event(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "time": render(version.time),
        "inserted": version.inserted,
        "deleted": version.deleted,
        "message": version.message,
    }


def _changes(reader: TableReader, versions: Sequence[Version], wanted: Wanted) -> dict[int, Any]:
    """The rows that each of ``versions`` changed, as JSON has them."""
    if not versions:
        return {}
    found: dict[int, list[tuple[int, str]]] = {version.number: [] for version in versions}
    with InFile(reader.path):
        for change in changes(reader.snapshot, versions[0].number, versions[-1].number):
            if change.version in found:
                found[change.version].append((change.rowid, change.kind))
    return {number: _listed(reader, number, listed, wanted) for number, listed in found.items()}


def _listed(
    reader: TableReader, number: int, listed: Sequence[tuple[int, str]], wanted: Wanted
) -> list[dict[str, Any]]:
    """The images of a version: those that it left from its own snapshot, the others from the one before."""
    made: dict[tuple[int, str], dict[str, Any]] = {}
    for later in (True, False):
        images = [each for each in listed if (each[1] in _LATER) == later]
        if images:
            at = reader.pinned(number if later else number - 1)
            with InFile(reader.path):
                made.update(_images(at, images, wanted))
    return [made[each] for each in listed if each in made]


def _images(
    at: TableReader, images: Sequence[tuple[int, str]], wanted: Wanted
) -> Iterator[tuple[tuple[int, str], dict[str, Any]]]:
    schema = at.schema
    names = list(schema.names) if wanted.columns is None else list(wanted.columns)
    rowids: I64Array = np.array([rowid for rowid, _ in images], np.int64)
    numbers = [schema.index(name) for name in names]
    readable, arrays = fetch_rows(at.readable, rowids, range(len(schema.columns)))
    kept = [image for image, is_there in zip(images, readable.tolist(), strict=True) if is_there]
    mask = _mask(at, wanted, rowids[readable], arrays)
    batch = pa.RecordBatch.from_arrays([arrays[number] for number in numbers], names=names)
    lists = column_lists(batch, [schema.columns[number].type for number in numbers])
    for place in np.flatnonzero(mask).tolist():
        rowid, kind = kept[place]
        row = {name: values[place] for name, values in zip(names, lists, strict=True)}
        yield (rowid, kind), {"rowid": json_value(rowid), "change": kind, "row": row}


def _mask(at: TableReader, wanted: Wanted, rowids: I64Array, arrays: Sequence[pa.Array]) -> BoolArray:
    """Which rows meet the condition, bool (n,)."""

    def load(number: int) -> pa.Array:
        return pa.array(rowids) if number == ROWID else arrays[number]

    mask: BoolArray = np.ones(len(rowids), bool)
    filters, row_filter = filters_of_text(wanted.where, wanted.parameters, at.schema)
    for each in filters:
        mask &= each.passes(load)
    if row_filter is not None and len(rowids):
        mask &= row_filter(load)
    return mask
