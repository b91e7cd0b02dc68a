"""What a CREATE VIRTUAL TABLE of another module says of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MODULE = re.compile(r"\busing\s+[\"'`\[]?(\w+)", re.IGNORECASE)
_VEC0_COLUMN = re.compile(
    r"(?P<auxiliary>\+)?\s*(?P<name>\w+)\s*(?P<type>[a-z]\w*)?\s*(\[\s*(?P<width>\d+)\s*\])?(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_METRIC = re.compile(r"distance_metric\s*=\s*(\w+)", re.IGNORECASE)
#: What vec0 calls the numbers of a vector, and what they are here.
ELEMENTS = {"float": "FLOAT", "f32": "FLOAT", "int8": "INT8", "i8": "INT8", "bit": "BIT"}
#: Ours, by vec0's; Manhattan is none that an index has.
_METRICS = {"l2": "l2", "cosine": "cosine"}


@dataclass(frozen=True, slots=True)
class Vec0Column:
    """A column of vec0.

    ``element``: FLOAT, INT8 or BIT, None if it holds no vectors; ``width``: how many numbers they have.

    ``metric``: cosine or l2, None for another. ``is_key``: whether it is the primary key.
    """

    name: str
    declared: str
    element: str | None
    width: int
    metric: str | None
    is_key: bool


def module_of(statement: str) -> str:
    """The module of a CREATE VIRTUAL TABLE, in small letters."""
    match = _MODULE.search(statement)
    return match[1].lower() if match else ""


def arguments_of(statement: str) -> list[str]:
    """The arguments of the module: what stands between commas that are in no quotes and no parentheses."""
    start = statement.find("(", _end_of_module(statement))
    if start < 0:
        return []
    return [part.strip() for part in _split(statement[start + 1 : statement.rfind(")")])]


def _end_of_module(statement: str) -> int:
    match = _MODULE.search(statement)
    return match.end() if match else 0


def _split(text: str) -> Iterator[str]:
    start = depth = 0
    quote = ""
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"`":
            quote = letter
        elif letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]


def vec0_columns(statement: str) -> list[Vec0Column]:
    """The columns that a table of sqlite-vec was made with."""
    columns = []
    for argument in arguments_of(statement):
        match = _VEC0_COLUMN.fullmatch(argument)
        if match is None or match["rest"].lstrip().startswith("="):
            continue  # an option: chunk_size=1024
        declared = (match["type"] or "").lower()
        element = ELEMENTS.get(declared) if match["width"] else None
        named = _METRIC.search(match["rest"])
        metric = _METRICS.get(named[1].lower()) if named else "l2"
        columns.append(
            Vec0Column(
                match["name"],
                declared,
                element,
                int(match["width"] or 0),
                metric if element in ("FLOAT", "INT8") else None,
                "primary key" in " ".join(match["rest"].lower().split()),
            )
        )
    return columns


def unindexed_columns(statement: str) -> set[str]:
    """The columns of a table of FTS5 that are not searched."""
    return {
        argument.rpartition(" ")[0].strip().strip("\"'`[]")
        for argument in arguments_of(statement)
        if argument.lower().endswith(" unindexed")
    }


def is_contentless(statement: str) -> bool:
    """Whether a table of FTS keeps no texts."""
    return any(
        re.fullmatch(r"content\s*=\s*(''|\"\")", argument, re.IGNORECASE)
        for argument in arguments_of(statement)
    )
