"""docs/FORMAT.md says what a catalog holds: its keys, limits, constraints and zone maps."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import msgpack
import pytest
from fixtures.make_v1 import FOLDER
from samples import arrow, create, rows
from sealed import Sealed

from audiomem_sql.audio.flac.comments import MAX_PICTURES
from audiomem_sql.audio.flac.metadata import MAX_BLOCKS
from audiomem_sql.blocks import bloom, column_writer, integers
from audiomem_sql.blocks import directory as blocks
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.columns.column import FLAGS, TEXTS
from audiomem_sql.columns.types import MAX_WIDTH, ColumnType, Kind
from audiomem_sql.machine.memory import UNASKED_BYTES
from audiomem_sql.storage.pages.newest import MOST_LEFT_BEHIND
from audiomem_sql.storage.pages.recovery import MOST_PER_PRESENT
from audiomem_sql.storage.segment import (
    TableOptions,
    catalog,
    catalog_features,
    catalog_history,
    catalog_packing,
    directory_groups,
    seal,
    tombstones,
)
from audiomem_sql.storage.segment.catalog_copies import MOST_UNPACKED, UNPACKED_PER_BYTE
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.writing import commit_limits
from storage.format_document import TEXT, keys, table


def test_limits() -> None:
    for row in table("Limits"):
        name = row["constant"].strip("`")
        values = {
            vars(module)[name]
            for module in (
                catalog,
                catalog_history,
                catalog_packing,
                blocks,
                column_writer,
                tombstones,
                bloom,
                seal,
                directory_groups,
            )
            if name in vars(module)
        }
        assert values == {int(row["value"])}, name
    for row in table("Limits", 2):
        assert vars(commit_limits)[row["constant"].strip("`")] == int(row["value"])
    told = {row["constant"].strip("`") for row in table("Limits")}
    for module in (
        catalog,
        catalog_history,
        catalog_packing,
        blocks,
        tombstones,
        bloom,
        seal,
        directory_groups,
    ):
        assert {name for name in vars(module) if name.startswith("MAX_")} <= told
    assert f"{MAX_BLOCKS:,}; a writer keeps {MAX_PICTURES:,} pictures" in TEXT
    assert f"at the end | {MOST_LEFT_BEHIND} |" in TEXT
    assert f"where some are missing | {MOST_PER_PRESENT} for each page" in TEXT
    assert f"{MOST_UNPACKED >> 20} MiB, and {UNPACKED_PER_BYTE} bytes for each byte" in TEXT
    assert f"of more than {UNASKED_BYTES >> 20} MiB, is\nrefused" in TEXT
    assert f"n from 1 to {MAX_WIDTH:,}" in TEXT
    assert f"{bloom.BITS_PER_KEY} bits a key, at least\n{bloom.MIN_BYTES} bytes" in TEXT
    assert f"A key sets {bloom.PROBES} bits" in TEXT
    assert f"1 to {blocks.MAX_BLOCK_ROWS:,}" in TEXT
    assert f"and BLOB {PREFIX} bytes" in TEXT
    assert column_writer.MIN_DICTIONARY_SOURCE == 1 << 20


def test_catalog_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every key that is written is described, and every key described is written."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    path = tmp_path / "t.flac"
    with create(path, 50) as made:
        made.checkpoint()
        made.append(arrow(rows(5, 0, 1001)))
        made.checkpoint()
        plain = Sealed.read(path)
        made.append([{"id": 5001}, {"id": 5003}], sources={"a.md": bytes(16)}, replace="id < 5")
        made.append([{"id": 5005}], replace="id = 5001")
        made.tag("a")
        made.checkpoint()
        versioned = Sealed.read(path)
        made.alter("add column late TEXT DEFAULT ''")
    altered = Sealed.read(path)
    sealed = plain
    changed = {
        "schemas", "migrations", "next_column", "checks", "keys", "key_blooms", "vectors", "keywords",
        "comments", "given_rowid",
    }  # fmt: skip
    assert set(sealed.catalog) == keys("Catalog map") - {"created", "ended", "tags"} - changed
    sealed = versioned
    assert set(sealed.catalog["seal"]) == keys("Seal")
    assert sealed.catalog["requires"] == [catalog_features.ROW_VERSIONS]
    assert set(sealed.catalog["created"]) == set(sealed.catalog["ended"]) == keys("Column entry and extent")
    assert set(sealed.catalog) == keys("Catalog map") - changed
    entry = sealed.catalog["columns"][1]
    assert set(entry) == keys("Column entry and extent")
    assert set(entry["blocks"]) == keys("Block directory")
    assert set(entry["blocks"]["zones"]) == keys("Zone maps")
    assert {key for column in sealed.catalog["schema"] for key in column} <= keys("Schema column")
    assert keys("Schema column") == {"name", "type", "id", "vector_of", *TEXTS, *FLAGS}
    meaning = next(row["meaning"] for row in table("Catalog map") if row["key"] == "`options`")
    options = set(TableOptions.__dataclass_fields__) - {"parts"}  # what a writer knows, and no file
    assert set(re.findall(r"`(\w+)`", meaning)) - {"torch", "spectrum"} == options
    assert set(sealed.catalog["options"]) == options - {
        "deltas",
        "model_backend",
        "model_digest",
        "band_plan",
        "robustness",
        "vector_codes",
        "passages",
        "layout",
    }
    told = TableOptions(
        modulation="spectrum",
        model_backend="onnx",
        model_digest="0" * 32,
        deltas="beside",
        vector_codes="fine",
        passages="on",
        layout="remote",
    )
    assert set(told.to_catalog()) == options
    assert TableOptions.from_catalog(told.to_catalog()) == told
    assert sealed.catalog["versions"][0][:1] == [4]
    assert msgpack.unpackb(sealed.extent(sealed.catalog["sources"])) == {"a.md": bytes(16)}
    content = sealed.extent(sealed.catalog["tombstones"])
    rowids, end = integers.decode_integers(content, 8, int.from_bytes(content[:8], "little"))
    versions, end = integers.decode_integers(content, end, len(rowids))
    assert (rowids.tolist(), versions.tolist(), end) == ([1, 2, 3, 4], [4, 4, 4, 4], len(content))
    assert sealed.catalog["rowids"]["bloom"] is not None
    sealed = altered
    assert sealed.catalog["requires"] == [catalog_features.SCHEMA_CHANGES]
    assert set(sealed.catalog) >= {"schemas", "migrations", "next_column"}
    sealed = Sealed.read(FOLDER / "columns.flac")
    assert [entry[0] for entry in sealed.catalog["schemas"]] == [3, 4, 6]
    assert "id" in sealed.catalog["schemas"][2][1][2]


def test_the_mark_of_autoincrement(tmp_path: Path) -> None:
    """The rowid that was given last is kept where its row is not: what is merged has forgotten the row."""
    columns = [
        "id INTEGER PRIMARY KEY ON CONFLICT IGNORE AUTOINCREMENT",
        "a TEXT NOT NULL ON CONFLICT REPLACE",
    ]
    with Table.create(tmp_path / "t.flac", columns) as made:
        made.append([{"id": 2, "a": "x"}, {"id": 9, "a": "y"}])
        made.append([{"id": 3, "a": "z"}], replace="id = 9")
        made.vacuum(retain=Retention(count=1))
    catalog = Sealed.read(tmp_path / "t.flac").catalog
    assert catalog["given_rowid"] == 9
    assert catalog["rowid_range"] == [2, 3]
    assert catalog["schema"][0] == {
        "name": "id", "type": "INTEGER", "primary_key": True, "autoincrement": True, "key_conflict": "IGNORE",
    }  # fmt: skip
    assert catalog["schema"][1]["null_conflict"] == "REPLACE"


def test_constraints_of_the_table(tmp_path: Path) -> None:
    """What is written of them, and the filter of a key of three columns.

    Both are worked out from the document alone.
    """
    columns = ["a TEXT COLLATE NOCASE", "b INTEGER DEFAULT 5", "c REAL", "CONSTRAINT p PRIMARY KEY (c, a, b)"]
    with Table.create(
        tmp_path / "t.flac", [*columns, "UNIQUE (b, c) ON CONFLICT IGNORE", "CONSTRAINT n CHECK (b > 0)"]
    ) as made:
        made.append([{"a": "Ab", "b": 7, "c": -1.5}, {"a": "X\0yz", "b": 2, "c": 0.0}])
    sealed = Sealed.read(tmp_path / "t.flac")
    assert sealed.catalog["requires"][1:] == [catalog_features.CHECKS, catalog_features.COMBINED_KEYS]
    assert {key for check in sealed.catalog["checks"] for key in check} == keys("Constraints of the table", 0)
    assert {key for made in sealed.catalog["keys"] for key in made} == keys("Constraints of the table", 1)
    assert len(sealed.catalog["key_blooms"]) == 2

    def finaliser(k: int) -> int:
        h = (k + 0x9E3779B97F4A7C15) % 2**64
        h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        h = (h ^ (h >> 27)) * 0x94D049BB133111EB % 2**64
        return h ^ (h >> 31)

    def crc64(data: bytes) -> int:
        register = 0
        for byte in data:
            register ^= byte << 56
            for _ in range(8):
                register = (register << 1 ^ (0x42F0E1EBA9EA3693 if register >> 63 else 0)) % 2**64
        return register

    assert crc64(b"123456789") == 0x6C40DF5F0B497347
    bits = sealed.extent(sealed.catalog["key_blooms"][0])
    for c, a, b in ((-1.5, b"ab", 7), (0.0, b"x\x004", 2)):
        h = 0
        for part in (crc64(struct.pack("<d", c)), crc64(a), b):
            h = finaliser(h ^ finaliser(part))
        for i in range(8):
            bit = (h % 2**32 + i * (h >> 32 | 1)) % 2**64 % (8 * len(bits))
            assert bits[bit // 8] >> bit % 8 & 1


def test_zone_maps_of_every_type() -> None:
    sizes = {
        Kind.REAL: 8,
        Kind.TEXT: 16,
        Kind.JSON: 16,
        Kind.BLOB: 16,
        Kind.INTEGER: 8,
        Kind.BOOLEAN: 8,
        Kind.TIMESTAMP: 8,
    }
    for kind, size in sizes.items():
        packed = Zones.build([3], [(0, 1, 2) if size == 8 else (0, b"a", b"b")], ColumnType(kind)).pack()
        assert [len(packed[name]) for name in ("rows", "nulls", "low", "high")] == [8, 8, size, size]
    assert set(Zones.build([3], [(0, None, None)], ColumnType(Kind.FLOAT, 2)).pack()) == {"rows", "nulls"}
