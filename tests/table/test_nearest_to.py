"""``Table.nearest_to``: the nearest rows for each of rows that are no table, in every form that they come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import AudioMemError
from audiomem_sql.search.analyses import given_rows
from audiomem_sql.search.models.embedders import HashingEmbedder

WIDTH, ROWS = 6, 90
DRAWN: F32Array = np.random.default_rng(3).standard_normal((ROWS + 7, WIDTH)).astype(np.float32)
ASKED = DRAWN[ROWS:]


def lists(vectors: F32Array) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[am.Table]:
    """Rows 1, 2, … with vectors in a column of each metric, and texts."""
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", f"bare FLOAT[{WIDTH}]"]
    columns += [f"{metric} FLOAT[{WIDTH}] INDEXED(metric={metric})" for metric in ("l2", "ip")]
    vectors = lists(DRAWN[:ROWS])
    rows = {"id": range(1, ROWS + 1), "body": [f"row number{i % 9}" for i in range(ROWS)]}
    path = tmp_path_factory.mktemp("given") / "b.flac"
    with am.Table.create(path, columns, {"model": "hashing", "protection": "none"}) as made:
        made.append(pa.table({**rows, "bare": vectors, "l2": vectors, "ip": vectors}))
        yield made


FORMS: dict[str, Callable[[F32Array], Any]] = {
    "array": lambda v: v,
    "array of float64, by columns": lambda v: np.asfortranarray(v.astype(np.float64)),
    "lists": lambda v: v.tolist(),
    "list of arrays": list,
    "list of blobs": lambda v: [row.tobytes() for row in v],
    "list of JSON": lambda v: [str(row.tolist()) for row in v],
    "list of dicts": lambda v: [{"n": "x", "v": row.tolist()} for row in v],
    "dict of columns": lambda v: {"n": range(len(v)), "v": v},
    "Arrow array": lists,
    "Arrow chunks": lambda v: pa.chunked_array([lists(v[:2]), lists(v[2:])]),
    "Arrow table": lambda v: pa.table({"n": range(len(v)), "v": lists(v)}),
    "Arrow batch": lambda v: pa.record_batch({"v": lists(v)}),
    "Arrow reader": lambda v: pa.table({"n": range(len(v)), "v": lists(v)}).to_reader(max_chunksize=3),
    "Arrow dataset": lambda v: ds.dataset(pa.table({"v": lists(v)})),
    "words of a dictionary": lambda v: pa.array([row.tobytes() for row in v]).dictionary_encode(),
    "pandas": lambda v: pd.DataFrame({"v": list(v)}, index=[f"i{n}" for n in range(len(v))]),
    "column of pandas": lambda v: pd.DataFrame({"v": list(v)})["v"],
    "polars": lambda v: pl.DataFrame({"n": range(len(v)), "v": v}),
    "lazy polars": lambda v: pl.LazyFrame({"n": range(len(v)), "v": v}),
    "column of polars": lambda v: pl.DataFrame({"v": v})["v"],
    "DuckDB": lambda v: duckdb.from_arrow(pa.table({"n": range(len(v)), "v": lists(v)})),
}


def model(column: str, asked: F32Array, k: int) -> list[tuple[int, int, int]]:
    """(left, right, place) by comparing each with all."""
    stored, query = DRAWN[:ROWS].astype(np.float64), asked.astype(np.float64)
    if column == "bare":
        stored, query = (each / np.linalg.norm(each, axis=1)[:, None] for each in (stored, query))
    away = np.linalg.norm(stored[None] - query[:, None], axis=2) if column != "ip" else -(query @ stored.T)
    nearest = np.argsort(away, axis=1, kind="stable")[:, :k]
    return [
        (left, int(right) + 1, at + 1) for left, row in enumerate(nearest) for at, right in enumerate(row)
    ]


def triples(found: pa.Table) -> list[tuple[int, int, int]]:
    return [tuple(row.values())[:3] for row in found.to_pylist()]


@pytest.mark.parametrize("form", FORMS)
def test_every_form(table: am.Table, form: str) -> None:
    assert triples(table.nearest_to(FORMS[form](ASKED), 3, column="l2")) == model("l2", ASKED, 3)


@pytest.mark.parametrize("column", ["bare", "l2", "ip"])
@pytest.mark.parametrize("piece", [1, 5 * 4 * WIDTH, given_rows.PIECE_BYTES])
def test_in_pieces(table: am.Table, monkeypatch: pytest.MonkeyPatch, column: str, piece: int) -> None:
    """As many as a piece holds are asked at once, from a reader of batches of any length."""
    monkeypatch.setattr(given_rows, "PIECE_BYTES", piece)
    reader = pa.table({"v": lists(ASKED)}).to_reader(max_chunksize=2)
    found = table.nearest_to(reader, 4, column=column)
    assert triples(found) == model(column, ASKED, 4)
    assert found.equals(table.nearest_to(ASKED, 4, column=column))


def test_no_more_than_a_piece_is_asked_at_once(table: am.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    nearest_rows = given_rows.nearest_rows

    def counted(right: Any, column: int, queries: F32Array, k: int) -> Any:
        asked.append(len(queries))
        return nearest_rows(right, column, queries, k)

    monkeypatch.setattr(given_rows, "nearest_rows", counted)
    monkeypatch.setattr(given_rows, "PIECE_BYTES", 5 * 4 * WIDTH)
    table.nearest_to(pa.table({"v": lists(DRAWN[:33])}).to_reader(max_chunksize=2), column="l2")
    assert sum(asked) == 33
    assert max(asked) <= 5
    assert len(asked) < 33 // 2


@pytest.mark.parametrize("column", ["l2", "body"])
def test_rows_of_later_batches_keep_their_places(table: am.Table, column: str) -> None:
    some = [row.tolist() for row in ASKED[:2]] if column == "l2" else ["number3", "number5"]
    batches = pa.chunked_array([pa.array([None, some[0]]), pa.array([some[1], None]), pa.array([some[0]])])
    assert table.nearest_to(batches, 1, column=column)["left_row_id"].to_pylist() == [1, 2, 4]


def test_it_is_the_join(table: am.Table, tmp_path: Path) -> None:
    rows = pa.table({"id": range(len(ASKED)), "v": lists(ASKED)})
    with am.write_flac(rows, tmp_path / "a.flac", primary_key="id") as left:
        for column in ("bare", "l2", "ip"):
            joined = left.knn_join(table, 5, other_column=column, other_where="id > ?", other_parameters=(9,))
            assert table.nearest_to(rows, 5, column=column, where="id > ?", parameters=(9,)).equals(joined)
        # a table that is open is Arrow, too
        named = table.nearest_to(left, 5, data_column="V", column="bare", where="id > 9")
        assert named.equals(left.knn_join(table, 5, other_column="bare", other_where="id > 9"))


def test_null_and_nothing(table: am.Table) -> None:
    some = [None, ASKED[1].tolist(), None]
    assert triples(table.nearest_to(some, 1, column="l2")) == [
        (1, right, place) for _, right, place in model("l2", ASKED[1:2], 1)
    ]
    for nothing in ([], [None], pa.nulls(2), np.empty((0, WIDTH)), pa.table({"v": lists(ASKED)}).slice(0, 0)):
        assert table.nearest_to(nothing, column="l2").num_rows == 0
    assert table.nearest_to(ASKED, 5, column="l2", where="id < 0").num_rows == 0
    assert table.nearest_to(ASKED[:1], column="l2").num_rows == 10


def test_texts_are_embedded(table: am.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_rows, "_EMBEDDED", 2)
    asked = ["number3", None, "  ", "number5", "number7"]
    found = table.nearest_to(asked, 10)
    assert set(found["left_row_id"].to_pylist()) == {0, 3, 4}
    for left, number in ((0, 3), (3, 5), (4, 7)):
        mine = [row["right_row_id"] for row in found.to_pylist() if row["left_row_id"] == left]
        assert mine == list(range(number + 1, ROWS + 1, 9))
    frame = pl.DataFrame({"n": range(5), "question": asked})
    assert table.nearest_to(frame, 10, data_column="question").equals(found)
    vectors = HashingEmbedder().embed(["number3"])
    assert triples(table.nearest_to(vectors, 10)) == triples(found)[:10]


NAN = [[1.0] * WIDTH, [float("nan")] * WIDTH]
ERRORS: list[tuple[Any, dict[str, Any], str]] = [
    (ASKED[0], {}, "the numbers of one vector"),
    ([1.0, 2.0], {}, "the numbers of one vector"),
    (ASKED[:, :5], {}, r"column vector, row 0: this cannot be compared with the vectors of column l2\. It has 5"),
    (NAN, {}, "column vector, row 1: .*NaN"),
    ([[1e300] * WIDTH], {}, "too large for float32"),
    ([ASKED[0].tolist(), [1.0]], {}, "row 1: .*It has 1 numbers, and 6 are needed"),
    (np.zeros((2, 3, 4)), {}, "an array of shape"),
    (np.array([["a", "b"]]), {}, "cannot be compared"),
    ([object()], {}, "cannot be read as Arrow"),
    (["no vector"], {}, "row 0: this cannot be compared"),
    (b"123", {}, "a bytes has no rows to look for"),
    (None, {}, "a NoneType has no rows"),
    (pa.table({"a": [1], "b": [2]}), {}, "which column has the vectors is not told: a, b"),
    ({}, {}, "there is none"),
    ({"a": [1, 2], "v": ASKED}, {}, "cannot be read as Arrow"),
    (pa.table({"v": lists(ASKED), "w": lists(ASKED)}), {}, "is not told: v, w"),
    (pa.table({"v": lists(ASKED)}), {"data_column": "w"}, "the rows have no column w.*Did you mean v|no column w"),
    (pa.table({"v": [True]}), {}, "column v, row 0: this cannot be compared"),
    (ASKED, {"k": 0}, "k = 0 is no number"),
    (ASKED, {"k": 2.5}, r"b\.flac: k = 2\.5 is no number"),
    (ASKED, {"column": "id"}, r"b\.flac: column id has no vectors"),
    (ASKED, {"column": "none"}, r"b\.flac: there is no column none"),
    (ASKED, {"column": "bare", "where": "nix = 1"}, "nix"),
    (np.zeros((1, WIDTH)), {"column": "bare"}, "column vector: row 0: a vector of zeros has no direction"),
    (ASKED, {"column": "body"}, "cannot be compared with texts. It has 6 numbers, and 256 are needed"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "options", "message"), ERRORS)
def test_what_is_refused(table: am.Table, data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AudioMemError, match=message):
        table.nearest_to(data, **{"column": "l2", **options})


def test_rows_of_later_batches_are_counted_from_the_first(table: am.Table) -> None:
    batches = [
        pa.record_batch({"v": lists(ASKED[:4])}),
        pa.record_batch({"v": lists(ASKED[:2] * np.float32(np.inf))}),
    ]
    reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
    with pytest.raises(AudioMemError, match="column v, row 4: "):
        table.nearest_to(reader, column="l2")


@pytest.mark.parametrize("data", [[[1.0]], [[float("nan")] * WIDTH], 5, np.ones(WIDTH), ["x"]])
def test_what_is_refused_names_the_file(table: am.Table, data: object) -> None:
    with pytest.raises(AudioMemError, match=r"b\.flac") as refused:
        table.nearest_to(data, column="l2")
    assert refused.value.remedy
