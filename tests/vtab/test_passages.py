"""The passages of long texts in SQLite: the hidden column, snippet, UPDATE, versions and joins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.errors import UnsupportedError

COLUMNS = "id INTEGER PRIMARY KEY, body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing, passages=24"
FILLING = "The weather was fine and nobody had anything to say. "
FACT = "The treaty of Tordesillas divided the new world."
QUERY = "treaty of Tordesillas divided the new world"
LONG = FILLING * 20 + FACT + " " + FILLING * 20
PASSAGE = "substr(body, (passage ->> 0) + 1, (passage ->> 1) - (passage ->> 0))"


@pytest.fixture
def t(con: apsw.Connection, tmp_path: Path) -> apsw.Connection:
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {COLUMNS})")
    con.execute(
        "INSERT INTO t VALUES (1, ?, 1), (2, 'The treaty', 2), (3, NULL, 3), (4, ?, 4)", (LONG, FILLING * 30)
    )
    return con


def rows(con: apsw.Connection, sql: str, *bindings: object) -> list[Any]:
    return list(con.execute(sql, bindings))


@pytest.mark.parametrize("mode", ["", "semantic: ", "hybrid: "])
@pytest.mark.parametrize("vacuumed", [False, True])
def test_the_passage_that_was_found(t: apsw.Connection, mode: str, vacuumed: bool) -> None:
    if vacuumed:
        t.execute("INSERT INTO t(t) VALUES ('vacuum')")
    sql = f"SELECT id, passage, audiomem_passage, {PASSAGE} FROM t WHERE t MATCH ? LIMIT 1"
    ((key, passage, same, text),) = rows(t, sql, mode + QUERY)
    assert (key, passage) == (1, same)
    assert "Tordesillas" in text
    start, end = json.loads(passage)
    assert LONG[start:end] == text
    assert len(text) < 200


def test_no_passage(t: apsw.Connection) -> None:
    assert rows(t, "SELECT passage FROM t") == [(None,)] * 4
    assert rows(t, "SELECT id, passage FROM t WHERE t MATCH 'keyword: Tordesillas'") == [(1, None)]
    assert (2, None) in rows(t, "SELECT id, passage FROM t WHERE t MATCH 'treaty'")
    assert rows(t, "SELECT id FROM t WHERE t MATCH 'treaty' AND passage IS NULL") == [(2,)]
    assert rows(t, "SELECT count(*) FROM t WHERE t MATCH 'semantic: weather' AND passage IS NOT NULL") == [
        (2,)
    ]


def test_snippet_is_of_the_passage(t: apsw.Connection) -> None:
    call = "SELECT snippet(t, 1, '<', '>', '~', 40) FROM t WHERE t MATCH ? AND id = 1"
    ((shown,),) = rows(t, call, "semantic: treaty of Tordesillas")
    assert shown.startswith("~")
    assert shown.endswith("~")
    assert "Tordesillas" in shown
    ((shown,),) = rows(t, call, "treaty Tordesillas")
    assert "<treaty> of <Tordesillas>" in shown
    ((shown,),) = rows(t, "SELECT snippet(t, 1, '<', '>', '~', 40) FROM t WHERE t MATCH 'treaty' AND id = 2")
    assert shown == "The <treaty>"


def test_a_snippet_of_words_that_stand_elsewhere(t: apsw.Connection) -> None:
    t.execute("UPDATE t SET body = 'Xylophone. ' || body WHERE id = 1")
    query = "xylophone " + FACT
    call = "SELECT passage, snippet(t, 1, '<', '>', '~', 9) FROM t WHERE t MATCH ? AND id = 1"
    ((passage, shown),) = rows(t, call, query)
    assert json.loads(passage)[0] > 0
    assert "<Tordesillas>" in shown or "<treaty>" in shown


def test_changes_and_versions(t: apsw.Connection) -> None:
    query = (
        f"SELECT id, {PASSAGE} FROM t WHERE t MATCH 'semantic: Portugal and Castile' AND version = ? LIMIT 1"
    )
    ((before,),) = rows(t, "SELECT max(version) FROM t")
    t.execute("UPDATE t SET body = body || 'Portugal and Castile signed.' WHERE id = 4")
    t.execute("UPDATE t SET year = year + 1")
    ((key, text),) = rows(t, query, before + 1)
    assert key == 4
    assert text.endswith("Portugal and Castile signed.")
    assert "Portugal" not in (rows(t, query, before)[0][1] or "")
    t.execute("BEGIN")
    t.execute("UPDATE t SET body = body || ' Portugal and Castile.' WHERE id = 1")
    found = rows(t, f"SELECT id, {PASSAGE} FROM t WHERE t MATCH 'semantic: Portugal and Castile' LIMIT 2")
    assert {key: "Portugal" in text for key, text in found} == {1: True, 4: True}
    t.execute("ROLLBACK")


def test_a_row_that_was_found_is_changed(t: apsw.Connection) -> None:
    t.execute(f"UPDATE t SET year = 99 WHERE t MATCH 'semantic: {QUERY}' AND k = 1")
    assert rows(t, "SELECT id FROM t WHERE year = 99") == [(1,)]
    t.execute("UPDATE t SET year = 98 WHERE t MATCH 'treaty' AND passage IS NOT NULL")
    assert (1,) in rows(t, "SELECT id FROM t WHERE year = 98")
    with pytest.raises(UnsupportedError, match="no hidden column"):
        t.execute("UPDATE t SET passage = 1 WHERE id = 1")


def test_k_and_joins(t: apsw.Connection) -> None:
    sql = f"""SELECT q.value, t.id FROM json_each('["{QUERY}", "The treaty"]') q
             JOIN t ON t.audiomem_table MATCH 'semantic: ' || q.value AND t.k = 1 WHERE t.passage IS NOT NULL"""
    assert rows(t, sql) == [(QUERY, 1)]


def test_a_column_that_is_called_passage(con: apsw.Connection, tmp_path: Path) -> None:
    columns = "id INTEGER PRIMARY KEY, passage TEXT SEMANTIC, model=hashing, passages=24"
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {columns})")
    con.execute("INSERT INTO t VALUES (1, ?)", (LONG,))
    sql = "SELECT passage, audiomem_passage FROM t WHERE t MATCH 'Tordesillas'"
    ((text, passage),) = rows(con, sql)
    assert text == LONG
    assert "Tordesillas" in LONG[slice(*json.loads(passage))]


@pytest.mark.parametrize("mode", ["semantic: ", "hybrid: ", 'combined: {"query": "'])
def test_explain_tells_the_best_passage_and_the_whole(t: apsw.Connection, mode: str) -> None:
    query = mode + QUERY + ('"}' if "{" in mode else "")
    sql = "SELECT row_id, cosine, passage, passage_cosine, passages FROM audiomem_explain('t', ?)"
    why = {row[0]: row[1:] for row in rows(t, sql, query)}
    found = dict(rows(t, "SELECT id, passage FROM t WHERE t MATCH ?", query))
    assert {key: passage for key, (_, passage, _, _) in why.items()} == found
    assert why.keys() == {1, 2, 4}
    assert why[2][1:] == (None, None, None)
    for key, text in ((1, LONG), (4, FILLING * 30)):
        whole, passage, best, count = why[key]
        assert count > len(text.split()) // 24
        assert whole <= best
        ((own,),) = rows(
            t, "SELECT 1 - cosine_distance(embed(?, 'hashing'), embed(?, 'hashing'))",
            text[slice(*json.loads(passage))], QUERY,
        )  # fmt: skip
        assert best == pytest.approx(own, abs=0.02)
    assert why[1][0] < why[1][2] - 0.05
    assert why[4][0] == pytest.approx(why[4][2], abs=0.1), "its passages say the same"


def test_explain_by_words_tells_no_passage(t: apsw.Connection) -> None:
    sql = "SELECT row_id, passage, passage_cosine, passages FROM audiomem_explain('t', ?)"
    for query in ("keyword: Tordesillas", "words: Tordesillas"):
        assert rows(t, sql, query) == [(1, None, None, None)]
