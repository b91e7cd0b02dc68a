"""Metadata come back as they were given, whatever JSON has for them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.document_store.metadata import packed, unpacked
from audiomem_sql.errors import DataTypeError

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    TEXTS,
    st.binary(max_size=8),
    st.datetimes(timezones=st.sampled_from((None, UTC, timezone(timedelta(hours=-5, minutes=-30))))).map(
        lambda when: when.replace(fold=0)
    ),
    st.dates(),
    st.times().map(lambda when: when.replace(fold=0)),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(TEXTS, inner, max_size=3),
        st.frozensets(SCALARS, max_size=3),
        st.sets(SCALARS, max_size=3),
    ),
    max_leaves=6,
)


def shown(value: object) -> str:
    """A value with its types, which equality does not see."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__} {sorted(map(shown, value))}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__} {[shown(each) for each in value]}"
    if isinstance(value, dict):
        return f"dict {[(key, shown(each)) for key, each in value.items()]}"
    return f"{type(value).__name__} {value!r}"


@settings(max_examples=25)
@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_values_come_back(metadata: dict[str, object]) -> None:
    text, types = packed(metadata)
    assert shown(unpacked(text, types)) == shown(metadata)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_plain_values_need_no_types() -> None:
    assert packed({"a": [1, 1.0, "x", None, True, {"b": []}]}) == (
        '{"a":[1,1.0,"x",null,true,{"b":[]}]}',
        None,
    )


def test_what_is_readable_in_sql() -> None:
    when = datetime(2024, 5, 1, 12, tzinfo=UTC)
    text, types = packed({"when": when, "tags": {"b", "a"}, "n": np.int64(3), "x": np.float32(0.5)})
    assert json.loads(text) == {"when": "2024-05-01T12:00:00+00:00", "tags": ["a", "b"], "n": 3, "x": 0.5}
    assert json.loads(types or "") == [[["when"], "datetime"], [["tags"], "set"]]


class Colour(StrEnum):
    RED = "red"


def test_values_of_classes_of_their_own_are_what_they_are_made_of() -> None:
    assert packed({"colour": Colour.RED, "v": np.array([1, 2])})[0] == '{"colour":"red","v":[1,2]}'


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a": [{"b": object()}]}, r"metadata\['a'\]\[0\]\['b'\].*cannot hold a object"),
        ({1: 2}, "the key 1, which is no text"),
        ({"a": "\ud800"}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
    ],
)
def test_what_is_refused(metadata: dict[str, object], said: str) -> None:
    with pytest.raises(DataTypeError, match=said):
        packed(metadata)


def test_a_value_in_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(DataTypeError, match="levels deep"):
        packed({"a": endless})


def test_numbers_that_json_lacks() -> None:
    found = unpacked(*packed({"a": float("inf"), "b": [float("nan")]}))
    assert found["a"] == float("inf")
    assert found["b"][0] != found["b"][0]
    kinds = {"d": date(2024, 1, 2), "t": time(1, 2, 3, 4), "m": Decimal("1.10"), "u": UUID(int=1)}
    assert unpacked(*packed(kinds)) == kinds
