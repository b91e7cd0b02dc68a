"""Versions, columns and constraints of a catalog that contradict each other are refused."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fixtures.make_v1 import FOLDER, write
from fixtures.make_v1 import VERSIONED as VERSIONED_SCHEMA
from sealed import Sealed

from audiomem_sql.blocks.integers import encode_integers
from audiomem_sql.errors import AudioMemError, DamagedFileError, QueryError, SchemaError
from audiomem_sql.storage.segment.catalog import Version
from audiomem_sql.storage.segment.column_numbers import NEVER
from audiomem_sql.storage.segment.tombstones import TOMBSTONES_HEADER
from audiomem_sql.table.table import Table
from storage.segment.hostile import array, change, found_by_verify, use


def versioned(folder: Path, change_delta: Callable[[Sealed], None] | None = None) -> Path:
    """The fixture with several versions in a delta, changed, without its log; the path of the base."""
    (folder / "versions.flac.d").mkdir(exist_ok=True)
    path = folder / "versions.flac"
    path.write_bytes((FOLDER / "versions.flac").read_bytes())
    sealed = Sealed.read(FOLDER / "versions.flac.d" / "00000005.flac")
    if change_delta is not None:
        change_delta(sealed)
    sealed.write(folder / "versions.flac.d" / "00000005.flac")
    return path


def tombstones(rowids: list[int], versions: list[int]) -> Callable[[Sealed], None]:
    """Put another list of deleted rows into the segment."""

    def action(sealed: Sealed) -> None:
        content = TOMBSTONES_HEADER.pack(len(rowids)) + encode_integers(np.array(rowids, np.int64))
        sealed.catalog["tombstones"] = sealed.store(content + encode_integers(np.array(versions, np.int64)))

    action.__name__ = f"tombstones {rowids} {versions}"
    return action


NUMBERS = "blocks", "zones"
VERSIONED = [
    change("requires", value=[]),
    change("created", value=None),
    change("created", value={}),
    change("created", *NUMBERS, "nulls", value=lambda raw: array(raw, "<i8", _0=1)),
    change("created", *NUMBERS, "low", value=lambda raw: array(raw, "<i8", _0=2)),
    change("created", *NUMBERS, "high", value=lambda raw: array(raw, "<i8", _0=6)),
    change("created", *NUMBERS, "rows", value=lambda raw: array(raw, "<i8", _0=4)),
    change("ended", value={}),
    change("ended", *NUMBERS, "low", value=lambda raw: array(raw, "<i8", _0=2)),
    change("ended", *NUMBERS, "high", value=lambda raw: array(raw, "<i8", _0=2**62)),
    change("ended", *NUMBERS, "rows", value=lambda raw: array(raw, "<i8", _0=4)),
    change("versions", value=lambda versions: versions[1:]),
    change("versions", value=lambda versions: [*versions, [6, 0, 0, 0, None]]),
    change("first_rowid", value=2),
    *(change("tags", value=bad) for bad in (["start"], {"start": -1}, {"start": "2"}, {"start": None}, 7)),
    tombstones([2, 5], [3, 5, 4, 3]),
    tombstones([2, 5], [3, 6]),
    tombstones([2, 5], [2, 4]),
    tombstones([5, 2], [3, 4]),
    tombstones([2, 2], [3, 4]),
]  # fmt: skip


@pytest.mark.parametrize("action", VERSIONED, ids=lambda action: action.__name__)
def test_versions_that_contradict_each_other(
    tmp_path_factory: pytest.TempPathFactory, action: Callable[[Sealed], None]
) -> None:
    path = versioned(tmp_path_factory.mktemp("h"), action)
    with pytest.raises(DamagedFileError, match=r"versions\.flac"):
        use(path)


def columns_fixture(folder: Path, name: str, action: Callable[[Sealed], None]) -> Path:
    """The fixture whose columns change, with ``name`` changed; the path of the base."""
    shutil.copytree(FOLDER, folder / "copy")
    sealed = Sealed.read(folder / "copy" / name)
    action(sealed)
    sealed.write(folder / "copy" / name)
    return folder / "copy" / "columns.flac"


BASE, DELTA = "columns.flac", "columns.flac.d/00000007.flac"
COLUMN_LIES = [
    (BASE, change("schemas", value=None)),
    (BASE, change("schemas", value=lambda schemas: schemas[1:])),
    (BASE, change("schemas", value=lambda schemas: schemas[::-1])),
    (BASE, change("schemas", value=lambda schemas: [*schemas, [7, schemas[0][1]]])),
    (BASE, change("schemas", 1, 1, 3, "type", value="TEXT")),
    (BASE, change("schemas", 2, 1, 2, "id", value=0)),
    (BASE, change("schemas", 2, 1, 2, "id", value=-1)),
    (BASE, change("schemas", 2, 1, 2, "id", value=True)),
    (BASE, change("schema", 2, "id", value=9)),
    (BASE, change("next_column", value=3)),
    (BASE, change("next_column", value=2**32)),
    (BASE, change("migrations", value={})),
    (BASE, change("migrations", value=lambda steps: steps[::-1])),
    (BASE, change("migrations", value=lambda steps: [*steps, [4, 7, "later"]])),
    (BASE, change("migrations", 0, 0, value=0)),
    (DELTA, change("migrations", 0, 1, value=6)),
    (DELTA, change("migrations", value=[])),
    (DELTA, change("requires", value=[])),
    (DELTA, change("schema", 2, "type", value="TEXT")),
    (DELTA, change("schema", 3, "default", value="'no number'")),
    (DELTA, change("schema", 3, "default", value="random()")),
    (DELTA, change("schema", 3, "default", value="(SELECT 1)")),
    (DELTA, change("schema", 0, "id", value=5)),
]


@pytest.mark.damages
@pytest.mark.parametrize(("name", "action"), COLUMN_LIES, ids=lambda item: getattr(item, "__name__", "in"))
def test_columns_that_contradict_each_other(
    tmp_path: Path, name: str, action: Callable[[Sealed], None]
) -> None:
    path = columns_fixture(tmp_path, name, action)
    with pytest.raises((DamagedFileError, SchemaError), match=r"columns\.flac|column"):
        use(path)


def test_tags_without_a_version(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A number that is none of those kept is read, and told by verify; 0 takes a name back."""
    path = versioned(
        tmp_path_factory.mktemp("h"), change("tags", value={"start": 2, "far": 2**40, "gone": 0})
    )
    assert "the tag far names version 1099511627776, which is not kept" in found_by_verify(path)
    with Table(path) as table:
        assert table.tags == {"start": 2, "far": 2**40}
        with pytest.raises(QueryError, match="is not kept"):
            table.at("far")


@pytest.mark.parametrize(
    ("created", "ended", "what"),
    [
        ([3, 4], [4, 4], "row 7 was deleted before it was made"),
        ([3, 4], [3, 5], "row 7 was deleted before it was made"),
        ([3, 3], [5, NEVER], "row 7 was there twice in a version"),
        ([3, 4], [NEVER, NEVER], "row 7 was there twice in a version"),
    ],
)
def test_versions_of_rows_that_only_verify_looks_at(
    tmp_path_factory: pytest.TempPathFactory, created: list[int], ended: list[int], what: str
) -> None:
    path = versioned(tmp_path_factory.mktemp("h"))
    delta = path.parent / "versions.flac.d" / "00000005.flac"
    rows_of_7 = [(7, {"id": 7}, *both) for both in zip(created, ended, strict=True)]
    write(
        delta, "embedded", VERSIONED_SCHEMA, rows_of_7,
        [Version(number, 0, 0, 0) for number in (3, 4, 5)], b"segment5", [7], deleted_by=[3],
    )  # fmt: skip
    sealed = Sealed.read(delta)
    del sealed.catalog["seal"]  # as in version 1, of which the base is
    sealed.write(delta)
    assert what in found_by_verify(path)


@pytest.mark.damages
@pytest.mark.parametrize(
    "changes",
    [
        {"checks": [{"expression": "nowhere(a)"}]},
        {"checks": [{"expression": "a IN (SELECT 1)"}]},
        {"checks": [{"expression": "load_extension('x') IS NULL"}]},
        {"checks": [{"expression": "1) ; ATTACH 'x' AS y; --"}]},
        {"checks": [{"expression": "z > 0"}]},
        {"checks": 5},
        {"keys": [{"columns": ["a", "z"]}]},
        {"keys": []},
        {
            "schema": [
                {"name": "a", "type": "TEXT", "default": "(load_extension('x'))"},
                {"name": "b", "type": "TEXT"},
            ]
        },
        {
            "schema": [
                {"name": "a", "type": "TEXT", "default": "1; DROP TABLE x"},
                {"name": "b", "type": "TEXT"},
            ]
        },
        {"schema": [{"name": "a", "type": "BLOB", "default": "5"}, {"name": "b", "type": "TEXT"}]},
    ],
)
def test_constraints_that_were_put_into_a_file(tmp_path: Path, changes: dict[str, Any]) -> None:
    """They are refused when the file is opened, or at the latest when a row is written."""
    columns = ["a TEXT", "b TEXT", "CHECK (a <> 'x')", "UNIQUE (a, b)"]
    Table.create(tmp_path / "t.flac", columns, {"profile": "embedded"}).close()
    sealed = Sealed.read(tmp_path / "t.flac")
    sealed.catalog |= changes
    sealed.write(tmp_path / "t.flac")
    before = sorted(os.listdir(tmp_path))
    try:
        with Table(tmp_path / "t.flac") as table:
            assert table.to_arrow().num_rows == 0
            with pytest.raises(AudioMemError):
                table.append([{"b": "y"}])
            assert table.version == 1
    except AudioMemError:
        pass
    assert sorted(os.listdir(tmp_path)) == before
