"""DuckDB with the extension: its own shell, its Python package, every type, and real music left alone."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import pytest
import soundfile
from samples import SCHEMA, content, create

import audiomem_sql
from audiomem_sql import udfs
from audiomem_sql.errors import SchemaError, UnsupportedError
from audiomem_sql.loadable import loadable_path
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.duckdb.extension import Door
from audiomem_sql.vtab.duckdb.open_tables import KEPT
from audiomem_sql.vtab.duckdb.scanning import audiomem_scan

from .conftest import ENVIRONMENT, ROOT, Said


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of DuckDB's Python package with the extension."""
    made = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    made.execute(f"LOAD '{loadable_path('duckdb')}'")
    yield made
    made.close()


def shell(*statements: str, folder: Path, **more: str) -> Said:
    """Run statements in DuckDB's shell, which loads the extension first."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "duckdb"), "-unsigned", "-list", "-noheader"],
        input="\n".join([f"LOAD '{loadable_path('duckdb')}';", *statements, ""]),
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT | {"HOME": str(folder), "PYTHONPATH": str(ROOT)} | more,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def notes(folder: Path) -> None:
    """A table with four versions."""
    with Table.create(
        folder / "notes.flac",
        ["id INTEGER PRIMARY KEY", "title TEXT", "body TEXT SEMANTIC INDEXED", "year INTEGER"],
        {"model": "hashing"},
    ) as table:
        table.append(
            [
                {"id": 1, "title": "a", "body": "How do I reset my password?", "year": 2021},
                {"id": 2, "title": "b", "body": "Passwords are reset by mail", "year": 2019},
                {"id": 3, "title": "c", "body": None, "year": 2023},
            ]
        )
        table.tag("spring")
        table.append([{"id": 4, "title": "d", "body": "cats", "year": None}], message="one more")


def test_its_shell_gives_what_python_gives(tmp_path: Path) -> None:
    notes(tmp_path)
    said = shell(
        "FROM 'notes.flac';",
        "SELECT id FROM audiomem_search('notes.flac', 'reset a password', k := 1, filter := 'year > 2020');",
        "SELECT count(*) FROM audiomem_scan('notes.flac', version := 2);",
        "SELECT count(*) FROM audiomem_scan('notes.flac', version := 'spring');",
        "SELECT snapshot_id, inserted, tag, commit_message FROM audiomem_snapshots('notes.flac');",
        "SELECT change_type, id, title FROM audiomem_changes('notes.flac', 'spring', 4) "
        "WHERE snapshot_id > 2;",
        "CREATE TABLE reader AS SELECT 2 AS note, 'Ada' AS name;",
        "SELECT name, title FROM 'notes.flac' JOIN reader ON note = id;",
        "SELECT title FROM audiomem_scan('notes.flac', filter := 'year IS NULL');",
        "SELECT audiomem_version(), len(embed('x', 'hashing')), cosine_distance([1.0, 0], [0.0, 1]);",
        folder=tmp_path,
    )
    assert said.err == ""
    assert said.out.splitlines() == [
        "1|a|How do I reset my password?|2021",
        "2|b|Passwords are reset by mail|2019",
        "3|c|NULL|2023",
        "4|d|cats|NULL",
        "1",
        "3",
        "3",
        "1|0|NULL|NULL",
        "2|3|spring|NULL",
        "3|0|NULL|tag spring",
        "4|1|NULL|one more",
        "insert|4|d",
        "Ada|b",
        "d",
        f"{audiomem_sql.__version__}|256|1.0",
    ]


def test_every_value_of_every_type(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 5000) as table:
        expected = content(table)
        table.append([{"id": 9000, "code": "last"}])  # in the log, with NULLs
        expected += content(table)[-1:]
    path = str(tmp_path / "t.flac")
    names = ", ".join("epoch_us(seen) AS seen" if name == "seen" else name for name in SCHEMA.names)
    found = connection.execute(f"SELECT {names} FROM '{path}' ORDER BY id").fetchall()
    assert len(found) == 5001
    for row, known in zip(found, expected, strict=True):
        assert list(map(_comparable, row)) == list(map(_comparable, known.values()))
    described = connection.execute(f"DESCRIBE FROM '{path}'").fetchall()
    assert [column[1] for column in described] == [
        "BIGINT", "BIGINT", "DOUBLE", "VARCHAR", "VARCHAR", "JSON", "BLOB", "BOOLEAN", "TIMESTAMP",
        "FLOAT[3]", "VARCHAR",
    ]  # fmt: skip


def _comparable(value: Any) -> Any:
    return tuple(map(float, value)) if isinstance(value, (list, tuple)) else repr(value)


def test_only_the_columns_that_are_named_are_decoded(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    create(tmp_path / "t.flac", 3000).close()
    path = tmp_path / "t.flac"
    for columns in ("x, id", "code, n, code", "vec, raw", "id AS a, id AS b"):
        ours = connection.execute(f"SELECT {columns} FROM '{path}'").fetchall()
        assert ours == connection.execute(f"SELECT {columns} FROM (SELECT * FROM '{path}')").fetchall()
        assert len(ours) == 3000
    assert connection.execute(f"SELECT count(*) FROM '{path}' WHERE n > 0").fetchone() == (
        connection.execute(f"SELECT count(*) FILTER (n > 0) FROM '{path}'").fetchone()
    )
    plan = connection.execute(f"EXPLAIN SELECT title FROM '{path}'").fetchall()[0][1]
    assert "Projections: title" in plan


def test_music_and_everything_else_is_left_alone(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "song.flac", np.zeros((4800, 2)), 48000)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    assert connection.execute(f"FROM '{tmp_path / 't.csv'}'").fetchall() == [(1, 2)]
    with pytest.raises(duckdb.Error, match=r"song\.flac") as caught:
        connection.execute(f"FROM '{tmp_path / 'song.flac'}'")
    assert "AudioMemory" not in str(caught.value)
    with pytest.raises(duckdb.Error, match="holds sound, not a table"):
        connection.execute(f"FROM audiomem_scan('{tmp_path / 'song.flac'}')")


def test_errors_of_ours_are_errors_of_duckdb(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    notes(tmp_path)
    path = tmp_path / "notes.flac"
    for query, expected in (
        ("FROM 'nowhere.flac'", "there is no such file"),
        (f"FROM audiomem_scan('{path}', version := 9)", "version 9 is not kept"),
        (f"FROM audiomem_scan('{path}', version := 1, as_of := '2020-01-01')", "exclude each other"),
        (f"FROM audiomem_scan('{path}', filter := 'nix = 1')", "there is no column 'nix'"),
        (f"FROM audiomem_search('{path}', 'x', k := 0)", "k = 0 is no number of rows"),
        (f"FROM audiomem_search('{path}', NULL)", "nothing to search for"),
        (f"FROM audiomem_changes('{path}', 'nix', 2)", "there is no tag 'nix'"),
        ("SELECT cosine_distance([1], [1, 2])", "the vectors have 1 and 2 numbers"),
        ("FROM audiomem_scan(NULL)", "there is no path"),
    ):
        with pytest.raises(duckdb.Error, match=expected):
            connection.execute(query).fetchall()
    assert connection.execute(f"SELECT count(*) FROM '{path}'").fetchone() == (4,)


@pytest.mark.damages
def test_damage_is_told_and_no_wrong_row_is_given(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    create(path, 3000, protection="none").close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    with pytest.raises(duckdb.Error, match=r"t\.flac: page \d+"):
        connection.execute(f"FROM '{path}'").fetchall()


def test_commits_of_others_are_seen_by_the_next_statement(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    notes(tmp_path)
    query = f"SELECT count(*) FROM '{tmp_path / 'notes.flac'}'"
    assert connection.execute(query).fetchone() == (4,)
    with audiomem_sql.open(tmp_path / "notes.flac") as table:
        table.append([{"id": 5, "title": "e"}])
        assert connection.execute(query).fetchone() == (5,)
        table.vacuum()
        assert connection.execute(query).fetchone() == (5,)


def test_a_file_that_is_replaced_or_gone(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    notes(tmp_path)
    path = tmp_path / "notes.flac"
    assert connection.execute(f"SELECT count(*) FROM '{path}'").fetchone() == (4,)
    path.rename(tmp_path / "old.flac")
    with pytest.raises(duckdb.Error, match="there is no such file"):
        connection.execute(f"FROM '{path}'")
    audiomem_sql.write_flac([{"other": "columns"}], path).close()
    assert connection.execute(f"FROM '{path}'").fetchall() == [("columns",)]
    (tmp_path / "new").mkdir()
    audiomem_sql.write_flac([{"a": 1}], tmp_path / "new" / "notes.flac").close()
    (tmp_path / "new" / "notes.flac").replace(path)
    assert connection.execute(f"FROM '{path}'").fetchall() == [(1,)]


def test_a_prepared_statement_sees_later_commits(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    notes(tmp_path)
    path = tmp_path / "notes.flac"
    connection.execute(f"PREPARE rows AS SELECT count(*), max(id) FROM '{path}'")
    connection.execute(f"PREPARE old AS SELECT count(*) FROM audiomem_scan('{path}', version := 'spring')")
    connection.execute(f"PREPARE versions AS SELECT max(snapshot_id) FROM audiomem_snapshots('{path}')")
    connection.execute(f"PREPARE made AS SELECT max(id) FROM audiomem_changes('{path}', 2, NULL)")
    assert connection.execute("EXECUTE rows").fetchone() == (4, 4)
    with Table(path) as table:
        table.append([{"id": 9, "title": "e"}])
        expected = {"rows": (5, 9), "old": (3,), "versions": (5,), "made": (9,)}
        assert {name: connection.execute(f"EXECUTE {name}").fetchone() for name in expected} == expected
        prepared = audiomem_scan(str(path), None, None, None)  # DuckDB may prepare again by itself, or not
        table.alter("add column more TEXT")
        with pytest.raises(SchemaError, match="Prepare it again"):
            prepared.batches([0])
    assert connection.execute(f"SELECT count(more) FROM '{path}'").fetchone() == (0,)


def test_a_statement_that_runs_reads_what_there_was_when_it_began(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    create(path, 20_000).close()
    begun = connection.cursor().execute(f"SELECT id FROM '{path}'")
    rows = begun.fetchmany(10)
    with Table(path) as table:
        table.append([{"id": 30_000, "code": "new"}])
        table.vacuum()
    assert connection.execute(f"SELECT count(*) FROM '{path}'").fetchone() == (20_001,)
    rows += begun.fetchall()
    assert [number for (number,) in rows] == list(range(1, 20_001))


def test_more_tables_than_are_kept_open(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    for number in range(KEPT + 3):
        audiomem_sql.write_flac([{"n": number}], tmp_path / f"t{number}.flac").close()
    query = " UNION ALL ".join(f"FROM '{tmp_path / f't{number}.flac'}'" for number in range(KEPT + 3))
    for _ in range(2):
        assert sorted(connection.execute(query).fetchall()) == [(number,) for number in range(KEPT + 3)]


def test_changes_across_a_change_of_the_columns(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    with Table.create(
        path, ["a INTEGER", "ok BOOLEAN", "seen TIMESTAMP", "v FLOAT[2]", "gone TEXT"]
    ) as table:
        table.append([{"a": 1, "ok": True, "seen": "2024-01-02T03:04:05Z", "v": [1.0, 2.0], "gone": "x"}])
        table.alter("drop column gone")
        table.alter("rename column a TO b")
        table.append([{"b": 2, "ok": None, "seen": None, "v": None}])
    found = connection.execute(f"SELECT * EXCLUDE row_id FROM audiomem_changes('{path}', 1, 5)").fetchall()
    assert [(row[0], row[1], row[2], row[3], str(row[4]), row[5]) for row in found] == [
        (2, "insert", 1, True, "2024-01-02 03:04:05", (1.0, 2.0)),
        (5, "insert", 2, None, "None", None),
    ]
    names = [
        column[0]
        for column in connection.execute(f"DESCRIBE FROM audiomem_changes('{path}', 1, 5)").fetchall()
    ]
    assert names == ["snapshot_id", "row_id", "change_type", "b", "ok", "seen", "v"]


def test_threads(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    create(tmp_path / "t.flac", 20_000).close()
    path = tmp_path / "t.flac"
    query = f"SELECT count(*), sum(length(title)), sum(id) FROM '{path}'"
    expected = connection.execute(query).fetchone()
    failed: list[BaseException] = []

    def hammer() -> None:
        try:
            with connection.cursor() as cursor:
                for _ in range(10):
                    assert cursor.execute(query).fetchone() == expected
                    assert cursor.execute(f"SELECT title FROM '{path}' LIMIT 3").fetchmany(1)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_every_scalar_function_is_there(connection: duckdb.DuckDBPyConnection) -> None:
    names = {function.name for function in udfs.functions()}
    known = connection.execute("SELECT DISTINCT function_name FROM duckdb_functions()").fetchall()
    assert names <= {name for (name,) in known}
    assert {scalar.name for scalar in Door(udfs.functions()).scalars} == names | {"audiomem_nearest"}
    values = "(VALUES ('a b'), (NULL), ('a longer text than twelve bytes, with b in it 🎼')) AS t(text)"
    assert connection.execute(f"SELECT highlight(text, 'b') FROM {values}").fetchall() == [
        ("a [b]",), (None,), ("a longer text than twelve bytes, with [b] in it 🎼",),
    ]  # fmt: skip
    assert connection.execute("SELECT vec_from_json('[1, 2.5]'), vec_to_json([1, 2.5])").fetchone() == (
        [1.0, 2.5],
        "[1.0, 2.5]",
    )
    (distance,) = connection.execute("SELECT l2_distance([1, 1]::FLOAT[2], [0, 0])").fetchone() or (0,)
    assert math.isclose(distance, math.sqrt(2), rel_tol=1e-6)
    assert snippet_of(connection) == "… b…"


def snippet_of(connection: duckdb.DuckDBPyConnection) -> Any:
    found = connection.execute("SELECT snippet('a b c d e f', 'b', '', '', '… ', 1)").fetchone() or ("",)
    return " ".join(str(found[0]).split())


def test_texts_are_embedded_together(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    texts = "SELECT CASE WHEN i % 7 > 0 THEN 'text ' || (i % 5) END AS text FROM range(5000) AS r(i)"
    query = f"SELECT text, embed(text, 'hashing') AS v FROM ({texts})"
    (different, nulls) = (
        connection.execute(f"SELECT count(DISTINCT v), count(*) - count(v) FROM ({query})").fetchone() or ()
    )
    assert (different, nulls) == (5, 715)
    sqlite = apsw.Connection(":memory:")
    audiomem_sql.register(sqlite)
    for text, vector in connection.execute(
        f"SELECT DISTINCT ON (text) * FROM ({query}) WHERE text IS NOT NULL"
    ).fetchall():
        ((expected,),) = sqlite.execute("SELECT embed(?, 'hashing')", (text,)).fetchall()
        assert np.array(vector, "<f4").tobytes() == expected
    sqlite.close()
    with pytest.raises(duckdb.Error, match="embed takes a text, the name of a model, and that of a backend"):
        connection.execute("SELECT embed('x', NULL)")


def test_load_takes_a_connection_of_duckdb(tmp_path: Path) -> None:
    made = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    audiomem_sql.load(made)
    assert made.execute("SELECT audiomem_version()").fetchone() == (audiomem_sql.__version__,)
    made.close()
    closed = duckdb.connect()
    with pytest.raises(UnsupportedError, match="allow_unsigned_extensions"):
        audiomem_sql.load(closed)
    closed.close()


def test_both_extensions_in_one_process(python: Callable[[str], Said], tmp_path: Path) -> None:
    notes(tmp_path)
    said = python("""
import duckdb, pysqlite3, audiomem_sql
first = duckdb.connect(config={"allow_unsigned_extensions": "true"})
first.execute("SET enable_progress_bar = false")
first.execute(f"LOAD '{audiomem_sql.loadable_path('duckdb')}'")
second = pysqlite3.connect(":memory:")
audiomem_sql.load(second)
second.execute("CREATE VIRTUAL TABLE notes USING audiomem('notes.flac')")
second.execute("DELETE FROM notes WHERE id > 2")
second.commit()
assert first.execute("SELECT count(*) FROM 'notes.flac'").fetchall() == [(2,)]
left = first.execute("FROM 'notes.flac'")  # not read to its end
print("fine")
""")
    assert said == Said(0, "fine\n", "")


def test_what_is_missing_is_told_when_it_is_loaded(tmp_path: Path) -> None:
    said = shell("SELECT 'alive';", folder=tmp_path, AUDIOMEM_PYTHON="/nowhere/python")
    assert "AUDIOMEM_PYTHON is /nowhere/python" in said.err
    assert "alive" in said.out
