"""Text and vectors of several columns in one search: what is ranked first, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pysqlite3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import audiomem_sql as am
from audiomem_sql.cli.main import app
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.search import DEFAULT_RANKING, Ranking
from audiomem_sql.search.models.embedders import embedder_named
from audiomem_sql.search.ranking.combined_search import Searched, combined, combined_rows
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

    def scores(found: Neighbours) -> Any:
        return -found.distances.astype(np.float64) if found.ranks is None else -found.ranks

    return Searched("", weight, rows, scores, near)


def best(
    searched: list[Searched], k: int | None = None, how: Ranking = DEFAULT_RANKING
) -> tuple[list[int], list[float], list[float]]:
    found = list(combined_rows(combined(searched, how, k), k))
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


def by_hand(kinds: list[tuple[dict[int, float], bool, float]], how: Ranking) -> dict[int, float]:
    """The scores of rows, in plain Python; kinds: the distances or BM25 by row, is_near and weight."""
    scores: dict[int, float] = dict.fromkeys(sorted({row for values, _, _ in kinds for row in values}), 0.0)
    together = min(len(scores), 1000)
    for values, is_near, weight in kinds:
        good = {row: -value if is_near else value for row, value in values.items()}
        ordered = sorted(good, key=lambda row: (-good[row], row))[:1000]
        if how.fusion == "rrf":
            for rank, row in enumerate(ordered, 1):
                scores[row] += weight / (how.rank_constant + rank)
            continue
        counted = [good[row] for row in ordered]
        if not is_near:
            counted += [0.0] * (together - len(counted))
        if not counted or max(counted) == min(counted):
            continue
        mean = sum(counted) / len(counted)
        deviation = (sum((value - mean) ** 2 for value in counted) / len(counted)) ** 0.5
        best_rows = set(ordered)
        for row in scores:
            value = good[row] if row in best_rows else counted[-1]
            scores[row] += weight * (value - mean) / deviation
    return scores


KINDS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 1200), st.integers(1, 64).map(float), max_size=12),
        st.booleans(),
        st.sampled_from([0.0, 0.35, 0.65, 2.0]),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40)
@given(KINDS, st.sampled_from([Ranking(), Ranking.of("rrf"), Ranking.of("rrf", rank_constant=3)]))
def test_it_is_the_weighted_sum(
    drawn: list[tuple[dict[int, float], bool, float, bool]], how: Ranking
) -> None:
    kinds = []
    for values, is_near, weight, has_many in drawn:
        # some rankings have more rows than count
        many = {row: 65.0 + row if is_near else 1 / (row + 2) for row in range(1100)} if has_many else {}
        kinds.append((many | values, is_near, weight))
    searched = []
    for values, is_near, weight in kinds:
        rows = sorted(values, key=lambda row: (values[row] if is_near else -values[row], row))
        ranks = [values[row] if is_near else -values[row] for row in rows]
        searched.append(ranking(rows, ranks, near=is_near, weight=weight))
    wanted = by_hand(kinds, how)
    fused = combined(searched, how).fused
    # by_hand has rows behind the best 1,000 as well
    got = dict(zip(fused.rowids.tolist(), fused.scores.tolist(), strict=True))
    assert {row: pytest.approx(wanted[row], abs=1e-9) for row in got} == got
    assert fused.scores.tolist() == sorted(got.values(), reverse=True)
    for place, row in enumerate(fused.rowids.tolist()):
        parts = [share.weight * float(share.parts[place]) for share in fused.shares]
        assert reduce(add, parts, 0.0) == got[row]
    rows, _, _ = best(searched, how=how)
    assert sorted(rows) == sorted(wanted)


def test_all_rows_come_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.search.ranking.combined_search.FUSED_ROWS", 4)
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


@pytest.mark.parametrize("how", [None, "fusion=rrf, rank_constant=2", "weight=0.3"])
def test_how_it_ranks_in_sql(path: str, how: str | None) -> None:
    """In both tables of SQLite, and what they explain is what MATCH gives."""
    asked = 'combined: {"query": "word3 common", "vectors": {"b": [9, 9]}, "weights": {"b": 2}}'
    found = []
    for module in (apsw, pysqlite3):
        connection: Any = module.Connection(":memory:") if module is apsw else module.connect(":memory:")
        (register if module is apsw else am.load)(connection)
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
        matched = "SELECT id, rank FROM t WHERE t MATCH ? AND k = 9"
        rows = connection.execute(
            matched if how is None else f"{matched} AND ranking = ?", (asked, how)[: 1 + (how is not None)]
        ).fetchall()
        parts = (
            "meaning_weight * meaning_part + words_weight * words_part "
            "+ json_extract(vectors, '$[0].weight') * json_extract(vectors, '$[0].part')"
        )
        explained = connection.execute(
            f"SELECT row_id, -score, abs({parts} - score) < 1e-12 FROM audiomem_explain('t', ?, 9, ?)",
            (asked, how),
        ).fetchall()
        assert explained == [(*row, 1) for row in rows]
        found.append(rows)
        connection.close()
    assert len(found[0]) == 9
    assert found[0] == found[1]


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


def check_figures(row: dict[str, Any]) -> None:
    """The parts of a row add up to its score to the last bit, and each part to what it is made of."""
    kinds = [(row[f"{name}_weight"], row[f"{name}_part"]) for name in ("meaning", "words")]
    vectors = json.loads(row["vectors"] or "[]")
    kinds += [(each["weight"], each["part"]) for each in vectors]
    assert reduce(add, [weight * part for weight, part in kinds if part is not None]) == row["score"]
    for each in vectors:
        if each["mean"] is not None and each["score"] is not None:
            deviation = each["deviation"]
            assert each["part"] == ((each["score"] - each["mean"]) / deviation if deviation else 0)


@pytest.mark.parametrize(
    "options", [{}, {"fusion": "rrf"}, {"fusion": "rrf", "rank_constant": 5, "weight": 0.9}, {"weight": 0.1}]
)
def test_why(table: am.Table, options: Any) -> None:
    asked: list[dict[str, Any]] = [
        {"query": "word3 common", "vector": {"a": [1, 1, 0], "b": [9, 9]}, "weights": {"b": 2}},
        {"query": "words: word3", "vector": [9, 9], "column": "b"},
        {"query": "semantic: word3", "vector": {"b": [4, 4]}, "weights": {"meaning": 3}},
        {"vector": {"a": [1, 1, 0], "b": [2, 2]}},
        {"query": "keyword: word3 OR word9", "weights": {"words": 2}},
    ]
    for each in asked:
        rows = table.explain(**each, k=9, **options).to_pylist()
        found = table.search(**each, k=9, **options)
        assert [row["row_id"] for row in rows] == ids(found)
        assert [row["distance"] for row in rows] == found["distance"].to_pylist()
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        for row in rows:
            check_figures(row)
            assert row["fusion"] == options.get("fusion", "standardised")
            columns = [said["column"] for said in json.loads(row["vectors"] or "[]")]
            assert columns == (
                list(each["vector"]) if isinstance(each.get("vector"), dict) else ["b"][: len(columns)]
            )
            assert (row["words_part"] is None) == (
                "query" not in each or each["query"].startswith("semantic")
            )
            words = json.loads(row["words"] or "[]")
            assert reduce(add, (word["score"] for word in words), 0.0) == (row["bm25"] or 0.0)


def test_what_an_explanation_says_of_a_vector(table: am.Table) -> None:
    [first, *_] = table.explain(vector={"a": [1, 1, 0], "b": [4, 6]}, fusion="rrf").to_pylist()
    said = {each["column"]: each for each in json.loads(first["vectors"])}
    distances = {
        name: table.search(vector=vector, column=name, where=f"id = {first['row_id']}")["distance"][0].as_py()
        for name, vector in (("a", [1, 1, 0]), ("b", [4, 6]))
    }
    assert said["a"]["score"] == 1 - distances["a"]  # the cosine
    assert said["b"]["score"] == -distances["b"]
    assert [said[name]["part"] for name in said] == [1 / (60 + said[name]["rank"]) for name in said]
    assert {said[name]["weight"] for name in said} == {1.0}  # the plain sum
    assert first["meaning_part"] is first["words_part"] is first["words"] is None


def test_the_weight_of_meaning_and_words(table: am.Table) -> None:
    """A text alone is the search by both, whatever its options are; weights say more than ``weight``."""
    for options in ({}, {"weight": 0.2}, {"fusion": "rrf", "weight": 0.9}):
        several = 'combined: {"query": "word3 common"}'
        [both, alone] = (table.explain(query, **options) for query in (several, "word3 common"))  # type: ignore[arg-type]
        assert both.equals(alone)
    [row, *_] = table.explain("word3", vector=[1, 1], column="b", weight=0.2).to_pylist()
    weights = row["meaning_weight"], row["words_weight"], json.loads(row["vectors"])[0]["weight"]
    assert weights == (0.2, 0.8, 0.65)
    said = {"meaning": 7, "b": 3}
    [row, *_] = table.explain("word3", vector=[1, 1], column="b", weight=0.2, weights=said).to_pylist()
    weights = row["meaning_weight"], row["words_weight"], json.loads(row["vectors"])[0]["weight"]
    assert weights == (7, 0.8, 3)


def test_reranked(table: am.Table) -> None:
    seen: list[tuple[str, int]] = []

    def longest_number(query: str, texts: list[str]) -> list[float]:
        seen.append((query, len(texts)))
        return [float(text.split()[0].removeprefix("word")) for text in texts]

    asked: dict[str, Any] = {"query": "semantic: word3", "vector": {"b": [9, 9]}, "k": 5}
    usual = ids(table.search(**asked))
    found = table.search(**asked, rerank=longest_number, rerank_rows=3)
    assert ids(found) == [*sorted(usual[:3], reverse=True), *usual[3:]]
    assert seen == [("word3", 3)]
    rows = table.explain(**asked, rerank=longest_number, rerank_rows=3).to_pylist()
    assert [row["row_id"] for row in rows] == ids(found)
    assert [row["reranked"] for row in rows] == [*map(float, ids(found)[:3]), None, None]
    for row in rows:
        check_figures(row)
    assert ids(table.search(**asked | {"k": 1}, rerank=longest_number)) == [COUNT - 1]
    with pytest.raises(QueryError, match="a reranker reads texts"):
        table.search(vector={"b": [1, 1], "a": [1, 1, 1]}, rerank=longest_number)


@pytest.mark.parametrize("name", ["meaning", "words"])
def test_a_column_that_is_called_like_a_kind(tmp_path: Path, name: str) -> None:
    columns = ["body TEXT INDEXED", f"{name} FLOAT[1] INDEXED(metric=l2)", "id INTEGER PRIMARY KEY"]
    with am.Table.create(tmp_path / "t.flac", columns) as table:
        table.append([{"id": n, "body": f"word{n}", name: [n]} for n in range(5)])
        [row, *_] = table.explain(vector={name: [3]}).to_pylist()
        assert row["meaning_part"] is row["words_part"] is None
        assert json.loads(row["vectors"])[0]["column"] == name
        if name == "words":
            with pytest.raises(QueryError, match="words is searched twice"):
                table.search("word3", vector={name: [3]})


def test_bits_have_no_cosine(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["bits BIT[8]", "id INTEGER PRIMARY KEY"]) as table:
        table.append([{"id": n, "bits": bytes([2**n - 1])} for n in range(4)])
        rows = table.explain(vector=[1, 1, 0, 0, 0, 0, 0, 0], column="bits", k=2).to_pylist()
        assert [(row["row_id"], row["cosine"], row["score"]) for row in rows] == [(2, None, 0), (1, None, -1)]
        [row, *_] = table.explain(vector={"bits": [1, 1, 0, 0, 0, 0, 0, 0]}, k=2, fusion="rrf").to_pylist()
        assert json.loads(row["vectors"])[0]["score"] == 0


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
    assert found("word3", "--vector", "b=[9, 9]", "--ranking", "fusion=rrf", "--weight", "b=9")[0] == 9
    asked = [
        "search",
        path,
        "word3",
        "--vector",
        "b=[9, 9]",
        "--vector",
        "a=[9, 1, 0]",
        "-k",
        "2",
        "--explain",
    ]
    shown = run.invoke(app, asked).stdout
    for kind in ("meaning", "words", "a", "b"):
        assert re.search(rf"^ {{7}}{kind} \d+: 0\.[36]5 × .* \(mean .*, deviation .*\)$", shown, re.MULTILINE)
    assert re.search(r"b 1: .*  score -?0\.0000 \(", shown)
    as_json = json.loads(run.invoke(app, [*asked, "--json"]).stdout)
    assert [row["row_id"] for row in as_json] == found(
        "word3", "--vector", "b=[9, 9]", "--vector", "a=[9, 1, 0]"
    )


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
