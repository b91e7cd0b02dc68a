"""Text to terms, as the tokenizer of a column says (``columns/tokenizers.py``).

A word is a longest run of letters, digits and marks that does not begin with a mark; its term is the word
in small letters, with or without its diacritics, or its stem. One text goes through a regular expression
(:meth:`Words.spans`), a column of texts through numpy (:meth:`Words.tokenize`): characters become numbers,
a table folds them, and runs of what is left are the words. Stems are made of distinct words.

Scripts without spaces are taken in pairs of characters: each character of a run makes the term of itself
and the next one, the last one the term of itself. So a query of one character is a prefix, and a longer one
a phrase of pairs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I32Array, I64Array, U8Array, U32Array
from audiomem_sql.blocks.strings import string_buffers
from audiomem_sql.columns.tokenizers import AUTO, FTS5_PORTER, Tokenizer, parse_tokenizer
from audiomem_sql.indexes.words.characters import ALONE, FOLLOWER, PAIRED, characters_of
from audiomem_sql.indexes.words.languages import language_of, stop_words
from audiomem_sql.indexes.words.postings import ranges
from audiomem_sql.indexes.words.stems import USUAL_LANGUAGE, Stems, needs_stems
from audiomem_sql.indexes.words.unicode61 import MARK, SEPARATOR
from audiomem_sql.machine.interrupts import apart, check_interrupt

#: Bytes of a term; FTS5 cuts longer ones off here, too.
MAX_TERM_BYTES = 32768
#: Text that is turned into numbers at once; each byte of it takes about 16.
_BYTES_AT_ONCE = 1 << 19
#: Text that tells the language of a column.
_TELLING_BYTES = 1 << 20
_TRIGRAM = 3
#: Where a token is: in no run of characters that are taken in pairs; two of them; the last character of
#: several; the only one.
NOT_PAIRED, PAIR, LAST, LONE = range(4)


class Token(NamedTuple):
    """A term, and the characters ``text[start:end]`` that it stands for.

    pair: where it is in a run of characters that are taken in pairs, NOT_PAIRED outside.
    """

    term: bytes
    start: int
    end: int
    pair: int = 0


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


class Words:
    """The words of texts to one tokenizer. Made by :func:`words_of`; safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._characters = characters_of(tokenizer)
        self._stems = Stems(tokenizer) if needs_stems(tokenizer) else None

    @property
    def is_undecided(self) -> bool:
        """Whether the language of Latin words is still to be found out."""
        return self.tokenizer.stemmer == AUTO and self.tokenizer.language is None

    @property
    def has_snowball(self) -> bool:
        """Whether the terms depend on the stemmers that are installed."""
        return self.tokenizer.stemmer not in (None, FTS5_PORTER)

    @property
    def stop_words(self) -> frozenset[str]:
        """The words that a query of plain words leaves out."""
        tokenizer = self.tokenizer
        if tokenizer.stemmer == AUTO:
            return stop_words(tokenizer.language or USUAL_LANGUAGE) | stop_words("russian")
        if tokenizer.stemmer in (FTS5_PORTER, "porter"):
            return stop_words("english")
        return stop_words((tokenizer.stemmer or "").removesuffix("_porter"))

    def decided_by(self, texts: pa.Array) -> Words:
        """These words; where their language is not known, with that of ``texts``, if they tell."""
        if not self.is_undecided or not len(texts):
            return self
        texts = texts.slice(0, max(1, int(len(texts) * _TELLING_BYTES / max(_TELLING_BYTES, texts.nbytes))))
        distinct, codes, _ = self._distinct(texts)
        language = language_of(distinct, np.bincount(codes, minlength=len(distinct)).astype(np.int64))
        return self if language is None else words_of(str(replace(self.tokenizer, language=language)))

    def spans(self, text: str) -> list[Token]:
        """The tokens of one text, in order."""
        if self.tokenizer.base == "trigram":
            return self._trigrams(text)
        tokens = list(self._matched(text))
        if self._stems is not None:
            terms = self._stems([token.term for token in tokens])
            tokens = [
                token._replace(term=_cut_bytes(term)) for token, term in zip(tokens, terms, strict=True)
            ]
        return tokens

    def terms(self, text: str) -> list[bytes]:
        """The terms of one text, UTF-8, in order."""
        return [token.term for token in self.spans(text)]

    def phrase(self, strings: Sequence[tuple[str, bool]]) -> tuple[tuple[bytes, bool], ...]:
        """What a phrase looks for: terms, and whether any word that begins so will do.

        strings: those of a query, one behind the other, and whether a ``*`` stands behind each.
        """
        tokens: list[tuple[Token, bool]] = []
        for text, prefix in strings:
            tokens.extend((token, False) for token in self.spans(text))
            if tokens:
                tokens[-1] = tokens[-1][0], prefix
        if tokens and tokens[-1][0].pair == LAST:
            _, prefix = tokens.pop()
            tokens[-1] = tokens[-1][0], prefix
        elif tokens and tokens[-1][0].pair == LONE:
            tokens[-1] = tokens[-1][0], True
        return tuple((token.term, prefix) for token, prefix in tokens)

    def plain(self, text: str) -> list[str]:
        """The words of a query of plain words, as they are written: each is looked for by itself."""
        if self.tokenizer.base == "trigram":
            return [word for word in text.split() if len(word) >= _TRIGRAM]
        return [text[token.start : token.end] for token in self._matched(text) if token.pair != LAST]

    def _matched(self, text: str) -> Iterator[Token]:
        folding = self._characters.folding
        for match in self._characters.runs.finditer(text):
            if match[1] is None:
                yield Token(_cut(match[0].translate(folding)), *match.span())
                continue
            at = match.start()
            places = [(i, folded) for i, c in enumerate(match[1], at) if (folded := c.translate(folding))]
            for number, (start, character) in enumerate(places):
                if number + 1 < len(places):
                    end, following = places[number + 1]
                    yield Token(_cut(character + following), start, end + 1, PAIR)
                else:
                    yield Token(_cut(character), start, match.end(), LAST if number else LONE)

    def _trigrams(self, text: str) -> list[Token]:
        folding = self._characters.folding
        places = [(i, folded) for i, c in enumerate(text) if (folded := c.translate(folding))]
        ends = [start for start, _ in places[_TRIGRAM:]] + [len(text)]
        return [
            Token(_cut("".join(folded for _, folded in places[i : i + _TRIGRAM])), places[i][0], ends[i])
            for i in range(len(places) - _TRIGRAM + 1)
        ]

    def tokenize(self, texts: pa.Array, *, stemmed: bool = True) -> TokenizedTexts:
        """The words of an Arrow array of strings; a NULL has none.

        stemmed: whether they are terms of an index; otherwise they keep letters such as ``ß`` and ``đ``.
        """
        distinct, codes, lengths = self._distinct(texts)
        if stemmed and self._stems is not None and len(distinct):
            stems = [_cut_bytes(stem) for stem in self._stems(distinct.to_pylist())]
            distinct, renumbered = ranked([pa.array(stems, pa.binary())])
            codes = renumbered[codes]
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

    def _distinct(self, texts: pa.Array) -> tuple[pa.Array, I32Array, I64Array]:
        """The distinct words, not stemmed, ascending; the index there of each; how many each text has."""
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        if texts.type != pa.string():
            texts = texts.cast(pa.string())
        if texts.null_count:
            texts = texts.fill_null("")
        offsets, data = (
            string_buffers(texts) if len(texts) else (np.zeros(1, np.int32), np.empty(0, np.uint8))
        )
        pieces: list[pa.Array] = []
        counts = [np.zeros(0, np.int64)]
        row = 0
        while row < len(texts):
            check_interrupt()
            end = max(row + 1, int(np.searchsorted(offsets, offsets[row] + _BYTES_AT_ONCE, side="right")) - 1)
            words, lengths = self._words(
                data[offsets[row] : offsets[end]], offsets[row : end + 1].astype(np.int64) - offsets[row]
            )
            pieces.append(words)
            counts.append(lengths)
            row = end
        distinct, codes = apart(ranked, pieces)
        return distinct, codes, np.concatenate(counts)

    def _words(self, data: U8Array, offsets: I64Array) -> tuple[pa.Array, I64Array]:
        """The words of texts as a binary array, and how many each text has, int64 (rows,)."""
        ascii_table = self._characters.ascii_table
        ascii_only = ascii_table is not None and (len(data) == 0 or int(data.max()) < 128)
        folded: np.ndarray[Any, Any]
        kinds: U8Array | None = None
        if ascii_only:
            assert ascii_table is not None
            folded = ascii_table[data]
        else:
            folded, kinds, offsets = self._characters_of(data, offsets)
        if self.tokenizer.base == "trigram":
            starts, sizes = _windows(offsets)
            letters: np.ndarray[Any, Any] = folded[ranges(starts, sizes)]
        else:
            starts, sizes, letters = _runs(folded, kinds, offsets)
        counts = np.diff(np.searchsorted(starts, offsets))
        bounds = np.concatenate(([0], np.cumsum(sizes)))
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

    def _characters_of(
        self, data: U8Array, offsets: I64Array
    ) -> tuple[np.ndarray[Any, Any], U8Array | None, I64Array]:
        """UTF-8 as folded characters, without marks; their kinds, if one is not PLAIN; the offsets there."""
        characters = np.frombuffer(data.tobytes().decode().encode("utf-32-le"), "<u4")
        behind = np.zeros(len(data) + 1, np.int64)  # continuation bytes before each byte
        np.cumsum((data & 0xC0) == 0x80, out=behind[1:])
        offsets = offsets - behind[offsets]
        folded = self._characters.table[characters]
        kinds = None if self._characters.kinds is None else self._characters.kinds[characters]
        if kinds is not None and not kinds.any():
            kinds = None
        marks = folded == MARK
        if marks.any():
            # A mark is dropped from a word, and is a separator beside one; without it the words are the same.
            offsets, folded, kinds = _without(marks, offsets, folded, kinds)
        return folded, kinds, offsets


@functools.lru_cache(maxsize=64)
def words_of(tokenize: str) -> Words:
    """The words to a tokenizer; SchemaError for one that does not exist."""
    return Words(parse_tokenizer(tokenize))


def _without(
    gone: BoolArray, offsets: I64Array, folded: np.ndarray[Any, Any], kinds: U8Array | None = None
) -> tuple[I64Array, np.ndarray[Any, Any], U8Array | None]:
    """Offsets, characters and kinds without those that are ``gone``."""
    before = np.zeros(len(folded) + 1, np.int64)
    np.cumsum(gone, out=before[1:])
    return offsets - before[offsets], folded[~gone], None if kinds is None else kinds[~gone]


def _windows(offsets: I64Array) -> tuple[I64Array, I64Array]:
    """Where each trigram of texts begins, and their sizes."""
    counts = np.maximum(np.diff(offsets) - (_TRIGRAM - 1), 0)
    starts = ranges(offsets[:-1], counts)
    return starts, np.full(len(starts), _TRIGRAM, np.int64)


def _runs(
    folded: np.ndarray[Any, Any], kinds: U8Array | None, offsets: I64Array
) -> tuple[I64Array, I64Array, np.ndarray[Any, Any]]:
    """Where each word of texts begins, int64 (w,), how many characters it has, and these, word by word."""
    inside = folded != SEPARATOR
    edges = offsets[:-1][offsets[:-1] < offsets[1:]]
    if kinds is not None:
        _unfollow(inside, kinds, edges)
    # A word ends at a separator, and at the end of its text.
    begins = inside.copy()
    begins[1:] &= ~inside[:-1]
    begins[edges] = inside[edges]
    if kinds is not None:
        single = inside & ((kinds == PAIRED) | (kinds == ALONE))
        begins |= single
        begins[1:] |= inside[1:] & single[:-1]
    starts = np.flatnonzero(begins)
    inside_before = np.zeros(len(folded) + 1, np.int64)
    np.cumsum(inside, out=inside_before[1:])
    sizes = np.diff(np.append(inside_before[starts], inside_before[-1]))
    letters = folded[inside]
    if kinds is not None and (paired := inside & (kinds == PAIRED)).any():
        followed = np.zeros(len(folded), np.bool_)
        followed[:-1] = paired[:-1] & paired[1:]
        followed[edges[edges > 0] - 1] = False
        sizes[followed[starts]] = 2
        letters = folded[ranges(starts, sizes)]
    return starts, sizes, letters


def _unfollow(inside: BoolArray, kinds: U8Array, edges: I64Array) -> None:
    """Make separators of the marks that stand where a word would begin."""
    following = kinds == FOLLOWER
    while following.any():
        before = np.zeros(len(inside), np.bool_)
        before[1:] = inside[:-1]
        before[edges] = False
        outside = following & inside & ~before
        if not outside.any():
            return
        inside[outside] = False


def _cut(term: str) -> bytes:
    return _cut_bytes(term.encode("utf-8", "surrogatepass"))


def _cut_bytes(term: bytes) -> bytes:
    return term[:MAX_TERM_BYTES]


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


def _as_utf8(letters: U32Array, bounds: I64Array) -> tuple[U8Array, I64Array]:
    sizes = 1 + (letters > 0x7F).astype(np.int64) + (letters > 0x7FF) + (letters > 0xFFFF)
    byte_offsets = np.zeros(len(letters) + 1, np.int64)
    np.cumsum(sizes, out=byte_offsets[1:])
    text = letters.astype("<u4").tobytes().decode("utf-32-le").encode()
    return np.frombuffer(text, np.uint8), byte_offsets[bounds]
