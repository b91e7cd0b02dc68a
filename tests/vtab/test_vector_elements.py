"""Columns of int8 and of bits, through every door: values come back as they were, the nearest are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import pyarrow as pa
import pysqlite3
import pytest

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, DamagedFileError, SchemaError
from audiomem_sql.storage.segment.catalog_features import FEATURES, VECTOR_ELEMENTS

COUNT, WIDTH, BITS = 420, 16, 40
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    f"a INT8[{WIDTH}] INDEXED(metric=l2)",
    f"p TINYINT[{WIDTH}]",
    f"b BIT[{BITS}]",
]


def numbers() -> np.ndarray[Any, np.dtype[np.int8]]:
    made = np.random.default_rng(6).integers(-128, 128, (COUNT, WIDTH)).astype(np.int8)
    made[:2] = [[-128] * WIDTH, [127] * WIDTH]
    return made


def bits() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bits a byte each."""
    return np.random.default_rng(7).integers(0, 2, (COUNT, BITS)).astype(np.uint8)


def packed() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bit i of a vector is bit i mod 8 of byte i // 8."""
    made = np.zeros((COUNT, BITS // 8), np.uint8)
    for place in range(BITS):
        made[:, place // 8] |= bits()[:, place] << (place % 8)
    return made


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("elements") / "t.flac"
    with am.Table.create(made, COLUMNS) as table:
        rows = [
            {"id": n, "a": numbers()[n].tobytes(), "p": numbers()[n].tolist(), "b": packed()[n].tobytes()}
            for n in range(COUNT)
        ]
        table.append(rows[:400])
        table.append([*rows[400:], {"id": COUNT}])  # in the log
    return str(made)


@pytest.fixture(params=["apsw", "extension"])
def sql(request: pytest.FixtureRequest, path: str, door: str) -> Iterator[Any]:
    """By Python's sqlite3 with the extension, and by apsw with either table."""
    ours = request.param == "apsw"
    connection: Any = apsw.Connection(":memory:") if ours else pysqlite3.connect(":memory:")
    (register if ours else am.load)(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    yield connection
    connection.close()


def hamming(row: int) -> list[tuple[int, float]]:
    distances = (bits() != bits()[row]).sum(axis=1)
    return [(int(n), float(distances[n])) for n in np.lexsort((np.arange(COUNT), distances))[:5]]


def euclidean(query: Any) -> list[int]:
    distances = np.linalg.norm(numbers().astype(np.float64) - query, axis=1)
    return np.argsort(distances, kind="stable")[:5].tolist()  # type: ignore[no-any-return]


def test_sql(sql: Any) -> None:
    rows = sql.execute("SELECT a, p, b, typeof(a) FROM t WHERE id < 420 ORDER BY id").fetchall()
    assert [row[0] for row in rows] == [row[1] for row in rows] == [row.tobytes() for row in numbers()]
    assert [row[2] for row in rows] == [row.tobytes() for row in packed()]
    assert {row[3] for row in rows} == {"blob"}
    assert sql.execute("SELECT a, b FROM t WHERE id = 420").fetchall() == [(None, None)]
    assert sql.execute("SELECT id FROM t WHERE a = ?", (numbers()[9].tobytes(),)).fetchall() == [(9,)]
    assert sql.execute("SELECT id FROM t WHERE b IN (?, x'00')", (packed()[410].tobytes(),)).fetchall() == [
        (410,)
    ]
    declared = dict(sql.execute("SELECT name, type FROM pragma_table_info('t')").fetchall())
    assert declared == {"id": "INTEGER", "a": "BLOB", "p": "BLOB", "b": f"BIT[{BITS}] BLOB"}
    nearest = "SELECT id, distance FROM t WHERE {} MATCH ? AND k = 5"
    for asked in (packed()[3].tobytes(), "".join(map(str, bits()[3])), json.dumps(bits()[3].tolist())):
        assert sql.execute(nearest.format("b"), (asked,)).fetchall() == hamming(3)
    for row in (7, 415):
        for asked in (numbers()[row].tobytes(), json.dumps(numbers()[row].tolist())):
            found = sql.execute(nearest.format("a"), (asked,)).fetchall()
            assert [n for n, _ in found] == euclidean(numbers()[row])
            assert found[0] == (row, 0.0)
    narrow = "SELECT id FROM t WHERE b MATCH ? AND id > 100 AND k = 1"
    rest = (bits()[101:] != bits()[8]).sum(axis=1)
    assert sql.execute(narrow, (packed()[8].tobytes(),)).fetchall() == [(101 + int(np.argmin(rest)),)]


def test_python(path: str, tmp_path: Path) -> None:
    with am.open(path) as table:
        query = numbers()[12].astype(np.float32) + 0.25
        assert table.search(vector=query, column="a", k=5)["id"].to_pylist() == euclidean(query)
        for asked in (bits()[5], bits()[5].astype(bool), bits()[5].tolist(), packed()[5].tobytes()):
            assert table.search(vector=asked, column="b", k=1)["id"].to_pylist() == [5]
        zeros = table.search(vector=[0] * BITS, column="b", k=COUNT)
        assert zeros["distance"].to_pylist() == sorted(bits().sum(axis=1).tolist())
        combined = table.search(vector={"b": bits()[5], "a": numbers()[5], "p": numbers()[5].tobytes()}, k=1)
        assert combined["id"].to_pylist() == [5]
        rows = table.to_arrow()
        assert rows.schema.field("a").type == pa.list_(pa.int8(), WIDTH)
        assert rows.schema.field("b").type == pa.list_(pa.uint8(), BITS // 8)
        assert all(FEATURES[VECTOR_ELEMENTS](segment.catalog) for segment in table.snapshot.segments)
        with am.write_flac(rows, tmp_path / "again.flac") as again:
            assert again.to_arrow().equals(rows)
            assert again.schema["b"] == table.schema["b"]
    with am.Table.create(tmp_path / "new.flac", COLUMNS) as table:
        table.append(rows)
        table.append(pa.table({"id": [1000], "b": [bits()[0].tolist()]}))
        table.alter("unindex column a")
        table.alter("index column p (metric=cosine)")
        table.vacuum()
        assert table.search(vector=bits()[0], column="b", k=2)["id"].to_pylist() == [0, 1000]
        assert table.search(vector=numbers()[12], column="p", k=1)["id"].to_pylist() == [12]
        for row in range(0, COUNT, 50):
            assert table.get(row) == {
                "id": row,
                "a": numbers()[row].tobytes(),
                "p": numbers()[row].tobytes(),
                "b": packed()[row].tobytes(),
            }


@pytest.mark.parametrize("package", ["python", "extension"])
def test_duckdb(path: str, package: str) -> None:
    with duckdb.connect(config={"allow_unsigned_extensions": "true"}) as connection:
        (am.register_duckdb if package == "python" else am.load)(connection)
        found = connection.execute(
            f"SELECT a, b, typeof(a), typeof(b) FROM audiomem_scan('{path}') WHERE id = 9"
        ).fetchall()
        assert found == [
            (
                tuple(numbers()[9].tolist()),
                tuple(packed()[9].tolist()),
                f"TINYINT[{WIDTH}]",
                f"UTINYINT[{BITS // 8}]",
            )
        ]
        call = f"SELECT id, distance FROM audiomem_search('{path}', NULL, vector := {{}}, searched := '{{}}', k := 5)"
        assert connection.execute(call.format(bits()[3].tolist(), "b")).fetchall() == hamming(3)
        nearest = connection.execute(call.format(numbers()[7].tolist(), "a")).fetchall()
        assert [n for n, _ in nearest] == euclidean(numbers()[7])
        changed = connection.execute(f"SELECT b FROM audiomem_changes('{path}', 2, 2) LIMIT 1").fetchone()
        assert changed == (tuple(packed()[0].tolist()),)


WRONG: list[tuple[str, object, str]] = [
    ("a", bytes(WIDTH - 1), "It has 15 bytes, and 16 are needed"),
    ("a", [1] * (WIDTH + 1), "It has 17 numbers, and 16 are needed"),
    ("a", [128] + [0] * 15, "not from -128 to 127"),
    ("a", [-129] + [0] * 15, "not from -128 to 127"),
    ("a", [0.5] * WIDTH, "whole numbers"),
    ("a", [float("nan")] * WIDTH, "whole numbers"),
    ("a", ["1"] * WIDTH, "whole numbers"),
    ("a", "[1", "whole numbers"),
    ("a", 5, "whole numbers"),
    ("p", bytes(4 * WIDTH), "It has 64 bytes"),
    ("b", bytes(BITS), "It has 40 bytes, and 5 are needed"),
    ("b", [2] + [0] * (BITS - 1), "not from 0 to 1"),
    ("b", "01", "It has 2 numbers, and 40 are needed"),
    ("b", "", "whole numbers"),
]


@pytest.mark.parametrize(("column", "value", "message"), WRONG)
def test_what_is_refused(tmp_path: Path, column: str, value: object, message: str) -> None:
    with am.Table.create(tmp_path / "t.flac", COLUMNS) as table:
        with pytest.raises(AudioMemError, match=f"column {column}.*{message}"):
            table.append([{column: value}])
        assert len(table) == 0


def test_what_is_searched_and_declared_wrongly(path: str, tmp_path: Path) -> None:
    with am.open(path) as table:
        for column, query, message in (
            ("b", [1] * (BITS - 1), "no BIT.*has 39 numbers, and 40"),
            ("b", [0.5] * BITS, "no BIT.*whole numbers"),
            ("b", bytes(BITS), "no BIT.*40 bytes, and 5"),
            ("a", bytes(WIDTH - 4), "has 3 numbers, the vectors have 16"),
            ("a", [float("nan")] * WIDTH, "finite"),
            ("p", [0] * WIDTH, "not all of them 0"),
        ):
            with pytest.raises(AudioMemError, match=f"column {column}: .*{message}") as refused:
                table.search(vector=query, column=column)
            assert refused.value.file is not None
            assert str(refused.value.remedy).startswith("Pass ")
        bits = "01" * (BITS // 2)
        by_list = table.search(vector=[int(bit) for bit in bits], column="b")
        assert table.search(vector=bits, column="b") == by_list
        assert table.search(vector={"b": bits})["id"] == by_list["id"]
    for declared, message in (
        ("b BIT[12]", "multiple of 8"),
        ("b BIT[8] INDEXED", "cannot be INDEXED"),
        ("a INT8[0]", "is 1 to 65535"),
        ("a TINYINT[4] PRIMARY KEY", "cannot be a key"),
        ("a INT8[4] INDEXED(dimensions=5)", "an index of 5 numbers"),
        ("a INT24[4]", "is not a type"),
    ):
        with pytest.raises(SchemaError, match=message):
            am.Table.create(tmp_path / "wrong.flac", [declared])
    with am.Table.create(tmp_path / "zeros.flac", ["a INT8[2] INDEXED"]) as table:
        for rows in ([{"a": [0, 0]}], pa.table({"a": pa.array([[1, 1], [0, 0]], pa.list_(pa.int8(), 2))})):
            with pytest.raises(AudioMemError, match="no direction"):
                table.append(rows)


def test_blocks_that_hold_something_else() -> None:
    from audiomem_sql.blocks.encoding import Encoding, decode, encode
    from audiomem_sql.columns.types import ColumnType

    kind = ColumnType.parse("INT8[3]")
    array = pa.array([[1, -2, 3], None, [127, -128, 0]], pa.list_(pa.int8(), 3))
    code, data = encode(array, kind)
    assert code == Encoding.BYTES
    assert decode(code, data, 3, 1, kind).equals(array)
    items = pa.array([1, -2, 3, 9, 9, 9, 127, -128, 0], pa.int8())  # something stands where it is NULL
    masked = pa.FixedSizeListArray.from_arrays(items, 3, mask=pa.array([False, True, False]))
    assert encode(masked, kind) == (code, data)
    for wrong_code, wrong, wrong_kind in (
        (code, data[:-1], kind),
        (code, data + b"\0", kind),
        (Encoding.VECTORS, data, kind),
        (code, data, ColumnType.parse("FLOAT[3]")),
        (code, data, ColumnType.parse("BIT[8]")),
    ):
        with pytest.raises(DamagedFileError):
            decode(wrong_code, wrong, 3, 1, wrong_kind)
