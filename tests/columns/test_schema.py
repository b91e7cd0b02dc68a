from __future__ import annotations

import contextlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import msgpack
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.column import HIDDEN
from audiomem_sql.columns.schema import (
    MAX_COLUMNS,
    Check,
    Column,
    Key,
    Schema,
    fold,
    is_option,
    parse_columns,
    parse_options,
    quote,
)
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.errors import AudioMemError, OptionError, SchemaError

ROOT = Path(__file__).parents[2]
RESERVED = {*HIDDEN, "rowid", "oid", "_rowid_"}


def refusal(*definitions: str) -> str:
    with pytest.raises(SchemaError) as caught:
        parse_columns(definitions)
    return str(caught.value)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    name = draw(
        st.one_of(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
            ),
            st.text(alphabet="ab_Z0 \"'`[](),-=", min_size=1, max_size=6),
            st.sampled_from(["select", "Key", "primary", "semantic", "id", "größe"]),
        )
    )
    assume(fold(name) not in RESERVED)
    kind = draw(st.sampled_from(Kind))
    column_type = ColumnType(kind, draw(st.integers(1, 65535)) if kind is Kind.FLOAT else 0)
    text, key = kind is Kind.TEXT, kind not in (Kind.FLOAT, Kind.JSON)
    return Column(
        name,
        column_type,
        not_null=draw(st.booleans()),
        unique=key and draw(st.booleans()),
        collation=draw(st.sampled_from(["BINARY", "NOCASE", "RTRIM"])) if text else "BINARY",
        semantic=text and draw(st.booleans()),
        default=draw(
            st.sampled_from(
                [None, None, "5", "- 1.5e-3", "'it''s'", "x'00'", "(1 /* ) */ + 2)", "CURRENT_TIME"]
            )
        ),
    )


NAMES = st.sampled_from([None, None, "plain", "two words", 'quo"te', "check", ""])


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    found = draw(st.lists(columns(), min_size=1, max_size=6, unique_by=lambda column: fold(column.name)))
    keys = [i for i, column in enumerate(found) if column.type.kind not in (Kind.FLOAT, Kind.JSON)]
    if keys and draw(st.sampled_from([False, True])):
        i = draw(st.sampled_from(keys))
        old = found[i]
        found[i] = replace(old, primary_key=True)
    together = []
    if len(keys) > 1:
        for _ in range(draw(st.integers(0, 2))):
            chosen = draw(st.lists(st.sampled_from(keys), min_size=2, unique=True))
            primary = not any(column.primary_key for column in found) and not any(
                key.primary for key in together
            )
            names = tuple(found[i].name for i in chosen)
            together.append(Key(names, primary and draw(st.booleans()), draw(NAMES)))
    checks = []
    for column in draw(st.lists(st.sampled_from(found), max_size=2)):
        expression = draw(
            st.sampled_from(["{} IS NOT 5", "(1 /* ) */ > {})", "{} <> 'it''s )' -- )\n AND 1"])
        )
        checks.append(Check(expression.replace("{}", quote(column.name)), draw(NAMES)))
    return Schema(tuple(found), tuple(checks), tuple(together))


# --- round trips --------------------------------------------------------------------------------------------


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
        hidden = ", ".join(f"{quote(name)} HIDDEN" for name in (table, *HIDDEN))
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
    connection.execute(f'CREATE VIRTUAL TABLE "the notes" USING audiomem({definitions})')
    return connection, module.arguments


@given(schemas())
def test_sqlite_takes_the_definitions_and_the_declaration(schema: Schema) -> None:
    assume("the notes" not in schema)
    connection, arguments = create(schema.sql())
    assert parse_columns(arguments) == schema
    found = connection.execute('PRAGMA table_xinfo("the notes")').fetchall()
    assert [row[1] for row in found] == [*schema.names, "the notes", *HIDDEN]
    for row, column in zip(found, schema.columns, strict=False):
        _, _, declared, not_null, _, primary_key, hidden = row
        assert declared.split()[0] == str(column.type)
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
        ("id int primary key asc", Column("id", ColumnType(Kind.INTEGER), primary_key=True)),
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
        ("year TEXT DEFAULT 1 DEFAULT 2", ["year", "twice"]),
        ("year INTEGER CHECK year > 0", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK ()", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK (year > 0", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CHECK (1; 2)", ["year", "parentheses is expected behind CHECK"]),
        ("year INTEGER CONSTRAINT", ["year", "a name is expected"]),
        ("year INTEGER CONSTRAINT positive", ["year", "nothing follows CONSTRAINT positive"]),
        ("year INTEGER REFERENCES other(id)", ["year", "REFERENCES is not supported"]),
        ("year INTEGER GENERATED ALWAYS AS (1)", ["year", "GENERATED is not supported"]),
        ("year INTEGER AS (1)", ["year", "AS is not supported"]),
        ("year INTEGER UNIQUE ON CONFLICT IGNORE", ["year", "ON is not supported"]),
        ("year INTEGER PRIMARY KEY AUTOINCREMENT", ["year", "AUTOINCREMENT"]),
        ("year INTEGER PRIMARY KEY ASC AUTOINCREMENT", ["year", "AUTOINCREMENT"]),
        ("year INTEGER PRIMARY KEY DESC", ["year", "DESC"]),
        ("PRIMARY KEY (a", ["the table", ") is expected, not the end"]),
        ("PRIMARY KEY (a DESC)", ["the table", "DESC in a key is not supported"]),
        ("UNIQUE (a COLLATE NOCASE, b)", ["the table", "COLLATE in a key is not supported"]),
        ("UNIQUE (a, b) ON CONFLICT IGNORE", ["the table", "ON is not supported"]),
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
        ("year INTEGER COLLATE NOCASE", ["year", "TEXT"]),
        ("year TEXT NOT", ["year", "NULL"]),
        ("year TEXT PRIMARY", ["year", "KEY"]),
        ("year TEXT NULL NOT NULL", ["year", "twice"]),
        ("year TEXT UNIQUE UNIQUE", ["year", "twice"]),
        ("year TEXT NOT NULL 'x'", ["year", "'x'"]),
        ("'year' TEXT", ["double quotes"]),
        ("5 TEXT", ["name of a column"]),
        ('"year TEXT', ["quotation mark"]),
        ("", ["empty"]),
        ("-- nothing", ["empty"]),
        ('"" TEXT', ["empty name"]),
        ('"a\0b" TEXT', ["NUL"]),
        ("RowID INTEGER", ["RowID", "rowid"]),
        ("_rowid_ INTEGER PRIMARY KEY", ["_rowid_"]),
        ("Rank INTEGER", ["Rank", "hidden"]),
        ("as_OF TIMESTAMP", ["as_OF", "hidden"]),
        ('"version" INTEGER', ["version", "hidden"]),
    ],
)  # fmt: skip
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
    [5, [5], [{}], [{"expression": 5}], [{"expression": "a); DROP TABLE t; --"}], [{"expression": "1", "name": 5}],
     [{"expression": "1", "later": True}], [{"expression": "1", "name": "a\0b"}], [{"expression": "a" * 70000}],
     [{"expression": ""}], [{"expression": "')'"}, {"expression": "(("}], [{"expression": "a\ud800"}]],
)  # fmt: skip
def test_checks_of_a_catalog_that_are_none(bad: object) -> None:
    with pytest.raises(SchemaError):
        Schema.from_catalog([{"name": "a", "type": "TEXT"}], bad)


@pytest.mark.parametrize(
    "bad",
    [5, [5], [{}], [{"columns": "ab"}], [{"columns": ["a"]}], [{"columns": ["a", "a"]}], [{"columns": ["a", "c"]}],
     [{"columns": ["a", 5]}], [{"columns": ["a", "b"], "primary": 1}], [{"columns": ["a", "b"], "bloom": None}],
     [{"columns": ["a", "b"], "name": b"x"}], [{"columns": ["a", "b"], "primary": True}] * 2, [{"columns": ["a", "j"]}]],
)  # fmt: skip
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
    hidden = ", ".join(f"h{i} HIDDEN" for i in range(len(HIDDEN) + 1))
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


# --- look-up ------------------------------------------------------------------------------------------------


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


def test_the_schema_does_without_pyarrow() -> None:
    code = "import sys, audiomem_sql.columns.schema; print('pyarrow.compute' in sys.modules, 'apsw' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]


# --- the catalog, read from a file nobody vouches for -------------------------------------------------------


@pytest.mark.parametrize(
    "packed",
    [None, {}, [], "abc", [1], [{}], [{"name": "a"}], [{"name": 1, "type": "TEXT"}], [{"name": "a", "type": "WHAT"}],
     [{"name": "a", "type": "TEXT", "unique": 1}], [{"name": "a", "type": "TEXT", "default": 5}],
     [{"name": "a", "type": "TEXT", "collation": None}], [{"name": "a", "type": "TEXT", b"x_": 5}],
     [{"name": "a", "type": "TEXT"}] * 2, [{"name": "rank", "type": "TEXT"}], [{"name": "a", "type": "FLOAT[99999]"}]],
    ids=repr,
)  # fmt: skip
def test_damaged_catalogs(packed: object) -> None:
    with pytest.raises(SchemaError):
        Schema.from_catalog(packed)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "type", "unique", "x_a", "collation", 5]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=12,
)


@given(plain)
def test_only_schema_errors_leave_a_catalog(packed: object) -> None:
    with contextlib.suppress(SchemaError):
        Schema.from_catalog(packed)


# --- Arrow --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        *(
            (t, "INTEGER")
            for t in (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64())
        ),
        *((t, "REAL") for t in (pa.float16(), pa.float32(), pa.float64())),
        (pa.bool_(), "BOOLEAN"),
        *((t, "TEXT") for t in (pa.string(), pa.large_string(), pa.string_view(), pa.null())),
        (pa.dictionary(pa.int8(), pa.large_string()), "TEXT"),
        (pa.run_end_encoded(pa.int32(), pa.int16()), "INTEGER"),
        *((t, "BLOB") for t in (pa.binary(), pa.large_binary(), pa.binary(16), pa.binary_view())),
        *(
            (pa.timestamp(unit, zone), "TIMESTAMP")
            for unit in ("s", "ms", "us", "ns")
            for zone in (None, "UTC")
        ),
        (pa.date32(), "TIMESTAMP"),
        (pa.date64(), "TIMESTAMP"),
        (pa.list_(pa.float16(), 3), "FLOAT[3]"),
        (pa.list_(pa.float64()), "FLOAT[7]"),
        (pa.large_list(pa.float32()), "FLOAT[7]"),
        (pa.list_view(pa.float32()), "FLOAT[7]"),
        (pa.fixed_shape_tensor(pa.float32(), [4]), "FLOAT[4]"),
        (pa.json_(), "JSON"),
        (pa.uuid(), "BLOB"),
    ],
    ids=str,
)
def test_inferred_types(data_type: pa.DataType, expected: str) -> None:
    schema = schema_of_arrow(pa.schema([pa.field("A", data_type)]), widths={"A": 7})
    assert str(schema["a"].type) == expected


@pytest.mark.parametrize(
    "data_type",
    [pa.decimal128(5, 2), pa.decimal256(50), pa.struct({"a": pa.int8()}), pa.map_(pa.string(), pa.int8()),
     pa.duration("s"), pa.time32("s"), pa.time64("us"), pa.list_(pa.list_(pa.float32())), pa.list_(pa.int32()),
     pa.list_(pa.string()), pa.month_day_nano_interval(), pa.list_(pa.float32(), 70_000),
     pa.dense_union([pa.field("a", pa.int8())])],
    ids=str,
)  # fmt: skip
def test_types_that_no_column_has(data_type: pa.DataType) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of_arrow(pa.schema([pa.field("price", data_type)]), widths={"price": 3})
    assert "price" in str(caught.value)
    if "70000" not in str(data_type):
        assert str(data_type) in str(caught.value)


def test_width_of_variable_lists_must_be_told() -> None:
    with pytest.raises(SchemaError, match=r"column vec: .*list<item: float> does not tell the width"):
        schema_of_arrow(pa.schema([pa.field("vec", pa.list_(pa.float32()))]))


def test_key_and_meaning_are_named_by_the_caller() -> None:
    arrow = pa.schema([pa.field("ID", pa.int32()), pa.field("body", pa.string(), nullable=False)])
    schema = schema_of_arrow(arrow, primary_key="id", semantic="BODY")
    assert schema.sql() == "ID INTEGER PRIMARY KEY, body TEXT NOT NULL SEMANTIC"
    assert schema_of_arrow(arrow, semantic=["body"]).semantic_columns == (1,)
    assert schema_of_arrow(schema.to_arrow(), primary_key="body").rowid_column is None
    for arguments in ({"primary_key": "none"}, {"semantic": ["body", "none"]}):
        with pytest.raises(SchemaError, match="no column none"):
            schema_of_arrow(arrow, **arguments)
    with pytest.raises(SchemaError, match="ID"):
        schema_of_arrow(arrow, semantic="id")


def test_metadata_counts_only_while_it_fits() -> None:
    field = parse_columns(["j JSON"]).to_arrow().field(0)
    for data_type, expected in ((pa.large_string(), "JSON"), (pa.int64(), "INTEGER"), (pa.binary(), "BLOB")):
        assert str(schema_of_arrow(pa.schema([field.with_type(data_type)]))["j"].type) == expected
    for told in (b"WHAT", b"\xff", b"FLOAT[0]"):
        strange = pa.field("j", pa.string(), metadata={b"audiomem:type": told})
        assert str(schema_of_arrow(pa.schema([strange]))["j"].type) == "TEXT"
    vector = parse_columns(["v FLOAT[3]"]).to_arrow().field(0)
    assert (
        str(schema_of_arrow(pa.schema([vector.with_type(pa.list_(pa.float32(), 4))]))["v"].type) == "FLOAT[4]"
    )


def test_nullability() -> None:
    arrow = parse_columns(
        ["id INTEGER PRIMARY KEY NOT NULL", "a TEXT NOT NULL", "b TEXT", "c TEXT UNIQUE"]
    ).to_arrow()
    assert [field.nullable for field in arrow] == [True, False, True, True]


# --- options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "option"),
    [
        ("profile=auto", ("profile", "auto")),
        ("Profile = auto", ("profile", "auto")),
        ("model='all-MiniLM-L6-v2'", ("model", "all-MiniLM-L6-v2")),
        ("model = 'it''s'", ("model", "it's")),
        ('model="a ""b"""', ("model", 'a "b"')),
        ("model=''", ("model", "")),
        ("model=-- why\n'x'", ("model", "x")),
        ("model/* = */=/* a */ x", ("model", "x")),
        ("path=s3://bucket/a--b", ("path", "s3://bucket/a--b")),
        ("k='a = b'", ("k", "a = b")),
    ],
)
def test_options(argument: str, option: tuple[str, str]) -> None:
    assert is_option(argument)
    assert parse_options([argument]) == dict([option])


@pytest.mark.parametrize(
    "argument",
    [
        "id INTEGER",
        "'notes.flac'",
        "'a=b'",
        '"a"=5',
        "a==b",
        "",
        "CHECK (a = 5)",
        "5=a",
        "a /* b */ c */ = 5",
    ],
)
def test_no_options(argument: str) -> None:
    assert not is_option(argument)
    with pytest.raises(OptionError):
        parse_options([argument])


@pytest.mark.parametrize("value", ["", " ", "'a", "a'", "'a'b'", "'a' 'b'", "a b", "'' '", "'", "\"a'"])
def test_option_values_that_cannot_be_read(value: str) -> None:
    with pytest.raises(OptionError, match="model"):
        parse_options([f"model={value}"])


def test_an_option_is_given_once() -> None:
    assert parse_options(["a=1", "b=2"]) == {"a": "1", "b": "2"}
    with pytest.raises(OptionError, match="profile is given twice"):
        parse_options(["profile=auto", "PROFILE='x'"])


@given(st.text())
def test_quoted_values_say_anything(value: str) -> None:
    doubled = value.replace("'", "''")
    assert parse_options([f"a='{doubled}'"]) == {"a": value}
