"""Exact numbers in SQLite: their collation, which is in C and in Python, and the functions that count with them."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import apsw
import hypothesis
import pytest
from hypothesis import strategies as st

import audiomem_sql
from audiomem_sql.columns.exact_order import compare_numbers
from audiomem_sql.errors import DataTypeError

_DIGITS = st.text("0123456789", max_size=6)
_NUMBERS = st.builds(
    lambda sign, zeros, whole, point, fraction, exponent: f"{sign}{zeros}{whole}{point}{fraction}{exponent}",
    st.sampled_from(("", "", "-", "+")),
    st.sampled_from(("", "", "0", "000")),
    _DIGITS,
    st.sampled_from(("", ".", ".0", ".00")),
    _DIGITS,
    st.sampled_from(("", "", "", "e1", "E-2", "e+3", "e", "e-", "e999999", "e1234567")),
)
_TEXTS = st.one_of(_NUMBERS, _NUMBERS, st.text(alphabet="0.-+e x\0é", max_size=4), st.text(max_size=3))


@pytest.fixture
def con() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    return connection


def _order(connection: apsw.Connection, left: str, right: str) -> int:
    sql = "SELECT (x > y) - (x < y) FROM (SELECT ? COLLATE audiomem_decimal AS x, ? AS y)"
    return int(connection.execute(sql, (left, right)).get)


def test_both_collations_agree_and_are_the_order_of_the_numbers(con: apsw.Connection) -> None:
    @hypothesis.settings(max_examples=300, deadline=None)
    @hypothesis.given(left=_TEXTS, right=_TEXTS)
    def check(left: str, right: str) -> None:
        order = compare_numbers(left, right)
        assert _order(con, left, right) == order == -compare_numbers(right, left)
        if _is_number(left) and _is_number(right):
            one, other = Decimal(left), Decimal(right)
            assert order == (one > other) - (one < other)

    check()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)", text, re.ASCII) is not None


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("1", "1.0", 0),
        ("01", "1", 0),
        ("+1", "1", 0),
        ("-0", "0.00", 0),
        (".5", "0.50", 0),
        ("5.", "5", 0),
        ("1e2", "100", 0),
        ("1E-2", "0.01", 0),
        ("0.01", "0.001", 1),
        ("0.09", "0.1", -1),
        ("9", "10", -1),
        ("-9", "-10", 1),
        ("-1", "-1.5", 1),
        ("-1", "1", -1),
        ("-1", "0", -1),
        ("0", "1e-999999", -1),
        ("1e999999", "2e999998", 1),
        ("123456789012345678901234567890", "123456789012345678901234567891", -1),
        ("1", "x", -1),
        ("x", "1", 1),
        ("a", "b", -1),
        ("b", "a", 1),
        ("", "", 0),
        ("", "1", 1),
        (".", "1", 1),
        ("1e", "1", 1),
        ("1e1234567", "1", 1),
        (" 1", "1", 1),
        ("1\n", "1", 1),
        ("1\0", "1", 1),
        ("١", "1", 1),
    ],
)
def test_the_order_of_two_texts(con: apsw.Connection, left: str, right: str, order: int) -> None:
    assert compare_numbers(left, right) == _order(con, left, right) == order


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("decimal_add('0.1', '0.2')", "0.3"),
        ("decimal_add('0.10', 2)", "2.10"),
        ("decimal_add('99999999999999999999.99', 0.01)", "100000000000000000000.00"),
        ("decimal_sub('1', '1.00')", "0.00"),
        ("decimal_sub('-1', '-1')", "0"),
        ("decimal_mul('1.5', '-0.20')", "-0.300"),
        ("decimal_mul('-1', 0)", "0"),
        ("decimal_mul('1e3', '2')", "2000"),
        ("decimal_cmp('9', '10')", -1),
        ("decimal_cmp('1.0', 1)", 0),
        ("decimal_cmp('-1', '-1.5')", 1),
        ("decimal_add(NULL, 1)", None),
        ("decimal_sub(1, NULL)", None),
        ("decimal_mul(NULL, NULL)", None),
        ("decimal_cmp(1, NULL)", None),
    ],
)
def test_arithmetic_is_exact(con: apsw.Connection, expression: str, value: object) -> None:
    assert con.execute(f"SELECT {expression}").get == value


def _sum(connection: apsw.Connection, *values: object) -> object:
    connection.execute("DROP TABLE IF EXISTS v; CREATE TABLE v(id INTEGER PRIMARY KEY, x)")
    connection.executemany("INSERT INTO v(x) VALUES (?)", [(value,) for value in values])
    return connection.execute("SELECT decimal_sum(x) FROM v").get


def test_a_sum_is_exact(con: apsw.Connection) -> None:
    assert _sum(con) is None
    assert _sum(con, None, None) is None
    assert _sum(con, "0.1", None, "0.20", 3) == "3.30"
    assert _sum(con, *["0.1"] * 10) == "1.0"
    assert _sum(con, "12345678901234567890.01", "-0.01") == "12345678901234567890.00"
    assert _sum(con, "1e3", "0.5") == "1000.5"
    assert _sum(con, "0.5", "-0.5") == "0.0"


def test_a_sum_over_a_window_forgets_what_leaves_it(con: apsw.Connection) -> None:
    _sum(con, "0.125", "2", "-3.5", None, "1")
    over = "OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)"
    rows = con.execute(f"SELECT decimal_sum(x) {over} FROM v").fetchall()
    assert [value for (value,) in rows] == ["0.125", "2.125", "-1.5", "-3.5", "1"]
    groups = con.execute("SELECT id % 2, decimal_sum(x) FROM v GROUP BY 1 ORDER BY 1").fetchall()
    assert groups == [(0, "2"), (1, "-2.375")]


@pytest.mark.parametrize("value", ["x", "", b"1", "1e100001", float("inf")])
def test_what_is_no_number_is_refused(con: apsw.Connection, value: object) -> None:
    con.execute("CREATE TABLE w(x)")
    con.execute("INSERT INTO w VALUES ('1'), (?)", (value,))
    for sql in ("SELECT decimal_sum(x) FROM w", "SELECT decimal_add(x, 1) FROM w"):
        with pytest.raises(DataTypeError, match="decimal arithmetic"):
            con.execute(sql).fetchall()


def test_an_unsigned_integer_equals_other_exact_numbers(con: apsw.Connection, tmp_path: Path) -> None:
    columns = "id INTEGER PRIMARY KEY, u UBIGINT, h HUGEINT, d DECIMAL(5,2), i INTEGER, s TEXT"
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}', {columns})")
    con.execute("INSERT INTO t VALUES (1, 2, 2, 2, 2, '2.0'), (2, '18446744073709551615', -1, 10, 9, '9')")
    truths = "u = h, h = u, u = d, d = u, u = i, i = u, u = s, u < h, typeof(u), u IN (SELECT h FROM t)"
    assert con.execute(f"SELECT {truths} FROM t ORDER BY id").fetchall() == [
        (1, 1, 1, 1, 1, 1, 1, 0, "text", 1),
        (0, 0, 0, 0, 0, 0, 0, 0, "text", 0),
    ]
    for other in ("h", "d", "i"):
        query = f"SELECT a.id, b.id FROM t a JOIN t b ON a.u = b.{other} ORDER BY 1, 2"
        assert con.execute(query).fetchall() == [(1, 1)]
    assert con.execute("SELECT max(u), min(u) FROM t").fetchall() == [("18446744073709551615", "2")]
