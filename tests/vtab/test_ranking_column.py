"""The hidden column ``ranking``, and ``audiomem_explain``: how MATCH ranks, and why it gives these rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.search import Explained
from audiomem_sql.table.table import Table

COLUMNS = (
    "id INTEGER PRIMARY KEY, title TEXT INDEXED, body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing"
)
ROWS = [
    (
        n,
        f"title {n % 5} {'sound' if n % 3 else 'page'}",
        f"body {n % 7} {'sound ' * (n % 4)}and row {n}",
        2000 + n,
    )
    for n in range(60)
]
RANKINGS = [
    "fusion=rrf",
    "fusion = rrf, rank_constant = 1, weight = 0.9",
    "weight=0",
    "weight=1",
    "weight=0.3",
]


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', {COLUMNS})")
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", ROWS)
    connection.execute("CREATE TABLE wanted(words, how)")
    connection.execute(
        "INSERT INTO wanted VALUES ('sound', 'fusion=rrf'), ('page', 'weight=0'), ('row', NULL)"
    )
    yield connection
    connection.close()


def options_of(ranking: str) -> dict[str, object]:
    return dict(part.replace(" ", "").split("=") for part in ranking.split(","))


@pytest.mark.parametrize("ranking", RANKINGS)
def test_it_ranks_as_in_python(sql: apsw.Connection, tmp_path: Path, ranking: str) -> None:
    with Table(tmp_path / "t.flac") as table:
        wanted = table.search("sound row 3", k=20, **options_of(ranking))["id"].to_pylist()  # type: ignore[arg-type]
        scores = [
            row["score"]
            for row in table.explain("sound row 3", k=20, **options_of(ranking)).to_pylist()  # type: ignore[arg-type]
        ]
    asked = "SELECT id, rank, ranking, k FROM t WHERE t MATCH 'sound row 3' AND ranking = ?"
    found = sql.execute(f"{asked} AND k = 20", (ranking,)).fetchall()
    assert [row[0] for row in found] == wanted
    assert [-row[1] for row in found] == scores
    assert {row[2:] for row in found} == {(ranking, 20)}
    for ending in ("ORDER BY rank LIMIT 20", "LIMIT 20"):
        assert [row[0] for row in sql.execute(f"{asked} {ending}", (ranking,))] == wanted
    prefixed = asked.replace("ranking", "audiomem_ranking").replace("k FROM", "k, version FROM")
    assert [row[0] for row in sql.execute(f"{prefixed} AND k = 20", (ranking,))] == wanted
    with_filter = sql.execute(
        f"{asked} AND filter = 'id < 9' AND k = 3 AND year > 2001", (ranking,)
    ).fetchall()
    assert len(with_filter) == 3
    assert all(1 < row[0] < 9 for row in with_filter)


def test_weights_of_columns(sql: apsw.Connection, tmp_path: Path) -> None:
    """As bm25() weighs them, and as Python does; audiomem_explain tells of them."""
    asked = "SELECT id, rank, bm25(t, 1, 10) FROM t WHERE t MATCH ? AND ranking = ? AND k = 20"
    how = 'column_weights={"Title": 10}'
    found = sql.execute(asked, ("keyword: sound OR page", how)).fetchall()
    assert [score for _, score, _ in found] == [bm25 for _, _, bm25 in found]
    assert found != sql.execute(asked, ("keyword: sound OR page", 'column_weights={"body": 2}')).fetchall()
    with Table(tmp_path / "t.flac") as table:
        for query in ("keyword: sound OR page", "sound row 3"):
            wanted = table.search(query, k=20, column_weights={"title": 10})["id"].to_pylist()
            found = sql.execute(asked, (query, how)).fetchall()
            assert [row[0] for row in found] == wanted
            both = f"{how}, weight=0.65, fusion=standardised"
            assert [row[0] for row in sql.execute(asked, (query, both))] == wanted
            why = "SELECT row_id, -score, words FROM audiomem_explain('t', ?, 20, ?)"
            explained = sql.execute(why, (query, how)).fetchall()
            assert [row[:2] for row in explained] == [row[:2] for row in found]
            for word in json.loads(explained[0][2]):
                counts = word["counts"]
                assert word["weighted"] == 10 * counts.get("title", 0) + counts.get("body", 0)


def test_rankings_differ(sql: apsw.Connection) -> None:
    found = {
        ranking: tuple(
            sql.execute(
                f"SELECT id FROM t WHERE t MATCH 'sound row 3' AND ranking = '{ranking}' LIMIT 20"
            ).fetchall()
        )
        for ranking in RANKINGS
    }
    assert len(set(found.values())) == len(RANKINGS)
    default = sql.execute("SELECT id, rank FROM t WHERE t MATCH 'sound row 3'").fetchall()
    said = sql.execute(
        "SELECT id, rank FROM t WHERE t MATCH 'sound row 3' AND ranking = 'weight=0.65'"
    ).fetchall()
    assert default == said


def test_the_ranking_of_another_table(sql: apsw.Connection) -> None:
    query = "SELECT words, id FROM wanted JOIN t ON t MATCH words AND ranking = how AND k = 2"
    found = sql.execute(query).fetchall()
    by_hand = [
        (words, row[0])
        for words, how in (("sound", "fusion=rrf"), ("page", "weight=0"))
        for row in sql.execute("SELECT id FROM t WHERE t MATCH ? AND ranking = ? AND k = 2", (words, how))
    ]
    assert sorted(found) == sorted(by_hand)
    assert sql.execute("SELECT id FROM t WHERE t MATCH 'sound' AND ranking = NULL").fetchall() == []
    assert (
        len(sql.execute("SELECT id FROM t WHERE t MATCH 'sound' AND ranking IS NULL LIMIT 2").fetchall()) == 2
    )
    twice = sql.execute(
        "SELECT id FROM t WHERE t MATCH 'sound' AND ranking IN ('weight=0', 'weight=1') AND k = 2"
    )
    assert len(twice.fetchall()) == 4
    both = "SELECT id FROM t WHERE t MATCH 'sound' AND ranking = 'weight=0' AND ranking = '{}' AND k = 2"
    assert len(sql.execute(both.format("weight=0")).fetchall()) == 2
    assert sql.execute(both.format("weight=1")).fetchall() == []


def test_rows_that_it_found_are_updated_and_deleted(sql: apsw.Connection) -> None:
    where = "WHERE t MATCH 'sound' AND ranking = 'fusion=rrf' AND k = 3"
    chosen = sorted(row[0] for row in sql.execute(f"SELECT id FROM t {where}"))
    sql.execute(f"UPDATE t SET year = 1 {where}")
    assert [row[0] for row in sql.execute("SELECT id FROM t WHERE year = 1 ORDER BY id")] == chosen
    sql.execute(f"DELETE FROM t {where}")
    assert sql.execute("SELECT count(*) FROM t WHERE year = 1").fetchall() == [(0,)]
    with pytest.raises(AudioMemError, match="no hidden column"):
        sql.execute("UPDATE t SET ranking = 'weight=1' WHERE id = 50")


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ("'fusion=rff'", "there is no fusion 'rff'. Did you mean rrf"),
        ("'weight=1.5'", "weight = '1.5' is no share"),
        ("'weight=nan'", "weight = 'nan' is no share"),
        ("'fusion=rrf, rank_constant=0'", "rank_constant = '0' is no number from 1"),
        ("'rank_constant=5'", "of reciprocal ranks only"),
        ("'wieght=1'", "no option 'wieght'. Did you mean weight"),
        ("'column_weights={\"titel\": 2}'", "titel is not searched by its words. Did you mean title"),
        ("'column_weights={\"title\": -2}'", "the weight -2 of title is no number from 0"),
        ("'column_weights={\"title\"}'", "has no names of columns"),
        ('\'column_weights={"title": 0, "body": 0}\'', "no column that is searched counts"),
        ("7", "7 says no ranking"),
        ("x'00'", "says no ranking"),
    ],
)
def test_what_is_refused(sql: apsw.Connection, ranking: str, message: str) -> None:
    before = sql.execute("SELECT version FROM t LIMIT 1").fetchall()
    for query in (
        f"SELECT id FROM t WHERE t MATCH 'sound' AND ranking = {ranking}",
        f"SELECT row_id FROM audiomem_explain('t', 'sound', 3, {ranking})",
    ):
        with pytest.raises(QueryError) as refused:
            sql.execute(query).fetchall()
        assert message in str(refused.value)
        assert "t.flac" in str(refused.value)
    assert sql.execute("SELECT version FROM t LIMIT 1").fetchall() == before


def test_there_is_no_ranking_without_match(sql: apsw.Connection) -> None:
    with pytest.raises(QueryError, match="ranking says how a MATCH ranks rows, and there is no MATCH"):
        sql.execute("SELECT id FROM t WHERE ranking = 'fusion=rrf'").fetchall()
    with pytest.raises(QueryError, match=r"ranking = 'fusion=rrf' .* ranking = 'column_weights="):
        sql.execute("SELECT id FROM t WHERE t MATCH 'sound' AND rank = 'bm25(10, 5)'").fetchall()
    assert sql.execute("SELECT ranking FROM t WHERE id = 1").fetchall() == [(None,)]


def test_the_plan_says_it(sql: apsw.Connection) -> None:
    plan = "EXPLAIN QUERY PLAN SELECT id FROM t WHERE t MATCH 'a' AND k = 3 AND ranking = 'fusion=rrf' ORDER BY rank"
    assert [row[3] for row in sql.execute(plan)] == [
        "SCAN t VIRTUAL TABLE INDEX 0:SCAN READ id MATCH * ?1 RANKING ?3 K ?2 BEFORE OTHER CONDITIONS"
    ]


# -- audiomem_explain
# ----------------------------------------------------------------------------------------------------------


def test_explain_is_what_match_does(sql: apsw.Connection) -> None:
    for query in ("sound row 3", "semantic: sound", "keyword: title:page", "words: page row"):
        found = sql.execute("SELECT id, rank FROM t WHERE t MATCH ? AND k = 7", (query,)).fetchall()
        explained = sql.execute(
            "SELECT row_id, -score FROM audiomem_explain('t', ?, 7) ORDER BY rank", (query,)
        ).fetchall()
        assert [row[0] for row in explained] == [row[0] for row in found]
        if not query.startswith("semantic"):  # whose rank is the distance
            assert explained == found
    cursor = sql.execute("SELECT * FROM audiomem_explain('t', 'sound')")
    assert [column[0] for column in cursor.getdescription()] == list(Explained._fields)
    assert len(cursor.fetchall()) == 10
    parts = "meaning_weight * meaning_part + words_weight * words_part"
    for ranking in RANKINGS:
        rows = sql.execute(
            f"SELECT score = {parts}, words, bm25 FROM audiomem_explain('t', 'sound row 3', 60, ?)",
            (ranking,),
        ).fetchall()
        assert len(rows) == 60
        for adds_up, words, bm25 in rows:
            assert adds_up == 1
            assert sum(word["score"] for word in json.loads(words)) == pytest.approx(bm25 or 0, abs=1e-12)


def test_explain_sees_the_transaction_and_a_filter(sql: apsw.Connection) -> None:
    with sql:
        sql.execute("INSERT INTO t VALUES (99, 'zebra', 'zebra crossing', 1900)")
        [first] = sql.execute("SELECT row_id FROM audiomem_explain('t', 'zebra', 1)").fetchall()
        assert first == (99,)
    rows = sql.execute("SELECT row_id FROM audiomem_explain('t', 'sound', 5, NULL, 'year < 2009')").fetchall()
    assert len(rows) == 5
    assert all(row[0] < 9 or row[0] == 99 for row in rows)
    joined = (
        "SELECT e.rank, t.id FROM audiomem_explain('t', 'sound', 3) e JOIN t ON t.rowid = e.row_id ORDER BY 1"
    )
    found = sql.execute("SELECT id FROM t WHERE t MATCH 'sound' AND k = 3").fetchall()
    assert [row[1:] for row in sql.execute(joined)] == found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("audiomem_explain('nix', 'a')", "nix"),
        ("audiomem_explain('t')", "there is nothing to search for"),
        ("audiomem_explain('t', NULL)", "there is nothing to search for"),
        ("audiomem_explain('t', 'a', 0)", "k = 0"),
        ("audiomem_explain('t', 'a', 1, NULL, 'nix > 1')", "nix"),
        ("audiomem_explain('t', 'keyword: a AND')", "fts5: syntax error"),
    ],
)
def test_what_explain_refuses(sql: apsw.Connection, call: str, message: str) -> None:
    with pytest.raises(AudioMemError) as refused:
        sql.execute(f"SELECT * FROM {call}").fetchall()
    assert message in str(refused.value)
