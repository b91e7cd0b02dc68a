"""The inner code: Reed-Solomon codewords interleaved over a page, against scattered wrong bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.protection.interleave import Interleave, TurnedInterleave
from audiomem_sql.protection.reed_solomon import Corrected, ReedSolomon
from audiomem_sql.protection.regular_errors import regular_places

_PROBED = 4  # codewords that tell whether a page is worth decoding


@dataclass(frozen=True, slots=True, eq=False)
class PageCorrection:
    """What decoding gave of some pages.

    data: uint8 (pages, data_bytes). intact: bool (pages, depth), by codeword.
    corrections: int64 (pages,), bytes changed, parity included.
    """

    data: U8Array
    intact: BoolArray
    corrections: I64Array


@dataclass(frozen=True, slots=True)
class PageCode:
    """``depth`` codewords of ``code`` to a page: the data as it is, then all parity.

    turned: by :class:`TurnedInterleave`, as in pages of format version 2.
    """

    code: ReedSolomon
    depth: int
    turned: bool = False

    def _interleave(self, first: int, stop: int) -> Interleave | TurnedInterleave:
        """Of the places ``first`` to ``stop`` - 1 of all codewords."""
        if self.turned:
            return TurnedInterleave(self.depth, stop - first, first)
        return Interleave(self.depth, stop - first)

    @property
    def data_bytes(self) -> int:
        """Bytes of data in a page."""
        return self.code.k * self.depth

    @property
    def page_bytes(self) -> int:
        """Bytes of a page, parity included."""
        return self.code.n * self.depth

    def encode(self, data: U8Array) -> U8Array:
        """Data, uint8 (pages, data_bytes), to pages, uint8 (pages, page_bytes)."""
        pages = np.empty((len(data), self.page_bytes), np.uint8)
        pages[:, : self.data_bytes] = data
        parity = self.code.parity(self._interleave(0, self.code.k).decode(data))
        pages[:, self.data_bytes :] = self._interleave(self.code.k, self.code.n).encode(parity)
        return pages

    def decode(self, pages: U8Array, erased: BoolArray | None = None) -> PageCorrection:
        """Correct pages, uint8 (pages, page_bytes).

        erased: bool of the same shape, bytes known to be wrong.
        """
        layout = self._interleave(0, self.code.n)
        decoded = self.code.decode(layout.decode(pages), None if erased is None else layout.decode(erased))
        if erased is None:
            self._go_on(pages, decoded)
        return PageCorrection(
            self._interleave(0, self.code.k).encode(decoded.codewords[:, : self.code.k]),
            decoded.intact.reshape(-1, self.depth),
            decoded.corrections.reshape(-1, self.depth).sum(axis=1),
        )

    def _go_on(self, pages: U8Array, decoded: Corrected) -> None:
        """Correct more codewords of ``pages``, in place, where wrong bytes are a fixed stride apart."""
        layout = self._interleave(0, self.code.n)
        for page in np.flatnonzero(~decoded.intact.reshape(-1, self.depth).all(axis=1)).tolist():
            words = slice(page * self.depth, (page + 1) * self.depth)
            changed = layout.encode(decoded.codewords[words])[0] != pages[page]
            places = regular_places(np.flatnonzero(changed), self.page_bytes)
            if places is None:
                continue
            rest = np.flatnonzero(~decoded.intact[words]) + words.start
            again = self.code.decode(decoded.codewords[rest], layout.decode(places[None])[rest - words.start])
            decoded.codewords[rest] = again.codewords
            decoded.intact[rest] = again.intact
            decoded.corrections[rest] = again.corrections

    def worth_decoding(self, pages: U8Array) -> BoolArray:
        """Whether any of a few codewords of each page can be corrected, bool (pages,).

        A lost sector ruins all codewords of its page alike; a page that is full of them need not be worked
        through.
        """
        probed = min(_PROBED, self.depth)
        words = self._interleave(0, self.code.n).decode(pages).T.reshape(self.code.n, len(pages), self.depth)
        some = np.ascontiguousarray(words[:, :, :: -(-self.depth // probed)])
        decoded = self.code.decode(some.reshape(self.code.n, -1).T)
        return np.asarray(decoded.intact.reshape(some.shape[1:]).any(axis=1))
