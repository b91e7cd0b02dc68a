"""FTS5's tokenizer ``porter``: the stems of Porter 1980, "An algorithm for suffix stripping", on bytes.

FTS5 has two rules that Snowball's ``porter`` lacks, for ``bli`` and ``logi``, and takes digits and bytes
over 127 as consonants.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

#: FTS5 leaves words of other sizes as they are.
_MIN_BYTES, _MAX_BYTES = 3, 64
#: Suffixes and what stands for each, by the last letter but one.
_Rules: TypeAlias = dict[int, tuple[tuple[bytes, bytes], ...]]
_VOWELS = frozenset(b"aeiou")
_Y = ord("y")


def porter(word: bytes) -> bytes:
    """The stem of a word in small letters."""
    if not _MIN_BYTES <= len(word) <= _MAX_BYTES:
        return word
    stem = _step_1b(_step_1a(word))
    if stem[-1] == _Y and _has_vowel(stem[:-1]):
        stem = stem[:-1] + b"i"
    for rules, holds in ((_STEP_2, _once), (_STEP_3, _once), (_STEP_4, _twice)):
        stem = _replaced(stem, rules, holds)
    if stem.endswith(b"e"):
        rest = stem[:-1]
        if _twice(rest) or (_once(rest) and not _ends_short(rest)):
            stem = rest
    if stem.endswith(b"ll") and _twice(stem[:-1]):
        stem = stem[:-1]
    return stem


def _step_1a(word: bytes) -> bytes:
    if not word.endswith(b"s") or word.endswith(b"ss"):
        return word
    if word.endswith(b"es") and (
        (len(word) > 4 and word.endswith(b"sses")) or (len(word) > 3 and word.endswith(b"ies"))
    ):
        return word[:-2]
    return word[:-1]


def _step_1b(word: bytes) -> bytes:
    if word.endswith(b"eed") and len(word) > 3:
        return word[:-1] if _once(word[:-3]) else word
    if word.endswith(b"ed") and len(word) > 2:
        stem = word[:-2]
    elif word.endswith(b"ing") and len(word) > 3:
        stem = word[:-3]
    else:
        return word
    if not _has_vowel(stem):
        return word
    if len(stem) > 2 and stem.endswith((b"at", b"bl", b"iz")):
        return stem + b"e"
    if len(stem) > 1 and stem[-1] == stem[-2] and stem[-1] not in _VOWELS and stem[-1] not in b"lsz":
        return stem[:-1]
    return stem + b"e" if _once(stem) and not _twice(stem) and _ends_short(stem) else stem


def _replaced(word: bytes, rules: _Rules, holds: Callable[[bytes], bool]) -> bytes:
    """``word`` with the first suffix that it has replaced, if the condition holds for what is before it."""
    if len(word) < 2:
        return word
    for suffix, replacement in rules.get(word[-2], ()):
        if word.endswith(suffix) and len(word) > len(suffix):
            stem = word[: -len(suffix)]
            if holds(stem) and (suffix != b"ion" or stem[-1] in b"st"):
                return stem + replacement
            return word
    return word


def _consonants(stem: bytes) -> list[bool]:
    """Whether each letter is a consonant: y is one behind a vowel, and at the beginning."""
    out: list[bool] = []
    consonant = False
    for letter in stem:
        consonant = not (letter in _VOWELS or (letter == _Y and consonant))
        out.append(consonant)
    return out


def _measure(stem: bytes) -> int:
    """How often a consonant follows a vowel."""
    consonants = _consonants(stem)
    return sum(after and not before for before, after in pairwise(consonants))


def _once(stem: bytes) -> bool:
    return _measure(stem) > 0


def _twice(stem: bytes) -> bool:
    return _measure(stem) > 1


def _has_vowel(stem: bytes) -> bool:
    return any(letter in _VOWELS or (letter == _Y and at > 0) for at, letter in enumerate(stem))


def _ends_short(stem: bytes) -> bool:
    """Consonant, vowel, consonant that is no w, x or y."""
    return _consonants(stem)[-3:] == [True, False, True] and stem[-1] not in b"wxy"


def _by_letter(*rules: tuple[str, str]) -> _Rules:
    """Rules (suffix, replacement) by the last letter but one, in their order."""
    grouped: _Rules = {}
    for suffix, replacement in rules:
        letter = ord(suffix[-2])
        grouped[letter] = (*grouped.get(letter, ()), (suffix.encode(), replacement.encode()))
    return grouped


_STEP_2 = _by_letter(
    *(("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize")),
    *(("logi", "log"), ("bli", "ble"), ("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous")),
    *(("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"), ("iveness", "ive")),
    *(("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble")),
)
_STEP_3 = _by_letter(
    *(("ical", "ic"), ("ness", ""), ("icate", "ic"), ("iciti", "ic"), ("ful", ""), ("ative", "")),
    ("alize", "al"),
)
_STEP_4 = _by_letter(
    *((suffix, "") for suffix in ("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment")),
    *((suffix, "") for suffix in ("ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize")),
)
