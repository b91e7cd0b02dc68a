"""JSON of one large array, item by item: only the text and one item are in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.ingest.documents.content import Content

_SPACE = re.compile(r"[ \t\r\n]*")


def items_of(content: Content) -> Iterator[Any]:
    """The items of the array that a JSON file is. DamagedFileError, with the line, where it is none."""
    text = content.text()
    decoder = json.JSONDecoder()
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise _damaged(content, text, at, "an array is expected")
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        try:
            item, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _damaged(content, text, error.pos, error.msg) from error
        except (RecursionError, ValueError) as error:
            raise _damaged(content, text, at, "nested too deeply, or a number that is too long") from error
        yield item
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)
        elif text[at : at + 1] != "]":
            raise _damaged(content, text, at, "a comma is expected")


def parsed(content: Content) -> Any:
    """What a JSON file says. DamagedFileError, with the line, for what is not JSON."""
    text = content.text()
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _damaged(content, text, error.pos, error.msg) from error
    except (RecursionError, ValueError) as error:
        raise _damaged(content, text, 0, "nested too deeply, or a number that is too long") from error


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _damaged(content: Content, text: str, at: int, fault: str) -> DamagedFileError:
    return DamagedFileError(
        f"this is not JSON ({fault})",
        file=content.name,
        place=f"line {text.count(chr(10), 0, at) + 1}",
        remedy="Export it again.",
    )
