"""JSON inside of lists, structs and maps: texts that stay as they were written."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def read_json(text: str) -> Any:
    """What a JSON text says, with fractions as Decimal, so that no digit is lost; else ValueError."""
    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=_with_each_key_once)
    except ValueError as error:
        raise ValueError(f"the text is not JSON: {error}") from None


def checked_json(text: str) -> str:
    """The text, if it is JSON, else ValueError."""
    try:
        _CHECK.decode(text)
    except ValueError as error:
        raise ValueError(f"the text is not JSON: {error}") from None
    return text


def check_json(array: Any) -> None:
    """ValueError if a text of an array is not JSON."""
    for text in array.to_pylist():
        if text is not None:
            checked_json(text)


def written_json(value: Any) -> str:
    """What :func:`read_json` read, as JSON again."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"JSON has no {value}")
        return str(value)
    if isinstance(value, dict):
        items = []
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of JSON is a text, not {key!r}")
            items.append(f"{json.dumps(key, ensure_ascii=False)}:{written_json(item)}")
        return "{" + ",".join(items) + "}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(written_json, value))}]"
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _with_each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key is there twice")
    return made


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number in JSON")


# numbers are not looked at: a valid one may be too long for Python's int
_CHECK = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)
