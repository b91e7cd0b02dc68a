"""Schemas: from SQL, from Arrow and from the catalog, and back."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import apsw
import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.schema import (
    MAX_COLUMNS,
    Check,
    Column,
    Key,
    Schema,
    parse_columns,
    parse_options,
    quote,
)
from audiomem_sql.columns.time_order import compare
from audiomem_sql.columns.types import TIME_COLLATION, ColumnType, Kind
from audiomem_sql.errors import AudioMemError, SchemaError
from columns.definitions import ROOT, refusal, schemas


@given(schemas())
def test_sql_is_read_back(schema: Schema) -> None:
    parts: list[Column | Check | Key] = [*schema.columns, *schema.checks, *schema.keys]
    assert parse_columns([part.sql() for part in parts]) == schema
    assert schema.sql() == ", ".join(part.sql() for part in parts)


@given(schemas())
def test_arrow_is_read_back(schema: Schema) -> None:
    assert schema_of_arrow(schema.to_arrow()) == schema


@given(schemas())
def test_catalog_is_read_back(schema: Schema) -> None:
    packed = msgpack.unpackb(msgpack.packb(schema.to_catalog()))
    packed[0]["x_later"] = {"anything": [1]}
    checks = [check.to_catalog() | {"x_later": 1} for check in schema.checks]
    keys = msgpack.unpackb(msgpack.packb([key.to_catalog() for key in schema.keys]))
    assert Schema.from_catalog(packed, checks, keys) == schema


class Recorder:
    """A module that hands out what SQLite passes and declares the columns as a door would."""

    arguments: tuple[str, ...] = ()

    def Create(self, connection: Any, module: str, database: str, table: str, *arguments: str) -> Any:
        self.arguments = arguments
        schema = parse_columns(arguments)
        hidden = f"{quote(table)} HIDDEN, {quote(table + ' (2)')} HIDDEN"
        return f"CREATE TABLE x({schema.declaration()}, {hidden})", self

    Connect = Create

    def BestIndex(self, *_: Any) -> None:
        return None

    def Disconnect(self) -> None:
        pass

    Destroy = Disconnect


def create(definitions: str) -> tuple[Any, tuple[str, ...]]:
    connection: Any = apsw.Connection(":memory:")
    module = Recorder()
    connection.create_module("audiomem", module)
    connection.create_collation(TIME_COLLATION, compare)
    connection.execute(f'CREATE VIRTUAL TABLE "the notes" USING audiomem({definitions})')
    return connection, module.arguments


@given(schemas())
def test_sqlite_takes_the_definitions_and_the_declaration(schema: Schema) -> None:
    assume("the notes" not in schema)
    connection, arguments = create(schema.sql())
    assert parse_columns(arguments) == schema
    found = connection.execute('PRAGMA table_xinfo("the notes")').fetchall()
    assert [row[1] for row in found] == [*schema.names, "the notes", "the notes (2)"]
    for row, column in zip(found, schema.columns, strict=False):
        _, _, declared, not_null, _, primary_key, hidden = row
        assert declared.split()[0] == ("INT" if column.no_alias else str(column.type))
        affinity = {Kind.TIMESTAMP: ["TEXT"], Kind.JSON: ["TEXT"], Kind.FLOAT: ["BLOB"]}
        assert declared.split()[1:] == affinity.get(column.type.kind, [])
        assert bool(not_null) == (column.not_null and not column.is_rowid)
        assert bool(primary_key) == column.is_rowid
        assert not hidden
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_sqlite_compares_by_the_collation() -> None:
    connection, _ = create("a TEXT COLLATE NOCASE, b TEXT PRIMARY KEY COLLATE RTRIM, c TEXT")
    found = (
        connection.column_metadata("main", "the notes", "a"),
        connection.column_metadata("main", "the notes", "b"),
    )
    assert [metadata[1] for metadata in found] == ["NOCASE", "RTRIM"]


@pytest.mark.parametrize(
    ("definition", "column"),
    [
        ("id INTEGER PRIMARY KEY", Column("id", ColumnType(Kind.INTEGER), primary_key=True)),
        ("id integer primary key asc", Column("id", ColumnType(Kind.INTEGER), primary_key=True)),
        ("id int primary key", Column("id", ColumnType(Kind.INTEGER), primary_key=True, no_alias=True)),
        ("id BIGINT PRIMARY KEY", Column("id", ColumnType(Kind.INTEGER), primary_key=True, no_alias=True)),
        (
            "id INTEGER PRIMARY KEY DESC",
            Column("id", ColumnType(Kind.INTEGER), primary_key=True, no_alias=True),
        ),
        (
            "id INTEGER PRIMARY KEY ASC ON CONFLICT REPLACE AUTOINCREMENT",
            Column(
                "id",
                ColumnType(Kind.INTEGER),
                primary_key=True,
                autoincrement=True,
                key_conflict="REPLACE",
            ),
        ),
        (
            "n TEXT UNIQUE ON CONFLICT ignore UNIQUE NOT NULL ON CONFLICT REPLACE",
            Column(
                "n",
                ColumnType(Kind.TEXT),
                unique=True,
                not_null=True,
                key_conflict="IGNORE",
                null_conflict="REPLACE",
            ),
        ),
        ("n TEXT NULL ON CONFLICT FAIL", Column("n", ColumnType(Kind.TEXT))),
        ("n TEXT NOT NULL NULL", Column("n", ColumnType(Kind.TEXT), not_null=True)),
        (
            "n TEXT DEFAULT 1 DEFAULT 2 UNIQUE UNIQUE",
            Column("n", ColumnType(Kind.TEXT), False, True, default="2"),
        ),
        ("n INTEGER COLLATE NOCASE", Column("n", ColumnType(Kind.INTEGER), collation="NOCASE")),
        ("b BLOB COLLATE rtrim", Column("b", ColumnType(Kind.BLOB), collation="RTRIM")),
        ("RowID INTEGER", Column("RowID", ColumnType(Kind.INTEGER))),
        ("_rowid_ INTEGER PRIMARY KEY", Column("_rowid_", ColumnType(Kind.INTEGER), primary_key=True)),
        ("body TEXT SEMANTIC NOT NULL", Column("body", ColumnType(Kind.TEXT), not_null=True, semantic=True)),
        ("body TEXT -- it's said\n SEMANTIC", Column("body", ColumnType(Kind.TEXT), semantic=True)),
        ('body /* the " */ TEXT /**/UNIQUE', Column("body", ColumnType(Kind.TEXT), unique=True)),
        ('"odd ""name" TEXT COLLATE NoCase', Column('odd "name', ColumnType(Kind.TEXT), collation="NOCASE")),
        ("[a ]b] TEXT", None),
        ("[a b]TEXT", Column("a b", ColumnType(Kind.TEXT))),
        ("`a``b` VARCHAR(20)", Column("a`b", ColumnType(Kind.TEXT))),
        ("vec FLOAT [ 384 ]", Column("vec", ColumnType(Kind.FLOAT, 384))),
        ("größe DOUBLE PRECISION NULL", Column("größe", ColumnType(Kind.REAL))),
        ('"PRIMARY" TEXT', Column("PRIMARY", ColumnType(Kind.TEXT))),
        ("unique INTEGER", Column("unique", ColumnType(Kind.INTEGER))),
        (
            "k1 TEXT PRIMARY KEY",
            Column("k1", ColumnType(Kind.TEXT), not_null=True, unique=True, primary_key=True),
        ),
        ("price REAL UNIQUE", Column("price", ColumnType(Kind.REAL), unique=True)),
    ],
)
def test_definitions(definition: str, column: Column | None) -> None:
    if column is None:
        refusal(definition)
    else:
        assert parse_columns([definition]).columns == (column,)


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("year", ["year", "type is missing"]),
        ("year PRIMARY KEY", ["year", "type is missing"]),
        ("year NUMBER", ["year", "NUMBER", "FLOAT[n]"]),
        ("year INTEGER DEFAULT", ["year", "a value is expected behind DEFAULT, not the end"]),
        ("year TEXT DEFAULT hello", ["year", "not hello"]),
        ("year TEXT DEFAULT - 'x'", ["year", "not -"]),
        ("year TEXT DEFAULT (1; 2)", ["year", "not ("]),
        ("year TEXT DEFAULT (1", ["year", "not ("]),
        ("year TEXT DEFAULT ()", ["year", "not ("]),
        ("year TEXT DEFAULT (1) + 2", ["year", "+"]),
        ("year INTEGER CHECK year > 0", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK ()", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK (year > 0", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK (1; 2)", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CONSTRAINT", ["year", "a name is expected"]),
        ("year INTEGER CONSTRAINT positive", ["year", "nothing follows CONSTRAINT positive"]),
        ("year INTEGER REFERENCES other(id)", ["year", "REFERENCES is not supported"]),
        (
            "year INTEGER GENERATED ALWAYS AS (1)",
            ["year", "a virtual table cannot have generated columns", "view"],
        ),
        ("year INTEGER AS (1)", ["year", "a virtual table cannot have generated columns"]),
        (
            "year INTEGER UNIQUE ON CONFLICT FAIL",
            ["year", "ON CONFLICT FAIL is not supported", "INSERT OR FAIL"],
        ),
        ("year INTEGER NOT NULL ON CONFLICT ROLLBACK", ["year", "ON CONFLICT ROLLBACK is not supported"]),
        ("year INTEGER UNIQUE ON CONFLICT", ["year", "ON CONFLICT the end is not supported"]),
        ("year INTEGER UNIQUE ON DELETE", ["year", "CONFLICT is expected, not DELETE"]),
        (
            "year TEXT UNIQUE ON CONFLICT IGNORE PRIMARY KEY ON CONFLICT REPLACE",
            ["year", "different ON CONFLICT"],
        ),
        ("year TEXT PRIMARY KEY PRIMARY KEY", ["year", "PRIMARY KEY is told twice"]),
        ("year INT PRIMARY KEY AUTOINCREMENT", ["year", "AUTOINCREMENT is for an INTEGER PRIMARY KEY only"]),
        ("year INTEGER PRIMARY KEY DESC AUTOINCREMENT", ["year", "AUTOINCREMENT is for"]),
        (
            "year INTEGER PRIMARY KEY AUTOINCREMENT ON CONFLICT IGNORE",
            ["year", "ON cannot be understood here"],
        ),
        ("PRIMARY KEY (a", ["the table", ") is expected, not the end"]),
        ("UNIQUE (a COLLATE NOCASE, b)", ["the table", "COLLATE in a key is not supported"]),
        ("UNIQUE (a, b) ON CONFLICT ROLLBACK", ["the table", "ON CONFLICT ROLLBACK is not supported"]),
        ("UNIQUE (a + 1, b)", ["the table", ") is expected, not +"]),
        ("UNIQUE ('a')", ["the table", "a key is made of columns"]),
        ("UNIQUE ()", ["the table", "a key is made of columns"]),
        ("CONSTRAINT k", ["the table", "nothing follows CONSTRAINT k"]),
        ("CHECK (a > b) 5", ["the table", "5 cannot be understood here"]),
        ("FOREIGN KEY (a) REFERENCES b(c)", ["FOREIGN KEY is not supported"]),
        ("CONSTRAINT f FOREIGN KEY (a) REFERENCES b(c)", ["FOREIGN KEY is not supported"]),
        ("year INTEGER SEMANTIC", ["year", "SEMANTIC"]),
        ("year JSON SEMANTIC", ["year", "SEMANTIC"]),
        ("year FLOAT[3] UNIQUE", ["year", "key"]),
        ("year JSON PRIMARY KEY", ["year", "key"]),
        ("year FLOAT[0]", ["year", "1 to 65535"]),
        ("year FLOAT[65536]", ["year", "1 to 65535"]),
        ("year TEXT COLLATE german", ["year", "GERMAN", "NOCASE"]),
        ("year TEXT COLLATE", ["year", "COLLATE"]),
        ("year TIMESTAMP COLLATE NOCASE", ["year", "TEXT"]),
        ("year JSON COLLATE NOCASE", ["year", "TEXT"]),
        ("year TEXT NOT", ["year", "NULL"]),
        ("year TEXT PRIMARY", ["year", "KEY"]),
        ("year TEXT NOT NULL 'x'", ["year", "'x'"]),
        ("'year' TEXT", ["double quotes"]),
        ("5 TEXT", ["name of a column"]),
        ('"year TEXT', ["quotation mark"]),
        ("", ["empty"]),
        ("-- nothing", ["empty"]),
        ('"" TEXT', ["empty name"]),
        ('"a\0b" TEXT', ["NUL"]),
    ],
)
def test_refused_definitions(definition: str, words: list[str]) -> None:
    message = refusal(definition)
    for word in words:
        assert word in message


@given(st.text(alphabet="abkPRIMARYKEYTEXTNULLOFLOAT \"'`[]()-/*=,;0123\n\0é", max_size=30))
def test_only_our_errors_leave_the_parser(text: str) -> None:
    for function in (lambda: parse_columns([text]), lambda: parse_options([text])):
        try:
            function()
        except AudioMemError as error:
            str(error).encode()


@pytest.mark.parametrize(
    ("definitions", "equal"),
    [
        (["id INTEGER", "PRIMARY KEY (id)"], ["id INTEGER PRIMARY KEY"]),
        (["id INTEGER", "CONSTRAINT k PRIMARY KEY ([ID] ASC)"], ["id INTEGER PRIMARY KEY"]),
        (["id INT", "PRIMARY KEY (id)"], ["id INT PRIMARY KEY"]),
        (["id INTEGER", "PRIMARY KEY (id DESC)"], ["id INTEGER PRIMARY KEY"]),
        (["id INTEGER", "PRIMARY KEY (id, ID)"], ["id INTEGER PRIMARY KEY DESC"]),
        (["id INTEGER", "PRIMARY KEY (id)", "UNIQUE (id, id)"], ["id INTEGER PRIMARY KEY UNIQUE"]),
        (
            ["id INTEGER", "PRIMARY KEY (id AUTOINCREMENT) ON CONFLICT IGNORE"],
            ["id INTEGER PRIMARY KEY ON CONFLICT IGNORE AUTOINCREMENT"],
        ),
        (
            ["a TEXT", "b TEXT", "UNIQUE (a, b DESC, A) ON CONFLICT REPLACE"],
            ["a TEXT", "b TEXT", "UNIQUE (a, b) ON CONFLICT REPLACE"],
        ),
        (["a TEXT CHECK (a)", "CHECK (a) ON CONFLICT FAIL"], ["a TEXT CHECK (a) CHECK (a)"]),
        (["id TEXT COLLATE NOCASE", 'PRIMARY KEY ("Id")'], ["id TEXT PRIMARY KEY COLLATE NOCASE"]),
        (["a TEXT", "b TEXT", "UNIQUE (b) UNIQUE (a)"], ["a TEXT UNIQUE", "b TEXT UNIQUE"]),
        (["a TEXT CHECK (a > 'b') UNIQUE", "b TEXT"], ["a TEXT UNIQUE", "b TEXT", "CHECK (a > 'b')"]),
        (
            ["a TEXT CONSTRAINT x NOT NULL CONSTRAINT y DEFAULT 5 CONSTRAINT z CHECK (a)"],
            ["a TEXT NOT NULL DEFAULT 5", "CONSTRAINT z CHECK (a)"],
        ),
        (
            ["a TEXT", "b TEXT", "PRIMARY KEY (a, b)"],
            ["a TEXT NOT NULL", "b TEXT NOT NULL", "PRIMARY KEY (a, b)"],
        ),
    ],
)
def test_what_means_the_same(definitions: list[str], equal: list[str]) -> None:
    assert parse_columns(definitions) == parse_columns(equal)
    assert parse_columns(definitions) != parse_columns(["a TEXT"])


def test_constraints_of_the_table_are_found() -> None:
    schema = parse_columns(
        [
            "CHECK (a <> ', (' /* ) */)",
            "a TEXT",
            "b INTEGER",
            "CONSTRAINT k UNIQUE (b, A)",
            "UNIQUE (a, b)",
            "UNIQUE (b, a)",
        ]
    )
    assert schema.checks == (Check("a <> ', ('"),)
    assert schema.keys == (Key(("b", "A"), name="k"), Key(("a", "b")), Key(("b", "a")))
    assert schema.combined_keys == ((1, 0), (0, 1))
    assert schema.key_columns == ()


@pytest.mark.parametrize(
    "bad",
    [
        5,
        [5],
        [{}],
        [{"expression": 5}],
        [{"expression": "a); DROP TABLE t; --"}],
        [{"expression": "1", "name": 5}],
        [{"expression": "1", "later": True}],
        [{"expression": "1", "name": "a\0b"}],
        [{"expression": "a" * 70000}],
        [{"expression": ""}],
        [{"expression": "')'"}, {"expression": "(("}],
        [{"expression": "a\ud800"}],
    ],
)
def test_checks_of_a_catalog_that_are_none(bad: object) -> None:
    with pytest.raises(SchemaError):
        Schema.from_catalog([{"name": "a", "type": "TEXT"}], bad)


@pytest.mark.parametrize(
    "bad",
    [
        5,
        [5],
        [{}],
        [{"columns": "ab"}],
        [{"columns": ["a"]}],
        [{"columns": ["a", "a"]}],
        [{"columns": ["a", "c"]}],
        [{"columns": ["a", 5]}],
        [{"columns": ["a", "b"], "primary": 1}],
        [{"columns": ["a", "b"], "bloom": None}],
        [{"columns": ["a", "b"], "name": b"x"}],
        [{"columns": ["a", "b"], "primary": True}] * 2,
        [{"columns": ["a", "j"]}],
    ],
)
def test_keys_of_a_catalog_that_are_none(bad: object) -> None:
    columns = [{"name": "a", "type": "TEXT"}, {"name": "b", "type": "REAL"}, {"name": "j", "type": "JSON"}]
    with pytest.raises(SchemaError):
        Schema.from_catalog(columns, (), bad)


def test_what_concerns_several_columns() -> None:
    assert "twice" in refusal("Year INTEGER", "yEAR TEXT")
    assert "Year" in refusal("Year INTEGER", "Year TEXT")
    assert "b" in refusal("a INTEGER PRIMARY KEY", "b TEXT PRIMARY KEY")
    assert "at least one" in refusal()
    parse_columns(["É TEXT", "é TEXT"])  # SQLite folds ASCII only


def test_as_many_columns_as_sqlite_can_declare() -> None:
    many = [f"c{i} TEXT" for i in range(MAX_COLUMNS + 1)]
    assert f"c{MAX_COLUMNS}" in refusal(*many)
    schema = parse_columns(many[:-1])
    hidden = ", ".join(f"h{i} HIDDEN" for i in range(6))
    declare(f"{schema.declaration()}, {hidden}")
    with pytest.raises(apsw.SQLError, match="too many columns"):
        declare(f"{schema.declaration()}, more TEXT, {hidden}")


def declare(definitions: str) -> None:
    class Module(Recorder):
        def Create(self, *_: Any) -> Any:
            return f"CREATE TABLE x({definitions})", self

        Connect = Create  # type: ignore[assignment]

    connection: Any = apsw.Connection(":memory:")
    connection.create_module("m", Module())
    connection.execute("CREATE VIRTUAL TABLE t USING m()")


def test_names_keys_and_places() -> None:
    schema = parse_columns(
        ["k1 TEXT UNIQUE", "Id INTEGER PRIMARY KEY UNIQUE", "body TEXT SEMANTIC", "b BLOB UNIQUE"]
    )
    assert schema.names == ("k1", "Id", "body", "b")
    assert len(schema) == 4
    assert schema.rowid_column == 1
    assert schema.key_columns == (0, 3)
    assert schema.semantic_columns == (2,)
    assert schema.index("ID") == 1
    assert schema.find("none") is None
    assert schema["BODY"].semantic
    assert "Body" in schema
    assert "rowid" not in schema
    with pytest.raises(SchemaError, match="no column none"):
        schema.index("none")


def test_only_an_integer_key_is_the_rowid() -> None:
    schema = parse_columns(["code TEXT PRIMARY KEY", "n INTEGER UNIQUE"])
    assert schema.rowid_column is None
    assert schema.key_columns == (0, 1)
    assert schema["code"].not_null
    assert not parse_columns(["id INTEGER PRIMARY KEY"])["id"].not_null
    for definition in ("id INT PRIMARY KEY", "id BIGINT PRIMARY KEY", "id INTEGER PRIMARY KEY DESC"):
        schema = parse_columns([definition])
        assert schema.rowid_column is None
        assert schema.key_columns == (0,)
        assert schema["id"].not_null
        words = "BIGINT" if "BIGINT" in definition else "INT"
        assert schema.sql() == f"id {words} PRIMARY KEY"
        assert parse_columns([schema.sql()]) == Schema.from_catalog(schema.to_catalog()) == schema


def test_the_clause_of_a_key() -> None:
    schema = parse_columns(
        [
            "id INTEGER PRIMARY KEY ON CONFLICT REPLACE",
            "a TEXT UNIQUE ON CONFLICT IGNORE",
            "b TEXT NOT NULL ON CONFLICT IGNORE",
            "UNIQUE (a, b)",
            "UNIQUE (a, b) ON CONFLICT REPLACE",
            "UNIQUE (b, a)",
        ]
    )
    assert schema.has_conflict_clauses
    assert schema.key_conflicts == {(): "REPLACE", (1,): "IGNORE", (1, 2): "REPLACE", (2, 1): "ABORT"}
    assert parse_columns(schema.sql().split(", ", 3)[:3]).has_conflict_clauses
    assert not parse_columns(["id INTEGER PRIMARY KEY", "a TEXT UNIQUE NOT NULL"]).has_conflict_clauses
    packed = (
        schema.to_catalog(),
        [check.to_catalog() for check in schema.checks],
        [key.to_catalog() for key in schema.keys],
    )
    assert Schema.from_catalog(*packed) == schema
    with pytest.raises(SchemaError, match=r"the keys \(A, b\) have different ON CONFLICT clauses"):
        parse_columns(
            [
                *schema.sql().split(", ")[:3],
                "UNIQUE (a, b) ON CONFLICT IGNORE",
                "UNIQUE (A, b) ON CONFLICT REPLACE",
            ]
        )
    with pytest.raises(SchemaError, match="ON CONFLICT 'ROLLBACK'"):
        Schema.from_catalog(packed[0], (), [{"columns": ["a", "b"], "conflict": "ROLLBACK"}])
    with pytest.raises(SchemaError, match="column a: its ON CONFLICT clause is none"):
        Schema.from_catalog([{"name": "a", "type": "TEXT", "unique": True, "key_conflict": "FAIL"}])


def test_the_schema_does_without_pyarrow() -> None:
    code = (
        "import sys, audiomem_sql.columns.schema; "
        "print('pyarrow.compute' in sys.modules, 'apsw' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("letter", ["\x85", "\xa0", "\u2003", "\u3000"])
def test_spaces_that_sqlite_takes_for_letters_are_names(letter: str) -> None:
    schema = parse_columns([f"{letter} TEXT", f'"{letter}{letter}" JSON'])
    assert schema.names == (letter, letter * 2)
    assert parse_columns([column.sql() for column in schema.columns]) == schema
    for space in ("\x0b", "\x1c"):
        with pytest.raises(SchemaError, match="cannot be read from character 1 on"):
            parse_columns([f"{space} TEXT"])
