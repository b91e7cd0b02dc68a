from __future__ import annotations

import json
import math
import struct
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import apsw
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from audiomem_sql.columns.affinity import (
    check_not_null,
    compile_converters,
    convert,
    not_null_failed,
    numeric_text,
    real_text,
)
from audiomem_sql.columns.schema import Column, parse_columns
from audiomem_sql.columns.timestamps import parse
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import ConstraintError, DataTypeError

# Before 3.52 SQLite wrote 15 digits, and read a number with an error in its last bit here and there.
RECENT = apsw.SQLITE_VERSION_NUMBER >= 3_052_000


def column(sql_type: str) -> Column:
    return Column("year", ColumnType.parse(sql_type))


def refusal(value: object, sql_type: str) -> str:
    with pytest.raises(DataTypeError) as caught:
        convert(value, column(sql_type))
    return str(caught.value)


# --- the same as a STRICT table -----------------------------------------------------------------------------

decimals = st.from_regex(
    r"[ \t\n\v\f\r]?[+-]?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{0,3})? ?", fullmatch=True
)
numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-1000, 1000),
    st.sampled_from([2**63 - 1, -(2**63), 2**53 + 1, 2**63 - 1025]),
    st.floats(),
    st.integers(-(2**53), 2**53).map(float),
    st.sampled_from(
        [2.0**63, -(2.0**63), 2.0**63 - 1024, -0.0, 1e15, 1e16, 1e17, 123456789012345680.0, 5e-324]
    ),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(float),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.text(),
    st.text(alphabet="0123456789.eE+- \t\n_xinfa\0", max_size=12),
    decimals,
    numbers.map(str),
    st.binary(max_size=8),
    st.text(alphabet="ab\ud800", max_size=3),
    st.integers(-(2**70), 2**70),
)


class Strict:
    """A native STRICT table, one row at a time."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("CREATE TABLE t(i INTEGER, r REAL, t TEXT, b BLOB) STRICT")

    def stores(self, name: str, value: Any) -> tuple[str, Any] | str:
        """typeof and value, or the message of the refusal."""
        try:
            self.connection.execute(f"INSERT INTO t({name}) VALUES (?)", (value,))
        except apsw.ConstraintError as error:
            return str(error)
        except (UnicodeEncodeError, OverflowError):
            return "not bound"
        found = self.connection.execute(f"SELECT typeof({name}), {name} FROM t").fetchone()
        self.connection.execute("DELETE FROM t")
        assert isinstance(found, tuple)
        return found


STRICT = Strict()
CLASSES = {int: "integer", float: "real", str: "text", bytes: "blob", type(None): "null"}


@pytest.mark.parametrize(
    ("name", "sql_type"), [("i", "INTEGER"), ("r", "REAL"), ("t", "TEXT"), ("b", "BLOB")]
)
@settings(max_examples=1500, deadline=None)
@given(value=values)
@example(value="1\x002")
@example(value="\x001")
@example(value="18446744073709551609.5e3")
@example(value="9223372036854775808")
@example(value="-9223372036854775808")
@example(value="00000000000000000000000000000007")
@example(value="1e400")
@example(value="-1e-400")
@example(value=5e-324)
@example(value=-0.0)
def test_same_as_a_strict_table(name: str, sql_type: str, value: Any) -> None:
    expected = STRICT.stores(name, value)
    if sql_type == "REAL" and isinstance(value, float) and math.isnan(value):
        assert math.isnan(convert(value, Column(name, ColumnType.parse(sql_type))))  # type: ignore[arg-type]
        return  # SQLite's own tables have NULL for it
    if isinstance(expected, tuple):
        stored = convert(value, Column(name, ColumnType.parse(sql_type)))
        if not RECENT and isinstance(stored, float | str) and not isinstance(value, str):
            assert float(stored) == float(expected[1])
            return
        assert (CLASSES[type(stored)], stored) == expected
        if value == 0 and isinstance(stored, float) and not isinstance(value, str):
            assert str(stored) == str(float(value))  # -0.0 is kept, which SQLite's own tables do not
        else:
            assert str(stored) == str(expected[1])
    else:
        with pytest.raises(DataTypeError) as caught:
            convert(value, Column(name, ColumnType.parse(sql_type)))
        if expected != "not bound":
            assert caught.value.what == expected.replace("column t.", "column ")


@settings(max_examples=1500, deadline=None)
@given(st.one_of(decimals, numbers.map(str), st.text(alphabet="0123456789.eE+- \n_xX\0", max_size=8)))
def test_numeric_text_is_numeric_affinity(text: str) -> None:
    connection = STRICT.connection
    connection.execute("CREATE TABLE IF NOT EXISTS n(c NUMERIC)")
    connection.execute("INSERT INTO n VALUES (?)", (text,))
    kind, value = connection.execute("SELECT typeof(c), c FROM n").fetchone()  # type: ignore[misc]
    connection.execute("DELETE FROM n")
    number = numeric_text(text)
    assert kind == ("text" if number is None else CLASSES[type(number)])
    if number is not None and (RECENT or kind == "integer"):
        assert number == value


def test_reals_of_every_exponent_are_written_as_sqlite_writes_them() -> None:
    rng = np.random.default_rng(52)
    bits = (np.arange(2047, dtype=np.uint64) << np.uint64(52))[:, None] | rng.integers(
        0, 2**52, (2047, 12), dtype=np.uint64
    )
    reals = bits.ravel().view(np.float64).tolist()
    reals += [
        float(f"{real:.{digits}g}") for digits, real in zip([1, 3, 8, 14, 15, 16] * 9999, reals, strict=False)
    ]
    reals += [2.0**power for power in range(-1074, 1024)] + [
        float(f"1e{power}") for power in range(-323, 309)
    ]
    reals += rng.integers(0, 2**63, 5000).astype(np.float64).tolist()
    reals += [
        float(f"{n}e{p}")
        for n, p in zip(rng.integers(9 * 10**12, 10**13, 9000), [*range(17, 290)] * 33, strict=False)
    ]
    cursor = STRICT.connection.cursor()
    wrong = []
    for real in reals:
        assert float(real_text(real)) == real
        assert real_text(-real) == ("0.0" if real == 0 else f"-{real_text(real)}")
        (expected,) = cursor.execute("SELECT CAST(? AS TEXT)", (real,)).fetchone()  # type: ignore[misc]
        if RECENT and real_text(real) != expected:
            wrong.append((real, expected))
    assert wrong == []


def test_long_numbers_are_read_as_sqlite_reads_them() -> None:
    rng = np.random.default_rng(19)
    cursor = STRICT.connection.cursor()
    wrong = []
    for length, power in zip(
        rng.integers(1, 45, 20_000).tolist(), rng.integers(-330, 330, 20_000), strict=True
    ):
        digits = "".join(map(str, rng.integers(0, 10, length)))
        point = int(rng.integers(0, length + 1))
        text = f"{digits[:point]}.{digits[point:]}e{power - point}"
        (expected,) = cursor.execute("SELECT CAST(? AS REAL)", (text,)).fetchone()  # type: ignore[misc]
        number = numeric_text(text)
        assert number is not None
        if RECENT and float(number) != expected:
            wrong.append((text, expected))
    assert wrong == []


# --- the types that SQLite lacks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [True, 1, 1.0, "1", "true", "TRUE", np.True_, np.int8(1), np.float32(1)], ids=repr
)
def test_true(value: object) -> None:
    assert convert(value, column("BOOLEAN")) is True


@pytest.mark.parametrize("value", [False, 0, 0.0, -0.0, "0", "False", np.False_, np.uint64(0)], ids=repr)
def test_false(value: object) -> None:
    assert convert(value, column("BOOLEAN")) is False


@pytest.mark.parametrize("value", [2, -1, 0.5, "", "yes", "t", " 1", "1.0", b"1", [], 2**64], ids=repr)
def test_neither_true_nor_false(value: object) -> None:
    assert "BOOLEAN column year" in refusal(value, "BOOLEAN")


def test_timestamps() -> None:
    us = parse("2024-05-06 07:08:09")
    for value in (
        "2024-05-06T07:08:09Z",
        datetime(2024, 5, 6, 7, 8, 9),
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC),
        pd.Timestamp("2024-05-06 07:08:09"),
        np.datetime64("2024-05-06T07:08:09"),
    ):
        assert convert(value, column("TIMESTAMP")) == us
    assert convert(date(1970, 1, 2), column("TIMESTAMP")) == 86_400_000_000
    for bad, word in ((5, "INT"), (1.5, "REAL"), ("soon", "TEXT"), (b"x", "BLOB"), (True, "INT")):
        message = refusal(bad, "TIMESTAMP")
        assert message.startswith(f"cannot store {word} value in TIMESTAMP column year. ") or word == "BLOB"
    assert "microseconds" in refusal(5, "TIMESTAMP")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(json_values) | st.dictionaries(st.text(), json_values))
def test_lists_and_dicts_are_written_as_json(value: object) -> None:
    text = convert(value, column("JSON"))
    assert isinstance(text, str)
    assert json.loads(text) == value
    assert convert(text, column("JSON")) == text
    assert convert(f" {text}\n", column("JSON")) == f" {text}\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), (1.5, "1.5"), (True, "true"), ("null", "null"), ('"a"', '"a"'), ("9" * 5000, "9" * 5000)],
)
def test_json_scalars(value: object, text: str) -> None:
    assert convert(value, column("JSON")) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        "{'a': 1}",
        "[1,]",
        "NaN",
        "[Infinity]",
        "-Infinity",
        '"\n"',
        "\ufeff1",
        "01",
        "1 2",
        "[" * 100_000,
        "٣",
        math.inf,
        [math.nan],
        {"a": {1}},
        {"a": "\ud800"},
        b"{}",
        object(),
        {(1, 2): 3},
    ],
    ids=lambda value: repr(value)[:20],
)
def test_not_json(value: object) -> None:
    assert "JSON column year" in refusal(value, "JSON")


def test_a_list_that_contains_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    refusal(value, "JSON")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_vectors(numbers: list[float]) -> None:
    packed = struct.pack("<3f", *numbers)
    for value in (packed, bytearray(packed), numbers, tuple(numbers), json.dumps(numbers), np.array(numbers)):
        assert convert(value, column("FLOAT[3]")) == packed
    for dtype in (">f4", np.float64, np.float32):
        assert convert(np.array(numbers, dtype=dtype), column("FLOAT[3]")) == packed
    assert convert([np.float32(number) for number in numbers], column("FLOAT[3]")) == packed


def test_vectors_of_integers() -> None:
    packed = struct.pack("<2f", 1, 2)
    for value in ([1, 2], "[1, 2]", np.array([1, 2]), (np.int8(1), 2.0)):
        assert convert(value, column("FLOAT[2]")) == packed


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1234567",
        b"\0" * 12,
        struct.pack("<2f", 1, math.nan),
        struct.pack("<2f", 1, math.inf),
        [1],
        [1, 2, 3],
        [1, None],
        [1, "2"],
        [1, True],
        [1, math.nan],
        [1, math.inf],
        [1, 1e39],
        [1, 10**400],
        "[1]",
        "[1, NaN]",
        "[1, 1e39]",
        "[1,",
        "1",
        '{"a": 1}',
        "[[1, 2]]",
        [[1, 2]],
        np.zeros((1, 2)),
        np.zeros(3),
        np.array(["1", "2"]),
        np.array([True, False]),
        5,
        1.5,
        "x",
        {1: 2},
        range(2),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_not_a_vector(value: object) -> None:
    assert "FLOAT[2] column year" in refusal(value, "FLOAT[2]")


# --- all types ----------------------------------------------------------------------------------------------

EVERY = ["INTEGER", "REAL", "TEXT", "BLOB", "BOOLEAN", "TIMESTAMP", "JSON", "FLOAT[2]"]


@pytest.mark.parametrize("sql_type", EVERY)
@pytest.mark.parametrize(
    "value", [None, math.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")], ids=repr
)
def test_missing_values_are_null(value: object, sql_type: str) -> None:
    stored = convert(value, column(sql_type))
    if sql_type == "REAL" and isinstance(value, float | np.floating):
        assert isinstance(stored, float)
        assert math.isnan(stored)
    else:
        assert stored is None


@pytest.mark.parametrize("sql_type", EVERY)
@pytest.mark.parametrize("value", [object(), Decimal(1), 1j, {1}, datetime.now, 2**63, -(2**63) - 1])
def test_what_no_column_takes(value: object, sql_type: str) -> None:
    assert f"{sql_type} column year" in refusal(value, sql_type)


@pytest.mark.parametrize("sql_type", EVERY)
def test_half_a_surrogate_pair_is_invalid(sql_type: str) -> None:
    message = refusal("a\ud83d", sql_type)
    assert "invalid UTF-8" in message
    message.encode()


def test_numpy_scalars_are_numbers_and_texts() -> None:
    assert convert(np.uint8(7), column("INTEGER")) == 7
    assert type(convert(np.int64(7), column("INTEGER"))) is int
    assert type(convert(np.float64(7.5), column("REAL"))) is float
    assert type(convert(True, column("INTEGER"))) is int
    assert type(convert(np.str_("a"), column("TEXT"))) is str
    assert convert(np.bytes_(b"a"), column("BLOB")) == b"a"
    assert convert(memoryview(b"abc")[::2], column("BLOB")) == b"ac"


def test_long_values_do_not_fill_the_message() -> None:
    assert len(refusal("x" * 10_000, "INTEGER")) < 200


def test_compiled_converters_are_those_of_the_columns() -> None:
    schema = parse_columns([f"c{i} {sql_type}" for i, sql_type in enumerate(EVERY)])
    row = ["7", 7, 7, b"7", "true", "1970-01-01 00:00:01", [7], [7, 7]]
    stored = [function(value) for function, value in zip(compile_converters(schema), row, strict=True)]
    assert stored == [7, 7.0, "7", b"7", True, 1_000_000, "[7]", struct.pack("<2f", 7, 7)]


def test_not_null() -> None:
    needed, rowid = Column("a", ColumnType.parse("TEXT"), not_null=True), column("INTEGER")
    check_not_null("", needed)
    check_not_null(None, rowid)
    check_not_null(None, Column("id", ColumnType.parse("INTEGER"), primary_key=True, not_null=True))
    with pytest.raises(ConstraintError) as caught:
        check_not_null(None, needed)
    assert caught.value.what == "NOT NULL constraint failed: a"
    assert str(not_null_failed(needed, 3)) == "row 3: NOT NULL constraint failed: a"
