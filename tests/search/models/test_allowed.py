"""A model that a file names is loaded only if the user named it, too, through every door."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np
import pytest

import audiomem_sql
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import AudioMemError, OptionError, UnsupportedError
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


DOORS: dict[str, Callable[[], object]] = {
    "sql": lambda: audiomem_sql.connect("gift.flac").execute("SELECT * FROM gift WHERE gift MATCH 'a'"),
    "append": lambda: Table("gift.flac").append([{"id": 1, "body": "a"}]),
    "reembed": lambda: Table("gift.flac").reembed(),
    "insert": lambda: audiomem_sql.connect("gift.flac").execute("INSERT INTO gift(id, body) VALUES (1, 'a')"),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_loads_it(gift: str, door: str) -> None:
    with pytest.raises(AudioMemError) as raised:
        DOORS[door]()
    said = str(raised.value).replace(os.getcwd(), "")
    for word in ("you did not allow it", "allow_model", "AUDIOMEM_MODELS"):
        assert word in said
    if gift != "evil/model":
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
