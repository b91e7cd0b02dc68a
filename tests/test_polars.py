"""polars: what goes in comes out, and a lazy query gives what the same query over the frame gives."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import audiomem_sql as am
from audiomem_sql import polars as polars_door
from audiomem_sql.errors import AudioMemError, DataTypeError, SchemaError
from audiomem_sql.frames import polars_filter as polars_predicate
from audiomem_sql.scan import Filter

EXAMPLES = int(os.environ.get("AUDIOMEM_FRAMES", "60"))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NEAR = 60_000_000_000_000_000
KINDS = ["z", "y", "x"]


def whole(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def reals(width: int) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False).map(lambda value: value + 0.0)  # type: ignore[arg-type]


def times(unit: str) -> st.SearchStrategy[int]:
    per_second = {"ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}[unit]
    if unit == "ns":
        return st.integers(-9_223_372_036_854_775_000, 9_223_372_036_854_775_000)
    return st.integers(-NEAR // 1_000_000 * per_second, NEAR // 1_000_000 * per_second)


#: A dtype, and its physical values.
COLUMNS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    *(
        (dtype, whole(-(1 << bits - 1), (1 << bits - 1) - 1))
        for bits, dtype in ((8, pl.Int8), (16, pl.Int16), (32, pl.Int32), (64, pl.Int64))
    ),
    *(
        (dtype, whole(0, (1 << bits) - 1))
        for bits, dtype in ((8, pl.UInt8), (16, pl.UInt16), (32, pl.UInt32), (64, pl.UInt64))
    ),
    (pl.Float32, reals(32)),
    (pl.Float64, reals(64)),
    (pl.Boolean, st.booleans()),
    (pl.String, TEXTS),
    (pl.Binary, st.binary(max_size=5)),
    (pl.Date, st.integers(-719_162, 2_932_896).map(lambda day: date(1970, 1, 1) + timedelta(day))),
    *(
        (pl.Datetime(unit, zone), times(unit))
        for unit in ("ms", "us", "ns")
        for zone in (None, "UTC", "Europe/Lisbon")
    ),
    *((pl.Duration(unit), whole(-(1 << 62), 1 << 62)) for unit in ("ms", "us", "ns")),
    (pl.Time, whole(0, 86_399_999_999_999)),
    (pl.Decimal(12, 2), st.decimals(-9_999_999_999, 9_999_999_999, places=2)),
    (pl.List(pl.String), st.lists(TEXTS | st.none(), max_size=3)),
    (pl.Array(pl.Int64, 2), st.lists(whole(-(1 << 63), (1 << 63) - 1), min_size=2, max_size=2)),
    (pl.Struct({"a": pl.Int8, "b": pl.String}), st.fixed_dictionaries({"a": whole(-128, 127), "b": TEXTS})),
    (pl.Categorical(), TEXTS),
    (pl.Enum(KINDS), st.sampled_from(KINDS)),
    (
        pl.Array(pl.Float32, 2),
        st.lists(reals(32).filter(lambda value: abs(value) < 1e38), min_size=2, max_size=2),
    ),
]


def series(name: str, dtype: Any, values: list[Any]) -> pl.Series:
    if isinstance(dtype, pl.Datetime | pl.Duration) or dtype == pl.Time:
        return pl.Series(name, values, pl.Int64).cast(dtype)
    return pl.Series(name, values, dtype)


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    count = draw(st.integers(0, 6))
    chosen = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=5))
    columns = []
    for place, (dtype, values) in enumerate(chosen):
        drawn = draw(st.lists(values | st.none(), min_size=count, max_size=count))
        columns.append(series(f"c{place}", dtype, drawn))
    return pl.DataFrame(columns)


@settings(deadline=None, max_examples=EXAMPLES)
@given(frame=frames(), lazy=st.booleans())
def test_every_frame_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, frame: pl.DataFrame, lazy: bool
) -> None:
    path = tmp_path_factory.mktemp("frame") / "t.flac"
    am.write_flac(frame.lazy() if lazy else frame, path).close()
    scanned = am.scan_flac(path)
    assert scanned.collect_schema() == frame.schema
    assert_frame_equal(scanned.collect(), frame)
    half = frame.columns[::2]
    assert_frame_equal(scanned.select(half).collect(), frame.select(half))
    assert_frame_equal(scanned.head(2).collect(), frame.head(2))
    assert scanned.select(pl.len()).collect().item() == frame.height
    assert_frame_equal(scanned.collect(engine="streaming"), frame)


REFUSED = {
    "object": pl.Series([object()], dtype=pl.Object),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_column_holds_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    frame = pl.DataFrame({"fine": [1]}).with_columns(REFUSED[kind].alias("culprit"))
    with pytest.raises(AudioMemError, match="culprit"):
        am.write_flac(frame, tmp_path / "t.flac")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("count", [2, 30_000])
def test_an_enum_keeps_its_order(count: int, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    kinds = [f"{(number * 7919) % 100_003}" for number in range(count)]
    frame = pl.DataFrame({"e": pl.Series([kinds[1], kinds[0], None, kinds[-1]], dtype=pl.Enum(kinds))})
    am.write_flac(frame, path).close()
    found = am.scan_flac(path)
    assert found.collect_schema() == frame.schema
    assert_frame_equal(found.sort("e").collect(), frame.sort("e"))
    assert am.read_flac(path)["e"].cat.categories.tolist() == kinds
    with am.open(path) as table:
        table.append([{"e": "another"}])
        assert table.to_pandas()["e"].dropna().tolist() == [kinds[1], kinds[0], kinds[-1], "another"]
    with pytest.raises(DataTypeError, match=r"column e was written as string.*stored_types=True"):
        am.scan_flac(path).collect()
    stored = am.scan_flac(path, stored_types=True).collect()
    assert stored["e"].to_list() == [kinds[1], kinds[0], None, kinds[-1], "another"]
    assert am.scan_flac(path, version=2).collect_schema() == frame.schema


def test_values_that_do_not_fit_are_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    am.write_flac(pl.DataFrame({"f": pl.Series([0.5], dtype=pl.Float32)}), path).close()
    with am.open(path) as table:
        table.append([{"f": 0.1}, {"f": 1e300}])
    with pytest.raises(DataTypeError, match="column f was written as float"):
        am.scan_flac(path).collect()
    assert am.scan_flac(path, stored_types=True).collect()["f"].to_list() == [0.5, 0.1, 1e300]


# --- predicates ---------------------------------------------------------------------------------------------

ROWS = 400


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, Path]:
    """A frame of everything that a filter may speak of, and a file of it."""
    start = datetime(2020, 1, 1)
    hours = [start + timedelta(hours=row // 3) for row in range(ROWS)]
    frame = pl.DataFrame(
        {
            "i": [None if row % 17 == 3 else row % 50 - 10 for row in range(ROWS)],
            "small": pl.Series([row % 7 for row in range(ROWS)], dtype=pl.Int8),
            "f": [None if row % 19 == 1 else row / 8 for row in range(ROWS)],
            "g": pl.Series([row / 10 for row in range(ROWS)], dtype=pl.Float32),
            "s": [None if row % 13 == 1 else ("a", "ab", "b", "é", "")[row % 5] for row in range(ROWS)],
            "o": [None if row % 11 == 1 else row % 3 == 0 for row in range(ROWS)],
            "t": pl.Series(hours, dtype=pl.Datetime("us")),
            "z": pl.Series(hours, dtype=pl.Datetime("us")).dt.replace_time_zone("Europe/Lisbon"),
            "n": pl.Series(hours, dtype=pl.Datetime("ns")),
            "d": pl.Series([moment.date() for moment in hours]),
            "c": pl.Series([("x", "y", None)[row % 3] for row in range(ROWS)], dtype=pl.Categorical()),
            "e": pl.Series([("x", "y", "z")[row % 3] for row in range(ROWS)], dtype=pl.Enum(KINDS)),
            "b": [bytes([row % 4]) for row in range(ROWS)],
        }
    )
    path = tmp_path_factory.mktemp("known") / "t.flac"
    am.write_flac(frame, path).close()
    return frame, path


C = pl.col
MOMENTS = st.integers(-5, 140).map(lambda hour: datetime(2020, 1, 1) + timedelta(hours=hour))
OPERANDS: dict[str, st.SearchStrategy[Any]] = {
    "i": st.integers(-12, 42),
    "small": st.integers(-1, 8),
    "f": st.integers(-1, 420).map(lambda eighth: eighth / 8) | st.floats(-1, 60),
    "g": st.floats(0, 40) | st.just(0.1),
    "s": st.sampled_from(["", "a", "ab", "b", "c", "é", "ü"]),
    "t": MOMENTS,
    "n": MOMENTS.map(lambda moment: pl.lit(moment, dtype=pl.Datetime("ns"))),
    "z": MOMENTS.map(
        lambda moment: pl.lit(moment, dtype=pl.Datetime("us")).dt.replace_time_zone(
            "Europe/Lisbon", ambiguous="earliest", non_existent="null"
        )
    ),
    "d": MOMENTS.map(datetime.date),
    "e": st.sampled_from(KINDS),
    "b": st.integers(0, 5).map(lambda octet: bytes([octet])),
}
OPERATORS = ("eq", "ne", "lt", "le", "gt", "ge")


@st.composite
def conditions(draw: st.DrawFn, depth: int = 2) -> pl.Expr:
    kind = draw(st.integers(0, 12 if depth else 9))
    if kind > 9:
        left, right = draw(conditions(depth - 1)), draw(conditions(depth - 1))
        return left & right if kind == 10 else left | right if kind == 11 else ~left
    name = draw(st.sampled_from(sorted(OPERANDS)))
    if kind < 4:
        return getattr(C(name), draw(st.sampled_from(OPERATORS)))(draw(OPERANDS[name]))  # type: ignore[no-any-return]
    if kind == 4:
        name = draw(st.sampled_from(["i", "small", "s", "d"]))
        found = draw(st.lists(OPERANDS[name], max_size=4))
        return C(name).is_in(
            pl.Series(found, dtype={"i": pl.Int64, "small": pl.Int8, "s": pl.String, "d": pl.Date}[name])
        )
    if kind == 5:
        name = draw(st.sampled_from(["i", "f", "s", "t", "d", "e"]))
        closed = draw(st.sampled_from(["both", "left", "right", "none"]))
        low, high = (
            pl.lit(value) if isinstance(value, str) else value
            for value in (draw(OPERANDS[name]), draw(OPERANDS[name]))
        )
        return C(name).is_between(low, high, closed=closed)
    if kind == 6:
        column = C(draw(st.sampled_from(["i", "s", "o", "c"])))
        return draw(st.sampled_from([column.is_null(), column.is_not_null()]))
    if kind == 7:
        return draw(
            st.sampled_from(
                [C("o"), ~C("o"), C("o").eq(True), C("c") == "x", C("c") > "x", C("o").eq_missing(False)]
            )
        )
    if kind == 8:
        return C("s").str.starts_with(draw(OPERANDS["s"]))
    return draw(
        st.sampled_from(
            [  # what only polars can do
                C("i") * 2 > C("f"),
                C("s").str.len_chars() == 1,
                C("t").dt.hour() == 3,
                C("i") > 1.5,
                C("i").eq_missing(None),
                C("s").str.contains("b"),
                C("i").ne_missing(3),
                C("g").is_between(0.1, 5),
                C("f").is_not_nan(),
                C("i") % 2 == 0,
            ]
        )
    )


@settings(deadline=None, max_examples=3 * EXAMPLES)
@given(
    condition=conditions(), columns=st.lists(st.sampled_from(["i", "s", "t", "e"]), unique=True, min_size=1)
)
def test_every_filter_gives_what_polars_gives(
    known: tuple[pl.DataFrame, Path], condition: pl.Expr, columns: list[str]
) -> None:
    frame, path = known
    expected = frame.lazy().filter(condition).select(columns).collect()
    scanned = am.scan_flac(path)
    assert_frame_equal(scanned.filter(condition).select(columns).collect(), expected)
    first = scanned.filter(condition).select(columns).head(3).collect()
    assert_frame_equal(first, expected.head(3))
    some = scanned.head(100).filter(condition).select(columns).collect()
    assert_frame_equal(some, frame.head(100).filter(condition).select(columns))


def test_what_is_known_reaches_the_scan(
    known: tuple[pl.DataFrame, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, path = known
    scans: list[tuple[list[int], list[Filter]]] = []
    real = polars_door.scan

    def spy(readable: Any, columns: list[int], filters: list[Filter], **options: Any) -> Any:
        scans.append((columns, filters))
        return real(readable, columns, filters, **options)

    monkeypatch.setattr(polars_door, "scan", spy)
    am.scan_flac(path).filter(C("i") > 3, C("s").str.len_chars() == 1).select("d").collect()
    am.scan_flac(path).filter((C("small") == 1) | C("small").is_null()).select("small").head(1).collect()
    am.scan_flac(path).select("s").head(5).collect()
    (first, second, third) = scans
    names = frame.columns
    assert sorted(names[number] for number in first[0]) == ["d", "i", "s"]
    (item,) = first[1]
    assert names[item.column] == "i"
    assert [item.bound.test(value) for value in (3, 4, None)] == [False, True, False]
    (item,) = second[1]
    assert names[item.column] == "small"
    assert [item.bound.test(value) for value in (0, 1, None)] == [False, True, True]
    assert third == ([names.index("s")], [])


def test_forms_that_are_not_known_are_left_to_polars(
    known: tuple[pl.DataFrame, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of polars may write its expressions in other words, or not at all."""
    frame, path = known
    for written in (
        "{}",
        "[]",
        '{"BinaryExpr":1}',
        '{"BinaryExpr":{"op":"And"}}',
        "no JSON",
        '{"Function":{"input":[]}}',
    ):
        monkeypatch.setattr(polars_predicate.json, "loads", lambda text, found=written: json_of(found))
        assert am.scan_flac(path).filter(C("i") > 3).collect().height == frame.filter(C("i") > 3).height


def json_of(text: str) -> Any:
    import ast

    if text == "no JSON":
        raise ValueError(text)
    return ast.literal_eval(text)


def test_versions(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with am.write_flac(pl.DataFrame({"a": pl.Series([1, 2], dtype=pl.Int8)}), path) as table:
        lazy = am.scan_flac(path)
        table.tag("two")
        table.append(pl.DataFrame({"a": [3]}))
        assert lazy.collect()["a"].to_list() == [1, 2, 3]
        assert am.scan_flac(path, version="two").collect()["a"].to_list() == [1, 2]
        table.append([{"a": 300}])
        with pytest.raises(DataTypeError, match=r"column a was written as int8.*stored_types=True"):
            lazy.collect()
        assert am.scan_flac(path, stored_types=True).collect()["a"].to_list() == [1, 2, 3, 300]
        assert lazy.filter(C("a") < 3).collect()["a"].to_list() == [1, 2]
        table.alter("rename column a TO b")
        with pytest.raises(SchemaError, match="columns have changed"):
            lazy.collect()


def test_a_collation_is_not_polars_business(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["t TEXT COLLATE NOCASE"]) as table:
        table.append([{"t": "a"}, {"t": "A"}, {"t": "B"}])
    scanned = am.scan_flac(tmp_path / "t.flac")
    assert scanned.filter(C("t") == "a").collect()["t"].to_list() == ["a"]
    assert scanned.filter(C("t") > "B").collect()["t"].to_list() == ["a"]
