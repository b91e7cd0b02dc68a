"""Text to terms, as FTS5's tokenizer ``unicode61`` with ``remove_diacritics=1`` does it.

A word is a longest run of letters, digits and marks that does not begin with a mark; its term is the word in
small letters, without the marks. One text goes through a regular expression (:func:`spans`, :func:`terms`), a
column of texts through numpy (:func:`tokenize`): characters become numbers, a table folds them, and runs of
what is left are the words.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I32Array, I64Array, U8Array, U32Array
from audiomem_sql.blocks.strings import string_buffers
from audiomem_sql.indexes.words.unicode61 import MARK, SEPARATOR, folding_table
from audiomem_sql.machine.interrupts import apart, check_interrupt

#: Bytes of a term; FTS5 cuts longer ones off here, too.
MAX_TERM_BYTES = 32768
#: Text that is turned into numbers at once; each byte of it takes about 16.
_BYTES_AT_ONCE = 1 << 19


class Token(NamedTuple):
    """A term, and the characters ``text[start:end]`` that it stands for."""

    term: bytes
    start: int
    end: int


def spans(text: str) -> list[Token]:
    """The tokens of one text, in order."""
    if text.isascii():
        folded = text.lower()
        return [Token(_cut(folded[m.start() : m.end()]), *m.span()) for m in _ascii_word().finditer(folded)]
    fold = _fold_map()
    return [Token(_cut(m[0].translate(fold)), *m.span()) for m in _word().finditer(text)]


def terms(text: str) -> list[bytes]:
    """The terms of one text, UTF-8, in order."""
    if text.isascii():
        return [_cut(word) for word in _ascii_word().findall(text.lower())]
    fold = _fold_map()
    return [_cut(word.translate(fold)) for word in _word().findall(text)]


def _cut(term: str) -> bytes:
    return term.encode("utf-8", "surrogatepass")[:MAX_TERM_BYTES]


@functools.cache
def _ascii_word() -> re.Pattern[str]:
    return re.compile("[0-9a-z]+")


@functools.cache
def _word() -> re.Pattern[str]:
    table = folding_table()
    letters = _character_class((table != SEPARATOR) & (table != MARK))
    return re.compile(f"[{letters}][{letters}{_character_class(table == MARK)}]*")


def _character_class(members: BoolArray) -> str:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], members, [False]]).astype(np.int8)))
    return "".join(f"\\U{start:08x}-\\U{end - 1:08x}" for start, end in edges.reshape(-1, 2))


@functools.cache
def _fold_map() -> dict[int, int | None]:
    table = folding_table()
    changed = np.flatnonzero((table != np.arange(len(table))) & (table != SEPARATOR))
    return {int(code): None if table[code] == MARK else int(table[code]) for code in changed}


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTexts:
    """The words of a column.

    ``terms`` is a binary Arrow array, distinct and ascending. For each token, in order: ``codes`` int32 (t,),
    the index of its term; ``rows`` int32 (t,); ``positions`` int32 (t,), counted from 0 in each row.
    ``lengths`` is int32 (rows,), tokens.
    """

    terms: pa.Array
    codes: I32Array
    rows: I32Array
    positions: I32Array
    lengths: I32Array


def tokenize(texts: pa.Array) -> TokenizedTexts:
    """The words of an Arrow array of strings; a NULL has none."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.type != pa.string():
        texts = texts.cast(pa.string())
    if texts.null_count:
        texts = texts.fill_null("")
    offsets, data = string_buffers(texts) if len(texts) else (np.zeros(1, np.int32), np.empty(0, np.uint8))
    pieces: list[pa.Array] = []
    counts = [np.zeros(0, np.int64)]
    row = 0
    while row < len(texts):
        check_interrupt()
        end = max(row + 1, int(np.searchsorted(offsets, offsets[row] + _BYTES_AT_ONCE, side="right")) - 1)
        words, lengths = _words(
            data[offsets[row] : offsets[end]], offsets[row : end + 1].astype(np.int64) - offsets[row]
        )
        pieces.append(words)
        counts.append(lengths)
        row = end
    lengths = np.concatenate(counts)
    distinct, codes = apart(ranked, pieces)
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    firsts = np.cumsum(lengths) - lengths
    positions = np.arange(len(rows), dtype=np.int64) - np.repeat(firsts, lengths)
    return TokenizedTexts(
        distinct,
        codes,
        rows,
        positions.astype(np.int32),
        lengths.astype(np.int32),
    )


def ranked(words: list[pa.Array]) -> tuple[pa.Array, I32Array]:
    """The distinct ones of binary arrays, ascending, and the index there of each of all, int32."""
    encoded = pa.chunked_array(words, pa.binary()).dictionary_encode().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.binary()).dictionary_encode()
    import pyarrow.compute as pc

    order = np.asarray(pc.array_sort_indices(encoded.dictionary)).astype(np.int64)
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return encoded.dictionary.take(pa.array(order)), ranks[np.asarray(encoded.indices)]


def _words(data: U8Array, offsets: I64Array) -> tuple[pa.Array, I64Array]:
    """The terms of texts as a binary array, and how many each text has, int64 (rows,)."""
    ascii_only = len(data) == 0 or int(data.max()) < 128
    folded: np.ndarray[Any, Any]
    if ascii_only:
        folded = folding_table()[:128].astype(np.uint8)[data]
    else:
        characters = np.frombuffer(data.tobytes().decode().encode("utf-32-le"), "<u4")
        behind = np.zeros(len(data) + 1, np.int64)  # continuation bytes before each byte
        np.cumsum((data & 0xC0) == 0x80, out=behind[1:])
        offsets = offsets - behind[offsets]
        folded = folding_table()[characters]
        marks = folded == MARK
        if marks.any():
            # A mark is dropped from a word, and is a separator beside one; without it the words are the same.
            gone = np.zeros(len(folded) + 1, np.int64)
            np.cumsum(marks, out=gone[1:])
            offsets = offsets - gone[offsets]
            folded = folded[~marks]
    inside = folded != SEPARATOR
    # A word ends at a separator, and at the end of its text.
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    edges = offsets[:-1][offsets[:-1] < offsets[1:]]
    begins[edges] = inside[edges]
    starts = np.flatnonzero(begins)
    counts = np.diff(np.searchsorted(starts, offsets))
    inside_before = np.zeros(len(folded) + 1, np.int64)
    np.cumsum(inside, out=inside_before[1:])
    letters = folded[inside]
    bounds = np.append(inside_before[starts], len(letters))
    if not ascii_only:
        letters, bounds = _as_utf8(letters, bounds)
    lengths = np.diff(bounds)
    if len(lengths) and int(lengths.max()) > MAX_TERM_BYTES:
        kept = np.arange(len(letters)) - np.repeat(bounds[:-1], lengths) < MAX_TERM_BYTES
        letters = letters[kept]
        bounds = np.concatenate([[0], np.cumsum(np.minimum(lengths, MAX_TERM_BYTES))])
    buffers = [
        None,
        pa.py_buffer(bounds.astype(np.int32)),
        pa.py_buffer(np.ascontiguousarray(letters, np.uint8)),
    ]
    return pa.Array.from_buffers(pa.binary(), len(starts), buffers, 0), counts.astype(np.int64)


def _as_utf8(letters: U32Array, bounds: I64Array) -> tuple[U8Array, I64Array]:
    sizes = 1 + (letters > 0x7F).astype(np.int64) + (letters > 0x7FF) + (letters > 0xFFFF)
    byte_offsets = np.zeros(len(letters) + 1, np.int64)
    np.cumsum(sizes, out=byte_offsets[1:])
    text = letters.astype("<u4").tobytes().decode("utf-32-le").encode()
    return np.frombuffer(text, np.uint8), byte_offsets[bounds]
