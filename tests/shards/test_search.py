"""Searches of a sharded table give the rows and the distances of the same table in one file."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from indexes.vectors.clustered import clustered

from audiomem_sql.connections import connect
from audiomem_sql.indexes.vectors import distances_of, index_writing, visits
from audiomem_sql.search.ranking.vector_ranking import VectorRanking
from audiomem_sql.table.table import Table
from shards.search_processes import started

WORDS = [
    f"{first}{second}" for first in ("ka", "lo", "mi", "nu") for second in ("ra", "se", "ti", "vo", "xu")
]
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED", "year INTEGER", "vec FLOAT[8]"]
COLUMNS += [
    "near FLOAT[24] INDEXED",
    "far FLOAT[24] INDEXED (metric=l2, codes=small)",
    "cut FLOAT[24] INDEXED (dimensions=16)",
]
#: Of vectors that are cut the first numbers say nearly all.
CUT = np.repeat([1.0, 0.02], [16, 8])


def _rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(7)
    return [
        {
            "id": number,
            "body": " ".join(rng.choices(WORDS, k=rng.randint(2, 9))),
            "year": rng.randrange(50),
            "vec": vectors.normal(size=8).astype(np.float32).tolist(),
            "near": None if number % 11 == 0 else vectors.normal(size=24).astype(np.float32).tolist(),
            "far": (vectors.normal(size=24) * (1 + number % 3)).astype(np.float32).tolist(),
            "cut": (vectors.normal(size=24) * CUT).astype(np.float32).tolist(),
        }
        for number in range(count)
    ]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[Table]:
    """One file, and four shards: the same rows, some deleted, and some in the log."""
    folder = tmp_path_factory.mktemp("made")
    rows = _rows(random.Random(1), 2200)
    made = []
    for name, options in (("one.flac", {}), ("many.shards", {"shards": 4})):
        table = Table.create(folder / name, COLUMNS, {"profile": "embedded", "model": "hashing", **options})
        table.append(rows[:2150])
        transaction = table.begin()
        for number in range(0, 2150, 7):
            transaction.delete(number)
        table.commit()
        table.append(rows[2150:])
        made.append(table)
    return made


def test_100_random_searches(tables: list[Table], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one file, of its shards, and of these by two processes."""
    monkeypatch.setenv("AUDIOMEM_SEARCH_PROCESSES", "2")
    several = Table(tables[1].path)
    workers = started(several)
    monkeypatch.delenv("AUDIOMEM_SEARCH_PROCESSES")
    rng = random.Random(2)
    vectors = np.random.default_rng(3)
    for number in range(100):
        words = " ".join(rng.choices(WORDS, k=rng.randint(1, 3)))
        where = (None, f"year < {rng.randrange(1, 50)}", f"id % 3 = 1 AND year > {rng.randrange(40)}")[
            number % 3
        ]
        where = where if number % 5 else f"year > 40 OR abs(id) % 7 = {number % 7}"
        vector = vectors.normal(size=8).astype(np.float32)
        longer = vectors.normal(size=24).astype(np.float32)
        asked: dict[str, Any] = [
            {"query": f"words:{words}", "column": "body"},
            {"query": f"keyword:{words.replace(' ', ' OR ')}", "column": "body"},
            {"query": f"semantic:{words}", "column": "body"},
            {"query": f"hybrid:{words}", "column": "body"},
            {"query": words, "column": "body", "fusion": "rrf"},
            {"query": vector, "column": "vec"},
            {"query": words, "vector": vector, "column": "vec"},
            {"query": longer, "column": "near"},
            {"query": longer, "column": "far"},
            {"query": longer * CUT, "column": "cut"},
            {"query": words, "vector": {"near": longer, "vec": vector}},
        ][number % 11]
        k = rng.choice((1, 10, 40))
        one, many = (table.search(k=k, where=where, **asked).to_pylist() for table in tables)
        assert one == many, (number, asked, where)
        before = workers.searches
        assert several.search(k=k, where=where, **asked).to_pylist() == one, (number, asked, where)
        assert workers.searches > before
    several.close()


def test_explanations_and_suggestions(tables: list[Table]) -> None:
    one, many = tables
    assert one.explain("words:kara lose", 5, column="body") == many.explain(
        "words:kara lose", 5, column="body"
    )
    assert one.suggest("karra") == many.suggest("karra")
    counts = [table.duplicates("body").num_rows for table in tables]
    assert counts[0] == counts[1]


def test_match_in_sql(tables: list[Table]) -> None:
    found = []
    for table in tables:
        table.checkpoint()
        connection = connect(table.path, "t")
        found.append(
            [
                connection.execute(sql).fetchall()
                for sql in (
                    "SELECT id, distance FROM t WHERE t MATCH 'words:kara' AND year < 20 AND k = 9",
                    "SELECT id FROM t WHERE t MATCH 'keyword:kara AND lose' ORDER BY id",
                    "SELECT id, round(distance, 6) FROM t WHERE body MATCH 'semantic:lose mise' AND k = 7",
                    "SELECT id, highlight(t, 0, '[', ']') FROM t WHERE t MATCH 'words:nuxu' AND k = 3",
                )
            ]
        )
        connection.close()
    assert found[0][:2] == found[1][:2]
    assert [row[0] for row in found[0][3]] == [row[0] for row in found[1][3]]
    assert len(found[1][2]) == 7


def test_shards_have_the_lists_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard has too few rows for lists of its own, and its part of those of the table; few are searched."""
    monkeypatch.setattr(index_writing, "MIN_CLUSTERED", 2000)
    monkeypatch.setattr(visits, "LEAST_SEEN", 500)
    monkeypatch.setattr(visits, "LEAST_ALLOWED", 100)
    vectors = clustered(2400)[:, :16].copy()
    rows = pa.table({"id": range(2400), "near": vectors.tolist()})
    columns = ["id INTEGER PRIMARY KEY", "near FLOAT[16] INDEXED"]
    with Table.create(tmp_path / "t.shards", columns, {"profile": "embedded", "shards": 4}) as table:
        table.append(rows)
        for remade in (table.checkpoint, table.vacuum):
            remade()
            with Table(tmp_path / "t.shards") as reader:
                ranking = VectorRanking(reader.snapshot, 1, vectors[7], (), None)
                assert all(8 <= index.lists <= 9 for _, index, _ in ranking._indexed)
                chosen = ranking._lists(vectors[7], 30)
                assert sum(lists is not None and int(lists.sum()) for lists in chosen) < 16
                hits = 0
                for number in range(0, 2400, 100):
                    found = reader.search(vectors[number], 10, column="near", columns=["id"])[
                        "id"
                    ].to_pylist()
                    exact = np.argsort(distances_of(vectors, vectors[number], "cosine"), kind="stable")[:10]
                    hits += len({*found} & {*exact.tolist()})
            assert hits > 216, hits
