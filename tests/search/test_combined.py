"""Text and vectors of several columns in one search: what is ranked first, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import audiomem_sql as am
from audiomem_sql.cli.main import app
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.search.models.embedders import embedder_named
from audiomem_sql.search.ranking.combined_search import Searched, combined
from audiomem_sql.search.ranking.neighbours import Neighbours

COUNT = 60
DECIMALS = [Decimal("7.0"), Decimal(1), 0]
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "body TEXT SEMANTIC INDEXED",
    "a FLOAT[3]",
    "b FLOAT[2] INDEXED(metric=l2)",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("combined") / "t.flac"
    rows = [{"id": n, "body": f"word{n} common", "a": [n, 1, 0], "b": [n, n]} for n in range(COUNT)]
    with am.Table.create(made, COLUMNS, {"model": "hashing"}) as table:
        table.append(rows)
    return str(made)


@pytest.fixture
def table(path: str) -> Iterator[am.Table]:
    with am.Table(path) as opened:
        yield opened


def ids(found: pa.Table) -> list[int]:
    numbers: list[int] = found["id"].to_pylist()
    return numbers


def ranking(rowids: list[int], ranks: list[float], *, near: bool = True, weight: float = 1.0) -> Searched:
    """A ranking that hands its rows over in runs of two."""
    distances = np.array(ranks if near else [np.nan] * len(ranks), np.float32)
    values = None if near else np.array(ranks)

    def rows(first: int) -> Iterator[Neighbours]:
        for start in range(0, len(rowids), 2):
            part = slice(start, start + 2)
            yield Neighbours(
                np.array(rowids[part], np.int64), distances[part], None if values is None else values[part]
            )

    return Searched(weight, rows, near)


def best(searched: list[Searched], k: int | None = None) -> tuple[list[int], list[float], list[float]]:
    found = list(combined(searched, k))
    ranks = [rank for part in found if part.ranks is not None for rank in part.ranks.tolist()]
    rowids = [rowid for part in found for rowid in part.rowids.tolist()]
    return rowids, ranks, [distance for part in found for distance in part.distances.tolist()]


def test_scores_are_counted_in_deviations_from_their_mean() -> None:
    near, words = ranking([1, 2, 3], [0.1, 0.2, 0.6]), ranking([3, 2], [-8.0, -2.0], near=False, weight=0.5)
    rowids, ranks, distances = best([near, words])
    by_distance = -np.array([0.1, 0.2, 0.6])
    by_words = np.array([0.0, 2.0, 8.0])  # a row without the words has 0
    expected = (by_distance - by_distance.mean()) / by_distance.std()
    expected += 0.5 * (by_words - by_words.mean()) / by_words.std()
    order = np.argsort(-expected)
    assert rowids == (order + 1).tolist()
    assert np.allclose(ranks, -expected[order], atol=1e-6)
    assert np.allclose(distances, -by_distance[order], atol=1e-6)


def test_a_row_that_a_ranking_lacks_has_its_last_score() -> None:
    rowids, ranks, distances = best([ranking([1, 2], [0.0, 1.0]), ranking([3, 1], [0.0, 2.0])])
    assert rowids == [1, 3, 2]
    assert ranks == [0, 0, 2]
    assert np.isnan(distances).all()  # two rankings have one


def test_equal_scores_say_nothing() -> None:
    assert best([ranking([4, 2], [1.0, 1.0]), ranking([2, 9], [0.5, 0.6])])[0] == [2, 4, 9]
    assert best([ranking([], []), ranking([2, 9], [0.5, 0.6])], 1)[0] == [2]
    assert best([ranking([], [], near=False)]) == ([], [], [])


def test_all_rows_come_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.search.ranking.combined_search.COMBINED_ROWS", 4)
    one, other = list(range(20)), list(range(30, 9, -1))
    near = [ranking(one, [float(n) for n in one]), ranking(other, [float(n) for n in range(21)], near=False)]
    rowids, ranks, _ = best(near)
    assert sorted(rowids) == list(range(31))
    assert ranks == sorted(ranks)
    assert best(near, 3)[0] == rowids[:3]


def test_a_vector_alone_is_a_search_of_its_column(table: am.Table) -> None:
    asked = np.array([7, 1, 0], np.float32)
    for vector in (
        asked,
        asked.astype(np.float64),
        [7, 1, 0],
        (7, 1, 0),
        asked.tobytes(),
        "[7, 1, 0]",
        asked[None],
    ):
        found = table.search(vector=vector, column="a", k=2)
        assert ids(found)[0] == 7
        assert found["distance"][0].as_py() < 1e-6
    assert table.search(vector=asked, column="a", k=5).equals(table.search(asked, column="a", k=5))
    assert ids(table.search(vector={"b": [7, 7.1]}, k=2)) == [7, 8]
    assert ids(table.search(vector=[7, 7.1], column="b", k=1, where="id > 20")) == [21]


def test_a_text_and_vectors(table: am.Table) -> None:
    assert ids(table.search("word3", vector=[9, 9], column="b", k=2))[0] == 3
    assert ids(table.search("word3", vector=[9, 9], column="b", k=2, weights={"b": 100}))[0] == 9
    only_words = table.search("words: word3 word9", vector=[9, 9.1], column="b", k=2)
    assert ids(only_words)[0] == 9
    assert only_words["distance"][0].as_py() == pytest.approx(0.1, abs=1e-6)  # one vector: it has a distance
    weights = {"a": 0, "words": 0, "meaning": 0}
    several = table.search("word3", vector={"a": [1, 1, 0], "b": [9, 9]}, k=2, weights=weights)
    assert ids(several) == [9, 8]
    assert several["distance"].null_count == 2
    assert ids(table.search("word3", weights={"meaning": 0}, k=1)) == [3]
    usual = {"words": 0.35, "meaning": 0.65, "b": 0.65}
    said = json.dumps({"query": "word3 common", "vectors": {"b": [8, 8]}, "weights": usual})
    with am.connect(table.path) as connection:
        ranks = "SELECT id, rank FROM t WHERE t MATCH ?"
        found = connection.execute(ranks, (f"combined: {said}",)).fetchall()
        unsaid = 'combined: {"query": "word3 common", "vectors": {"b": [8, 8]}}'
        assert connection.execute(ranks, (unsaid,)).fetchall() == found
    assert ids(table.search("word5", vector={"b": [5, 5]}, column="body", where="id < 5", k=1)) == [4]


def test_in_sql(path: str) -> None:
    connection = am.connect(path)
    asked = 'combined: {"query": "word3", "vectors": {"b": [9, 9]}, "weights": {"b": 100}}'
    rows = connection.execute(
        "SELECT id, rank, highlight(t, 1, '[', ']') FROM t WHERE t MATCH ? LIMIT 60", (asked,)
    ).fetchall()
    assert rows[0][0] == 9
    assert len(rows) == COUNT
    assert [rank for _, rank, _ in rows] == sorted(rank for _, rank, _ in rows)
    assert "[word3] common" in [text for _, _, text in rows]
    with_blob = (
        "SELECT id FROM t WHERE t MATCH 'combined: ' || json_object('vectors', "
        "json_object('b', vec_to_json(?))) "
        "AND k = 1"
    )
    assert connection.execute(with_blob, (np.array([8, 8], np.float32).tobytes(),)).fetchall() == [(8,)]
    connection.close()


def test_a_table_of_vectors_alone(tmp_path: Path) -> None:
    columns = ["a FLOAT[1] INDEXED(metric=l2)", "b FLOAT[1] INDEXED(metric=l2)"]
    with am.Table.create(tmp_path / "v.flac", columns) as table:
        table.append([{"a": [n], "b": [9 - n]} for n in range(10)])
        assert table.search(vector={"a": [2], "b": [7]}, k=1)["a"].to_pylist() == [[2.0]]
        connection = am.connect(tmp_path / "v.flac")
        found = connection.execute(
            'SELECT rowid, distance FROM v WHERE v MATCH \'combined: {"vectors": {"a": [2], "b": [7]}}\' '
            "ORDER BY distance LIMIT 1"
        )
        assert found.fetchall() == [(3, None)]
        with pytest.raises(Exception, match="no column is searched by meaning"):
            connection.execute("SELECT * FROM v WHERE v MATCH 'words'").fetchall()
        connection.close()


def test_what_people_type_beside_a_vector(tmp_path: Path) -> None:
    """Plain words, and never a syntax error; the snippet is of the same words."""
    with am.Table.create(tmp_path / "t.flac", ["body TEXT INDEXED", "vec FLOAT[2]"]) as table:
        table.append([{"body": "don't use C++ here", "vec": [1, 0]}, {"body": "nothing", "vec": [0, 1]}])
    con = am.connect(tmp_path / "t.flac")
    query = "combined: " + json.dumps(
        {"query": "C++ don't \"", "vectors": {"vec": [0, 1]}, "weights": {"words": 9}}
    )
    sql = "SELECT rowid, snippet(t, 0, '[', ']', '…', 5) FROM t WHERE t MATCH ?"
    assert con.execute(sql, (query,)).fetchall() == [(1, "don't use [C]++ here"), (2, "nothing")]


def test_no_ranking_of_its_own(table: am.Table) -> None:
    with pytest.raises(QueryError, match="has weights, and no ranking"):
        table.search("word3", vector=[1, 1], column="b", fusion="rrf")
    with pytest.raises(QueryError, match="is not explained"):
        table.explain('combined: {"query": "word3", "vectors": {"b": [1, 1]}}')


def test_the_shell(path: str, tmp_path: Path) -> None:
    run = CliRunner()

    def found(*arguments: str) -> list[int]:
        result = run.invoke(app, ["search", path, *arguments, "-k", "2", "--json"])
        assert result.exit_code == 0, result.output
        return [row["id"] for row in json.loads(result.stdout)]

    vector = np.array([7, 1, 0])
    np.save(tmp_path / "v.npy", vector)
    (tmp_path / "v.json").write_text(" [7, 1, 0]\n")
    (tmp_path / "v=1.bin").write_bytes(vector.astype("<f4").tobytes())
    for text in ("[7, 1, 0]", *(str(tmp_path / name) for name in ("v.npy", "v.json", "v=1.bin"))):
        assert found("--vector", text, "--column", "a")[0] == 7
    assert found("word3", "--vector", "[9, 9]", "--column", "b")[0] == 3
    assert found("word3", "--vector", "b=[9, 9]", "--weight", "b=100")[0] == 9
    assert found("--vector", f"a={tmp_path / 'v.npy'}", "--vector", "b=[7, 7]") == [7, 8]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "nothing to search for"),
    ({"vector": [1, 2]}, "several columns have vectors: a, b"),
    ({"vector": {"x": [1]}}, "no column x"),
    ({"vector": {}}, "nothing to search for"),
    ({"vector": [1, 2, 3], "column": "id"}, "not searched by meaning"),
    ({"query": "x", "vector": {"id": [1]}}, "not searched by meaning"),
    ({"query": [1, 2], "vector": [1, 2], "column": "b"}, "two vectors"),
    ({"query": "word", "weights": {"b": 1}}, "a weight of 'b', which is not searched"),
    ({"query": "word", "weights": {"words": -1}}, "no number from 0"),
    ({"query": "word", "weights": {"words": float("nan")}}, "no number from 0"),
    ({"query": "word", "weights": {"words": "much"}}, "no number from 0"),
    ({"query": "word", "weights": {"words": True}}, "no number from 0"),
    ({"query": "word", "weights": {"words": 0, "meaning": 0}}, "all weights are 0"),
    ({"query": "word", "weights": [1]}, "are no weights"),
    ({"query": [1, 2], "column": "b", "weights": {"b": 1}}, "weights need a text"),
    ({"vector": "{"}, "no JSON"),
    ({"vector": [[1, 2], [3, 4]], "column": "b"}, r"shape \(2, 2\)"),
    ({"vector": [1, [2]], "column": "b"}, "no vector"),
    ({"vector": ["1", "2"], "column": "b"}, "no vector"),
    ({"vector": [1, None], "column": "b"}, "no vector"),
    ({"vector": [1, 1e39], "column": "b"}, "finite"),
    ({"vector": 5, "column": "b"}, "no vector"),
    ({"vector": f"[1, 1{'0' * 400}]", "column": "b"}, "no JSON array"),
    ({"vector": "[" * 100_000, "column": "b"}, "no JSON array"),
    ({"query": 'combined: {"vectors": {"b": [1]}}'}, "has 1 numbers"),
    ({"query": 'combined: {"vector": {"b": [1, 2]}}'}, "Did you mean vectors"),
    ({"query": 'combined: {"vectors": [1]}'}, "cannot be understood"),
    ({"query": "combined: {"}, "no JSON"),
]


@pytest.mark.parametrize(("asked", "message"), WRONG)
def test_wrong_input(table: am.Table, asked: dict[str, Any], message: str) -> None:
    before = Path(table.path).read_bytes()
    with pytest.raises(AudioMemError, match=message) as caught:
        table.search(**asked)
    assert caught.value.file == table.path
    assert Path(table.path).read_bytes() == before


def test_the_only_column_of_vectors_needs_no_name(tmp_path: Path) -> None:
    columns = ["body TEXT SEMANTIC", "id INTEGER", "v FLOAT[2]"]
    with am.Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append(
            [{"body": "red shoes", "id": 1, "v": [1, 0]}, {"body": "blue hat", "id": 2, "v": [0, 1]}]
        )
        assert ids(table.search(vector=[0.1, 1], k=1)) == [2]
        assert ids(table.search("red shoes", vector=[0.1, 1], weights={"meaning": 9}, k=1)) == [1]


def test_several_columns_of_texts(tmp_path: Path) -> None:
    columns = ["a TEXT SEMANTIC", "b TEXT SEMANTIC", "id INTEGER"]
    with am.Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append(
            [{"a": "red shoes", "b": "blue hat", "id": 1}, {"a": "blue hat", "b": "red shoes", "id": 2}]
        )
        with pytest.raises(QueryError, match="several columns have vectors: a, b"):
            table.search(vector=[1.0] * 4)
        hat, shoes = embedder_named("hashing").embed(["blue hat", "red shoes"])
        assert ids(table.search(vector={"a": shoes}, k=1)) == [1]
        assert ids(table.search(vector=json.dumps(shoes.tolist()), column="a", k=1)) == [1]
        assert ids(table.search("red shoes", column="b", vector={"a": hat}, k=1)) == [2]
        with pytest.raises(AudioMemError, match="no JSON array of numbers"):
            table.search(vector="red shoes", column="a")
