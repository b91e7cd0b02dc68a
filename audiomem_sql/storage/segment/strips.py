"""How columns are stored for readers who get ranges of a file from far away (``layout=remote``).

Each range costs such a reader a request, and each byte counts. So a row is one strip, in which the blocks of
all small columns stand side by side, cut at the same rows, and one block of each large column. What every
reader needs comes first, and is small: dictionaries have a budget, and long texts no bounds, which few
queries can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import zstandard

from audiomem_sql.blocks.column_writer import BLOCK_ROWS, MIN_DICTIONARY_SOURCE, STRING_KINDS, ColumnWriter
from audiomem_sql.columns.types import Kind
from audiomem_sql.columns.views import strings, valid
from audiomem_sql.machine.interrupts import check_interrupt

#: A column is small if its values have no more bytes than this in the mean. Other texts have no bounds.
SMALL_VALUE_BYTES = 64
#: Bytes of a strip, about, and its least and greatest rows.
STRIP_BYTES = 4 << 10
LEAST_STRIP_ROWS, MOST_STRIP_ROWS = 256, BLOCK_ROWS
#: Strips end at multiples of so many rows.
_STRIP_STEP = 256
#: Rows of the first batch by which it is judged how far the small columns can be compressed.
_JUDGED_ROWS = 4096
#: Bytes of the dictionaries of all columns, before compression, and the least that one is worth making for.
DICTIONARIES_BYTES = 144 << 10
_LEAST_DICTIONARY_BYTES = 4 << 10
#: Bytes of texts that a dictionary is chosen from, and the lengths, in bytes, of the pieces that it takes and
#: of what they are found by (k and d of Liao and others, *Effective construction of relative Lempel-Ziv
#: dictionaries*, 2016).
_TRAINED_BYTES = 32 << 20
_PIECE_BYTES, _FOUND_BY_BYTES = 64, 8
_HASH_BITS = 20


@dataclass(frozen=True, slots=True)
class Strips:
    """Which columns are small, by number, and how many rows a strip has."""

    columns: frozenset[int]
    rows: int

    def slices(self, before: int, count: int) -> Iterator[tuple[int, int]]:
        """(first, behind the last) of ``count`` rows that follow ``before``, cut where a strip ends."""
        start = 0
        while start < count:
            stop = min(count, start + self.rows - (before + start) % self.rows)
            yield start, stop
            start = stop


def plan_strips(writers: Mapping[int, ColumnWriter], batches: Sequence[Mapping[int, pa.Array]]) -> Strips:
    """Strips for rows like those of ``batches``; the writers are told how to cut their columns."""
    sizes = {number: _mean_bytes([arrays[number] for arrays in batches]) for number in writers}
    small = {
        number
        for number, writer in writers.items()
        if writer.type.kind is not Kind.FLOAT and sizes[number] <= SMALL_VALUE_BYTES
    }
    rows = MOST_STRIP_ROWS
    if small and batches:
        judged = {number: batches[0][number].slice(0, _JUDGED_ROWS) for number in small}
        count = max(1, len(next(iter(judged.values()))))
        stored = sum(len(writers[number].encode(array).stored) for number, array in judged.items())
        fitting = int(STRIP_BYTES * count / max(stored, 1)) // _STRIP_STEP * _STRIP_STEP
        rows = min(max(fitting, LEAST_STRIP_ROWS), MOST_STRIP_ROWS)
    for number, writer in writers.items():
        if number in small:
            writer.cut_by_rows(rows)
        elif writer.type.kind in STRING_KINDS:
            writer.leave_out_bounds()
    return Strips(frozenset(small), rows)


def small_dictionaries(
    writers: Mapping[int, ColumnWriter], batches: Sequence[Mapping[int, pa.Array]]
) -> dict[int, bytes]:
    """Compression dictionaries of columns of texts, by number, which share ``DICTIONARIES_BYTES``."""
    columns = {
        number: [arrays[number] for arrays in batches]
        for number, writer in writers.items()
        if writer.type.kind in STRING_KINDS
    }
    sizes = {number: sum(int(array.nbytes) for array in arrays) for number, arrays in columns.items()}
    sizes = {number: size for number, size in sizes.items() if size >= MIN_DICTIONARY_SOURCE}
    dictionaries = {}
    for number, size in sizes.items():
        share = DICTIONARIES_BYTES * size // sum(sizes.values())
        if share >= _LEAST_DICTIONARY_BYTES and (dictionary := _trained(columns[number], size, share)):
            dictionaries[number] = dictionary
    return dictionaries


def _trained(arrays: Sequence[pa.Array], size: int, most_bytes: int) -> bytes:
    """A dictionary of pieces that are frequent in evenly spaced texts; empty if there are too few for one."""
    step = max(1, -(-size // _TRAINED_BYTES))
    texts: list[bytes | bytearray | memoryview] = []
    rows_before = 0
    for array in arrays:
        check_interrupt()
        rows = np.arange(-rows_before % step, len(array), step)
        values = strings(array).take(rows[valid(array)[rows]])
        texts.extend(values[row] for row in range(len(values)))
        rows_before += len(array)
    try:
        trained = zstandard.train_dictionary(
            most_bytes, texts, k=_PIECE_BYTES, d=_FOUND_BY_BYTES, f=_HASH_BITS, accel=1
        )
    except zstandard.ZstdError:  # too few texts, or all alike
        return b""
    return bytes(trained.as_bytes())


def _mean_bytes(arrays: Sequence[pa.Array]) -> float:
    rows = sum(map(len, arrays))
    return sum(int(array.nbytes) for array in arrays) / max(rows, 1)
