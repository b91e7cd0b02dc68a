"""DuckDB's own types in Arrow: what it hands over losslessly is what is stored."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.columns.logical.opaque import has_opaque, without_opaque
from audiomem_sql.errors import DataTypeError

LOSSLESS = "SET arrow_lossless_conversion = true"
VALUES = (
    "(-170141183460469231731687303715884105728)::HUGEINT h, "
    "340282366920938463463374607431768211455::UHUGEINT u, "
    "'12:34:56.5+05:30'::TIMETZ z, '10110'::BIT b, (-123456789012345678901234567890)::VARINT v, true t, "
    "[1::HUGEINT, NULL] l, {'a': 5::HUGEINT, 'b': [true]} s, MAP {'k': 7::HUGEINT} m, "
    "[1::HUGEINT, -1]::HUGEINT[2] f"
)


@pytest.fixture
def given() -> pa.Table:
    with duckdb.connect() as connection:
        connection.execute(LOSSLESS)
        found = connection.sql(f"SELECT {VALUES} UNION ALL SELECT {', '.join(['NULL'] * 10)}")
        return found.to_arrow_table()


def test_each_of_them(given: pa.Table, tmp_path: Path) -> None:
    assert [field.name for field in given.schema if has_opaque(field.type)] == list("huzbvtlsmf")
    path = str(tmp_path / "kb.flac")
    audiomem_sql.write_flac(given, path)
    row, nothing = rows_of(path)
    assert row["h"] == Decimal(-(1 << 127))
    assert row["u"] == Decimal((1 << 128) - 1)
    assert (row["z"], row["b"], row["v"]) == ("12:34:56.5+05:30", "10110", "-123456789012345678901234567890")
    assert row["t"] is True
    assert row["l"] == [Decimal(1), None]
    assert row["s"] == {"a": Decimal(5), "b": [True]}
    assert row["m"] == [("k", Decimal(7))]
    assert row["f"] == [Decimal(1), Decimal(-1)]
    assert set(nothing.values()) == {None}


def rows_of(path: str) -> list[dict[str, object]]:
    with audiomem_sql.open(path) as table:
        rows: list[dict[str, object]] = table.to_arrow().to_pylist()
        return rows


def test_slices_and_appends(given: pa.Table, tmp_path: Path) -> None:
    path = str(tmp_path / "kb.flac")
    audiomem_sql.write_flac(given.slice(1), path)
    with audiomem_sql.Table(path) as table:
        table.append(given)
    assert [row["h"] for row in rows_of(path)] == [None, Decimal(-(1 << 127)), None]
    assert [row["l"] for row in rows_of(path)] == [None, [Decimal(1), None], None]


def test_bytes_of_others_are_refused_by_row(tmp_path: Path) -> None:
    foreign = pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "bit", "DuckDB"), pa.array([b""]))
    with pytest.raises(DataTypeError, match="column b"):
        audiomem_sql.write_flac(pa.table({"b": foreign}), str(tmp_path / "kb.flac"))
    assert not list(tmp_path.iterdir())


def test_every_slice_of_what_they_are_in() -> None:
    with duckdb.connect() as connection:
        connection.execute(LOSSLESS)
        given = connection.sql(
            "SELECT i::HUGEINT h, [i::HUGEINT, -i] l, [i::HUGEINT, -i, NULL]::HUGEINT[3] f, "
            "{'a': i::HUGEINT, 'b': i % 2 = 0} s, MAP {i: i::HUGEINT} m, [[i::HUGEINT]]::HUGEINT[][1] n "
            "FROM range(6) r(i) UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL"
        ).to_arrow_table()
    given = given.combine_chunks()
    for name in given.column_names:
        whole = given[name].chunk(0)
        wanted = [_plain(value) for value in without_opaque(whole).to_pylist()]
        assert wanted[3] == {
            "h": 3, "l": [3, -3], "f": [3, -3, None], "s": {"a": 3, "b": False}, "m": [(3, 3)], "n": [[3]],
        }[name]  # fmt: skip
        assert wanted[6] is None
        for start in range(7):
            for rows in range(1, 8 - start):
                part = without_opaque(whole.slice(start, rows))
                part.validate(full=True)
                assert [_plain(value) for value in part.to_pylist()] == wanted[start : start + rows]


def _plain(value: Any) -> Any:
    """Whole numbers of Decimal as int."""
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value))
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return int(value) if isinstance(value, Decimal) else value
