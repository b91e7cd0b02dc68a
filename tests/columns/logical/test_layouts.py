"""Arrow's list views, run-end encodings, dictionaries and views of texts, at any depth, keep their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.columns.logical.opaque import without_opaque
from audiomem_sql.columns.logical.plain_arrays import is_plain, plain

TEXTS = [["a", "b"], None, ["c", None], ["d", "e"]]
PAIRS = [[("a", 1)], None, [("b", 2), ("c", None)], []]
VIEWS = (pa.list_view, pa.large_list_view)


def int32(*numbers: int) -> pa.Array:
    return pa.array(numbers, pa.int32())


RUNS = pa.RunEndEncodedArray.from_arrays(int32(1, 3), pa.array(["a", None]))
ARRAYS: list[Any] = [
    *(pa.array([[1], [2, 3], None, [], [4]], view(pa.int8())) for view in VIEWS),
    *(pa.array([None, ["a"], ["b", None], ["c"]], view(pa.string())) for view in VIEWS),
    pa.array([[[1], None], None, [[2]], [[3, 4], []]], pa.list_(pa.list_view(pa.int8()))),
    pa.array([[[1], None], None, [[2]], [[3, 4], []]], pa.list_view(pa.large_list_view(pa.int8()))),
    pa.array([{"x": ["a"]}, None, {"x": None}], pa.struct([("x", pa.list_view(pa.string_view()))])),
    pa.ListViewArray.from_arrays(int32(2, 0, 1), int32(1, 2, 0), pa.array([1, 2, 3])),
    pa.ListViewArray.from_arrays(int32(0, 0, 1), int32(2, 3, 1), pa.array([1, 2, 3])),
    pa.array(TEXTS, pa.list_(pa.string_view(), 2)),
    pa.array(TEXTS, pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    pa.array(TEXTS, pa.large_list(pa.string_view())),
    pa.array([[b"a"], None, [b"b", None]], pa.list_(pa.binary_view())),
    pa.array(PAIRS, pa.map_(pa.string_view(), pa.int8())),
    pa.array(PAIRS, pa.map_(pa.string(), pa.dictionary(pa.int8(), pa.int64()))),
    pa.ListArray.from_arrays(int32(0, 2, 3), RUNS),
    pa.RunEndEncodedArray.from_arrays(int32(2, 3, 5), pa.array([[1], None, [2]])),
    pa.DictionaryArray.from_arrays(int32(1, 0, 1), pa.array([[1], None], pa.list_view(pa.int16()))),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.type))
def test_any_layout_of_any_slice_keeps_its_values(array: Any, tmp_path: Path) -> None:
    for start in range(len(array)):
        for length in range(1, len(array) - start + 1):
            part = array.slice(start, length)
            made = plain(part)
            made.validate(full=True)
            assert is_plain(made.type)
            assert made.to_pylist() == part.to_pylist()
    for number, part in enumerate((array, array.slice(1), array.slice(1, 1))):
        table = audiomem_sql.write_flac(pa.table({"c": part}), tmp_path / f"t{number}.flac")
        assert table.to_arrow()["c"].to_pylist() == part.to_pylist()


@pytest.mark.parametrize("view", VIEWS)
def test_a_column_that_is_there_takes_list_views(view: Any, tmp_path: Path) -> None:
    table = audiomem_sql.create(tmp_path / "t.flac", ["c INTEGER[]", "v FLOAT[2]", "d DECIMAL(5,1)[]"])
    lists = [[1], [2, 3], None, []]
    vectors = [[1.5, 2.0], [3.0, 4.0], None, [5.0, 6.0]]
    table.append(
        pa.table(
            {
                "c": pa.array(lists, view(pa.int8())),
                "v": pa.array(vectors, view(pa.float32())),
                "d": pa.array(lists, view(pa.int32())),
            }
        )
    )
    found = table.to_arrow()
    assert found["c"].to_pylist() == found["d"].to_pylist() == lists
    assert found["v"].to_pylist() == vectors


def test_slices_of_truth_values_in_bytes() -> None:
    truths = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, 1, 0], pa.int8()))
    lists = pa.ListArray.from_arrays(int32(0, 1, 3, 4), truths, mask=pa.array([False, True, False]))
    maps = pa.MapArray.from_arrays(int32(0, 1, 2, 4), pa.array(["a", "b", "c", "d"]), truths)
    for array in (lists, maps):
        for start in range(3):
            made = without_opaque(array.slice(start))
            made.validate(full=True)
            assert made.to_pylist() == array.slice(start).to_pylist()
