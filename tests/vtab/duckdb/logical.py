"""A value of each of DuckDB's types that a logical type holds, and the extremes of each."""

from __future__ import annotations

#: In SQL; each stands in a column with NULLs.
VALUES = (
    "5::DECIMAL(4,2)", "-12345.678::DECIMAL(9,3)", "-123456789012.345::DECIMAL(18,3)",
    "(-12345678901234567890123456789012.345)::DECIMAL(38,3)", "(repeat('9', 38))::DECIMAL(38,0)",
    "'-170141183460469231731687303715884105728'::HUGEINT", "'170141183460469231731687303715884105727'::HUGEINT",
    "'340282366920938463463374607431768211455'::UHUGEINT", "18446744073709551615::UBIGINT", "0::UBIGINT",
    "DATE '0001-01-01'", "DATE '9999-12-31'", "'infinity'::DATE", "'0044-03-15 (BC)'::DATE",
    "TIME '00:00:00'", "TIME '24:00:00'", "TIME '23:59:59.999999'",
    "'01:02:03.5+05:30'::TIMETZ", "'00:00:00-15:59:59'::TIMETZ", "'23:59:59.999999+15:59:59'::TIMETZ",
    "TIMESTAMP_S '2024-01-02 03:04:05'", "TIMESTAMP_MS '2024-01-02 03:04:05.006'",
    "TIMESTAMP_NS '2262-04-11 23:47:16.854775806'", "TIMESTAMP_NS '1677-09-22 00:12:43.145224193'",
    "TIMESTAMPTZ '2024-01-02 03:04:05.5+02'", "'-infinity'::TIMESTAMPTZ",
    "INTERVAL '-14 months 3 days 4.5 seconds'", "INTERVAL '0 seconds'",
    "'ffffffff-1111-2222-3333-444444444444'::UUID", "'00000000-0000-0000-0000-000000000000'::UUID",
    "'b'::ENUM('z', 'b', 'a')", "'it''s'::ENUM('it''s', '\"')",
    "'10110'::BIT", "'1'::BIT", "'0000000011111111'::BIT", r"'\x00\xff'::BLOB", "''::BLOB",
    "[1, NULL, 3]", "[]::INTEGER[]", "[[1.5, 2.5], NULL, []]", "['a', '', NULL]", "[1.5, 'nan'::DOUBLE]::DOUBLE[]",
    "{'a': 1, 'b': {'c': 'x', 'd': [DATE '2020-01-01']}}", "{'a': NULL::TINYINT, 'B c': 0.5::FLOAT}",
    "MAP {'a': 1, 'b': NULL}", "MAP {1: {'x': [1.5]}}", "[MAP {'k': [1.25]}]",

    "[true, false, NULL]", "['\\x00'::BLOB]", "[TIMESTAMP '2020-01-01 00:00:01.5', NULL]", "[1::USMALLINT]",
)  # fmt: skip
#: Those that the Arrow of DuckDB's Python package shows as another type: see docs/ANALYSIS.md.
AS_TEXT = (
    "'12345678901234567890123456789012345678901234567890'::BIGNUM", "(-255)::BIGNUM", "0::BIGNUM",
    "'{\"a\": [1, null]}'::JSON", "['01:02:03+01'::TIMETZ]", "['b'::ENUM('z', 'b', 'a')]", "['101'::BIT]",
    "MAP {}::MAP(UUID, HUGEINT)", "[12::BIGNUM]",
    "[{'a': 1::HUGEINT, 'u': '00000000-0000-0000-0000-000000000001'::UUID}, NULL]", "['{}'::JSON]",
)  # fmt: skip
#: DuckDB 1.4 has no number for this type in its interface for extensions.
NEWER = ("TIME_NS '01:02:03.123456789'", "TIME_NS '23:59:59.999999999'")
#: DuckDB 1.5 has no CASE of them.
ARRAYS = ("[1, 2, 3]::INTEGER[3]", "[1.5, 2.5]::DOUBLE[2]", "[1.5, 2.5]::FLOAT[2]", "[{'a': 1}]::STRUCT(a INTEGER)[1]")  # fmt: skip


def rows_of(value: str) -> str:
    """A query for rows of which every third is NULL, in more than one vector."""
    # no join and no CASE: DuckDB 2.0.0 casts the lists of rows that are NULL, too
    there = f"SELECT i, ({value}) AS x FROM range(2100) AS r(i) WHERE i % 3 <> 1"
    return f"{there} UNION ALL SELECT i, NULL FROM range(2100) AS r(i) WHERE i % 3 = 1 ORDER BY i"
