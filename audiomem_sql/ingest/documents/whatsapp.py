"""A chat that WhatsApp exported to documents; its dates are as the telephone's language writes them.

The file does not say its time zone: times are taken as they stand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import PurePosixPath

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.conversation import Message, grouped
from audiomem_sql.ingest.documents.document import Document, place_of

_DATE, _ALSO_DATE = (
    rf"(\d{{1,4}})([./-])[ ]?(\d{{1,2}})\{separator}[ ]?(\d{{2,4}})\.?" for separator in (2, 10)
)
_TIME = r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?[ \u202f\xa0]?([AaPp][ .\u202f\xa0]*[Mm]\.?|上午|下午)?"
_BETWEEN = r"(?:,|،| à| às| kl\.| um)?[ \u202f\xa0]"
#: Telephones with iOS write the first, those with Android the second.
LINE = re.compile(
    rf"[\u200e\u200f\ufeff]*(?:\[{_DATE},?[ \u202f\xa0]{_TIME}\] "
    rf"|{_ALSO_DATE}{_BETWEEN}{_TIME}(?: Uhr)? [-–] )"
)
_AUTHOR = re.compile(r"[\u200e\u200f\u202a]*([^:\n]{1,80}?)[\u202c]?: ")
#: What stands in place of an author in the log of a program.
_LEVEL = re.compile(
    r"(?:.* - |\[)?(?:INFO|DEBUG|WARN(?:ING)?|ERROR|CRITICAL|TRACE|FATAL|NOTICE)\]?", re.IGNORECASE
)
_MARKS = re.compile("[\u200e\u200f\u202a-\u202c]")
_NAME = re.compile(r"(?:WhatsApp Chat (?:with|-) |WhatsApp[ -]?Chat (?:mit )?|Chat de WhatsApp con )?(.*)")
_GROUPS = 8

_Stamp = tuple[int, int, int, int, int, int]


def read(content: Content) -> Iterator[Document]:
    """The documents in an exported chat: its messages in groups."""
    lines = content.text().split("\n")
    found = [(number, match) for number, line in enumerate(lines, 1) if (match := LINE.match(line))]
    order = _order_of([_numbers(match) for _, match in found])
    stem = PurePosixPath(content.name.replace("\\", "/").rpartition("!")[2]).name.rpartition(".")[0]
    title = _NAME.sub(r"\1", stem, count=1)
    yield from grouped(_messages(lines, found, order), title if title != "_chat" else "WhatsApp")


def is_chat(start: str) -> bool:
    """Whether a text begins as an exported chat does."""
    lines = [line for line in start.split("\n")[:40] if line.strip()]
    matches = [LINE.match(line) for line in lines]
    if not matches or matches[0] is None:
        return False
    found = [_AUTHOR.match(line, m.end()) for m, line in zip(matches, lines, strict=True) if m]
    authors = [author[1] for author in found if author]
    is_log = all(_LEVEL.fullmatch(author) for author in authors)
    return not is_log and sum(m is not None for m in matches) >= min(2, len(lines))


def _messages(lines: list[str], found: list[tuple[int, re.Match[str]]], order: str) -> Iterator[Message]:
    for index, (number, match) in enumerate(found):
        stop = found[index + 1][0] - 1 if index + 1 < len(found) else len(lines)
        first = lines[number - 1][match.end() :]
        author = _AUTHOR.match(first)
        text = "\n".join([first[author.end() :] if author else first, *lines[number:stop]]).strip()
        name = _MARKS.sub("", author[1]).strip() if author else None
        yield Message(name, _MARKS.sub("", text), _time(match, order), place_of(line=number))


def _groups(match: re.Match[str]) -> tuple[str | None, ...]:
    """The parts of date and time: first, separator, second, third, hour, minute, second, half of the day."""
    return match.groups()[:_GROUPS] if match[1] is not None else match.groups()[_GROUPS:]


def _numbers(match: re.Match[str]) -> tuple[int, int, int, bool]:
    first, separator, second, third, *_, half = _groups(match)
    return int(first or 0), int(second or 0), int(third or 0), separator == "/" and half is not None


def _order_of(dates: list[tuple[int, int, int, bool]]) -> str:
    """In which order the file writes year, month and day: what is possible, and never goes back in time."""
    if any(first > 31 for first, *_ in dates):
        return "ymd"
    if any(first > 12 for first, *_ in dates):
        return "dmy"
    if any(second > 12 for _, second, *_ in dates):
        return "mdy"

    def backward_steps(order: str) -> int:
        days = [(y, m, d) if order == "mdy" else (y, d, m) for m, d, y, _ in dates]
        return sum(later < earlier for earlier, later in pairwise(days))

    steps = {order: backward_steps(order) for order in ("dmy", "mdy")}
    if steps["dmy"] != steps["mdy"]:
        return min(steps, key=lambda order: steps[order])
    return "mdy" if dates and all(is_american for *_, is_american in dates) else "dmy"


def _time(match: re.Match[str], order: str) -> datetime | None:
    first, _, second, third, hour, minute, seconds, half = _groups(match)
    parts = dict(zip(order, (int(first or 0), int(second or 0), int(third or 0)), strict=True))
    year = parts["y"] + (2000 if parts["y"] < 100 else 0)
    hours = int(hour or 0)
    if half:
        is_afternoon = half[0] in "pP" or half == "下午"
        hours = hours % 12 + 12 * is_afternoon
    try:
        return datetime(year, parts["m"], parts["d"], hours, int(minute or 0), int(seconds or 0))
    except ValueError:
        return None
