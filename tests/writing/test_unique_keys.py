"""Keys of several columns: found wherever a row is, and kept by every way of writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sealed import Sealed

from audiomem_sql.columns.arrow_input import schema_of_arrow
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.errors import ConstraintError, DamagedFileError
from audiomem_sql.indexes.keys.combined import CombinedIndex, folded, hash_key, hash_rows
from audiomem_sql.storage.segment.catalog_features import CHECKS, COMBINED_KEYS
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import unique_keys
from audiomem_sql.writing.transaction import OnConflict

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "a TEXT COLLATE NOCASE",
    "b INTEGER",
    "c REAL",
    "UNIQUE (a, b)",
    "UNIQUE (c, b)",
]


def create(path: Path, columns: list[str] = COLUMNS) -> Table:
    return Table.create(path, columns, {"profile": "embedded"})


def row(rowid: int, a: str | None, b: int | None, c: float | None = None) -> dict[str, Any]:
    return {"id": rowid, "a": a, "b": b, "c": c}


def put(table: Table, *values: Any, how: OnConflict = OnConflict.RAISE) -> int | None:
    """Insert a row in a transaction of its own."""
    transaction = table.begin()
    try:
        found = transaction.insert(None, values, how)
    except BaseException:
        table.rollback()
        raise
    table.commit()
    return found


@pytest.mark.parametrize("where", ["log", "segment", "many segments", "vacuumed", "transaction"])
def test_found_wherever_the_row_is(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unique_keys, "SMALL_ROWS", 10)
    with create(tmp_path / "t.flac") as table:
        rows = [row(i, f"Name {i % 7}", i // 7, i / 2) for i in range(1, 101)]
        parts = [rows] if where in ("log", "segment") else [rows[:30], rows[30:60], rows[60:]]
        if where == "transaction":
            for item in rows:
                table.begin().insert(None, tuple(item.values()))
        else:
            for part in parts:
                table.append(part)
                if where != "log":
                    table.checkpoint()
        if where == "vacuumed":
            table.vacuum()
        transaction = table.begin()
        for _ in range(6):  # the index is made meanwhile
            with pytest.raises(ConstraintError, match="UNIQUE constraint failed: a, b") as caught:
                transaction.insert(None, (None, "NAME 5", 6, None))
            assert caught.value.place == "key ('NAME 5', 6), row 101"
            with pytest.raises(ConstraintError, match="UNIQUE constraint failed: c, b"):
                transaction.insert(None, (None, "other", 6, 23.5))
            assert transaction.insert(None, (None, "NAME 5", 6, 0.0), OnConflict.IGNORE) is None
        assert transaction.insert(None, (None, "name 5", 600, 1.0)) == 101
        assert transaction.insert(None, (None, None, 6, None)) == 102
        assert transaction.insert(None, (None, "name 5", None, 23.5)) == 103
        # 47 has (Name 5, 6), 50 has (Name 1, 7), 52 has (26.0, 7), 1 has (Name 1, 0), 3 has (1.5, 0)
        assert transaction.insert(None, (None, "name 5", 6, 1e9), OnConflict.REPLACE) == 104
        assert not transaction.contains(47)
        assert transaction.insert(None, (51, "name 1", 7, 26.0), OnConflict.REPLACE) == 51
        assert transaction.contains(51)
        assert not transaction.contains(50)
        assert transaction.insert(None, (None, "Name 1", 0, 1.5), OnConflict.REPLACE) == 105
        assert [rowid for rowid in (1, 3, 52) if transaction.contains(rowid)] == []
        table.commit()
        assert list(problems(table)) == []
    with Table(tmp_path / "t.flac") as table:
        assert len(table) == 100 + 5 - 5
        assert list(problems(table)) == []


def test_an_update_keeps_its_own_key(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac") as table:
        table.append([row(1, "a", 1, 1.0), row(2, "b", 1, 2.0)])
        table.checkpoint()
        transaction = table.begin()
        assert transaction.update(1, 1, (1, "A", 1, 5.0)) == 1
        with pytest.raises(ConstraintError, match="a, b"):
            transaction.update(1, 1, (1, "B", 1, 5.0))
        assert transaction.update(2, 3, (3, "b", 1, 2.0)) == 3
        assert transaction.insert(None, (None, "b", 2, 1.0)) == 4
        transaction.delete(3)
        assert transaction.insert(None, (None, "B", 1, 2.0)) == 5
        table.commit()


def test_the_primary_key_is_not_null(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", ["a TEXT", "b INTEGER", "PRIMARY KEY (a, b)"]) as table:
        table.append([{"a": "x", "b": 1}])
        for values in ((None, 1), ("x", None)):
            with pytest.raises(ConstraintError, match="NOT NULL constraint failed"):
                put(table, *values)
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: a, b"):
            put(table, "x", 1)
        with pytest.raises(ConstraintError, match="row 1: NOT NULL constraint failed: b"):
            table.append([{"a": "y", "b": 2}, {"a": "y", "b": None}])
    with Table(tmp_path / "t.flac") as table:
        assert table.schema == parse_columns(["a TEXT", "b INTEGER", "PRIMARY KEY (a, b)"])
        assert len(table) == 1


def test_one_that_contains_the_rowid_needs_no_search(tmp_path: Path) -> None:
    columns = ["id INTEGER", "b TEXT", "UNIQUE (b, id)", "PRIMARY KEY (id)", "UNIQUE (b, id)"]
    with create(tmp_path / "t.flac", columns) as table:
        assert table.schema.rowid_column == 0
        assert table.schema.combined_keys == ()
        table.append([{"id": 1, "b": "x"}, {"id": 2, "b": "x"}])
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: id"):
            put(table, 2, "x")
    with Table(tmp_path / "t.flac") as table:
        assert len(table.schema.keys) == 2


@pytest.mark.parametrize("many", [False, True])
def test_append(tmp_path: Path, many: bool) -> None:
    filler = [row(i, f"filler {i}", i, float(i)) for i in range(1000, 1000 + 6000 * many)]
    with create(tmp_path / "t.flac") as table:
        table.append([row(1, "a", 1, 1.0), row(2, "a", 2, 2.0), row(3, None, 1, None), row(4, None, 1, None)])
        if many:
            table.checkpoint()
        before = table.version
        for bad, names in (
            ([row(10, "A", 2)], "a, b"),
            ([row(10, "x", 1), row(11, "X", 1)], "a, b"),
            ([row(10, "x", 1, -0.0), row(11, "y", 1, 0.0)], "c, b"),
            ([row(10, "x", 2, 2)], "c, b"),
        ):
            with pytest.raises(ConstraintError, match=f"UNIQUE constraint failed: {names}"):
                table.append([*filler, *bad])
            assert (table.version, len(table)) == (before, 4)
        table.append([*filler, row(10, "A", 2, 2.0)], replace="id = 2")
        table.append([row(11, None, 1), row(12, "a", None)])
        assert len(table) == 6 + 6000 * many
        table.vacuum()
        with pytest.raises(ConstraintError, match="UNIQUE constraint failed: a, b"):
            table.append([row(13, "a", 2)])
        assert list(problems(table)) == []


def test_checks_of_append(tmp_path: Path) -> None:
    with create(
        tmp_path / "t.flac", ["a INTEGER CHECK (a > 0)", "b TEXT DEFAULT 'x' CHECK (b <> 'bad')"]
    ) as table:
        for count in (1, 10_000):
            with pytest.raises(ConstraintError, match="CHECK constraint failed: a > 0"):
                table.append({"a": [*range(1, count), 0]})
            with pytest.raises(ConstraintError, match="CHECK constraint failed: b <> 'bad'"):
                table.append({"a": range(1, count + 1), "b": [*["x"] * (count - 1), "bad"]})
        assert len(table) == 0
        table.append({"a": [1, None]})
        table.append({"a": [2], "b": [None]})
        table.append({"a": range(1, 10_001)})
        assert table.to_arrow(where="b IS NULL").num_rows == 1
        assert table.to_arrow(where="b = 'x'").num_rows == 10_002


def test_filters_are_kept_by_whatever_writes_segments(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac") as table:
        for start in range(1, 200, 20):
            table.append([row(i, f"n{i}", i, float(i)) for i in range(start, start + 20)])
            table.checkpoint()
        table.append([row(1000, "n1000", 0, 0.5)])
        table.append([row(1001, "n1001", 0, 0.25)], replace="id = 5")
        for step in (table.checkpoint, table.merge, table.vacuum):
            step()
            for segment in table.snapshot.segments:
                for number in range(2):
                    bloom = segment.key_bloom(number)
                    assert (bloom is None) == (segment.rows == 0)
            for key in ("n17", "n1000"):
                with pytest.raises(ConstraintError, match="a, b"):
                    put(table, None, key.upper(), 17 if key == "n17" else 0, None)
            assert list(problems(table)) == []
        assert len(table.snapshot.segments) == 1


@pytest.mark.damages
def test_verify_finds_a_filter_that_lacks_a_key(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path) as table:
        table.append([row(i, f"n{i}", i, float(i)) for i in range(1, 50)])
        table.vacuum()
    sealed = Sealed.read(path)
    sealed.catalog["key_blooms"].reverse()
    sealed.write(path)
    with Table(path) as table:
        assert [problem.what for problem in problems(table)] == [
            "key (a, b): the Bloom filter lacks a key",
            "key (c, b): the Bloom filter lacks a key",
        ]


def test_older_versions_refuse_the_file(tmp_path: Path) -> None:
    with create(tmp_path / "keys.flac"), create(tmp_path / "checks.flac", ["a TEXT CHECK (a > '')"]):
        pass
    assert Sealed.read(tmp_path / "keys.flac").catalog["requires"] == [COMBINED_KEYS]
    assert Sealed.read(tmp_path / "checks.flac").catalog["requires"] == [CHECKS]
    with create(tmp_path / "plain.flac", ["a TEXT UNIQUE DEFAULT 'x'"]):
        pass
    plain = Sealed.read(tmp_path / "plain.flac").catalog
    assert plain["requires"] == []
    assert not {"checks", "keys", "key_blooms"} & set(plain)


@pytest.mark.damages
def test_a_catalog_that_contradicts_itself(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with create(path) as table:
        table.append([row(1, "a", 1)])
        table.vacuum()
    blooms = Sealed.read(path).catalog["key_blooms"]
    for wrong in (
        blooms[:1],
        [*blooms, None],
        [[0, 1 << 40, 1], None],
        [[0, 1, 1 << 40], None],
        None,
        [5, 5],
    ):
        sealed = Sealed.read(path)
        sealed.catalog["key_blooms"] = wrong
        sealed.write(tmp_path / "wrong.flac")
        with pytest.raises(DamagedFileError):
            Table(tmp_path / "wrong.flac")


VALUES = {
    "TEXT": (None, "a", "A", "a ", "", "é", "É", "a\0b", "A\0B", "a\0c"),
    "INTEGER": (None, 0, 1, -1, 2**63 - 1),
    "REAL": (None, 0.0, 1.0, 0.5),
    "BLOB": (None, b"", b"a", b"A"),
    "BOOLEAN": (None, True, False),
    "TIMESTAMP": (None, 0, 1),
}
PARTS = [
    "x TEXT",
    "x TEXT COLLATE NOCASE",
    "x TEXT COLLATE RTRIM",
    "x INTEGER",
    "x REAL",
    "x BLOB",
    "x BOOLEAN",
    "x TIMESTAMP",
]


@settings(suppress_health_check=list(HealthCheck), deadline=None)
@given(st.lists(st.sampled_from(PARTS), min_size=2, max_size=3), st.data())
def test_hashes_are_equal_where_keys_are(parts: list[str], data: st.DataObject) -> None:
    schema = parse_columns([f"c{number}{part[1:]}" for number, part in enumerate(parts)])
    rows = data.draw(
        st.lists(
            st.tuples(*(st.sampled_from(VALUES[str(column.type)]) for column in schema.columns)), max_size=20
        )
    )
    arrays = [
        array_of([values[place] for values in rows], column.type)
        for place, column in enumerate(schema.columns)
    ]
    places, hashes = hash_rows(arrays, schema.columns)
    assert places.tolist() == [number for number, values in enumerate(rows) if None not in values]
    index = CombinedIndex(places, hashes)
    keys = [tuple(map(folded, rows[place], schema.columns)) for place in places]
    for place, hashed, key in zip(places, hashes, keys, strict=True):
        assert hash_key(key)[0] == hashed
        same = [int(other) for other, found in zip(places, keys, strict=True) if found == key]
        assert place in index.rows(np.array([hashed]))
        assert index.rows(np.array([hashed])).tolist() == same
    assert not len(index.rows(np.array([12345], np.uint64)))


def test_arrow_keeps_the_constraints(tmp_path: Path) -> None:
    columns = [
        "a TEXT COLLATE NOCASE",
        "b INTEGER DEFAULT (1 + 1) CHECK (b > 0)",
        "CONSTRAINT k PRIMARY KEY (a, b)",
    ]
    with create(tmp_path / "t.flac", columns) as table:
        table.append([{"a": "x"}])
        found: pa.Table = table.to_arrow()
        assert schema_of_arrow(found.schema) == table.schema
        assert schema_of_arrow(table.to_arrow(["b"]).schema).sql() == "b INTEGER NOT NULL DEFAULT (1 + 1)"
