"""docs/FORMAT.md says what the code does: its tables are read and compared."""

from __future__ import annotations

import struct
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
import pytest
import zstandard
from samples import create, rows

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.metadata import APPLICATION_ID, MAX_SEEK_POINTS, SEEK_SECONDS
from audiomem_sql.blocks import encoding, integers
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.columns.types import Kind
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.storage.log import content as log_content
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log import writer as log_writer
from audiomem_sql.storage.pages import headers as page_headers
from audiomem_sql.storage.pages import layout as page_layout
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.layout import PageHeader, PageLayout
from audiomem_sql.storage.segment import (
    CREATED,
    ENDED,
    ROWID,
    catalog_features,
    catalog_packing,
    labels,
)
from audiomem_sql.storage.segment.tombstones import TOMBSTONES_HEADER
from audiomem_sql.versions import TableFiles
from storage.format_document import TEXT, reference_crc, table

TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "bytes": "s"}


@pytest.mark.parametrize(
    ("heading", "layout"),
    [
        ("Page header", page_layout.PAGE_HEADER),
        ("3. Catalog", catalog_packing.CATALOG_HEADER),
        ("Integers header", integers.INTEGERS_HEADER),
        ("Labels", labels.LABEL),
        ("Signposts", labels.SIGNPOST),
        ("Log header", log_content.LOG_HEADER),
        ("Header of a protected record", protected_log.RECORD_FIELDS),
    ],
)
def test_structures(heading: str, layout: struct.Struct) -> None:
    at, codes = 0, "<"
    for row in table(heading):
        assert int(row["offset"]) == at
        at += int(row["size"])
        codes += (row["size"] if row["type"] == "bytes" else "") + TYPES[row["type"]]
    assert at == layout.size == struct.calcsize(codes)
    assert codes == layout.format.replace(" ", "")


def test_tombstones() -> None:
    count, header, codes = table("Tombstones")
    assert int(count["size"]) == int(header["offset"]) == TOMBSTONES_HEADER.size
    assert int(header["size"]) == integers.INTEGERS_HEADER.size
    assert int(codes["offset"]) == int(header["offset"]) + int(header["size"])


def test_magic_values_and_codes() -> None:
    fields = {row["field"] for row in table("Page header")}
    assert f"magic `{page_layout.PAGE_MAGIC.decode()}`" in fields
    assert f"format version: {page_layout.FORMAT_VERSION}" in fields
    assert (
        "kind: " + ", ".join(f"{kind.value} {kind.name.lower()}" for kind in page_layout.PageKind) in fields
    )
    assert "protection: " + ", ".join(f"{level.code} `{name}`" for name, level in LEVELS.items()) in fields
    assert (
        f"modulation: {page_layout.MODULATION_PCM} `pcm`, {page_layout.MODULATION_SPECTRUM} `spectrum`, "
        f"{page_layout.MODULATION_BANDS} `spectrum` whose cells are filled by bands" in fields
    )
    assert f"bands that begin below {page_layout.HIGH:,.0f} Hz" in TEXT
    assert f"magic `{catalog_packing.CATALOG_MAGIC.decode()}`" in {
        row["field"] for row in table("3. Catalog")
    }
    assert f"id `{APPLICATION_ID.decode()}`" in TEXT
    assert f"every {SEEK_SECONDS} seconds, at most {MAX_SEEK_POINTS:,}" in TEXT
    assert f"first {page_headers.SEARCHED_PAGES} pages, the last {page_headers.SEARCHED_PAGES}" in TEXT
    features = (
        catalog_features.ROW_VERSIONS,
        catalog_features.SCHEMA_CHANGES,
        catalog_features.CHECKS,
        catalog_features.COMBINED_KEYS,
        catalog_features.VECTORS,
        catalog_features.KEYWORDS,
    )
    assert f"Version 1 has six: {', '.join(f'`{feature}`' for feature in features)}" in TEXT
    assert set(features) == catalog_features.FEATURES.keys()
    fields = {row["field"] for row in table("Labels")}
    assert f"magic `{labels.LABEL_MAGIC.decode()}`" in fields
    kinds = (f"{kind.value} {kind.name.lower().replace('_', ' ')}" for kind in labels.Labelled)
    assert f"what it stands behind: {', '.join(kinds)}" in fields
    names = {ROWID: "rowids", CREATED: "`created`", ENDED: "`ended`"}
    hidden = (f"0x{code:X} {names[column]}" for column, code in labels.HIDDEN_COLUMNS.items())
    assert f"column, by its place in the schema; {', '.join(hidden)}" in fields
    assert f"more than {labels.MAX_LABELLED_COLUMNS:,} columns" in TEXT
    assert f"magic `{labels.SIGNPOST_MAGIC.decode()}`" in {row["field"] for row in table("Signposts")}
    assert f"{labels.SIGNPOST_BYTES >> 10} KiB at the most, and {labels.SIGNPOST_SHARE} times" in TEXT
    fields = {row["field"] for row in table("Log header")}
    assert f"magic `{log_content.LOG_MAGIC.decode()}`" in fields
    assert (
        f"format version of the log: {log_content.PLAIN_VERSION}, "
        f"or {log_content.PROTECTED_VERSION} with protection" in fields
    )
    assert f"zeros up to {log_writer.LOG_FILE_BYTES} bytes" in TEXT


def test_profiles_and_cells() -> None:
    for row in table("Frames"):
        profile = PROFILES[row["profile"]]
        layout = PageLayout(profile.page_size, LEVELS["none"])
        told = [
            int(row[name])
            for name in ("rate (Hz)", "bits", "channels", "block size", "page size", "header area", "cells")
        ]
        shape = [
            profile.sample_rate,
            profile.bits_per_sample,
            profile.channels,
            profile.block_size,
            profile.page_size,
        ]
        assert told == [*shape, layout.header_bytes, layout.cells]
        assert int(row["payload bytes (`none`)"]) == layout.payload_bytes
        assert layout.header_bytes % page_layout.PAGE_HEADER.size in (0, 16)
        assert layout.header_bytes + layout.cells * layout.level.cell_bytes <= profile.page_size
    assert {row["profile"] for row in table("Frames")} == set(PROFILES)
    for row in table("Cell"):
        level = LEVELS[row["protection"]]
        assert [int(row[name]) for name in ("code", "cell bytes", "payload bytes")] == [
            level.code, level.cell_bytes, level.cells.payload_bytes,
        ]  # fmt: skip
    assert {row["protection"] for row in table("Cell")} == set(LEVELS)


def test_encodings() -> None:
    found = {int(row["code"]): (row["encoding"], row["types"]) for row in table("4. Blocks")}
    assert {code: name for code, (name, _) in found.items()} == {
        code.value: code.name for code in encoding.Encoding
    }
    for kind in Kind:
        name = "FLOAT[n]" if kind is Kind.FLOAT else kind.name
        told = {code for code, (_, types) in found.items() if name in types.split(", ")}
        assert told == {code.value for code in encoding._BY_KIND[kind]}


def test_names_of_files() -> None:
    names = [row["name"].strip("`") for row in table("6. Files of a table")]
    files = TableFiles("notes.flac")
    assert names[0] == files.base
    assert names[1] == files.delta(17)
    assert names[2] == files.log


def test_a_reader_made_from_the_document_alone(tmp_path: Path) -> None:
    """Page 0 of a file, by the offsets of the document: header, cell, catalog, first block of a column."""
    with create(tmp_path / "t.flac", 20):
        pass
    file = PagedFile.open(str(tmp_path / "t.flac"))
    count, page_one = file.page_count, file.source.read(1, 1)[0].tobytes()
    page = file.source.read(0, 1)[0].tobytes()
    raw = LocalFile(tmp_path / "t.flac")
    whole = raw.read_at(0, raw.size)
    raw.close()
    file.close()
    assert page in whole
    assert page[:4] == b"AuMP"
    assert crc32c(page[:28]) == int.from_bytes(page[28:32], "little")
    segment_id = page[8:16]
    assert int.from_bytes(page[20:24], "little") == count
    assert int.from_bytes(page[24:26], "little") == 4096
    assert PageHeader.unpack(page[:32]) is not None

    def payload(data: bytes, number: int) -> bytes:
        parts = []
        for cell in range(8):
            at = 32 + cell * 1020
            start = (crc32c(segment_id) + number * 8 + cell) % 2**32
            assert reference_crc(data[at : at + 1016], start) == int.from_bytes(
                data[at + 1016 : at + 1020], "little"
            )
            parts.append(data[at : at + 1016])
        return b"".join(parts)

    stream = payload(page, 0)
    magic, stored, size, crc = struct.unpack_from("<4sIII", stream)
    assert magic == b"AuMC"
    packed = stream[16 : 16 + stored]
    assert crc32c(packed) == crc
    content = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(packed, max_output_size=size))
    entry = content["columns"][1]["blocks"]
    offset, stored = (
        int.from_bytes(entry["offsets"][:8], "little"),
        int.from_bytes(entry["stored"][:4], "little"),
    )
    block = zstandard.ZstdDecompressor().decompress(payload(page_one, 1)[offset : offset + stored])
    validity = np.unpackbits(np.frombuffer(block[:3], np.uint8), bitorder="little")[:20]
    mode, width, base, scale, _ = struct.unpack_from("<BBqQq", block, 3)
    codes = block[29:]
    assert mode == 0
    values = []
    for row in range(20):
        code = int.from_bytes(bytes(codes[plane * 20 + row] for plane in range(width)), "little")
        value = (base + scale * code) % 2**64
        values.append((value - 2**64 if value >= 2**63 else value) if validity[row] else None)
    assert values == [row["n"] for row in rows(20)]
    assert pa.array(values).null_count == int(np.frombuffer(entry["zones"]["nulls"], "<i8")[0])
