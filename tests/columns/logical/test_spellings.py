"""The names of types, as SQLite, DuckDB and PostgreSQL spell them, and what is none."""

from __future__ import annotations

import pytest

from audiomem_sql.columns.logical.node import MAX_CHARACTERS, Node
from audiomem_sql.columns.logical.spelling import check_zone, parse_node
from audiomem_sql.errors import SchemaError

SPELLINGS = {
    "DECIMAL": "DECIMAL(18,3)",
    "dec": "DECIMAL(18,3)",
    "numeric": "DECIMAL(18,3)",
    "DECIMAL(7)": "DECIMAL(7,0)",
    "Numeric ( 12 , 2 )": "DECIMAL(12,2)",
    "DECIMAL(76,76)": "DECIMAL(76,76)",
    "INT128": "HUGEINT", "UINT128": "UHUGEINT", "VARINT": "BIGNUM", "UINT64": "UBIGINT",
    "UNSIGNED BIG INT": "UBIGINT", "bigint unsigned": "UBIGINT",
    "DATE": "DATE",
    "TIME": "TIME", "TIME WITHOUT TIME ZONE": "TIME",
    "TIME(0)": "TIME_S", "TIME(1)": "TIME_MS", "TIME(3)": "TIME_MS", "TIME(4)": "TIME", "TIME(6)": "TIME",
    "TIME(7)": "TIME_NS", "TIME(9)": "TIME_NS", "TIME (3) without time zone": "TIME_MS",
    "TIMETZ": "TIMETZ", "TIME WITH TIME ZONE": "TIMETZ", "TIME(3) WITH TIME ZONE": "TIMETZ",
    "TIMESTAMP(0)": "TIMESTAMP_S", "TIMESTAMP(3)": "TIMESTAMP_MS", "TIMESTAMP(9)": "TIMESTAMP_NS",
    "TIMESTAMP(0) WITHOUT TIME ZONE": "TIMESTAMP_S",
    "TIMESTAMPTZ": "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ", "TIMESTAMPTZ_US": "TIMESTAMPTZ",
    "TIMESTAMPTZ(0)": "TIMESTAMPTZ_S", "TIMESTAMPTZ(3)": "TIMESTAMPTZ_MS", "TIMESTAMPTZ(6)": "TIMESTAMPTZ",
    "TIMESTAMPTZ(9)": "TIMESTAMPTZ_NS", "TIMESTAMP(3) WITH TIME ZONE": "TIMESTAMPTZ_MS",
    "TIMESTAMPTZ_NS('Europe/Berlin')": "TIMESTAMPTZ_NS('Europe/Berlin')",
    "timestamptz ( '+05:30' )": "TIMESTAMPTZ('+05:30')",
    "DURATION": "DURATION_US",
    "guid": "UUID", "UNIQUEIDENTIFIER": "UUID",
    "BIT": "BIT", "BITSTRING": "BIT", "VARBIT": "BIT", "BIT VARYING": "BIT", "BIT(8)": "BIT",
    "BIT VARYING(8)": "BIT",
    "ENUM('b')": "ENUM('b')", "enum ( 'it''s' , '' )": "ENUM('it''s', '')",
    "INTEGER ARRAY": "BIGINT[]", "TEXT[]": "VARCHAR[]", "VARCHAR(20)[]": "VARCHAR[]",
    "CHARACTER VARYING(5)[2]": "VARCHAR[2]", "BYTEA[]": "BLOB[]", "DOUBLE PRECISION[]": "DOUBLE[]",
    "INT1[]": "TINYINT[]", "INT2[]": "SMALLINT[]", "INT4[]": "INT32[]", "LONG[]": "BIGINT[]",
    "UINT8[]": "UTINYINT[]",
    "UINT16[]": "USMALLINT[]", "UINT32[]": "UINTEGER[]", "INT UNSIGNED[]": "UINTEGER[]",
    "FLOAT16[]": "HALF[]",
    "FLOAT4[]": "FLOAT[]", "REAL[]": "DOUBLE[]", "BOOL[]": "BOOLEAN[]", "DATETIME[]": "TIMESTAMP[]",
    "DATE[][3][]": "DATE[][3][]",
    "ROW(a INT, b TEXT[])": 'STRUCT("a" BIGINT, "b" VARCHAR[])',
    'STRUCT("a b" DATE, "d""e" MAP(TEXT, INTEGER[]))': 'STRUCT("a b" DATE, "d""e" MAP(VARCHAR, BIGINT[]))',
    "map(uuid, row(x time))": 'MAP(UUID, STRUCT("x" TIME))',
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_spellings(text: str) -> None:
    assert str(parse_node(text)) == SPELLINGS[text]
    assert parse_node(f"  {text} ") == parse_node(SPELLINGS[text]) == parse_node(text)
    if not any(mark in SPELLINGS[text] for mark in "'\""):
        assert parse_node(text.upper()) == parse_node(text.lower()) == parse_node(text)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "BIGINT", "INTEGER", "TEXT", "VARCHAR(3)", "TIMESTAMP", "MONEY", "1", "'a'",
        "DATE DATE", "DATE)", "DATE[", "DATE[3", "DATE[x]", "DATE[]]", "DATE[3,4]", "DATE ARRAY ARRAY[",
        "TIME()", "TIME(3", "TIME(1,2)", "TIME(x)", "TIMESTAMP('UTC')", "TIME(3) WITH TIME", "TIME(3) ZONE",
        "TIMESTAMPTZ(", "TIMESTAMPTZ()", "TIMESTAMPTZ(3", "TIMESTAMPTZ('UTC'", "TIMESTAMPTZ(UTC)",
        "TIMESTAMPTZ('UTC', 3)",
        "BIT()", "BIT(a)", "VARCHAR()[]",
        "ENUM", "ENUM(", "ENUM()", "ENUM('a'", "ENUM('a',)", "ENUM('a' 'b')", "ENUM(a)", 'ENUM("a")',
        "STRUCT", "STRUCT(a)", "STRUCT(a DATE", "STRUCT(a DATE,)", "STRUCT(a DATE b DATE)",
        "STRUCT('a' DATE)", "STRUCT(a MONEY)", "STRUCT(, a DATE)",
        "MAP", "MAP(DATE)", "MAP(DATE,)", "MAP(DATE, DATE", "MAP(MONEY, DATE)", "MAP(DATE, MONEY)",
        "MAP(DATE; DATE)", "MAP(DATE, DATE, DATE)",
    ],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    assert parse_node(text) is None


def test_lengths_and_depths() -> None:
    word = "x" * (MAX_CHARACTERS - len("ENUM('')"))
    assert parse_node(f"ENUM('{word}')") == Node("ENUM", words=(word,))
    with pytest.raises(SchemaError, match="too long"):
        parse_node(f"ENUM('{word}x')")
    for before, behind in (("", "[]"), ("", "[1]"), ("STRUCT(a ", ")"), ("MAP(DATE, ", ")")):
        assert parse_node(before * 63 + "DATE" + behind * 63) is not None
        with pytest.raises(SchemaError, match="nested too deeply"):
            parse_node(before * 64 + "DATE" + behind * 64)
    for text in ("DECIMAL()", "DECIMAL(1,2,3)", "DECIMAL(x)", "DECIMAL(3"):
        with pytest.raises(SchemaError, match=r"Write DECIMAL\(p, s\)"):
            parse_node(text)


def test_zones() -> None:
    for zone in ("UTC", "Europe/Berlin", "+00:00", "-23:59", "+05:30", "Etc/GMT+5"):
        assert check_zone(zone) == zone
    for zone in (
        "",
        "Mars",
        "+24:00",
        "-05:60",
        "+5:30",
        "../etc/passwd",
        "/etc/passwd",
        "Europe",
        "+05:30 ",
    ):
        with pytest.raises(SchemaError, match="is no time zone"):
            check_zone(zone)
