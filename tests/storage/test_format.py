"""docs/FORMAT.md says what the code does: its tables are read and compared."""

from __future__ import annotations

import struct
from pathlib import Path

import msgpack
import numpy as np
import pytest
import zstandard
from fixtures.make_v1 import FOLDER, small_row
from samples import create, rows

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac import profiles
from audiomem_sql.audio.flac.metadata import APPLICATION_ID, MAX_SEEK_POINTS, SEEK_SECONDS
from audiomem_sql.blocks import encoding, integers
from audiomem_sql.bytes.file_state import FRONT_BYTES
from audiomem_sql.columns.types import Kind
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.protection.reed_solomon import ReedSolomon
from audiomem_sql.storage.log import chain as log_chain
from audiomem_sql.storage.log import content as log_content
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log import reader as log_reader
from audiomem_sql.storage.pages import front, head_record, laying_out
from audiomem_sql.storage.pages import header as page_header
from audiomem_sql.storage.pages import headers as page_headers
from audiomem_sql.storage.pages import layout as page_layout
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.header import PageHeader
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.segment import (
    CREATED,
    ENDED,
    ROWID,
    catalog_features,
    catalog_packing,
    labels,
)
from audiomem_sql.storage.segment.tombstones import TOMBSTONES_HEADER
from audiomem_sql.table.table import Table
from audiomem_sql.versions import TableFiles
from storage.format_document import TEXT, reference_crc, table

TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q", "bytes": "s", "zeros": "x"}


@pytest.mark.parametrize(
    ("heading", "layout"),
    [
        ("Page header", page_header.PAGE_HEADER),
        ("Head record", head_record.HEAD_RECORD),
        ("3. Catalog", catalog_packing.CATALOG_HEADER),
        ("Integers header", integers.INTEGERS_HEADER),
        ("Labels", labels.LABEL),
        ("Signposts", labels.SIGNPOST),
        ("Log header", log_content.LOG_HEADER),
        ("Header of a protected record", protected_log.OLD_RECORD_FIELDS),
        ("Watermark", log_chain.WATERMARK),
        ("Record", log_reader.RECORD_HEADER),
        ("Header of a record in format 4", protected_log.RECORD_FIELDS),
    ],
)
def test_structures(heading: str, layout: struct.Struct) -> None:
    at, codes = 0, "<"
    for row in table(heading):
        assert int(row["offset"]) == at
        at += int(row["size"])
        codes += (row["size"] if row["type"] in ("bytes", "zeros") else "") + TYPES[row["type"]]
    assert at == layout.size == struct.calcsize(codes)
    assert codes == layout.format.replace(" ", "")


def test_tombstones() -> None:
    count, header, codes = table("Tombstones")
    assert int(count["size"]) == int(header["offset"]) == TOMBSTONES_HEADER.size
    assert int(header["size"]) == integers.INTEGERS_HEADER.size
    assert int(codes["offset"]) == int(header["offset"]) + int(header["size"])


def test_magic_values_and_codes() -> None:
    fields = {row["field"] for row in table("Page header")}
    assert f"magic `{page_header.PAGE_MAGIC.decode()}`" in fields
    assert f"format version: {page_header.FORMAT_VERSION}" in fields
    assert (
        "kind: " + ", ".join(f"{kind.value} {kind.name.lower()}" for kind in page_header.PageKind) in fields
    )
    assert "protection: " + ", ".join(f"{level.code} `{name}`" for name, level in LEVELS.items()) in fields
    assert (
        f"modulation: {page_header.MODULATION_PCM} `pcm`, {page_header.MODULATION_SPECTRUM} `spectrum`, "
        f"{page_header.MODULATION_BANDS} `spectrum` whose cells are filled by bands" in fields
    )
    flags = ", ".join(f"{flag.value} {flag.name}" for flag in page_header.PageFlag)
    assert f"flags: {flags}; a reader refuses others" in fields
    assert f"format version: {page_header.FORMAT_VERSION}" in fields
    assert f"up to {laying_out.COMPACT_PAGES:,} own pages" in TEXT
    assert f"fits into {laying_out.SMALL_PAGES} of them" in TEXT
    told = (f"{block:,} with `{name}`" for name, block in profiles.SMALL_BLOCKS.items())
    assert f"block size {', '.join(told)}" in TEXT
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
        catalog_features.VECTOR_INDEXES,
        catalog_features.TOKENIZERS,
        catalog_features.PASSAGES,
        catalog_features.VECTOR_TRELLIS,
        catalog_features.VECTOR_ELEMENTS,
        catalog_features.MANIFEST_NUMBERS,
        catalog_features.DIRECTORY_PAGES,
        catalog_features.LOGICAL_TYPES,
    )
    assert f"There are fourteen: {', '.join(f'`{feature}`' for feature in features)}" in TEXT
    assert set(features) == catalog_features.FEATURES.keys()
    fields = {row["field"] for row in table("Labels")}
    old = f"in version 1, and in files repaired from it, `{labels.LABEL_MAGIC_1.decode()}`"
    assert f"magic `{labels.LABEL_MAGIC.decode()}`; {old}" in fields
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
    old = f"{log_content.OLD_PLAIN_VERSION}, or {log_content.OLD_PROTECTED_VERSION} with protection"
    assert any(field.startswith(f"format of the log: {old}; ") for field in fields)
    fields = {row["field"] for row in table("Head record")}
    assert f"magic `{head_record.HEAD_MAGIC.decode()}`" in fields
    assert f"version of the head record: {head_record.HEAD_VERSION}" in fields
    assert any(
        field.startswith(f"state: {head_record.CLOSED} closed, {head_record.OPEN} open") for field in fields
    )
    assert f"first {front.FRONT_BYTES} bytes" in TEXT
    assert front.FRONT_BYTES == 42 + 4 + 4 + 32 + 88
    assert f"the first {FRONT_BYTES} bytes" in TEXT


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
        assert layout.header_bytes % page_header.PAGE_HEADER.size in (0, 16)
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
    assert found[encoding.Encoding.BYTES.value][1] == "INT8[n], BIT[n]"


def test_names_of_files() -> None:
    names = [row["name"].strip("`") for row in table("7. Files of a table")]
    files = TableFiles("notes.flac")
    assert names[:4] == [files.base, files.log, files.delta(17), files.head]


@pytest.mark.parametrize("version", [1, 2])
def test_a_reader_made_from_the_document_alone(tmp_path: Path, version: int) -> None:
    """A file of either version, by the offsets of the document: header, cells, catalog, block of a column."""
    path = tmp_path / "t.flac"
    if version == 1:
        path, column, wanted = FOLDER / "small.flac", 0, [small_row(number)["n"] for number in range(60)]
    else:
        column, wanted = 1, [row["n"] for row in rows(20)]
        with create(path, 20):
            pass
    file = PagedFile.open(str(path))
    pages = [file.source.read(n, 1)[0].tobytes() for n in range(file.source.present)]
    file.close()
    page = pages[0]
    assert page in path.read_bytes()
    assert page[:5] == b"AuMP" + bytes([version])
    assert crc32c(page[:28]) == int.from_bytes(page[28:32], "little")
    segment_id = page[8:16]
    assert int.from_bytes(page[20:24], "little") == len(pages)
    index = int.from_bytes(page[26:28], "little")
    if version == 1:
        assert int.from_bytes(page[24:26], "little") == 4096
        assert index == 0
    else:
        assert page[24:26] == b"\4\1"
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

    stream = b"".join(payload(data, number) for number, data in enumerate(pages))
    magic, stored, size, crc = struct.unpack_from("<4sIII", stream)
    assert magic == b"AuMC"
    packed = stream[16 : 16 + stored]
    assert crc32c(packed) == crc
    catalog_cells = index or -(-(16 + stored) // 8128) * 8  # in version 1 as many pages as it needs
    data = stream[catalog_cells * 1016 :]
    assert stream[len(stream) - catalog_cells * 1016 :][: 16 + stored] == stream[: 16 + stored]
    content = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(packed, max_output_size=size))
    entry = content["columns"][column]["blocks"]
    offset, stored = (
        int.from_bytes(entry["offsets"][:8], "little"),
        int.from_bytes(entry["stored"][:4], "little"),
    )
    block = zstandard.ZstdDecompressor().decompress(data[offset : offset + stored])
    assert integers_of(block, len(wanted)) == wanted
    assert wanted.count(None) == int(np.frombuffer(entry["zones"]["nulls"], "<i8")[0])


def integers_of(block: bytes, count: int) -> list[int | None]:
    """The values of a block of integers, by the offsets of the document."""
    header = -(-count // 8)
    validity = np.unpackbits(np.frombuffer(block[:header], np.uint8), bitorder="little")[:count]
    mode, width, base, scale, _ = struct.unpack_from("<BBqQq", block, header)
    codes = block[header + 26 :]
    assert mode == 0
    values: list[int | None] = []
    for row in range(count):
        code = int.from_bytes(bytes(codes[plane * count + row] for plane in range(width)), "little")
        value = (base + scale * code) % 2**64
        values.append((value - 2**64 if value >= 2**63 else value) if validity[row] else None)
    return values


def test_the_inner_code_as_it_is_described(tmp_path: Path) -> None:
    """Codewords of a page with protection, taken apart as the document says, have no syndromes."""
    options = {"profile": "embedded", "protection": "archive"}
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], options) as made:
        made.append([{"v": 1}])
        made.checkpoint()
        page = made.snapshot.segments[0].file.source.read(0, 1)[0]
    body, depth = page[32:], 32
    words = np.zeros((depth, 255), np.uint8)
    for i in range(255 * depth):
        p = i // depth
        words[(i + 5 * (p // 4) + 3 * (p // 16)) % depth, p] = body[i]
    assert ReedSolomon(255, 223).check(words).all()
    assert words.any(axis=1).all()
