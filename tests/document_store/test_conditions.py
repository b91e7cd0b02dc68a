"""Conditions on metadata, decided by SQLite, beside what Python says of the same values."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audiomem_sql.document_store import (
    Condition,
    DocumentStore,
    Stored,
    all_of,
    any_of,
    compare,
    contains,
    is_empty,
    is_missing,
    matches_text,
    negated,
)
from audiomem_sql.errors import QueryError

PYTHON: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
KEY = """we"ird 'key' [0].x \\ ü"""
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 1.0, -2, 2.5, 10, 1 << 53, (1 << 53) + 1, float(1 << 53)),
    *("", "1", "a", "A", "ä", "Ä", "[1]", "null", "true", "a'b", "%_*?", "2024-05-01", "Straße"),
    *([], [1], [1, "a"], ["a"], {"a": 1}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DocumentStore:
    """A document for each value, one without any, and one with the value inside another."""
    made = DocumentStore(tmp_path_factory.mktemp("conditions") / "values.flac")
    made.add([Stored(str(place), "text", {KEY: value}) for place, value in enumerate(VALUES)])
    made.add([Stored("none", "text", {}), Stored("inside", "text", {"a": {KEY: 7}, "a.b": 8})])
    return made


def passing(store: DocumentStore, condition: Condition) -> list[Any]:
    """The values of the documents that pass; MISSING for those that have none."""
    return [found.metadata.get(KEY) for found in store.find(condition)]


def of_same_kind(one: object, other: object) -> bool:
    numbers = (bool, int, float)
    return (isinstance(one, numbers) and isinstance(other, numbers)) or (
        isinstance(one, str) and isinstance(other, str)
    )


@pytest.mark.parametrize("name", PYTHON)
def test_every_value_beside_every_other(store: DocumentStore, name: str) -> None:
    everything = [*VALUES, None, None]
    for value in VALUES:
        if name not in ("==", "!=") and isinstance(value, list | dict):
            with pytest.raises(QueryError, match="single values"):
                compare(store.layout.field([KEY]), name, value)
            continue
        found = passing(store, compare(store.layout.field([KEY]), name, value))
        ordered = name not in ("==", "!=")
        expected = [
            each
            for each in everything
            if (not ordered or of_same_kind(each, value)) and PYTHON[name](each, value)
        ]
        assert found == expected, (name, value)


def test_lists_of_values(store: DocumentStore) -> None:
    field = store.layout.field([KEY])
    assert passing(store, compare(field, "in", [1, "a"])) == [True, 1, 1.0, "a"]
    assert passing(store, compare(field, "in", [])) == []
    assert passing(store, compare(field, "in", [None])) == [None, None, None]
    outside = passing(store, compare(field, "not in", [1, "a", None]))
    assert len(outside) == len(VALUES) - 5
    assert None not in outside
    assert passing(store, is_missing(field)) == [None, None, None]
    assert passing(store, is_empty(field)) == [None, "", [], None, None]
    assert passing(store, contains(field, "a")) == ["a", "a'b", "Straße", [1, "a"], ["a"]]
    assert passing(store, contains(field, 1)) == [[1], [1, "a"]]
    assert passing(store, matches_text(field, "_*")) == ["%_*?"]
    assert passing(store, matches_text(field, "Ä", ignore_case=True)) == ["ä", "Ä"]
    assert passing(store, matches_text(field, "RASSE", ignore_case=True)) == []
    assert passing(store, matches_text(field, "[*", ignore_case=True)) == []
    assert passing(store, matches_text(field, "*?", ignore_case=True)) == ["%_*?"]


def test_values_inside_values(store: DocumentStore) -> None:
    assert [each.id for each in store.find(compare(store.layout.field(["a", KEY]), "==", 7))] == ["inside"]
    assert [each.id for each in store.find(compare(store.layout.field(["a.b"]), "==", 8))] == ["inside"]
    assert store.find(compare(store.layout.field(["a", "b"]), "==", 8)) == []
    assert store.count(is_missing(store.layout.field(["a", "b"]))) == len(VALUES) + 2


def test_logic_is_of_two_values(store: DocumentStore) -> None:
    field = store.layout.field([KEY])
    small, text = compare(field, "<", 5), compare(field, "==", "a")
    count = store.count()
    for condition in (small, text, all_of([small, text]), any_of([small, text]), all_of([]), any_of([])):
        assert store.count(condition) + store.count(negated(condition)) == count
    assert store.count(any_of([])) == 0
    assert store.count(all_of([])) == count
    assert store.count(any_of([small, text])) == store.count(small) + store.count(text)


D = Decimal
WHEN = datetime(2024, 1, 1, 12)
DECIMALS: list[Any] = [
    *(D("9.5"), D("10.5"), D("10.50"), D("-0"), D("1E+3"), D("Infinity"), D("-Infinity"), D("NaN"), D("2")),
    *(D("0.1234567890123456789"), D("0.1234567890123456788"), 2, 10.5, True, "10.5", "2", None),
]
NESTED: list[Any] = [
    *([], {}, [1.0, 2], [1, 2, 3], [True, 2], ["1", 2], {"b": 1, "a": 2}, {"a": 2}, {"a": 2, "b": None}),
    *([WHEN], [str(WHEN)], [D("1.50")], ["1.50"], {"a": [1, {"x": WHEN}]}, [None], [[]], [{}], [[1], [2]]),
    *(
        {1, 2},
        (1, 2),
        {"": 1},
        {"a.b": {'"': 1}},
        {"0": 1},
        [b"x"],
        [""],
        [0] * 1500,
        [*range(20), None, "x", 1.0],
        {"k": [0] * 1499},
    ),
]


def held(path: Path, values: list[Any]) -> DocumentStore:
    store = DocumentStore(path)
    store.add([Stored(str(place), "", {KEY: value, "x": "y"}) for place, value in enumerate(values)])
    return store


def test_decimals_are_numbers(tmp_path: Path) -> None:
    with held(tmp_path / "decimals.flac", DECIMALS) as store:
        assert [repr(each.metadata[KEY]) for each in store.find()] == [repr(each) for each in DECIMALS]
        for value in DECIMALS:
            for name, decide in PYTHON.items():
                if isinstance(value, str) or value is None:
                    continue
                found = [each.id for each in store.find(compare(store.layout.field([KEY]), name, value))]
                numbers = [
                    isinstance(each, int | float | Decimal) and (each == each or name == "!=")
                    for each in DECIMALS
                ]
                near = name in ("<", ">", "<=", ">=") and isinstance(value, Decimal) and "123" in str(value)
                expected = [
                    str(place)
                    for place, each in enumerate(DECIMALS)
                    if (numbers[place] and (value == value or name == "!=") and decide(each, value))
                    or (not numbers[place] and name == "!=")
                    # too near to each other for floats
                    if not (near and isinstance(each, Decimal) and "123" in str(each))
                ]
                if near:
                    found = [each for each in found if "123" not in str(DECIMALS[int(each or 0)])]
                assert found == expected, (name, value)
        field = store.layout.field([KEY])
        found = [each.id for each in store.find(compare(field, "in", [D("10.500"), D("2.0")]))]
        assert found == ["1", "2", "8", "11", "12"]
        with pytest.raises(QueryError, match="NaN"):
            compare(field, "==", D("sNaN"))


def same(one: Any, other: Any) -> bool:
    """Whether what is stored is equal to the other: a set and a tuple are lists, a time is a text."""
    if isinstance(one, list | tuple | set) and isinstance(other, list | tuple | set):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, datetime):
        return other in (one, one.isoformat())
    if isinstance(other, datetime):
        return bool(one == str(other))
    if isinstance(one, Decimal) and isinstance(other, str):
        return str(one) == other
    return bool(one == other)


def test_lists_and_dicts_are_equal_by_what_is_in_them(tmp_path: Path) -> None:
    with held(tmp_path / "nested.flac", NESTED) as store:
        field = store.layout.field([KEY])
        for value in [
            *NESTED,
            {"a": 2, "b": 1},
            [1, 2.0],
            [*map(float, range(20)), None, "x", True],
            [*range(20), None, "y", 1],
            [*range(20), "null", "x", 1],
            [D("1.5")],
            {"b": None, "a": 2.0},
            np.array([1, 2]),
        ]:
            wanted = value.tolist() if isinstance(value, np.ndarray) else value
            expected = [str(place) for place, each in enumerate(NESTED) if same(each, wanted)]
            assert [each.id for each in store.find(compare(field, "==", value))] == expected, value
            assert store.count(compare(field, "!=", value)) == len(NESTED) - len(expected), value
        assert [each.id for each in store.find(contains(field, D("1.5")))] == ["11"]
        assert [each.id for each in store.find(contains(field, [2.0]))] == ["17"]
        assert [each.id for each in store.find(contains(field, {}))] == ["16"]
        for bad in ({1: 2}, [{(): 1}]):
            with pytest.raises(QueryError, match="no key of metadata"):
                compare(field, "==", bad)
        with pytest.raises(QueryError, match="51 values in a value"):
            compare(field, "==", {str(number): number for number in range(51)})


@pytest.mark.parametrize("path", [[], [5], ["a", None], [("a",)]])
def test_keys_are_texts(store: DocumentStore, path: list[Any]) -> None:
    with pytest.raises(QueryError, match="Keys are texts"):
        store.layout.field(path)


@pytest.mark.parametrize("value", [object(), 1 << 63, {1, 2}, "\ud800"])
def test_what_cannot_be_compared(store: DocumentStore, value: object) -> None:
    with pytest.raises(Exception, match=r"hold|64 bits|surrogate|single") as caught:
        compare(store.layout.field([KEY]), "<", value)
    assert type(caught.value).__module__ == "audiomem_sql.errors"


ZONES = (None, UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=-9, minutes=-30)))
NEAR = datetime(2024, 2, 29, 23, 59, 59, 999_999)
SHIFTS = (0, 1, -999_999, 2, 3_600_000_000, 7_200_000_000, -34_200_000_000, 10**15, -(10**15))
MOMENTS = [(NEAR + timedelta(microseconds=shift)).replace(tzinfo=zone) for shift in SHIFTS for zone in ZONES]


def same_zone(one: datetime, other: datetime) -> tuple[datetime, datetime]:
    """Both with an offset or none: one without takes that of the other."""
    if one.tzinfo is None:
        return one.replace(tzinfo=other.tzinfo), other
    return one, other if other.tzinfo is not None else other.replace(tzinfo=one.tzinfo)


def test_times_to_the_microsecond(tmp_path: Path) -> None:
    with DocumentStore(tmp_path / "times.flac") as store:
        store.add([Stored(str(place), "", {"when": when}) for place, when in enumerate(MOMENTS)])
        field = store.layout.field(["when"])
        for when in MOMENTS[::5]:
            for name, decide in PYTHON.items():
                found = [each.metadata["when"] for each in store.find(compare(field, name, when))]
                assert found == [each for each in MOMENTS if decide(*same_zone(each, when))], (name, when)


def test_times_as_they_are_written(tmp_path: Path) -> None:
    written = [
        "2024-05-01",
        "2024-05-01T12:30",
        "2024-05-01 12:30:00.5",
        "2024-05-01T12:30:00Z",
        "12",
        "x",
        "",
    ]
    with DocumentStore(tmp_path / "times.flac") as store:
        store.add([Stored(text, "", {"when": text}) for text in written])

        def found(name: str, value: str) -> list[str | None]:
            condition = compare(store.layout.field(["when"]), name, value, times_as_text=False)
            return [each.id for each in store.find(condition)]

        assert found("==", "2024-05-01T12:30:00") == ["2024-05-01T12:30", "2024-05-01T12:30:00Z"]
        assert found(">", "2024-05-01T12:30:00") == ["2024-05-01 12:30:00.5"]
        assert found("<", "2024-05-01T00:00:00.000001") == ["2024-05-01"]
        assert found("==", "x") == ["x"]
        with pytest.raises(QueryError, match="ISO 8601"):
            found("<", "x")
