"""The scan that is built for a release of DuckDB: what its WHERE leaves, order, threads, and what it is loaded by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.loadable import loadable_path

#: SQLite has no part in this.
DOORS = ("extension",)
ROWS = """
SELECT i AS id, 'n' || (i % 100) AS name, i / 3.0 AS x, i % 2 = 0 AS ok, [i, -i]::FLOAT[2] AS v,
  CASE WHEN i % 3 > 0 THEN TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE END AS ts FROM range(300_000) AS r(i)
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows, in several blocks."""
    path = tmp_path_factory.mktemp("second") / "t.flac"
    with duckdb.connect() as connection:
        am.write_flac(connection.sql(ROWS), path).close()
    return path


@pytest.fixture
def con(loaded: Any, file: Path) -> Any:
    shutil.copy(file, "t.flac")
    loaded.execute("SET enable_progress_bar = false")
    return loaded


def loaded_files(connection: Any) -> list[str]:
    query = "SELECT extension_name FROM duckdb_extensions() WHERE loaded AND extension_name LIKE 'audiomem%' ORDER BY 1"
    return [name for (name,) in connection.execute(query).fetchall()]


def rows_of_scan(connection: Any, query: str) -> int:
    """How many rows the scan gave."""
    (_, profile), *_ = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}").fetchall()
    nodes = json.loads(profile)["operator"]
    while nodes:
        node = nodes.pop()
        if node["type"] == "TABLE_SCAN":
            return int(node["intermediate_rows"])
        nodes += node["children"]
    raise AssertionError(profile)


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("id > 299_990", 9), ("id BETWEEN 5 AND 9", 5), ("5 < id AND 20 >= id", 16), ("id IN (1, 2, 3)", 3),
        ("name LIKE 'n9%'", 33_000), ("starts_with(name, 'n55')", 3000), ("name >= 'n98' AND id < 100", 2),
        ("name = 'n7' OR id < 10", 3009), ("ok AND id < 10", 5), ("NOT ok AND id < 10", 5), ("x > 99_999.5", 1),
        ("date_trunc('day', ts) = '2024-02-01'", 960), ("ts IS NULL AND id < 10", 4), ("id + 1 = 7", 1),
        ("id < (5 + 5)", 10), ("name LIKE '%7' AND id < 10", 1), ("name LIKE '%7'", 30_000),
        ("name LIKE '%n7%'", 33_000), ("name LIKE 'n%7%'", 57_000), ("name NOT LIKE '%7'", 270_000),
        ("name ILIKE '%N7'", 3000), ("instr(name, '77') > 0", 3000), ("name LIKE '%_7'", 300_000),
    ],
)  # fmt: skip
def test_a_where_reaches_the_scan(con: Any, condition: str, rows: int) -> None:
    query = f"SELECT count(*), sum(id) FROM ? WHERE {condition}"
    assert rows_of_scan(con, query.replace("?", "'t.flac'")) == rows
    expected = con.execute(query.replace("?", f"({ROWS})")).fetchone()
    assert con.execute(query.replace("?", "'t.flac'")).fetchone() == expected


def test_parameters_and_the_same_file_twice(con: Any) -> None:
    con.execute("PREPARE p AS SELECT count(*) FROM 't.flac' WHERE id < ?")
    assert [con.execute(f"EXECUTE p({number})").fetchone() for number in (5, 50, 2)] == [(5,), (50,), (2,)]
    assert con.execute("SELECT count(*) FROM 't.flac' WHERE id < ?", [7]).fetchone() == (7,)
    common = "WITH c AS {} (FROM 't.flac') SELECT (SELECT count(*) FROM c WHERE id < 10), (SELECT count(*) FROM c WHERE id > 299_989), (SELECT count(*) FROM c)"
    for kind in ("", "MATERIALIZED", "NOT MATERIALIZED"):
        assert con.execute(common.format(kind)).fetchone() == (10, 10, 300_000)
    joined = (
        "SELECT count(*) FROM 't.flac' a JOIN 't.flac' b ON a.id = b.id + 1 WHERE a.id < 100 AND b.id > 50"
    )
    assert con.execute(joined).fetchone() == (48,)
    united = "SELECT count(*) FROM (FROM 't.flac' UNION ALL FROM 't.flac') WHERE id < 10"
    assert con.execute(united).fetchone() == (20,)
    con.execute("CREATE VIEW v AS FROM 't.flac'")
    assert con.execute("SELECT count(*) FROM v WHERE id >= 299_995 AND id NOT IN (299_996)").fetchone() == (
        4,
    )


def test_rows_keep_their_order_over_threads(con: Any) -> None:
    con.execute("CREATE TABLE u AS FROM 't.flac' WHERE id >= 1000")
    assert con.execute("SELECT bool_and(id = rowid + 1000), count(*) FROM u").fetchone() == (True, 299_000)
    con.execute("COPY (FROM 't.flac') TO 'copy.flac'")
    assert con.execute("SELECT id FROM 'copy.flac'").fetchall() == [(number,) for number in range(300_000)]
    assert con.execute("SELECT id FROM 't.flac' WHERE name = 'n5' LIMIT 2 OFFSET 1").fetchall() == [
        (105,),
        (205,),
    ]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_order_by_threads_and_settings(con: Any, threads: int) -> None:
    con.execute(f"SET threads = {threads}")
    query = "SELECT count(*), sum(id), bool_and(id = rowid) FROM u"
    for keeps in ("true", "false"):
        con.execute(f"SET preserve_insertion_order = {keeps}")
        con.execute("CREATE OR REPLACE TABLE u AS FROM 't.flac'")
        *sums, in_order = con.execute(query).fetchone()
        assert sums == [300_000, sum(range(300_000))]
        assert in_order or keeps == "false"
        found = con.execute(
            "SELECT list(id) FROM (SELECT id FROM 't.flac' WHERE name LIKE 'n9%' LIMIT 3)"
        ).fetchone()
        assert len(found[0]) == 3
        assert keeps == "false" or found == ([9, 90, 91],)


def test_progress(con: Any) -> None:
    seen = []

    def look(values: pa.ChunkedArray) -> pa.ChunkedArray:
        seen.append(con.query_progress())
        return values

    for setting in ("threads = 1", "enable_progress_bar = true", "enable_progress_bar_print = false"):
        con.execute(f"SET {setting}")
    con.create_function("look", look, ["BIGINT"], "BIGINT", type="arrow")
    assert con.execute("SELECT sum(look(id)) FROM 't.flac'").fetchone() == (sum(range(300_000)),)
    assert seen == sorted(seen)
    assert any(0 < part < 100 for part in seen), seen  # DuckDB asks now and then
    assert max(seen) <= 100


def test_values_of_every_type(con: Any) -> None:
    assert (
        con.execute("FROM 't.flac' WHERE id < 3000").fetchall()
        == con.execute(f"FROM ({ROWS}) WHERE id < 3000").fetchall()
    )
    assert con.execute("SELECT count(*) FROM 't.flac'").fetchone() == (300_000,)
    texts = ["", "x" * 12, "x" * 13, "🎼" * 5000, None, "a\0b"]
    am.write_flac(
        [{"s": text, "raw": None if text is None else text.encode()} for text in texts], "s.flac"
    ).close()
    assert con.execute("FROM 's.flac'").fetchall() == [
        (text, None if text is None else text.encode()) for text in texts
    ]


def test_a_filter_and_a_version_beside_a_where(con: Any) -> None:
    with am.open("t.flac") as table:
        table.tag("first")
        table.append([{"id": 300_000, "name": "new"}])
    query = "SELECT list(id ORDER BY id) FROM audiomem_scan('t.flac'{}) WHERE id > 299_997"
    assert con.execute(query.format("")).fetchone() == ([299_998, 299_999, 300_000],)
    assert con.execute(query.format(", version := 'first'")).fetchone() == ([299_998, 299_999],)
    assert con.execute(query.format(", filter := 'ok'")).fetchone() == ([299_998],)
    assert con.execute(
        query.format(", as_of := TIMESTAMP '2100-01-01 00:00:00', filename := true")
    ).fetchone() == ([299_998, 299_999, 300_000],)


def test_which_file_is_loaded(con: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    release = duckdb.__version__.replace(".", "_")
    assert loaded_files(con) == ["audiomem", f"audiomem_{release}"]
    copy = tmp_path / "it's elsewhere"
    copy.mkdir()
    stable = shutil.copy(loadable_path("duckdb"), copy)
    with duckdb.connect(
        config={"allow_unsigned_extensions": "true"}
    ) as alone:  # as in a release that is not known
        alone.execute("LOAD '{}'".format(stable.replace("'", "''")))
        assert loaded_files(alone) == ["audiomem"]
        assert alone.execute("SELECT count(*) FROM 't.flac' WHERE id < 5").fetchone() == (5,)
    shutil.copy(Path(loadable_path("duckdb")).with_name(f"audiomem_{release}.duckdb_extension"), copy)
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as both:
        both.execute("LOAD '{}'".format(stable.replace("'", "''")))
        assert loaded_files(both) == ["audiomem", f"audiomem_{release}"]
    monkeypatch.setenv("AUDIOMEM_DUCKDB_INTERFACE", "stable")
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as chosen:
        am.load(chosen)
        assert loaded_files(chosen) == ["audiomem"]
        assert rows_of_scan(chosen, "SELECT count(*) FROM 't.flac' WHERE id < 5") == 300_000


def test_errors(con: Any) -> None:
    with pytest.raises(duckdb.Error, match=r"nix\.flac: there is no such file"):
        con.execute("FROM audiomem_scan('nix.flac')")
    with pytest.raises(duckdb.Error, match="nix"):
        con.execute("FROM audiomem_scan('t.flac', nix := 1)")
