"""Stores of records: an id, perhaps a text, vectors, and metadata that differ from row to row.

A key of the metadata becomes a column where all rows that have it agree on one type: text, integer, real or
boolean. What is left is in the column `metadata` as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.conversion.collection import NO_WISHES, Wishes, wished
from audiomem_sql.errors import DataTypeError

#: Keys of metadata that become columns; more of them are in the column of JSON.
MOST_COLUMNS = 200
METADATA = "metadata"
_TYPES: dict[type, tuple[str, pa.DataType]] = {
    bool: ("BOOLEAN", pa.bool_()),
    int: ("INTEGER", pa.int64()),
    float: ("REAL", pa.float64()),
    str: ("TEXT", pa.string()),
    bytes: ("BLOB", pa.binary()),
}


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """Vectors of a collection: how many numbers they have, and how the store measures nearness.

    ``metric``: cosine, l2 or ip, None for one that no index has.
    """

    width: int
    metric: str | None = "cosine"


@dataclass(frozen=True, slots=True)
class Records:
    """Some rows. ``vectors``: by column, None where a row has none."""

    ids: Sequence[str | int]
    texts: Sequence[str | None]
    metadata: Sequence[Mapping[str, Any] | None]
    vectors: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordCollection:
    """A collection of records.

    ``read``: gives all of them, in batches; with False the vectors may be left out. It is called twice: once
    to see which columns there are. ``text_name``: the column of the texts.
    """

    name: str
    rows: int
    vectors: Mapping[str, VectorColumn]
    read: Callable[[bool], Iterator[Records]]
    source: str
    wishes: Wishes = NO_WISHES
    notes: tuple[str, ...] = ()
    text_name: str = "body"

    @cached_property
    def _found(self) -> _Found:
        found = _Found({"id", *map(fold, self.vectors), fold(self.text_name), METADATA})
        for records in self.read(False):
            found.add(records)
        return found

    def schema(self) -> Schema:
        """``id``, the texts, the metadata, the vectors."""
        found = self._found
        definitions = ["id INTEGER PRIMARY KEY" if found.integer_ids else "id TEXT PRIMARY KEY"]
        if found.has_texts:
            definitions.append(f"{quote(self.text_name)} TEXT INDEXED")
        definitions += [f"{quote(key)} {_TYPES[kind][0]}" for key, kind in found.columns.items()]
        if found.has_others:
            definitions.append(f"{METADATA} JSON")
        for name, vector in self.vectors.items():
            index = f" INDEXED(metric={vector.metric})" if vector.metric else ""
            definitions.append(f"{quote(name)} FLOAT[{vector.width}]{index}")
        return wished(parse_columns(definitions), self.wishes, self.source)

    def batches(self) -> Iterator[pa.Table]:
        """The rows as tables."""
        for records in self.read(True):
            if records.ids:
                yield self._table(records)

    def _table(self, records: Records) -> pa.Table:
        found = self._found
        ids = records.ids if found.integer_ids else [str(each) for each in records.ids]
        arrays: dict[str, pa.Array] = {"id": pa.array(ids, pa.int64() if found.integer_ids else pa.string())}
        if found.has_texts:
            arrays[self.text_name] = pa.array(records.texts, pa.string())
        metadata = [each or {} for each in records.metadata]
        for key, kind in found.columns.items():
            arrays[key] = pa.array([each.get(key) for each in metadata], _TYPES[kind][1])
        if found.has_others:
            arrays[METADATA] = pa.array([found.others(each) for each in metadata], pa.string())
        for name, vector in self.vectors.items():
            arrays[name] = self._vectors(name, vector.width, records)
        return pa.table(arrays)

    def _vectors(self, name: str, width: int, records: Records) -> pa.Array:
        given = records.vectors[name]
        missing = np.array([vector is None for vector in given], bool)
        values = np.zeros((len(given), width), np.float32)
        for row, vector in enumerate(given):
            if vector is None:
                continue
            numbers = np.asarray(vector, np.float32)
            if numbers.shape != (width,):
                raise DataTypeError(
                    f"a vector of {numbers.size} numbers among those of {width}",
                    file=self.source,
                    place=f"{self.name}, {records.ids[row]}",
                    remedy="Vectors of one column have one length; remove this one from the store.",
                )
            values[row] = numbers
        return vector_array(values, missing)


def vector_array(values: np.ndarray[Any, Any], missing: np.ndarray[Any, Any] | None = None) -> pa.Array:
    """Vectors, float32 (n, d), as Arrow has them; ``missing``: bool (n,), rows that are NULL."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1), pa.float32())
    mask = None if missing is None or not missing.any() else pa.array(missing)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1], mask=mask)


class _Found:
    """Which ids, texts and keys of metadata a collection has. ``taken``: names that no key can have."""

    def __init__(self, taken: set[str]) -> None:
        self._rows = 0
        self._integers = 0
        self.has_texts = False
        self._taken = taken | {role.prefixed for role in Hidden}
        self._kinds: dict[str, type | None] = {}  # None: the rows do not agree

    def add(self, records: Records) -> None:
        """Look at some rows."""
        self._rows += len(records.ids)
        self._integers += sum(_kind(each) is int for each in records.ids)
        self.has_texts = self.has_texts or any(text is not None for text in records.texts)
        for metadata in records.metadata:
            for key, value in (metadata or {}).items():
                if value is None:
                    self._kinds.setdefault(key, type(None))
                    continue
                kind = _kind(value)
                known = self._kinds.setdefault(key, kind)
                if known is type(None):
                    self._kinds[key] = kind
                elif known is not kind:
                    self._kinds[key] = None

    @cached_property
    def integer_ids(self) -> bool:
        """Whether all ids are numbers."""
        return 0 < self._rows == self._integers

    @cached_property
    def columns(self) -> dict[str, type]:
        """The keys that become columns, with their types."""
        counts: dict[str, int] = {}
        for key in self._kinds:
            counts[fold(key)] = counts.get(fold(key), 0) + 1
        return dict(
            [
                (key, kind)
                for key, kind in self._kinds.items()
                if kind in _TYPES
                and counts[fold(key)] == 1
                and fold(key) not in self._taken
                and key.strip()
                and "\x00" not in key
            ][:MOST_COLUMNS]
        )

    @cached_property
    def has_others(self) -> bool:
        """Whether keys are left that are no columns."""
        return any(key not in self.columns and kind is not type(None) for key, kind in self._kinds.items())

    def others(self, metadata: Mapping[str, Any]) -> str | None:
        """The keys of a row that are no columns, as JSON; None if it has none."""
        rest = {key: value for key, value in metadata.items() if key not in self.columns}
        return as_json(rest) if rest else None


def as_json(value: Any) -> str:
    """A value as JSON; what JSON has no word for is a text: times, bytes as hexadecimal digits, nan."""
    try:
        return json.dumps(value, ensure_ascii=False, default=_text, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, default=_text)


def _text(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return value.hex() if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _kind(value: Any) -> type | None:
    """The type of a scalar as a column can hold it; None for what only JSON can."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int if -(1 << 63) <= value < 1 << 63 else None
    if isinstance(value, float):
        return float if math.isfinite(value) else None
    if isinstance(value, str):
        return None if "\x00" in value else str
    return type(value) if isinstance(value, bool | bytes) else None
