"""CRC-32C of cells: find damage on every read, so that a wrong byte is never returned.

Source: RFC 3720 appendix B.4 (polynomial 0x1EDC6F41, reflected); the check value of "123456789" is
0xE3069283.

A reader looks at ``RUN`` cells with one call. Whatever they hold, a CRC over whole cells, each with its own
CRC at its end, has one value for each start, because a CRC is linear: what a run of intact cells gives
depends on their numbers alone. A run with one damaged cell always gives another one, since what stands behind
it changes one CRC to another without a collision; with several damaged cells it gives another one but for a
chance of 2**-32. What differs is looked at cell by cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from fastcrc import crc32

from audiomem_sql.arrays import U8Array, U32Array

CRC_BYTES = 4
#: Cells that are looked at with one CRC; a power of two.
RUN = 32
#: Fewer cells than these are looked at one by one; at least two runs.
FEW = 96


def crc32c(data: bytes, initial: int = 0) -> int:
    """CRC-32C of ``data``, continuing from ``initial`` (the CRC-32C of what stands before it)."""
    return int(crc32.iscsi(data, initial))


@dataclass(frozen=True, slots=True)
class Crc32cCells:
    """Cells of ``cell_bytes``: payload, then its CRC-32C, little-endian.

    The CRC of cell ``i`` starts from ``seed + i`` (mod 2**32). A CRC is injective in its start value, so a
    cell that was written whole, but at another place or for another segment, never passes.
    """

    cell_bytes: int

    @property
    def payload_bytes(self) -> int:
        """Bytes of payload in one cell."""
        return self.cell_bytes - CRC_BYTES

    def encode(self, payload: U8Array, seed: int, first: int) -> U8Array:
        """Payload, uint8 (n, payload_bytes), to cells, uint8 (n, cell_bytes).

        ``first`` is the number of cell 0.
        """
        count, size = payload.shape
        cells = np.empty((count, self.cell_bytes), np.uint8)
        cells[:, :size] = payload
        raw = payload.tobytes()
        crc = crc32.iscsi
        start = seed + first
        sums = [crc(raw[i * size : (i + 1) * size], (start + i) & 0xFFFFFFFF) for i in range(count)]
        cells[:, size:] = np.array(sums, "<u4").view(np.uint8).reshape(count, CRC_BYTES)
        return cells

    def decode(
        self, cells: U8Array, seed: int, first: int
    ) -> tuple[U8Array, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """The payload of cells, and whether each is intact.

        uint8 (n, cell_bytes) → uint8 (n, payload_bytes), bool (n,).
        """
        cells = np.ascontiguousarray(cells)
        count, start = len(cells), seed + first
        intact = np.ones(count, np.bool_)
        if count < FEW:
            self._decode_each(cells, range(count), start, intact)
        else:
            ahead = -start % RUN  # runs begin at multiples
            runs = range(ahead, count - RUN + 1, RUN)
            raw, size, crc = cells.reshape(-1).data, self.cell_bytes, crc32.iscsi
            sums = [crc(raw[at * size : (at + RUN) * size], (start + at) & 0xFFFFFFFF) for at in runs]
            expected = self._of_runs(np.arange(start + ahead, start + runs.stop, RUN) & 0xFFFFFFFF)
            damaged = np.flatnonzero(np.array(sums, np.uint32) != expected)
            for at in (damaged * RUN + ahead).tolist():
                self._decode_each(cells, range(at, at + RUN), start, intact)
            self._decode_each(cells, range(ahead), start, intact)
            self._decode_each(cells, range(runs[-1] + RUN, count), start, intact)
        return np.ascontiguousarray(cells[:, : self.payload_bytes]), intact

    def decode_each(
        self, cells: U8Array, seed: int, numbers: np.ndarray[Any, np.dtype[np.int64]]
    ) -> tuple[U8Array, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
        """The same for cells with any ``numbers``, int64 (n,)."""
        cells = np.ascontiguousarray(cells)
        intact = self._intact(cells, (numbers + seed).tolist())
        return np.ascontiguousarray(cells[:, : self.payload_bytes]), intact

    def _decode_each(
        self, cells: U8Array, some: range, start: int, intact: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> None:
        """Look at ``some`` of the cells one by one."""
        starts = range(start + some.start, start + some.stop)
        intact[some.start : some.stop] = self._intact(cells[some.start : some.stop], starts)

    def _intact(self, cells: U8Array, starts: Iterable[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether each of the cells, a C array, is intact, one by one.

        Starts: of their CRCs, before they are cut to 32 bits.
        """
        size, step, crc = self.payload_bytes, self.cell_bytes, crc32.iscsi
        raw = cells.reshape(-1).data
        sums = [crc(raw[i * step : i * step + size], start & 0xFFFFFFFF) for i, start in enumerate(starts)]
        stored = np.ascontiguousarray(cells[:, size:]).view("<u4").reshape(len(cells))
        return np.asarray(np.array(sums, np.uint32) == stored)

    def _of_runs(self, starts: np.ndarray[Any, Any]) -> U32Array:
        """The CRC of runs of intact cells that start from ``starts``, multiples of RUN, uint32 (n,)."""
        least, tables = _run_tables(self.cell_bytes)
        found = np.full(len(starts), least, np.uint32)
        for byte, table in enumerate(tables):
            found ^= table[starts >> (8 * byte) & 0xFF]
        return found


@cache
def _run_tables(cell_bytes: int) -> tuple[int, U32Array]:
    """The CRC of a run of intact cells, and what each byte of another start changes.

    The run starts from 0; the changes are uint32 (4, 256).
    """
    size = cell_bytes - CRC_BYTES

    def run(start: int) -> int:
        cell = bytes(size)
        cells = [cell + crc32c(cell, start + i).to_bytes(CRC_BYTES, "little") for i in range(RUN)]
        return crc32c(b"".join(cells), start)

    least = run(0)
    bits = [run(1 << bit) ^ least if 1 << bit >= RUN else 0 for bit in range(32)]
    tables = np.zeros((4, 256), np.uint32)
    for bit, change in enumerate(bits):
        values = np.arange(256) >> bit % 8 & 1
        tables[bit // 8] ^= (values * change).astype(np.uint32)
    return least, tables
