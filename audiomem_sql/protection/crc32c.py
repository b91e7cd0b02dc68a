"""CRC-32C of cells: find damage on every read, so that a wrong byte is never returned.

Source: RFC 3720 appendix B.4 (polynomial 0x1EDC6F41, reflected); the check value of "123456789" is 0xE3069283.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fastcrc import crc32

from audiomem_sql.types import U8Array

CRC_BYTES = 4


def crc32c(data: bytes, initial: int = 0) -> int:
    """CRC-32C of ``data``, continuing from ``initial`` (the CRC-32C of what stands before it)."""
    return int(crc32.iscsi(data, initial))


@dataclass(frozen=True, slots=True)
class Crc32cCells:
    """Cells of ``cell_bytes``: payload, then its CRC-32C, little-endian.

    The CRC of cell ``i`` starts from ``seed + i`` (mod 2**32). A CRC is injective in its start value, so a cell that
    was written whole, but at another place or for another segment, never passes.
    """

    cell_bytes: int

    @property
    def payload_bytes(self) -> int:
        """Bytes of payload in one cell."""
        return self.cell_bytes - CRC_BYTES

    def encode(self, payload: U8Array, seed: int, first: int) -> U8Array:
        """Payload, uint8 (n, payload_bytes), to cells, uint8 (n, cell_bytes); ``first`` is the number of cell 0."""
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
        """Cells, uint8 (n, cell_bytes), to payload, uint8 (n, payload_bytes), and whether each is intact, bool (n,)."""
        count, size = cells.shape[0], self.payload_bytes
        payload = np.ascontiguousarray(cells[:, :size])
        stored = np.ascontiguousarray(cells[:, size:]).view("<u4").reshape(count)
        raw = payload.tobytes()
        crc = crc32.iscsi
        start = seed + first
        sums = [crc(raw[i * size : (i + 1) * size], (start + i) & 0xFFFFFFFF) for i in range(count)]
        return payload, np.array(sums, np.uint32) == stored
