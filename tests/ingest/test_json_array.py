"""JSON files: an array of objects is rows, anything else is text."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiomem_sql.errors import AudioMemError, DataTypeError, LimitError, OptionError
from audiomem_sql.ingest import json_array
from audiomem_sql.ingest.documents.content import Problems
from audiomem_sql.ingest.json_array import has_rows
from audiomem_sql.ingest.records import read_records
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import Source, find_sources

Make = Callable[..., Source]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def maker(content: Any, name: str = "a.json") -> Source:
        if not isinstance(content, str | bytes):
            content = json.dumps(content, indent=1)
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        (source,) = find_sources([tmp_path / name])
        return source

    return maker


TWO = [{"title": "A", "body": "first", "date": "2026-11-01"}, {"title": "B", "body": "second\nline"}]


def test_an_array_is_rows(make: Make) -> None:
    source = make(TWO)
    assert source.kind == "json"
    found = [(row["place"], row["title"], row["body"]) for row in rows_of(source)]
    assert found == [("line=2&row=1", "A", "first"), ("line=7&row=2", "B", "second\nline")]
    assert next(iter(rows_of(source)))["created_at"].year == 2026
    source = make(gzip.compress(json.dumps(TWO).encode("utf-16")), "b.json.gz")
    assert [row["body"] for row in rows_of(source)] == ["first", "second\nline"]


def test_the_list_in_an_object_is_rows(make: Make) -> None:
    for more in ({}, {"count": 2, "next": None, "tags": [], "empty": {}}):
        source = make({"before": "x", **more, "items": TWO, "after": 1.5})
        assert [(row["body"], row["place"][:5]) for row in rows_of(source)] == [
            ("first", "line="),
            ("second\nline", "line="),
        ]


@pytest.mark.parametrize(
    "content",
    [
        {"name": "package", "dependencies": {"a": "1"}},
        {"a": TWO, "b": TWO},
        {"a": TWO, "b": {"c": 1}},
        {"a": [1, TWO[0]]},
        {"title": "T", "keywords": ["pottery", "kiln"], "rows": [{"a": "first"}]},
        {"rows": [{"a": "first"}], "keywords": ["pottery", "kiln"]},
        [1, 2],
        [[TWO[0]]],
        [],
        {},
        '{"a": [{"b": 1}',  # cut off
        "[\n  // a comment\n  {}\n]",
        "{unquoted: 1}",
    ],
)
def test_anything_else_is_text(make: Make, content: Any) -> None:
    source = make(content)
    text = content if isinstance(content, str) else json.dumps(content, indent=1)
    (row,) = rows_of(source, size=10_000)
    assert (row["body"], row["place"], row["title"]) == (text, "line=1", None)


def test_values_in_values_are_in_the_rows(make: Make) -> None:
    feature = {"type": "Feature", "geometry": {"at": [1.5, 2]}, "id": 7, "properties": {"name": "Kiln"}}
    (row,) = rows_of(make({"type": "FeatureCollection", "features": [feature]}))
    assert row["body"] == 'type: Feature\ngeometry: {"at": [1.5, 2]}\nproperties: {"name": "Kiln"}'
    content = [{"a": {"b": "deep text"}}, {"a": "x", "vector": [0.5] * 64, "tags": ["é"], "none": []}]
    assert [row["body"] for row in rows_of(make(content))] == ['a: {"b": "deep text"}', 'a: x\ntags: ["é"]']


def test_columns_are_chosen(make: Make) -> None:
    source = make([{"a": "x", "b": "y"}])
    assert next(rows_of(source, body_column="b", title_column="a"))["title"] == "x"
    with pytest.raises(OptionError, match="there is no column 'c'"):
        list(rows_of(source, body_column="c"))


def test_an_item_that_is_no_object_costs_itself(make: Make) -> None:
    source = make('[{"body": "a"},\n3,\n{"body": "b"}, [], null, "x", true]')
    with pytest.raises(DataTypeError, match=r"a\.json: line 2: this is a number"):
        list(rows_of(source))
    faults = Problems()
    rows = list(rows_of(source, problems=faults))
    assert [row["body"] for row in rows] == ["a", "b"]
    assert [
        (place, reason[8:16]) for place, reason in ((fault.place, fault.what) for fault in faults.listed)
    ] == [
        ("line 2, row 2", "a number"),
        ("line 3, row 4", "an array"),
        ("line 3, row 5", "null whe"),
        ("line 3, row 6", "a string"),
        ("line 3, row 7", "true or "),
    ]


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('[{"a": "x"},\n {"a": }]', "line 2", "not JSON"),
        ('[{"a": "x"},\n {"a": 1}', "line 2", "comma or ]"),
        ('[{"a": "x"}\n\n {"a": 1}]', "line 3", "comma or ]"),
        ('[{"a": "x"}]\n]', "line 2", "more behind"),
        ('[{"a": "x"},\n' + '{"a":' * 100_000, "line 2", "too deeply"),
        ('[{"a": "x"}, {"a": ' + "9" * 5000 + "}]", "line 1", "cannot be read"),
    ],
)
def test_an_array_that_is_broken_is_refused(make: Make, text: str, place: str, what: str) -> None:
    with pytest.raises(DataTypeError, match=what) as caught:
        list(rows_of(make(text), problems=Problems()))
    assert caught.value.place == place
    assert caught.value.file


def test_values_across_the_end_of_what_is_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"n": 10**12 + n, "t": 'é\\"' * (n % 7), "x": [None, True, -1.5e-7]} for n in range(30)]
    source = make({"first": 123456789, "items": items, "last": "z"})
    lines = [line for _, line in read_records(source)]
    for step in (1, 2, 3, 7, 64):
        monkeypatch.setattr(json_array, "_STEP", step)
        assert [row for row, _ in read_records(source)] == items
        assert [line for _, line in read_records(source)] == lines


def test_a_value_without_end(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_array, "VALUE_LIMIT", 1 << 20)
    with pytest.raises(LimitError, match=r"a\.json: line 2: a value has more than"):
        list(rows_of(make('[{"a": 1},\n{"a": "' + "x" * (3 << 20) + '"}]')))


def test_memory_is_bounded(make: Make) -> None:
    row = json.dumps({"body": "x" * 1000})
    source = make("[" + ",\n".join([row] * 8000) + "]")
    tracemalloc.start()
    assert has_rows(source)
    assert sum(1 for _ in read_records(source)) == 8000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20  # of a file of 8 MB


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(), _VALUES, max_size=4), min_size=1), st.sampled_from([None, 0, 3]))
def test_any_array_is_what_json_says(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]], indent: int | None
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(
        json.dumps(items, indent=indent, ensure_ascii=indent == 0), encoding="utf-8", errors="replace"
    )
    expected = json.load(io.StringIO(path.read_text(encoding="utf-8")))
    source = Source(path, "any.json", 1, "json")
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, (row, place) in enumerate(read_records(source)):
        assert row == expected[number]
        line = int(place.split(",")[0].removeprefix("line "))
        assert "{" in lines[line - 1]
    assert number == len(items) - 1


@given(st.text(alphabet='[]{},:"\\ \n1-a', max_size=60))
def test_any_text_is_rows_or_text_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "some.json"
    path.write_text(f"[{text}" if len(text) % 2 else text)
    try:
        for row in rows_of(Source(path, "some.json", 1, "json"), problems=Problems()):
            assert row["body"].strip()
    except AudioMemError:
        pass
