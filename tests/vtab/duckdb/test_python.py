"""Tables and functions in DuckDB. ``make duckdb`` runs this with each version of DuckDB that is supported."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from table.arrow_dataset.conftest import Twin, twin  # noqa: F401
from table.arrow_dataset.filters import answered_by, condition

import audiomem_sql as am
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.table.reader import TableReader

#: ``AUDIOMEM_ANALYSIS_QUERIES=20000`` for longer.
QUERIES = int(os.environ.get("AUDIOMEM_ANALYSIS_QUERIES", "400")) // 4
WORDS = [
    "how to reset a password",
    "cats and dogs",
    "the disk is full",
    "passwords expire",
    "a quiet evening",
]


@pytest.fixture
def con() -> Iterator[Any]:
    with duckdb.connect(config={"threads": 2}) as connection:
        am.register_duckdb(connection)
        yield connection


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Five rows, then a tag, then a row changed, one deleted and one added."""
    path = tmp_path / "notes.flac"
    rows = [{"id": i + 1, "body": body, "year": 2020 + i} for i, body in enumerate(WORDS)]
    with am.write_flac(rows, path, primary_key="id", semantic="body", model="hashing") as table:
        table.tag("before")
        table.append(
            [{"id": 2, "body": "dogs only", "year": 2030}, {"id": 9, "body": "new", "year": None}],
            replace="id IN (2, 5)",
            message="later",
        )
    return path


def test_attach_opens_a_table_once(con: Any, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    made = TableReader.__init__

    def counting(self: TableReader, path: Any, *rest: Any, **named: Any) -> None:
        opened.append(path)
        made(self, path, *rest, **named)

    monkeypatch.setattr(TableReader, "__init__", counting)
    am.attach(con, str(notes), "n")
    assert con.execute("SELECT count(*) FROM n").fetchall() == [(5,)]
    assert opened == [str(notes)]


def test_this_is_the_version_that_was_asked_for() -> None:
    assert duckdb.__version__ == os.environ.get("AUDIOMEM_DUCKDB", duckdb.__version__)


@pytest.mark.parametrize("way", ["attach", "scan", "register"])
def test_random_queries_have_the_answers_of_a_table_in_memory(con: Any, twin: Twin, way: str) -> None:  # noqa: F811
    """Whatever reaches the scan and whatever does not: filters, columns, LIKE, expressions, NULL, NaN."""
    con.register("arrow_rows", twin.memory)
    con.execute("CREATE TABLE own AS FROM arrow_rows")
    ours = f"audiomem_scan('{twin.table.path}')" if way == "scan" else "ours"
    if way == "attach":
        am.attach(con, twin.table.path, "ours")
    elif way == "register":
        con.register("ours", am.dataset(twin.table.path))
    passed = 0
    for seed in range(QUERIES):
        rng = random.Random(f"{way} {seed}")
        columns = rng.sample(twin.memory.column_names, rng.randrange(1, 5))
        shown = ", ".join(columns) if rng.random() < 0.8 else "count(*)"
        query = f"SELECT {shown} FROM ? WHERE {condition(rng)}"
        found, wanted = (
            sorted(map(repr, con.execute(query.replace("?", name, 1)).fetchall()))
            for name in (ours, answered_by(query))
        )
        assert found == wanted, (seed, query)
        passed += bool(wanted)
    assert passed > QUERIES // 3


def test_joins_groups_and_prepared_statements(con: Any, notes: Path) -> None:
    assert am.attach(con, notes) == "notes"
    con.execute("CREATE TABLE names AS FROM (VALUES (1, 'one'), (9, 'nine')) AS v(id, name)")
    joined = "SELECT name, body FROM notes JOIN names USING (id) WHERE year > ? OR year IS NULL ORDER BY id"
    assert con.execute(joined, [2000]).fetchall() == [("one", WORDS[0]), ("nine", "new")]
    assert con.execute(joined, [2025]).fetchall() == [("nine", "new")]
    grouped = "SELECT year > 2021, count(*) FROM notes GROUP BY ALL ORDER BY 1 NULLS LAST"
    assert con.execute(grouped).fetchall() == [(False, 1), (True, 3), (None, 1)]
    assert con.execute("SELECT a.id FROM notes a JOIN notes b ON a.id = b.id + 1 ORDER BY 1").fetchall() == [
        (2,), (3,), (4,),
    ]  # fmt: skip


def test_every_query_sees_what_is_committed_by_then(con: Any, notes: Path) -> None:
    am.attach(con, notes, "n")
    count = "SELECT count(*) FROM n"
    scan = f"SELECT count(*) FROM audiomem_scan('{notes}')"
    assert [con.execute(sql).fetchone() for sql in (count, scan)] == [(5,), (5,)]
    with am.open(notes) as table:
        table.append([{"id": 20, "body": "late", "year": 1}])
        assert [con.execute(sql).fetchone() for sql in (count, scan)] == [(6,), (6,)]
        table.vacuum()
        assert [con.execute(sql).fetchone() for sql in (count, scan)] == [(6,), (6,)]
        table.alter("add column extra INTEGER DEFAULT 3")
        assert con.execute(f"SELECT sum(extra) FROM audiomem_scan('{notes}')").fetchone() == (18,)


def test_a_commit_during_a_scan_changes_nothing_in_it(con: Any, tmp_path: Path) -> None:
    rows = pa.table({"id": range(200_000), "text": [f"row {i}" for i in range(200_000)]})
    with am.write_flac(rows, tmp_path / "t.flac", primary_key="id", compression_level=1) as table:
        am.attach(con, tmp_path / "t.flac")
        result = con.execute("SELECT id, text FROM t")
        first = result.fetchmany(10)
        table.append([{"id": 300_000, "text": "more"}], replace="id < 100000")
        table.vacuum()
        assert len(first) + len(result.fetchall()) == 200_000
        assert con.execute("SELECT count(*) FROM t").fetchone() == (100_001,)


@pytest.mark.parametrize("way", ["attach", "register"])
def test_texts_that_repeat_and_then_do_not(con: Any, tmp_path: Path, way: str) -> None:
    """They begin as dictionary arrays; DuckDB 1.5 would read what comes later as such, too."""
    rows = pa.table({"id": range(1, 5001), "word": [f"word {i % 5}" for i in range(5000)]})
    with am.write_flac(rows, tmp_path / "t.flac", primary_key="id") as table:
        source = am.dataset(table, live=True, coded=True)
        am.attach(con, table, "t") if way == "attach" else con.register("t", source)
        query = "SELECT count(DISTINCT word), max(word), sum(length(word)) FROM t"
        assert con.execute(query).fetchall() == [(5, "word 4", 30_000)]
        more = [f"{i:05}" for i in range(30_000)]
        table.append(pa.table({"id": range(5001, 35_001), "word": more}))
        assert con.execute(query).fetchall() == [(30_005, "word 4", 180_000)]


@pytest.mark.parametrize("way", ["attach", "register"])
def test_columns_that_change_are_seen_or_refused(con: Any, tmp_path: Path, way: str) -> None:
    """A column of the same name and another type must not be read as what it was."""
    rows = pa.table({"id": range(1, 5001), "word": [f"word {i % 5}" for i in range(5000)]})
    with am.write_flac(rows, tmp_path / "t.flac", primary_key="id") as table:
        am.attach(con, table, "t") if way == "attach" else con.register("t", am.dataset(table, live=True))
        assert con.execute("SELECT max(word) FROM t").fetchall() == [("word 4",)]
        table.alter("drop column word")
        table.alter("add column word INTEGER DEFAULT 7")
        if way == "attach" and int(duckdb.__version__.split(".")[0]) >= 2:
            assert con.execute("SELECT sum(word) FROM t").fetchall() == [(35_000,)]
        else:
            for query in ("SELECT max(word) FROM t", "SELECT max(length(word)) FROM t", "FROM t LIMIT 1"):
                with pytest.raises(duckdb.Error, match=r"altered|changed"):
                    con.execute(query).fetchall()
        am.attach(con, table, "t")
        assert con.execute("SELECT sum(word) FROM t").fetchall() == [(35_000,)]


def test_versions(con: Any, notes: Path) -> None:
    def bodies(arguments: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = con.execute(
            f"SELECT body FROM audiomem_scan('{notes}'{arguments}) ORDER BY id"
        ).fetchall()
        return found

    old = [(body,) for body in WORDS]
    assert bodies(", version := 'before'") == bodies(", version := 2") == old
    assert bodies("")[1] == ("dogs only",)
    with am.open(notes) as table:
        when = table.versions[1].time
        table.alter("drop column year")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when // 1_000_000)) + f".{when % 1_000_000:06}Z"
    assert bodies(f", as_of := '{stamp}'") == old
    assert con.execute(f"FROM audiomem_scan('{notes}', version := 2)").fetchone() == (1, WORDS[0], 2020)
    listed = con.execute(
        f"SELECT snapshot_id, inserted, deleted, tag, commit_message FROM audiomem_snapshots('{notes}')"
    ).fetchall()
    assert listed[:4] == [
        (1, 0, 0, None, None), (2, 5, 0, "before", None), (3, 0, 0, None, "tag before"), (4, 2, 2, None, "later"),
    ]  # fmt: skip
    changed = con.execute(
        f"SELECT snapshot_id, row_id, change_type, body FROM audiomem_changes('{notes}', 3, 4) ORDER BY ALL"
    ).fetchall()
    assert changed == [
        (4, 2, "update_postimage", "dogs only"),
        (4, 2, "update_preimage", WORDS[1]),
        (4, 5, "delete", WORDS[4]),
        (4, 9, "insert", "new"),
    ]


def test_search(con: Any, notes: Path) -> None:
    query = (
        f"SELECT id, distance FROM audiomem_search('{notes}', 'reset a password', k := 2) ORDER BY distance"
    )
    found = con.execute(query).fetchall()
    with am.open(notes) as table:
        assert [row[0] for row in found] == table.search("reset a password", 2)["id"].to_pylist()
    assert found[0][0] == 1
    filtered = (
        f"SELECT id FROM audiomem_search('{notes}', 'dogs', k := 3, condition := 'year < 2025', version := 2)"
    )
    assert con.execute(filtered).fetchone() == (2,)
    joined = (
        f"SELECT n.year FROM audiomem_search('{notes}', 'disk') s JOIN audiomem_scan('{notes}') n USING (id)"
    )
    assert (2022,) in con.execute(joined).fetchall()


def test_the_first_rows_in_an_order(con: Any, notes: Path) -> None:
    query = f"SELECT id FROM audiomem_top('{notes}', 'year DESC, id', k := 2)"
    assert con.execute(query).fetchall() == [(2,), (4,)]
    older = f"SELECT id FROM audiomem_top('{notes}', 'year', condition := 'id > 2', version := 'before')"
    assert con.execute(older).fetchall() == [(3,), (4,), (5,)]
    with pytest.raises(duckdb.Error, match="no order"):
        con.execute(f"FROM audiomem_top('{notes}', 'year +')")


def test_functions(con: Any) -> None:
    assert con.execute(
        "SELECT cosine_distance([1.0, 0], [0, 1.0]), l2_distance('[0,0]', '[3,4]')"
    ).fetchone() == (
        1.0,
        5.0,
    )
    assert con.execute("SELECT cosine_distance(NULL, [1.0])").fetchone() == (None,)
    (vector,) = con.execute("SELECT vec_from_json('[1, 2]')").fetchone()
    assert vector == [1, 2]
    blob = np.array(vector, "<f4").tobytes()
    assert con.execute("SELECT vec_to_json(?), vec_to_json(?)", [blob, vector]).fetchone() == (
        "[1.0, 2.0]",
        "[1.0, 2.0]",
    )
    assert con.execute("SELECT len(embed('a', 'hashing')) FROM range(3)").fetchall() == [(256,)] * 3
    assert con.execute("SELECT audiomem_version()").fetchone() == (am.__version__,)
    with pytest.raises(duckdb.Error, match="does not take 1 arguments"):
        con.execute("SELECT cosine_distance([1.0])")


def test_files_are_written_from_relations(con: Any, notes: Path, tmp_path: Path) -> None:
    am.attach(con, notes)
    with am.write_flac(
        con.sql("SELECT id, upper(body) AS body FROM notes WHERE id < 3"), tmp_path / "b.flac"
    ) as made:
        assert made.to_arrow()["body"].to_pylist() == [WORDS[0].upper(), "DOGS ONLY"]
    con.execute(f"CREATE TABLE kept AS FROM audiomem_scan('{tmp_path / 'b.flac'}')")
    con.execute(f"COPY kept TO '{tmp_path / 'b.parquet'}'")
    assert con.execute(f"SELECT count(*) FROM '{tmp_path / 'b.parquet'}'").fetchone() == (2,)


@pytest.mark.damages
def test_columns_and_filters_reach_the_scan(con: Any, tmp_path: Path) -> None:
    """Damage in rows that the filter leaves out, and in columns that no query names, is not met."""
    rows = pa.table(
        {"id": range(50_000), "n": range(50_000), "word": [f"word {i * 7919}" for i in range(50_000)]}
    )
    path = tmp_path / "t.flac"
    am.write_flac(rows, path, primary_key="id", protection="none", profile="embedded").close()
    with am.open(path) as table:
        (segment,) = table.snapshot.segments
        directory = segment.directory(2)
        assert directory is not None
        offset = int(directory.offsets[directory.count // 2])
        page = segment.file.page_at(segment.data_cell, offset)
        start = path.stat().st_size * page // segment.file.page_count
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(4096))
    with am.open(path) as table:
        am.attach(con, table, "t")
        assert con.execute("SELECT sum(n), count(*) FROM t").fetchone() == (sum(range(50_000)), 50_000)
        assert con.execute("SELECT word FROM t WHERE id IN (1, 2)").fetchall() == [
            ("word 7919",),
            ("word 15838",),
        ]
        with pytest.raises(duckdb.Error, match="CRC-32C"):
            con.execute("SELECT max(word) FROM t").fetchall()


@pytest.mark.damages
def test_a_prefix_reaches_the_scan(con: Any, tmp_path: Path) -> None:
    """DuckDB 2.0 hands over no LIKE: ``filter`` takes it, and a range beside it is handed over."""
    path = tmp_path / "t.flac"
    words = [f"w{i:05d} {i * 7919}" for i in range(50_000)]
    am.write_flac(pa.table({"word": words}), path, protection="none", profile="embedded").close()
    with am.open(path) as table:
        (segment,) = table.snapshot.segments
        directory = segment.directory(0)
        assert directory is not None
        page = segment.file.page_at(segment.data_cell, int(directory.offsets[directory.count // 2]))
        start = path.stat().st_size * page // segment.file.page_count
    with open(path, "r+b") as file:
        file.seek(start)
        file.write(bytes(4096))
    for pushed in (
        "word LIKE ''w0001%''",
        "word GLOB ''w0001*''",
        "substr(word, 1, 5) = ''w0001'' AND word < ''w001''",
    ):
        found = con.execute(f"SELECT word FROM audiomem_scan('{path}', filter := '{pushed}')").fetchall()
        assert [word for (word,) in found] == words[10:20]
    with am.open(path) as table:
        am.attach(con, table, "t")
        query = "SELECT word FROM t WHERE word LIKE 'w0001%' AND word >= 'w0001' AND word < 'w0002'"
        assert [word for (word,) in con.execute(query).fetchall()] == words[10:20]
        with pytest.raises(duckdb.Error, match="CRC-32C"):
            con.execute("SELECT word FROM t WHERE word LIKE '%7'").fetchall()


def test_bad_input_names_the_file_and_the_remedy(con: Any, notes: Path, tmp_path: Path) -> None:
    for sql, told in (
        (f"FROM audiomem_scan('{tmp_path}/missing.flac')", r"missing\.flac"),
        (f"FROM audiomem_scan('{notes}', version := 99)", "99"),
        (f"FROM audiomem_scan('{notes}', version := 'nobody')", "nobody"),
        (f"FROM audiomem_scan('{notes}', as_of := 'someday')", "someday"),
        (f"FROM audiomem_search('{notes}', 'a', k := 0)", "k = 0"),
        (f"FROM audiomem_search('{notes}', 'a', condition := 'year >')", "year"),
        (f"SELECT nothing FROM audiomem_scan('{notes}')", "nothing"),
        ("FROM audiomem_scan(NULL)", "no path"),
    ):
        with pytest.raises(duckdb.Error, match=told):
            con.execute(sql)
    with pytest.raises(OptionError, match="no connection of DuckDB"):
        am.register_duckdb(notes)
    with pytest.raises(StorageError, match=r"missing\.flac"):
        am.attach(con, tmp_path / "missing.flac")
    assert con.execute(f"SELECT count(*) FROM audiomem_scan('{notes}')").fetchone() == (5,)


def test_functions_called_from_several_modules_and_cursors(con: Any, notes: Path) -> None:
    """A query finds its table whichever module runs it."""
    query = f"SELECT count(*) FROM audiomem_scan('{notes}')"
    namespace: dict[str, Any] = {"con": con, "__name__": "elsewhere"}
    exec(f'found = con.execute("{query}").fetchall()', namespace)
    assert namespace["found"] == con.execute(query).fetchall() == [(5,)]
    with con.cursor() as cursor:
        am.register_duckdb(cursor)
        assert cursor.execute(query).fetchall() == [(5,)]
        assert cursor.execute("SELECT l2_distance([0], [2])").fetchall() == [(2,)]
    am.register_duckdb(con)  # twice is harmless
    assert con.execute(query).fetchall() == [(5,)]


def test_functions_outlive_the_cursor_that_registered_them(notes: Path) -> None:
    with duckdb.connect() as con:
        cursor = con.cursor()
        am.register_duckdb(cursor)
        cursor.close()
        del cursor
        gc.collect()
        am.register_duckdb(con)
        found = con.execute(f"SELECT count(*) FROM audiomem_scan('{notes}')").fetchall()
        assert found == [(5,)]
        assert con.execute("SELECT cosine_distance([1], [1])").fetchall() == [(0,)]


def test_a_connection_that_nobody_closes_ends_quietly(notes: Path) -> None:
    code = (
        "import sys, duckdb, audiomem_sql as am\n"
        "con = duckdb.connect()\n"
        "am.register_duckdb(con)\n"
        "print(con.execute(f\"SELECT count(*) FROM audiomem_scan('{sys.argv[1]}')\").fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(notes)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[(5,)]\n", "")


def test_calls_leave_no_variables(con: Any, notes: Path) -> None:
    """A query finds its rows among the caller's variables, and there is nothing left of that when it runs."""
    for number in range(20):
        con.execute(
            f"SELECT count(*) FROM audiomem_top('{notes}', 'id', condition := 'id > {number}')"
        ).fetchall()
    with pytest.raises(duckdb.Error):
        con.execute(f"SELECT nothing FROM audiomem_scan('{notes}')")
    assert [name for name in globals() if name.startswith("audiomem_source")] == []


def test_without_the_package_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['duckdb'] = None\n"
        "import audiomem_sql as am\n"
        "try:\n    am.register_duckdb(None)\n"
        "except am.AudioMemError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'audiomem-sql[duckdb]'" in done.stdout
