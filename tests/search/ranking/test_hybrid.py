"""A search by both is the formula over the scores of each kind, however the rows are stored.

The cosines are those of a search by meaning of the same table, the BM25 is FTS5's over the rows that are
there, and the rest is plain Python.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

from audiomem_sql.connections import register
from audiomem_sql.search.ranking.fusion import weights_of
from audiomem_sql.search.ranking.options import Ranking
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

from .test_fusion import Kind, by_hand

WORDS = [f"word{n}" for n in range(40)] + ["sound", "table", "page", "cell", "frame"]
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "title TEXT INDEXED(tokenize='unicode61')",
    "body TEXT SEMANTIC INDEXED(tokenize='unicode61')",
    "year INTEGER",
]
QUERIES = ["sound table", "word1 word2 sound sound", "frame", "nothing of it", " ".join(WORDS[:30])]
WHERES: list[tuple[str | None, int]] = [(None, 3000), ("year < 2010", 2010), ("year < 2001", 2001)]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"weight": 0.2},
    {"fusion": "rrf"},
    {"fusion": "rrf", "rank_constant": 5, "weight": 0.7},
]
Row = dict[str, Any]


@dataclass
class Stored:
    """A table, the rows that it has, and FTS5's index of them."""

    table: TableReader
    rows: dict[int, Row]
    fts: sqlite3.Connection


def text(rng: random.Random, most: int) -> str | None:
    return None if rng.random() < 0.05 else " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


def row(rng: random.Random, number: int) -> Row:
    return {"id": number, "title": text(rng, 4), "body": text(rng, 9), "year": rng.randint(2000, 2019)}


def fts_of(rows: dict[int, Row]) -> sqlite3.Connection:
    con = sqlite3.connect(":memory:")
    con.execute("CREATE VIRTUAL TABLE fts USING fts5(title, body, tokenize='unicode61')")
    values = [(each["id"], each["title"], each["body"]) for each in rows.values()]
    con.executemany("INSERT INTO fts(rowid, title, body) VALUES (?, ?, ?)", values)
    return con


def one_segment(path: Path, rows: dict[int, Row]) -> Table:
    table = Table.create(path, COLUMNS, {"model": "hashing", "profile": "embedded"})
    table.append([rows[number] for number in sorted(rows)])
    table.vacuum()
    return table


def in_pieces(path: Path, rows: dict[int, Row], rng: random.Random) -> tuple[Table, int]:
    """The rows in segments, deltas and the log, updated and between others that are deleted; the version.

    Behind that version come other rows.
    """
    table = Table.create(path, COLUMNS, {"model": "hashing", "profile": "embedded"})
    numbers = sorted(rows)
    half, last = len(numbers) // 2, len(numbers) * 4 // 5
    later = set(rng.sample(numbers, len(numbers) // 5))
    others = range(5000, 5200)
    table.append([row(rng, number) if number in later else rows[number] for number in numbers[:half]])
    table.append([row(rng, number) for number in others])
    table.checkpoint()
    table.append([row(rng, number) if number in later else rows[number] for number in numbers[half:last]])
    transaction = table.begin()
    for number in numbers[last:]:
        transaction.insert(number, list(rows[number].values()))
    for number in later - {*numbers[last:]}:
        transaction.update(number, number, list(rows[number].values()))
    for number in others:
        transaction.delete(number)
    version = table.commit()
    table.append([row(rng, number) for number in range(6000, 6100)])
    transaction = table.begin()
    for number in numbers[: half // 2]:
        transaction.delete(number)
    table.commit()
    return table, version


@pytest.fixture(scope="module", params=[1300, 40])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The same rows in one file and in pieces."""
    rng = random.Random(request.param)
    folder = tmp_path_factory.mktemp("stored")
    rows = {number: row(rng, number) for number in range(1, request.param + 1)}
    whole = one_segment(folder / "whole.flac", rows)
    pieces, version = in_pieces(folder / "pieces.flac", rows, rng)
    then = pieces.checkout(version)
    fts = fts_of(rows)
    yield Stored(whole, rows, fts), Stored(then, rows, fts)
    then.close()
    pieces.close()
    whole.close()
    fts.close()


def kinds_of(stored: Stored, query: str, where: str | None, before: int) -> list[Kind]:
    """What each kind says: scores by rowid, and how many rows have one."""
    near = stored.table.search(f"semantic: {query}", k=10_000, where=where)
    distances = np.asarray(near["distance"].to_numpy(), np.float32).astype(np.float64)
    cosines = dict(zip(near["id"].to_pylist(), (1.0 - distances).tolist(), strict=True))
    # FTS5 counts a word that stands there twice once for each time, as a phrase of its own
    phrases = " OR ".join(query.split())
    found = stored.fts.execute("SELECT rowid, -bm25(fts) FROM fts WHERE fts MATCH ?", (phrases,))
    passing = {number for number, each in stored.rows.items() if each["year"] < before}
    words = {number: score for number, score in found if number in passing}
    return [(cosines, len(cosines)), (words, len(passing))]


@pytest.mark.parametrize("options", OPTIONS)
def test_it_is_the_formula_however_rows_are_stored(
    stored: tuple[Stored, Stored], options: dict[str, Any]
) -> None:
    ranking = Ranking.of(**options)
    for query in QUERIES:
        for where, before in WHERES:
            said = []
            for each in stored:
                kinds = kinds_of(each, query, where, before)
                wanted = dict(by_hand(kinds, weights_of(ranking), ranking))
                rows = each.table.explain(query, k=10_000, where=where, **options).to_pylist()
                assert {explained["row_id"] for explained in rows} == set(wanted)
                for explained in rows:
                    assert explained["score"] == pytest.approx(wanted[explained["row_id"]], abs=1e-7)
                scores = [explained["score"] for explained in rows]
                assert scores == sorted(scores, reverse=True)
                ids = each.table.search(query, k=30, where=where, **options)["id"].to_pylist()
                assert ids == [explained["row_id"] for explained in rows][:30]
                said.append({explained["row_id"]: explained for explained in rows})
            whole, pieces = said
            for rowid in set(whole) & set(pieces):  # the last of 1,000 differ, as vectors are kept in steps
                for name, about in (("cosine", 0.03), ("bm25", 1e-9), ("words_mean", 1e-9), ("score", 0.3)):
                    a, b = whole[rowid][name], pieces[rowid][name]
                    if a is not None and b is not None and (name != "score" or "fusion" not in options):
                        assert a == pytest.approx(b, abs=about), (name, query)


def test_sql_streams_on_behind_the_candidates(stored: tuple[Stored, Stored], tmp_path: Path) -> None:
    """Every row comes once, ranks never fall, and ``k`` is the beginning of what LIMIT would give."""
    for each in stored:
        con = apsw.Connection(str(tmp_path / f"{Path(each.table.path).stem}.sqlite"))
        register(con)
        version = each.table.version
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{each.table.path}', version={version})")
        for query in (*QUERIES[:3], QUERIES[-1]):
            for ranking in ("weight=0.65", "fusion=rrf"):
                where = f"t MATCH '{query}' AND ranking = '{ranking}'"
                all_rows = con.execute(f"SELECT id, rank, distance FROM t WHERE {where}").fetchall()
                ranks = [rank for _, rank, _ in all_rows]
                assert ranks == sorted(ranks)
                (near, _), (words, _) = kinds_of(each, query, None, 3000)
                assert sorted(number for number, _, _ in all_rows) == sorted(set(near) | set(words))
                explained = each.table.explain(query, k=10_000, **options_of(ranking)).to_pylist()
                scores = [row["score"] for row in explained]
                assert [-rank for rank in ranks[: len(scores)]] == scores
                behind = all_rows[len(scores) :]
                with_vector = [distance is not None for _, _, distance in behind]
                assert with_vector == sorted(with_vector, reverse=True)
                distances = [distance for _, _, distance in behind if distance is not None]
                assert distances == sorted(distances)
                for k in (1, 17, 1001, 1250):
                    found = con.execute(f"SELECT id, rank FROM t WHERE {where} AND k = {k}").fetchall()
                    assert found == [row[:2] for row in all_rows[:k]]
        con.close()


def options_of(ranking: str) -> dict[str, Any]:
    return dict(Ranking.parse(ranking).options)


def test_rows_behind_the_candidates_count_their_own_cosine(stored: tuple[Stored, Stored]) -> None:
    whole, _ = stored
    if len(whole.rows) < 1000:
        return
    con = apsw.Connection("")
    register(con)
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{whole.table.path}')")
    explained = whole.table.explain("sound table", k=10_000).to_pylist()
    first = explained[0]
    rows = con.execute("SELECT rank, distance FROM t WHERE t MATCH 'sound table'").fetchall()[
        len(explained) :
    ]
    own = [(rank, distance) for rank, distance in rows if distance is not None]
    assert len(own) > 50
    (_, _), (words, count) = kinds_of(whole, "sound table", None, 3000)
    last = (sorted(words.values(), reverse=True) + [0.0] * count)[999]
    words_part = 0.35 * (last - first["words_mean"]) / first["words_deviation"]
    for rank, distance in own:
        part = 0.65 * (1 - distance - first["meaning_mean"]) / first["meaning_deviation"]
        assert -rank == pytest.approx(part + words_part, abs=1e-6)
    con.close()


def test_a_row_that_one_kind_hands_over_gets_the_last_score_of_the_other(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "title TEXT INDEXED", "body TEXT SEMANTIC"]
    with Table.create(tmp_path / "t.flac", columns, {"model": "hashing", "profile": "embedded"}) as table:
        table.append(
            [
                {"id": 1, "title": "disk", "body": None},
                {"id": 2, "title": None, "body": "disk"},
                {"id": 3, "title": None, "body": "cats and dogs"},
            ]
        )
        rows = {row["row_id"]: row for row in table.explain("disk").to_pylist()}
        near, far = rows[2]["cosine"], rows[3]["cosine"]
        assert (rows[1]["cosine"], rows[1]["meaning_rank"]) == (None, None)
        mean, deviation = (near + far) / 2, abs(near - far) / 2
        assert rows[1]["meaning_part"] == pytest.approx((far - mean) / deviation)
        assert rows[2]["words_mean"] == pytest.approx(rows[1]["bm25"] / 3)  # two rows count 0
        assert rows[2]["words_part"] == rows[3]["words_part"] < rows[1]["words_part"]
