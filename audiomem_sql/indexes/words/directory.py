"""The header of a keyword index ⇄ bytes.

It says where each piece is, which block of the dictionary begins with which term, and how the terms of each
class of document frequencies are spread over the pieces of postings.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.compression import Compressor, Decompressor
from audiomem_sql.columns.tokenizers import UNSAID, parse_tokenizer
from audiomem_sql.errors import DamagedFileError, FormatVersionError, LimitError, SchemaError
from audiomem_sql.indexes.words.terms import BLOCK_TERMS
from audiomem_sql.indexes.words.tokenizer import MAX_TERM_BYTES

MAGIC = b"AMKW"
#: The version of an index of words as ``unicode61`` makes them; of one that says how its words are made.
VERSION, NAMED_VERSION = 1, 2
#: In NAMED_VERSION behind the header: bytes of the tokenizer, bytes of the version of the stemmers. Both
#: follow.
NAMES = struct.Struct("<HB")
#: Magic, version, flags, bytes of a row's length (1, 2, 4), classes; rows, tokens, terms; pieces of postings,
#: bytes of the directory before compression. The directory follows, a zstd frame.
HEADER = struct.Struct("<4sBBBBQQQII")
HAS_POSITIONS = 1
#: Rows of a segment; every gap then fits a bucket below 32.
MAX_ROWS = (1 << 31) - 1
MAX_CLASSES = 31
MAX_DIRECTORY_BYTES = 16 << 20
_COMPRESSOR = Compressor(19)
_DECOMPRESSOR = Decompressor()


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """What a keyword index says of its pieces.

    They are numbered: the lengths of rows, the blocks of the dictionary, the pieces of postings, and as many
    pieces of positions if there are positions.

    ``piece_sizes`` int64 (pieces,); ``piece_classes`` and ``piece_terms`` int64 (postings,): the class of
    each piece of postings, ascending, and its number of terms; ``spread`` int64 (blocks, classes): terms of
    each class (from 1 on) in each block; ``firsts``: for each block a beginning that no term before the block
    reaches. ``tokenize``: how its words are made; ``stemmers``: the version of the stemmers, empty without.
    """

    row_count: int
    tokens: int
    terms: int
    length_width: int
    has_positions: bool
    piece_sizes: I64Array
    piece_classes: I64Array
    piece_terms: I64Array
    spread: I64Array
    firsts: list[bytes]
    tokenize: str = UNSAID
    stemmers: str = ""

    @property
    def blocks(self) -> int:
        """The number of blocks of the dictionary."""
        return len(self.firsts)

    def block_terms(self, block: int) -> int:
        """The number of terms of a block."""
        return min(BLOCK_TERMS, self.terms - block * BLOCK_TERMS)

    def encode(self) -> bytes:
        """The header. Raises LimitError for an index with more pieces than may be listed."""
        raw = b"".join(
            [
                self.piece_sizes.astype("<u4").tobytes(),
                self.piece_classes.astype(np.uint8).tobytes(),
                self.piece_terms.astype("<u4").tobytes(),
                self.spread.astype("<u2").tobytes(),
                np.array([len(first) for first in self.firsts], "<u2").tobytes(),
                b"".join(self.firsts),
            ]
        )
        if len(raw) > MAX_DIRECTORY_BYTES or int(self.piece_sizes.max()) >= 1 << 32:
            raise LimitError("a keyword index has more pieces, or larger ones, than its directory may list")
        header = HEADER.pack(
            MAGIC,
            VERSION if self.tokenize == UNSAID else NAMED_VERSION,
            HAS_POSITIONS * self.has_positions,
            self.length_width,
            self.spread.shape[1],
            self.row_count,
            self.tokens,
            self.terms,
            len(self.piece_terms),
            len(raw),
        )
        if self.tokenize != UNSAID:
            names = self.tokenize.encode(), self.stemmers.encode()
            header += NAMES.pack(*map(len, names)) + b"".join(names)
        return header + _COMPRESSOR.compress(raw)

    @classmethod
    def decode(cls, header: bytes, row_count: int) -> Directory:
        """The directory of a segment of ``row_count`` rows.

        Raises DamagedFileError (without a place) for bytes that contradict each other, FormatVersionError.
        """
        if len(header) < HEADER.size or header[:4] != MAGIC:
            raise DamagedFileError("a keyword index does not begin with its header")
        _, version, flags, width, classes, rows, tokens, terms, postings, size = HEADER.unpack_from(header)
        if version not in (VERSION, NAMED_VERSION) or flags & ~HAS_POSITIONS:
            raise FormatVersionError(
                f"a keyword index of version {version}, flags {flags}",
                remedy="Open it with a newer audiomem-sql.",
            )
        if rows != row_count or row_count > MAX_ROWS or width not in (1, 2, 4) or classes > MAX_CLASSES:
            raise DamagedFileError("a keyword index contradicts its segment")
        blocks = -(-terms // BLOCK_TERMS)
        pieces = 1 + blocks + postings * (1 + flags)
        fixed = pieces * 4 + postings * 5 + blocks * (classes * 2 + 2)
        if not fixed <= size <= min(MAX_DIRECTORY_BYTES, fixed + blocks * MAX_TERM_BYTES):
            raise DamagedFileError("the directory of a keyword index has a size that is never written")
        tokenize, stemmers, start = _names(header) if version == NAMED_VERSION else (UNSAID, "", HEADER.size)
        raw = _DECOMPRESSOR.decompress(header[start:], size)
        at = 0

        def numbers(dtype: str, count: int) -> I64Array:
            nonlocal at
            values = np.frombuffer(raw, dtype, count, at)
            at += values.nbytes
            return values.astype(np.int64)

        sizes = numbers("<u4", pieces)
        piece_classes, piece_terms = numbers("u1", postings), numbers("<u4", postings)
        spread = numbers("<u2", blocks * classes).reshape(blocks, classes)
        lengths = numbers("<u2", blocks)
        if at + int(lengths.sum()) != size:
            raise DamagedFileError("the directory of a keyword index has the wrong length")
        bounds = at + np.concatenate([[0], np.cumsum(lengths)])
        firsts = [raw[low:high] for low, high in itertools.pairwise(bounds)]
        directory = cls(
            rows,
            tokens,
            terms,
            width,
            bool(flags),
            sizes,
            piece_classes,
            piece_terms,
            spread,
            firsts,
            tokenize,
            stemmers,
        )
        directory._check()
        return directory

    def _check(self) -> None:
        """The terms of the pieces of each class are those of the blocks."""
        classes = self.spread.shape[1]
        of_blocks = np.array([self.block_terms(block) for block in range(self.blocks)], np.int64)
        sound = (
            np.array_equal(self.spread.sum(axis=1), of_blocks)
            and bool((np.diff(self.piece_classes) >= 0).all())
            and bool((self.piece_terms > 0).all())
            and bool(((self.piece_classes >= 1) & (self.piece_classes <= classes)).all())
        )
        if sound:
            terms_by_class = np.zeros(classes, np.int64)
            np.add.at(terms_by_class, self.piece_classes - 1, self.piece_terms)
            sound = np.array_equal(terms_by_class, self.spread.sum(axis=0))
        if not sound:
            raise DamagedFileError("the directory of a keyword index contradicts itself")


def _names(header: bytes) -> tuple[str, str, int]:
    """The tokenizer and the version of the stemmers behind the header, and where the directory begins.

    FormatVersionError for a tokenizer that is not known.
    """
    start = HEADER.size + NAMES.size
    if len(header) < start:
        raise DamagedFileError("a keyword index ends inside the name of its tokenizer")
    size, version_size = NAMES.unpack_from(header, HEADER.size)
    end = start + size + version_size
    try:
        tokenize, stemmers = header[start : start + size].decode(), header[start + size : end].decode()
    except UnicodeDecodeError:
        raise DamagedFileError("the name of the tokenizer of a keyword index is no text") from None
    if end > len(header):
        raise DamagedFileError("a keyword index ends inside the name of its tokenizer")
    try:
        parse_tokenizer(tokenize)
    except SchemaError as error:
        raise FormatVersionError(
            f"a keyword index with a tokenizer that is not known: {error.what}",
            remedy="Open it with a newer audiomem-sql.",
        ) from None
    return tokenize, stemmers, end
