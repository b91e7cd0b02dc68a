"""The texts that SQLite shows of whole arrays, made without a step of Python for each value.

A text is a row of a matrix of characters, uint8 (n, width), and a mask of the same shape says which of them
it has: the characters that it lacks are left out when the rows are put side by side. What no matrix is made
for is None: values of bytes other than UUID, and times beyond the years 1 to 9999.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import PER_SECOND
from audiomem_sql.columns.views import integers, strings, valid

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # 0001-01-01 and 9999-12-31
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_FOUR: U8Array = (np.arange(10_000)[:, None] // (1000, 100, 10, 1) % 10 + ord("0")).astype(np.uint8)
_TWO: U8Array = np.ascontiguousarray(_FOUR[:100, 2:])
_HEX: U8Array = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint8).reshape(256, 2)
_DASHES = (8, 13, 18, 23)
_ZONE: U8Array = np.frombuffer(b"+00:00", np.uint8)
_MARKS = {place: ord(mark) for place, mark in ((2, ":"), (5, ":"), (8, "."))}


def image_array(node: Node, array: Any) -> Any:
    """Texts, as an array of strings with the NULLs of the stored ``array``; None where this makes none."""
    there = valid(array)
    made: tuple[U8Array, BoolArray | None] | None
    if node.name == "UUID":
        made = _uuids(array, there)
    elif not node.is_integer:
        return None
    else:
        made = _of_integers(node, np.where(there, integers(array), 0))
    return None if made is None else _joined(*made, there)


def _of_integers(node: Node, numbers: I64Array) -> tuple[U8Array, BoolArray | None] | None:
    if node.name == "DECIMAL":
        return _decimals(numbers, node.numbers[1])
    if node.name == "DATE":
        return (_dates(numbers), None) if _are_plain(numbers) else None
    if node.name in ("TIME_S", "TIME_MS", "TIME", "TIME_NS"):
        return _clocks(numbers, PER_SECOND[node.unit])
    if not node.name.startswith("TIMESTAMP"):
        return None
    days, clock = np.divmod(numbers, 86_400 * PER_SECOND[node.unit])
    if not _are_plain(days):
        return None
    texts, used = _clocks(clock, PER_SECOND[node.unit])
    parts = [_dates(days), np.full((len(days), 1), ord(" "), np.uint8), texts]
    if node.name.startswith("TIMESTAMPTZ"):
        parts.append(np.broadcast_to(_ZONE, (len(days), len(_ZONE))))
    whole = np.concatenate(parts, axis=1)
    if used is not None:
        mask = np.ones(whole.shape, bool)
        mask[:, 11 : 11 + used.shape[1]] = used
        used = mask
    return whole, used


def _are_plain(days: I64Array) -> bool:
    return not len(days) or bool(days.min() >= _FIRST_DAY and days.max() <= _LAST_DAY)


def _digits(numbers: Any, width: int) -> U8Array:
    """The digits of numbers below 10^width, in groups of four: uint8 (n, 4 * groups)."""
    groups = -(-width // 4)
    made = np.empty((len(numbers), 4 * groups), np.uint8)
    rest = numbers
    for group in range(groups - 1, -1, -1):
        higher = rest // 10_000
        made[:, 4 * group : 4 * group + 4] = _FOUR[rest - higher * 10_000]
        rest = higher
    return made


def _decimals(numbers: I64Array, scale: int) -> tuple[U8Array, BoolArray]:
    amounts = np.abs(numbers)
    digits = _digits(amounts, max(len(str(int(amounts.max(initial=0)))), scale + 1))
    whole = digits.shape[1] - scale
    point = 1 if scale else 0
    made = np.empty((len(numbers), 1 + digits.shape[1] + point), np.uint8)
    made[:, 0] = ord("-")
    made[:, 1 : 1 + whole] = digits[:, :whole]
    if scale:
        made[:, 1 + whole] = ord(".")
        made[:, 2 + whole :] = digits[:, whole:]
    before = np.maximum(np.searchsorted(_POWERS, amounts // _POWERS[scale], side="right"), 1)
    used = np.ones(made.shape, bool)
    used[:, 0] = numbers < 0
    used[:, 1 : 1 + whole] = np.arange(whole) >= (whole - before)[:, None]
    return made, used


def _dates(days: I64Array) -> U8Array:
    """YYYY-MM-DD; days are counted from March, in eras of 400 years, as in ``times.c``."""
    shifted = days + 719_468
    era = shifted // 146_097
    day = (shifted - era * 146_097).astype(np.int32)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += np.where(month < 10, 3, -9).astype(np.int32)
    made = np.full((len(days), 10), ord("-"), np.uint8)
    made[:, :4] = _FOUR[year + era * 400 + (month <= 2)]
    made[:, 5:7] = _TWO[month]
    made[:, 8:10] = _TWO[day]
    return made


def _clocks(units: I64Array, per_second: int) -> tuple[U8Array, BoolArray | None]:
    """HH:MM:SS, with what is behind the second less its zeros."""
    seconds, fraction = np.divmod(units, per_second)
    width = len(str(per_second)) - 1 if fraction.any() else 0
    made = np.empty((len(units), 9 + width if width else 8), np.uint8)
    minutes = seconds // 60
    hours = minutes // 60
    made[:, :2], made[:, 3:5], made[:, 6:8] = (
        _TWO[hours],
        _TWO[minutes - hours * 60],
        _TWO[seconds - minutes * 60],
    )
    for place, mark in _MARKS.items():
        if place < made.shape[1]:
            made[:, place] = mark
    if not width:
        return made, None
    digits = _digits(fraction, width)
    made[:, 9:] = digits[:, digits.shape[1] - width :]
    used = np.ones(made.shape, bool)
    behind = np.logical_or.accumulate((made[:, 9:] != ord("0"))[:, ::-1], axis=1)[:, ::-1]
    used[:, 9:] = behind
    used[:, 8] = behind[:, 0]
    return made, used


def _uuids(array: Any, there: BoolArray) -> tuple[U8Array, None] | None:
    found = strings(array)
    if not (found.lengths[there] == 16).all():
        return None
    words = np.zeros((len(array), 16), np.uint8)
    if there.any():
        words[there] = found.data[found.starts[there][:, None] + np.arange(16)]
    made = np.full((len(array), 36), ord("-"), np.uint8)
    made[:, np.delete(np.arange(36), _DASHES)] = _HEX[words].reshape(len(array), 32)
    return made, None


def _joined(texts: U8Array, used: BoolArray | None, there: BoolArray) -> Any:
    nulls = len(there) - int(there.sum())
    if used is None:
        lengths = there * np.int64(texts.shape[1])
        data = texts[there] if nulls else texts
    else:
        if nulls:
            used &= there[:, None]
        lengths = used.sum(axis=1)
        data = texts[used]
    offsets = np.zeros(len(there) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    is_long = int(offsets[-1]) > np.iinfo(np.int32).max
    validity = pa.py_buffer(np.packbits(there, bitorder="little")) if nulls else None
    places = pa.py_buffer(offsets if is_long else offsets.astype(np.int32))
    kind = pa.large_string() if is_long else pa.string()
    buffers = [validity, places, pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(kind, len(there), buffers, nulls)
