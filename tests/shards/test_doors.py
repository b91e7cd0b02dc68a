"""Every door reads and writes a sharded table by the path of its folder."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
import sqlalchemy
from typer.testing import CliRunner

import audiomem_sql
from audiomem_sql import dbapi
from audiomem_sql.cli.main import app
from audiomem_sql.errors import AudioMemError, OptionError
from audiomem_sql.table.copying import repair_copy
from shards.sharded import check, create, row

ROWS = 60


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    where = tmp_path_factory.mktemp("made") / "kb.shards"
    create(where, ROWS).close()
    return str(where)


def test_frames(tmp_path: Path, path: str) -> None:
    frame = audiomem_sql.read_flac(path, where="year = 7").sort_values("code", ignore_index=True)
    assert frame["code"].tolist() == ["c57", "c7"]
    lazy = audiomem_sql.scan_flac(path)
    assert lazy.filter(pl.col("year") < 3).select(pl.len()).collect().item() == 6
    assert audiomem_sql.dataset(path).to_table(columns=["code"]).num_rows == ROWS
    table = audiomem_sql.write_flac(frame, tmp_path / "new.shards", primary_key="code", shards=3)
    with table:
        assert table.name == "new"
        pd.testing.assert_frame_equal(table.to_pandas().sort_values("code", ignore_index=True), frame)
        check(table)
    with audiomem_sql.write_flac([row(900)], tmp_path / "new.shards", if_exists="append") as table:
        assert len(table) == 3
    with audiomem_sql.create(tmp_path / "empty.shards", ["a TEXT"], shards=2, profile="embedded") as table:
        assert len(table) == 0
    with pytest.raises(OptionError, match="there is no option shard"):
        audiomem_sql.create(tmp_path / "none.shards", ["a TEXT"], shard=2)
    with audiomem_sql.open(path) as table:
        assert table.top("year DESC, code", 2, columns=["code"])["code"].to_pylist() == ["c49", "c48"]
        assert len(table._repr_html_()) > 100


def _make_by(door: str, name: str) -> None:
    """A table called ``name``, of which nothing says that it has shards."""
    if door == "shell":
        assert CliRunner().invoke(app, ["create", name, "id INTEGER PRIMARY KEY"]).exit_code == 0
    elif door == "sql":
        with audiomem_sql.connect("other.flac") as connection:
            connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{name}', id INTEGER PRIMARY KEY)")
    elif door == "frame":
        audiomem_sql.write_flac(pd.DataFrame({"id": [1]}), name).close()
    elif door == "DuckDB":
        with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
            audiomem_sql.load(connection)
            connection.execute(f"COPY (SELECT 1 AS id) TO '{name}' (PROFILE embedded)")
    elif door == "ingest":
        Path("a.md").write_text("a\n")
        assert CliRunner().invoke(app, ["ingest", name, "a.md"]).exit_code == 0
    else:
        audiomem_sql.create(name, ["id INTEGER PRIMARY KEY"], shard_key="id").close()


def test_what_is_called_shards_has_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By every door that makes tables, and no copy of one file is called so."""
    monkeypatch.chdir(tmp_path)
    audiomem_sql.create("other.flac", ["id INTEGER PRIMARY KEY"], profile="embedded").close()
    for door in ("shell", "sql", "frame", "DuckDB", "ingest", "python"):
        _make_by(door, f"{door}.SHARDS" if door == "python" else f"{door}.shards")
    for folder in tmp_path.glob("*.[sS]*"):
        assert len(list(folder.glob("shard-*.flac"))) == 16, folder
    with audiomem_sql.create("memory://bucket/called.shards", ["a TEXT"]) as table:
        assert len(table.snapshot.shard_files) == 16
    with audiomem_sql.open("other.flac") as table:
        for copied in (
            table.backup, table.stream, lambda path: repair_copy(table.snapshot, table.files, path)
        ):  # fmt: skip
            with pytest.raises(AudioMemError, match="shards"):
                copied("copy.shards")
    assert not Path("copy.shards").exists()


@pytest.mark.parametrize("extension", [False, True])
def test_duckdb(path: str, extension: bool) -> None:
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    if extension:
        audiomem_sql.load(connection)
        assert connection.execute(f"SELECT count(*) FROM '{path}' WHERE year < 3").fetchall() == [(6,)]
    else:
        audiomem_sql.register_duckdb(connection)
    scan = f"FROM audiomem_scan('{path}'"
    assert connection.execute(f"SELECT code {scan}) WHERE code = 'c5'").fetchall() == [("c5",)]
    assert connection.execute(f"SELECT count(*), sum(year) {scan}, version := 2)").fetchall() == [(60, 1270)]
    assert connection.execute(f"SELECT count(*) {scan}, version := 1)").fetchall() == [(0,)]
    snapshots = connection.execute(f"FROM audiomem_snapshots('{path}')").fetchall()
    assert [snapshot[0] for snapshot in snapshots] == [1, 2]
    assert len(connection.execute(f"FROM audiomem_changes('{path}', 2, 2)").fetchall()) == ROWS
    glob = path.replace("kb", "k*")
    assert connection.execute(f"SELECT count(*) FROM audiomem_scan('{glob}')").fetchall() == [(ROWS,)]
    connection.close()


def test_programs(tmp_path: Path) -> None:
    """DB-API, SQLAlchemy, read_sql, and documents that are ingested again."""
    path = str(tmp_path / "notes.shards")
    columns = ("id INTEGER PRIMARY KEY", "source TEXT", "seq INTEGER", "title TEXT", "body TEXT SEMANTIC")
    create(tmp_path / "notes.shards", 0, 3, columns, model="hashing").close()
    for number in range(6):
        (tmp_path / f"{number}.md").write_text(f"# Title {number}\n\nAbout thing {number}.\n")
    documents = [str(tmp_path / f"{number}.md") for number in range(6)]
    assert "6 new" in CliRunner().invoke(app, ["ingest", path, *documents]).output
    (tmp_path / "2.md").write_text("# Changed\n\nAll of it.\n")
    output = CliRunner().invoke(app, ["ingest", path, *documents]).output
    assert "1 changed, 5 unchanged" in output
    with audiomem_sql.open(path) as table:
        assert len(table.sources) == len(table) == 6
        check(table)
    with closing(dbapi.connect(path)) as connection:
        cursor = connection.cursor()
        cursor.execute("INSERT INTO notes(title) VALUES ('by hand')")
        connection.commit()
        cursor.execute("SELECT count(*) FROM notes")
        assert cursor.fetchall() == [(7,)]
    engine = sqlalchemy.create_engine(f"audiomem:///{path}")
    with engine.connect() as bound:
        assert bound.execute(sqlalchemy.text("SELECT max(id) FROM notes")).scalar() == 8
    engine.dispose()
    assert audiomem_sql.read_sql("SELECT count(*) AS n FROM notes", path)["n"].tolist() == [7]


@pytest.mark.parametrize("extension", ["on", "off"])
def test_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", extension)
    create(tmp_path / "kb.shards", ROWS).close()
    connection = audiomem_sql.connect(tmp_path / "kb.shards")
    assert connection.execute("SELECT count(*) FROM kb WHERE year < 3").fetchall() == [(6,)]
    connection.execute("INSERT INTO kb(code, year) VALUES ('new', 1)")
    connection.execute("DELETE FROM kb WHERE year = 2")
    assert connection.execute("SELECT count(*) FROM kb").fetchall() == [(59,)]
    assert connection.execute("SELECT count(*) FROM kb WHERE version = 2").fetchall() == [(60,)]
    changes = "SELECT count(*) FROM audiomem_changes('kb', 3, 4)"
    assert connection.execute(changes).fetchall() == [(3,)]
    connection.execute("INSERT INTO kb(kb, rank) VALUES ('tag', 'now')")
    connection.execute("INSERT INTO kb(kb) VALUES ('vacuum')")
    assert connection.execute("SELECT count(*) FROM kb WHERE version = 'now'").fetchall() == [(59,)]
    made = f"audiomem('{tmp_path}/b.shards', code TEXT PRIMARY KEY, n INTEGER, shards=2, profile=embedded)"
    connection.execute(f"CREATE VIRTUAL TABLE b USING {made}")
    connection.execute(f"CREATE VIRTUAL TABLE c USING {made}")  # as the database opens it again
    for wrong in (
        made.replace("shards=2", "shards=3"),
        made.replace("shards=2", "shards=2, shard_key='n'"),
        made.replace("n INTEGER", "m INTEGER"),
    ):
        with pytest.raises(Exception, match=r"another shard|columns given"):
            connection.execute(f"CREATE VIRTUAL TABLE d USING {wrong}")
    connection.close()


def test_shell(tmp_path: Path) -> None:
    path = str(tmp_path / "kb.shards")

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exit_code == code, result.output
        return result.output

    run(
        "create",
        path,
        "--shards",
        "4",
        "--shard-key",
        "area",
        "-o",
        "profile=embedded",
        "area TEXT",
        "n INTEGER",
    )
    run("sql", path, "INSERT INTO kb VALUES ('a', 1), ('b', 2), ('c', 3)")
    assert "3" in run("sql", path, "SELECT count(*) FROM kb")
    facts = json.loads(run("info", path, "--json"))
    assert facts["shards"]["count"] == 4
    assert facts["shards"]["key"] == ["area"]
    assert sum(facts["shards"]["rows"]) == facts["rows"] == 3
    assert "4 by the hash of area" in run("info", path)
    assert "all well: 3 rows" in run("verify", path)
    run("tag", path, "first")
    assert "first" in run("snapshots", path)
    run("vacuum", path)
    assert "INSERT INTO" in run("dump", path)
    assert json.loads(run("verify", path, "--json"))["ok"]
