"""The classes of characters that make words: one for each tokenizer that is built on single characters.

Besides the folding table of ``unicode61`` there are kinds: characters of scripts that are written without
spaces are taken in pairs, emoji alone, and some marks follow a letter and begin no word.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np

from audiomem_sql.arrays import BoolArray, U8Array, U32Array
from audiomem_sql.columns.tokenizers import FTS5_PORTER, Tokenizer
from audiomem_sql.indexes.words.unicode61 import (
    CHARACTERS,
    MARK,
    SEPARATOR,
    folding_table,
    in_categories,
    marks,
)

#: Kinds of characters; PLAIN ones are parts of words like all letters.
PLAIN, PAIRED, ALONE, FOLLOWER = range(4)
#: Thai, Lao, Myanmar, Khmer; han, kana, bopomofo, and their iteration marks and half widths.
_PAIRED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3021, 0x3029)),
    *((0x3041, 0x3098), (0x309D, 0x30FA), (0x30FC, 0x30FF), (0x3105, 0x312F), (0x31A0, 0x31BF)),
    *((0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    *((0xF900, 0xFAFF), (0xFF66, 0xFF9F), (0x1AFF0, 0x1B16F), (0x20000, 0x3FFFD)),
)
#: Emoji and other pictures.
_ALONE = (
    *((0x203C, 0x203C), (0x2049, 0x2049), (0x2122, 0x2122), (0x2139, 0x2139), (0x2190, 0x21FF)),
    *((0x2300, 0x23FF), (0x25A0, 0x27BF), (0x2934, 0x2935), (0x2B00, 0x2BFF), (0x3297, 0x3297)),
    *((0x3299, 0x3299), (0x1F000, 0x1F3FA), (0x1F400, 0x1FAFF)),
)
#: What no word is told apart by: soft hyphens and joiners, points of Hebrew and Arabic, kashidas, marks for
#: symbols, selectors of variants, colours of skin.
_DROPPED = (
    *((0x00AD, 0x00AD), (0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2), (0x05C4, 0x05C5)),
    *((0x05C7, 0x05C7), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670)),
    *((0x06D6, 0x06DC), (0x06DF, 0x06E4), (0x06E7, 0x06E8), (0x06EA, 0x06ED), (0x1AB0, 0x1AFF)),
    *((0x200B, 0x200D), (0x2060, 0x2060), (0x20D0, 0x20FF), (0x3099, 0x309A), (0xFE00, 0xFE0F)),
    *((0xFEFF, 0xFEFF), (0x1F3FB, 0x1F3FF), (0xE0020, 0xE007F), (0xE0100, 0xE01EF)),
)
#: Combining marks of letters: dropped with the diacritics, and otherwise kept.
_COMBINING = ((0x0300, 0x036F), (0x1DC0, 0x1DFF))
#: Full-width forms of ASCII.
_FULL_WIDTH = 0xFF01 - 0x21


@dataclass(frozen=True, eq=False)
class Characters:
    """What each code point is to a tokenizer.

    ``table`` uint32 (0x110000,): SEPARATOR, MARK, or the code point for it in a term; ``kinds`` uint8, None
    where all are PLAIN.
    """

    table: U32Array
    kinds: U8Array | None = None

    @functools.cached_property
    def ascii_table(self) -> U8Array | None:
        """uint8 (128,): ``table`` for texts of ASCII; None where their terms are not ASCII."""
        start = self.table[:128]
        return start.astype(np.uint8) if int(start.max()) < 128 else None

    @functools.cached_property
    def runs(self) -> re.Pattern[str]:
        """A word, a run of paired characters (group 1), or a character that is alone, with its marks."""
        inside = (self.table != SEPARATOR) & (self.table != MARK)
        kinds = np.zeros(CHARACTERS, np.uint8) if self.kinds is None else self.kinds
        mark = character_class((self.table == MARK) | (inside & (kinds == FOLLOWER)))
        letter, paired, alone = (character_class(inside & (kinds == kind)) for kind in (PLAIN, PAIRED, ALONE))
        parts = [f"[{letter}][{letter}{mark}]*"] if letter else []
        parts.append(f"([{paired}][{paired}{mark}]*)" if paired else "((?!))")
        parts += [f"[{alone}]"] if alone else []
        return re.compile("|".join(parts))

    @functools.cached_property
    def folding(self) -> dict[int, int | None]:
        """What ``str.translate`` takes to make a term of what was matched."""
        changed = np.flatnonzero((self.table != np.arange(CHARACTERS)) & (self.table != SEPARATOR))
        return {int(code): None if self.table[code] == MARK else int(self.table[code]) for code in changed}


def character_class(members: BoolArray) -> str:
    """The inside of ``[…]`` for members, bool (0x110000,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], members, [False]]).astype(np.int8)))
    return "".join(f"\\U{start:08x}-\\U{end - 1:08x}" for start, end in edges.reshape(-1, 2))


@functools.lru_cache(maxsize=16)
def characters_of(tokenizer: Tokenizer) -> Characters:
    """The classes for the base of ``tokenizer``; diacritics are kept where Snowball needs them."""
    stemmed = tokenizer.stemmer not in (None, FTS5_PORTER)
    diacritics = 0 if stemmed else tokenizer.remove_diacritics
    if tokenizer.base == "trigram":
        return Characters(_trigram_table(tokenizer.case_sensitive, tokenizer.remove_diacritics))
    if tokenizer.base == "ascii":
        return Characters(_ascii_table(tokenizer.tokenchars, tokenizer.separators))
    table = folding_table(diacritics, tokenizer.categories, tokenizer.tokenchars, tokenizer.separators)
    if tokenizer.base == "bigram":
        turkish = "turkish" in (tokenizer.stemmer, tokenizer.language)
        return _bigram_characters(table, tokenizer, diacritics, turkish)
    followers = marks() & ~in_categories(tokenizer.categories)
    kinds = np.where(followers, FOLLOWER, PLAIN).astype(np.uint8) if diacritics == 0 else None
    return Characters(table, kinds)


def _bigram_characters(
    unicode61: U32Array, tokenizer: Tokenizer, diacritics: int, turkish: bool
) -> Characters:
    table = unicode61.copy()
    kinds = np.zeros(CHARACTERS, np.uint8)
    for first, last in _ALONE:
        table[first : last + 1] = np.arange(first, last + 1)
        kinds[first : last + 1] = ALONE
    for first, last in _PAIRED:
        kinds[first : last + 1] = PAIRED
    for first, last in (*_DROPPED, *(_COMBINING if diacritics else ())):
        table[first : last + 1] = MARK
    for letters in (range(0x30, 0x3A), range(0x41, 0x5B), range(0x61, 0x7B)):
        wide = np.array(letters) + _FULL_WIDTH
        table[wide] = table[np.array(letters)]
    if turkish:
        table[ord("I")], table[ord("İ")] = ord("ı"), ord("i")
    for members, inside in ((tokenizer.tokenchars, True), (tokenizer.separators, False)):
        for code in map(ord, members):
            table[code] = unicode61[code] if inside else SEPARATOR
    kinds[(table == SEPARATOR) | (table == MARK)] = PLAIN
    table.flags.writeable = False
    return Characters(table, kinds)


def _trigram_table(case_sensitive: bool, remove_diacritics: int) -> U32Array:
    if case_sensitive:
        table = np.arange(CHARACTERS, dtype=np.uint32)
    else:
        table = folding_table(2 * remove_diacritics, "L* M* N* P* S* Z* C*").copy()
    table[0] = MARK
    return table


def _ascii_table(tokenchars: str, separators: str) -> U32Array:
    table = np.arange(CHARACTERS, dtype=np.uint32)
    for code in range(128):
        character = chr(code)
        inside = (character.isalnum() or character in tokenchars) and character not in separators
        table[code] = ord(character.lower()) if inside else SEPARATOR
    return table
