"""polars over columns of logical types: what a lazy query finds is what polars finds in the whole frame."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import audiomem_sql as am
from audiomem_sql import polars as polars_door
from audiomem_sql.scan import Filter

EXAMPLES = int(os.environ.get("AUDIOMEM_FRAMES", "60"))
START = datetime(2024, 2, 27, 22)
C = pl.col


def of_time(row: int) -> time:
    return (START + timedelta(seconds=row * 611, microseconds=row)).time()


#: A type, the value of a row, and the Arrow type.
TYPES: dict[str, tuple[Any, pa.DataType]] = {
    "uuid": (lambda row: uuid.UUID(int=row << 100).bytes, pa.uuid()),
    "ubigint": (lambda row: (1 << 63) - 30 + row, pa.uint64()),
    "date": (lambda row: (START + timedelta(days=row)).date(), pa.date32()),
    "decimal": (lambda row: Decimal(row - 20) / 4, pa.decimal128(10, 2)),
    "wide": (lambda row: Decimal(row - 20) * 10**25 + Decimal("0.25"), pa.decimal128(38, 2)),
    "seconds": (lambda row: START + timedelta(seconds=row), pa.timestamp("s")),
    "millis": (lambda row: START + timedelta(milliseconds=row), pa.timestamp("ms")),
    "nanos": (lambda row: START + timedelta(microseconds=row), pa.timestamp("ns")),
    "zone": (
        lambda row: START.replace(tzinfo=UTC) + timedelta(hours=row),
        pa.timestamp("us", "Europe/Berlin"),
    ),
    "time": (of_time, pa.time64("us")),
    "time_s": (lambda row: of_time(row).replace(microsecond=0), pa.time32("s")),
    "duration": (lambda row: timedelta(seconds=row - 20), pa.duration("s")),
    "micros": (lambda row: timedelta(microseconds=row - 20), pa.duration("us")),
}
ROWS = 60


def constant(name: str, row: int) -> Any:
    """The value of a row, as a constant of the dtype that the column has, where polars would not find it."""
    value = TYPES[name][0](row)
    if name == "nanos":
        return pl.lit(value, dtype=pl.Datetime("ns"))
    return pl.lit(value).dt.convert_time_zone("Europe/Berlin") if name == "zone" else value


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path]:
    """The whole frame, and its file, of several segments."""
    path = tmp_path_factory.mktemp("logical") / "t.flac"
    columns: dict[str, Any] = {"row": pa.array(range(ROWS))}
    for number, (name, (make, kind)) in enumerate(TYPES.items()):
        values = [None if row % 11 == number % 11 else make(row * 7 % 40) for row in range(ROWS)]
        plain = pa.binary(16) if name == "uuid" else kind
        made = pa.array(values, plain)
        columns[name] = pa.ExtensionArray.from_storage(kind, made) if name == "uuid" else made
    table = pa.table(columns)
    with am.write_flac(table.slice(0, 20), path) as written:
        written.checkpoint()
        written.append(table.slice(20, 20))
        written.checkpoint()
        written.append(table.slice(40))
    return am.scan_flac(path).collect(), path


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> pl.Expr:
    kind = draw(st.integers(0, 8 if depth else 5))
    if kind > 5:
        left, right = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        return left & right if kind == 6 else left | right if kind == 7 else ~left
    name = draw(st.sampled_from(sorted(TYPES)))
    constants = st.integers(-3, 45).filter(lambda row: row >= 0 or name not in ("uuid", "time", "time_s"))
    values = constants.map(lambda row: constant(name, row))
    if name in ("date", "seconds", "millis"):  # of another dtype than the column
        values = values | st.datetimes(datetime(2024, 2, 27), datetime(2024, 4, 10))
    if name == "decimal":
        values = values | st.sampled_from([3, 1.25, Decimal("0.125"), Decimal(10) ** 20])
    if name == "ubigint":
        values = values | st.sampled_from([5, -1, (1 << 64) - 1])
    if kind < 4:
        operator = draw(st.sampled_from(("eq", "ne", "lt", "le", "gt", "ge", "eq_missing", "ne_missing")))
        return getattr(C(name), operator)(draw(values))  # type: ignore[no-any-return]
    if kind == 4:
        found = draw(st.lists(constants.map(TYPES[name][0]), min_size=1, max_size=4))
        return C(name).is_in(found)
    closed = draw(st.sampled_from(["both", "left", "right", "none"]))
    return C(name).is_between(draw(values), draw(values), closed=closed)


@settings(deadline=None, max_examples=5 * EXAMPLES)
@given(condition=conditions())
def test_every_filter_gives_what_polars_gives(known: tuple[pl.DataFrame, Path], condition: pl.Expr) -> None:
    frame, path = known
    try:
        expected = frame.filter(condition)
    except pl.exceptions.PolarsError as error:  # dtypes that polars compares with nothing
        with pytest.raises(type(error)):
            am.scan_flac(path).filter(condition).collect()
        return
    assert_frame_equal(am.scan_flac(path).filter(condition).collect(), expected)


@pytest.mark.parametrize("name", sorted(TYPES))
def test_a_constant_reaches_the_scan(
    known: tuple[pl.DataFrame, Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    frame, path = known
    seen: list[list[Filter]] = []
    real = polars_door.scan

    def spy(readable: Any, columns: list[int], filters: list[Filter], **options: Any) -> Any:
        seen.append(filters)
        return real(readable, columns, filters, **options)

    monkeypatch.setattr(polars_door, "scan", spy)
    value = constant(name, 21)
    for condition in (C(name) == value, C(name) > value):
        found = am.scan_flac(path).filter(condition).select("row").collect()
        assert_frame_equal(found, frame.filter(condition).select("row"))
        assert found.height
    assert [[frame.columns[each.column] for each in filters] for filters in seen] == [[name], [name]]


def test_seconds_that_polars_cannot_count(tmp_path: Path) -> None:
    """It makes a wrong time of them, and what it makes of them is what is compared."""
    path = tmp_path / "t.flac"
    times = pa.array([0, 1, 1 << 62, -(1 << 62)], pa.int64()).view(pa.timestamp("s"))
    am.write_flac(pa.table({"t": times}), path).close()
    frame = am.scan_flac(path).collect()
    for condition in (
        C("t") == datetime(1970, 1, 1),
        C("t") > date(1970, 1, 1),
        C("t").is_in([datetime(1970, 1, 1)]),
    ):
        assert_frame_equal(am.scan_flac(path).filter(condition).collect(), frame.filter(condition))


@pytest.mark.parametrize(
    ("dtype", "sql_type", "low", "high"),
    [(pl.Int128, "HUGEINT", -(1 << 127), (1 << 127) - 1), (pl.UInt128, "UHUGEINT", 0, (1 << 128) - 1)],
)
def test_integers_of_128_bits(tmp_path: Path, dtype: Any, sql_type: str, low: int, high: int) -> None:
    texts = [str(low), str(high), None, "1"]
    frame = pl.DataFrame({"h": pl.Series(texts).cast(dtype)})
    with am.write_flac(frame, tmp_path / "t.flac") as table:
        assert table.dtypes == {"h": sql_type}
        assert [row["h"] for row in table] == [low, high, None, 1]
        table.append(frame.tail(1))
    assert am.scan_flac(tmp_path / "t.flac").collect()["h"].to_list() == [*texts, "1"]
    assert am.scan_flac(tmp_path / "t.flac").filter(C("h") == str(high)).collect().height == 1


def test_intervals_are_texts(tmp_path: Path) -> None:
    with am.create(tmp_path / "t.flac", ["n INTEGER", "i INTERVAL", "l INTERVAL[]"]) as table:
        table.append([{"n": 1, "i": "1 year 2 days", "l": ["1 day", None]}, {"n": 2}])
    lazy = am.scan_flac(tmp_path / "t.flac")
    assert lazy.collect_schema() == {"n": pl.Int64, "i": pl.String, "l": pl.String}
    assert lazy.collect().rows() == [(1, "1 year 2 days", '["1 day",null]'), (2, None, None)]
    assert lazy.filter(C("i") == "1 year 2 days").select("n").collect().rows() == [(1,)]
    assert lazy.filter(C("l").is_null()).collect()["n"].to_list() == [2]
