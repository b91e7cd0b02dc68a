"""Arrow data that say of themselves what only this process may say: that they are stored values."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import audiomem_sql
from audiomem_sql.columns.types import STORED_MARK, ColumnType, arrow_type, is_stored
from audiomem_sql.errors import DataTypeError
from audiomem_sql.importing.importing import Order, import_files

_DAY = datetime.date(2024, 1, 2)


def marked(values: Any, kind: Any, told: str, mark: str = "1") -> pa.Table:
    metadata = {"audiomem:type": told, "audiomem:stored": mark}
    return pa.table({"a": pa.array(values, kind)}, schema=pa.schema([pa.field("a", kind, metadata=metadata)]))


def _of_dataset(data: pa.Table) -> ds.Dataset:
    pq.write_table(data, "source.parquet")
    return ds.dataset("source.parquet")


def _imported(data: pa.Table) -> None:
    pq.write_table(data, "source.parquet")
    import_files(["source.parquet"], "a.flac", Order())


_NEW: dict[str, Callable[[pa.Table], object]] = {
    "table": lambda data: audiomem_sql.write_flac(data, "a.flac"),
    "batch": lambda data: audiomem_sql.write_flac(data.to_batches()[0], "a.flac"),
    "reader": lambda data: audiomem_sql.write_flac(data.to_reader(), "a.flac"),
    "dataset": lambda data: audiomem_sql.write_flac(_of_dataset(data), "a.flac"),
    "parquet": _imported,
}


@pytest.mark.parametrize("door", _NEW)
@pytest.mark.parametrize(
    ("told", "values", "kind", "found", "shown"),
    [
        ("DATE", [_DAY, None], pa.date32(), "DATE", [_DAY, None]),
        ("DATE", [1, 1 << 40], pa.int64(), "INTEGER", [1, 1 << 40]),
        ("UUID", [b"short", None], pa.binary(), "BLOB", [b"short", None]),
        ("VARCHAR[]", [b"\xff\xff"], pa.binary(), "BLOB", [b"\xff\xff"]),
        ("BIGNUM", ["7", "-12"], pa.string(), "BIGNUM", ["7", "-12"]),
        ("BIGNUM", [b"no number"], pa.binary(), "BLOB", [b"no number"]),
    ],
)
@pytest.mark.parametrize("mark", ["1", "00" * 16])
def test_a_new_table_takes_the_values_for_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str, told: str, values: list[Any], kind: Any,
    found: str, shown: list[Any], mark: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    _NEW[door](marked(values, kind, told, mark))
    with audiomem_sql.open("a.flac") as table:
        assert str(table.schema.columns[0].type) == found
        assert table.to_arrow().column("a").to_pylist() == shown
        metadata = table.to_arrow().schema.field("a").metadata or {}
        assert b"audiomem:stored" not in metadata


_ADDED: dict[str, Callable[[Any, pa.Table], object]] = {
    "append": lambda table, data: table.append(data),
    "upsert": lambda table, data: table.upsert(data, "id"),
}


@pytest.mark.parametrize("door", _ADDED)
def test_rows_that_are_added_are_converted_or_refused(tmp_path: Path, door: str) -> None:
    rows = pa.table({"id": [1], "a": pa.array([_DAY])})
    with audiomem_sql.write_flac(rows, tmp_path / "a.flac", primary_key="id") as table:
        for values, kind in (([19_724], pa.int64()), ([b"\x01\x02\x03\x04"], pa.binary())):
            data = marked(values, kind, "DATE").add_column(0, "id", pa.array([2]))
            with pytest.raises(DataTypeError, match=r"row 0: cannot store .* value in DATE column a"):
                _ADDED[door](table, data)
            assert table.to_arrow().to_pylist() == [{"id": 1, "a": _DAY}]
        for number, (value, kind) in enumerate((("2024-05-06", pa.string()), (_DAY, pa.date32())), 2):
            _ADDED[door](table, marked([value], kind, "DATE").add_column(0, "id", pa.array([number])))
        shown = table.to_arrow().sort_by("id").to_pylist()
    assert [row["a"] for row in shown] == [_DAY, datetime.date(2024, 5, 6), _DAY]


def test_only_the_mark_of_this_process_counts() -> None:
    own = audiomem_sql.columns.schema.parse_columns(["a DATE", "b INTEGER"]).to_arrow()
    assert is_stored(own.field("a").metadata)
    assert own.field("a").type == arrow_type(ColumnType.parse("DATE")) == pa.int64()
    assert not is_stored(own.field("b").metadata)
    assert not is_stored(None)
    assert not is_stored({})
    assert not is_stored({b"audiomem:stored": b"1"})
    assert is_stored(dict(STORED_MARK))
