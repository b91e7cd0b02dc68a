"""Comparison and search over the bytes of a whole string array at once.

Nothing here loops over rows: comparisons look at a few bytes of every row and go on with the undecided ones;
searches run over the contiguous buffer and pay per hit, at most one hit a row.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Sequence

import numpy as np

from audiomem_sql.arrays import BoolArray, I64Array, U8Array
from audiomem_sql.columns.views import Strings, prefixes

#: Most bytes gathered in one step of a comparison.
_STEP_BYTES = 1 << 22
#: A word that occurs more often than this is looked for byte by byte in numpy.
_BYTES_PER_HIT = 2048
#: Bytes that tell which bytes are rare.
_SAMPLE_BYTES = 1 << 14

#: ASCII lower case, everything else as it is: uint8 (256,).
LOWER = np.frombuffer(bytes(range(256)).lower(), np.uint8)


def order(values: Strings, operand: bytes) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """-1, 0 or 1 for each string below, equal to or above ``operand`` in memcmp order, int8 (n,)."""
    signs = np.zeros(len(values), np.int8)
    lengths = values.lengths
    if not len(values.data):
        return -np.ones_like(signs) if operand else signs
    target = np.frombuffer(operand, np.uint8)
    open_rows = np.arange(len(values))
    at, width = 0, 8
    while at < len(target) and len(open_rows):
        wanted = target[at : at + width]
        columns = np.arange(len(wanted))
        block = np.take(values.data, (values.starts[open_rows] + at)[:, None] + columns, mode="clip")
        remaining = lengths[open_rows] - at
        differs = (block != wanted) | (columns >= remaining[:, None])
        first = differs.argmax(axis=1)
        rows = np.arange(len(open_rows))
        decided = differs[rows, first]
        below = (first >= remaining) | (block[rows, first] < wanted[first])
        signs[open_rows[decided]] = np.where(below, -1, 1)[decided]
        open_rows = open_rows[~decided]
        at += len(wanted)
        width = _wider(width, len(open_rows))
    signs[open_rows] = lengths[open_rows] > len(target)
    return signs


def has_at(values: Strings, starts: I64Array, operand: bytes, fold: U8Array | None = None) -> BoolArray:
    """Whether ``operand`` lies at ``starts[i]`` within string i; ``fold`` maps the data's bytes first."""
    mask = (starts >= values.starts) & (starts + len(operand) <= values.ends)
    target = np.frombuffer(operand, np.uint8)
    open_rows = np.flatnonzero(mask)
    at, width = 0, 8
    while at < len(target) and len(open_rows):
        wanted = target[at : at + width]
        block = values.data[(starts[open_rows] + at)[:, None] + np.arange(len(wanted))]
        same = ((block if fold is None else fold[block]) == wanted).all(axis=1)
        mask[open_rows[~same]] = False
        open_rows = open_rows[same]
        at += len(wanted)
        width = _wider(width, len(open_rows))
    return mask


def equal(values: Strings, operand: bytes, fold: U8Array | None = None) -> BoolArray:
    """Whether each string is ``operand``."""
    same: BoolArray = values.lengths == len(operand)
    rows = np.flatnonzero(same)
    some = values.take(rows)
    same[rows] = has_at(some, some.starts, operand, fold)
    return same


def member(values: Strings, operands: Collection[bytes]) -> BoolArray:
    """Whether each string is one of ``operands``.

    Lengths and first bytes decide most rows, a set the others.
    """
    chosen = frozenset(operands)
    if len(chosen) <= 4:
        mask = np.zeros(len(values), np.bool_)
        for operand in chosen:
            mask |= equal(values, operand)
        return mask
    mask = np.isin(values.lengths, [len(operand) for operand in chosen])
    rows = np.flatnonzero(mask)
    heads = prefixes(values.take(rows), 8).view(np.uint64).ravel()
    sizes = np.minimum(values.lengths[rows], 9)
    alike = np.zeros(len(rows), np.bool_)
    for size in {
        min(len(operand), 9) for operand in chosen
    }:  # heads are filled with NULs, which strings may hold, too
        wanted = [operand[:8].ljust(8, b"\0") for operand in chosen if min(len(operand), 9) == size]
        of_size = np.flatnonzero(sizes == size)
        alike[of_size] = np.isin(heads[of_size], np.frombuffer(b"".join(wanted), np.uint64))
    mask[rows[~alike]] = False
    long = rows[alike & (values.lengths[rows] > 8)]
    text = values.data.tobytes()
    ranges = zip(values.starts[long].tolist(), values.ends[long].tolist(), strict=True)
    mask[long] = [text[start:end] in chosen for start, end in ranges]
    return mask


def first_hits(text: U8Array, word: bytes, starts: I64Array, ends: I64Array) -> I64Array:
    """Where ``word`` (not empty) first lies within ``text[starts[i]:ends[i]]``, int64 (n,); -1: nowhere.

    The ranges are in order and do not overlap. ``re`` searches for a literal in any buffer, without a copy of
    it, and faster than ``bytes.find``.
    """
    size = len(word)
    if not len(starts) or size > int((ends - starts).max()):
        return np.full(len(starts), -1, np.int64)
    first, stop = int(starts[0]), int(ends[-1])
    if int((ends - starts).sum()) * 4 < stop - first:
        search = re.compile(re.escape(word)).search
        matches = (
            search(text.data, start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        )
        return np.array([-1 if match is None else match.start() for match in matches], np.int64)
    positions: I64Array | None = None
    if size > 1:
        positions = _few_places(text, word, starts, stop)
    if positions is None:
        positions = _places(text[first:stop], np.frombuffer(word, np.uint8)) + first
    # a place that crosses the end of its row leaves no room for a later one in that row
    nearest = np.append(positions, len(text))[np.searchsorted(positions, starts)]
    return np.where(nearest + size <= ends, nearest, -1)


def _few_places(text: U8Array, word: bytes, starts: I64Array, stop: int) -> I64Array | None:
    """The first place of ``word`` in each row that has one, in order.

    None if there are too many to go one by one.
    """
    begins: Sequence[int] = memoryview(np.ascontiguousarray(starts).data)
    most = 16 + (stop - begins[0]) // _BYTES_PER_HIT
    positions: list[int] = []
    row = 0
    buffer, search = text.data, re.compile(re.escape(word)).search
    match = search(buffer, begins[0], stop)
    while match is not None:
        position = match.start()
        positions.append(position)
        row = bisect_right(begins, position, row)
        if row == len(begins):
            break
        if len(positions) > most:
            return None
        match = search(buffer, begins[row], stop)
    return np.array(positions, np.int64)


def _places(data: U8Array, word: U8Array) -> I64Array:
    """Every place of ``word`` in ``data``, by its bytes from the rarest on."""
    last = len(data) - len(word) + 1
    counts = np.bincount(data[:_SAMPLE_BYTES], minlength=256)
    rarest = np.argsort(counts[word], kind="stable")[:3].tolist()
    positions = np.flatnonzero(data[rarest[0] : last + rarest[0]] == word[rarest[0]])
    for index in rarest[1:]:
        positions = positions[data[positions + index] == word[index]]
    if len(word) > 3:
        candidates = Strings(data, positions, np.full(len(positions), len(data)))
        positions = positions[has_at(candidates, positions, word.tobytes())]
    return positions


def until_nul(values: Strings) -> Strings:
    """Each string up to its first NUL byte, where the C functions of SQLite stop."""
    if values.data.min(initial=1):
        return values
    positions = np.append(np.flatnonzero(values.data == 0), len(values.data))
    first = positions[np.searchsorted(positions[:-1], values.starts)]
    return Strings(values.data, values.starts, np.minimum(values.ends, first))


def without_trailing_spaces(values: Strings) -> Strings:
    """Each string without the spaces at its end."""
    solid = np.flatnonzero(values.data != 0x20)
    last = np.append(solid, -1)[np.searchsorted(solid, values.ends) - 1]
    return Strings(values.data, values.starts, np.maximum(values.starts, last + 1))


def lowered(values: Strings) -> Strings:
    """Each string in ASCII lower case."""
    return Strings(lower_ascii(values.data), values.starts, values.ends)


def lower_ascii(data: U8Array) -> U8Array:
    """ASCII capitals as small letters, all other bytes as they are.

    Several times faster than ``bytes.lower``.
    """
    capital = (data - np.uint8(ord("A"))) < 26
    return data | (capital.view(np.uint8) << np.uint8(5))


def _wider(width: int, rows: int) -> int:
    return max(8, min(width * 4, _STEP_BYTES // max(rows, 1)))
