"""Why a row is where it is: the figures add up to the score, exactly, in every mode."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.errors import AudioMemError, QueryError, SchemaError
from audiomem_sql.table.explanations import EXPLANATION
from audiomem_sql.table.table import Table

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "title TEXT INDEXED",
    "body TEXT SEMANTIC INDEXED",
    "year INTEGER",
    "vec FLOAT[2] INDEXED(metric=l2)",
]
TEXTS = [
    ("Passwords", "How do I reset a password?"),
    ("Animals", "cats and dogs"),
    ("Error", "the code is E1234"),
    ("Mail", "a password is reset by mail, and the mail says so"),
    ("Disk", None),
]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with Table.create(tmp_path / "t.flac", COLUMNS, {"model": "hashing", "profile": "embedded"}) as table:
        for n, (title, body) in enumerate(TEXTS, 1):
            table.append([{"id": n, "title": title, "body": body, "year": 2000 + n, "vec": [n, 0.0]}])
            if n == 3:
                table.checkpoint()
        yield table


def check(row: dict[str, Any]) -> None:
    """The figures of a row add up."""
    parts = [
        row[f"{kind}_weight"] * row[f"{kind}_part"]
        for kind in ("meaning", "words")
        if row[f"{kind}_part"] is not None
    ]
    assert reduce(add, parts) == row["score"]
    for kind, value in (("meaning", "cosine"), ("words", "bm25")):
        mean, deviation = row[f"{kind}_mean"], row[f"{kind}_deviation"]
        if mean is not None and row[value] is not None:
            assert row[f"{kind}_part"] == ((row[value] - mean) / deviation if deviation else 0)
    words = json.loads(row["words"] or "[]")
    assert reduce(add, (word["score"] for word in words), 0.0) == (row["bm25"] or 0.0)
    for word in words:
        assert word["score"] == word["repeat"] * word["idf"] * word["tf"]
    if row["cosine"] is not None:
        assert row["distance"] == pytest.approx(1 - row["cosine"])


@pytest.mark.parametrize("options", [{}, {"weight": 0.1}, {"fusion": "rrf"}, {"fusion": "rrf", "weight": 1}])
def test_the_figures_add_up(table: Table, options: dict[str, Any]) -> None:
    for query in ("reset password", "mail mail reset", "disk", "dogs E1234", "nothing"):
        rows = table.explain(query, **options).to_pylist()
        assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
        found = table.search(query, **options)
        assert [row["row_id"] for row in rows] == found["id"].to_pylist()
        assert [row["distance"] for row in rows] == found["distance"].to_pylist()
        for row in rows:
            assert row["key"] == str(row["row_id"])
            assert row["fusion"] == options.get("fusion", "standardised")
            check(row)
            if "fusion" in options:
                for kind in ("meaning", "words"):
                    rank = row[f"{kind}_rank"]
                    assert row[f"{kind}_part"] == (0 if rank is None else 1 / (60 + rank))


def test_what_it_says_of_words(table: Table) -> None:
    row = next(row for row in table.explain("mail mail reset").to_pylist() if row["row_id"] == 4)
    words = json.loads(row["words"])
    assert {
        (word["word"], *word["columns"], word["count"], word["rows"], word["repeat"]) for word in words
    } == {
        ("mail", "title", 1, 1, 2),
        ("mail", "body", 2, 1, 2),
        ("reset", "body", 1, 2, 1),
    }
    assert all(
        set(word) == {"word", "columns", "count", "rows", "repeat", "idf", "tf", "score"} for word in words
    )
    [row] = [row for row in table.explain("disk").to_pylist() if row["row_id"] == 5]
    assert (row["meaning_rank"], row["cosine"], row["distance"], row["words_rank"]) == (None, None, None, 1)


def test_one_kind_alone(table: Table) -> None:
    for query in ("semantic: reset password", "words: reset password", "keyword: reset OR mail"):
        rows = table.explain(query).to_pylist()
        found = table.search(query)
        assert [row["row_id"] for row in rows] == found["id"].to_pylist()
        for row in rows:
            check(row)
            assert row["fusion"] is None
            by_meaning = query.startswith("semantic")
            assert row["score"] == (row["cosine"] if by_meaning else row["bm25"])
            assert (row["meaning_rank"] or row["words_rank"]) == row["rank"]
            assert (row["words"] is None) == by_meaning
    rows = table.explain([2.9, 0.0], 2, column="vec").to_pylist()
    assert [row["row_id"] for row in rows] == [3, 2]
    assert rows[1]["cosine"] is None
    assert rows[1]["score"] == -rows[1]["distance"] == pytest.approx(-0.9)


def test_filters_versions_and_k(table: Table) -> None:
    rows = table.explain("reset password", 2, "year > 2001").to_pylist()
    assert [row["row_id"] for row in rows] == table.search("reset password", 2, "year > 2001")[
        "id"
    ].to_pylist()
    assert len(rows) == 2
    with table.checkout(4) as old:
        before = old.explain("mail").to_pylist()
        assert [row["row_id"] for row in before] == old.search("mail")["id"].to_pylist()
        for row in before:
            check(row)
    assert {row["row_id"] for row in before} == {1, 2, 3}
    assert table.explain("mail", where="id > 99").num_rows == 0
    assert table.explain("mail", where="id > 99").schema == EXPLANATION


def test_reranked(table: Table) -> None:
    def shortest(query: str, texts: list[str]) -> list[float]:
        return [-float(len(text)) for text in texts]

    rows = table.explain("reset password", rerank=shortest, rerank_rows=3).to_pylist()
    found = table.search("reset password", rerank=shortest, rerank_rows=3)
    assert [row["row_id"] for row in rows] == found["id"].to_pylist()
    scores = [row["reranked"] for row in rows]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert scores[3:] == [None] * (len(rows) - 3)
    for row in rows:
        check(row)
        title, body = TEXTS[row["row_id"] - 1]
        if row["reranked"] is not None:
            assert row["reranked"] == -len(f"{title}\n{body}" if body else title)
    [best] = table.explain("reset password", 1, rerank=shortest).to_pylist()
    assert best["row_id"] == table.search("reset password", 1, rerank=shortest)["id"].to_pylist()[0]
    assert table.explain("reset password")["reranked"].to_pylist() == [None] * 4


@pytest.mark.parametrize(
    ("columns", "row", "key"),
    [
        (["name TEXT PRIMARY KEY", "body TEXT INDEXED"], {"name": "ä"}, "ä"),
        (["name BLOB PRIMARY KEY", "body TEXT INDEXED"], {"name": b"\x00\xff"}, "00ff"),
        (
            ["a INTEGER", "b TEXT", "body TEXT INDEXED", "PRIMARY KEY (a, b)"],
            {"a": 7, "b": "x"},
            '["7", "x"]',
        ),
        (["name TEXT UNIQUE", "body TEXT INDEXED"], {"name": "a"}, "1"),
        (["body TEXT INDEXED"], {}, "1"),
    ],
)
def test_keys(tmp_path: Path, columns: list[str], row: dict[str, Any], key: str) -> None:
    with Table.create(tmp_path / "t.flac", columns) as table:
        table.append([{**row, "body": "a word"}])
        [explained] = table.explain("word").to_pylist()
        assert (explained["key"], explained["row_id"]) == (key, 1)


def test_what_is_refused(table: Table) -> None:
    for arguments, error, message in (
        ({"query": "x", "k": 0}, QueryError, "k = 0"),
        ({"query": "x", "column": "nix"}, SchemaError, "no column nix"),
        ({"query": "x", "where": "nix > 1"}, AudioMemError, "nix"),
        ({"query": "x", "weight": 2}, QueryError, "weight = 2"),
    ):
        with pytest.raises(error, match=message) as refused:
            table.explain(**arguments)  # type: ignore[arg-type]
        assert str(table.path) in str(refused.value)
