"""A column of texts to the bytes of its keyword index: tokenized, sorted by term, cut into pieces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.compression import Compressor
from audiomem_sql.columns.tokenizers import UNSAID
from audiomem_sql.indexes.words.batches import KeywordBatches
from audiomem_sql.indexes.words.directory import Directory
from audiomem_sql.indexes.words.postings import PIECE_POSTINGS, encode_positions, encode_postings
from audiomem_sql.indexes.words.stems import stemmer_version
from audiomem_sql.indexes.words.terms import BLOCK_TERMS, encode_terms, shared_bytes
from audiomem_sql.indexes.words.tokenizer import words_of
from audiomem_sql.machine.interrupts import check_interrupt

_COMPRESSOR = Compressor(19)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedKeywords:
    """An index as bytes: the header, to be read first, and pieces that are read one by one, by number."""

    header: bytes
    pieces: list[bytes]


def encode_keywords(texts: pa.Array, tokenize: str = UNSAID, *, positions: bool = False) -> EncodedKeywords:
    """The index of a column, an Arrow array of strings (a NULL has no words), one value a row.

    Always the same bytes. ``tokenize``: how texts become words, see ``columns/tokenizers.py``.

    With ``positions`` phrases are found in the index; without, they are looked for in the texts of the rows
    that hold all their words, and the index is half as large. Raises LimitError for more than 2**31 - 1 rows,
    and for a word that occurs more than 2**26 times when there are positions.
    """
    writer = KeywordWriter(tokenize, positions=positions)
    try:
        writer.add(texts)
        return writer.finish()
    finally:
        writer.close()


class KeywordWriter:
    """:func:`encode_keywords` of texts that come array by array, and need not be in memory together."""

    def __init__(self, tokenize: str = UNSAID, *, positions: bool = False) -> None:
        self._positions = positions
        self._batches = KeywordBatches(words_of(tokenize), positions=positions)

    def add(self, texts: pa.Array) -> None:
        """Append an array of strings. LimitError as in :func:`encode_keywords`."""
        self._batches.add(texts)

    def close(self) -> None:
        """Let go of what was collected."""
        self._batches.close()

    def finish(self) -> EncodedKeywords:
        """The index of all that was added."""
        batches = self._batches
        batches.end()
        lengths, terms = batches.lengths, batches.terms
        width = _width_of(lengths)
        class_count = int(batches.classes.max(initial=0))
        pieces = [_COMPRESSOR.compress(lengths.astype(f"<u{width}").tobytes())]
        firsts: list[bytes] = []
        spread: list[np.ndarray[Any, Any]] = []
        before = b""
        for start in range(0, len(terms), BLOCK_TERMS):
            check_interrupt()
            block = terms.slice(start, BLOCK_TERMS).to_pylist()
            classes = batches.classes[start : start + BLOCK_TERMS]
            pieces.append(encode_terms(block, classes))
            firsts.append(_shortest_between(before, block[0]) if start else b"")
            spread.append(np.bincount(classes, minlength=class_count + 1)[1:].astype(np.int64))
            before = block[-1]
        groups = _groups(batches)
        positions: list[bytes] = []
        for postings in batches.postings(groups):
            check_interrupt()
            pieces.append(encode_postings(postings.rows, postings.frequencies, postings.counts))
            if self._positions:
                first_places = np.cumsum(postings.frequencies) - postings.frequencies
                positions.append(encode_positions(postings.positions, first_places))
        pieces += positions
        directory = Directory(
            len(lengths),
            int(lengths.sum(dtype=np.int64)),
            len(terms),
            width,
            self._positions,
            np.array([len(piece) for piece in pieces], np.int64),
            batches.classes[batches.order[groups[:-1]]].astype(np.int64),
            np.diff(groups),
            np.array(spread, np.int64).reshape(len(firsts), class_count),
            firsts,
            str(batches.words_of_texts.tokenizer),
            stemmer_version() if batches.words_of_texts.has_snowball else "",
        )
        return EncodedKeywords(directory.encode(), pieces)


def _groups(batches: KeywordBatches) -> I64Array:
    """Where each piece of postings begins in ``batches.order``, and where the last one ends.

    The terms of one are of one class, and have few enough postings, or it is one term.
    """
    edges = [0]
    classes = batches.classes[batches.order]
    ends = np.cumsum(batches.counts)
    while edges[-1] < len(classes):
        start = edges[-1]
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + PIECE_POSTINGS, side="right"))
        last = int(np.searchsorted(classes, classes[start], side="right"))
        edges.append(max(start + 1, min(full, last)))
    return np.array(edges, np.int64)


def _shortest_between(before: bytes, term: bytes) -> bytes:
    """The shortest beginning of ``term`` that comes behind ``before``."""
    return term[: shared_bytes(before, term) + 1]


def _width_of(values: np.ndarray[Any, Any]) -> int:
    top = int(values.max(initial=0))
    return 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4
