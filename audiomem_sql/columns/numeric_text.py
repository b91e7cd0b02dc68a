"""Numbers as text and text as numbers, digit for digit as SQLite does it.

Both directions follow SQLite 3.52 and later, which is not always the correctly rounded or the shortest
decimal: reading takes the first 19 or 20 digits of a number, and writing gives 17 digits whose last may be
off by one. https://www.sqlite.org/floatingpoint.html
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1

_NUMBER = re.compile(
    r"[ \t\n\v\f\r]*([+-]?)(?:([0-9]+)(\.[0-9]*)?|(\.[0-9]+))(?:[eE]([+-]?[0-9]+))?[ \t\n\v\f\r]*"
)
# Once the digits read so far reach this, one more might not fit 64 bits.
_ENOUGH = (2**64 - 10) // 10


def numeric_text(text: str) -> int | float | None:
    """The number that SQLite's NUMERIC affinity makes of ``text``; None if it stays text.

    A text ends at its first NUL. No hexadecimal, no underscores, no infinity by name.
    """
    match = _NUMBER.fullmatch(text.split("\0", 1)[0])
    if match is None:
        return None
    sign, whole, fraction, only_fraction, exponent = match.groups()
    decimals = (fraction or only_fraction or ".")[1:]
    digits = ((whole or "") + decimals).lstrip("0")
    if fraction is None and only_fraction is None and exponent is None and len(digits) <= 19:
        number = int(f"{sign}{digits or 0}")
        if MIN_INTEGER <= number <= MAX_INTEGER:
            return number
    scale = min(int(exponent[:9]), 1_000_000) if exponent else 0
    scale -= len(decimals)
    if len(digits) > 19:
        kept = 19 if int(digits[:19]) >= _ENOUGH else 20
        scale += len(digits) - kept
        digits = digits[:kept]
    real = float(f"{sign}{digits or 0}e{scale}")
    integer = real_as_integer(real)
    return real if integer is None else integer


def real_as_integer(real: float) -> int | None:
    """The integer that SQLite's INTEGER affinity makes of ``real``; None if it stays REAL."""
    # both ends are left out, as in sqlite3VdbeIntegerAffinity
    if -(2.0**63) < real < 2.0**63 and real.is_integer():
        return int(real)
    return None


def real_text(real: float) -> str:
    """The text that SQLite makes of a REAL, ``%!.17g``. Not for NaN, which SQLite stores as NULL."""
    if real == 0:
        return "0.0"
    sign = "-" if real < 0 else ""
    if math.isinf(real):
        return f"{sign}Inf"
    digits, point = _decimal(abs(real))
    if not -4 <= point - 1 <= 16:
        return f"{sign}{digits[0]}.{digits[1:] or '0'}e{point - 1:+03d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    digits = digits.ljust(point, "0")
    return f"{sign}{digits[:point]}.{digits[point:] or '0'}"


def _decimal(real: float) -> tuple[str, int]:
    """At most 17 significant digits of a positive real, and the place of the decimal point in them."""
    fraction, exponent = math.frexp(real)
    mantissa, exponent = int(math.ldexp(fraction, 64)), exponent - 64
    power = 17 - ((exponent + 63) * 78913 >> 18)  # 78913 / 2**18 is log10(2)
    scaled, scale = _power_of_ten(power)
    # twice the decimal, cut off, and then rounded
    doubled = (mantissa * scaled) >> -(exponent + scale + 1)
    number = (doubled >> 1) + (doubled & 1)
    digits = str(number)
    point = len(digits) - power
    if len(digits) <= 17:
        return digits.rstrip("0"), point
    kept = 17
    if digits[14:16] == "99":
        head = digits[:14].rstrip("9")
        if _reads_back(int(head or 0) + 1, point - len(head), real):
            kept = len(head) + 1
    elif point >= len(digits) or digits[13:16] == "000":
        head = digits[:13].rstrip("0")
        if _reads_back(int(head), point - len(head), real):
            kept = len(head) + 1
    rounded = int(digits[:kept]) + (digits[kept] >= "5")
    text = str(rounded)
    return text.rstrip("0"), point + len(text) - kept


def _reads_back(number: int, exponent: int, real: float) -> bool:
    return float(f"{number}e{exponent}") == real


@lru_cache(maxsize=1024)
def _power_of_ten(power: int) -> tuple[int, int]:
    """The highest 64 bits of ``10**power`` and the power of two they are to be multiplied with."""
    if power >= 0:
        value = 10**power
        scale = value.bit_length() - 64
        return (value >> scale if scale >= 0 else value << -scale), scale
    value = 10**-power
    bits = value.bit_length() + 63
    quotient = (1 << bits) // value
    return quotient, -bits
