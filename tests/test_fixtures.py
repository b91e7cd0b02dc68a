"""Files of every format version open, and give the rows that were put in; and today's writer still makes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from fixtures.make_v1 import FOLDER, LARGE, SMALL, digest, expected, make, plain
from samples import content, verify
from sealed import Sealed

from audiomem_sql.audio.metadata import read_metadata
from audiomem_sql.audio.rawfile import RawFile
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.sources import known_sources
from audiomem_sql.table import Table

EXPECTED: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text())
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.flac"))


def test_they_are_small() -> None:
    assert FILES == ["large.flac", "small.flac", "small.flac.d/00000003.flac"]
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 200_000


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


def live_rowids(view: Any) -> list[int]:
    gone = set(view.deleted.tolist())
    return [rowid for row, rowid in enumerate(view.segment.rowids().tolist()) if row not in gone]


def test_verify_finds_nothing() -> None:
    for name in ("small.flac", "large.flac"):
        verify(FOLDER / name)


@pytest.mark.parametrize("name", FILES)
def test_written_again(tmp_path: Path, name: str) -> None:
    """The same frames; with another release of zstd, which may compress otherwise, the same catalog over the same blocks."""
    make(tmp_path)
    if list(zstandard.ZSTD_VERSION) == EXPECTED["zstd"]:
        assert frames(tmp_path / name) == frames(FOLDER / name)
    assert meaning(tmp_path / name) == meaning(FOLDER / name)


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
