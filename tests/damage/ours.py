"""A table of ours: where its rows are in the file, and reading all that can be read of a damaged one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.audio.flac.frames import frame_offset, header_size
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import Segment
from audiomem_sql.table.table import Table
from damage.comparison import Comparison, Flags, Reading
from damage.damages import Bytes


class Ours:
    """``table`` as a FLAC file at a level of protection."""

    def __init__(self, folder: Path, table: pa.Table, protection: str, **options: Any) -> None:
        self.name = protection
        path = folder / f"{protection}.flac"
        am.write_flac(table, path, primary_key="id", protection=protection, **options).close()
        self.data: Bytes = np.fromfile(path, np.uint8)
        with Table(path) as whole:
            self.expected = whole.to_arrow().combine_chunks()
            assert self.expected.equals(table.cast(self.expected.schema))
            self._blocks = _blocks(whole.snapshot.segments[0], str(path))

    def rows_in(self, start: int, stop: int) -> Flags:
        """Which rows have a byte in bytes start … stop - 1 of the file, bool (rows,)."""
        hit = np.zeros(self.expected.num_rows, bool)
        if start < stop:
            for first, last, low, high in self._blocks.tolist():
                if low < stop and high > start:
                    hit[first:last] = True
        return hit

    def read(self, folder: Path, data: Bytes) -> Reading:
        """Everything that comes back of ``data``."""
        path = folder / "damaged.flac"
        data.tofile(path)
        reading = Reading(np.zeros(self.expected.num_rows, bool))
        comparison = Comparison(self.expected)
        began = time.perf_counter()
        try:
            with Table(path, cache=BlockCache()) as table:
                reading.open_s = time.perf_counter() - began
                self._all(table, comparison, reading)
                done = table.snapshot.segments[0].file.corrections
                reading.corrected = {"inner": done.inner, "outer": done.outer, "failed": done.failed}
        except AudioMemError as error:
            reading.error = _said(error)
        except Exception as error:
            reading.foreign = _said(error)
        reading.read_s = time.perf_counter() - began - reading.open_s
        reading.take(comparison)
        return reading

    def _all(self, table: Table, comparison: Comparison, reading: Reading) -> None:
        """As anybody reads a table; and only if that fails, every block that does not."""
        row = 0
        try:
            for batch in table.scan():
                for column, array in enumerate(batch.columns):
                    comparison.add(column, row, array)
                row += batch.num_rows
            for lost in range(row, comparison.right.shape[0]):
                comparison.row_missing(lost)
        except AudioMemError as error:
            reading.error = _said(error)
            self._blockwise(table.snapshot.segments[0], comparison)

    def _blockwise(self, segment: Segment, comparison: Comparison) -> None:
        file = segment.file
        # All at once: a group of cells that cannot be brought back would be tried anew for each block that
        # has one of them.
        bad = [page.page * file.layout.cells + cell for page in file.damage() for cell in page.cells]
        bad += [page * file.layout.cells + cell for page in file.missing for cell in range(file.layout.cells)]
        file.recover(np.array(bad, np.int64))
        for column in range(comparison.right.shape[1]):
            directory = segment.directory(column)
            if directory is None:
                comparison.add(column, 0, segment.slice(column, 0, segment.rows))
                continue
            for number in range(directory.count):
                try:
                    block = segment.block(column, number)
                except AudioMemError:
                    continue
                comparison.add(column, int(directory.starts[number]), block)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _blocks(segment: Segment, path: str) -> npt.NDArray[np.int64]:
    """(first row, last row + 1, first byte, last byte + 1) of all that rows depend on, int64 (n, 4).

    A byte belongs to its cell: that is what is lost with it.
    """
    file = LocalFile(path)
    start = read_metadata(file, 0).audio_start
    file.close()
    profile, layout = segment.file.source.profile, segment.file.layout

    def place(cell: int, byte: int) -> int:
        page, within = divmod(segment.data_cell + cell, layout.cells)
        inside = layout.header_bytes + within * layout.level.cell_bytes + byte
        subframes = 1 + inside // (layout.page_size // profile.channels)
        return frame_offset(profile, start, page) + header_size(profile, page) + subframes + inside

    found = []
    for column in range(len(segment.schema)):
        entry = segment.entry(column)
        if entry is None:
            continue
        blocks = entry.blocks
        parts = [
            (int(blocks.starts[n]), int(blocks.starts[n + 1]), int(blocks.offsets[n]), int(blocks.stored[n]))
            for n in range(blocks.count)
        ]
        if entry.dictionary is not None:
            parts.append((0, segment.rows, entry.dictionary.offset, entry.dictionary.stored))
        for first, last, offset, stored in parts:
            if stored:
                low, high = offset // layout.cell_payload, (offset + stored - 1) // layout.cell_payload
                found.append((first, last, place(low, 0), place(high, layout.level.cell_bytes - 1) + 1))
    return np.array(found, np.int64).reshape(-1, 4)
