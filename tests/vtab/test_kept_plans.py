"""Answers of xBestIndex that are kept: SQLite plans as if it had asked anew, and asks no more than it must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.vtab import virtual_table

ROWS = 300


@pytest.fixture
def con(door: str, tmp_path: Path) -> Any:
    rows = [{"id": n, "x": n % 50, "s": f"s{n % 7}"} for n in range(ROWS)]
    am.write_flac(rows, tmp_path / "t.flac", primary_key="id").close()
    return am.connect(tmp_path / "t.flac")


def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The questions that reach the planner from now on."""
    questions: list[Any] = []
    plan_index = virtual_table.plan_index

    def counted(table: Any, query: Any) -> Any:
        questions.append(query)
        return plan_index(table, query)

    monkeypatch.setattr(virtual_table, "plan_index", counted)
    return questions


def details(con: Any, sql: str) -> list[str]:
    return [row[3] for row in con.execute(f"EXPLAIN QUERY PLAN {sql}")]


def chain(count: int) -> str:
    tables = ", ".join(f"t a{n}" for n in range(count))
    return f"SELECT count(*) FROM {tables} WHERE " + " AND ".join(
        f"a{n}.x = a{n + 1}.id" for n in range(count - 1)
    )


def test_a_chain_of_joins_asks_few_questions(con: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = asked(monkeypatch)
    assert con.execute(chain(20)).get == ROWS
    assert 4 <= len(questions) <= 12
    again = len(questions)
    details(con, chain(19))
    assert len(questions) == again


@pytest.mark.parametrize("value", ["5", "5.0", "'5'", "x'35'", "NULL", "'" + "5" * 2000 + "'", "-5", "'s5'"])
def test_each_value_is_a_question_of_its_own(con: Any, value: str) -> None:
    """What is kept for one value, of one type, is never the answer for another."""
    con.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, x INTEGER, s TEXT) STRICT")
    con.execute("INSERT INTO n SELECT id, x, s FROM t")
    others = ("5", "5.0", "'5'", "x'35'", "6", "'s6'")
    for column in ("id", "x", "s"):
        for operator in ("=", ">", "IS", "<>", "LIKE"):
            for each in (*others, value, *others):
                where = f"{column} {operator} {each}"
                both = [
                    con.execute(f"SELECT id FROM {name} WHERE {where} ORDER BY id").fetchall()
                    for name in "tn"
                ]
                assert both[0] == both[1], where


def test_order_collation_and_lists_are_part_of_the_question(con: Any) -> None:
    con.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, x INTEGER, s TEXT) STRICT")
    con.execute("INSERT INTO n SELECT id, x, s FROM t")
    for _ in range(2):
        for rest in (
            "ORDER BY id",
            "ORDER BY id DESC",
            "ORDER BY x, id",
            "WHERE id IN (5, 7, 9) ORDER BY id DESC",
            "WHERE id IN (7) ORDER BY id",
            "WHERE id = 7",
            "WHERE s IN ('s1', 'S2') ORDER BY id",
            "WHERE s COLLATE NOCASE IN ('s1', 'S2') ORDER BY id",
            "WHERE s = 'S2'",
            "WHERE s = 'S2' COLLATE NOCASE ORDER BY id",
            "WHERE x = 3 ORDER BY id LIMIT 2 OFFSET 1",
            "WHERE x > 3 ORDER BY id LIMIT 2",
        ):
            both = [con.execute(f"SELECT id, s FROM {name} {rest}").fetchall() for name in "tn"]
            assert both[0] == both[1], rest


def test_more_questions_than_are_kept(con: Any) -> None:
    for number in [*range(400), *range(400)]:
        expected = 1 if number < ROWS else 0
        assert con.execute(f"SELECT count(*) FROM t WHERE id = {number}").get == expected


def test_what_happens_to_the_table_is_a_new_question(con: Any, tmp_path: Path) -> None:
    """Rows that come out of order by a write, its undoing, another program's commit, and other columns."""
    ordered = "SELECT id FROM t ORDER BY id"
    assert con.execute(ordered).fetchall() == [(n,) for n in range(ROWS)]
    con.execute("BEGIN")
    con.execute("INSERT INTO t VALUES (-5, 1, 'x')")
    assert con.execute(ordered).fetchall() == [(n,) for n in (-5, *range(ROWS))]
    con.execute("SAVEPOINT a")
    con.execute("INSERT INTO t VALUES (-9, 1, 'x')")
    assert con.execute(ordered).fetchall()[:2] == [(-9,), (-5,)]
    con.execute("ROLLBACK TO a")
    assert con.execute(ordered).fetchall()[:2] == [(-5,), (0,)]
    con.execute("ROLLBACK")
    assert con.execute(ordered).fetchall() == [(n,) for n in range(ROWS)]
    with am.open(tmp_path / "t.flac") as other:
        other.append([{"id": -1, "x": 1, "s": "y"}])
    for _ in range(2):
        assert con.execute(ordered).fetchall() == [(n,) for n in range(-1, ROWS)]
    with am.open(tmp_path / "t.flac") as other:
        other.alter("ADD COLUMN more INTEGER DEFAULT 3")
    assert con.execute("SELECT count(*) FROM t WHERE x = 1").get == 7
    assert con.execute("SELECT count(*) FROM t WHERE more = 3 AND x = 1").get == 7


def test_a_refused_order_of_loops_is_kept_too(con: Any) -> None:
    """The other table says which version is read: it is the outer loop, whatever FROM says."""
    con.execute("CREATE TABLE moments(number INTEGER)")
    con.execute("INSERT INTO moments VALUES (2), (2)")
    for _ in range(3):
        for tables in ("t, moments", "moments, t", "t JOIN moments AS m2, moments"):
            sql = f"SELECT count(*) FROM {tables} WHERE t.version = moments.number"
            expected = 2 * ROWS * (2 if "m2" in tables else 1)
            assert con.execute(sql).get == expected
