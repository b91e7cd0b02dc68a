"""Search by meaning equals brute force over the same snapshot.

After updates, deletions, checkpoints and vacuums, and in old versions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import MODULATIONS

from audiomem_sql.errors import DataTypeError, QueryError, SchemaError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.scan import scan
from audiomem_sql.search.embedding import texts as table_texts
from audiomem_sql.search.models.embedders import HashingEmbedder, normalised
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.verify import problems

WORDS = [
    "sound",
    "table",
    "page",
    "cell",
    "frame",
    "sample",
    "segment",
    "version",
    "audio",
    "index",
    "query",
    "row",
]
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "year INTEGER", "vec FLOAT[4]"]
EMBEDDER = HashingEmbedder()
Rows = dict[int, dict[str, Any]]


def text(rng: random.Random) -> str | None:
    return None if rng.random() < 0.1 else " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))


def vector(rng: random.Random) -> list[float] | None:
    return None if rng.random() < 0.1 else [rng.uniform(-1, 1) for _ in range(4)]


def by_hand(rows: Rows, query: np.ndarray, of: str) -> list[tuple[int, float]]:  # type: ignore[type-arg]
    """(id, distance) of every row that has a vector, nearest first."""
    ranked = []
    for row in rows.values():
        if row[of] is not None:
            own = EMBEDDER.embed([row[of]])[0] if of == "body" else np.array(row[of], np.float32)
            cosine = float(own @ query / np.linalg.norm(own) / np.linalg.norm(query))
            ranked.append((row["id"], 1 - cosine))
    return sorted(ranked, key=lambda pair: pair[1])


def check(table: Any, rows: Rows, rng: random.Random) -> None:
    query = " ".join(rng.choices(WORDS, k=2))
    point = np.array([rng.uniform(-1, 1) for _ in range(4)], np.float32)
    for of, question, wanted in (
        ("body", query, EMBEDDER.embed([query])[0]),
        ("vec", point, point),
    ):
        for where, kept in (
            (None, rows),
            ("year >= 2010", {i: row for i, row in rows.items() if row["year"] >= 2010}),
            (
                "year IN (2003, 2004) OR id = 7",
                {i: r for i, r in rows.items() if r["year"] in (2003, 2004) or i == 7},
            ),
        ):
            expected = by_hand(kept, wanted, of)
            k = rng.choice([1, 3, 1000])
            results = table.search(question, k=k, where=where, column=of)
            assert results.num_rows == min(k, len(expected))  # as many as there are, whatever the filter
            distances = results["distance"].to_pylist()
            assert distances == sorted(distances)
            about = 1e-5 if of == "vec" else 0.02  # vectors of texts are stored in steps
            assert np.allclose(distances, [distance for _, distance in expected[:k]], atol=about)
            exact = dict(expected)
            for number, distance in zip(results["id"].to_pylist(), distances, strict=True):
                assert abs(exact[number] - distance) < about


def change(table: Table, rows: Rows, rng: random.Random) -> None:
    """A transaction of random changes, to the table and to ``rows`` alike."""
    transaction = table.begin()
    for _ in range(rng.randint(1, 8)):
        rowid = rng.randint(1, 60)
        if rowid in rows and rng.random() < 0.4:
            transaction.delete(rowid)
            del rows[rowid]
            continue
        row = {"id": rowid, "body": text(rng), "year": rng.randint(2000, 2020), "vec": vector(rng)}
        if rowid in rows and rng.random() < 0.5:
            row["body"] = rows[rowid]["body"]  # keeps its vector
        stored = [
            rowid,
            row["body"],
            row["year"],
            None if row["vec"] is None else np.array(row["vec"], "<f4").tobytes(),
        ]
        if rowid in rows:
            transaction.update(rowid, rowid, stored)
        else:
            transaction.insert(rowid, stored)
        rows[rowid] = row


@pytest.mark.parametrize(
    ("modulation", "seed"), [*(("pcm", seed) for seed in range(4)), ("flat", 4), ("mission", 5)]
)
def test_it_equals_brute_force(tmp_path: Path, modulation: str, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "t.flac"
    options = {"model": "hashing", "profile": "embedded", **MODULATIONS[modulation]}
    table = Table.create(path, COLUMNS, options)
    rows: Rows = {}
    versions: dict[int, Rows] = {}
    oldest = 1
    for step in range(25):
        change(table, rows, rng)
        if step % 5 == 0:
            table.embed_pending()
            check(table, rows, rng)  # it sees its own changes
        version = table.commit()
        versions[version] = dict(rows)
        event = rng.random()
        if event < 0.2:
            table.checkpoint()
        elif event < 0.3:
            table.merge()
        elif event < 0.4:
            table.close()
            table = Table(path)
        elif event < 0.5:
            oldest = table.vacuum(retain=Retention(count=rng.choice([None, 4])), level=1)
        elif event < 0.6:
            more = {
                n: {"id": n, "body": text(rng), "year": 2015, "vec": vector(rng)}
                for n in range(100 + 9 * step, 105 + 9 * step)
            }
            rows = {**rows, **more}
            versions[table.append(list(more.values()))] = dict(rows)
        check(table, rows, rng)
    for version, then in versions.items():
        if version >= oldest:
            with table.checkout(version) as old:
                check(old, then, rng)
    assert list(problems(table)) == []
    table.close()


def test_a_table_made_from_a_frame(tmp_path: Path) -> None:
    data = [{"id": n, "body": f"row {n} about {WORDS[n % 12]}"} for n in range(5000)]
    with write_flac(data, tmp_path / "t.flac", primary_key="id", semantic="body", model="hashing") as table:
        assert table.schema.names == ("id", "body")
        assert table.to_arrow().column_names == ["id", "body"]
        results = table.search("about audio", k=20)
        assert all("audio" in body for body in results["body"].to_pylist())
        assert results.column_names == ["id", "body", "distance"]
        assert table.search("about audio", k=2, columns=["id"]).column_names == ["id", "distance"]


def test_what_cannot_be_searched(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["a TEXT", "v FLOAT[2]", "n INTEGER"]) as table:
        for query, options, error, message in (
            ("x", {}, QueryError, "no column is searched"),
            ("x", {"column": "a"}, QueryError, "not searched by meaning"),
            ([1.0], {"column": "v"}, DataTypeError, "1 numbers"),
            ([1.0, float("nan")], {"column": "v"}, DataTypeError, "finite"),
            ([0.0, 0.0], {"column": "v"}, DataTypeError, "not all of them 0"),
            ([1.0, 0.0], {"column": "v", "k": 0}, QueryError, "k = 0"),
            ([1.0, 0.0], {"column": "z"}, SchemaError, "no column z"),
        ):
            with pytest.raises(error, match=message):
                table.search(query, **options)  # type: ignore[arg-type]
        assert table.search([1.0, 0.0], column="v").num_rows == 0
    columns = ["a TEXT SEMANTIC", "b TEXT SEMANTIC"]
    with Table.create(tmp_path / "two.flac", columns, {"model": "hashing"}) as table:
        table.append([{"a": "sound", "b": "table"}, {"a": "table", "b": "sound"}])
        with pytest.raises(QueryError, match="several columns"):
            table.search("sound")
        assert table.search("sound", k=1, column="b")["a"].to_pylist() == ["table"]
        with pytest.raises(QueryError, match="empty"):
            table.search("  ", column="b")
        with pytest.raises(SchemaError, match="SEMANTIC"):
            table.alter("add column c TEXT SEMANTIC DEFAULT 'none'")
        table.alter("rename column b to title")
        table.alter("drop column a")
        assert table.search("sound", k=1)["title"].to_pylist() == ["sound"]
        assert len(table.snapshot.schema) == 2


@pytest.mark.parametrize("others", ["", ", vec FLOAT[3]", ", title TEXT SEMANTIC"])
def test_a_column_that_is_added_is_searched(tmp_path: Path, others: str) -> None:
    """Rows that were there have no vector until somebody writes their text."""
    columns = ["id INTEGER PRIMARY KEY", "year INTEGER", *others.split(", ")[1:]]
    table = Table.create(tmp_path / "t.flac", columns, {"model": "hashing", "profile": "embedded"})
    table.append([{"year": 2000 + n} for n in range(40)])
    before = table.version
    names = table.schema.names
    table.alter("add column body TEXT SEMANTIC")
    assert table.schema.names == (*names, "body")
    assert table.search("sound", column="body").num_rows == 0
    table.append([{"body": f"{word} again", "year": 1990} for word in WORDS])
    for event in ("log", "checkpoint", "reopen", "update", "vacuum"):
        if event == "checkpoint":
            table.checkpoint()
        elif event == "reopen":
            table.close()
            table = Table(tmp_path / "t.flac")
        elif event == "update":
            transaction = table.begin()
            transaction.update(5, 5, [5, 2004, *[None] * (len(names) - 2), "sound and vision"])
            table.commit()
        elif event == "vacuum":
            table.vacuum()
        results = table.search("sound", k=3, column="body")
        bodies = ["sound again", "sound and vision"] if event in ("update", "vacuum") else ["sound again"]
        assert results["body"].to_pylist()[: len(bodies)] == bodies
        assert table.search("sound", column="body", k=99).num_rows == len(WORDS) + len(bodies) - 1
    with table.checkout(before) as old, pytest.raises(SchemaError, match="no column body"):
        old.search("sound", column="body")
    table.alter("drop column body")
    assert list(problems(table)) == []
    table.close()


def test_reembedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, wide = table_texts.embedder_named, HashingEmbedder()

    class Narrow(HashingEmbedder):
        name, dimensions = "other", 128

        def embed(self, texts: Any, progress: Any = None) -> Any:
            vectors = wide.embed(texts)
            return normalised(vectors[:, :128] + vectors[:, 128:])

    monkeypatch.setattr(
        table_texts,
        "embedder_named",
        lambda name, backend="torch": Narrow() if name == "other" else real(name, backend),
    )
    with Table.create(
        tmp_path / "t.flac", ["body TEXT SEMANTIC", "n INTEGER"], {"model": "hashing"}
    ) as table:
        table.append([{"body": f"{WORDS[n % 12]} {n}", "n": n} for n in range(50)] + [{"n": 99}])
        before = table.version
        table.begin().delete(3)
        table.commit()
        rowids = [rowid for batch in scan(table.snapshot, ()) for rowid in batch.rowids.tolist()]
        steps: list[tuple[int, int]] = []
        table.reembed("other", progress=lambda done, total: steps.append((done, total)))
        assert table.options.model == "other"
        assert steps[-1] == (49, 49)  # not the row without a text
        assert sorted(r for batch in scan(table.snapshot, ()) for r in batch.rowids.tolist()) == rowids
        assert "audio" in table.search("audio", k=1)["body"].to_pylist()[0]
        assert table.snapshot.schema.columns[-1].type.width == 128
        assert table.checkout(before).search("audio", k=1).num_rows == 1  # with the model that it had
        assert table.reembed("other") == table.version
        old = table.checkout(before).search("audio", k=3).to_pylist()
        table.append([{"body": "one more", "n": 100}])
        table.checkpoint()
        assert table.checkout(before).search("audio", k=3).to_pylist() == old
        table.vacuum()  # both kinds of vectors are in one segment
        assert len(table.snapshot.segments) == 1
        assert table.checkout(before).search(wide.embed(["audio"])[0], k=3).to_pylist() == old
        assert "audio" in table.search("audio", k=1)["body"].to_pylist()[0]
        table.vacuum(retain=Retention(count=1))
        assert "audio" in table.search("audio", k=1)["body"].to_pylist()[0]
    with (
        Table.create(tmp_path / "n.flac", ["body TEXT"]) as plain,
        pytest.raises(SchemaError, match="by meaning"),
    ):
        plain.reembed()


def test_no_k_is_the_usual_number(tmp_path: Path) -> None:
    """In every method that has one; what is no number of rows is an error that names the file."""
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED"]
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append([{"id": number, "body": f"word{number} other"} for number in range(20)])
        calls: list[tuple[Callable[[Any], Any], int]] = [
            (lambda k: table.search("other", k), 10),
            (lambda k: table.explain("other", k), 10),
            (lambda k: table.top("id DESC", k), 10),
            (lambda k: table.suggest("word", k), 5),
            (lambda k: table.nearest_to(["other"], k), 10),
            (lambda k: table.knn_join(table, k, where="id = 1"), 10),
        ]
        for number, (call, usual) in enumerate(calls):
            assert len(call(None)) == len(call(usual)) == usual, number
            assert len(call(np.int64(3))) == 3, number
            for wrong in (0, -1, "3", 2.5, True):
                with pytest.raises(QueryError, match=r"t\.flac.*k = .* is no number of rows"):
                    call(wrong)
