"""Weights of columns in a search: FTS5's scores of ``bm25(t, 10, 1)``, and figures that add up to them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

import apsw
import numpy as np
import pytest

from audiomem_sql.errors import QueryError
from audiomem_sql.search.ranking.column_weights import column_weights_of, searched_weights
from audiomem_sql.search.ranking.options import Ranking
from audiomem_sql.table.table import Table

WORDS = ("sound", "page", "cell", "frame", "index", "query", "row", "the")
QUERIES = ("sound", "page OR cell OR the", "frame NOT index", '"sound page"', "que*", "title : sound OR row")
WEIGHTS: tuple[dict[str, float], ...] = (
    {"title": 10, "body": 1},
    {"title": 0.5, "body": 100},
    {"body": 7.25},
    {"TITLE": 0},
    {"title": 0, "body": 3},
)
ROWS = [
    (
        n,
        " ".join(rng.choices(WORDS, k=rng.randint(0, 4))),
        None if n % 9 == 0 else " ".join(rng.choices(WORDS, k=rng.randint(1, 20))),
    )
    for rng in [random.Random(5)]
    for n in range(1, 61)
]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Rows in two segments and in the log."""
    columns = [
        "id INTEGER PRIMARY KEY",
        "title TEXT INDEXED(tokenize='porter')",
        "body TEXT SEMANTIC INDEXED(tokenize='porter')",
        "vec FLOAT[2]",
        "year INTEGER",
    ]
    path = tmp_path_factory.mktemp("weights") / "t.flac"
    with Table.create(path, columns, {"model": "hashing", "profile": "embedded"}) as table:
        for start in range(0, 60, 20):
            table.append(
                [
                    {"id": n, "title": title, "body": body, "vec": [n, 1.0], "year": 2000 + n}
                    for n, title, body in ROWS[start : start + 20]
                ]
            )
            if start < 40:
                table.checkpoint()
        yield table


@pytest.fixture(scope="module")
def fts5() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(title, body, tokenize='porter')")
    connection.executemany("INSERT INTO t(rowid, title, body) VALUES (?, ?, ?)", ROWS)
    yield connection
    connection.close()


def by_name(weights: dict[str, float]) -> tuple[float, float]:
    folded = {name.lower(): float(weight) for name, weight in weights.items()}
    return folded.get("title", 1.0), folded.get("body", 1.0)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_scores_of_fts5(table: Table, fts5: apsw.Connection, weights: dict[str, float]) -> None:
    for query in QUERIES:
        wanted = dict(
            fts5.execute(
                "SELECT rowid, -bm25(t, ?, ?) FROM t WHERE t MATCH ?", (*by_name(weights), query)
            ).fetchall()
        )
        rows = table.explain(f"keyword: {query}", 60, column_weights=weights).to_pylist()
        scores = {row["row_id"]: row["score"] for row in rows}
        assert scores == pytest.approx(wanted, abs=1e-9), query
        found = table.search(f"keyword: {query}", 60, column_weights=weights)["id"].to_pylist()
        assert found == [row["row_id"] for row in rows]
        assert found == sorted(found, key=lambda row: (-scores[row], row))


def check_words(row: dict[str, Any], weights: dict[str, float]) -> None:
    """The figures of each word make its score, and the scores that of the row."""
    words = json.loads(row["words"] or "[]")
    assert reduce(add, (word["score"] for word in words), 0.0) == (row["bm25"] or 0.0)
    of_column = dict(zip(("title", "body"), by_name(weights), strict=True))
    for word in words:
        assert word["score"] == word["repeat"] * word["idf"] * word["tf"]
        assert word["weighted"] == sum(of_column[name] * count for name, count in word["counts"].items())
        assert word["count"] == sum(word["counts"].values()) > 0
        assert set(word["counts"]) <= set(word["columns"])
        # tf grows with what counts alone, as the length of the row is the same for all of its words
        assert (word["tf"] == 0) == (word["weighted"] == 0)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("fusion", ["standardised", "rrf"])
def test_why_it_ranks_so(table: Table, weights: dict[str, float], fusion: str) -> None:
    for query in ("sound page sound", "words: row the", "keyword: title : (sound OR cell) OR body : cell"):
        rows = table.explain(query, 60, fusion=fusion, column_weights=weights).to_pylist()
        found = table.search(query, 60, fusion=fusion, column_weights=weights)["id"].to_pylist()
        assert [row["row_id"] for row in rows] == found[: len(rows)]
        for row in rows:
            check_words(row, weights)
            parts = [
                row[f"{kind}_weight"] * row[f"{kind}_part"]
                for kind in ("meaning", "words")
                if row[f"{kind}_part"] is not None
            ]
            assert reduce(add, parts) == row["score"]


def test_counts_in_each_column(table: Table) -> None:
    [row] = [
        row
        for row in table.explain("keyword: sound", 60, column_weights={"title": 10}).to_pylist()
        if row["row_id"] == 2
    ]
    _, title, body = ROWS[1]
    assert body is not None
    counts = {"title": title.split().count("sound"), "body": body.split().count("sound")}
    [word] = json.loads(row["words"])
    assert word["counts"] == {name: count for name, count in counts.items() if count}
    assert word["weighted"] == 10 * counts["title"] + counts["body"]


def test_a_column_with_0_finds_rows(table: Table) -> None:
    weighted = table.search("keyword: title : sound", 60, column_weights={"title": 0})
    plain = table.search("keyword: title : sound", 60)
    assert sorted(weighted["id"].to_pylist()) == sorted(plain["id"].to_pylist())
    rows = table.explain("keyword: title : sound", 60, column_weights={"title": 0}).to_pylist()
    assert {row["score"] for row in rows} == {0.0}


def test_what_makes_no_difference(table: Table) -> None:
    for query in ("sound page", "words: sound page", "semantic: sound page"):
        plain = table.explain(query, 60).to_pylist()
        same = table.explain(query, 60, column_weights={"title": 1, "body": 1.0}).to_pylist()
        assert [(row["row_id"], row["score"]) for row in same] == [
            (row["row_id"], row["score"]) for row in plain
        ]
        assert table.explain(query, 60, column_weights={}).to_pylist() == plain
    by_meaning = table.search("semantic: sound", 60, column_weights={"title": 10})
    assert by_meaning == table.search("semantic: sound", 60)


def test_filters_versions_and_single_columns(table: Table) -> None:
    wanted = table.search("words: cell", 60, column_weights={"title": 9})["id"].to_pylist()
    few = table.search("words: cell", 60, "year > 2030", column_weights={"title": 9})["id"].to_pylist()
    assert few == [row for row in wanted if row > 30]
    alone = table.search("words: cell", 60, column="title", column_weights={"title": 9})
    assert set(alone["id"].to_pylist()) == {n for n, title, _ in ROWS if "cell" in title.split()}


def test_beside_vectors(table: Table) -> None:
    """A combined search weighs its columns, too; where only words count, the order is theirs."""
    options: dict[str, Any] = {"vector": {"vec": [3.0, 1.0]}, "weights": {"vec": 0}}
    for weights in WEIGHTS[:3]:
        scored = table.explain("words: sound cell", 60, column_weights=weights)["row_id"].to_pylist()
        found = table.search("words: sound cell", 60, **options, column_weights=weights)["id"].to_pylist()
        assert found[: len(scored)] == scored
    found = table.search("sound", 60, **options, fusion="rrf", column_weights={"title": 10})["id"].to_pylist()
    scored = table.explain("words: sound", 60, column_weights={"title": 10})["row_id"].to_pylist()
    assert found[: len(scored)] != scored  # meaning counts, too
    assert set(scored) <= set(found)
    with pytest.raises(QueryError, match="title is not searched by its words"):
        table.search(vector=[3.0, 1.0], column_weights={"title": 10})
    with pytest.raises(QueryError, match="year is not searched by its words"):
        table.search("sound", **options, column_weights={"year": 10})


def test_reranked_rows(table: Table) -> None:
    """The first rows by the weights are what a reranker is given."""
    given: list[str] = []

    def keep(query: str, texts: list[str]) -> list[float]:
        given.extend(texts)
        return [-float(number) for number in range(len(texts))]

    best = table.search("words: sound", 3, column_weights={"title": 100})
    again = table.search("words: sound", 3, column_weights={"title": 100}, rerank=keep, rerank_rows=3)
    assert again["id"].to_pylist() == best["id"].to_pylist()
    assert [text.split("\n")[0] for text in given] == best["title"].to_pylist()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"titel": 10}, "titel is not searched by its words; Did you mean title? Weights are of title, body"),
        ({"year": 10}, "year is not searched by its words"),
        ({"title": -1}, "the weight -1 of title is no number from 0 to 1,000,000"),
        ({"title": float("nan")}, "the weight nan of title is no number"),
        ({"title": float("inf")}, "the weight inf of title is no number"),
        ({"title": 1_000_001}, "the weight 1000001 of title"),
        ({"title": 10**400}, "of title is no number"),
        ({"title": "10"}, "the weight '10' of title is no number"),
        ({"title": True}, "the weight True of title is no number"),
        ({"title": None}, "the weight None of title is no number"),
        ({"title": [10]}, "of title is no number"),
        ({"title": 1, "Title": 2}, "Title is there twice"),
        ({3: 1}, "3 is no name of a column"),
        ({"title": 0, "body": 0}, "no column that is searched counts"),
        ([10, 1], "[10, 1] has no names of columns"),
        (10, "10 has no names of columns"),
        ("title", "'title' has no names of columns"),
        ("[10]", "has no names of columns"),
        ('{"title": 1, "title": 2}', "title is there twice"),
        ('{"title": NaN}', "the weight nan of title"),
        ("{" * 100_000, "has no names of columns"),
    ],
)
def test_what_is_refused(table: Table, weights: Any, message: str) -> None:
    for ask in (table.search, table.explain):
        for query in ("sound", "keyword: sound", "words: sound"):
            with pytest.raises(QueryError) as refused:
                ask(query, column_weights=weights)
            assert message in str(refused.value).replace(". Did", "; Did")
            assert str(table.path) in str(refused.value)


def test_a_column_that_is_not_searched_now(table: Table) -> None:
    with pytest.raises(QueryError, match="body is not searched by its words"):
        table.search("sound", column="title", column_weights={"body": 2})
    with pytest.raises(QueryError, match="no column that is searched counts"):
        table.search("words: sound", column="title", column_weights={"title": 0})
    with pytest.raises(QueryError, match="Leave the weights out"):
        table.search([1.0, 1.0], column="vec", column_weights={"title": 2})


def test_as_text() -> None:
    said = Ranking.parse('column_weights={"title": 10, "a {b}, \\"c\\"": 0.5}, weight=0.3')
    assert said.column_weights == {"title": 10.0, 'a {b}, "c"': 0.5}
    assert said.weight == 0.3
    assert Ranking.parse("weight=0.3, column_weights='{\"it''s\": 2}'").column_weights == {"it's": 2.0}
    assert Ranking.parse('column_weights = {"it\'s": 2} ').column_weights == {"it's": 2.0}
    assert Ranking.parse("column_weights={}") == Ranking()
    assert Ranking.of(**said.options) == said
    assert Ranking.of(column_weights={"title": np.float32(2)}).column_weights == {"title": 2.0}
    for text in (
        "column_weights={",
        'column_weights={"title": 10',
        'column_weights="title',
        "column_weights=3",
    ):
        with pytest.raises(QueryError):
            Ranking.parse(text)


def test_names_of_columns() -> None:
    assert column_weights_of({"a": 1_000_000, "b": 0}) == {"a": 1e6, "b": 0.0}
    assert searched_weights({"TITLE": 3.0}, ["title", "Body"], "t.flac") == {"title": 3.0}
    assert searched_weights({"bODY": 0.0}, ["title", "Body"], "t.flac") == {"Body": 0.0}
    assert searched_weights({}, [], "t.flac") == {}
