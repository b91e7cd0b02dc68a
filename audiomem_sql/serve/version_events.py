"""Versions as events: what each one is, and the rows that it changed, as JSON, at most so many bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import InFile, QueryError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.predicates import ROWID
from audiomem_sql.scan import fetch_rows, filters_of_text
from audiomem_sql.serve.served_table import gone
from audiomem_sql.serve.values import column_lists, json_value
from audiomem_sql.storage.segment import Version
from audiomem_sql.table.reader import TableReader
from audiomem_sql.versions import changes

#: Most rows that versions which are made into events at once may have changed, and most bytes of the events.
MOST_ROWS, MOST_BYTES = 10_000, 4 << 20
#: Rows that are read at once: the bytes that they should have, in memory, how many at most, and by how much
#: that grows from one time to the next.
_PIECE_BYTES, _PIECE_ROWS, _GROWTH = 1 << 20, 256, 8
#: Bytes around the changes in an event.
_AROUND = len(',"changes":[]')
_LATER = ("insert", "update_postimage")

#: (rowid, kind of change).
_Image = tuple[int, str]


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


@dataclass(frozen=True, slots=True)
class Event:
    """A version. content: a JSON object."""

    version: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Told:
    """Versions in order. newest: the newest one when they were looked for; others may lie between."""

    events: list[Event]
    newest: int


def check_after(reader: TableReader, after: int) -> None:
    """Problem 410 if not all versions behind ``after`` are there, or if it is none of this table."""
    oldest = reader.versions[0].number
    if not (oldest if oldest > 1 else 0) <= after <= reader.version:
        raise gone(reader, f"the versions behind {after} cannot be told one by one")


def events_of(reader: TableReader, after: int, wanted: Wanted, most: int, most_bytes: int) -> Told:
    """Events of the next versions behind ``after``, one if there is any, at most ``most``.

    They have at most ``most_bytes``, and rows at most ``MOST_ROWS``. A version that has more of either comes
    first, and without its changes.
    """
    check_after(reader, after)
    chosen = _chosen(reader, after, wanted, most)
    listed = _changed(reader, chosen) if wanted.rows else {}
    rows = _Rows(reader, wanted)
    made: list[Event] = []
    left = most_bytes
    for version in chosen:
        content = _json(_about(version))
        if wanted.rows:
            images = listed.get(version.number)
            space = left - len(content) - _AROUND
            found = None if images is None else rows.of(version.number, images, space)
            content = content[:-1] + b',"changes":' + (b"null" if found is None else found) + b"}"
            if made and images is not None and found is None:
                break
        left -= len(content) + 1
        if made and left < 0:
            break
        made.append(Event(version.number, content))
    return Told(made, reader.version)


def _chosen(reader: TableReader, after: int, wanted: Wanted, most: int) -> list[Version]:
    chosen: list[Version] = []
    rows = 0
    for version in reader.versions:
        if after < version.number <= reader.version:
            rows += version.inserted + version.deleted
            if len(chosen) == most or (wanted.rows and chosen and rows > MOST_ROWS):
                break
            chosen.append(version)
    return chosen


def _about(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "time": render(version.time),
        "inserted": version.inserted,
        "deleted": version.deleted,
        "message": version.message,
    }


def _changed(reader: TableReader, versions: Sequence[Version]) -> dict[int, list[_Image]]:
    """The images that each of ``versions`` has, but for one of too many rows."""
    small = [each.number for each in versions if each.inserted + each.deleted <= MOST_ROWS]
    found: dict[int, list[_Image]] = {number: [] for number in small}
    if small:
        with InFile(reader.path):
            for change in changes(reader.snapshot, small[0], small[-1], values=False):
                if change.version in found:
                    found[change.version].append((change.rowid, change.kind))
    return found


class _Rows:
    """The rows that versions changed, as JSON."""

    def __init__(self, reader: TableReader, wanted: Wanted) -> None:
        self._reader = reader
        self._wanted = wanted
        self._size = 1

    def of(self, number: int, images: Sequence[_Image], most_bytes: int) -> bytes | None:
        """A JSON array of those of a version; None if its rows have more than ``most_bytes``.

        Images that the version left are of its own snapshot, the others of the one before.
        """
        made: list[bytes] = []
        size = start = 0
        with InFile(self._reader.path):
            while start < len(images):
                check_interrupt()
                piece = images[start : start + self._size]
                start += len(piece)
                for each in self._piece(number, piece):
                    made.append(each)
                    size += len(each) + 1
                    if size > most_bytes:
                        return None
        return b"[" + b",".join(made) + b"]"

    def _piece(self, number: int, images: Sequence[_Image]) -> Iterator[bytes]:
        made: dict[_Image, bytes] = {}
        held = 0
        for later in (True, False):
            some = [each for each in images if (each[1] in _LATER) == later]
            if some:
                at = _At(self._reader.pinned(number if later else number - 1), some)
                made.update(at.rows(self._wanted))
                held += at.held
        fitting = len(images) * _PIECE_BYTES // max(held, 1)
        self._size = max(1, min(fitting, _PIECE_ROWS, _GROWTH * len(images)))
        return (made[each] for each in images if each in made)


class _At:
    """Images of rows in one snapshot. held: bytes of them that were read."""

    def __init__(self, reader: TableReader, images: Sequence[_Image]) -> None:
        self._reader = reader
        self._schema = reader.schema
        rowids: I64Array = np.array([rowid for rowid, _ in images], np.int64)
        is_there, _ = fetch_rows(reader.readable, rowids, ())
        self._rowids = rowids[is_there]
        self._images = [images[place] for place in np.flatnonzero(is_there).tolist()]
        self._loaded: dict[int, pa.Array] = {}
        self.held = 0

    def rows(self, wanted: Wanted) -> Iterator[tuple[_Image, bytes]]:
        """Those that meet the condition, with the columns that are asked for; nothing else is read."""
        schema = self._schema
        names = list(schema.names) if wanted.columns is None else list(wanted.columns)
        numbers = [schema.index(name) for name in names]
        places = np.flatnonzero(self._mask(wanted))
        if not len(places):
            return
        missing = [number for number in dict.fromkeys(numbers) if number not in self._loaded]
        read = dict(zip(missing, self._fetched(self._rowids[places], missing), strict=True))
        arrays = [
            read[number] if number in read else self._loaded[number].take(pa.array(places))
            for number in numbers
        ]
        batch = pa.RecordBatch.from_arrays(arrays, names=names)
        lists = column_lists(batch, [schema.columns[number].type for number in numbers])
        for row, place in enumerate(places.tolist()):
            rowid, kind = self._images[place]
            values = {name: column[row] for name, column in zip(names, lists, strict=True)}
            yield (rowid, kind), _json({"rowid": json_value(rowid), "change": kind, "row": values})

    def _mask(self, wanted: Wanted) -> BoolArray:
        """Which of them meet the condition, bool (n,)."""
        mask: BoolArray = np.ones(len(self._rowids), bool)
        filters, row_filter = filters_of_text(wanted.where, wanted.parameters, self._schema)
        for each in filters:
            mask &= each.passes(self._load)
        if row_filter is not None and len(mask):
            mask &= row_filter(self._load)
        return mask

    def _load(self, number: int) -> pa.Array:
        if number == ROWID:
            return pa.array(self._rowids)
        if number not in self._loaded:
            (self._loaded[number],) = self._fetched(self._rowids, [number])
        return self._loaded[number]

    def _fetched(self, rowids: I64Array, numbers: Sequence[int]) -> list[pa.Array]:
        _, arrays = fetch_rows(self._reader.readable, rowids, numbers)
        self.held += sum(array.nbytes for array in arrays)
        return arrays


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
