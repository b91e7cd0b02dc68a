from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import to_table
from audiomem_sql.columns.origins import MAX_CHARACTERS, Origin, parse_origin
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.shown import shown_array
from audiomem_sql.errors import SchemaError

TYPES = [
    *(pa.type_for_alias(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)),
    *(
        pa.timestamp(unit, zone)
        for unit in ("s", "ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Lisbon", "+05:30")
    ),
    *(
        pa.float16(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.binary(),
        pa.date32(),
        pa.date64(),
    ),
]


@pytest.mark.parametrize("given_type", TYPES, ids=str)
def test_what_is_written_is_read(given_type: pa.DataType) -> None:
    for backend in (None, "pyarrow", "numpy_nullable"):
        for category, kinds in ((False, None), (True, None)):
            origin = Origin(given_type, backend, category, kinds)
            assert parse_origin(origin.text()) == origin
    ordered = Origin(pa.string(), None, True, ("b", "a"), True)
    assert parse_origin(ordered.text()) == ordered


@pytest.mark.parametrize("given_type", TYPES, ids=str)
def test_what_a_column_has_anyway_is_not_written(given_type: pa.DataType) -> None:
    _, schema = to_table(pa.table({"a": pa.array([None, None], given_type)}))
    (column,) = schema.columns
    told = parse_origin(column.origin)
    canonical = schema.shown().field(0).type
    assert (told is None) == (given_type == canonical)
    if told is not None:
        assert told.type == given_type
    again = Schema.from_catalog(schema.to_catalog())
    assert again.columns[0].origin == column.origin


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text() | st.floats(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["arrow", "backend", "categories", "category", "kinds", "ordered"])
                | st.text(),
                inner | st.sampled_from(["int8", "string", "timestamp[us, tz=Nowhere]"]),
            )
        ),
    ).map(json.dumps)
)
def test_no_text_is_an_error(text: str) -> None:
    origin = parse_origin(text)
    if origin is not None:
        assert parse_origin(origin.text()) == origin
        for values in (["a", None], [], [None]):
            restored = origin.restored(pa.chunked_array([values], pa.string()))
            assert restored is None or len(restored) == len(values)


def test_a_catalog_may_say_anything() -> None:
    packed = [
        {"name": "a", "type": "TEXT", "x_origin": ["no", "text"]},
        {"name": "b", "type": "TEXT", "x_origin": "{"},
    ]
    schema = Schema.from_catalog(packed)
    assert [column.origin for column in schema.columns] == [None, "{"]
    assert parse_origin("{") is None


def dictionary(kinds: pa.Array, ordered: bool = True) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array([1, 0, None], pa.int32()), kinds, ordered=ordered)


KINDS = [
    pa.array([f"{number:010}" for number in range(MAX_CHARACTERS // 12)]),
    pa.array(range(100_000, 0, -1), pa.int32()),
    pa.array([2.5, -1.5, float("inf")]),
    pa.array([True, False]),
    pa.array([b"b", b"a", b""]),
    pa.array([2, 1], pa.date32()),
    pa.array([2, 1], pa.timestamp("us")),
    pa.array([2, 1], pa.timestamp("ms", "Europe/Lisbon")),
    pa.array(["b", "a"], pa.large_string()),
]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kinds", KINDS, ids=lambda kinds: f"{kinds.type} {len(kinds)}")
def test_categories_of_any_type_and_number_keep_their_order(kinds: pa.Array, ordered: bool) -> None:
    table, schema = to_table(pa.table({"a": dictionary(kinds, ordered)}))
    origin = parse_origin(schema.columns[0].origin)
    assert origin is not None
    restored = origin.restored(shown_array(table.column(0), schema.columns[0].type))
    assert restored.type.ordered == ordered
    assert restored.chunk(0).dictionary.to_pylist() == kinds.to_pylist()
    assert restored.to_pylist() == [kinds[1].as_py(), kinds[0].as_py(), None]
    none = origin.restored(pa.chunked_array([], kinds.type))
    assert none.chunk(0).dictionary.to_pylist() == kinds.to_pylist()
    assert parse_origin(origin.text()) == origin


def test_an_order_that_is_too_large_is_refused_by_name() -> None:
    kinds = pa.array(
        [hashlib.sha256(bytes([n % 256, n >> 8 & 255, n >> 16])).hexdigest() for n in range(180_000)]
    )
    with pytest.raises(SchemaError, match="column culprit: its 180,000 ordered categories are too many"):
        to_table(pa.table({"culprit": dictionary(kinds)}))
    table, schema = to_table(pa.table({"fine": dictionary(kinds, ordered=False)}))
    origin = parse_origin(schema.columns[0].origin)
    assert origin == Origin(pa.string(), None, True)
    assert origin.restored(table.column(0)).to_pylist() == [kinds[1].as_py(), kinds[0].as_py(), None]


def test_there_may_be_no_category() -> None:
    array = pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), pa.nulls(0))
    table, schema = to_table(pa.table({"a": array}))
    origin = parse_origin(schema.columns[0].origin)
    assert origin == Origin(pa.string(), None, True, [])
    assert origin.restored(table.column(0)).type == pa.dictionary(pa.int32(), pa.string())


def test_chunks_with_orders_of_their_own() -> None:
    first, longer, other = (dictionary(pa.array(list(kinds))) for kinds in ("cb", "cba", "abc"))
    _, schema = to_table(pa.table({"a": pa.chunked_array([first, longer])}))
    origin = parse_origin(schema.columns[0].origin)
    assert origin == Origin(pa.string(), None, True, ["c", "b", "a"], True)
    with pytest.raises(SchemaError, match=r"column a: the chunks .* have different orders"):
        to_table(pa.table({"a": pa.chunked_array([first, other])}))


#: An origin, values that came later, and whether they fit it.
LATER = [
    (pa.float32(), pa.float64(), [0.5, float("nan"), None, -0.0], [0.1, 1e300]),
    (pa.float16(), pa.float64(), [0.5, 65504.0], [0.1, 65505.0, 1e6]),
    (pa.int8(), pa.int64(), [-128, 127, None], [128, 1 << 40]),
    (pa.uint32(), pa.int64(), [0, (1 << 32) - 1], [-1, 1 << 32]),
    (pa.date32(), pa.timestamp("us"), [0, 86_400_000_000, -86_400_000_000], [1, 86_399_999_999]),
    (pa.timestamp("s"), pa.timestamp("us"), [1_000_000], [1_000_001]),
    (pa.timestamp("ns"), pa.timestamp("us"), [1], [-62_135_596_800_000_000]),
]


@pytest.mark.parametrize(("origin", "stored", "fitting", "others"), LATER, ids=lambda value: str(value)[:20])
def test_no_value_is_changed_to_fit(
    origin: pa.DataType, stored: pa.DataType, fitting: list[Any], others: list[Any]
) -> None:
    fits = pa.chunked_array([pa.array(fitting, stored)])
    restored = Origin(origin).restored(fits)
    assert restored.type == origin
    assert str(restored.cast(stored).to_pylist()) == str(fits.to_pylist())
    for value in others:
        assert Origin(origin).restored(pa.chunked_array([pa.array([*fitting, value], stored)])) is None
        kinds = fits.unique().drop_null().cast(origin)
        later = pa.chunked_array([pa.array([value], stored)])
        assert Origin(origin, None, True, kinds, True).restored(later) is None


def test_values_that_do_not_fit_any_more() -> None:
    stored = pa.chunked_array([[1, None, 300]])
    assert Origin(pa.int8()).restored(stored) is None
    restored = Origin(pa.int16()).restored(stored)
    assert restored.type == pa.int16()
    assert restored.to_pylist() == [1, None, 300]
    texts = pa.chunked_array([["a", None], ["c"]])
    assert Origin(pa.string(), None, True, ("a", "b"), True).restored(texts) is None
    more = Origin(pa.string(), None, True, ("b", "a")).restored(texts)
    assert more.to_pylist() == ["a", None, "c"]
    assert [chunk.dictionary.to_pylist() for chunk in more.chunks] == [["b", "a", "c"]] * 2
    known = Origin(pa.string(), None, True, ("c", "b", "a"), True).restored(texts)
    assert known.to_pylist() == ["a", None, "c"]
    assert known.type.ordered
    assert known.chunk(1).dictionary.to_pylist() == ["c", "b", "a"]
