"""What kind of data frame column a column was made of, so that it can come back as what it was.

The types of a table are few: an ``int32`` is stored as an INTEGER, a category as a TEXT, a time of Berlin as
its UTC. What it was is kept beside the column as a small JSON text, which only data frames ask for. It is a
hint and no constraint: where values that came later do not fit it any more, the column is read as the type
that it has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowField, ArrowType
from audiomem_sql.columns.selection import kernels
from audiomem_sql.columns.types import STORED, ColumnType, shown_type

#: In the metadata of an Arrow field: which of pandas' families of dtypes the column had.
BACKEND = b"audiomem:dtype_backend"
BACKENDS = ("numpy_nullable", "pyarrow")
#: Characters of the text; categories that do not fit are not kept.
MAX_CHARACTERS = 1 << 16
_ZONED = re.compile(r"timestamp\[(s|ms|us|ns), tz=([A-Za-z0-9_+:/-]{1,64})\]")
_WIDTHS = (8, 16, 32, 64)
_ALIASES = frozenset(
    [f"{sign}int{bits}" for sign in ("", "u") for bits in _WIDTHS]
    + [f"timestamp[{unit}]" for unit in ("s", "ms", "us", "ns")]
    + ["halffloat", "float", "double", "bool", "string", "binary", "date32[day]", "date64[ms]"]
)


@dataclass(frozen=True, slots=True)
class Origin:
    """type: the Arrow type, of a category that of its values. backend: see BACKENDS; None is numpy's.

    category: whether it was a category (a dictionary, in Arrow's words). categories: what could be in it, in
    order, where that is kept. ordered: whether the order means something.
    """

    type: ArrowType
    backend: str | None = None
    category: bool = False
    categories: tuple[str | int | float, ...] | None = None
    ordered: bool = False

    def text(self) -> str:
        """What :func:`parse_origin` reads."""
        fields: dict[str, Any] = {"arrow": str(self.type)}
        fields |= {"backend": self.backend} if self.backend else {}
        fields |= {"category": True} if self.category else {}
        fields |= {"ordered": True} if self.ordered else {}
        if self.categories is None:
            return json.dumps(fields)
        whole = json.dumps(fields | {"categories": list(self.categories)}, ensure_ascii=False)
        # An order without its categories would be another one.
        fields.pop("ordered", None)
        return whole if len(whole) <= MAX_CHARACTERS else json.dumps(fields)

    def restored(self, array: ArrowArray) -> ArrowArray | None:
        """``array``, chunked and as it is stored, as what it was.

        None if a value does not fit it any more.
        """
        try:
            if self.category:
                return self._as_category(array)
            if array.type == self.type:
                return array
            return array.cast(self.type)
        except (pa.ArrowException, ValueError, OverflowError):
            return None

    def _as_category(self, array: ArrowArray) -> ArrowArray | None:
        values = array if array.type == self.type else array.cast(self.type)
        if self.categories is None:
            return values.dictionary_encode()
        kinds = pa.array(self.categories, self.type)
        chunks = []
        for chunk in values.chunks:
            places = kernels().index_in(chunk, kinds)
            if places.null_count > chunk.null_count:
                return None
            chunks.append(pa.DictionaryArray.from_arrays(places, kinds, ordered=self.ordered))
        return pa.chunked_array(chunks, pa.dictionary(pa.int32(), self.type, self.ordered))


def origin_of(item: ArrowField, chunks: Sequence[ArrowArray], column_type: ColumnType) -> str | None:
    """The text that says what a column of Arrow data was.

    None if that is what its ``column_type`` gives anyway.
    """
    if STORED in (item.metadata or {}):
        return None
    data_type, category, ordered = item.type, False, False
    kinds: tuple[str | int | float, ...] | None = None
    if types.is_dictionary(data_type):
        category, ordered, data_type = True, data_type.ordered, _plain(data_type.value_type)
        kinds = _categories(chunks, data_type)
    data_type = _plain(data_type)
    fields = (item.metadata or {}).get(BACKEND, b"").decode()
    backend = fields if fields in BACKENDS else None
    if _parsed_type(str(data_type)) is None:
        data_type = shown_type(column_type)  # a vector, JSON
    if _parsed_type(str(data_type)) is None or (
        data_type == shown_type(column_type) and not (category or backend)
    ):
        return None if backend is None else Origin(pa.string(), backend).text()
    return Origin(data_type, backend, category, kinds, ordered and kinds is not None).text()


def parse_origin(text: str | None) -> Origin | None:
    """The inverse; None for what is not understood, whoever wrote it."""
    try:
        fields = json.loads(text or "null")
        data_type = _parsed_type(fields["arrow"])
        kinds = fields.get("categories")
        kinds = kinds if kinds is None else tuple(kinds)
        backend = fields.get("backend")
        if data_type is None or backend not in (None, *BACKENDS):
            return None
        if kinds is not None:
            pa.array(kinds, data_type)
        category = fields.get("category") is True
        return Origin(
            data_type, backend, category, kinds, fields.get("ordered") is True and kinds is not None
        )
    except (
        pa.ArrowException,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return None


def _parsed_type(text: str) -> ArrowType | None:
    if text in _ALIASES:
        return pa.type_for_alias(text)
    if match := _ZONED.fullmatch(text):
        return pa.timestamp(match[1], match[2])
    return None


def _plain(data_type: ArrowType) -> ArrowType:
    """A type without the variants of texts and blobs that differ in memory only."""
    if str(data_type) in ("large_string", "string_view"):
        return pa.string()
    if str(data_type) in ("large_binary", "binary_view"):
        return pa.binary()
    return data_type


def _categories(chunks: Sequence[ArrowArray], data_type: ArrowType) -> tuple[str | int | float, ...] | None:
    """The values of a dictionary, if all chunks have the same and JSON can hold them."""
    if not chunks or any(not chunk.dictionary.equals(chunks[0].dictionary) for chunk in chunks[1:]):
        return None
    kinds = chunks[0].dictionary
    plain = types.is_string(data_type) or types.is_integer(data_type)
    if not plain or kinds.null_count or len(kinds) > MAX_CHARACTERS // 4:
        return None
    return tuple(kinds.to_pylist())
