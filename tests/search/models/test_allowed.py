"""A model that a file names is loaded only if the user named it, too, through every door."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

import audiomem_sql
import audiomem_sql.pandas
from audiomem_sql import dbapi
from audiomem_sql.cli.main import run
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import AudioMemError, OptionError, UnsupportedError
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
from audiomem_sql.search.models import allowed
from audiomem_sql.search.models.allowed import allow_model, check_allowed, is_named
from audiomem_sql.search.models.embedders import SentenceTransformer
from audiomem_sql.table.creation import create_file
from audiomem_sql.table.table import Table

STRANGERS = ("./evil", "/tmp/evil", "~/evil", "..\\evil", "evil", "evil/model")
VECTOR = np.eye(1, 4, dtype="<f4").tobytes()


@pytest.fixture(autouse=True)
def nobody_named_a_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(allowed, "_named", set())
    monkeypatch.delenv(allowed.ENVIRONMENT, raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("evil", "all-MiniLM-L6-v2"):  # a folder of that name, beside the file
        Path(name).mkdir()
        Path(name, "modules.json").write_text("[]")


@pytest.fixture(params=STRANGERS)
def gift(request: pytest.FixtureRequest) -> str:
    """A table whose file names a model of a stranger's."""
    columns = parse_columns(["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "vec FLOAT[4]"])
    create_file("gift.flac", columns.with_vectors(8), {"model": request.param})
    return str(request.param)


def opened(path: str) -> apsw.Connection:
    con = apsw.Connection(path)
    audiomem_sql.register(con)
    return con


class Refused(Exception):
    """A command failed, with this on stderr."""


def command(*arguments: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run(arguments)
    if code:
        raise Refused(said.getvalue())


def package(query: str) -> None:
    """A query of DuckDB's Python package."""
    with duckdb.connect() as connection:
        audiomem_sql.register_duckdb(connection)
        connection.execute(query).fetchall()


def extension(query: str) -> None:
    """The same with our extension of DuckDB."""
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        audiomem_sql.load(connection)
        connection.execute(query).fetchall()


def stranger_of_duckdb(path: str) -> None:
    """A database of DuckDB that was made elsewhere, whose view embeds."""
    with duckdb.connect(path) as made:
        made.create_function("embed", lambda text, model: b"", ["VARCHAR", "VARCHAR"], "BLOB")  # type: ignore[arg-type]
        made.execute("CREATE VIEW v AS SELECT embed('a', 'evil/model') AS e")
    with duckdb.connect(path) as connection:
        audiomem_sql.register_duckdb(connection)
        connection.execute("SELECT * FROM v").fetchall()


def ingested() -> None:
    Path("texts").mkdir(exist_ok=True)
    Path("texts", "a.txt").write_text("some words")
    columns = parse_columns([each.replace("body TEXT", "body TEXT SEMANTIC") for each in DEFAULT_COLUMNS])
    create_file("into.flac", columns.with_vectors(8), dict(Table("gift.flac").options.to_catalog()))
    command("ingest", "into.flac", "texts")


def executed(statement: str) -> None:
    with contextlib.closing(dbapi.connect("gift.flac")) as connection:
        connection.cursor().execute(statement).fetchall()
        connection.commit()


ROW = {"id": 1, "body": "a"}
SEARCH = "SELECT * FROM gift WHERE gift MATCH 'a'"
INSERT = "INSERT INTO gift(id, body) VALUES (1, 'a')"
DOORS: dict[str, Callable[[], object]] = {
    "sql": lambda: audiomem_sql.connect("gift.flac").execute(SEARCH),
    "sql, by meaning": lambda: audiomem_sql.connect("gift.flac").execute(
        "SELECT * FROM gift WHERE body MATCH 'semantic: a'"
    ),
    "insert": lambda: audiomem_sql.connect("gift.flac").execute(INSERT),
    "update": lambda: audiomem_sql.connect("gift.flac").execute(
        "INSERT OR REPLACE INTO gift(id, body) VALUES (1, 'b')"
    ),
    "dbapi": lambda: executed(SEARCH),
    "dbapi, insert": lambda: executed(INSERT),
    "read_sql": lambda: audiomem_sql.pandas.read_sql(SEARCH, "gift.flac"),
    "search": lambda: Table("gift.flac").search("a"),
    "search, by meaning": lambda: Table("gift.flac").search("semantic: a", column="body"),
    "append": lambda: Table("gift.flac").append([ROW]),
    "append_stream": lambda: Table("gift.flac").append_stream(pd.DataFrame([ROW])),
    "reembed": lambda: Table("gift.flac").reembed(),
    "write_flac": lambda: audiomem_sql.write_flac([ROW], "gift.flac", if_exists="append"),
    "to_flac": lambda: pd.DataFrame([ROW]).audiomem.to_flac("gift.flac", if_exists="append"),
    "append_to": lambda: pd.DataFrame([ROW]).audiomem.append_to("gift.flac"),
    "polars": lambda: audiomem_sql.write_flac(pl.DataFrame([ROW]), "gift.flac", if_exists="append"),
    "duckdb": lambda: package("SELECT * FROM audiomem_search('gift.flac', 'a')"),
    "duckdb, embed": lambda: package("SELECT embed('a', 'evil/model')"),
    "duckdb, a stranger's view": lambda: stranger_of_duckdb("stranger.duckdb"),
    "extension": lambda: extension("SELECT * FROM audiomem_search('gift.flac', 'a')"),
    "extension, embed": lambda: extension("SELECT embed('a', 'evil/model')"),
    "audiomem search": lambda: command("search", "gift.flac", "a"),
    "audiomem sql": lambda: command("sql", "gift.flac", SEARCH),
    "audiomem sql, insert": lambda: command("sql", "gift.flac", INSERT),
    "audiomem reembed": lambda: command("reembed", "gift.flac"),
    "audiomem ingest": lambda: ingested(),
}
#: Doors at which no model is needed.
OTHERS: dict[str, Callable[[], object]] = {
    "info": lambda: command("info", "gift.flac"),
    "info --json": lambda: command("info", "gift.flac", "--json"),
    "verify": lambda: command("verify", "gift.flac"),
    "vacuum": lambda: command("vacuum", "gift.flac"),
    "backup": lambda: command("backup", "gift.flac", "copy.flac"),
    "snapshots": lambda: command("snapshots", "gift.flac"),
    "sql": lambda: command("sql", "gift.flac", "SELECT count(*) FROM gift"),
    "read_flac": lambda: audiomem_sql.read_flac("gift.flac"),
    "scan_flac": lambda: audiomem_sql.scan_flac("gift.flac").collect(),
    "duckdb": lambda: package("SELECT * FROM audiomem_scan('gift.flac')"),
    "extension": lambda: extension("SELECT * FROM audiomem_scan('gift.flac')"),
    "delete": lambda: audiomem_sql.connect("gift.flac").execute("DELETE FROM gift"),
}


@pytest.mark.parametrize("door", OTHERS)
def test_a_door_that_needs_no_model(gift: str, door: str) -> None:
    OTHERS[door]()
    assert not is_named(gift)


@pytest.mark.parametrize("door", DOORS)
def test_no_door_loads_it(gift: str, door: str) -> None:
    with pytest.raises((AudioMemError, dbapi.Error, duckdb.Error, Refused)) as raised:
        DOORS[door]()
    said = str(raised.value).replace(os.getcwd(), "")
    assert not is_named(gift)
    for word in ("you did not allow it", "allow_model", "AUDIOMEM_MODELS"):
        assert word in said
    if gift != "evil/model" and "embed" not in door and "view" not in door:
        assert "evil" not in said


def test_all_but_embedding_works(gift: str) -> None:
    with Table("gift.flac") as table:
        assert len(table) == 0
    con = audiomem_sql.connect("gift.flac")
    assert con.execute("SELECT count(*) FROM gift WHERE id > 3 AND body LIKE 'a%'").fetchall() == [(0,)]
    assert con.execute("SELECT id FROM gift WHERE vec MATCH ?", (VECTOR,)).fetchall() == []


def test_salvaging_it_allows_nothing(gift: str) -> None:
    Table.salvaged(Table("gift.flac"), "saved.flac").close()
    assert not is_named(gift)


def test_a_schema_of_a_database_allows_nothing(gift: str) -> None:
    con = opened("stranger.db")
    quoted = gift.replace("'", "''")
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{os.path.abspath('gift.flac')}', model='{quoted}')")
    assert is_named(gift)  # here the user wrote it
    con.close()
    allowed._named.clear()
    con = opened("stranger.db")
    assert con.execute("SELECT count(*) FROM t").fetchall() == [(0,)]
    assert not is_named(gift)


def test_it_is_allowed_by_its_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_model("mine")
    check_allowed("mine")
    monkeypatch.setenv(allowed.ENVIRONMENT, "theirs,./here")
    for name in ("theirs", "./here"):
        check_allowed(name)
    for name in ("min", "mine ", "here", "", "theirs,./here", "x" * 1000, "a\nb"):
        with pytest.raises(UnsupportedError) as raised:
            check_allowed(name)
        assert len(str(raised.value)) < 400
        assert "\n" not in str(raised.value)
    with pytest.raises(OptionError):
        allow_model("")


def test_creating_a_table_names_its_model() -> None:
    columns = parse_columns(["body TEXT SEMANTIC"]).with_vectors(8)
    Table.create("mine.flac", columns, {"model": "mine"}).close()
    assert is_named("mine")


def test_a_folder_is_no_built_in_model() -> None:
    model = SentenceTransformer("all-MiniLM-L6-v2")
    assert model.folder is None or not model.folder.startswith(os.getcwd())


def test_a_built_in_model_is_not_fetched() -> None:
    check_allowed("all-MiniLM-L6-v2")
    check_allowed("hashing")
    assert not is_named("all-MiniLM-L6-v2")


def test_embed_of_sql_asks_as_well() -> None:
    con = opened(":memory:")
    with pytest.raises(Exception, match="you did not allow it"):
        con.execute("SELECT embed('a', 'evil')").fetchall()
    assert len(con.execute("SELECT embed('a', 'hashing')").fetchone()[0]) == 1024
