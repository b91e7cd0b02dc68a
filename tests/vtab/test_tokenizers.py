"""The tokenizer of a column, through every door, in log, deltas and vacuumed file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, SchemaError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.indexes.words import KeywordIndex
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"]
GERMAN = (
    "Die Häuser der Stadt sind alt, und die Straßen sind nicht für alle",
    "Das Haus ist nicht mein Haus, aber es ist mir wie ein Zuhause",
)
TOKENIZE = [
    ("unicode61", "hauser", [1]),
    ("unicode61", "haus", [2]),
    ("auto", "haus", [2, 1]),
    ("snowball german", "häusern", [2, 1]),
    ("trigram", "traße", [1]),
    ("porter", "zuhause", [2]),
    ("bigram tokenchars ','", '"alt,"', [1]),
]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "base.sqlite"))
    register(connection)
    yield connection
    connection.close()


def test_in_sqlite_in_log_delta_and_after_a_vacuum(con: apsw.Connection) -> None:
    for number, (tokenize, query, ids) in enumerate(TOKENIZE):
        name = f"t{number}"
        told = tokenize.replace("'", "''")
        con.execute(
            f"CREATE VIRTUAL TABLE {name} USING audiomem('{name}.flac', id INTEGER PRIMARY KEY, "
            f"body TEXT INDEXED(tokenize='{told}'))"
        )
        con.execute(f"INSERT INTO {name}(body) VALUES (?), (?)", GERMAN)
        for command in (None, "checkpoint", "vacuum"):
            if command is not None:
                con.execute(f"INSERT INTO {name}({name}) VALUES (?)", (command,))
            found = con.execute(f"SELECT id FROM {name} WHERE {name} MATCH ? ORDER BY rank", (query,))
            assert [row[0] for row in found] == ids, (tokenize, command)


def test_what_does_not_exist_is_one_error_and_changes_nothing(con: apsw.Connection, tmp_path: Path) -> None:
    for told, what in (
        ("(tokenize='unicode62')", "column body: there is no tokenizer unicode62. Did you mean unicode61?"),
        ("(tokenize='unicode61 remove_diacritics 3')", "column body: remove_diacritics 3 is out of range"),
        ("(tokenize='snowball klingon')", "column body: there is no stemmer for klingon"),
        ("(tokenise='porter')", "column body: TOKENIZE is expected, not tokenise"),
        ("(tokenize=)", "column body: tokenize names no tokenizer"),
        ("(tokenize='porter' NOT NULL)", r"column body: \) is expected, not NOT"),
    ):
        with pytest.raises((AudioMemError, apsw.Error), match=what):
            con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', body TEXT INDEXED{told})")
    assert not list(tmp_path.glob("*.flac*"))
    with pytest.raises(SchemaError, match="cannot be INDEXED"):
        Table.create(tmp_path / "t.flac", ["n INTEGER INDEXED(tokenize='porter')"])


def test_in_the_sqlite3_module(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "base.sqlite")
    if not hasattr(connection, "enable_load_extension"):
        import pysqlite3

        connection = pysqlite3.connect(str(tmp_path / "base.sqlite"))
    audiomem_sql.load(connection)
    connection.execute(
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', body TEXT INDEXED(tokenize=\"snowball german\"))"
    )
    connection.executemany("INSERT INTO t VALUES (?)", [(text,) for text in GERMAN])
    connection.commit()
    rows = connection.execute(
        "SELECT rowid, highlight(t, 0, '[', ']') FROM t WHERE t MATCH 'haus' ORDER BY 1"
    )
    assert [text[4:12] for _, text in rows] == ["[Häuser]", "[Haus] i"]
    connection.close()


def test_in_python_arrow_and_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(
        path, ["id INTEGER PRIMARY KEY", "body TEXT INDEXED(tokenize='snowball german')"]
    ) as table:
        table.append([{"body": text} for text in GERMAN])
        assert table.search("die häuser")["id"].to_pylist() == [2, 1]
        write_flac(table.to_arrow(), tmp_path / "copy.flac")
    with Table(tmp_path / "copy.flac") as copy:
        assert copy.schema["body"].tokenize == "snowball german"
    con = duckdb.connect()
    audiomem_sql.register_duckdb(con)
    found = con.execute(f"SELECT id FROM audiomem_search('{path}', 'die \"häuser')").fetchall()
    assert [row[0] for row in found] == [2, 1]


def index_of(table: Table, number: int) -> KeywordIndex:
    index = table.snapshot.views[number].segment.keyword_index(table.schema.index("body"))
    assert index is not None
    return index


def test_the_language_is_decided_once_and_anew_by_a_vacuum(tmp_path: Path) -> None:
    english = "The houses of the town are not for all, and that is what they were before"
    with Table.create(tmp_path / "t.flac", COLUMNS, {"deltas": "beside"}) as table:
        for texts in (["Haus 1"], list(GERMAN) * 20, [english] * 200):
            table.append([{"body": text} for text in texts])
            table.checkpoint()
        numbers = range(len(table.snapshot.views))
        said = [index_of(table, number).directory.tokenize for number in numbers]
        assert said == ["auto", "auto german", "auto german"]
        table.append([{"body": "Häusern"}])
        assert table.search("haus", k=100).num_rows == 42
        table.vacuum()
        assert index_of(table, 0).directory.tokenize == "auto english"
        assert table.search("house", k=500).num_rows == 200


def test_an_index_of_other_stemmers_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        table.append([{"body": text} for text in GERMAN])
        table.checkpoint()
        assert not index_of(table, 0).is_outdated
        before = table.search("häusern")["id"].to_pylist()
        for module in ("index", "encoder"):
            monkeypatch.setattr(f"audiomem_sql.indexes.words.{module}.stemmer_version", lambda: "99.0")
        assert index_of(table, 0).is_outdated
        assert table.search("häusern")["id"].to_pylist() == before == [2, 1]
        table.vacuum()
        assert not index_of(table, 0).is_outdated


def test_a_declaration_that_names_no_tokenizer_fits_every_table(con: apsw.Connection, tmp_path: Path) -> None:
    Table.create(tmp_path / "t.flac", ["body TEXT INDEXED(tokenize='unicode61')"]).close()
    con.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', body TEXT INDEXED)")
    with pytest.raises(SchemaError, match=r"which has body TEXT INDEXED\(tokenize='unicode61'\)"):
        con.execute("CREATE VIRTUAL TABLE u USING audiomem('t.flac', body TEXT INDEXED(tokenize='porter'))")


def test_terms_of_any_row_count(tmp_path: Path) -> None:
    """Columns without a word, and tables without a row, have no language and are searched."""
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        assert table.search("x").num_rows == 0
        table.append(pa.table({"body": pa.array([None, "", "?!"])}))
        table.checkpoint()
        assert table.search("x").num_rows == 0
        values: list[Any] = table.to_arrow()["body"].to_pylist()
        assert values == [None, "", "?!"]
