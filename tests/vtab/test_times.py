"""A TIMESTAMP is compared with a time in any spelling that INSERT takes, wherever SQL compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spellings import FARTHER, NO_TIMES, TIMES, spellings

from audiomem_sql.columns.time_order import compare, key
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import DataTypeError

from .notes_table import create

#: 2024-03-01, hour by hour.
HOURS = [f"2024-03-01 {hour:02d}:00:00" for hour in range(24)]
TEN = (
    "2024-03-01 10:00:00",
    "2024-03-01T10:00:00Z",
    "2024-03-01t10:00",
    "2024-03-01 12:30:00.000+02:30",
    "2024-02-29T23:00-11:00",
)


@pytest.fixture
def hours(con: apsw.Connection, tmp_path: Path) -> apsw.Connection:
    """Table t, whose ``seen`` is hour ``id`` of a day and NULL in row 24; text n, the same in other spellings."""
    create(con, tmp_path / "t.flac", "id INTEGER PRIMARY KEY, seen TIMESTAMP", "t")
    con.executemany("INSERT INTO t VALUES (?, ?)", [*enumerate(HOURS), (24, None)])
    con.execute("CREATE TABLE n(id INTEGER, txt TEXT); CREATE INDEX by_text ON n(txt)")
    con.executemany(
        "INSERT INTO n VALUES (?, ?)", [(i, f"{text.replace(' ', 'T')}Z") for i, text in enumerate(HOURS)]
    )
    return con


def ids(con: apsw.Connection, sql: str, *bindings: Any) -> list[Any]:
    return [row[0] if len(row) == 1 else row for row in con.execute(sql, bindings)]


@pytest.mark.parametrize("time", TEN)
@pytest.mark.parametrize("mark", ["?", "CAST(? AS TEXT)", "(SELECT ?)", "? || ''"])
def test_every_operator_takes_every_spelling(hours: apsw.Connection, time: str, mark: str) -> None:
    everyone, ten = list(range(24)), 10
    expected = {
        "seen = {}": [ten],
        "{} = seen": [ten],
        "seen IS {}": [ten],
        "seen <> {}": [i for i in everyone if i != ten],
        "seen IS NOT {}": [*(i for i in everyone if i != ten), 24],
        "seen < {}": everyone[:ten],
        "{} > seen": everyone[:ten],
        "seen <= {}": everyone[: ten + 1],
        "seen > {}": everyone[ten + 1 :],
        "seen >= {}": everyone[ten:],
        "seen BETWEEN {} AND '2024-03-01T11:00'": [ten, 11],
        "seen NOT BETWEEN {} AND '2024-03-01T22:00'": [*everyone[:ten], 23],
        "seen IN ({}, '2024-03-01T11:00Z', NULL)": [ten, 11],
        "seen NOT IN ({}, '2024-03-01T11:00Z')": [i for i in everyone if i not in (ten, 11)],
        "(seen, id) IN (VALUES ({}, 10), ('2024-03-01', 10))": [ten],
        "seen = {} OR id = 3": [3, ten],
        "id > 8 AND seen <= {}": [9, ten],
        "CASE WHEN seen = {} THEN 1 ELSE 0 END": [ten],
        "coalesce(seen = {}, 0)": [ten],
    }
    for condition, found in expected.items():
        text = condition.format(mark)
        assert ids(hours, f"SELECT id FROM t WHERE {text} ORDER BY id", time) == found, text
    assert ids(hours, f"SELECT count(*) FILTER (WHERE seen >= {mark}) FROM t", time) == [14]


def test_a_constant_is_a_time_as_well(hours: apsw.Connection) -> None:
    for time in TEN:
        assert ids(hours, f"SELECT id FROM t WHERE seen = '{time}'") == [10]
    assert ids(hours, "SELECT id FROM t WHERE seen <= '2024-03-01'") == [0]
    assert ids(hours, "SELECT count(*) FROM t WHERE seen = ?", None) == [0]


def test_update_and_delete_find_the_same_rows(hours: apsw.Connection) -> None:
    hours.execute("UPDATE t SET seen = '2024-04-01' WHERE seen = '2024-03-01T10:00:00Z'")
    assert hours.changes() == 1
    hours.execute("DELETE FROM t WHERE seen >= '2024-03-01T12:00:00+02:00'")
    assert hours.changes() == 14
    assert ids(hours, "SELECT id FROM t") == [*range(10), 24]


@pytest.mark.parametrize(
    "source",
    [
        "(SELECT id, seen AS s FROM t WHERE id > 3)",
        "(SELECT id, seen AS s FROM t LIMIT 20)",
        "(SELECT id, seen AS s FROM t UNION ALL SELECT id + 100, seen FROM t WHERE id < 5)",
        "w",
        "v",
    ],
)
def test_views_and_selects_pass_the_order_on(hours: apsw.Connection, source: str) -> None:
    hours.execute("CREATE TEMP VIEW v AS SELECT id, seen AS s FROM t")
    cte = "WITH w AS MATERIALIZED (SELECT id, seen AS s FROM t)" if source == "w" else ""
    assert ids(hours, f"{cte} SELECT id FROM {source} WHERE s = '2024-03-01T10:00:00Z'") == [10]


@pytest.mark.parametrize(
    "join",
    [
        "t JOIN n ON t.seen = n.txt",
        "n JOIN t ON t.seen = n.txt",
        "n JOIN t ON n.txt = t.seen",
        "t JOIN n ON n.txt = t.seen",
        "n LEFT JOIN t ON n.txt = t.seen",
        "t CROSS JOIN n ON t.seen = n.txt",
        "t JOIN n ON t.seen IN (n.txt)",
        "t JOIN (SELECT id, txt AS seen FROM n) AS n USING (seen)",
        "(SELECT id, txt AS seen FROM n) AS n JOIN t USING (seen)",
        "t JOIN t AS n USING (seen)",
    ],
)
def test_joins_compare_times(hours: apsw.Connection, join: str) -> None:
    assert ids(hours, f"SELECT t.id, n.id FROM {join} ORDER BY 1") == [(i, i) for i in range(24)]


def test_ranges_and_selects_of_other_tables(hours: apsw.Connection) -> None:
    assert ids(hours, "SELECT count(*) FROM n JOIN t ON n.txt > t.seen") == [24 * 23 // 2]
    assert ids(hours, "SELECT count(*) FROM t JOIN n ON t.seen < n.txt") == [24 * 23 // 2]
    assert ids(hours, "SELECT id FROM t WHERE seen IN (SELECT txt FROM n WHERE id < 3)") == [0, 1, 2]
    assert ids(hours, "SELECT id FROM t WHERE seen NOT IN (SELECT txt FROM n WHERE id > 2)") == [0, 1, 2]
    assert ids(hours, "SELECT id FROM n WHERE (SELECT count(*) FROM t WHERE n.txt >= t.seen) = 3") == [2]
    assert ids(hours, "SELECT max(seen), min(seen) FROM t") == [(HOURS[-1], HOURS[0])]
    assert ids(hours, "SELECT id FROM t WHERE seen = (SELECT max(txt) FROM n)") == [23]


def test_the_order_and_the_groups_are_those_of_times(hours: apsw.Connection, tmp_path: Path) -> None:
    hours.execute("DROP TABLE t; DELETE FROM n")
    create(hours, tmp_path / "u.flac", "id INTEGER PRIMARY KEY, seen TIMESTAMP", "t")
    texts = [
        "2024-03-01T10:00:00.5",
        "2024-03-01 10:00:00",
        "2024-03-01 10:00:00.25Z",
        "2024-03-01T12:00+02:00",
    ]
    hours.executemany("INSERT INTO t(seen) VALUES (?)", [(text,) for text in texts])
    assert ids(hours, "SELECT id FROM t ORDER BY seen, id") == [2, 4, 3, 1]
    assert ids(hours, "SELECT id FROM t ORDER BY seen DESC, id") == [1, 3, 2, 4]
    assert ids(hours, "SELECT count(*) FROM t GROUP BY seen ORDER BY seen") == [2, 1, 1]
    assert ids(hours, "SELECT DISTINCT seen FROM t ORDER BY 1") == [key(texts[i]).text for i in (1, 2, 0)]
    hours.executemany("INSERT INTO n VALUES (0, ?)", [(text,) for text in texts])
    query = "SELECT count(*) FROM (SELECT seen FROM t {} SELECT txt FROM n)"
    found = [ids(hours, query.format(name)) for name in ("UNION", "INTERSECT", "EXCEPT")]
    assert found == [[3], [3], [0]]


@pytest.mark.parametrize(
    "condition",
    ["seen = ?", "seen >= ?", "? > seen", "seen IN (?, '2024-03-01')", "seen IS NOT ?", "seen <> ?"],
)
def test_what_is_no_time_is_an_error(hours: apsw.Connection, condition: str) -> None:
    for value in (*NO_TIMES, 5, 1.5, b"2024-03-01"):
        for verb in ("SELECT id FROM t", "DELETE FROM t", "UPDATE t SET id = id + 100"):
            with pytest.raises(DataTypeError, match=r"column seen: .*(timestamp|finer)"):
                hours.execute(f"{verb} WHERE {condition}", (value,)).fetchall()
    assert ids(hours, "SELECT count(*) FROM t") == [25]


def test_a_time_that_no_timestamp_is_lies_between_two(hours: apsw.Connection) -> None:
    """FARTHER has two that lie between two of the hours, and others before and behind all of them."""
    below = [0] * 6 + [11, 11] + [24] * 5
    for text, count in zip(FARTHER, below, strict=True):
        assert ids(hours, "SELECT count(*) FROM t WHERE seen < ?", text) == [count], text
        assert ids(hours, "SELECT count(*) FROM t WHERE seen >= ?", text) == [24 - count], text
        assert ids(hours, "SELECT id FROM t WHERE seen = ? OR seen IN (?, ?)", text, text, text) == []


def test_a_join_refuses_what_is_no_text_and_texts_only_on_the_right(hours: apsw.Connection) -> None:
    hours.execute("INSERT INTO n VALUES (30, 'yesterday')")
    assert len(ids(hours, "SELECT t.id FROM n JOIN t ON n.txt = t.seen")) == 24
    for join in ("t.seen = n.txt", "n.id = t.seen", "t.seen = n.id"):
        with pytest.raises(DataTypeError, match=r"column seen: .* is no timestamp"):
            hours.execute(f"SELECT t.id FROM n CROSS JOIN t ON {join}").fetchall()
    assert len(ids(hours, "SELECT t.id FROM n JOIN t ON t.seen = datetime(n.txt)")) == 24


def test_the_error_names_the_file_and_says_what_to_write(hours: apsw.Connection, tmp_path: Path) -> None:
    with pytest.raises(DataTypeError) as caught:
        hours.execute("SELECT * FROM t WHERE seen > 'yesterday'").fetchall()
    assert caught.value.file == str(tmp_path / "t.flac")
    assert caught.value.place == "column seen"
    assert caught.value.what == "'yesterday' is no timestamp"
    assert "YYYY-MM-DD" in str(caught.value.remedy)


def test_the_text_itself_can_be_compared_and_matched(hours: apsw.Connection) -> None:
    assert ids(hours, "SELECT count(*) FROM t WHERE seen || '' > 'yesterday'") == [0]
    assert ids(hours, "SELECT count(*) FROM t WHERE seen LIKE '2024-03-01 1%'") == [10]
    assert ids(hours, "SELECT count(*) FROM t WHERE seen GLOB '2024-03-01 1*'") == [10]
    assert ids(hours, "SELECT count(*) FROM t WHERE seen GLOB ?", "2024-03-01T*") == [0]
    assert ids(hours, "SELECT id FROM t WHERE seen COLLATE BINARY = '2024-03-01T10:00:00'") == []
    assert ids(hours, "SELECT id FROM t WHERE seen COLLATE NOCASE = '2024-03-01 10:00:00'") == [10]
    assert ids(hours, "SELECT count(*) FROM t WHERE seen COLLATE BINARY >= '2024-03'") == [24]


def test_what_a_function_returns_is_a_text(hours: apsw.Connection) -> None:
    having = "SELECT count(*) FROM t WHERE id < 11 HAVING max(seen) {}= '2024-03-01T10:00:00Z'"
    assert ids(hours, having.format("COLLATE audiomem_time ")) == [11]
    assert ids(hours, having.format("")) == []
    assert ids(hours, "SELECT (SELECT seen FROM t WHERE id = 10) = '2024-03-01 10:00:00'") == [1]
    assert ids(hours, "SELECT nullif(seen, '2024-03-01T10:00Z') FROM t WHERE id = 10") == [None]
    assert ids(hours, "SELECT CAST(seen AS TEXT) = '2024-03-01T10:00Z' FROM t WHERE id = 10") == [1]


def test_a_text_that_is_no_time_sorts_as_text(hours: apsw.Connection) -> None:
    rows = ids(hours, "SELECT seen FROM t WHERE id < 2 UNION ALL SELECT 'total' ORDER BY 1")
    assert rows == [*HOURS[:2], "total"]
    assert ids(hours, "SELECT seen < 'yesterday' FROM t WHERE id = 0") == [1]


def test_a_check_compares_times(con: apsw.Connection, tmp_path: Path) -> None:
    create(
        con,
        tmp_path / "t.flac",
        "seen TIMESTAMP CHECK (seen >= '2024-03-01T10:00:00Z'), CHECK (seen < '2100')",
        "t",
    )
    con.execute("INSERT INTO t VALUES ('2024-03-01'  || ' 10:00:00'), (NULL)")
    with pytest.raises(apsw.ConstraintError, match="CHECK constraint failed: seen >= "):
        con.execute("INSERT INTO t VALUES ('2024-03-01T09:59:59')")
    with pytest.raises(apsw.ConstraintError, match="CHECK constraint failed: seen < '2100'"):
        con.execute("INSERT INTO t VALUES ('2100-01-01')")


def test_a_key_of_times_is_found_and_kept_unique(con: apsw.Connection, tmp_path: Path) -> None:
    create(con, tmp_path / "t.flac", "seen TIMESTAMP PRIMARY KEY, v INTEGER", "t")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(text, i) for i, text in enumerate(HOURS)])
    for _ in range(6):  # by Bloom filters first, later by an index
        assert ids(con, "SELECT v FROM t WHERE seen = '2024-03-01T11:00:00+01:00'") == [10]
    with pytest.raises(apsw.ConstraintError, match=r"UNIQUE constraint failed: t\.seen"):
        con.execute("INSERT INTO t VALUES ('2024-03-01T10:00Z', 0)")


def test_the_plan_shows_a_collation_only_where_it_is_not_that_of_times(hours: apsw.Connection) -> None:
    def plan(sql: str) -> str:
        return str(hours.execute(f"EXPLAIN QUERY PLAN {sql}", ("2024-03-01",) * sql.count("?")).fetchall())

    assert "WHERE seen >= ?1 AND seen < ?2 READ" in plan(
        "SELECT id FROM t WHERE seen >= '2024-03-01T10:00' AND seen < ?"
    )
    assert "COLLATE BINARY" in plan("SELECT id FROM t WHERE seen COLLATE BINARY >= '2024-03'")
    assert "seen = ?1 COLLATE audiomem_time" in plan("SELECT t.id FROM n JOIN t ON n.txt = t.seen")
    assert "WHERE seen IS NULL READ id" in plan("SELECT id FROM t WHERE seen IS NULL")
    assert "WHERE seen LIKE ?1 AND seen <> ?2 READ" in plan(
        "SELECT id FROM t WHERE seen <> '2024-03-01' AND seen LIKE '2024%'"
    )


def test_sqlite_itself_has_the_collation(con: apsw.Connection) -> None:
    """C and Python agree on every pair of texts."""

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        text = st.one_of(TIMES.flatmap(spellings), st.sampled_from(NO_TIMES + FARTHER), st.text(max_size=36))
        one, other = data.draw(text), data.draw(text)
        if data.draw(st.booleans()):  # nearly a time
            place = data.draw(st.integers(0, len(one)))
            one = (
                one[:place]
                + data.draw(st.sampled_from(["", "0", ":", "-", "9", "Z", "T", " ", ".", " (BC)"]))
                + one[place + 1 :]
            )
        found = con.execute(
            "SELECT ?1 < ?2 COLLATE audiomem_time, ?1 = ?2 COLLATE audiomem_time", (one, other)
        ).fetchall()
        order = compare(one, other)
        assert found == [(order < 0, order == 0)], (one, other)

    check()


def test_c_takes_no_more_for_a_time_than_python(con: apsw.Connection) -> None:
    query = "SELECT ?1 < ?2 COLLATE audiomem_time, ?1 = ?2 COLLATE audiomem_time"
    for text in NO_TIMES:
        for us in (0, 1_709_287_200_000_000):
            assert con.execute(query, (text, render(us))).fetchall() == [(text < render(us), False)]
    for one, other, same in (
        ("1900-02-29T00:00", "1900-03-01", False),
        ("2023-02-29T00:00", "2023-03-01", False),
        ("2000-02-29T00:00", "2000-02-29", True),
        ("2024-02-29T00:00", "2024-02-29", True),
    ):
        assert con.execute(query, (one, other)).fetchall() == [(one < other and not same, same)]


#: Queries over a table ``{t}`` of times and a native one ``{n}`` of texts; ``{op}`` compares, ``{eq}`` as well
#: but not with <>, and ``{0}`` to ``{2}`` are times.
QUERIES = (
    "SELECT id FROM {t} WHERE seen {op} {0} ORDER BY id",
    "SELECT id FROM {t} WHERE {0} {op} seen AND other {op} {1} ORDER BY id",
    "SELECT id FROM {t} WHERE seen BETWEEN {0} AND {1} OR other IN ({0}, {1}, {2}) ORDER BY id",
    "SELECT id FROM {t} WHERE NOT (seen {op} {0} OR other NOT IN ({1}, {2})) ORDER BY id",
    "SELECT t.id, n.id FROM {t} t JOIN {n} n ON t.seen {op} n.txt WHERE t.other <> {0} ORDER BY 1, 2",
    "SELECT n.id, t.id FROM {n} n JOIN {t} t ON n.txt {eq} t.seen ORDER BY 1, 2",
    "SELECT n.id, t.id FROM {n} n LEFT JOIN {t} t ON n.txt {eq} t.seen AND t.other {op} {0} ORDER BY 1, 2",
    "SELECT t.id, n.id FROM {t} t LEFT JOIN {n} n ON t.seen {op} n.txt ORDER BY 1, 2",
    "SELECT t.id, n.id FROM {t} t FULL JOIN {n} n ON t.seen = n.txt ORDER BY 1, 2",
    "SELECT a.id, b.id FROM {t} a JOIN {t} b ON a.seen {op} b.other ORDER BY 1, 2",
    "SELECT id FROM {t} WHERE seen IN (SELECT txt FROM {n}) OR other NOT IN (SELECT txt FROM {n}) ORDER BY id",
    "SELECT seen, count(*) FROM {t} GROUP BY seen HAVING max(other) COLLATE audiomem_time {op} {0} ORDER BY seen DESC",
    "SELECT id, seen {op} {0}, CASE other WHEN {1} THEN 1 END, nullif(seen, {2}) IS NULL FROM {t} ORDER BY other, id",
    "SELECT count(*) FROM (SELECT seen FROM {t} UNION SELECT other FROM {t} EXCEPT SELECT txt FROM {n})",
    "SELECT id, (SELECT count(*) FROM {n} n WHERE t.seen {op} n.txt) FROM {t} t ORDER BY id",
    "UPDATE {t} SET other = {1} WHERE seen {op} {0}",
    "DELETE FROM {t} WHERE other {op} {0} AND seen IS NOT {1}",
)


def test_any_spelling_gives_the_rows_of_the_canonical_text(con: apsw.Connection, tmp_path: Path) -> None:
    """The oracle: SQLite's own tables with canonical texts, and no collation."""
    create(con, tmp_path / "t.flac", "id INTEGER PRIMARY KEY, seen TIMESTAMP, other TIMESTAMP", "ours_t")
    con.execute("CREATE TABLE native_t(id INTEGER PRIMARY KEY, seen TEXT, other TEXT)")
    con.execute("CREATE TABLE native_n(id INTEGER, txt TEXT); CREATE TABLE ours_n(id INTEGER, txt TEXT)")

    def drawn(data: st.DataObject) -> tuple[str | None, str | None]:
        """A time as the oracle has it, and as ours is told; or NULL."""
        us = data.draw(st.one_of(TIMES, TIMES, TIMES, st.none()))
        return (None, None) if us is None else (render(us), data.draw(spellings(us)))

    @settings(max_examples=40, deadline=None, database=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        con.execute("DELETE FROM ours_t; DELETE FROM native_t; DELETE FROM ours_n; DELETE FROM native_n")
        for row in range(data.draw(st.integers(0, 7))):
            (seen, odd), (other, strange) = drawn(data), drawn(data)
            con.execute("INSERT INTO native_t VALUES (?, ?, ?)", (row, seen, other))
            con.execute("INSERT INTO ours_t VALUES (?, ?, ?)", (row, odd, strange))
        for row in range(data.draw(st.integers(0, 5))):
            txt, odd = drawn(data)
            con.execute("INSERT INTO native_n VALUES (?, ?)", (row, txt))
            con.execute("INSERT INTO ours_n VALUES (?, ?)", (row, odd))
        for _ in range(6):
            query = data.draw(st.sampled_from(QUERIES))
            operators = [data.draw(st.sampled_from(["=", "<", "<=", ">", ">=", "IS"]))]
            operators.append(data.draw(st.sampled_from([*operators, "<>", "IS NOT"])))
            values = [drawn(data) for _ in range(3)]
            literal = data.draw(st.booleans())
            answers = []
            for place, name in enumerate(("native", "ours")):
                own = [pair[place] for pair in values]
                marks = [
                    ("NULL" if v is None else f"'{v}'") if literal else f"?{i + 1}" for i, v in enumerate(own)
                ]
                sql = query.format(*marks, t=f"{name}_t", n=f"{name}_n", eq=operators[0], op=operators[1])
                used = max((i + 1 for i in range(3) if f"{{{i}}}" in query), default=0)
                answers.append(con.execute(sql, () if literal else own[:used]).fetchall())
                answers.append(con.execute(f"SELECT * FROM {name}_t ORDER BY id").fetchall())
            assert answers[:2] == answers[2:], (sql, values)

    check()


@pytest.mark.parametrize(
    ("condition", "outer"),
    [("t.seen = n.txt", "t"), ("t.seen <> n.txt", "t"), ("n.txt = t.seen", "n"), ("n.txt <= t.seen", "n")],
)
def test_sqlite_chooses_the_order_unless_it_would_compare_bytes(
    hours: apsw.Connection, condition: str, outer: str
) -> None:
    join = f"SELECT n.id FROM t JOIN n ON {condition} WHERE t.id = 10"
    plan = [row[3].split(" ")[1] for row in hours.execute(f"EXPLAIN QUERY PLAN {join}")]
    assert plan[0] == outer
    assert len(ids(hours, join)) == {"t.seen = n.txt": 1, "t.seen <> n.txt": 23, "n.txt = t.seen": 1}.get(
        condition, 11
    )
