"""A REAL goes into an exact type only if no digit can have been lost on its way."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.columns.logical.casting import stored_of_value
from audiomem_sql.columns.logical.fixed import from_stored, stored_type
from audiomem_sql.errors import DataTypeError
from columns.logical.random_types import node

LOST = "a REAL holds 15 digits: write the number in quotes"
EXACT = ["DECIMAL(60,20)", "HUGEINT", "UHUGEINT", "BIGNUM", "UBIGINT"]


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("value", [2.0**53 + 2, 1e16, 1e30, 1267650600228229401496703205377.0, 2.0**63])
def test_a_real_beyond_its_integers_is_refused(kind: str, value: float) -> None:
    for given in (value, np.float64(value)):
        with pytest.raises(ValueError, match=LOST):
            stored_of_value(node(kind), given)


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("value", [0.0, 1.0, 1e15, 2.0**53 - 1, 2.0**53])
def test_an_integer_that_a_real_holds_is_taken(kind: str, value: float) -> None:
    stored = pa.array([stored_of_value(node(kind), value)], stored_type(node(kind)))
    assert int(from_stored(node(kind), stored)[0].as_py()) == int(value)


@pytest.mark.parametrize("value", [0.1 + 0.2, 1 / 3, 123456789.12345678, -2.0 / 3])
def test_a_fraction_of_more_than_15_digits_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=LOST):
        stored_of_value(node("DECIMAL(60,20)"), value)


@pytest.mark.parametrize("value", [0.1, -0.000123, 12345678901234.5, 1e-20, 0.123456789012345])
def test_a_fraction_of_15_digits_is_taken(value: float) -> None:
    stored = stored_of_value(node("DECIMAL(60,20)"), value)
    assert from_stored(node("DECIMAL(60,20)"), pa.array([stored]))[0].as_py() == Decimal(repr(value))


def test_integers_inside_of_lists() -> None:
    assert stored_of_value(node("BIGINT[]"), [5.0, 2.0**53]) is not None
    with pytest.raises(ValueError, match=LOST):
        stored_of_value(node("BIGINT[]"), [2.0**62])


@pytest.mark.parametrize(
    ("column", "number"),
    [
        ("h", "1267650600228229401496703205377"),
        ("h", "1000000000000000000000000000001"),
        ("d", "12345678901234567890.5"),
        ("b", "123456789012345678901234567890"),
        ("u", "9223372036854775809"),
    ],
)
def test_numbers_in_sql(column: str, number: str, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    audiomem_sql.create(path, ["h HUGEINT", "d DECIMAL(30,10)", "b BIGNUM", "u UBIGINT"])
    connection = audiomem_sql.connect(path)
    with pytest.raises(DataTypeError, match=f"column {column}.*{LOST}"):
        connection.execute(f"INSERT INTO t({column}) VALUES ({number})")
    assert len(audiomem_sql.open(path)) == 0
    connection.execute(f"INSERT INTO t({column}) VALUES ('{number}')")
    ((found,),) = connection.execute(f"SELECT {column} FROM t")
    assert Decimal(found) == Decimal(number)
    with pytest.raises(DataTypeError, match=LOST):
        connection.execute(f"UPDATE t SET {column} = {column} * 1.5")
    assert connection.execute(f"SELECT {column} FROM t").fetchall() == [(found,)]
    connection.close()


@pytest.mark.parametrize(
    ("default", "value"),
    [
        ("HUGEINT DEFAULT 170141183460469231731687303715884105727", 2**127 - 1),
        ("HUGEINT DEFAULT -170141183460469231731687303715884105728", -(2**127)),
        ("DECIMAL(30,10) DEFAULT 1234567890.1234567891", Decimal("1234567890.1234567891")),
        ("DECIMAL(30,10) DEFAULT (- 12345678901234567890.5)", Decimal("-12345678901234567890.5")),
        ("DECIMAL(30,10) DEFAULT +1_000.25", Decimal("1000.25")),
        ("DECIMAL(30,10) DEFAULT (1 + 0.5)", Decimal("1.5")),
        ("DECIMAL(30,10) DEFAULT '0.1234567891'", Decimal("0.1234567891")),
        ("DECIMAL(30,10) DEFAULT 0x10", Decimal(16)),
        ("UBIGINT DEFAULT 18446744073709551615", 2**64 - 1),
    ],
)
def test_a_default_keeps_its_digits(default: str, value: Any, tmp_path: Path) -> None:
    table = audiomem_sql.create(tmp_path / "t.flac", ["i INTEGER", f"x {default}"])
    table.append([{"i": 1}])
    with audiomem_sql.connect(tmp_path / "t.flac") as connection:
        connection.execute("INSERT INTO t(i) VALUES (2)")
    assert audiomem_sql.open(tmp_path / "t.flac").to_arrow()["x"].to_pylist() == [value, value]
