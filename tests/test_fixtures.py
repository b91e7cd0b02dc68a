"""Files of every format version open, and give the rows that were put in; and today's writer still makes them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import zstandard
from damage.catalogs import without_catalog
from fixtures.make_v1 import (
    CHANGES,
    COLUMNS_ROWS,
    FOLDER,
    LARGE,
    SMALL,
    columns_at,
    digest,
    expected,
    make,
    plain,
)
from samples import content, verify
from sealed import Sealed

from audiomem_sql.audio.metadata import read_metadata
from audiomem_sql.audio.rawfile import RawFile
from audiomem_sql.changes import changes
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import DamageWarning
from audiomem_sql.log import RECORD_HEADER
from audiomem_sql.sources import known_sources
from audiomem_sql.table import Table
from audiomem_sql.table_reader import TableReader
from audiomem_sql.unlisted_segment import UnlistedSegment
from audiomem_sql.verify import problems

EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.flac"))


def test_they_are_small() -> None:
    assert FILES == [
        "columns.flac", "columns.flac.d/00000007.flac", "columns.flac.d/00000008.flac",
        "labels.flac", "labels.flac.d/00000004.flac", "large.flac", "small.flac", "small.flac.d/00000003.flac", "versions.flac",
        "versions.flac.d/00000005.flac",
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 380_000


def test_every_row() -> None:
    wanted = EXPECTED["small.flac"]
    with Table(FOLDER / "small.flac") as table:
        assert table.version == wanted["version"]
        assert table.schema == SMALL
        assert table.schema.sql() == wanted["columns"]
        found = [plain(row) for row in content(table)]
        rowids = [rowid for view in table.snapshot.views for rowid in live_rowids(view)]
        assert dict(zip(map(str, rowids), found, strict=True)) == wanted["rows"]
        assert [(v.number, v.inserted, v.deleted, v.message) for v in table.versions] == [
            (1, 0, 0, None), (2, 60, 0, "sixty rows"), (3, 21, 4, "été"),
        ]  # fmt: skip
        assert known_sources(table.snapshot.segments) == {"a.md": b"\1" * 16}
        row = table.get(2**62)
        assert row is not None
        assert (row["title"], row["seen"], row["ok"]) == ("Row 121 of the table", "2019-08-13 00:00:00", 0)
        assert table.to_arrow(where="code = 'K0119'").num_rows == 1
    with Table(FOLDER / "large.flac") as table:
        wanted = EXPECTED["large.flac"]
        assert (table.version, table.schema.sql()) == (wanted["version"], wanted["columns"])
        assert digest(content(table)) == wanted["sha256"]
        assert table.snapshot.segments[0].dictionary(1)
    assert parse_columns([wanted["columns"].split(", ")[0]]).columns[0] == LARGE.columns[0]


def test_every_version() -> None:
    wanted = EXPECTED["versions.flac"]
    with Table(FOLDER / "versions.flac") as table:
        assert table.schema.sql() == wanted["columns"]
        assert table.version == 8
        assert [[v.number, v.time, v.inserted, v.deleted, v.message] for v in table.versions] == wanted[
            "versions"
        ]
        assert table.tags == wanted["tags"]
        assert {name: digest.hex() for name, digest in table.sources.items()} == wanted["sources"]
        assert table.snapshot.segments[1].catalog.created is not None
    for number, rows in wanted["rows"].items():
        with TableReader(FOLDER / "versions.flac", version=number) as old:
            assert old.to_arrow().sort_by("id").to_pylist() == rows
            assert len(old) == len(rows)
            for row in rows:
                assert old.get(row["id"]) == row
    with TableReader(FOLDER / "versions.flac", version="end") as old:
        assert old.version == 7
        assert old.to_arrow(where="word = 'word 11'").column("n").to_pylist() == [None]
        found = [(c.version, c.rowid, c.kind) for c in changes(old.snapshot, 4, 6)]
        assert found == [
            (4, 2, "update_preimage"), (4, 2, "update_postimage"), (4, 5, "delete"), (4, 11, "delete"),
            (5, 12, "insert"), (5, 2**40, "insert"),
            (6, 12, "update_preimage"), (6, 12, "update_postimage"), (6, 13, "insert"),
        ]  # fmt: skip


def test_every_schema(tmp_path: Path) -> None:
    """Every version with the columns that it had, as the files are and after everything became one."""
    shutil.copytree(FOLDER, tmp_path / "copy")
    for path in (FOLDER / "columns.flac", tmp_path / "copy" / "columns.flac"):
        with Table(path) as table:
            if path.parent != FOLDER:
                table.vacuum()
                assert len(table.snapshot.segments) == 1
            assert [(m.number, m.version, m.text) for m in table.migrations] == [
                (number, version, text) for number, (version, text) in enumerate(CHANGES.items(), 1)
            ]
            assert table.snapshot.next_column == 5
        for number, rows in COLUMNS_ROWS.items():
            with TableReader(path, version=number) as old:
                assert old.schema.is_same(columns_at(number))
                found = old.to_arrow().sort_by("id").to_pylist()
                assert found == [dict(zip(old.schema.names, row, strict=True)) for row in rows]
                assert old.get(1) == found[0]


@pytest.mark.damages
@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
def test_labels(tmp_path: Path) -> None:
    """With the catalogs, and without any."""
    wanted = EXPECTED["labels.flac"]
    shutil.copytree(FOLDER, tmp_path / "copy")
    path = tmp_path / "copy" / "labels.flac"
    for salvage in (False, True):
        with Table(path, salvage=salvage) as table:
            assert (table.version, table.schema.sql()) == (4, wanted["columns"])
            assert digest(sorted(content(table), key=lambda row: row["id"])) == wanted["sha256"]
            assert [isinstance(each, UnlistedSegment) for each in table.snapshot.segments] == [salvage] * 2
            assert table.snapshot.segments[0].dictionary(1)
        for file in (path, path.parent / "labels.flac.d" / "00000004.flac"):
            if not salvage:
                file.write_bytes(without_catalog(file, random.Random(1), "zeroed"))


def test_a_log_that_was_left_behind_goes_on(tmp_path: Path) -> None:
    """A copy: its torn end is told and cleared, the log becomes a delta, and everything becomes one file."""
    wanted = EXPECTED["versions.flac"]["rows"]
    for name in ("versions.flac", "versions.flac-wal", "versions.flac.d/00000005.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    log = tmp_path / "versions.flac-wal"
    log.write_bytes(log.read_bytes()[:-500] + RECORD_HEADER.pack(100, 1) + b"torn" + bytes(400))
    with pytest.warns(DamageWarning, match="what stands behind version 8 is no whole commit"):
        table = Table(tmp_path / "versions.flac")
    with table:
        (problem,) = problems(table)
        assert "what stands behind version 8 is no whole commit; it is passed over" in problem.what
        assert table.append([{"id": 99, "word": "ninety-nine"}]) == 9
        assert list(problems(table)) == []
        table.checkpoint()
        assert list(problems(table)) == []
        assert sorted(path.name for path in tmp_path.rglob("*")) == [
            "00000005.flac", "00000009.flac", "versions.flac", "versions.flac.d",
        ]  # fmt: skip
        for _ in range(2):
            for number, rows in wanted.items():
                with table.checkout(int(number)) as old:
                    assert old.to_arrow().sort_by("id").to_pylist() == rows
            table.vacuum()
        assert [path.name for path in tmp_path.iterdir()] == ["versions.flac"]


def live_rowids(view: Any) -> list[int]:
    gone = set(view.deleted.tolist())
    return [rowid for row, rowid in enumerate(view.segment.rowids().tolist()) if row not in gone]


def test_verify_finds_nothing() -> None:
    for name in ("columns.flac", "labels.flac", "small.flac", "large.flac", "versions.flac"):
        verify(FOLDER / name)


@pytest.mark.parametrize("name", FILES)
def test_written_again(tmp_path: Path, name: str) -> None:
    """The same frames; with another release of zstd, which may compress otherwise, the same catalog over the same blocks."""
    make(tmp_path)
    if list(zstandard.ZSTD_VERSION) == EXPECTED["zstd"]:
        assert frames(tmp_path / name) == frames(FOLDER / name)
    assert meaning(tmp_path / name) == meaning(FOLDER / name)


def test_the_log_written_again(tmp_path: Path) -> None:
    make(tmp_path)
    assert (tmp_path / "versions.flac-wal").read_bytes() == (FOLDER / "versions.flac-wal").read_bytes()


def frames(path: Path) -> bytes:
    """Everything behind the metadata, where the version of the writer stands."""
    file = RawFile(path)
    start = read_metadata(file, 0).audio_start
    file.close()
    return path.read_bytes()[start:]


def meaning(path: Path) -> dict[str, Any]:
    """The catalog, with what is at each place instead of the place."""
    sealed = Sealed.read(path)
    for owner, name in sealed.extents():
        owner[name] = sealed.extent(owner[name])
    for entry, number in sealed.blocks():
        entry.setdefault("content", []).append(sealed.block(entry, number))
    for entry, _ in sealed.blocks():
        entry["blocks"] |= {"offsets": None, "stored": None}
    return {**sealed.catalog, "data_bytes": None}


def test_what_is_expected_is_what_was_made() -> None:
    assert {**expected(), "zstd": None} == {**EXPECTED, "zstd": None}
