"""Long texts: cut into passages that fit the model's window, and what was found in them.

A text of more tokens than the window is cut into passages of nine tenths of it (228 of 254 tokens), with a
tenth (25) of overlap. A passage ends where a paragraph, a sentence or a word ends, the last such place in its
last quarter, so equal beginnings of texts have equal passages, and behind an edit the passages soon are as
they were. Its tokens are those of the model; where it has no tokenizer, words, of which a long one counts one
token for each six letters, and every other character one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from audiomem_sql.arrays import F32Array, I64Array
from audiomem_sql.columns.text_vectors import MAX_PASSAGES, Passages
from audiomem_sql.columns.vector_index import COSINE
from audiomem_sql.indexes.vectors import distances_of
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.embedders import Embedder
from audiomem_sql.warn_once import warn_once

#: Tokens of a window without those that begin and end it, where the model does not say.
USUAL_WINDOW = 254
#: A passage is at least this share of its size, if it can end at a word before.
LEAST_SHARE = 0.75
#: What one token is where there is no tokenizer.
_TOKENS = re.compile(r"[⺀-鿿가-퟿豈-﫿ぁ-ヿ]|\w{1,6}|[^\w\s]")
_SENTENCE_END = frozenset(".!?…。！？;；:：")
_WORD, _SENTENCE, _PARAGRAPH = 1, 2, 3

#: The vector of a text or of its first passage, and what the column of passages holds, as they are stored.
Embedded = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Known:
    """A text as it was before, with its vectors as they are stored."""

    text: str
    vector: bytes
    passages: bytes | None

    def vectors(self) -> dict[str, F32Array]:
        """The vectors of its passages, by their texts."""
        first = np.frombuffer(self.vector, "<f4")
        if self.passages is None:
            return {self.text: first}
        passages = Passages.from_bytes(self.passages, len(first))
        texts = [self.text[start:end] for start, end in passages.spans.tolist()]
        return dict(zip(texts, (first, *passages.further), strict=True))


def window_of(passages: str, embedder: Embedder) -> int | None:
    """The tokens of a window by the option ``passages``; None where texts are not cut."""
    if passages.isdecimal():
        return int(passages)
    if passages == "off":
        return None
    return getattr(embedder, "window", None) or USUAL_WINDOW


def token_spans(text: str, embedder: Embedder) -> I64Array:
    """The tokens of a text, int64 (n, 2): the first character of each, and the one behind its last."""
    tokenize = getattr(embedder, "token_spans", None)
    spans = None if tokenize is None else tokenize(text)
    if spans is None:
        spans = [match.span() for match in _TOKENS.finditer(text)]
    found = np.array(spans, np.int64).reshape(-1, 2)
    return found[found[:, 1] > found[:, 0]]


def cut(text: str, window: int, embedder: Embedder) -> I64Array:
    """The passages of a text, int64 (m, 2) in characters; one row for a text that fits the window."""
    whole = np.array([[0, len(text)]], np.int64)
    if len(text) <= window:  # a token has at least one character
        return whole
    tokens = token_spans(text, embedder)
    if len(tokens) <= window:
        return whole
    size, overlap = max(1, window * 9 // 10), window // 10
    found: list[tuple[int, int]] = []
    first = 0
    while first + size < len(tokens):
        end = _end(text, tokens, first + max(1, int(size * LEAST_SHARE)), first + size)
        found.append((int(tokens[first, 0]), int(tokens[end - 1, 1])))
        first = _start(text, tokens, max(first + 1, end - overlap), end)
    found.append((int(tokens[first, 0]), len(text)))
    found[0] = (0, found[0][1])
    if len(found) > MAX_PASSAGES:
        warn_once(
            ("passages", len(text)),
            f"a text of {len(text):,} characters has more than {MAX_PASSAGES:,} passages; "
            "what is behind them is not searched by meaning",
            UserWarning,
        )
    return np.array(found[:MAX_PASSAGES], np.int64)


def pieces_of(text: str, window: int | None, embedder: Embedder) -> list[str]:
    """The passages of a text; itself where it fits the window, or there is none."""
    found = None if window is None else cut(text, window, embedder)
    return [text] if found is None or len(found) == 1 else [text[start:end] for start, end in found.tolist()]


def _end(text: str, tokens: I64Array, least: int, most: int) -> int:
    """The token before which a passage ends: the last of the best places from ``least`` to ``most``."""
    return max(range(least, most + 1), key=lambda token: (_rank(text, tokens, token), token))


def _start(text: str, tokens: I64Array, least: int, end: int) -> int:
    """The token with which the next passage begins: the first of the best places from ``least`` on."""
    return max(range(least, end), key=lambda token: (_rank(text, tokens, token), -token), default=least)


def _rank(text: str, tokens: I64Array, token: int) -> int:
    """What ends before a token: a paragraph, a sentence, a word, or nothing."""
    before, start = int(tokens[token - 1, 1]), int(tokens[token, 0])
    between = text[before:start]
    if "\n" in between:
        return _PARAGRAPH
    ended = text[before - 1 : before] in _SENTENCE_END
    if between:
        return _SENTENCE if ended else _WORD
    return _SENTENCE if ended and not text[start : start + 1].isascii() else 0


def embedded_texts(
    texts: Sequence[str],
    embedder: Embedder,
    window: int | None,
    known: Sequence[Known | None] = (),
    progress: Progress | None = None,
) -> list[Embedded]:
    """The vectors of texts as they are stored; those above the window are cut.

    known: what each row had before; passages that it has keep their vectors.
    """
    spans = [None if window is None else cut(text, window, embedder) for text in texts]
    pieces = [
        [text] if found is None or len(found) == 1 else [text[start:end] for start, end in found.tolist()]
        for text, found in zip(texts, spans, strict=True)
    ]
    kept: dict[str, F32Array] = {}
    for before in known:
        if before is not None:
            kept |= before.vectors()
    missing = list(dict.fromkeys(piece for parts in pieces for piece in parts if piece not in kept))
    vectors = kept | dict(zip(missing, embedder.embed(missing, progress) if missing else (), strict=True))
    made: list[Embedded] = []
    for parts, found in zip(pieces, spans, strict=True):
        first = vectors[parts[0]].astype("<f4").tobytes()
        further = None
        if found is not None and len(found) > 1:
            further = Passages(found, np.stack([vectors[part] for part in parts[1:]])).to_bytes()
        made.append((first, further))
    return made


class BestPassage(NamedTuple):
    """The passage of a text that is nearest to a query.

    start, end: its first character, and the one behind its last. cosine: how near it is. passages: how many
    the text has.
    """

    start: int
    end: int
    cosine: float
    passages: int


def best_passage(first: F32Array, passages: bytes, query: F32Array) -> BestPassage:
    """The passage of a row that is nearest to float32 (d,) ``query``.

    first: the vector of the first passage. passages: what the column of passages holds.
    """
    found = Passages.from_bytes(passages, len(first))
    distances = distances_of(np.vstack([first[np.newaxis], found.further]), query, COSINE)
    best = int(np.argmin(distances))
    start, end = found.spans[best].tolist()
    return BestPassage(start, end, 1.0 - float(distances[best]), len(found.spans))
