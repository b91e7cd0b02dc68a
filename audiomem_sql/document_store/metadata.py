"""Metadata as JSON that SQL can query, and beside it what JSON cannot say, so that values come back as given.

What has no form in JSON is written as text, number or array: a datetime as ISO 8601, bytes as base64, a set
as an array. ``types`` lists where that is and what it was: ``[[["when"], "datetime"], …]``, a path of keys
and numbers, and a name of :data:`_DECODERS`; NULL where there is nothing to say, which is the usual case.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from audiomem_sql.errors import DataTypeError

_Path = tuple[str | int, ...]
#: Levels of values inside values; SQLite's JSON ends at 1,000.
_DEEPEST = 200
_REMEDY = (
    "Store None, bool, int, float, str, bytes, dates, Decimal, UUID, and lists, tuples, sets, dicts of these."
)
_ONE_MICROSECOND = timedelta(microseconds=1)

#: What has an ``isoformat``; a datetime is a date, too.
_TIMES: tuple[tuple[type[Any], str], ...] = ((datetime, "datetime"), (date, "date"), (time, "time"))
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda count: timedelta(microseconds=count),
    "bytes": base64.b64decode,
    "decimal": Decimal,
    "uuid": UUID,
    "float": float,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}


def scalar(value: Any) -> tuple[Any, str | None]:
    """(what JSON has for a value that is no container, the name of its type if JSON has none).

    DataTypeError for what cannot be stored.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value), "float"
    if value is None or type(value) in (bool, int, float, str):
        return value, None
    for kind, name in _TIMES:
        if isinstance(value, kind):
            return value.isoformat(), name
    if isinstance(value, timedelta):
        return value // _ONE_MICROSECOND, "timedelta"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii"), "bytes"
    if isinstance(value, Decimal):
        return str(value), "decimal"
    if isinstance(value, UUID):
        return str(value), "uuid"
    for plain in (bool, int, float, str):  # of a class of their own, such as an Enum of texts
        if isinstance(value, plain):
            return str.__str__(value) if plain is str else plain(value), None
    raise DataTypeError(f"metadata cannot hold a {type(value).__name__}", remedy=_REMEDY)


def packed(metadata: Mapping[str, Any]) -> tuple[str, str | None]:
    """(metadata as JSON, its types as JSON or None). DataTypeError names the place of what cannot be."""
    types: list[tuple[_Path, str]] = []
    plain = _plain(metadata, (), types)
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    check_text(text, "metadata")
    return text, json.dumps(types, ensure_ascii=False, separators=(",", ":")) if types else None


def unpacked(metadata: str | None, types: str | None) -> dict[str, Any]:
    """The inverse of :func:`packed`."""
    value = json.loads(metadata) if metadata else {}
    found = value if isinstance(value, dict) else {"metadata": value}
    if types:
        for path, kind in json.loads(types):  # what is inside comes before what it is in
            decode = _DECODERS.get(kind)
            holder: Any = found
            for part in path[:-1]:
                holder = holder[part]
            if decode is not None:
                holder[path[-1]] = decode(holder[path[-1]])
    return found


def in_order(values: Iterable[Any]) -> list[Any]:
    """A set as the list that is stored of it."""
    return sorted(values, key=lambda each: (type(each).__name__, repr(each)))


def check_text(text: str, what: str) -> None:
    """DataTypeError for a text that is no Unicode: half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataTypeError(
            f"{what} holds half a surrogate pair at character {error.start}",
            remedy="Encode the text with errors='replace' first.",
        ) from None


def _plain(value: Any, path: _Path, types: list[tuple[_Path, str]]) -> Any:
    if len(path) > _DEEPEST:
        raise DataTypeError(f"metadata is more than {_DEEPEST} levels deep", remedy="Store it flatter.")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise DataTypeError(
                    f"metadata has the key {key!r}, which is no text", place=_shown(path), remedy=_REMEDY
                )
        return {str(key): _plain(each, (*path, str(key)), types) for key, each in value.items()}
    kind: str | None = None
    plain: Any
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        plain = [_plain(each, (*path, place), types) for place, each in enumerate(value)]
        kind = "tuple" if isinstance(value, tuple) else None
    elif isinstance(value, set | frozenset):
        plain = [_plain(each, (*path, place), types) for place, each in enumerate(in_order(value))]
        kind = type(value).__name__ if type(value) in (set, frozenset) else "set"
    else:
        try:
            plain, kind = scalar(value)
        except DataTypeError as error:
            raise DataTypeError(error.what, place=_shown(path), remedy=error.remedy) from None
    if kind is not None:
        types.append((path, kind))
    return plain


def _shown(path: _Path) -> str:
    return "metadata" + "".join(f"[{part!r}]" for part in path)
