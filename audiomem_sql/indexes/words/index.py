"""The keyword index of one column of one segment.

It is bytes, of which a query reads the pieces that its words need. A word costs one block of the dictionary
and one piece of postings, each about 10 KB, and a score the lengths of the rows. docs/KEYWORDS.md has the
layout.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.errors import DamagedFileError, UnsupportedError
from audiomem_sql.indexes.words.directory import Directory
from audiomem_sql.indexes.words.matching import ROW_SHIFT
from audiomem_sql.indexes.words.postings import PositionsPiece, PostingsPiece
from audiomem_sql.indexes.words.rows_in_memory import KeywordRows
from audiomem_sql.indexes.words.stems import stemmer_version
from audiomem_sql.indexes.words.terms import TermBlock
from audiomem_sql.indexes.words.tokenizer import words_of
from audiomem_sql.machine.interrupts import check_interrupt

#: Decoded pieces that an index keeps: about 40 KB each, blocks of the dictionary 200 KB.
KEPT_PIECES = 192
#: Rows whose texts a phrase is looked for in at once.
TEXTS_AT_ONCE = 2048
_NONE = np.empty(0, np.int64)
_DECOMPRESSOR = Decompressor()
_Piece = TypeVar("_Piece")


class KeywordIndex:
    """A KeywordSource over the bytes of :func:`encode_keywords`.

    Parameters
    ----------
    header: its header.
    read: gives the bytes of a piece by its number; they must be as they were written (cells have checksums).
    row_count: the rows of the segment, which bound what is believed.
    texts: gives the texts of rows (int64, ascending) as an Arrow array, for phrases in an index without
        positions.
    ahead: tells which pieces will be read next; None where that is of no use.

    Raises DamagedFileError (without a place) here and later for bytes that contradict each other, and
    FormatVersionError.
    """

    def __init__(
        self,
        header: bytes,
        read: Callable[[int], bytes],
        row_count: int,
        texts: Callable[[I64Array], pa.Array] | None = None,
        ahead: Callable[[Iterable[int]], None] | None = None,
    ) -> None:
        self.directory = directory = Directory.decode(header, row_count)
        self._read = read
        self._texts = texts
        self._ahead = ahead
        #: How its words were made.
        self.words = words_of(directory.tokenize)
        self._lock = threading.Lock()
        self._kept: dict[int, Any] = {}
        self._lengths: I64Array | None = None
        #: Terms of each class before each block; the first piece of each class, and the terms of its class
        #: before each piece.
        self._before = np.cumsum(directory.spread, axis=0) - directory.spread
        self._first_piece = np.searchsorted(
            directory.piece_classes, np.arange(1, directory.spread.shape[1] + 2)
        )
        ends = np.cumsum(directory.piece_terms)
        starts = ends - directory.piece_terms
        self._ordinals = starts - starts[self._first_piece[directory.piece_classes - 1]]

    @property
    def is_outdated(self) -> bool:
        """Whether other stemmers are installed than made the words: then the texts are read instead."""
        return bool(self.directory.stemmers) and self.directory.stemmers != stemmer_version()

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return self.directory.row_count

    @property
    def lengths(self) -> I64Array:
        """Tokens of each row, int64 (row_count,)."""
        if self._lengths is None:
            raw = _DECOMPRESSOR.decompress(
                self._piece(0), self.directory.row_count * self.directory.length_width
            )
            lengths = np.frombuffer(raw, f"<u{self.directory.length_width}").astype(np.int64)
            if int(lengths.sum()) != self.directory.tokens:
                raise DamagedFileError("the lengths of rows contradict the header of their keyword index")
            self._lengths = lengths
        return self._lengths

    @property
    def is_planned(self) -> bool:
        """Whether telling what will be read next is worth while."""
        return self._ahead is not None

    def prefetch(self, terms: Iterable[bytes]) -> None:
        """Tell that postings of ``terms`` and lengths will be asked for: two steps in a store."""
        if self._ahead is None:
            return
        terms = set(terms)
        blocks = {bisect_right(self.directory.firsts, term) for term in terms} - {0}
        self._ahead(blocks - self._kept.keys() | (set() if self._lengths is not None else {0}))
        found = [self._find(term) for term in terms]
        pieces = {1 + self.directory.blocks + address[0] for address in found if address is not None}
        self._ahead(pieces - self._kept.keys())

    def postings(self, term: bytes) -> tuple[I64Array, I64Array]:
        """The rows that hold ``term``, ascending, and how often: int64 (df,) twice.

        A term that is not there has none.
        """
        address = self._find(term)
        if address is None:
            return _NONE, _NONE
        return self._postings_piece(address[0]).term(address[1])

    def postings_of(self, terms: Sequence[bytes]) -> tuple[I64Array, I64Array]:
        """The postings of several terms, in no order: a row stands there once for each term that it holds."""
        self.prefetch(terms)
        ordinals_by_piece: dict[int, list[int]] = {}
        for term in terms:
            address = self._find(term)
            if address is not None:
                ordinals_by_piece.setdefault(address[0], []).append(address[1])
        postings = [
            self._postings_piece(piece).terms(np.array(ordinals, np.int64))
            for piece, ordinals in ordinals_by_piece.items()
        ]
        return (
            np.concatenate([_NONE, *(rows for rows, _ in postings)]),
            np.concatenate([_NONE, *(counts for _, counts in postings)]),
        )

    def prefixed(self, prefix: bytes) -> list[bytes]:
        """The terms that begin with ``prefix``, ascending."""
        terms: list[bytes] = []
        for number in range(max(0, bisect_right(self.directory.firsts, prefix) - 1), self.directory.blocks):
            check_interrupt()
            first = self.directory.firsts[number]
            if first > prefix and not first.startswith(prefix):
                break
            terms += [term for term in self._block(number).terms if term.startswith(prefix)]
        return terms

    def occurrences(self, terms: Sequence[Sequence[bytes]], rows: I64Array) -> list[I64Array]:
        """For each list of terms the occurrences in ``rows`` of any of them, ascending.

        An occurrence is row << ROW_SHIFT | position. Raises UnsupportedError if the index has no positions
        and no texts were offered.
        """
        if not self.directory.has_positions:
            if self._texts is None:
                raise UnsupportedError(
                    "this keyword index has no positions, so it finds words but no phrases"
                )
            parts = [
                self._in_texts(terms, rows[start : start + TEXTS_AT_ONCE], self._texts)
                for start in range(0, len(rows), TEXTS_AT_ONCE)
            ]
            return [np.concatenate([_NONE, *(part[i] for part in parts)]) for i in range(len(terms))]
        return [
            np.sort(np.concatenate([_NONE, *(self._occurrences(term, rows) for term in alternatives)]))
            for alternatives in terms
        ]

    def _in_texts(
        self, terms: Sequence[Sequence[bytes]], rows: I64Array, texts: Callable[[I64Array], pa.Array]
    ) -> list[I64Array]:
        """What :meth:`occurrences` gives, by the texts of the rows."""
        check_interrupt()
        found = KeywordRows(texts(rows), self.words).occurrences(terms, np.arange(len(rows), dtype=np.int64))
        low = (1 << ROW_SHIFT) - 1
        return [rows[occurrences >> ROW_SHIFT] << ROW_SHIFT | occurrences & low for occurrences in found]

    def _occurrences(self, term: bytes, rows: I64Array) -> I64Array:
        address = self._find(term)
        if address is None:
            return _NONE
        number, ordinal = address
        postings = self._postings_piece(number)
        term_rows, frequencies = postings.term(ordinal)
        offset = 1 + self.directory.blocks + len(self.directory.piece_terms) + number
        piece = self._decoded(offset, lambda data: PositionsPiece.decode(data, postings))
        spread = np.repeat(term_rows, frequencies)
        occurrences: I64Array = (spread << ROW_SHIFT) | piece.term(ordinal)
        return occurrences if len(rows) >= len(term_rows) else occurrences[np.isin(spread, rows)]

    def _find(self, term: bytes) -> tuple[int, int] | None:
        """The piece of postings that has ``term``, and its ordinal there."""
        number = bisect_right(self.directory.firsts, term) - 1
        if number < 0:
            return None
        block = self._block(number)
        position = block.position_of(term)
        if position is None:
            return None
        column = int(block.classes[position]) - 1
        if column >= self._before.shape[1]:
            raise DamagedFileError("a term has a class that the directory does not have")
        ordinal = int(self._before[number, column] + block.before[position])
        low, high = int(self._first_piece[column]), int(self._first_piece[column + 1])
        piece = low + int(np.searchsorted(self._ordinals[low:high], ordinal, side="right")) - 1
        if piece < low or ordinal - self._ordinals[piece] >= self.directory.piece_terms[piece]:
            raise DamagedFileError("a block of terms contradicts the directory of its keyword index")
        return piece, int(ordinal - self._ordinals[piece])

    def _block(self, number: int) -> TermBlock:
        count = self.directory.block_terms(number)
        return self._decoded(1 + number, lambda data: TermBlock.decode(data, count))

    def _postings_piece(self, number: int) -> PostingsPiece:
        size_class = int(self.directory.piece_classes[number])
        terms = int(self.directory.piece_terms[number])
        return self._decoded(
            1 + self.directory.blocks + number,
            lambda data: PostingsPiece.decode(data, size_class, terms, self.directory.row_count),
        )

    def _piece(self, number: int) -> bytes:
        data = self._read(number)
        if len(data) != self.directory.piece_sizes[number]:
            raise DamagedFileError("a piece of a keyword index has another length than its directory says")
        return data

    def _decoded(self, number: int, decode: Callable[[bytes], _Piece]) -> _Piece:
        """A decoded piece; those used last are kept."""
        with self._lock:
            piece: _Piece | None = self._kept.pop(number, None)
        if piece is None:
            check_interrupt()
            piece = decode(self._piece(number))
        with self._lock:
            self._kept[number] = piece
            while len(self._kept) > KEPT_PIECES:
                del self._kept[next(iter(self._kept))]
        return piece
