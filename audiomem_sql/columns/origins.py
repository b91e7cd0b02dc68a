"""What kind of data frame column a column was made of, so that it can come back as what it was.

The types of a table are few: an ``int32`` is stored as an INTEGER, a category as a TEXT, a time of Berlin as
its UTC. What it was is kept beside the column as a small JSON text, which only data frames ask for. It is a
hint and no constraint: where it would change a single value, the column is read as the type that it has.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import zstandard
from pyarrow import types

from audiomem_sql.columns.arrow_types import ArrowArray, ArrowField, ArrowType
from audiomem_sql.columns.kernels import kernels
from audiomem_sql.columns.types import ColumnType, is_stored, shown_type
from audiomem_sql.errors import SchemaError

#: In the metadata of an Arrow field: which of pandas' families of dtypes the column had.
BACKEND = b"audiomem:dtype_backend"
BACKENDS = ("numpy_nullable", "pyarrow")
#: The family of a column of Python objects, such as texts that are no ``str`` to pandas.
OBJECT = "object"
#: Characters of categories as JSON; others are packed.
MAX_CHARACTERS = 1 << 16
#: Bytes of packed categories, compressed and not; an order that does not fit is refused.
MAX_PACKED, MAX_UNPACKED = 4 << 20, 64 << 20
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
    order, an array of ``type``, or values of it, where that is kept. ordered: whether the order means
    something. is_own: the column's own type is what it was, and ``type`` says nothing.
    """

    type: ArrowType
    backend: str | None = None
    category: bool = False
    categories: Any = None
    ordered: bool = False
    is_own: bool = False

    def __post_init__(self) -> None:
        if self.categories is not None and not isinstance(self.categories, pa.Array):
            object.__setattr__(self, "categories", pa.array(self.categories, self.type))

    def text(self) -> str | None:
        """What :func:`parse_origin` reads; None if there is no room for the categories."""
        fields: dict[str, Any] = {"arrow": str(self.type)}
        fields |= {"backend": self.backend} if self.backend else {}
        fields |= {"category": True} if self.category else {}
        fields |= {"ordered": True} if self.ordered else {}
        fields |= {"own": True} if self.is_own else {}
        kinds = self.categories
        if kinds is None:
            return json.dumps(fields)
        plain = types.is_string(self.type) or types.is_integer(self.type)
        if plain and len(kinds) <= MAX_CHARACTERS // 4 and not kinds.null_count:
            whole = json.dumps(fields | {"categories": kinds.to_pylist()}, ensure_ascii=False)
            if len(whole) <= MAX_CHARACTERS:
                return whole
        packed = _packed(kinds)
        return None if packed is None else json.dumps(fields | {"kinds": packed})

    def restored(self, array: ArrowArray) -> ArrowArray | None:
        """``array``, chunked and as it is stored, as what it was; None if that would change a value.

        A category whose order means nothing gets those that came later behind the others.
        """
        if self.is_own:
            return array
        try:
            values = array if array.type == self.type else array.cast(self.type)
            exact = values is array or _is_exact(array.type, self.type)
            if not exact and not _are_same(values.cast(array.type), array):
                return None
            return self._as_category(values) if self.category else values
        except (pa.ArrowException, ValueError, OverflowError):
            return None

    def _as_category(self, values: ArrowArray) -> ArrowArray | None:
        kinds = self.categories
        if kinds is None:
            return values.dictionary_encode()
        if not values.num_chunks:  # there are categories without a value
            values = pa.chunked_array([pa.array([], self.type)])
        places = [kernels().index_in(chunk, kinds) for chunk in values.chunks]
        if sum(place.null_count for place in places) > values.null_count:
            if self.ordered:
                return None
            later = values.unique()
            later = later.filter(kernels().invert(kernels().is_in(later, kinds))).drop_null()
            kinds = pa.concat_arrays([kinds, later])
            places = [kernels().index_in(chunk, kinds) for chunk in values.chunks]
        chunks = [pa.DictionaryArray.from_arrays(place, kinds, ordered=self.ordered) for place in places]
        return pa.chunked_array(chunks, pa.dictionary(pa.int32(), self.type, self.ordered))


def origin_of(item: ArrowField, chunks: Sequence[ArrowArray], column_type: ColumnType) -> str | None:
    """The text that says what a column of Arrow data was.

    None if that is what its ``column_type`` gives anyway. SchemaError for an order of categories that is too
    large to be kept, or is none.
    """
    if is_stored(item.metadata):
        return None
    data_type, category, ordered = _plain(item.type), False, False
    kinds: ArrowArray | None = None
    if types.is_dictionary(data_type):
        category, ordered, data_type = True, data_type.ordered, _plain(data_type.value_type)
        if types.is_null(data_type):  # there is no category
            data_type = shown_type(column_type)
        kinds = _categories(item, chunks, data_type)
    said = (item.metadata or {}).get(BACKEND, b"").decode()
    backend = said if said in (*BACKENDS, OBJECT) else None
    if _parsed_type(str(data_type)) is None and kinds is None:
        data_type = shown_type(column_type)  # a vector, JSON
    known = kinds is not None or _parsed_type(str(data_type)) is not None
    if not known or (data_type == shown_type(column_type) and not (category or backend)):
        return None if backend is None else Origin(pa.string(), backend, is_own=True).text()
    text = Origin(data_type, backend, category, kinds, ordered and kinds is not None).text()
    if text is None and ordered:
        raise SchemaError(
            f"its {len(kinds or ()):,} ordered categories are too many to be kept: they take more than "
            f"{MAX_PACKED >> 20} MB",
            place=f"column {item.name}",
            remedy="Make the category unordered, or cast the column to the type of its values",
        )
    return text or Origin(data_type, backend, category).text()


def parse_origin(text: str | None) -> Origin | None:
    """The inverse; None for what is not understood, whoever wrote it."""
    try:
        fields = json.loads(text or "null")
        kinds = fields.get("categories")
        packed = fields.get("kinds")
        kinds = _unpacked(packed) if packed is not None else kinds
        data_type = _parsed_type(fields["arrow"]) if packed is None else kinds.type
        backend = fields.get("backend")
        if data_type is None or backend not in (None, *BACKENDS, OBJECT):
            return None
        category = fields.get("category") is True
        ordered = fields.get("ordered") is True and kinds is not None
        return Origin(data_type, backend, category, kinds, ordered, fields.get("own") is True)
    except (
        pa.ArrowException,
        zstandard.ZstdError,
        OSError,
        ValueError,
        TypeError,
        LookupError,
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


def _categories(item: ArrowField, chunks: Sequence[ArrowArray], data_type: ArrowType) -> ArrowArray | None:
    """The values of a dictionary, each once and none NULL; None if there are several, or none can be told.

    SchemaError if these contradict each other on an order that means something. Of several of which one goes
    on where the others end it is that one.
    """
    dictionaries = [chunk.dictionary for chunk in chunks]
    if not dictionaries:
        return None
    longest = max(dictionaries, key=len)
    if any(not longest.slice(0, len(each)).equals(each) for each in dictionaries):
        if item.type.ordered:
            raise SchemaError(
                "the chunks of the ordered dictionary have different orders",
                place=f"column {item.name}",
                remedy="Call unify_dictionaries() of the Arrow table, and look at the order",
            )
        return None
    kinds = longest if longest.type == data_type else longest.cast(data_type)
    try:
        return kinds.drop_null().unique()
    except pa.ArrowNotImplementedError:  # lists, structs, UUIDs, JSON, of which Arrow makes no categories
        return None


def _is_exact(first: ArrowType, second: ArrowType) -> bool:
    """Whether a cast that would change a value is an error."""
    kinds = (types.is_integer, types.is_timestamp)
    return any(is_kind(first) and is_kind(second) for is_kind in kinds)


def _are_same(first: ArrowArray, second: ArrowArray) -> bool:
    """Whether two chunked arrays of one type have the same values; NaN is as good as another NaN."""
    if not types.is_floating(first.type):
        return bool(first.equals(second))
    equal = kernels().equal(first, second)
    both = kernels().and_(kernels().is_nan(first), kernels().is_nan(second))
    return first.null_count == second.null_count and kernels().all(kernels().or_(equal, both)).as_py() in (
        True,
        None,
    )


def _packed(kinds: ArrowArray) -> str | None:
    """An array as a text: Arrow's stream format, compressed with zstd, in base 85; None if too large."""
    if kinds.nbytes > MAX_UNPACKED // 2:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([pa.field("", kinds.type)])) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.concat_arrays([kinds])], [""]))
    packed = zstandard.compress(sink.getvalue(), 9)
    return base64.b85encode(packed).decode() if len(packed) <= MAX_PACKED else None


def _unpacked(text: str) -> ArrowArray:
    """The inverse; raises what :func:`parse_origin` catches."""
    stream = zstandard.ZstdDecompressor().stream_reader(base64.b85decode(text))
    raw = stream.read(MAX_UNPACKED)
    with pa.ipc.open_stream(raw) as reader:
        kinds = reader.read_all().column(0).combine_chunks()
    kinds.validate(full=True)
    return kinds
