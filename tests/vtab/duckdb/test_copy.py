"""COPY … TO and COPY … FROM through the loadable extension."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

import audiomem_sql as am
from audiomem_sql.errors import OptionError, UnsupportedError
from audiomem_sql.loadable import loadable_path
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.vtab.duckdb import vectors
from audiomem_sql.vtab.duckdb.copying import CopyFunction
from audiomem_sql.vtab.duckdb.settings import SETTINGS, bytes_of

#: NULLs, long and short texts, and texts that DuckDB keeps as a dictionary.
ROWS = """
CREATE TABLE t AS SELECT i::INTEGER AS id, i % 2 = 0 AS ok, [i, -i]::FLOAT[2] AS v, 'w' || (i % 3) AS w,
  CASE WHEN i % 5 > 0 THEN 'a text longer than twelve bytes 🎼 ' || (i % 7) END AS title,
  CASE WHEN i % 11 > 0 THEN i / 3.0 END AS x,
  CASE WHEN i % 3 > 0 THEN TIMESTAMP '2024-01-02 03:04:05.123456' + INTERVAL (i) HOUR END AS seen,
  CASE WHEN i % 4 > 0 THEN ('\\x00' || (i % 9))::BLOB END AS raw FROM range(10_000) AS r(i)
"""

#: SQLite has no part in this.
DOORS = ("extension",)


@pytest.fixture
def con(loaded: Any) -> Any:
    loaded.execute(ROWS)
    return loaded


def same(con: Any, one: str, other: str) -> bool:
    """Whether two queries give the same rows in the same order."""
    return bool(con.execute(one).fetchall() == con.execute(other).fetchall())


def with_a_null(value: str, row: int, rows: int) -> str:
    """A query for so many times a value, with NULL in one row. CASE takes no arrays in DuckDB 1.5."""
    return f"SELECT a FROM range({rows}) AS r(i) LEFT JOIN (SELECT {value} AS a, {row} AS n) ON i <> n ORDER BY i"


@pytest.mark.parametrize("format", ["", "(FORMAT audiomem)", "(FORMAT flac)", "(FORMAT 'AudioMem')"])
def test_every_row_in_its_order(con: Any, format: str) -> None:
    assert con.execute(f"COPY t TO 'x.flac' {format}").fetchone() == (10_000,)
    assert same(con, "FROM 'x.flac'", "FROM t")
    names = [column[0] for column in con.execute("DESCRIBE FROM 'x.flac'").fetchall()]
    assert names == ["id", "ok", "v", "w", "title", "x", "seen", "raw"]
    assert os.listdir() == ["x.flac"]


def test_any_query_and_names_of_any_length(con: Any) -> None:
    con.execute("CREATE TEMP TABLE mine AS SELECT 7 AS n")
    con.execute("BEGIN")
    con.execute("INSERT INTO mine VALUES (8)")
    long = "a name that is " + "very " * 30 + "long 🎼"
    con.execute(f'COPY (SELECT n AS "{long}", n + 1 AS "fifteen letters", n AS s FROM mine) TO \'q.flac\'')
    con.execute("ROLLBACK")
    found = con.execute("FROM 'q.flac'")
    assert [column[0] for column in found.description] == [long, "fifteen letters", "s"]
    assert found.fetchall() == [(7, 8, 7), (8, 9, 8)]
    con.execute("COPY (SELECT 1 AS a, 2 AS a) TO 'twice.flac'")
    assert [column[0] for column in con.execute("FROM 'twice.flac'").description] == ["a", "a_1"]


def test_no_rows_and_one_row(con: Any) -> None:
    assert con.execute("COPY (SELECT id, v, title FROM t WHERE id < 0) TO 'none.flac'").fetchone() == (0,)
    assert con.execute("FROM 'none.flac'").fetchall() == []
    assert [column[1] for column in con.execute("DESCRIBE FROM 'none.flac'").fetchall()] == [
        "BIGINT",
        "FLOAT[2]",
        "VARCHAR",
    ]
    con.execute("COPY (SELECT NULL::VARCHAR AS s, NULL::BOOLEAN AS b, 1 AS n) TO 'one.flac'")
    assert con.execute("FROM 'one.flac'").fetchall() == [(None, None, 1)]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("1::TINYINT", "1"), ("-300::SMALLINT", "-300"), ("200::UTINYINT", "200"), ("60000::USMALLINT", "60000"),
        ("900000000::UINTEGER", "900000000"), ("7::UBIGINT", "7"), ("0.5::FLOAT", "0.5"),
        ("DATE '2024-02-03'", "2024-02-03"), ("TIMESTAMP_S '2024-02-03 04:05:06'", "2024-02-03 04:05:06"),
        ("TIMESTAMP_MS '2024-02-03 04:05:06.789'", "2024-02-03 04:05:06.789"),
        ("TIMESTAMPTZ '2024-02-03 04:05:06+02'", "2024-02-03 02:05:06+00"),
        ("'sad'::ENUM('happy', 'sad')", "sad"), ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ("'0eebc990-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID",
        "0eebc990-9c0b-4ef8-bb6d-6bb9bd380a11"), ("[1.5, 2.5]::FLOAT[]", "[1.5, 2.5]"),
        ("[1.5, NULL, 2.5][1:1]::FLOAT[1]", "[1.5]"),
    ],
)  # fmt: skip
def test_types(con: Any, value: str, stored: str) -> None:
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"COPY ({with_a_null(value, 1, 4)}) TO 'x.flac'")
    found = con.execute("SELECT a::VARCHAR FROM 'x.flac'").fetchall()
    assert found == [(stored,), (None,), (stored,), (stored,)]


@pytest.mark.parametrize(
    "value", ["union_value(n := 1)", "[union_value(n := 1)]", "{'u': union_value(n := 1)}"]
)
def test_types_that_no_column_has(con: Any, value: str) -> None:
    with pytest.raises(duckdb.Error, match="column a: no column type holds DuckDB's UNION"):
        con.execute(f"COPY (SELECT {value} AS a, 1 AS b) TO 'x.flac'")
    assert not os.path.exists("x.flac")


def test_values_that_do_not_fit(con: Any) -> None:
    with pytest.raises(duckdb.Error, match=r"x\.flac: key 'x8999': UNIQUE constraint failed: a"):
        con.execute("COPY (SELECT 'x' || CASE WHEN i = 9000 THEN 8999 ELSE i END AS a "
                    "FROM range(10_000) AS r(i)) TO 'x.flac' (PRIMARY_KEY a)")  # fmt: skip
    assert os.listdir() == []
    with pytest.raises(duckdb.Error, match=r"column a: .* INTERVAL: an interval has more than 292 years"):
        con.execute("COPY (SELECT to_microseconds(CASE WHEN i = 9000 THEN 9223372036854775807 ELSE i END) AS a "
                    "FROM range(10_000) AS r(i)) TO 'x.flac'")  # fmt: skip
    assert os.listdir() == []


def test_options(con: Any) -> None:
    con.execute("COPY (FROM t LIMIT 100) TO 'x.flac' (PRIMARY_KEY id, SEMANTIC title, MODEL hashing, "
                "PROTECTION archive, COMPRESSION_LEVEL 19)")  # fmt: skip
    with am.open("x.flac") as table:
        assert [column.name for column in table.schema.columns if column.primary_key] == ["id"]
        assert table.options.protection == "archive"
        assert table.options.compression_level == 19
        assert table.search("text", k=1).num_rows == 1
    con.execute("COPY (SELECT 100 - id AS id, title, w FROM t LIMIT 100) TO 'y.flac' "
                "(FORMAT flac, PRIMARY_KEY 'id', SEMANTIC (title, w), MODEL 'hashing')")  # fmt: skip
    assert con.execute("SELECT min(id), max(id), count(*) FROM 'y.flac'").fetchone() == (1, 100, 100)
    with pytest.raises(duckdb.Error, match="UNIQUE constraint failed: ok"):
        con.execute("COPY t TO 'z.flac' (PRIMARY_KEY ok)")
    for options, message in (
        ("PROFIL server", "there is no option profil"),
        ("PRIMARY_KEI id", "Did you mean primary_key"),
        ("PRIMARY_KEY nix", "there is no column nix"),
        ("PROFILE nix", "there is no profile 'nix'"),
        ("COMPRESSION_LEVEL", "option compression_level has no value"),
        ("COLUMNS [a, b]", "columns has 2 names, and the query 8 columns"),
    ):
        with pytest.raises(duckdb.Error, match=message):
            con.execute(f"COPY t TO 'z.flac' ({options})")
    assert not os.path.exists("z.flac")


def test_settings(con: Any) -> None:
    def written(options: str = "") -> tuple[str, int]:
        con.execute(f"COPY (SELECT 1 AS a) TO 'x.flac' (FORMAT flac{options})")
        with am.open("x.flac") as table:
            return table.options.protection, table.options.compression_level

    con.execute("SET audiomem_protection = 'archive'")
    con.execute("SET audiomem_compression_level = '3'")
    assert written() == ("archive", 3)
    assert written(", PROTECTION none") == ("none", 3)
    con.execute("RESET audiomem_protection")
    assert written() == ("none", 3)
    with pytest.raises(duckdb.Error, match="nix"):
        con.execute("SET audiomem_profile = 'nix'; COPY t TO 'y.flac'")
    before = SHARED.capacity
    con.execute("SET audiomem_cache = '3MB'")
    con.execute("FROM 'x.flac'").fetchall()
    assert SHARED.capacity == 3_000_000
    con.execute("SET audiomem_cache = 'much'")
    with pytest.raises(duckdb.Error, match="'much' is no size"):
        con.execute("FROM 'x.flac'")
    con.execute("RESET audiomem_cache")
    con.execute("FROM 'x.flac'").fetchall()
    assert SHARED.capacity == before
    SHARED.capacity = 5_000_000  # in Python, which the setting leaves alone until it says something
    try:
        con.execute("FROM 'x.flac'").fetchall()
        assert SHARED.capacity == 5_000_000
    finally:
        SHARED.capacity = None
    known = con.execute(
        "SELECT name FROM duckdb_settings() WHERE name LIKE 'audiomem%' ORDER BY 1"
    ).fetchall()
    assert [name for (name,) in known] == sorted(name for name, _ in SETTINGS)


@pytest.mark.parametrize(
    ("text", "size"),
    [("7", 7), ("1kb", 1000), ("1.5 MB", 1_500_000), ("2GiB", 2 << 30), ("3K", 3000), ("0", 0)],
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1", "1 TB", "1.MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(OptionError, match="is no size"):
        bytes_of(text)


def test_names_that_duckdb_does_not_tell() -> None:
    types = [(vectors.BIGINT,), (vectors.VARCHAR,)]
    bind = CopyFunction("flac").bind
    with pytest.raises(UnsupportedError, match="COLUMNS"):
        bind(None, types, ())
    assert bind(None, types, [("COLUMNS", ["a", "b"])]).table.schema.names == ["a", "b"]
    assert bind(["x", "y"], types, [("COLUMNS", ["a", "b"])]).table.schema.names == ["a", "b"]
    assert bind(["x"], types[:1], [("COLUMNS", "a")]).table.schema.names == ["a"]
    row = (vectors.STRUCT, (("a", types[0]), ("b", types[1])))
    assert bind(None, [row], ()).table.schema.names == ["a", "b"]
    with pytest.raises(OptionError, match="3 names"):
        bind(None, types, [("COLUMNS", ["a", "b", "c"])])


def without_releases(folder: Path) -> Path:
    """A copy of the extension that knows no release of DuckDB."""
    built = Path(loadable_path("duckdb")).read_bytes()
    made = folder / "audiomem.duckdb_extension"
    changed, count = re.subn(rb"v(1\.5\.6|2\.0\.0|2\.0\.1)(?=\0\0[\x08\x18]\0{7})", rb"x\1", built)
    assert count == 3
    made.write_bytes(changed)
    return made


def test_copy_in_a_release_that_is_not_known(loaded: Any, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        connection.execute(f"LOAD '{without_releases(folder)}'")
        with pytest.raises(
            duckdb.Error, match=r"does not tell this extension how the columns are called.*COLUMNS"
        ):
            connection.execute("COPY (SELECT 1 AS a, 2 AS b) TO 'x.flac'")
        assert not Path("x.flac").exists()
        connection.execute("COPY (SELECT 1 AS a, 2 AS b) TO 'x.flac' (COLUMNS ['one', 'two'])")
        assert [column[0] for column in connection.execute("FROM 'x.flac'").description] == ["one", "two"]
        connection.execute("COPY (SELECT s FROM (SELECT 1 AS a, 2 AS b) AS s) TO 'y.flac'")
        assert [column[0] for column in connection.execute("FROM 'y.flac'").description] == ["a", "b"]


def test_rows_are_spread_over_columns(con: Any) -> None:
    con.execute(
        "COPY (SELECT CASE WHEN id <> 1 THEN s END AS row FROM (SELECT id, w FROM t LIMIT 3) s) TO 'x.flac'"
    )
    found = con.execute("SELECT id, w FROM 'x.flac'").fetchall()
    assert found == [(0, "w0"), (None, None), (2, "w2")]


@pytest.mark.parametrize("extension", ["", ", FILE_EXTENSION 'flac'"])
def test_partitions(con: Any, extension: str) -> None:
    con.execute(f"COPY t TO 'parts' (FORMAT flac, PARTITION_BY w{extension})")
    found = sorted(str(path) for path in Path("parts").rglob("*") if path.is_file())
    assert found == [f"parts/w=w{number}/data_0.flac" for number in range(3)]
    for number in range(3):
        ours = f"SELECT * FROM 'parts/w=w{number}/data_0.flac' ORDER BY id"
        assert same(con, ours, f"SELECT * EXCLUDE w FROM t WHERE w = 'w{number}' ORDER BY id")
    con.execute(
        f"COPY (FROM t WHERE id < 9) TO 'parts' (FORMAT flac, PARTITION_BY w{extension}, OVERWRITE_OR_IGNORE)"
    )
    assert con.execute("SELECT id FROM 'parts/w=w1/data_0.flac'").fetchall() == [(1,), (4,), (7,)]
    con.execute(f"COPY t TO 'kept' (FORMAT flac, PARTITION_BY w{extension}, WRITE_PARTITION_COLUMNS)")
    assert con.execute("SELECT DISTINCT w FROM 'kept/w=w1/data_0.flac'").fetchall() == [("w1",)]


def test_a_query_that_fails_leaves_everything_as_it_was(con: Any) -> None:
    con.execute("COPY (SELECT 1 AS a) TO 'old.flac'")
    before = Path("old.flac").read_bytes()
    failing = "SELECT CASE WHEN id = 9_000 THEN error('boom') ELSE id END AS a FROM t"
    for name in ("old.flac", "new.flac"):
        with pytest.raises(duckdb.Error, match="boom"):
            con.execute(f"COPY ({failing}) TO '{name}'")
    with pytest.raises(duckdb.Error, match="there is no such folder"):
        con.execute("COPY t TO 'nowhere/x.flac'")
    assert os.listdir() == ["old.flac"]
    assert Path("old.flac").read_bytes() == before


def test_many_copies_at_once(con: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def copy(number: int) -> tuple[int, ...]:
        with con.cursor() as cursor:
            cursor.execute(f"COPY (SELECT id + {number} AS id FROM t) TO 'x{number}.flac'")
            return cursor.execute(f"SELECT min(id), count(*) FROM 'x{number}.flac'").fetchone()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(copy, range(6))) == [(number, 10_000) for number in range(6)]


def test_copy_from(con: Any) -> None:
    con.execute("COPY t TO 'x.flac'")
    con.execute("CREATE TABLE u AS FROM t LIMIT 0")
    assert con.execute("COPY u FROM 'x.flac'").fetchone() == (10_000,)
    assert same(con, "FROM u ORDER BY id", "FROM t ORDER BY id")
    con.execute("DELETE FROM u")
    con.execute("COPY u FROM 'x.flac' (FORMAT audiomem, FILTER 'id < 3')")
    assert con.execute("SELECT list(id) FROM u").fetchone() == ([0, 1, 2],)
    with am.open("x.flac") as table:
        table.append(
            [
                {
                    "id": 90_000,
                    "ok": None,
                    "v": None,
                    "w": None,
                    "title": None,
                    "x": None,
                    "seen": None,
                    "raw": None,
                }
            ]
        )
    con.execute("DELETE FROM u")
    con.execute("COPY u FROM 'x.flac' (VERSION 2, FILTER 'id >= 9999')")
    assert con.execute("SELECT list(id) FROM u").fetchone() == ([9_999],)


def test_copy_from_goes_by_names_or_by_order(con: Any) -> None:
    con.execute("COPY (SELECT 1 AS a, 'x' AS b) TO 'x.flac'")
    con.execute("CREATE TABLE u (B VARCHAR, A INTEGER)")
    con.execute("COPY u FROM 'x.flac'")
    con.execute("CREATE TABLE other (n BIGINT, s VARCHAR, more INTEGER)")
    con.execute("COPY other (n, s) FROM 'x.flac'")
    assert con.execute("FROM u").fetchall() == [("x", 1)]
    assert con.execute("FROM other").fetchall() == [(1, "x", None)]
    with pytest.raises(duckdb.Error, match="the table has 3 columns, and the file 2"):
        con.execute("COPY other FROM 'x.flac'")
    with pytest.raises(duckdb.Error, match="there is no such file"):
        con.execute("COPY other FROM 'nowhere.flac'")


def test_copy_from_and_defaults(con: Any) -> None:
    """What the file does not have gets its DEFAULT; a NULL of the file is NULL, and NOT NULL refuses it."""
    con.execute("COPY (SELECT i AS id, 's' || i AS s FROM range(3) AS r(i)) TO 'x.flac'")
    con.execute("CREATE TABLE d (id BIGINT, s VARCHAR DEFAULT 'none', n BIGINT DEFAULT 7 NOT NULL)")
    with pytest.raises(duckdb.Error, match=r"the table has 3 columns, and the file 2.*BY NAME.*DEFAULT"):
        con.execute("COPY d FROM 'x.flac'")
    con.execute("COPY d (s, id) FROM 'x.flac'")
    con.execute("INSERT INTO d BY NAME FROM 'x.flac'")
    con.execute("INSERT INTO d (id) SELECT id FROM 'x.flac'")
    filled = "SELECT s, n, count(*) FROM d GROUP BY ALL ORDER BY ALL"
    assert con.execute(filled).fetchall() == [("none", 7, 3), ("s0", 7, 2), ("s1", 7, 2), ("s2", 7, 2)]
    con.execute(
        "COPY (SELECT 1 AS id, NULL::VARCHAR AS s, NULL::BIGINT AS n UNION ALL SELECT 2, 'x', 8) TO 'y.flac'"
    )
    for statement in ("COPY d FROM 'y.flac'", "INSERT INTO d FROM 'y.flac'"):
        with pytest.raises(duckdb.ConstraintException, match=r"NOT NULL constraint failed: d\.n"):
            con.execute(statement)
    assert con.execute("SELECT count(*) FROM d").fetchone() == (9,)
    con.execute("ALTER TABLE d ALTER n DROP NOT NULL")
    con.execute("COPY d FROM 'y.flac'")
    assert con.execute("SELECT s, n FROM d WHERE id < 3 AND n IS DISTINCT FROM 7 ORDER BY id").fetchall() == [
        (None, None),
        ("x", 8),
    ]
    con.execute(
        "CREATE TABLE keyed (id BIGINT PRIMARY KEY, s VARCHAR, twice BIGINT GENERATED ALWAYS AS (id * 2))"
    )
    con.execute("COPY keyed FROM 'x.flac'")
    with pytest.raises(duckdb.ConstraintException, match="Duplicate key"):
        con.execute("COPY keyed FROM 'x.flac'")
    assert con.execute("SELECT list(twice ORDER BY id) FROM keyed").fetchone() == ([0, 2, 4],)


def test_options_of_duckdbs_own(con: Any) -> None:
    con.execute("COPY (FROM t LIMIT 9) TO 'one.flac' (OVERWRITE)")
    con.execute("COPY (FROM t LIMIT 5) TO 'one.flac' (APPEND)")  # which is about folders, as with Parquet
    assert con.execute("SELECT count(*) FROM 'one.flac'").fetchone() == (5,)
    assert con.execute("COPY (FROM t LIMIT 5) TO 'one.flac' (RETURN_FILES)").fetchall() == [(5, ["one.flac"])]
    for option in ("RETURN_STATS", "FILE_SIZE_BYTES '10KB'"):
        with pytest.raises(duckdb.Error, match=option.split()[0]):
            con.execute(f"COPY t TO 'two.flac' ({option})")
    con.execute("COPY t TO 'many' (FORMAT flac, PER_THREAD_OUTPUT, FILE_EXTENSION 'flac')")
    assert con.execute("SELECT count(*) FROM 'many/*.flac'").fetchone() == (10_000,)
    for _ in range(2):
        con.execute("COPY t TO 'parts' (FORMAT flac, PARTITION_BY w, APPEND)")
    assert con.execute("SELECT count(*) FROM 'parts/**/*.flac'").fetchone() == (20_000,)
    with pytest.raises(duckdb.Error, match="not empty"):
        con.execute("COPY t TO 'parts' (FORMAT flac, PARTITION_BY w)")
    con.execute("COPY t TO 'parts' (FORMAT flac, PARTITION_BY w, OVERWRITE)")
    assert con.execute("SELECT count(*) FROM 'parts/**/*.flac'").fetchone() == (10_000,)
    assert sorted(os.listdir()) == ["many", "one.flac", "parts"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("TINYINT", "7"), ("UBIGINT", "7"), ("DOUBLE", "7"), ("HUGEINT", "-7"), ("DECIMAL(4,1)", "7"),
        ("DECIMAL(9,2)", "-7"), ("DECIMAL(18,3)", "7"), ("DECIMAL(38,5)", "-7"), ("VARCHAR", "7"),
        ("DATE", "TIMESTAMP '2024-02-03 00:00:00'"), ("TIMESTAMP_S", "TIMESTAMP '2024-02-03 04:05:06'"),
        ("TIMESTAMP_NS", "TIMESTAMP '2024-02-03 04:05:06.5'"), ("TIMESTAMPTZ", "TIMESTAMP '2024-02-03 04:05:06'"),
        ("FLOAT[2]", "[1, 2]::FLOAT[2]"), ("FLOAT[]", "[1, 2]::FLOAT[2]"), ("BLOB", "'abc'::BLOB"),
    ],
)  # fmt: skip
def test_copy_from_into_other_types(con: Any, column: str, value: str) -> None:
    con.execute("SET TimeZone = 'UTC'")
    con.execute(f"COPY ({with_a_null(value, 2, 3000)}) TO 'x.flac'")
    con.execute(f"CREATE TABLE u (a {column})")
    con.execute("COPY u FROM 'x.flac'")
    assert con.execute(f"SELECT count(*), count(a), bool_and(a = ({value})::{column}) FROM u").fetchone() == (
        3000,
        2999,
        True,
    )


def test_times_with_a_zone_come_back_as_the_same_moments(con: Any) -> None:
    con.execute("SET TimeZone = 'Europe/Berlin'")
    con.execute("CREATE TABLE z (a TIMESTAMPTZ)")
    con.execute(
        "INSERT INTO z VALUES ('2024-02-03 04:05:06.789+02'), ('2024-10-27 00:30:00+00'), ('2024-10-27 01:30:00+00'), (NULL)"
    )
    con.execute("COPY z TO 'z.flac'")
    assert con.execute("SELECT a::VARCHAR FROM 'z.flac'").fetchall()[:2] == [
        ("2024-02-03 03:05:06.789+01",),
        ("2024-10-27 02:30:00+02",),
    ]
    con.execute("CREATE TABLE back (a TIMESTAMPTZ)")
    con.execute("COPY back FROM 'z.flac'")
    con.execute("INSERT INTO back FROM 'z.flac'")
    moments = "SELECT epoch_us(a) FROM {} ORDER BY rowid"
    assert con.execute(moments.format("back")).fetchall() == 2 * con.execute(moments.format("z")).fetchall()


def test_copy_from_refuses_what_would_be_lost(con: Any) -> None:
    con.execute("COPY (SELECT 300 AS a) TO 'x.flac'")
    con.execute("CREATE TABLE u (a TINYINT)")
    with pytest.raises(duckdb.Error, match=r"x\.flac: column a: values of the file do not fit.*INSERT INTO"):
        con.execute("COPY u FROM 'x.flac'")
    con.execute("CREATE TABLE s (a STRUCT(b INTEGER))")
    with pytest.raises(
        duckdb.Error, match=r"x\.flac: column a: values of the file do not fit: a int is no struct"
    ):
        con.execute("COPY s FROM 'x.flac'")
    assert con.execute("SELECT count(*) FROM u").fetchone() == (0,)


def test_sharded_tables(con: Any) -> None:
    """What is called .shards is one, and takes no other's place."""
    assert con.execute("COPY t TO 'x.shards' (PRIMARY_KEY id, SHARDS 3)").fetchone() == (10_000,)
    assert len([name for name in os.listdir("x.shards") if name.startswith("shard-")]) == 3
    assert same(con, "FROM 'x.shards' ORDER BY id", "FROM t ORDER BY id")
    con.execute(
        "COPY (SELECT i AS a, i % 7 AS b FROM range(20) AS r(i)) TO 'y.shards' (FORMAT audiomem, SHARD_KEY b)"
    )
    table = am.open("y.shards")
    assert len(os.listdir("y.shards")) == 17
    assert table.to_arrow(["a"], "b = 3")["a"].to_pylist() == [3, 10, 17]
    table.close()
    before = sorted(os.listdir("x.shards"))
    with pytest.raises(duckdb.Error, match="takes no other's place"):
        con.execute("COPY t TO 'x.shards' (FORMAT audiomem)")
    Path("z.shards").write_bytes(b"a file")
    with pytest.raises(duckdb.Error, match="takes no other's place"):
        con.execute("COPY t TO 'z.shards' (FORMAT audiomem, USE_TMP_FILE false)")
    with pytest.raises(duckdb.Error, match="shards is for sharded tables"):
        con.execute("COPY t TO 'x.flac' (FORMAT audiomem, SHARDS 3)")
    with pytest.raises(duckdb.Error, match="from 1 to 1,024"):
        con.execute("COPY t TO 'w.shards' (FORMAT audiomem, SHARDS 0)")
    with pytest.raises(duckdb.Error, match="no more"):
        con.execute(
            "COPY (SELECT CASE WHEN i > 9000 THEN error('no more') ELSE i END AS a FROM range(10000) AS r(i)) TO 'w.shards' (FORMAT audiomem)"
        )
    assert sorted(os.listdir()) == ["x.shards", "y.shards", "z.shards"]
    assert sorted(os.listdir("x.shards")) == before
