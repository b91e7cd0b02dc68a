"""What is known of languages: their stop words, and which language a text is written in.

The stop words are the lists of Snowball (https://snowballstem.org; copyright Martin Porter and Richard
Boulton, 3-clause BSD licence). What stands before and behind an apostrophe there counts alone, as the
tokenizers take it: ``don`` and ``t`` of ``don't``.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array

#: The stemmers of scripts that are not Latin.
BY_SCRIPT = (
    *((0x0370, 0x03FF, "greek"), (0x1F00, 0x1FFF, "greek"), (0x0400, 0x052F, "russian")),
    *((0x0531, 0x0587, "armenian"), (0x0600, 0x06FF, "arabic"), (0x0750, 0x077F, "arabic")),
    *((0x0900, 0x097F, "hindi"), (0x0B80, 0x0BFF, "tamil")),
)
#: A text is in the language of which it has most stop words, if it has at least so many, and they are at
#: least so great a share of its words.
_MIN_HITS, _MIN_SHARE = 4, 0.08
#: Pieces of words with an apostrophe that are words of their own.
_WORDS_OF_THEIR_OWN = frozenset({"can", "won", "let"})


def script_language(code: int) -> str | None:
    """The stemmer for a word with this letter; None for Latin, and for scripts without one."""
    return next((name for first, last, name in BY_SCRIPT if first <= code <= last), None)


@functools.cache
def _lists() -> dict[str, frozenset[str]]:
    text = (Path(__file__).parent / "stop_words.txt").read_text("utf-8")
    lists = {}
    for line in text.splitlines():
        language, _, words = line.partition(": ")
        pieces = set(re.split(r"['\s]+", words)) - _WORDS_OF_THEIR_OWN
        lists[language] = frozenset(pieces | set(words.split()))
    return lists


@functools.cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language, in small letters; none of a language without a list."""
    return _lists().get(language, frozenset())


def language_of(terms: pa.Array, counts: I64Array) -> str | None:
    """The language with Latin letters of texts with these words, None if they do not tell.

    terms: binary, in small letters; counts: int64 (terms,), how often each stands there.
    """
    import pyarrow.compute as pc

    best: tuple[int, str] = 0, ""
    for language in sorted(_lists()):
        if language == "russian":
            continue
        words = pa.array(sorted(word.encode() for word in stop_words(language)), pa.binary())
        hits = int(counts[np.asarray(pc.is_in(terms, words))].sum())
        if hits > best[0]:
            best = hits, language
    hits, language = best
    return language if hits >= max(_MIN_HITS, _MIN_SHARE * int(counts.sum())) else None
