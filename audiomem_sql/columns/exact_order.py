"""The order of exact numbers as texts, of any length: ``types.NUMBER_COLLATION``.

A text that is no number is above all numbers, and compared with others byte by byte.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?", re.ASCII)


def compare_numbers(left: str, right: str) -> int:
    """-1, 0 or 1: the order of two texts in the collating sequence of exact numbers."""
    one, other = _key(left), _key(right)
    if one is None or other is None:
        if one is None and other is None:
            return (left > right) - (left < right)
        return 1 if one is None else -1
    return (one > other) - (one < other)


def is_number(text: str) -> bool:
    """Whether the collating sequence takes the text for a number: one with blanks around it is none."""
    return _key(text) is not None


def _key(text: str) -> tuple[int, int, str] | None:
    """(sign, place of the first digit, digits), in the order of the numbers; None for what is no number."""
    found = _NUMBER.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    whole, fraction = found[2].lstrip("0"), found[3] or ""
    digits = (whole + fraction).lstrip("0").rstrip("0")
    if not digits:
        return 0, 0, ""
    place = len(whole) if whole else len(fraction.lstrip("0")) - len(fraction)
    place += int(found[4] or 0)
    if found[1] == "-":
        return -1, -place, digits.translate(_OPPOSITE) + "~"
    return 1, place, digits


_OPPOSITE = {ord("0") + digit: ord("9") - digit for digit in range(10)}
