"""Reranking: the order of the reranker, what it is given, and rerankers that fail."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import apsw
import numpy as np
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, MissingExtraError, QueryError, UnsupportedError
from audiomem_sql.search.models import allowed, cross_encoders
from audiomem_sql.search.models.cross_encoders import CrossEncoder, cross_encoder
from audiomem_sql.table.table import Table

BODIES = ["sound and more sound", "a sound", "sound of sound of sound", "the table", "one page", None]


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    columns = [
        "id INTEGER PRIMARY KEY",
        "title TEXT INDEXED",
        "year INTEGER",
        "body TEXT SEMANTIC INDEXED",
        "vec FLOAT[2]",
    ]
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing", "profile": "embedded"}) as table:
        table.append(
            [
                {"id": n, "title": f"title {n}", "year": 2000 + n, "body": body, "vec": [n, 1.0]}
                for n, body in enumerate(BODIES, 1)
            ]
        )
        yield table


@pytest.fixture(autouse=True)
def nobody_named_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed, "_named", set())
    monkeypatch.delenv(allowed.ENVIRONMENT, raising=False)


def shortest(query: str, texts: list[str]) -> list[float]:
    """A reranker that puts the shortest text first."""
    return [-float(len(text)) for text in texts]


def test_its_order_counts(table: Table) -> None:
    given: list[tuple[str, list[str]]] = []

    def rerank(query: str, texts: list[str]) -> list[float]:
        given.append((query, texts))
        return shortest(query, texts)

    plain = table.search("sound table", k=6)["id"].to_pylist()
    found = table.search("sound table", k=6, rerank=rerank)
    texts = {n: f"title {n}" + (f"\n{body}" if body else "") for n, body in enumerate(BODIES, 1)}
    ids = [n for n in plain if n in texts]
    assert given == [("sound table", [texts[n] for n in ids])]
    assert found["id"].to_pylist() == sorted(ids, key=lambda n: len(texts[n]))
    distances = dict(zip(plain, table.search("sound table", k=6)["distance"].to_pylist(), strict=True))
    assert [distances[n] for n in found["id"].to_pylist()] == found["distance"].to_pylist()
    # the word for the mode is not part of the query, and the columns are those that are searched
    table.search("semantic: sound", column="body", rerank=rerank)
    assert given[1][0] == "sound"
    assert "a sound" in given[1][1]
    table.search("words: sound", column="title", rerank=rerank, where="id = 1")
    assert len(given) == 2  # there is nothing to order
    table.search("title", column="title", rerank=rerank, where="id < 3")
    assert given[2] == ("title", ["title 1", "title 2"])


def test_only_the_best_rows_are_given_to_it(table: Table) -> None:
    plain = table.search("sound", k=5)["id"].to_pylist()
    calls: list[int] = []

    def backwards(query: str, texts: list[str]) -> Any:
        calls.append(len(texts))
        return np.arange(len(texts))

    found = table.search("sound", k=5, rerank=backwards, rerank_rows=3)["id"].to_pylist()
    assert found == [*plain[:3][::-1], *plain[3:]]
    assert table.search("sound", k=1, rerank=backwards, rerank_rows=3)["id"].to_pylist() == [plain[2]]
    assert calls == [3, 3]


def test_equal_scores_keep_their_order(table: Table) -> None:
    plain = table.search("sound", k=6)["id"].to_pylist()
    assert table.search("sound", k=6, rerank=lambda q, texts: [1] * len(texts))["id"].to_pylist() == plain
    column = table.search("sound", k=6, rerank=lambda q, texts: np.ones((len(texts), 1)))
    assert column["id"].to_pylist() == plain


@pytest.mark.parametrize(
    ("rerank", "message"),
    [
        (lambda q, texts: [1.0] * (len(texts) - 1), "the reranker gave 4 scores for 5 texts"),
        (lambda q, texts: [1.0] * (len(texts) + 1), "the reranker gave 6 scores for 5 texts"),
        (lambda q, texts: 1.0, "the reranker gave one number for 5 texts"),
        (lambda q, texts: np.ones((len(texts), 2)), "an array of 5 × 2 for 5 texts"),
        (lambda q, texts: [1.0] * (len(texts) - 1) + [math.nan], "the reranker gave nan for a text"),
        (lambda q, texts: [math.inf] * len(texts), "the reranker gave inf for a text"),
        (lambda q, texts: ["a"] * len(texts), "the reranker failed: ValueError"),
        (lambda q, texts: None, "the reranker gave"),
        (lambda q, texts: 1 / 0, "the reranker failed: ZeroDivisionError: division by zero"),
        (lambda q: [1.0], "the reranker failed: TypeError"),
    ],
)
def test_a_reranker_that_fails(table: Table, rerank: Any, message: str) -> None:
    before = table.version
    for search in (table.search, table.explain):
        with pytest.raises(QueryError) as refused:
            search("sound", rerank=rerank)  # type: ignore[operator]
        assert message in str(refused.value)
        assert str(table.path) in str(refused.value)
        assert "rerank(query, texts)" in str(refused.value) or "finite number" in str(refused.value)
    assert table.version == before
    assert table.search("sound").num_rows == 5


def test_an_error_of_ours_passes(table: Table) -> None:
    def refuse(query: str, texts: list[str]) -> list[float]:
        raise UnsupportedError("not today")

    with pytest.raises(UnsupportedError, match="not today"):
        table.search("sound", rerank=refuse)


def test_a_vector_cannot_be_reranked(table: Table) -> None:
    with pytest.raises(QueryError, match="a reranker reads texts, and the query is a vector"):
        table.search([1.0, 0.0], column="vec", rerank=shortest)


# -- by name
# ----------------------------------------------------------------------------------------------------------


class Loaded:
    """What stands for the class CrossEncoder of sentence-transformers, which is not installed for tests."""

    made: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012
    labels = 1

    def __init__(self, name: str, **options: Any) -> None:
        if "missing" in name:
            raise OSError("no such model\nnor folder")
        self.made.append((name, options))

    def predict(self, pairs: list[tuple[str, str]], **options: Any) -> Any:
        scores = np.array([-float(len(text)) for _, text in pairs], np.float32)
        return scores if self.labels == 1 else np.stack([scores] * self.labels, 1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> type[Loaded]:
    package = ModuleType("sentence_transformers")
    package.CrossEncoder = Loaded  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    bars = ModuleType("transformers.utils.logging")
    bars.is_progress_bar_enabled = lambda: False  # type: ignore[attr-defined]
    bars.disable_progress_bar = lambda: None  # type: ignore[attr-defined]
    for name in ("transformers", "transformers.utils"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, bars.__name__, bars)
    monkeypatch.setattr(Loaded, "made", [])
    cross_encoders._kept.cache_clear()
    return Loaded


def test_a_cross_encoder_by_name(table: Table, installed: type[Loaded]) -> None:
    by_callable = table.search("sound", k=5, rerank=shortest)["id"].to_pylist()
    assert table.search("sound", k=5, rerank="org/cross")["id"].to_pylist() == by_callable
    table.search("sound", rerank="org/cross")
    [(name, options)] = installed.made  # loaded once, at the first text
    assert name == "org/cross"
    assert options["device"] == "cpu"
    assert options["trust_remote_code"] is False
    texts = [f"{'x' * (n % 50)}" for n in range(100)]  # several batches
    assert CrossEncoder("org/cross")("q", texts).tolist() == [-float(len(text)) for text in texts]


def test_a_model_that_gives_several_numbers(
    table: Table, installed: type[Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loaded, "labels", 3)
    with pytest.raises(QueryError, match="the model org/nli gives 3 numbers for a text"):
        table.search("sound", rerank="org/nli")


def test_what_cannot_be_loaded(table: Table, monkeypatch: pytest.MonkeyPatch, installed: Any) -> None:
    with pytest.raises(MissingExtraError, match=r"org/missing cannot be loaded \(no such model\)"):
        table.search("sound", rerank="org/missing")
    with pytest.raises(QueryError, match="all-MiniLM-L6-v2 makes vectors, and is no cross-encoder"):
        table.search("sound", rerank="all-MiniLM-L6-v2")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"org/cross needs .*audiomem-sql\[semantic\].*callable"):
        table.search("sound", rerank="org/cross")
    assert table.search("sound").num_rows == 5


def test_a_name_in_sql_is_no_permission(
    table: Table, installed: type[Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view of a stranger's schema may say it."""
    con = apsw.Connection("")
    register(con)
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{table.path}')")
    statements = [
        "SELECT id FROM t WHERE t MATCH 'sound' AND ranking = 'rerank=org/cross' AND k = 5",
        "SELECT row_id FROM audiomem_explain('t', 'sound', 5, 'rerank=org/cross')",
    ]
    for statement in statements:
        with pytest.raises(AudioMemError, match=r"org/cross is asked for .* and you did not allow it"):
            con.execute(statement).fetchall()
    assert installed.made == []
    monkeypatch.setenv(allowed.ENVIRONMENT, "org/cross")
    by_callable = table.search("sound", k=5, rerank=shortest)["id"].to_pylist()
    for statement in statements:
        assert [row[0] for row in con.execute(statement)] == by_callable
    ranks = con.execute(
        "SELECT rank FROM t WHERE t MATCH 'sound' AND ranking = 'rerank=org/cross, rerank_rows=2'"
    ).fetchall()
    assert len(ranks) == 6 - 1
    assert [rank for (rank,) in ranks] == sorted(rank for (rank,) in ranks)
    con.close()


def test_the_rule_of_embedders() -> None:
    with pytest.raises(UnsupportedError, match="you did not allow it"):
        cross_encoder("org/other")
    allowed.allow_model("org/other")
    assert cross_encoder("org/other").name == "org/other"
