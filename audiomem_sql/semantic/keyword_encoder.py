"""A column of texts to the bytes of its keyword index: tokenized, sorted by term, cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.compression import Compressor
from audiomem_sql.errors import LimitError
from audiomem_sql.semantic.keyword_directory import MAX_ROWS, Directory
from audiomem_sql.semantic.keyword_postings import PIECE_POSTINGS, encode_positions, encode_postings, ranges
from audiomem_sql.semantic.keyword_terms import BLOCK_TERMS, encode_terms, shared_bytes
from audiomem_sql.semantic.tokenizer import TokenizedTexts, tokenize
from audiomem_sql.types import I64Array

_COMPRESSOR = Compressor(19)


@dataclass(frozen=True, slots=True, eq=False)
class EncodedKeywords:
    """An index as bytes: the header, to be read first, and pieces that are read one by one, by their number."""

    header: bytes
    pieces: list[bytes]


def encode_keywords(texts: pa.Array, *, positions: bool = False) -> EncodedKeywords:
    """The index of a column, an Arrow array of strings (a NULL has no words), one value a row; always the same bytes.

    With ``positions`` phrases are found in the index; without, they are looked for in the texts of the rows that hold all
    their words, and the index is half as large. Raises LimitError for more than 2**31 - 1 rows, and for a word that occurs
    more than 2**26 times when there are positions.
    """
    if len(texts) > MAX_ROWS:
        raise LimitError(f"a keyword index has up to {MAX_ROWS:,} rows, and this column {len(texts):,}")
    tokens = tokenize(texts)
    return _Encoder(tokens).encode(positions)


class _Encoder:
    """Postings of all terms, ordered by class, then by term."""

    def __init__(self, tokens: TokenizedTexts) -> None:
        self._tokens = tokens
        order = np.argsort(tokens.codes, kind="stable")
        codes, rows = tokens.codes[order], tokens.rows[order]
        self._positions = tokens.positions[order]
        begins = np.ones(len(codes), np.bool_)
        begins[1:] = (codes[1:] != codes[:-1]) | (rows[1:] != rows[:-1])
        self._firsts = np.flatnonzero(begins)
        self._frequencies = np.diff(np.append(self._firsts, len(codes)))
        self._rows = rows[self._firsts].astype(np.int64)
        self._counts = np.bincount(codes[self._firsts], minlength=len(tokens.terms)).astype(np.int64)
        self._starts = np.cumsum(self._counts) - self._counts
        self._classes = np.frexp(self._counts.astype(np.float64))[1].astype(np.uint8)

    def encode(self, with_positions: bool) -> EncodedKeywords:
        tokens = self._tokens
        terms = tokens.terms.to_pylist()
        width = _width_of(tokens.lengths)
        class_count = int(self._classes.max(initial=0))
        pieces = [_COMPRESSOR.compress(tokens.lengths.astype(f"<u{width}").tobytes())]
        firsts: list[bytes] = []
        spread: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(terms), BLOCK_TERMS):
            block = terms[start : start + BLOCK_TERMS]
            classes = self._classes[start : start + BLOCK_TERMS]
            pieces.append(encode_terms(block, classes))
            firsts.append(_shortest_between(terms[start - 1], block[0]) if start else b"")
            spread.append(np.bincount(classes, minlength=class_count + 1)[1:].astype(np.int64))
        groups = list(self._groups())
        positions: list[bytes] = []
        for members in groups:
            counts = self._counts[members]
            postings = ranges(self._starts[members], counts)
            frequencies = self._frequencies[postings]
            pieces.append(encode_postings(self._rows[postings], frequencies, counts))
            if with_positions:
                places = ranges(self._firsts[postings], frequencies)
                first_places = np.cumsum(frequencies) - frequencies
                positions.append(encode_positions(self._positions[places].astype(np.int64), first_places))
        pieces += positions
        directory = Directory(
            len(tokens.lengths),
            len(tokens.codes),
            len(terms),
            width,
            with_positions,
            np.array([len(piece) for piece in pieces], np.int64),
            np.array([self._classes[members[0]] for members in groups], np.int64),
            np.array([len(members) for members in groups], np.int64),
            np.array(spread, np.int64).reshape(len(firsts), class_count),
            firsts,
        )
        return EncodedKeywords(directory.encode(), pieces)

    def _groups(self) -> Iterator[I64Array]:
        """The terms of each piece of postings: of one class, ascending, and few enough postings or one term."""
        for size_class in range(1, int(self._classes.max(initial=0)) + 1):
            members = np.flatnonzero(self._classes == size_class)
            ends = np.cumsum(self._counts[members])
            start = 0
            while start < len(members):
                before = int(ends[start - 1]) if start else 0
                end = max(start + 1, int(np.searchsorted(ends, before + PIECE_POSTINGS, side="right")))
                yield members[start:end]
                start = end


def _shortest_between(before: bytes, term: bytes) -> bytes:
    """The shortest beginning of ``term`` that comes behind ``before``."""
    return term[: shared_bytes(before, term) + 1]


def _width_of(values: np.ndarray[Any, Any]) -> int:
    top = int(values.max(initial=0))
    return 1 if top < 1 << 8 else 2 if top < 1 << 16 else 4
