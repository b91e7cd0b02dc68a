"""Finds the labels and signposts of a segment file whose catalog is lost, in all that can be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.pages import PagedFile, cell_seed
from audiomem_sql.storage.segment.labels import (
    LABEL,
    LABEL_MAGIC,
    LABEL_MAGIC_1,
    MAX_SIGNPOST_BYTES,
    SIGNPOST,
    SIGNPOST_MAGIC,
    Facts,
    Label,
    Signpost,
    unpack_map,
)

#: Pages that are searched at once, and the most labels that are taken: a file of 400 GB has fewer.
_PAGES_AT_ONCE = 128
MAX_LABELS = 1 << 23
_LONGEST = max(LABEL.size, SIGNPOST.size)


@dataclass(slots=True)
class FoundLabels:
    """What a data stream says of itself.

    data_cell: where it begins. labels: by place, apart from each other. lost_cells: those that could not be
    read where labels may have been.
    """

    data_cell: int
    labels: list[Label]
    facts: Facts
    table_id: bytes
    schema: Schema
    options: dict[str, Any]
    lost_cells: int


@dataclass(slots=True)
class _Search:
    file: PagedFile
    seed: int
    #: The first cell that is searched.
    first: int = 0
    #: Where the payload stream, counted from that cell, says that the data stream begins.
    start: int | None = None
    labels: list[Label] = field(default_factory=list)
    facts: Facts | None = None
    maps: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    lost: int = 0

    def run(self, cells: range) -> None:
        """Search ``cells``, and what lies across two of the pieces that are read."""
        size, self.first = self.file.layout.cell_payload, cells.start
        step, stop_cell = _PAGES_AT_ONCE * self.file.layout.cells, len(cells)
        carried = b""
        for first in range(0, stop_cell, step):
            payload, intact = self.file.stream_cells(cells.start, first, min(step, stop_cell - first))
            self.lost += int((~intact).sum())
            data = carried + payload.tobytes()
            last = first + step >= stop_cell
            stop = len(data) if last else len(data) - _LONGEST + 1
            self._look(data, first * size - len(carried), stop)
            carried = b"" if last else data[stop:]

    def _look(self, data: bytes, origin: int, stop: int) -> None:
        """Take what begins before ``stop`` of ``data``, which is at ``origin`` of what is searched."""
        for magic in (LABEL_MAGIC, LABEL_MAGIC_1):
            self._look_for_labels(magic, data, origin, stop)
        position = data.find(SIGNPOST_MAGIC, 0)
        while 0 <= position < stop:
            signpost = Signpost.unpack(data, position, self.seed)
            if signpost is not None:
                self._begins(origin + position - signpost.place)
                if self.facts not in (None, signpost.facts):
                    raise _contradiction(self.file, "has two signposts that contradict each other")
                self.facts = signpost.facts
                self.maps.setdefault((signpost.map_bytes, signpost.map_crc), []).append(origin + position)
                if len(self.maps) > 1:
                    raise _contradiction(self.file, "has two signposts that contradict each other")
            position = data.find(SIGNPOST_MAGIC, position + 1)

    def _look_for_labels(self, magic: bytes, data: bytes, origin: int, stop: int) -> None:
        position = data.find(magic, 0)
        while 0 <= position < stop:
            label = Label.unpack(data, position, self.seed)
            if label is not None:
                self._begins(origin + position - label.stored - label.place)
                self.labels.append(label)
                if len(self.labels) > MAX_LABELS:
                    raise _contradiction(self.file, "has more labels than any that is written")
            position = data.find(magic, position + 1)

    def _begins(self, start: int) -> None:
        """Note where a label says that the data stream begins.

        DamagedFileError unless all labels say the same, and a cell begins there.
        """
        agrees = self.start is None or self.start == start
        if not agrees or start < 0 or start % self.file.layout.cell_payload:
            raise _contradiction(self.file, "has labels that do not belong where they are")
        self.start = start

    def described(self) -> tuple[bytes, Schema, dict[str, Any]]:
        """What the map behind the signposts says, from the first of them that can be read."""
        for (size, crc), places in self.maps.items():
            for place in places:
                if size > MAX_SIGNPOST_BYTES:
                    break
                try:
                    stored = self.file.read(self.first, place + SIGNPOST.size, size)
                except DamagedFileError:
                    continue
                if crc32c(stored) == crc:
                    return unpack_map(stored)
        raise DamagedFileError(
            "all catalogs are lost, and so is every signpost, which would say what columns there are"
            if self.labels or self.maps
            else "all catalogs are lost, and nothing that is left says what is where: "
            "files without rows, and those of the first versions of AudioMemory, have no labels",
            file=self.file.path,
            remedy="Restore the file from a copy.",
        )


def find_labels(file: PagedFile) -> FoundLabels:
    """The labels in ``file``.

    DamagedFileError if there are none, no signpost that can be read, or some that contradict each other.
    """
    search = _Search(file, cell_seed(file.header.segment_id))
    search.run(_cells_to_search(file))
    table_id, schema, options = search.described()
    assert search.start is not None
    assert search.facts is not None
    cell = search.first + search.start // file.layout.cell_payload
    told = file.data_cells()
    fits = cell % file.layout.cells == 0 if told is None else cell == told.start
    if not fits:
        raise _contradiction(file, "has labels that do not belong where they are")
    labels = sorted(search.labels, key=lambda label: label.place)
    if any(after.place < before.end for before, after in pairwise(labels)):
        raise _contradiction(file, "has labels of two things at one place")
    return FoundLabels(cell, labels, search.facts, table_id, schema, options, search.lost)


def _cells_to_search(file: PagedFile) -> range:
    """The cells of the data stream where the headers tell them, otherwise all.

    Pages that are certainly gone are left out.
    """
    present = file.present
    cells = file.data_cells()
    if cells is None:
        return range(min(present, file.page_count) * file.layout.cells)
    if file.page_count <= 2 * present + 16:
        return cells
    if file.by_bands:  # cells of all pages follow on each other
        raise _contradiction(file, "ends long before its pages do")
    there = present * file.layout.cells
    return range(cells.start, max(cells.start, min(cells.stop, there)))  # more than any parity brings back


def _contradiction(file: PagedFile, contradicted: str) -> DamagedFileError:
    return DamagedFileError(
        f"all catalogs are lost, and the file {contradicted}",
        file=file.path,
        remedy="Restore the file from a copy.",
    )
