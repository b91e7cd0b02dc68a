"""Tables as the Python API shows them: created, appended to, read in every way, seen from other processes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import COLUMNS, MODULATIONS, SCHEMA, arrow, content, create, rows, same

import audiomem_sql as am
from audiomem_sql.errors import (
    ConstraintError,
    DamagedFileError,
    NotAudioMemoryError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
)
from audiomem_sql.table.description import describe
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction

V1 = Path(__file__).parents[1] / "fixtures" / "v1"


def delete(table: Table, rowids: list[int]) -> int:
    table.begin()
    assert table.transaction is not None
    for rowid in rowids:
        table.transaction.delete(rowid)
    return table.commit()


@pytest.mark.parametrize("modulation", MODULATIONS)
@pytest.mark.parametrize("profile", ["server", "desktop", "mobile", "embedded"])
def test_what_goes_in_comes_out(tmp_path: Path, profile: str, modulation: str) -> None:
    data = rows(300)
    options = {"profile": profile, **MODULATIONS[modulation]}
    with Table.create(tmp_path / "t.flac", COLUMNS, options) as table:
        assert (len(table), table.version, content(table)) == (0, 1, [])
        assert table.append(arrow(data)) == 2
        assert same(content(table), data)
    with Table(tmp_path / "t.flac") as table:
        assert (len(table), table.version, table.name) == (300, 2, "t")
        assert same(content(table), data)
        assert table.schema == SCHEMA
        assert table.options.profile == profile
    assert os.listdir(tmp_path) == ["t.flac"]


@pytest.mark.parametrize("modulation", MODULATIONS)
def test_several_deltas_deletions_and_replacements(
    tmp_path: Path, modulation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    with create(tmp_path / "t.flac", 60, **MODULATIONS[modulation]) as table:
        table.checkpoint()
        model = {row["id"]: row for row in rows(60)}
        for start in (61, 71, 10**12, -(2**63)):
            added = rows(10, 1, start)
            added = [dict(row, code=row["code"] and f"{row['code']}-{start}") for row in added]
            table.append(arrow(added))
            table.checkpoint()
            model |= {row["id"]: row for row in added}
        gone = [1, 2, 3, 65, 10**12 + 3, -(2**63), 999]
        delete(table, gone)
        table.checkpoint()
        for rowid in gone:
            model.pop(rowid, None)
        table.append(arrow([dict(rows(1, 5, 2)[0], code="again")]))
        table.checkpoint()
        model[2] = dict(rows(1, 5, 2)[0], code="again")
        expected = [model[key] for key in sorted(model)]
        assert same(content(table), expected)
        assert len(table) == len(model)
        with Table(table.path) as other:
            assert same(content(other), expected)
            assert [v.number for v in other.versions] == list(range(1, 9))
            assert [(v.inserted, v.deleted) for v in other.versions][-2:] == [(0, 6), (1, 0)]
            for rowid in (2, 66, 10**12, -(2**63) + 1):
                assert other.get(rowid) == table.get(rowid)
                assert (other.get(rowid) or {})["n"] == model[rowid]["n"]
            assert [other.get(rowid) for rowid in (1, 65, -(2**63), 0, 2**63 - 1)] == [None] * 5
        last = [segment.catalog.last_version for segment in table.snapshot.segments]
        assert last == list(range(2, 9))
    assert os.listdir(tmp_path) == ["t.flac"]


@pytest.mark.parametrize(
    "ids", [[5, 3, 9, 1], [None, 3, None, 1], [None] * 4, [2**63 - 1, -(2**63), 0, 7]], ids=str
)
def test_keys_in_any_order(tmp_path: Path, ids: list[int | None]) -> None:
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "a TEXT"]) as table:
        table.append(pa.table({"a": list("wxyz"), "id": pa.array(ids, pa.int64())}))
        found = {row["a"]: row["id"] for row in table.to_arrow().to_pylist()}
        for letter, rowid in zip("wxyz", ids, strict=True):
            assert rowid is None or found[letter] == rowid
        assert len(set(found.values())) == 4
        ordered = table.to_arrow().column("id").to_pylist()
        assert ordered == sorted(ordered)


@pytest.mark.parametrize(
    ("definition", "values"),
    [
        ("code TEXT UNIQUE", ["a", "b", "c", "A"]),
        ("code TEXT UNIQUE COLLATE NOCASE", ["a", "b", "c", "é"]),
        ("code BLOB UNIQUE", [b"", b"\0", b"\0\0", b"a"]),
        ("code INTEGER UNIQUE", [1, 0, -(2**63), 2**63 - 1]),
        ("code REAL UNIQUE", [0.0, 1.5, float("inf"), -1.0]),
        ("code BOOLEAN UNIQUE", [True, False]),
        ("code TIMESTAMP UNIQUE", [0, 1, 10**15, -1]),
        ("code TEXT PRIMARY KEY", ["a", "b", "c", "A"]),
    ],
    ids=str,
)
def test_unique_keys(tmp_path: Path, definition: str, values: list[Any]) -> None:
    with Table.create(tmp_path / "t.flac", [definition]) as table:
        kind = table.schema.to_arrow().field("code").type
        first, rest = values[:1], values[1:]
        table.append(pa.table({"code": pa.array(first, kind)}))
        table.append(pa.table({"code": pa.array(rest, kind)}))
        for again in values:
            with pytest.raises(ConstraintError, match=r"t\.flac: key .*UNIQUE constraint failed: code"):
                table.append(pa.table({"code": pa.array([again], kind)}))
        with pytest.raises(ConstraintError):
            Table.create(tmp_path / "u.flac", [definition]).append(
                pa.table({"code": pa.array([values[0]] * 2, kind)})
            )
        if "PRIMARY" not in definition:
            table.append(pa.table({"code": pa.array([None, None], kind)}))
            assert len(table) == len(values) + 2
        assert table.version == (3 if "PRIMARY" in definition else 4)


def test_rowids_are_unique(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 10) as table:
        with pytest.raises(ConstraintError, match="key 10: UNIQUE constraint failed: id"):
            table.append(arrow(rows(3, 9, 10)))
        with pytest.raises(ConstraintError, match="key 77: UNIQUE"):
            table.append(pa.table({"id": [77, 77]}))
        assert (len(table), table.version) == (10, 2)


def test_every_way_to_read(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 200) as table:
        table.append(arrow(rows(50, 0, 201)))
        whole = table.to_arrow()
        assert whole.schema.equals(SCHEMA.to_arrow())
        assert pa.table(table).equals(whole)
        assert pa.RecordBatchReader.from_stream(table).read_all().equals(whole)
        frame = table.to_pandas(columns=["id", "title", "n"], where="n > ?", parameters=[500])
        assert list(frame.columns) == ["id", "title", "n"]
        both = rows(200) + rows(50, 0, 201)
        wanted = [row["id"] for row in both if row["n"] is not None and row["n"] > 500]
        assert frame["id"].tolist() == wanted
        assert pd.DataFrame.from_arrow(table)["id"].tolist() == list(range(1, 251))
        notes = table
        found = duckdb.sql("SELECT count(*), sum(id), count(title) FROM notes").fetchall()
        assert notes is table
        assert found == [(250, 250 * 251 // 2, 250 - whole.column("title").null_count)]
        assert [len(batch) for batch in table.scan(limit=7)] == [7]
        assert list(table.scan(limit=0)) == []
        assert sum(len(batch) for batch in table.scan(limit=10**9)) == 250
        assert table.to_arrow(columns=[], where="n > 500").num_rows == len(wanted)
        assert table.to_arrow(columns=["TITLE", "id"]).column_names == ["title", "id"]
        row = table.get(7)
        assert row is not None
        assert row["seen"] is None or isinstance(row["seen"], str)
        with pytest.raises(SchemaError, match="no column nobody"):
            table.to_arrow(columns=["nobody"])
        with pytest.raises(QueryError):
            table.to_arrow(where="n >")


def test_data_in_every_shape(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["a INTEGER", "b TEXT"]) as table:
        table.append([{"a": 1, "b": "x"}, {"b": "y"}])
        table.append(pd.DataFrame({"b": ["z"], "a": [3]}))
        table.append(pa.record_batch({"a": [4]}))
        table.append(pa.table({"a": [5, 6]}).to_reader())
        assert table.append([]) == 5
        assert [tuple(row.values()) for row in table.to_arrow().to_pylist()] == [
            (1, "x"), (None, "y"), (3, "z"), (4, None), (5, None), (6, None),
        ]  # fmt: skip


def test_another_table_object_sees_commits_when_it_looks(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 0) as one, Table(tmp_path / "t.flac") as other:
        assert not other.refresh()
        one.append(arrow(rows(5)))
        assert (len(other), other.version) == (0, 1)
        assert other.refresh()
        assert (len(other), other.version) == (5, 2)
        other.append(arrow(rows(5, 0, 6)))
        one.append(arrow(rows(5, 0, 11)))
        assert (one.version, len(one)) == (4, 15)
        assert other.refresh()
        assert same(content(other), content(one))
        assert not other.refresh()


def test_a_scan_keeps_its_snapshot(tmp_path: Path) -> None:
    with create(tmp_path / "t.flac", 3000, profile="embedded") as table:
        batches = table.scan()
        first = next(batches)
        delete(table, list(range(1, 3001)))
        table.append(arrow(rows(5, 3, 9001)))
        later = [first, *batches]
        assert sum(len(batch) for batch in later) == 3000
        assert len(table) == 5


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    create(path, 1).close()
    with pytest.raises(StorageError, match=r"t\.flac: the file exists already"):
        Table.create(path, COLUMNS)
    with pytest.raises(StorageError, match="no such folder"):
        Table.create(tmp_path / "nowhere" / "t.flac", COLUMNS)
    for name, options, what in [
        ("a", {"profile": "moon"}, "moon"),
        ("b", {"colour": "blue"}, "colour"),
        ("c", {"compression_level": 23}, "compression_level"),
        ("d", {"compression_level": "high"}, "compression_level"),
        ("e", {"modulation": "am"}, "modulation"),
        ("f", {"protection": "prayer"}, "prayer"),
    ]:
        with pytest.raises(OptionError, match=what):
            Table.create(tmp_path / f"{name}.flac", COLUMNS, options)
    (tmp_path / "x.flac.d").mkdir()
    (tmp_path / "x.flac.d" / "00000002.flac").write_bytes(b"")
    with pytest.raises(StorageError, match="deltas of another table"):
        Table.create(tmp_path / "x.flac", COLUMNS)
    with pytest.raises(StorageError, match=r"no\.flac: there is no such file"):
        Table(tmp_path / "no.flac")
    with pytest.raises(NotAudioMemoryError, match=r"00000002\.flac: the file is empty"):
        Table(tmp_path / "x.flac.d" / "00000002.flac")
    with pytest.raises(StorageError, match="folder"):
        Table(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["t.flac", "x.flac.d"]


@pytest.mark.damages
def test_deltas_that_do_not_belong(tmp_path: Path) -> None:
    """Of format version 1, where deltas are files of their own."""
    for name in ("versions.flac", "columns.flac", "small.flac"):
        shutil.copy(V1 / name, tmp_path)
        shutil.copytree(V1 / f"{name}.d", tmp_path / f"{name}.d")
    path, folder = tmp_path / "columns.flac", tmp_path / "columns.flac.d"
    seven, eight, nine = (f"0000000{n}.flac" for n in (7, 8, 9))
    original = {each.name: each.read_bytes() for each in folder.iterdir()}
    assert set(original) == {seven, eight}

    def put(files: dict[str, bytes]) -> None:
        for each in folder.iterdir():
            each.unlink()
        for name, data in files.items():
            (folder / name).write_bytes(data)

    foreign = (tmp_path / "versions.flac.d" / "00000005.flac").read_bytes()
    (tmp_path / "small.flac.d" / "00000005.flac").write_bytes(foreign)
    with pytest.raises(DamagedFileError, match=r"00000005\.flac: has other columns"):
        Table(tmp_path / "small.flac")
    (tmp_path / "small.flac.d" / "00000005.flac").unlink()
    put({**original, seven: foreign})
    with pytest.raises(DamagedFileError, match=r"columns\.flac: the delta with version 7 is missing"):
        Table(path)
    (tmp_path / "versions.flac.d" / "00000005.flac").write_bytes(original[seven])
    with pytest.raises(DamagedFileError, match=r"versions\.flac: the delta with version 5 is missing"):
        Table(tmp_path / "versions.flac")
    put({eight: original[eight]})
    with pytest.raises(DamagedFileError, match=r"00000008\.flac: has other columns than .*columns\.flac"):
        Table(path)
    put({**original, nine: original[seven]})
    with pytest.raises(DamagedFileError, match=r"columns\.flac: the delta with version 9 is missing"):
        Table(path)
    (tmp_path / "versions.flac.d" / "00000005.flac").write_bytes(foreign)
    put({**original, "notes.txt": b"", ".00000009.flac.abcdefgh.tmp": b"", "9.flac": b""})
    with Table(path) as table:
        assert table.version == 8


def test_frames_in_and_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    am.write_flac(frame, tmp_path / "f.flac").close()
    assert am.read_flac(tmp_path / "f.flac")["a"].tolist() == [1, 2]
    with pytest.raises(StorageError, match="exists"):
        am.write_flac(frame, tmp_path / "f.flac")
    am.write_flac(frame, tmp_path / "f.flac", if_exists="append").close()
    assert len(am.read_flac(tmp_path / "f.flac", where="b IS NULL")) == 2


COMMIT = st.tuples(
    st.sampled_from(["append", "delete", "reopen", "other"]),
    st.lists(st.integers(1, 30), max_size=8, unique=True),
)


@pytest.mark.parametrize("modulation", MODULATIONS)
@given(commits=st.lists(COMMIT, max_size=8))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_against_a_dict(
    tmp_path_factory: pytest.TempPathFactory, modulation: str, commits: list[tuple[str, list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("model") / "t.flac"
    options = {"profile": "embedded", **MODULATIONS[modulation]}
    table = Table.create(path, ["id INTEGER PRIMARY KEY", "a TEXT"], options)
    other = Table(path)
    model: dict[int, str] = {}
    for number, (what, ids) in enumerate(commits):
        if what == "append":
            new = [rowid for rowid in ids if rowid not in model]
            table.append(
                pa.table(
                    {"id": pa.array(new, pa.int64()), "a": pa.array([f"{number}"] * len(new), pa.string())}
                )
            )
            model |= dict.fromkeys(new, f"{number}")
        elif what == "delete":
            delete(table, ids)
            for rowid in ids:
                model.pop(rowid, None)
        elif what == "reopen":
            table.close()
            table = Table(path)
        else:
            table, other = other, table
            table.refresh()
        found = table.to_arrow().to_pylist()
        assert {row["id"]: row["a"] for row in found} == model
        assert len(found) == len(table) == len(model)
        assert all((table.get(rowid) or {}).get("a") == model.get(rowid) for rowid in range(1, 31))
    table.close()
    other.close()


def test_a_column_of_keys_only(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY"], {"profile": "embedded"}) as table:
        table.append(pa.table({"id": np.arange(100_000)}))
        assert table.to_arrow().column("id").to_pylist() == list(range(100_000))
        assert table.to_arrow(where="id BETWEEN 5 AND 7").num_rows == 3


def test_a_log_that_another_table_left_is_in_the_way(tmp_path: Path) -> None:
    log = tmp_path / "t.flac-wal"
    log.write_bytes(b"left")
    with pytest.raises(StorageError, match="the log of another table"):
        Table.create(tmp_path / "t.flac", ["a INTEGER"])
    assert list(tmp_path.iterdir()) == [log]
    assert log.read_bytes() == b"left"


def test_the_description_after_changes_of_columns(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "a TEXT", "c REAL"]) as table:
        table.append([{"a": f"{number**3} text", "c": number / 7} for number in range(9000)])
        before = {column["name"]: column for column in describe(table)["columns"]}
        table.alter("DROP COLUMN a")
        table.alter("ADD COLUMN b TEXT")
        after = {column["name"]: column for column in describe(table)["columns"]}
    assert after["c"] == before["c"]
    assert (after["b"]["stored"], before["c"]["stored"] > 0) == (0, True)
