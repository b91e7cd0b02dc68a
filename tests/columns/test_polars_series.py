"""Integers of 128 bits of polars, which Arrow does not have, alone and inside of lists and structs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import audiomem_sql
from audiomem_sql.errors import DataTypeError

LEAST, MOST, WIDEST = -(2**127), 2**127 - 1, 2**128 - 1
I128, U128 = pl.Int128, pl.UInt128
DEEP = pl.List(pl.Struct({"x": pl.List(I128), "n": pl.Int8}))


@pytest.mark.parametrize(
    ("dtype", "values", "spelled"),
    [
        (I128, [LEAST, None, MOST, 0], "HUGEINT"),
        (U128, [WIDEST, None, 0], "UHUGEINT"),
        (pl.List(I128), [[MOST, None], None, [], [LEAST]], "HUGEINT[]"),
        (pl.List(U128), [[WIDEST], [0, 1]], "UHUGEINT[]"),
        (pl.Array(I128, 2), [[MOST, LEAST], None, [None, 2]], "HUGEINT[2]"),
        (pl.Array(pl.Array(I128, 1), 2), [[[1], [MOST]], None], "HUGEINT[1][2]"),
        (pl.Struct({"x": I128, "y": pl.String}), [{"x": MOST, "y": "k"}, None, {"x": None, "y": None}],
         'STRUCT("x" HUGEINT, "y" VARCHAR)'),
        (DEEP, [[{"x": [MOST, None], "n": 1}, None], [], None, [{"x": None, "n": -1}]],
         'STRUCT("x" HUGEINT[], "n" TINYINT)[]'),
    ],
)  # fmt: skip
def test_they_are_kept_at_any_depth(tmp_path: Path, dtype: Any, values: list[Any], spelled: str) -> None:
    series = pl.Series("a", values, dtype=dtype)
    frame = pl.DataFrame({"a": series})
    given = {"frame": frame, "lazy": frame.lazy(), "column": {"a": series}, "slice": frame.slice(1)}
    for name, data in given.items():
        wanted = values[1:] if name == "slice" else values
        with audiomem_sql.write_flac(data, tmp_path / f"{name}.flac") as table:
            assert str(table.schema.columns[0].type) == spelled
            assert _whole(table.to_arrow()["a"].to_pylist()) == wanted
            table.append(frame)
            assert _whole(table.to_arrow()["a"].to_pylist()) == [*wanted, *values]


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {key: _whole(each) for key, each in value.items()}
    return int(value) if isinstance(value, Decimal) else value


def test_what_arrow_does_not_have_is_named(tmp_path: Path) -> None:
    frame = pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)})
    for data in (frame, {"o": frame["o"]}):
        with pytest.raises(DataTypeError, match="column o of type Object cannot be read as Arrow"):
            audiomem_sql.write_flac(data, tmp_path / "t.flac")
    assert not (tmp_path / "t.flac").exists()
