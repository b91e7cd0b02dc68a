"""docs/FORMAT.md says what the code does: its tables are read and compared."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import struct
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
import pytest
import reedsolo
import soundfile
import zstandard
from fixtures.make_v1 import FOLDER
from samples import arrow, create, rows
from sealed import Sealed

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.metadata import APPLICATION_ID, MAX_SEEK_POINTS, SEEK_SECONDS
from audiomem_sql.audio.spectrum import plans as bands
from audiomem_sql.audio.spectrum import shape
from audiomem_sql.blocks import bloom, column_writer, encoding, integers
from audiomem_sql.blocks import directory as blocks
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.columns.column import FLAGS, TEXTS
from audiomem_sql.columns.types import MAX_WIDTH, ColumnType, Kind
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import LEVELS
from audiomem_sql.protection.piece_code import PAYLOAD_BYTES
from audiomem_sql.storage.log import content as log_content
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log import protected as protected_log
from audiomem_sql.storage.log import reader as log
from audiomem_sql.storage.log import writer as log_writer
from audiomem_sql.storage.log.record import LogRecord
from audiomem_sql.storage.pages import headers as page_headers
from audiomem_sql.storage.pages import layout as page_layout
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.layout import PageHeader, PageLayout
from audiomem_sql.storage.segment import (
    CREATED,
    ENDED,
    ROWID,
    TableOptions,
    catalog,
    catalog_features,
    catalog_history,
    catalog_packing,
    labels,
    tombstones,
)
from audiomem_sql.storage.segment.tombstones import TOMBSTONES_HEADER
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.versions import TableFiles
from audiomem_sql.writing import log_limits

TEXT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text()


def table(heading: str, number: int = 0) -> list[dict[str, str]]:
    """The rows of a table below a heading, by the names of its columns."""
    section = re.split(r"^#{1,3} ", TEXT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert section, heading
    found = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[number]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def keys(heading: str, number: int = 0) -> set[str]:
    return {row["key"].strip("`") for row in table(heading, number)}


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


def test_when_the_log_becomes_a_delta() -> None:
    assert f"a commit of up to {log_limits.LOGGED_COMMIT_BYTES >> 10} KiB" in TEXT
    assert f"It comes at {log_limits.CHECKPOINT_BYTES >> 20} MiB" in TEXT
    assert f"at {log_limits.CHECKPOINT_COMMITS:,} commits" in TEXT
    assert compaction.SMALL_DELTAS == 8
    assert "It comes when eight deltas in a row" in TEXT
    assert f"smaller than {compaction.SMALL_DELTA_BYTES >> 20} MiB each" in TEXT


@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
def test_a_log_made_from_the_document_alone(tmp_path: Path) -> None:
    """Header and two records, by the tables of the document; then a record out of order, and a torn one."""
    with Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "word TEXT"]) as made:
        made.append([{"word": "one"}])
        table_id = made.snapshot.segments[0].catalog.table_id
    length, crc, _ = table("Log record")
    assert int(crc["offset"]) == int(length["size"])
    assert int(length["size"]) + int(crc["size"]) == log.RECORD_HEADER.size
    assert set(LogRecord(1, 0).__dataclass_fields__) == keys("Log record", 1)

    def packed(number: int, salt: int = 7, **changes: object) -> bytes:
        content: dict[str, object] = {
            "version": number, "time": 1_700_000_000_000_000, "inserted": [[number, [number, "word"]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(content | changes)
        return struct.pack("<II", len(data), reference_crc(data, (salt + number) % 2**32)) + data

    head = b"AuML" + struct.pack("<I16sQI", 1, table_id, 2, 7)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = head + packed(3, tags={"three": 3}) + packed(4, deleted=[1], message="four")
    for behind in (bytes(100), packed(6), packed(5, salt=8), packed(5)[:-1], b"", packed(5, version=7)):
        (tmp_path / "t.flac-wal").write_bytes(whole + behind)
        with Table(tmp_path / "t.flac") as opened:
            assert opened.to_arrow().to_pylist() == [{"id": 3, "word": "word"}, {"id": 4, "word": "word"}]
            assert opened.tags == {"three": 3}
            assert (opened.version, opened.versions[-1].message) == (4, "four")
    group = msgpack.packb([msgpack.unpackb(packed(number)[8:]) for number in (5, 6, 7)])
    together = struct.pack("<II", len(group), reference_crc(group, 7 + 5)) + group
    for behind, versions in (
        (together, [3, 4, 5, 6, 7]),
        (together[:-1], [3, 4]),
        (packed(5) + together, [3, 4, 5]),
    ):
        (tmp_path / "t.flac-wal").write_bytes(whole + behind)
        with Table(tmp_path / "t.flac") as opened:
            assert [version.number for version in opened.versions[2:]] == versions
            assert opened.to_arrow(["id"]).column(0).to_pylist() == versions
    (tmp_path / "t.flac-wal").write_bytes(whole)


@pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")
@pytest.mark.parametrize("copies", [2, 3, 6])
def test_a_protected_log_made_from_the_document_alone(tmp_path: Path, copies: int) -> None:
    """Its pieces with the Reed-Solomon code of another package.

    One record is longer than a piece and one longer than a strip.
    """
    strip = int(re.findall(r"strips of (\d+) bytes", TEXT)[0])
    assert strip == log_copies.STRIP_BYTES
    assert f"p ≤ {PAYLOAD_BYTES}" in TEXT
    assert f"c is from 2 to {protected_log.MAX_COPIES}" in TEXT
    for name in ("standard", "archive"):
        assert f"{LEVELS[name].log_copies} with\n`{name}`" in TEXT or (
            f"{LEVELS[name].log_copies} with `{name}`" in TEXT
        )
    assert f"magic `{protected_log.RECORD_MAGIC.decode()}`" in {
        row["field"] for row in table("Header of a protected record")
    }
    code = reedsolo.RSCodec(32)
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "b BLOB"]) as made:
        table_id = made.snapshot.segments[0].catalog.table_id

    def piece(payload: bytes, seed: int) -> bytes:
        data = payload + reference_crc(payload, seed % 2**32).to_bytes(4, "little")
        words = -(-len(data) // 223)
        padded = bytes(words * 223 - len(data)) + data
        parity = [code.encode(padded[word::words])[223:] for word in range(words)]
        return data + bytes(parity[i % words][i // words] for i in range(32 * words))

    def packed(number: int, size: int, salt: int = 9) -> bytes:
        commit = {
            "version": number, "time": 1_700_000_000_000_000, "inserted": [[number, [number, b"x" * size]]],
            "deleted": [], "message": None, "sources": None, "tags": {},
        }  # fmt: skip
        data = msgpack.packb(commit)
        crc = reference_crc(data, (salt + number) % 2**32)
        parts = [piece(struct.pack("<4sIQI", b"AuMR", len(data), number, crc), salt)]
        parts += [piece(data[n * 888 : n * 888 + 888], crc + n) for n in range(-(-len(data) // 888))]
        return b"".join(parts)

    head = b"AuML" + struct.pack("<I16sQI", 2, table_id, 1, 9)
    head += reference_crc(head, 0).to_bytes(4, "little")
    whole = piece(head + copies.to_bytes(4, "little"), 0)
    assert len(whole) == 80
    whole += packed(2, 10) + packed(3, 2000)
    large = whole + packed(4, 260_000)
    for stream, last in (
        (large, 4), (whole + packed(5, 1), 3), (whole + packed(4, 1, salt=8), 3), (large[:-200], 3),
        (large[:-20], 4),
    ):  # fmt: skip
        strips = [stream[start : start + strip].ljust(strip, b"\0") for start in range(0, len(stream), strip)]
        log_bytes = b"".join(each * copies for each in strips)
        (tmp_path / "t.flac-wal").write_bytes(log_bytes)
        with Table(path) as opened:
            assert opened.version == last
            assert opened.to_arrow(["id"]).column(0).to_pylist() == list(range(2, last + 1))
    for copy in range(copies):  # one copy, and nothing else
        alone = b"".join(
            each.rjust((copy + 1) * strip, b"\0").ljust(copies * strip, b"\0") for each in strips
        )
        (tmp_path / "t.flac-wal").write_bytes(alone)
        with Table(path) as opened:
            assert opened.version == 4
    (tmp_path / "t.flac-wal").unlink()


def test_what_a_writer_makes_of_a_protected_log(tmp_path: Path) -> None:
    """The same bytes as from the document: the size of the file, and each copy alike."""
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], {"protection": "standard"}) as made:
        made.append([{"v": 1}])
        data = (tmp_path / "t.flac-wal").read_bytes()
        strip = log_copies.STRIP_BYTES
        assert len(data) == 3 * strip
        assert data[:strip] == data[strip : 2 * strip] == data[2 * strip :]
        assert data[:8] == b"AuML" + (2).to_bytes(4, "little")
        assert data[80:84] == b"AuMR"


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
            )
            if name in vars(module)
        }
        assert values == {int(row["value"])}, name
    told = {row["constant"].strip("`") for row in table("Limits")}
    for module in (catalog, catalog_history, catalog_packing, blocks, tombstones, bloom):
        assert {name for name in vars(module) if name.startswith("MAX_")} <= told
    assert f"n from 1 to {MAX_WIDTH:,}" in TEXT
    assert f"{bloom.BITS_PER_KEY} bits a key, at least\n{bloom.MIN_BYTES} bytes" in TEXT
    assert f"A key sets {bloom.PROBES} bits" in TEXT
    assert f"1 to {blocks.MAX_BLOCK_ROWS:,}" in TEXT
    assert f"and BLOB {PREFIX} bytes" in TEXT
    assert column_writer.MIN_DICTIONARY_SOURCE == 1 << 20


def test_catalog_keys(tmp_path: Path) -> None:
    """Every key that is written is described, and every key described is written."""
    with create(tmp_path / "t.flac", 50) as made:
        made.checkpoint()
        made.append(arrow(rows(5, 0, 1001)))
        made.checkpoint()
        made.append([{"id": 5001}, {"id": 5003}], sources={"a.md": bytes(16)}, replace="id < 5")
        made.append([{"id": 5005}], replace="id = 5001")
        made.tag("a")
        made.checkpoint()
        made.alter("add column late TEXT DEFAULT ''")
    sealed = Sealed.read(tmp_path / "t.flac.d" / "00000003.flac")
    changed = {
        "schemas", "migrations", "next_column", "checks", "keys", "key_blooms", "vectors", "keywords",
        "comments",
    }  # fmt: skip
    assert set(sealed.catalog) == keys("Catalog map") - {"created", "ended", "tags"} - changed
    sealed = Sealed.read(tmp_path / "t.flac.d" / "00000006.flac")
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
    options = set(TableOptions.__dataclass_fields__)
    assert set(re.findall(r"`(\w+)`", meaning)) - {"torch", "spectrum"} == options
    assert set(sealed.catalog["options"]) == options - {
        "model_backend",
        "model_digest",
        "band_plan",
        "robustness",
    }
    told = TableOptions(modulation="spectrum", model_backend="onnx", model_digest="0" * 32)
    assert set(told.to_catalog()) == options
    assert TableOptions.from_catalog(told.to_catalog()) == told
    assert sealed.catalog["versions"][0][:1] == [4]
    assert msgpack.unpackb(sealed.extent(sealed.catalog["sources"])) == {"a.md": bytes(16)}
    content = sealed.extent(sealed.catalog["tombstones"])
    rowids, end = integers.decode_integers(content, 8, int.from_bytes(content[:8], "little"))
    versions, end = integers.decode_integers(content, end, len(rowids))
    assert (rowids.tolist(), versions.tolist(), end) == ([1, 2, 3, 4], [4, 4, 4, 4], len(content))
    assert sealed.catalog["rowids"]["bloom"] is not None
    sealed = Sealed.read(tmp_path / "t.flac.d" / "00000007.flac")
    assert sealed.catalog["requires"] == [catalog_features.SCHEMA_CHANGES]
    assert set(sealed.catalog) >= {"schemas", "migrations", "next_column"}
    sealed = Sealed.read(FOLDER / "columns.flac")
    assert [entry[0] for entry in sealed.catalog["schemas"]] == [3, 4, 6]
    assert "id" in sealed.catalog["schemas"][2][1][2]


def test_constraints_of_the_table(tmp_path: Path) -> None:
    """What is written of them, and the filter of a key of three columns.

    Both are worked out from the document alone.
    """
    columns = ["a TEXT COLLATE NOCASE", "b INTEGER DEFAULT 5", "c REAL", "CONSTRAINT p PRIMARY KEY (c, a, b)"]
    with Table.create(tmp_path / "t.flac", [*columns, "UNIQUE (b, c)", "CONSTRAINT n CHECK (b > 0)"]) as made:
        made.append([{"a": "Ab", "b": 7, "c": -1.5}, {"a": "X\0yz", "b": 2, "c": 0.0}])
    sealed = Sealed.read(tmp_path / "t.flac")
    assert sealed.catalog["requires"] == [catalog_features.CHECKS, catalog_features.COMBINED_KEYS]
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


def test_cells_filled_by_bands(tmp_path: Path) -> None:
    """The data stream of a file of several pages, put together as the document says."""
    options = {"profile": "desktop", "modulation": "spectrum", "band_plan": "mission"}
    with Table.create(tmp_path / "t.flac", ["body TEXT"], options) as made:
        made.append([{"body": hashlib.sha256(str(n).encode()).hexdigest()} for n in range(3000)])
        made.checkpoint()
        file, first = made.snapshot.segments[0].file, made.snapshot.segments[0].data_page
        length = made.snapshot.segments[0].catalog.data_bytes
        stream = file.read(first, 0, length)
        pages = [file.source.read(page, 1)[0].tobytes() for page in range(file.page_count)]
    assert pages[0][7] == page_layout.MODULATION_BANDS
    copy = int.from_bytes(pages[0][26:28], "little")
    own = pages[copy:-copy]
    assert len(own) == -(-length // (40 * 1016)) > 2
    # payload of the bands of the mission: 8 blocks; bytes of codewords, and of data in them
    ends, e = [], 0
    for low, high, data in ((100, 500, 63), (500, 2000, 85), (2000, 8000, 127), (8000, 20000, 170)):
        words = (math.ceil(high * 8192 / 48_000) - math.ceil(low * 8192 / 48_000)) // 3
        e += 8 * words * 8 // 255 * data
        ends.append(e)
    tiers = sorted({0, *(max(0, e - 160) // 1020 for e in ends)} - {40})
    tiers = [cell for cell in tiers if cell < 40]
    found = b""
    for low, high in itertools.pairwise([*tiers, 40]):
        for page in own:
            found += b"".join(page[160 + 1020 * c : 160 + 1020 * c + 1016] for c in range(low, high))
    assert found[:length] == stream
    assert not any(found[length:])


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


def test_a_page_of_several_frames_as_it_is_described(tmp_path: Path) -> None:
    """The header in page 1 of a file for lossy encoders, from its samples, by nothing but the document."""
    options = {"profile": "desktop", "modulation": "spectrum", "band_plan": "mission", "robustness": "lossy"}
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], options) as made:
        made.append([{"v": 1}])
        made.checkpoint()
    samples, rate = soundfile.read(tmp_path / "t.flac", dtype="int32", always_2d=True)
    samples >>= 8
    silent, frames, channels, first = math.ceil(rate / 16_384), 8, 2, 4
    assert not samples[: silent * 16_384].any()
    assert not samples[-silent * 16_384 :].any()
    assert len(samples) // 16_384 - 2 * silent == 3 * frames  # the catalog twice, and a page of data
    start = (silent + frames) * 16_384
    page = samples[start : start + frames * 16_384].reshape(frames, 4, 4096, channels)
    blocks = page.transpose(0, 3, 1, 2).reshape(frames * channels * 4, 4096).astype(float)
    k, t = np.arange(first, 86), np.arange(4096)
    spectra = (2 / 4096) ** 0.5 * blocks @ np.cos(np.pi * (2 * t[:, None] + 1) * k / 8192)
    distance = 2 * math.sqrt(255 / 12) / 32 * 2**23  # of two levels, one bit: A is half of it
    control = spectra[:, :7] / (distance / 2 / math.sqrt(63 / 12)) + 3.5
    assert np.abs(control - np.where(control > 3.5, 7, 0)).max() < 0.01
    bits = np.rint(control / 7).astype(int)
    seed = sum(int(bits[u, 0]) << u for u in range(12))
    assert (bits[:, 0] == [seed >> u % 12 & 1 for u in range(len(bits))]).all()
    assert (bits[:, 1:] == [1, 1, 1, 0, 1, 1]).all()  # 46: lossy, without the critical band's 1; the pilot
    low = math.ceil(100 * 8192 / rate)
    stored = b""
    places = [low - first + j + j * (86 - low - 64) // 64 for j in range(64)]  # one word in the critical band
    for u, block in enumerate(spectra):
        word = sum(int(block[place] > 0) << j for j, place in enumerate(places))
        word ^= finalised(((seed << 32) + (u + 1) * 0x9E3779B97F4A7C15) % 2**64)
        stored += word.to_bytes(8, "little")
    header = page_layout.PageHeader.unpack(stored[:32])  # interleaved: the data comes first, byte by byte
    assert header is not None
    assert header.page_number == 1


def reference_crc(data: bytes, start: int) -> int:
    """CRC-32C bit by bit."""
    register = start ^ 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def test_bands_and_levels() -> None:
    for row, band in zip(table("Control coefficients", 2), bands.MISSION_BANDS, strict=True):
        assert row["band"] == band.name
        assert int(row["in the mode"]) == 1 << bands.MISSION_BANDS.index(band)
        assert (float(row["from (Hz)"]), float(row["to (Hz)"])) == (band.low, band.high)
        assert int(row["data bytes of 255"]) == band.data_bytes
    exact, coarse = {}, {}
    for row in table("Words in coefficients"):
        if row["robustness"] == "exact":
            exact[int(row["coefficients a word, n"])] = float(row["distance of levels"])
        else:
            coarse[row["robustness"]] = row["coefficients a word, n"]
    assert exact == shape.DISTANCE
    assert coarse == {
        "broadcast": "{}, {} or {}".format(*shape.BROADCAST_FIELDS),
        "lossy": str(shape.LOSSY_FIELDS),
    }
    assert math.sqrt(255 / 12) / 32 == shape.LOUD


def finalised(state: int) -> int:
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31


@pytest.mark.parametrize(
    ("profile", "plan", "robustness"),
    [("embedded", "flat", "exact"), ("desktop", "mission", "exact"), ("desktop", "flat", "broadcast")],
)
def test_a_page_of_frequencies_as_it_is_described(
    tmp_path: Path, profile: str, plan: str, robustness: str
) -> None:
    """The first words of a page, from its samples, by nothing but the document."""
    options = {"profile": profile, "modulation": "spectrum", "band_plan": plan, "robustness": robustness}
    with Table.create(tmp_path / "t.flac", ["v INTEGER"], options) as made:
        made.append([{"v": 1}])
        made.checkpoint()
    samples, rate = soundfile.read(tmp_path / "t.flac", dtype="int32", always_2d=True)
    bits = 24 if profile == "desktop" else 16
    per_word, distance = (3, 2.3) if bits == 24 else (5, 3.4)
    silent = 0
    if robustness == "broadcast":
        per_word, distance, silent = 16, 2**23 / 32, math.ceil(rate / 16_384) * 16_384
        assert not samples[:silent].any()
        assert not samples[-silent:].any()
    block = (samples[silent : silent + 4096, 0] >> 32 - bits).astype(float)
    t = np.arange(4096)

    def coefficient(k: int) -> float:
        return float((2 / 4096) ** 0.5 * (block * np.cos(np.pi * (2 * t + 1) * k / 8192)).sum())

    widths = [64 // per_word + (j >= per_word - 64 % per_word) for j in range(per_word)]
    rms = distance * (sum((4**b - 1) / 12 for b in widths) / per_word) ** 0.5
    first = math.ceil(20 * 8192 / rate)
    digits = []
    for k in range(first, first + 7):
        level = round(coefficient(k) / (rms / (63 / 12) ** 0.5) + 3.5)
        digits.append(level ^ level >> 1)
    seed = sum(digit << 3 * place for place, digit in enumerate(digits[:4]))
    assert digits[4] | digits[5] << 3 == {"flat": 0, "mission": 15}[plan] + 32 * (robustness == "broadcast")
    assert digits[6] == 7 ^ 7 >> 1
    low, high = (
        (first + 7, math.ceil(18_000 * 8192 / rate) if silent else 4096)
        if plan == "flat"
        else (math.ceil(100 * 8192 / rate), math.ceil(500 * 8192 / rate))
    )
    words = (high - low - (5 if plan == "flat" else 0)) // per_word
    rest = high - low - words * per_word
    found = b""
    for w in range(5):
        word, at = 0, 0
        for j, width in enumerate(widths):
            value = coefficient(low + j * words + j * rest // per_word + w) / distance + (2**width - 1) / 2
            level = round(value)
            word |= (level ^ level >> 1) << at
            at += width
        stream = finalised(((seed << 32) + (w + 1) * 0x9E3779B97F4A7C15) % 2**64)
        found += (word ^ stream).to_bytes(8, "little")
    if plan == "flat":
        assert page_layout.PageHeader.unpack(found[:32]) is not None
    else:  # interleaved over five codewords: the data comes first, byte by byte
        blocks_of_all = 2 * 4
        codewords = blocks_of_all * words * 8 // 255
        assert codewords == 5
        assert page_layout.PageHeader.unpack(found[:32]) is not None
