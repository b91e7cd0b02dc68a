"""Hidden columns: their names, beside those of the user, and every condition on them."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from audiomem_sql.errors import OptionError, QueryError, SchemaError, UnsupportedError
from audiomem_sql.table.table import Table

#: What every table has, and what is added where MATCH has something to search.
PREFIXED = ["audiomem_table", "audiomem_rank", "audiomem_version", "audiomem_as_of"]
OF_SEARCH = ["audiomem_distance", "audiomem_k", "audiomem_filter", "audiomem_ranking"]
SEARCHED = "id INTEGER PRIMARY KEY, body TEXT SEMANTIC INDEXED, year INTEGER, model=hashing"
BODIES = ("hello world", "hello hello again", "other words", "another world")


def hidden(con: apsw.Connection, table: str = "t") -> list[str]:
    return [row[1] for row in con.execute(f"PRAGMA table_xinfo({table})") if row[6]]


def ids(con: apsw.Connection, sql: str, *bindings: object) -> list[int]:
    return [row[0] for row in con.execute(sql, bindings)]


@pytest.fixture
def t(con: apsw.Connection, tmp_path: Path) -> apsw.Connection:
    """``t``, of four rows that can be searched; version 4 is the newest, and version 2 has the tag ``half``."""
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {SEARCHED})")
    con.execute("INSERT INTO t VALUES (1, ?, 2020), (2, ?, 2021)", BODIES[:2])
    con.execute("INSERT INTO t(t, rank) VALUES ('tag', 'half')")
    con.execute("INSERT INTO t VALUES (3, ?, 2022), (4, ?, NULL)", BODIES[2:])
    return con


# -- names
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "searched"),
    [
        ("a INTEGER, b TEXT", False),
        ("a TEXT UNIQUE, b BLOB, c JSON", False),
        ("a TEXT INDEXED", True),
        ("a TEXT SEMANTIC, model=hashing", True),
        ("a FLOAT[3]", True),
    ],
)
def test_columns_of_a_search_are_there_where_something_can_be_searched(
    con: apsw.Connection, tmp_path: Path, columns: str, searched: bool
) -> None:
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {columns})")
    added = [*PREFIXED, *OF_SEARCH] if searched else PREFIXED
    added = [*added, "audiomem_passage"] if "SEMANTIC" in columns else added
    short = {name.removeprefix("audiomem_") for name in added} - {"table"} | {"t"}
    assert sorted(hidden(con)) == sorted([*added, *short])
    assert hidden(con)[: len(short)] == [
        name
        for name in ("t", "rank", "distance", "k", "version", "as_of", "filter", "ranking", "passage")
        if name in short
    ]


def test_a_column_that_is_added_makes_a_table_searchable(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', a INTEGER)")
    con.execute("INSERT INTO t(t, rank) VALUES ('add column', 'body TEXT INDEXED')")
    assert {*OF_SEARCH, "k", "distance"} <= {*hidden(con)}
    con.execute("INSERT INTO t VALUES (1, 'one word')")
    assert ids(con, "SELECT a FROM t WHERE t MATCH 'word' AND k = 1") == [1]


@pytest.mark.parametrize("reopened", [False, True])
def test_a_column_of_the_user_wins(con: apsw.Connection, tmp_path: Path, reopened: bool) -> None:
    columns = "k INTEGER PRIMARY KEY, version TEXT, Rank REAL, distance REAL, AS_OF TEXT, body TEXT INDEXED"
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {columns})")
    con.execute("INSERT INTO t VALUES (1, 'v', 0.5, 0.25, 'x', 'one'), (2, 'w', 1.5, 1.25, 'y', 'two two')")
    con.execute("INSERT INTO t(t, audiomem_rank) VALUES ('tag', 'early')")
    con.execute("UPDATE t SET version = 'u', rank = 7 WHERE k = 1")
    if reopened:
        con.execute("DROP TABLE t")
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    assert hidden(con) == [
        "t",
        *[f"audiomem_{n}" for n in ("rank", "distance", "k", "version", "as_of")],
        "filter",
        "ranking",
        *["audiomem_table", "audiomem_filter", "audiomem_ranking"],
    ]
    assert con.execute("SELECT * FROM t WHERE version = 'u' AND k = 1").get == (1, "u", 7.0, 0.25, "x", "one")
    assert con.execute("SELECT version, audiomem_version FROM t ORDER BY rank").fetchall() == [
        ("w", 4),
        ("u", 4),
    ]
    assert ids(con, "SELECT k FROM t WHERE audiomem_version = 'early' AND version = 'v'") == [1]
    found = con.execute(
        "SELECT k, rank, distance, audiomem_rank < 0, audiomem_distance, audiomem_k, as_of FROM t "
        "WHERE t MATCH 'two OR one' AND audiomem_k = 1 ORDER BY audiomem_rank"
    )
    assert found.fetchall() == [(2, 1.5, 1.25, True, None, 1, "y")]


@pytest.mark.parametrize("name", ["version", "rank", "k", "distance", "as_of", "filter", "ranking", "t"])
@pytest.mark.parametrize("change", ["add column '{} TEXT'", "rename column 'a TO {}'"])
def test_a_name_is_taken_later(con: apsw.Connection, tmp_path: Path, name: str, change: str) -> None:
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', a TEXT, words TEXT INDEXED)")
    con.execute("INSERT INTO t VALUES ('x', 'one')")
    command, _, argument = change.format(name).partition(" '")
    con.execute("INSERT INTO t(audiomem_table, audiomem_rank) VALUES (?, ?)", (command, argument[:-1]))
    con.execute(f"UPDATE t SET {name} = 'mine'")
    assert con.execute(f"SELECT {name} FROM t WHERE {name} = 'mine'").get == "mine"
    role = "table" if name == "t" else name
    assert f"audiomem_{role}" in hidden(con)
    assert name not in hidden(con)


@pytest.mark.parametrize(
    "name", ["audiomem_version", "AUDIOMEM_RANK", '"audiomem_table"', "audiomem_k", "audiomem_as_of"]
)
def test_prefixed_names_are_reserved(con: apsw.Connection, tmp_path: Path, name: str) -> None:
    with pytest.raises(SchemaError, match="a hidden column has this name"):
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {name} TEXT)")
    with pytest.raises(SchemaError, match="a hidden column has this name"):
        Table.create(tmp_path / "t.flac", [f"{name} TEXT"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rank", "version", "k", "rowid", "audiomem_version", "audiomem_table"])
def test_a_table_called_like_a_hidden_column(con: apsw.Connection, tmp_path: Path, name: str) -> None:
    con.execute(
        f"CREATE VIRTUAL TABLE {name} USING audiomem('{tmp_path / 't.flac'}', id INTEGER, w TEXT INDEXED)"
    )
    con.execute(f"INSERT INTO {name} VALUES (5, 'word')")
    con.execute(f"INSERT INTO {name}(audiomem_table) VALUES ('checkpoint')")
    assert con.execute(f"SELECT id, version, audiomem_version, rowid FROM {name} WHERE version = 2").get == (
        5,
        2,
        2,
        1,
    )
    assert ids(con, f"SELECT id FROM {name} WHERE audiomem_table MATCH 'word' AND k = 3 ORDER BY rank") == [5]


def test_the_widest_table(con: apsw.Connection, tmp_path: Path) -> None:
    Table.create(tmp_path / "t.flac", [f"c{number} INTEGER" for number in range(1994)]).close()
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    con.execute("INSERT INTO t(c0, c1993) VALUES (1, 2)")
    assert hidden(con) == ["t", "rank", "version", "as_of", "audiomem_table", "audiomem_rank"]
    assert con.execute("SELECT c1993, version FROM t WHERE version = 2").get == (2, 2)


# -- hidden=prefixed
# ----------------------------------------------------------------------------------------------------------


def test_only_prefixed_names(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {SEARCHED}, hidden=prefixed)"
    )
    con.execute("INSERT INTO t VALUES (1, 'hello', 10), (2, 'world', 10), (3, 'again', 20)")
    con.execute("INSERT INTO t(audiomem_table, audiomem_rank) VALUES ('TAG', 'first')")
    assert hidden(con) == [
        f"audiomem_{n}"
        for n in ("table", "rank", "distance", "k", "version", "as_of", "filter", "ranking", "passage")
    ]
    con.execute("CREATE TABLE g(k INTEGER, version INTEGER, t TEXT)")
    con.execute("INSERT INTO g VALUES (10, 20, 'world'), (20, 30, 'x')")
    for outer, found in (("k", [2, 1]), ("version", [1, 0])):
        counts = con.execute(f"SELECT (SELECT count(*) FROM t WHERE year = {outer}) FROM g")
        assert [row[0] for row in counts] == found
    counts = con.execute("SELECT (SELECT count(*) FROM t WHERE body = t) FROM g")
    assert [row[0] for row in counts] == [1, 0]
    for name in ("k", "version", "rank", "t.t"):
        with pytest.raises(apsw.SQLError, match=f"no such column: {name}"):
            con.execute(f"SELECT {name} FROM t")
    assert ids(con, "SELECT id FROM t WHERE audiomem_table MATCH 'world' AND audiomem_k = 1") == [2]
    assert ids(con, "SELECT id FROM t('world') ORDER BY audiomem_rank LIMIT 1") == [2]
    assert ids(con, "SELECT count(*) FROM t WHERE audiomem_version = 'first'") == [3]


def test_the_option_stays_with_the_database_and_not_with_the_file(
    tmp_path: Path, con: apsw.Connection
) -> None:
    from audiomem_sql.connections import register

    database = str(tmp_path / "t.sqlite")
    with apsw.Connection(database) as first:
        register(first)
        first.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', a INTEGER, hidden = 'Prefixed')")
        first.execute("INSERT INTO t VALUES (1)")
    first.close()
    again = apsw.Connection(database)
    register(again)
    assert hidden(again) == PREFIXED
    again.execute("ALTER TABLE t RENAME TO version")
    assert hidden(again, "version") == PREFIXED
    again.close()
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    assert "version" in hidden(con)


def test_the_option_has_two_values(con: apsw.Connection, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="hidden is both or prefixed, not 'none'"):
        con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', a INTEGER, hidden=none)")
    assert not list(tmp_path.iterdir())
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', a INTEGER, hidden=both)")
    assert "version" in hidden(con)


# -- conditions
# ----------------------------------------------------------------------------------------------------------

#: Conditions, and the rows that have them: without an equality, the newest version shows its number.
CONDITIONS: dict[str, list[int]] = {
    "{version} IS NULL": [],
    "{version} IS NOT NULL": [1, 2, 3, 4],
    "{version} > 2": [1, 2, 3, 4],
    "{version} > 4": [],
    "{version} <> 4": [],
    "{version} IS NOT 2": [1, 2, 3, 4],
    "{version} BETWEEN 1 AND 4": [1, 2, 3, 4],
    "{version} NOT BETWEEN 1 AND 4": [],
    "{version} IN (2)": [1, 2],
    "{version} IN (2, 4)": [1, 1, 2, 2, 3, 4],
    "{version} IN (SELECT 2 UNION SELECT 1)": [1, 2],
    "{version} NOT IN (1, 2)": [1, 2, 3, 4],
    "{version} IN ('half', 4)": [1, 1, 2, 2, 3, 4],
    "{version} > '2'": [1, 2, 3, 4],
    "{version} < '11'": [1, 2, 3, 4],
    "{version} NOT BETWEEN '1' AND '4'": [],
    "{version} NOT IN ('4', '5')": [],
    "{version} IS 2": [1, 2],
    "{version} IS 'half'": [1, 2],
    "{version} = NULL": [],
    "{version} = 2 AND {version} > 2": [],
    "{version} = 2 AND {version} < 3": [1, 2],
    "{version} = 2 AND version IS NOT NULL": [1, 2],
    "{version} = 2 AND {as_of} IS NULL": [1, 2],
    "{version} LIKE '4'": [1, 2, 3, 4],
    "NOT ({version} = 2)": [1, 2, 3, 4],
    "{as_of} IS NULL": [1, 2, 3, 4],
    "{as_of} IS NOT NULL": [],
    "{as_of} > '2000-01-01'": [],
    "{as_of} BETWEEN '2000-01-01' AND '9999-12-31'": [],
    "{as_of} <> '2000-01-01'": [],
    "{as_of} IS '9999-12-31'": [1, 2, 3, 4],
    "{as_of} IN ('9999-12-31')": [1, 2, 3, 4],
    "{as_of} IN ('9999-12-31', '9999-12-30')": [1, 1, 2, 2, 3, 3, 4, 4],
    "{as_of} = NULL": [],
    "{rank} IS NULL": [1, 2, 3, 4],
    "{rank} IS NOT NULL": [],
    "{rank} < 0": [],
    "{rank} IN (1, 2)": [],
    "{rank} = 'bm25'": [],
    "{distance} IS NULL": [1, 2, 3, 4],
    "{distance} BETWEEN 0 AND 1": [],
    "{distance} NOT IN (1, 2)": [],
    "{k} IS NULL": [1, 2, 3, 4],
    "{k} IS NOT NULL": [],
    "{k} > 2": [],
    "{k} <> 2": [],
    "{k} IN (1, 2)": [],
    "{k} BETWEEN 1 AND 3": [],
    "{t} IS NULL": [1, 2, 3, 4],
    "{t} IS NOT NULL": [],
    "{t} <> 'hello'": [],
    "{t} > 'a'": [],
    "{t} NOT IN ('hello')": [],
    "{t} BETWEEN 'a' AND 'z'": [],
    "{t} LIKE 'h%'": [],
    "{t} = 'keyword:hello'": [1, 2],
    "{t} IN ('keyword:hello')": [1, 2],
    "{t} IN ('keyword:hello', 'keyword:world')": [1, 1, 2, 4],
    "{t} IN (SELECT 'keyword:world')": [1, 4],
    "{t} = 'keyword:hello' OR {t} = 'keyword:world'": [1, 1, 2, 4],
    "{t} = 'keyword:hello' OR id = 3": [1, 2, 3],
    "{t} MATCH 'keyword:hello' OR id = 3": [1, 2, 3],
    "{t} MATCH 'keyword:hello' OR {t} MATCH 'keyword:world'": [1, 2, 4],
    "({t} = 'keyword:hello' AND id = 2) OR year = 2022": [2, 3],
    "({t}, id) = ('keyword:hello', 2)": [2],
    "({t}, id) IN (SELECT 'keyword:hello', 2)": [2],
    "{t} MATCH 'keyword:hello' AND {k} = 1": [2],
    "{t} MATCH 'keyword:hello' AND {k} IS 1": [2],
    "{t} MATCH 'keyword:hello' AND {k} = 1 AND {k} < 5": [2],
    "{t} MATCH 'keyword:hello' AND {k} = 1 AND {k} > 5": [],
    "{t} MATCH 'keyword:hello' AND {k} IS NULL": [1, 2],
    "{t} MATCH 'keyword:hello OR other' AND {k} IN (1, 2)": [2, 3, 3],
    "{t} MATCH 'keyword:hello' AND {rank} IS NOT NULL": [1, 2],
    "{t} MATCH 'keyword:hello' AND {rank} < 0": [1, 2],
    "{t} MATCH 'keyword:hello' AND {distance} IS NULL": [1, 2],
    "{t} MATCH 'semantic:hello' AND {distance} < 0.9": [1, 2],
    "{t} MATCH 'semantic:hello' AND {distance} >= 0.9": [3, 4],
    "{t} MATCH 'semantic:hello' AND {distance} < '0.9'": [1, 2],
    "{t} MATCH 'keyword:hello' AND {k} = 1 AND {k} < '5'": [2],
    "{t} MATCH 'keyword:world' AND {version} = 2": [1],
    "{t} MATCH 'keyword:world' AND {version} > 2": [1, 4],
    "{t} MATCH 'keyword:world' AND {as_of} IS NULL": [1, 4],
}


@pytest.mark.parametrize("prefix", ["", "audiomem_"])
def test_every_condition_is_answered(t: apsw.Connection, prefix: str) -> None:
    names = {name: prefix + name for name in ("rank", "distance", "k", "version", "as_of")}
    names["t"] = "audiomem_table" if prefix else "t"
    for condition, expected in CONDITIONS.items():
        where = condition.format(**names)
        assert ids(t, f"SELECT id FROM t WHERE {where} ORDER BY id") == expected, where
        assert t.execute(f"SELECT count(*) FROM t WHERE {where}").get == len(expected), where
        values = f"(SELECT id FROM t WHERE {where} LIMIT 10 OFFSET 1)"
        assert t.execute(f"SELECT count(*) FROM {values}").get == max(len(expected) - 1, 0), where


def test_conditions_on_every_column_of_table_xinfo(t: apsw.Connection, tmp_path: Path) -> None:
    """What tools ask of columns that they know from there."""
    t.execute(f"CREATE VIRTUAL TABLE plain USING audiomem('{tmp_path / 'plain.flac'}', a INTEGER, b TEXT)")
    t.execute("INSERT INTO plain VALUES (1, 'x')")
    for table, rows in (("t", 4), ("plain", 1)):
        for name in hidden(t, table):
            both = [
                t.execute(f"SELECT count(*) FROM {table} WHERE {name} IS {test} NULL").get
                for test in ("", "NOT")
            ]
            assert sum(both) == rows, name
            facet = f"SELECT {name} AS value, count(*) FROM (SELECT * , {name} FROM {table}) WHERE value IS NOT NULL"
            assert len(t.execute(f"{facet} GROUP BY value ORDER BY 2 DESC, value LIMIT 31").fetchall()) < 2


def test_each_row_shows_what_it_was_asked_for(t: apsw.Connection) -> None:
    shown = "SELECT DISTINCT version, audiomem_version, as_of FROM t WHERE {} ORDER BY 1"
    assert t.execute(shown.format("version IN (2, 4)")).fetchall() == [(2, 2, None), (4, 4, None)]
    assert t.execute(shown.format("version IN ('half', 4)")).fetchall() == [
        (4, 4, None),
        ("half", "half", None),
    ]
    time = "9999-12-31"
    assert t.execute(shown.format(f"as_of = '{time}'")).fetchall() == [(4, 4, time)]
    joined = "SELECT DISTINCT q.v, t.version FROM (SELECT 2 AS v UNION ALL SELECT 4) AS q JOIN t ON t.version = q.v"
    assert sorted(t.execute(joined).fetchall()) == [(2, 2), (4, 4)]
    searched = "SELECT DISTINCT k, audiomem_k FROM t WHERE t MATCH 'keyword:hello' AND k IN (1, 2) ORDER BY k"
    assert t.execute(searched).fetchall() == [(1, 1), (2, 2)]


def test_bound_values(t: apsw.Connection) -> None:
    for sql, value, expected in (
        ("version IS ?", 2, [1, 2]),
        ("version IS ?", None, []),
        ("version = ?", None, []),
        ("as_of IS ?", None, [1, 2, 3, 4]),
        ("as_of = ?", None, []),
        ("as_of IS ?", "9999-12-31", [1, 2, 3, 4]),
        ("t = ?", "keyword:other", [3]),
        ("t = ?", None, []),
        ("rank > ?", None, []),
    ):
        assert ids(t, f"SELECT id FROM t WHERE {sql} ORDER BY id", value) == expected, (sql, value)
    assert ids(t, "SELECT id FROM t WHERE t MATCH 'keyword:hello' AND as_of IS ? ORDER BY id", None) == [1, 2]


@pytest.mark.parametrize(
    ("where", "error", "words"),
    [
        ("k = 3", QueryError, "there is no MATCH"),
        ("version = 2 AND as_of = '9999-12-31'", UnsupportedError, "exclude each other"),
        ("rank MATCH 'x'", QueryError, "nothing to MATCH"),
        ("t IS 'hello'", QueryError, "equals nothing. Write MATCH"),
        ("t MATCH 'a' AND t = 'b'", QueryError, "two MATCH"),
        ("t = 'a' AND audiomem_table = 'b'", QueryError, "two MATCH"),
        ("t MATCH 'hello' AND rank = 'bm25(10.0)'", QueryError, "how rows are ranked cannot be chosen"),
    ],
)
def test_what_is_refused(t: apsw.Connection, where: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match="(?s).*".join(words.split("…"))):
        t.execute(f"SELECT id FROM t WHERE {where}").fetchall()


def test_three_spellings_of_a_search(t: apsw.Connection) -> None:
    """As with FTS5: MATCH, ``=`` and the table as a function."""
    match = "SELECT id, rank FROM t WHERE t MATCH 'keyword:world OR other' ORDER BY rank"
    expected = t.execute(match).fetchall()
    assert len(expected) == 3
    for spelling in (
        "t WHERE t = 'keyword:world OR other'",
        "t('keyword:world OR other')",
        "t WHERE audiomem_table = 'keyword:world OR other'",
        "t WHERE t IN ('keyword:world OR other')",
    ):
        assert t.execute(f"SELECT id, rank FROM {spelling} ORDER BY rank").fetchall() == expected, spelling
    assert t.execute("SELECT highlight(t, 1, '<', '>') FROM t('keyword:other')").get == "<other> words"
    joined = "SELECT t.id FROM (SELECT 'keyword:other' AS w UNION ALL SELECT 'keyword:again') AS q, t(q.w)"
    assert sorted(ids(t, joined)) == [2, 3]
    for second in ("bm25(1.0)", 10):
        with pytest.raises(QueryError, match="cannot be chosen"):
            t.execute("SELECT id FROM t('keyword:other', ?)", (second,)).fetchall()
    number = t.execute("SELECT rank FROM t('keyword:other')").get
    assert ids(t, "SELECT id FROM t WHERE t MATCH 'keyword:other' AND rank = ?", number) == [3]


def test_both_names_of_the_table_are_the_row(t: apsw.Connection) -> None:
    shown = "SELECT highlight(t, 1, '<', '>'), highlight(audiomem_table, 1, '<', '>') FROM t('keyword:world')"
    assert sorted(t.execute(shown).fetchall()) == [
        ("another <world>", "another <world>"),
        ("hello <world>", "hello <world>"),
    ]
    twice = "SELECT (SELECT highlight(t, 1, '<', '>') FROM t(w) WHERE id = 1) FROM (VALUES ('hello'), ('world')) AS v(w)"
    assert [
        row[0] for row in t.execute(twice.replace("v(w)", "v").replace("t(w)", "t('keyword:' || column1)"))
    ] == [
        "<hello> world",
        "hello <world>",
    ]


def test_a_search_in_an_outer_join(t: apsw.Connection) -> None:
    for on in ("t = 'keyword:other'", "t MATCH 'keyword:other'", "audiomem_table IN ('keyword:other')"):
        query = f"SELECT q.x, t.id FROM (SELECT 1 AS x) AS q LEFT JOIN t ON {on}"
        assert t.execute(query).fetchall() == [(1, 3)]


def test_a_search_that_is_the_seventeenth_condition(t: apsw.Connection) -> None:
    """SQLite compares it again: it may be refused, but never without a row."""
    many = " AND ".join(f"year > {number}" for number in range(16))
    for where in (f"{many} AND t = 'keyword:other'", f"t = 'keyword:other' AND {many}"):
        with pytest.raises(QueryError, match="Write MATCH"):
            t.execute(f"SELECT id FROM t WHERE {where}").fetchall()
        fewer = where.replace(" AND year > 15", "").replace(" AND year > 14", "")
        assert ids(t, f"SELECT id FROM t WHERE {fewer}") == [3]
    assert ids(t, f"SELECT id FROM t WHERE {many} AND version = 'half' ORDER BY id") == [1, 2]
    fewer = " AND ".join(many.split(" AND ")[:14])
    assert ids(t, f"SELECT id FROM t WHERE {fewer} AND t MATCH 'keyword:hello' AND k = 1") == [2]


# -- rows and commands
# ----------------------------------------------------------------------------------------------------------


def test_a_row_is_never_a_command(con: apsw.Connection, tmp_path: Path) -> None:
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', t TEXT, rank TEXT)")
    con.execute("INSERT INTO t(t) VALUES ('vacuum'), ('checkpoint')")
    con.execute("INSERT INTO t(t, rank) VALUES ('tag', 'spring')")
    con.execute("INSERT INTO t VALUES ('vacuum', 'all')")
    assert con.execute("SELECT t, rank FROM t").fetchall() == [
        ("vacuum", None),
        ("checkpoint", None),
        ("tag", "spring"),
        ("vacuum", "all"),
    ]
    assert con.execute("SELECT max(snapshot_id), total(tag) FROM audiomem_snapshots('t')").get == (4, 0.0)
    con.execute("INSERT INTO t(audiomem_table, audiomem_rank) VALUES ('tag', 'spring')")
    assert con.execute("SELECT tag FROM audiomem_snapshots('t') WHERE tag <> ''").get == "spring"
    assert con.execute("SELECT count(*) FROM t").get == 4
    for values in (
        "(audiomem_table, t) VALUES ('checkpoint', 'x')",
        "(audiomem_table, audiomem_rank, rank) VALUES ('tag', 'x', 'y')",
    ):
        with pytest.raises(OptionError, match="stands in one row"):
            con.execute(f"INSERT INTO t{values}")
    assert con.execute("SELECT count(*) FROM t").get == 4


def test_a_command_is_never_a_row(t: apsw.Connection) -> None:
    for values, words in (
        ("(t, body) VALUES ('checkpoint', 'x')", "stands in one row with values of columns"),
        ("(audiomem_table, t) VALUES ('checkpoint', 'vacuum')", "two names of one column"),
        ("(rank) VALUES ('x')", "cannot be written to"),
        ("(id, audiomem_k) VALUES (9, 3)", "cannot be written to"),
        ("(t, distance) VALUES ('checkpoint', 3)", "there is no command"),
    ):
        with pytest.raises(OptionError, match=words):
            t.execute(f"INSERT INTO t{values}")
    assert t.execute("SELECT count(*) FROM t").get == 4
    t.execute("INSERT INTO t(t, audiomem_table) VALUES ('checkpoint', 'checkpoint')")


@pytest.mark.parametrize(
    "command",
    ["OPTIMIZE", "Optimize", "rebuild", "FLUSH", "Integrity-Check", "Vacuum", "CHECKPOINT", "MERGE"],
)
def test_commands_in_any_case(t: apsw.Connection, command: str) -> None:
    t.execute("INSERT INTO t(T) VALUES (?)", (command,))
    assert t.execute("SELECT count(*) FROM t").get == 4


def segments(path: Path) -> int:
    with Table(path) as seen:
        return len(seen.snapshot.segments)


@pytest.mark.parametrize("command", ["optimize", "rebuild"])
def test_fts5s_commands(con: apsw.Connection, tmp_path: Path, command: str) -> None:
    path = tmp_path / "t.flac"
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', a BLOB, words TEXT INDEXED)")
    for _ in range(3):  # large enough for a segment each
        con.execute("INSERT INTO t VALUES (randomblob(300000), 'word'); INSERT INTO t(t) VALUES ('flush')")
        assert not (tmp_path / "t.flac-wal").exists()
    assert segments(path) == 3
    con.execute(
        "INSERT INTO t(t, rank) VALUES ('merge', 500); INSERT INTO t(t, rank) VALUES ('integrity-check', 1)"
    )
    assert segments(path) == 2
    con.execute("INSERT INTO t(t) VALUES (?)", (command,))
    assert segments(path) == 1
    assert con.execute("SELECT count(*) FROM t WHERE version = 3").get == 2


def test_commands_of_fts5_that_mean_nothing_here(t: apsw.Connection) -> None:
    for command in ("automerge", "PGSZ", "delete-all", "rank", "secure-delete"):
        with pytest.raises(OptionError, match=f"FTS5's command {command.lower()} means nothing here"):
            t.execute("INSERT INTO t(t, rank) VALUES (?, 4)", (command,))


@pytest.mark.damages
def test_integrity_check_as_a_command_finds_damage(t: apsw.Connection, tmp_path: Path) -> None:
    t.execute("INSERT INTO t(t) VALUES ('vacuum')")
    path = tmp_path / "t.flac"
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 2000):
        data[place] ^= 0x55
    path.write_bytes(data)
    with pytest.raises(Exception, match="page"):
        t.execute("INSERT INTO t(t) VALUES ('integrity-check')")


# -- UPDATE and DELETE
# ----------------------------------------------------------------------------------------------------------


def test_update_and_delete_by_hidden_columns(t: apsw.Connection) -> None:
    t.execute("UPDATE t SET year = 1 WHERE t MATCH 'keyword:hello' AND k = 1")
    t.execute("UPDATE t SET year = 2 WHERE audiomem_table = 'keyword:other' AND audiomem_k = 5")
    t.execute("UPDATE t SET year = 3 WHERE version > 4 AND id = 4")
    assert t.execute("SELECT id, year FROM t").fetchall() == [(1, 2020), (2, 1), (3, 2), (4, 3)]
    t.execute("DELETE FROM t WHERE t IN ('keyword:hello', 'keyword:other')")
    assert ids(t, "SELECT id FROM t") == [4]
    t.execute("DELETE FROM t WHERE version > 1000 OR rank IS NOT NULL")
    assert ids(t, "SELECT id FROM t") == [4]


@pytest.mark.parametrize(
    "change",
    [
        "audiomem_version = 2",
        "audiomem_k = 3",
        "k = 3",
        "audiomem_table = 'x'",
        "audiomem_rank = 'x'",
        "as_of = 1",
    ],
)
def test_hidden_columns_are_not_changed(t: apsw.Connection, change: str) -> None:
    with pytest.raises(UnsupportedError, match="no hidden column"):
        t.execute(f"UPDATE t SET {change} WHERE id = 1")
