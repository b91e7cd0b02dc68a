"""``Range`` and the conditions of a request for bytes (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Ranges of one request; one with more is refused.
MOST_RANGES = 32
_SPEC = re.compile(r"(\d{0,19})-(\d{0,19})")
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


class UnsatisfiableError(Exception):
    """No range has a byte of the file, or there are too many."""


def ranges_of(header: str | None, size: int) -> list[tuple[int, int]]:
    """The (start, stop) that a ``Range`` asks for: ascending, with a byte each, and joined where they touch.

    [] where there is no header, or one that is to be passed over: of another unit, or that is none.
    UnsatisfiableError if no range has a byte, or for more than ``MOST_RANGES``.
    """
    if header is None:
        return []
    unit, mark, text = header.partition("=")
    if not mark or unit.strip().lower() != "bytes":
        return []
    specs = [spec.strip() for spec in text.split(",")]
    if len(specs) > MOST_RANGES:
        raise UnsatisfiableError
    found: list[tuple[int, int]] = []
    for spec in filter(None, specs):
        match = _SPEC.fullmatch(spec)
        if match is None or spec == "-":
            return []
        first, last = match.groups()
        if not first:
            start, stop = max(size - int(last), 0), size
        else:
            start, stop = int(first), size if not last else min(int(last) + 1, size)
            if last and int(last) < int(first):
                return []
        if start < stop:
            found.append((start, stop))
    if not any(specs):
        return []
    if not found:
        raise UnsatisfiableError
    return _joined(sorted(found))


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined = [ranges[0]]
    for start, stop in ranges[1:]:
        if start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def is_listed(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of tags, or ``*``, has ``etag``, a strong one. weak: also ``W/`` and the same text."""
    if header.strip() == "*":
        return True
    return any(f'"{match[2]}"' == etag and (weak or not match[1]) for match in _TAG.finditer(header[:10_000]))


def status_of_conditions(headers: Mapping[str, str], etag: str) -> int:
    """200, or what the conditions of a GET or HEAD make of it: 412 or 304 (RFC 9110, 13.2.2)."""
    if_match, if_none_match = headers.get("if-match"), headers.get("if-none-match")
    if if_match is not None and not is_listed(if_match, etag, weak=False):
        return 412
    if if_none_match is not None and is_listed(if_none_match, etag, weak=True):
        return 304
    return 200


def range_holds(headers: Mapping[str, str], etag: str) -> bool:
    """Whether ``If-Range`` lets the range count: without it, and with the strong tag of the file."""
    condition = headers.get("if-range")
    return condition is None or condition.strip() == etag
