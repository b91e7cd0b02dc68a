"""What single values of logical types become, and which are refused."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from audiomem_sql.columns.logical.casting import UnfitError, stored_of_arrow, stored_of_value
from audiomem_sql.columns.logical.fixed import stored_type
from audiomem_sql.columns.logical.texts import sql_images
from columns.logical.random_types import node

ID = uuid.UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff")
FINE = pd.Timestamp("2024-05-06 07:08:09.000000001")
EAST = timezone(timedelta(hours=5, minutes=30))

KEPT: list[tuple[str, Any, Any]] = [
    ("DECIMAL(5,2)", Decimal("1.5"), "1.50"),
    ("DECIMAL(5,2)", "-999.99", "-999.99"),
    ("DECIMAL(5,2)", 1.1, "1.10"),
    ("DECIMAL(5,2)", np.float32(1.1), "1.10"),
    ("DECIMAL(5,2)", " +1.5e2 ", "150.00"),
    ("DECIMAL(5,2)", "-0.0", "0.00"),
    ("DECIMAL(5,2)", ".5", "0.50"),
    ("DECIMAL(5,2)", "5.", "5.00"),
    ("DECIMAL(5,2)", Decimal("-0.01"), "-0.01"),
    ("DECIMAL(4,0)", 9999, "9999"),
    ("DECIMAL(4,4)", "0.0001", "0.0001"),
    ("DECIMAL(18,0)", 10**18 - 1, "9" * 18),
    ("DECIMAL(19,0)", -(10**19 - 1), "-" + "9" * 19),
    ("DECIMAL(38,38)", "1e-38", "0." + "0" * 37 + "1"),
    ("DECIMAL(39,1)", Decimal("-1.5"), "-1.5"),
    ("DECIMAL(76,0)", "9" * 76, "9" * 76),
    ("HUGEINT", -(1 << 127), str(-(1 << 127))),
    ("HUGEINT", (1 << 127) - 1, str((1 << 127) - 1)),
    ("UHUGEINT", (1 << 128) - 1, str((1 << 128) - 1)),
    ("UHUGEINT", 0, "0"),
    ("UBIGINT", (1 << 63) - 1, str((1 << 63) - 1)),
    ("UBIGINT", 1 << 63, str(1 << 63)),
    ("UBIGINT", (1 << 64) - 1, str((1 << 64) - 1)),
    ("UBIGINT", np.uint64((1 << 64) - 1), str((1 << 64) - 1)),
    ("UBIGINT", "7.0", "7"),
    ("BIGNUM", -(10**40), str(-(10**40))),
    ("BIGNUM", 0, "0"),
    ("BIGNUM", "1e3", "1000"),
    ("DATE", date(1, 1, 1), "0001-01-01"),
    ("DATE", date(9999, 12, 31), "9999-12-31"),
    ("DATE", "10000-01-01", "10000-01-01"),
    ("DATE", "0044-03-15 (BC)", "0044-03-15 (BC)"),
    ("DATE", "2024-2-9", "2024-02-09"),
    ("DATE", "2024-02-29T00:00:00Z", "2024-02-29"),
    ("DATE", datetime(2024, 2, 29), "2024-02-29"),
    ("DATE", np.datetime64("2024-02-29"), "2024-02-29"),
    ("DATE", np.datetime64("NaT"), None),
    ("DATE", pd.NaT, None),
    ("DATE", pd.NA, None),
    ("DATE", float("nan"), None),
    ("DATE", "-infinity", "-infinity"),
    ("TIME", time(23, 59, 59, 999_999), "23:59:59.999999"),
    ("TIME", "24:00:00", "24:00:00"),
    ("TIME", "1:02", "01:02:00"),
    ("TIME_S", "01:02:03", "01:02:03"),
    ("TIME_MS", "01:02:03.050", "01:02:03.05"),
    ("TIME_NS", "01:02:03.000000001", "01:02:03.000000001"),
    ("TIMETZ", time(1, 2, 3, tzinfo=EAST), "01:02:03+05:30"),
    ("TIMETZ", "01:02:03", "01:02:03+00"),
    ("TIMETZ", "01:02:03.5-08", "01:02:03.5-08"),
    ("TIMETZ", "23:59:59-15:59:59", "23:59:59-15:59:59"),
    ("TIMETZ", "00:00:00+15:59", "00:00:00+15:59"),
    ("TIMETZ", "01:02Z", "01:02:00+00"),
    ("TIMESTAMP_S", datetime(1970, 1, 1, 0, 0, 1), "1970-01-01 00:00:01"),
    ("TIMESTAMP_MS", "2024-05-06 07:08:09.120", "2024-05-06 07:08:09.12"),
    ("TIMESTAMP_NS", FINE, "2024-05-06 07:08:09.000000001"),
    ("TIMESTAMP_NS", np.datetime64("2024-05-06T07:08:09.000000001"), "2024-05-06 07:08:09.000000001"),
    ("TIMESTAMP_NS", date(2024, 5, 6), "2024-05-06 00:00:00"),
    ("TIMESTAMPTZ", datetime(2024, 5, 6, 7, tzinfo=EAST), "2024-05-06 01:30:00+00:00"),
    ("TIMESTAMPTZ", datetime(2024, 5, 6, 7), "2024-05-06 07:00:00+00:00"),
    ("TIMESTAMPTZ", "2024-05-06T07:00:00+05:30", "2024-05-06 01:30:00+00:00"),
    ("TIMESTAMPTZ", "infinity", "infinity"),
    ("TIMESTAMPTZ", "0002-01-01 00:00:00 (BC)", "0002-01-01 00:00:00+00:00 (BC)"),
    ("DURATION_US", timedelta(days=1, microseconds=5), "24:00:00.000005"),
    ("DURATION_NS", pd.Timedelta(-1), "-00:00:00.000000001"),
    ("DURATION_MS", np.timedelta64(1500, "ms"), "00:00:01.5"),
    ("DURATION_S", "1 day 2 hours", "26:00:00"),
    ("INTERVAL", "1 year 2 months 3 days 00:00:04.5", "1 year 2 months 3 days 00:00:04.5"),
    ("INTERVAL", pa.MonthDayNano((-13, 1, -1)), "-1 year -1 month 1 day -00:00:00.000000001"),
    ("INTERVAL", timedelta(days=-1, seconds=1), "-1 day 00:00:01"),
    ("INTERVAL", np.timedelta64(5, "s"), "00:00:05"),
    ("INTERVAL", "1.5 years", "1 year 6 months"),
    ("INTERVAL", "2 weeks 3 ms 4 µs 5 ns", "14 days 00:00:00.003004005"),
    ("INTERVAL", "0 days", "00:00:00"),
    ("UUID", ID, str(ID)),
    ("UUID", ID.bytes, str(ID)),
    ("UUID", "{" + str(ID).upper() + "}", str(ID)),
    ("UUID", ID.hex, str(ID)),
    ("BIT", "1", "1"),
    ("BIT", "000000001", "000000001"),
    ("BIT", "0" * 16, "0" * 16),
    ("ENUM('b', 'a')", "a", "a"),
    ("BIGINT[]", [1, None, np.int8(3), 4.0], "[1,null,3,4]"),
    ("BIGINT[]", (), "[]"),
    ("BIGINT[]", np.array([1, 2]), "[1,2]"),
    ("BIGINT[]", "[1.0]", "[1]"),
    (
        "DOUBLE[]",
        [float("nan"), float("-inf"), -0.0, 1e300, Decimal("0.1")],
        '["nan","-inf",-0.0,1e+300,0.1]',
    ),
    ("FLOAT[]", [0.1], "[0.10000000149011612]"),
    ("HALF[]", [0.5], "[0.5]"),
    (
        "TIMESTAMP[]",
        [datetime(2024, 5, 6), "2024-05-06 00:00:00.5"],
        '["2024-05-06 00:00:00","2024-05-06 00:00:00.5"]',
    ),
    ("DATE[2]", [date(2024, 5, 6), pd.NaT], '["2024-05-06",null]'),
    ("BLOB[]", [b"\xff", bytearray(b"a")], '["ff","61"]'),
    ("BLOB[]", '["ff"]', '["ff"]'),
    ("JSON[]", ['{"a":1}', {"b": [1.5, None]}], '[{"a":1},{"b":[1.5,null]}]'),
    ("JSON[]", '[{"a":1.50},"x",12345678901234567890.5]', '[{"a":1.50},"x",12345678901234567890.5]'),
    ("VARCHAR[]", ["é\0", '"'], '["é\\u0000","\\""]'),
    ("UBIGINT[]", [(1 << 64) - 1], "[18446744073709551615]"),
    ("DECIMAL(38,10)[]", "[1234567890123456789.0123456789]", '["1234567890123456789.0123456789"]'),
    ("STRUCT(a BIGINT, b DATE)", {"b": "2024-05-06"}, '{"a":null,"b":"2024-05-06"}'),
    ("STRUCT(a STRUCT(b BIGINT[]))", {"a": {"b": [1]}}, '{"a":{"b":[1]}}'),
    ("STRUCT(a STRUCT(b HUGEINT))", {"a": None}, '{"a":null}'),
    ("MAP(VARCHAR, BIGINT)", {"b": 1, "a": None}, '{"b":1,"a":null}'),
    ("MAP(VARCHAR, BIGINT)", [("a", 1), ("a", 2)], '[["a",1],["a",2]]'),
    ("MAP(VARCHAR, BIGINT)", {}, "{}"),
    ("MAP(BIGINT, VARCHAR)", {1: "x"}, '[[1,"x"]]'),
    ("MAP(DATE, VARCHAR)", {date(2024, 5, 6): "x"}, '{"2024-05-06":"x"}'),
    ("MAP(BIGINT, BIGINT[])", "[[1,[2]],[3,null]]", "[[1,[2]],[3,null]]"),
    ("BIGINT[]", "null", None),
    ("BIGINT[]", None, None),
]


@pytest.mark.parametrize(("spelling", "value", "image"), KEPT, ids=str)
def test_values_are_kept(spelling: str, value: Any, image: Any) -> None:
    kind = node(spelling)
    stored = stored_of_value(kind, value)
    array = pa.array([stored], pa.binary() if kind.is_nested else stored_type(kind))
    assert sql_images(kind, array) == [image]
    assert stored_of_value(kind, image) == stored


REFUSED: list[tuple[str, Any, str]] = [
    ("DECIMAL(5,2)", "1000", "more than 3 digits before the point"),
    ("DECIMAL(5,2)", "1e400", "more than 3 digits before the point"),
    ("DECIMAL(5,2)", Decimal("0.001"), "more than 2 digits behind the point"),
    ("DECIMAL(5,2)", "1e-400", "more than 2 digits behind the point"),
    ("DECIMAL(5,2)", Decimal("NaN"), "no finite number"),
    ("DECIMAL(5,2)", float("nan"), "NaN"),
    ("DECIMAL(5,2)", float("inf"), "no finite number"),
    ("DECIMAL(5,2)", True, "truth value"),
    ("DECIMAL(5,2)", "1,5", "no number"),
    ("DECIMAL(5,2)", "", "no number"),
    ("DECIMAL(5,2)", b"1", "no number"),
    ("HUGEINT", 1 << 127, "128 bits"),
    ("HUGEINT", -(1 << 127) - 1, "128 bits"),
    ("UHUGEINT", -1, "128 bits"),
    ("UHUGEINT", 1 << 128, "128 bits"),
    ("UBIGINT", -1, "64 bits"),
    ("UBIGINT", 1 << 64, "64 bits"),
    ("UBIGINT", 1.5, "no integer"),
    ("BIGNUM", Decimal("1e100001"), "100,000 digits"),
    ("BIGNUM", "0.5", "no integer"),
    ("DATE", datetime(2024, 5, 6, 1), "time of day"),
    ("DATE", FINE.normalize() + pd.Timedelta(1), "time of day"),
    ("DATE", np.datetime64("2024-05-06T01"), "time of day"),
    ("DATE", "2024-05-06 00:00:01", "time of day"),
    ("DATE", "2024-02-30", "no such day"),
    ("DATE", "2024-13-01", "no such day"),
    ("DATE", "5881580-07-12", "out of range"),
    ("DATE", "yesterday", "YYYY-MM-DD"),
    ("DATE", 5, "int is no date"),
    ("TIME", time(1, tzinfo=UTC), "zone"),
    ("TIME", "25:00", "no such time"),
    ("TIME", "24:00:01", "no such time"),
    ("TIME", "01:60", "no such time"),
    ("TIME", "01:00:60", "no such time"),
    ("TIME", "01:02:03.0000001", "finer than the type"),
    ("TIME_NS", "01:02:03.0000000001", "finer than a nanosecond"),
    ("TIME_S", time(1, 2, 3, 4), "finer than the type"),
    ("TIME", "noon", "HH:MM:SS"),
    ("TIME", 5, "int is no time"),
    ("TIMETZ", "01:02:03+16", "zone"),
    ("TIMETZ", "01:02:03+05:60", "zone"),
    ("TIMETZ", 5, "int is no time"),
    ("TIMESTAMP_S", "2024-05-06 07:08:09.5", "finer than the type"),
    ("TIMESTAMP_MS", FINE, "finer than the type"),
    ("TIMESTAMP_MS", np.datetime64("2024-05-06T07:08:09.000001"), "finer than the type"),
    ("TIMESTAMP_NS", datetime(9999, 1, 1), "out of the range"),
    ("TIMESTAMP_NS", "2024-05-06x", "no timestamp"),
    ("TIMESTAMP_NS", "2024", "no timestamp"),
    ("TIMESTAMP_NS", 5, "int is no timestamp"),
    ("DURATION_S", timedelta(milliseconds=1), "finer than the type"),
    ("DURATION_S", np.timedelta64(1, "ms"), "finer than the type"),
    ("DURATION_S", "1 month", "no fixed length"),
    ("DURATION_S", 5, "int is no duration"),
    ("DURATION_NS", timedelta(days=200_000), "out of the range"),
    ("INTERVAL", "0.1 months", "no fixed length"),
    ("INTERVAL", "5 parsecs", "no interval"),
    ("INTERVAL", "", "no interval"),
    ("INTERVAL", (1 << 31, 0, 0), "out of the range"),
    ("INTERVAL", (0, -(1 << 31) - 1, 0), "out of the range"),
    ("INTERVAL", (0, 0, 1 << 63), "out of the range"),
    ("INTERVAL", 5, "int is no interval"),
    ("UUID", "6f9619ff", "no UUID"),
    ("UUID", b"short", "no UUID"),
    ("UUID", 5, "no UUID"),
    ("BIT", "", "bits"),
    ("BIT", "102", "bits"),
    ("BIT", 101, "bits"),
    ("ENUM('b', 'a')", "c", "none of the values"),
    ("ENUM('b', 'a')", 1, "none of the values"),
    ("BIGINT[]", "1", "no list"),
    ("BIGINT[]", "[1", "not JSON"),
    ("BIGINT[]", '{"a":1,"a":2}', "a key is there twice"),
    ("BIGINT[]", b"[1]", "bytes are no list"),
    ("BIGINT[]", 5, "int is no list"),
    ("BIGINT[]", {"a": 1}, "dict is no list"),
    ("BIGINT[]", [1.5], "no integer"),
    ("BIGINT[]", [True], "truth value"),
    ("BIGINT[]", ["x"], "no number"),
    ("BIGINT[]", [1 << 63], "too large"),
    ("TINYINT[]", [128], "too large"),
    ("UTINYINT[]", [-1], ""),
    ("BIGINT[2]", [1], "1 items, and 2 are needed"),
    ("BOOLEAN[]", [1], "no truth value"),
    ("VARCHAR[]", [1], "int is no text"),
    ("VARCHAR[]", ["\ud800"], "surrogates"),
    ("BLOB[]", ["ff"], "str is no bytes"),
    ("BLOB[]", '["xy"]', "non-hexadecimal"),
    ("BLOB[]", "[1]", "hexadecimal"),
    ("DOUBLE[]", ["x"], "could not convert"),
    ("DOUBLE[]", [True], "bool is no number"),
    ("DOUBLE[]", [b"1"], "bytes is no number"),
    ("FLOAT[]", [1e39], "too large"),
    ("HALF[]", [70_000], "too large"),
    ("JSON[]", ["{"], "not JSON"),
    ("JSON[]", [float("nan")], "JSON"),
    ("JSON[]", [{1: 2}], "a key of JSON is a text"),
    ("JSON[]", ["NaN"], "not JSON"),
    ("TIMESTAMP[]", [FINE], "finer"),
    ("STRUCT(a BIGINT)", {"b": 1}, "no field 'b'"),
    ("STRUCT(a BIGINT)", [1], "list is no struct"),
    ("MAP(VARCHAR, BIGINT)", [(None, 1)], "keys are not NULL"),
    ("MAP(VARCHAR, BIGINT)", [("a",)], "pairs"),
    ("MAP(VARCHAR, BIGINT)", 5, ""),
]


@pytest.mark.parametrize(("spelling", "value", "why"), REFUSED, ids=ascii)
def test_values_are_refused(spelling: str, value: Any, why: str) -> None:
    with pytest.raises((ValueError, OverflowError, TypeError, pa.ArrowException)) as caught:
        stored_of_value(node(spelling), value)
    assert why in str(caught.value)


def test_widening_casts_of_nested_arrow_data() -> None:
    for source, spelling, values in (
        (pa.list_(pa.int8()), "BIGINT[]", [[1, None], None, []]),
        (pa.list_(pa.uint32()), "BIGINT[]", [[4_294_967_295]]),
        (pa.list_(pa.float32(), 2), "DOUBLE[]", [[1.5, None], None]),
        (pa.list_(pa.int16(), 2), "BIGINT[2]", [[1, 2], None]),
        (pa.struct({"a": pa.int8(), "b": pa.float32()}), "STRUCT(a BIGINT, b DOUBLE)", [{"a": 1, "b": 0.5}]),
        (pa.struct({"b": pa.int8(), "a": pa.int8()}), "STRUCT(a BIGINT, b BIGINT)", [{"a": 1, "b": 2}]),
        (pa.large_list(pa.null()), "VARCHAR[]", [[None], []]),
    ):
        kind = node(spelling)
        stored = stored_of_arrow(kind, pa.array(values, source))
        assert stored.to_pylist() == [stored_of_value(kind, value) for value in values]


def test_texts_of_arrow_that_are_no_value_of_an_enum_are_refused_by_row() -> None:
    kind = node("ENUM('b', 'a')")
    for source in (pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        made = stored_of_arrow(kind, pa.array(["a", None, "b", "a"], source))
        assert (made.type, made.to_pylist()) == (pa.string(), ["a", None, "b", "a"])
        with pytest.raises(UnfitError, match="none of the values of the ENUM") as caught:
            stored_of_arrow(kind, pa.array(["a", None, "c", "b"], source))
        assert caught.value.row == 2


@pytest.mark.parametrize(
    ("name", "last", "beyond", "least", "below"),
    [
        ("TIMESTAMP_S", "292277026596-12-04 15:30:07", "292277026596-12-04 15:30:08",
         "292277022658-01-27 08:29:52 (BC)", "292277022658-01-27 08:29:51 (BC)"),
        ("TIMESTAMP_MS", "292278994-08-17 07:12:55.807", "292278994-08-17 07:12:55.808",
         "292275056-05-16 16:47:04.192 (BC)", "292275056-05-16 16:47:04.191 (BC)"),
        ("TIMESTAMP_NS", "2262-04-11 23:47:16.854775807", "2262-04-11 23:47:16.854775808",
         "1677-09-21 00:12:43.145224192", "1677-09-21 00:12:43.145224191"),
        ("TIMESTAMPTZ", "294247-01-10 04:00:54.775807+00:00", "294247-01-10 04:00:54.775808+00:00",
         "290309-12-21 19:59:05.224192 (BC)", "290309-12-21 19:59:05.224191 (BC)"),
        ("DURATION_NS", "2562047:47:16.854775807", "2562047:47:16.854775808",
         "-2562047:47:16.854775808", "-2562047:47:16.854775809"),
    ],
)  # fmt: skip
def test_the_first_and_the_last_time_of_a_type(
    name: str, last: str, beyond: str, least: str, below: str
) -> None:
    kind = node(name)
    assert stored_of_value(kind, last) == 2**63 - 1
    assert stored_of_value(kind, least) == -(2**63)
    for text in (beyond, below):
        with pytest.raises(ValueError, match="out of the range of the type"):
            stored_of_value(kind, text)


def test_the_largest_parts_of_an_interval() -> None:
    kind = node("INTERVAL")
    for text, beyond in (
        (f"{2**31 - 1} months", f"{2**31} months"),
        (f"{-(2**31)} months", f"{-(2**31) - 1} months"),
        (f"{2**31 - 1} days", f"{2**31} days"),
        (f"{-(2**31)} days", f"{-(2**31) - 1} days"),
        ("2562047:47:16.854775807", "2562047:47:16.854775808"),
        ("-2562047:47:16.854775808", "-2562047:47:16.854775809"),
    ):
        assert len(stored_of_value(kind, text)) == 32
        with pytest.raises(ValueError, match="out of the range of the type"):
            stored_of_value(kind, beyond)
