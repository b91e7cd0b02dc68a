"""Hive folders: ``year=2024/region=eu/data_0.flac`` has the columns ``region`` and ``year``.

What a folder's name means, and of which type its values are, is as in ``read_parquet`` of DuckDB 2.0: its
tests ask it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from audiomem_sql.errors import QueryError, SchemaError

#: The name of a folder whose rows have NULL.
NULL = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile(r"\s*(-[0-9]+|0|[1-9][0-9]*|0[xX][0-9a-fA-F]+|0[bB][01]+)\s*", re.ASCII)
_DATE = re.compile(r"\s*([0-9]{1,4})-([0-9]{1,2})-([0-9]{1,2})\s*", re.ASCII)
#: DuckDB passes over an offset.
_TIMESTAMP = re.compile(
    r"\s*([0-9]{1,4})-([0-9]{1,2})-([0-9]{1,2})[ T]([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2})(\.[0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?\s*",
    re.ASCII,
)
#: A key and a type, as DuckDB and Python write a struct of texts.
_ENTRY = re.compile(r"""\s*('[^']*'|"[^"]*"|[^'":,\s]+)\s*:\s*('[^']*'|"[^"]*"|[^'":,]+)\s*""")
_ENTRIES = re.compile(f"{_ENTRY.pattern}(?:,{_ENTRY.pattern})*")


def keys_of(path: str) -> dict[str, str]:
    """The keys of the folders that a path leads through, with their values as they are written there."""
    keys: dict[str, str] = {}
    for part in os.path.dirname(path).split(os.sep):
        key, equals, value = part.partition("=")
        if key and equals and "=" not in value:
            keys.setdefault(key, value)
    return keys


def types_named(given: str) -> dict[str, str]:
    """The names of types by keys that the argument ``hive_types`` has: ``{'year': INT, 'day': 'DATE'}``.

    QueryError for a text that is none, and for a type that no key can have.
    """
    types = {
        _bare(key): _bare(kind).upper() for key, kind in _ENTRY.findall(given.strip()[1:-1]) if _bare(key)
    }
    if not types or not (given.strip().startswith("{") and _ENTRIES.fullmatch(given.strip()[1:-1])):
        raise QueryError(
            f"hive_types is not {given:.60}", remedy="Write hive_types := {'year': 'BIGINT', 'day': 'DATE'}."
        )
    for key, kind in types.items():
        if kind not in _NAMED:
            raise QueryError(
                f"hive_types: {key} cannot be {kind}", remedy=f"Types are: {', '.join(sorted(_NAMED))}."
            )
    return types


def hive_columns(
    paths: Sequence[str], wanted: bool | None, *, typed: bool = True, types: Mapping[str, str] | None = None
) -> dict[str, list[pa.Scalar[Any]]]:
    """The columns that folders give, by name in ascending order: a value for each path.

    wanted: the argument ``hive_partitioning``; None: if all paths have the same keys. typed: the argument
    ``hive_types_autocast``; without it all values are texts. types: the names of types of some of the keys.
    SchemaError if columns are wanted, and paths have other keys, and for a value that is not of its type;
    QueryError for a type of what is no key.
    """
    types = types or {}
    if wanted is False and types:
        raise QueryError(
            "hive_types is for columns of folders", remedy="Leave out hive_partitioning := false."
        )
    if wanted is False:
        return {}
    wanted = wanted or bool(types) or None
    keys = [keys_of(path) for path in paths]
    for path, own in zip(paths, keys, strict=True):
        if own.keys() == keys[0].keys():
            continue
        if wanted is None:
            return {}
        raise SchemaError(
            f"its folders have the keys {', '.join(sorted(own)) or 'of none'}, and those of {paths[0]} "
            f"{', '.join(sorted(keys[0])) or 'have none'}",
            file=path,
            remedy="Name files whose folders have the same keys, or pass hive_partitioning := false.",
        )
    for name in types:
        if name not in keys[0]:
            raise QueryError(
                f"hive_types: no folder has the key {name}",
                remedy=f"Keys are: {', '.join(sorted(keys[0])) or 'none'}.",
            )
    columns = {}
    for name in sorted(keys[0]):
        texts = [own[name] for own in keys]
        given = types.get(name)
        columns[name] = (
            _column(name, paths, texts, typed=typed) if given is None else _cast(name, paths, texts, given)
        )
    return columns


def _cast(name: str, paths: Sequence[str], texts: Sequence[str], kind: str) -> list[pa.Scalar[Any]]:
    """Values of a type that was asked for. SchemaError for one that is none."""
    arrow_type, read = _NAMED[kind]
    values = []
    for path, text in zip(paths, texts, strict=True):
        value = None
        if text != NULL and (arrow_type == pa.string() or (text and not _is_null(text))):
            value = read(_decoded(name, path, text))
            if value is None:
                raise SchemaError(
                    f"{text!r:.60} of the folder {name} is no {kind}",
                    file=path,
                    remedy=f"Name another type: hive_types := {{'{name}': 'VARCHAR'}}.",
                )
        values.append(pa.scalar(value, arrow_type))
    return values


def _bare(text: str) -> str:
    """A name without the quotes around it."""
    text = text.strip()
    return text[1:-1] if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1 else text


def _column(name: str, paths: Sequence[str], texts: Sequence[str], *, typed: bool) -> list[pa.Scalar[Any]]:
    """Values of the first type that all of them have, else texts."""
    if typed:
        for arrow_type, read in _READERS:
            values = [None if _is_null(text) else read(text) for text in texts]
            if any(value is not None for value in values) and all(
                value is not None or _is_null(text) for value, text in zip(values, texts, strict=True)
            ):
                return [pa.scalar(value, arrow_type) for value in values]
    return [
        pa.scalar(None if text == NULL else _decoded(name, path, text), pa.string())
        for path, text in zip(paths, texts, strict=True)
    ]


def _is_null(text: str) -> bool:
    """Whether a value is NULL where others are no texts."""
    return text == NULL or text.upper() == "NULL"


def _decoded(name: str, path: str, text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()
    except UnicodeError:
        raise SchemaError(
            f"the folder {name}={text} is no text in UTF-8",
            file=path,
            remedy="Rename it, or pass hive_partitioning := false.",
        ) from None
    return decoded


def _integer(text: str) -> int | None:
    if _INTEGER.fullmatch(text) is None:
        return None
    digits = text.strip()
    base = {"x": 16, "b": 2}.get(digits[1:2].lower(), 10)
    value = int(digits, base)
    return value if -(1 << 63) <= value < 1 << 63 else None


def _date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    try:
        return None if found is None else date(*map(int, found.groups()))
    except ValueError:
        return None


def _timestamp(text: str) -> datetime | None:
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    *numbers, fraction = found.groups(default="0")
    micros = int(f"{fraction.removeprefix('.')}000000"[:6])
    try:
        year, month, day, hour, minute, second = map(int, numbers)
        return datetime(year, month, day, hour, minute, second, micros)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    day = _date(text)
    return _timestamp(text) if day is None else datetime(day.year, day.month, day.day)


def _day(text: str) -> date | None:
    moment = _moment(text)
    return None if moment is None else moment.date()


def _number(text: str) -> float | None:
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _truth(text: str) -> bool | None:
    return {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}.get(text.lower())


#: The types that a key can be given, by their names: those of integers are all BIGINT.
_NAMED: dict[str, tuple[pa.DataType, Callable[[str], Any]]] = {
    **dict.fromkeys(("VARCHAR", "TEXT", "STRING"), (pa.string(), str)),
    **dict.fromkeys(("BIGINT", "INT", "INTEGER", "SMALLINT", "TINYINT"), (pa.int64(), _integer)),
    "DOUBLE": (pa.float64(), _number),
    **dict.fromkeys(("FLOAT", "REAL"), (pa.float32(), _number)),
    **dict.fromkeys(("BOOLEAN", "BOOL"), (pa.bool_(), _truth)),
    "DATE": (pa.date32(), _day),
    "TIMESTAMP": (pa.timestamp("us"), _moment),
}
#: In the order in which DuckDB tries them; a value has one of them at most.
_READERS: tuple[tuple[pa.DataType, Callable[[str], Any]], ...] = (
    (pa.date32(), _date),
    (pa.timestamp("us"), _timestamp),
    (pa.int64(), _integer),
)
