"""Words to stems: FTS5's porter, and the stemmers of Snowball, each distinct word once."""

from __future__ import annotations

import functools
import threading
import unicodedata
from collections.abc import Callable
from typing import Any

from audiomem_sql.columns.tokenizers import AUTO, FTS5_PORTER, Tokenizer
from audiomem_sql.errors import MissingExtraError
from audiomem_sql.indexes.words.languages import script_language
from audiomem_sql.indexes.words.porter import porter
from audiomem_sql.indexes.words.unicode61 import MARK, folding_table
from audiomem_sql.machine.interrupts import check_interrupt

#: What ``auto`` stems Latin words by when their language is not known.
USUAL_LANGUAGE = "english"
#: Stems that are kept, each tokenizer.
_KEPT = 1 << 18
#: Words that are stemmed before an interrupt is looked for.
_AT_ONCE = 4096
#: Letters that do not decompose, as those write them who lack the key.
_WRITTEN_AS = str.maketrans(
    {"ı": "i", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ŧ": "t"}
)


class Stems:
    """Terms of words. Safe to use from several threads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._kept: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._stem: Callable[[bytes], bytes] = porter
        if tokenizer.stemmer != FTS5_PORTER:
            self._stem = self._finished

    def __call__(self, words: list[bytes]) -> list[bytes]:
        """The term of each word; MissingExtraError if PyStemmer is needed and is not there."""
        with self._lock:
            kept = self._kept
            if len(kept) > _KEPT:
                kept.clear()
            new = [word for word in words if word not in kept]
            for start in range(0, len(new), _AT_ONCE):
                check_interrupt()
                some = new[start : start + _AT_ONCE]
                kept.update(zip(some, map(self._stem, some), strict=True))
            return [kept[word] for word in words]

    def _finished(self, word: bytes) -> bytes:
        tokenizer = self._tokenizer
        if word.isascii():
            return self._snowball(word.decode("ascii"), None).encode()
        text = word.decode("utf-8", "surrogatepass")
        if tokenizer.base == "bigram":
            text = unicodedata.normalize("NFC", text)
        stem = self._snowball(text, script_language(ord(text[0])))
        if tokenizer.remove_diacritics:
            stem = stem.translate(_without_diacritics(tokenizer.remove_diacritics))
        if tokenizer.base == "bigram":
            stem = stem.translate(_WRITTEN_AS)
        return (stem or text).encode("utf-8", "surrogatepass")

    def _snowball(self, word: str, by_script: str | None) -> str:
        language = self._tokenizer.stemmer
        if language == AUTO:
            language = by_script or self._tokenizer.language or USUAL_LANGUAGE
            if by_script is None and not word.isascii() and not _is_latin(word):
                return word
        if language is None:
            return word
        stem: str = stemmer(language).stemWord(word)
        return stem


def needs_stems(tokenizer: Tokenizer) -> bool:
    """Whether terms are something else than words in small letters."""
    return tokenizer.stemmer is not None or tokenizer.base == "bigram"


def stemmer_version() -> str:
    """Which stemmers are installed: those of another version may make other stems."""
    return ".".join(_module().version().split(".")[:2])


@functools.cache
def _module() -> Any:
    try:
        import Stemmer
    except ImportError as error:
        raise MissingExtraError(
            "stems of words need the package PyStemmer, which is not installed",
            remedy="pip install PyStemmer, or make tables with INDEXED(tokenize='bigram').",
        ) from error
    return Stemmer


_stemmers = threading.local()


def stemmer(language: str) -> Any:
    """The stemmer of a language for the thread that asks: it is not safe to share one."""
    by_language: dict[str, Any] = _stemmers.__dict__
    found = by_language.get(language)
    if found is None:
        found = by_language[language] = _module().Stemmer(language, 0)
    return found


def _is_latin(word: str) -> bool:
    code = ord(word[0])
    return code < 0x250 or 0x1E00 <= code < 0x1F00


@functools.cache
def _without_diacritics(remove_diacritics: int) -> dict[int, str | None]:
    kept, without = (folding_table(way, "L* M* N* P* S* Z* C*") for way in (0, remove_diacritics))
    changed = (kept != without).nonzero()[0]
    table = {int(code): None if without[code] == MARK else chr(without[code]) for code in changed}
    return table | dict.fromkeys(range(768, 880))
