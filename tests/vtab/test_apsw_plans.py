"""What a table of apsw remembers of xBestIndex: it knows a question again without asking for all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.vtab.apsw import table as apsw_table

DOORS = ("python",)


def test_apsw_is_asked_for_no_more_than_the_answer_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Equal signatures are equal questions, and a question that was asked is not read again."""
    rows = [{"id": n, "x": n % 50, "s": f"s{n % 7}"} for n in range(300)]
    am.write_flac(rows, tmp_path / "t.flac", primary_key="id").close()
    con = am.connect(tmp_path / "t.flac")
    seen: dict[Any, set[Any]] = {}
    read: list[Any] = []
    signature_of, question_of = apsw_table.signature_of, apsw_table.question_of

    def signed(index: Any) -> Any:
        signature = signature_of(index)
        seen.setdefault(signature, set()).add(question_of(index))
        return signature

    def counted(index: Any) -> Any:
        read.append(question_of(index))
        return read[-1]

    monkeypatch.setattr(apsw_table, "signature_of", signed)
    monkeypatch.setattr(apsw_table, "question_of", counted)
    wheres = [
        *("id = ?", "id > ?", "id IS ?", "id IN (?, 1)", "x = ?", "x = ? AND id = ?", "s = ?", "s LIKE ?"),
        *("s = ? COLLATE NOCASE", "s = ? COLLATE RTRIM", "x IS NULL", "x IS NOT NULL", "version = ?"),
        *("t.x = b.id", "t.x > b.id", "b.x = t.id", "t.x = b.id AND b.x = t.id", "t.id = b.id"),
    ]
    ends = ["", "ORDER BY t.id", "ORDER BY t.id DESC", "ORDER BY t.x, t.id", "LIMIT 2", "LIMIT 2 OFFSET 1"]
    columns = ["*", "t.id", "t.x", "t.s", "count(*)", "t.id, t.s"]
    statements = [
        f"SELECT {wanted} FROM t{', t b' if 'b.' in where else ''} "
        f"WHERE {where if 'b.' in where else where.replace('id', 't.id')} {end}"
        for where in wheres
        for end in ends
        for wanted in columns
    ]
    for again in (False, True):
        read.clear()
        for sql in statements:
            con.execute(f"EXPLAIN QUERY PLAN {sql} -- {again}", (5,) * sql.count("?")).fetchall()
        kept = [each for each in read if all(value is None for *_, value, _ in each[0])]
        assert len(kept) == (0 if again else len(set(kept)))
    assert len(seen) > 100
    assert all(len(questions) == 1 for questions in seen.values())
    assert len({each for questions in seen.values() for each in questions}) == len(seen)


def test_a_table_that_changed_is_planned_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are counted, so what was answered before holds no more: in a transaction, and after it."""
    am.write_flac([{"id": n} for n in range(300)], tmp_path / "t.flac", primary_key="id").close()
    con = am.connect(tmp_path / "t.flac")
    read: list[Any] = []
    question_of = apsw_table.question_of

    def counted(index: Any) -> Any:
        read.append(question_of(index))
        return read[-1]

    monkeypatch.setattr(apsw_table, "question_of", counted)
    steps = [
        *(
            "",
            "INSERT INTO t VALUES (1000)",
            "BEGIN",
            "INSERT INTO t VALUES (1001)",
            "DELETE FROM t WHERE id IN (5, 6)",
        ),
        *("ROLLBACK", "SAVEPOINT a", "INSERT INTO t VALUES (-1)", "ROLLBACK TO a", "RELEASE a"),
    ]
    asked = []
    for step in steps:
        con.execute(step).fetchall()
        for again in range(2):
            read.clear()
            con.execute(f"EXPLAIN QUERY PLAN SELECT id FROM t -- {step} {again}").fetchall()
            asked.append(len(read))
    assert asked == [1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0]
    with am.open(tmp_path / "t.flac") as other:
        other.append([{"id": 2000}])
    assert con.execute("SELECT count(*) FROM t").get == 302
    read.clear()
    con.execute("EXPLAIN QUERY PLAN SELECT id FROM t -- after that").fetchall()
    assert len(read) == 1
