"""The bytes of a manifest: two equal copies, each a CRC-32C, a header with the format, MessagePack in zstd.

    copy   := CRC-32C of what follows (4 bytes), header, content in zstd
    header := format (2 bytes), magic "AMSHRD" (6), bytes of the content before and after compression (4 each)

Integers are little-endian. A copy that does not match its checksum is passed over while the other one does.
The checksum comes first, so that the first sector of the file tells one manifest from another.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack
import numpy as np
import zstandard

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import AudioMemError, DamagedFileError, FormatVersionError, LimitError
from audiomem_sql.protection.crc32c import CRC_BYTES, crc32c
from audiomem_sql.shards.manifest import Layout, Manifest, ShardEntry
from audiomem_sql.shards.version_bytes import CHUNK, Pin, ShardedVersion, unpack_chunk
from audiomem_sql.shards.zones import ShardZones
from audiomem_sql.storage.segment import Migration

FORMAT = 1
MAGIC = b"AMSHRD"
HEADER = struct.Struct("<H6sII")
#: The largest that is written or read, before compression.
MAX_RAW_BYTES = 256 << 20
#: Features that this version knows, of those that a manifest may require.
FEATURES: frozenset[str] = frozenset({"columns"})
_ID_BYTES = 16
#: What a manifest without ``columns`` says there.
_UNCHANGED: dict[str, Any] = {"earlier": [], "migrations": [], "next": 0}
_FILE_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}\.flac")


def pack_content(manifest: Manifest) -> bytes:
    """What it says, as the manifest of a table that is written to in a store has it. LimitError."""
    return _packed(manifest)


def unpack_content(raw: bytes) -> Manifest:
    """The inverse; errors as of ``unpack_manifest``."""
    try:
        check_whole(raw)
    except ValueError as error:
        raise _not_understood(error) from None
    return _unpacked(raw)


def _packed(manifest: Manifest) -> bytes:
    content: dict[str, Any] = {
        "requires": sorted(FEATURES - {"columns"} if not manifest.migrations else FEATURES),
        "table": manifest.table_id,
        **_pack_layout(manifest.schema, manifest.options),
        "key": list(manifest.key),
        "buckets": [[first, _pack_table(table)] for first, table in manifest.tables],
        "target": None if manifest.target is None else _pack_table(manifest.target),
        "shards": [[e.file, e.table_id, e.oldest.version, e.oldest.time] for e in manifest.shards],
        "chunks": list(manifest.chunks),
        "versions": [each.pack() for each in manifest.versions[CHUNK * len(manifest.chunks) :]],
        "zones": manifest.zones.pack(),
        "tags": dict(manifest.tags),
        "sources": dict(manifest.sources),
        "high_rowid": manifest.high_rowid,
        "rows": manifest.rows,
    }
    if manifest.copies:
        content["copies"] = manifest.copies
    if manifest.migrations:
        content["columns"] = {
            "earlier": [[e.last, _pack_layout(e.schema, e.options)] for e in manifest.earlier],
            "migrations": [[step.number, step.version, step.text] for step in manifest.migrations],
            "next": manifest.next_column,
        }
    raw: bytes = msgpack.packb(content)
    if len(raw) > MAX_RAW_BYTES:
        raise LimitError(
            f"a manifest of {len(raw):,} bytes is over the limit of {MAX_RAW_BYTES:,}",
            remedy="Vacuum the table, and keep fewer versions.",
        )
    return raw


def pack_manifest(manifest: Manifest) -> bytes:
    """Its bytes. LimitError if they are too many."""
    raw = _packed(manifest)
    stored = zstandard.ZstdCompressor(level=3).compress(raw)
    body = HEADER.pack(FORMAT, MAGIC, len(raw), len(stored)) + stored
    return 2 * (crc32c(body).to_bytes(CRC_BYTES, "little") + body)


def unpack_manifest(data: bytes) -> tuple[Manifest, str | None]:
    """The manifest, and what is wrong with one of its copies, if anything is.

    FormatVersionError for one that a newer version wrote, DamagedFileError for anything else.
    """
    half = len(data) // 2
    faults: list[AudioMemError] = []
    raw = None
    for copy in (data[:half], data[half:]):
        try:
            raw = _raw(copy) if raw is None else _same(raw, copy)
        except DamagedFileError as error:
            faults.append(error)
    if raw is None:
        raise faults[0]
    return _unpacked(raw), faults[0].what if faults else None


def _unpacked(raw: bytes) -> Manifest:
    try:
        content = msgpack.unpackb(raw, strict_map_key=False)
        unknown = sorted({str(name) for name in content["requires"]} - FEATURES)
        if unknown:
            raise FormatVersionError(
                f"the manifest needs features that this version does not have: {', '.join(unknown):.200}",
                remedy="Open it with a newer audiomem-sql.",
            )
        manifest = _manifest_of(content)
        contradiction = manifest.contradiction()
    except (
        msgpack.UnpackException,
        zstandard.ZstdError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
    ) as error:
        raise _not_understood(error) from None
    if contradiction:
        raise DamagedFileError(f"the manifest contradicts itself: {contradiction}")
    return manifest


def _raw(copy: bytes) -> bytes:
    """The content of a copy."""
    crc, body = int.from_bytes(copy[:CRC_BYTES], "little"), copy[CRC_BYTES:]
    if len(body) < HEADER.size or body[2:8] != MAGIC:
        raise DamagedFileError("this is no manifest of a sharded table")
    number, _, raw_size, size = HEADER.unpack_from(body)
    whole = crc32c(body) == crc
    if number > FORMAT and whole:
        raise FormatVersionError(
            f"the manifest is in format {number}, and this version reads format {FORMAT}",
            remedy="Open it with a newer audiomem-sql.",
        )
    if not whole or number != FORMAT or size != len(body) - HEADER.size:
        raise DamagedFileError("the manifest does not match its CRC-32C")
    try:
        if raw_size > MAX_RAW_BYTES or zstandard.frame_content_size(body[HEADER.size :]) != raw_size:
            raise DamagedFileError("the manifest states two sizes, or one over the limit")
        raw = zstandard.ZstdDecompressor().decompress(body[HEADER.size :], max_output_size=raw_size)
        check_whole(raw)
    except (zstandard.ZstdError, msgpack.UnpackException, ValueError) as error:
        raise _not_understood(error) from None
    return raw


def _same(raw: bytes, copy: bytes) -> bytes:
    """The content of the second copy, which must be that of the first."""
    if _raw(copy) != raw:
        raise DamagedFileError("the two copies of the manifest differ")
    return raw


def _not_understood(error: Exception) -> DamagedFileError:
    return DamagedFileError(f"the manifest cannot be understood ({type(error).__name__}: {error!s:.200})")


def _pack_layout(schema: Schema, options: Mapping[str, object]) -> dict[str, Any]:
    return {
        "schema": schema.to_catalog(),
        "checks": [check.to_catalog() for check in schema.checks],
        "keys": [key.to_catalog() for key in schema.keys],
        "options": dict(options),
    }


def _layout(content: Any, last: int = 0) -> Layout:
    schema = Schema.from_catalog(content["schema"], content["checks"], content["keys"])
    return Layout(last, schema, {str(name): value for name, value in content["options"].items()})


def _pack_table(table: Sequence[int]) -> bytes:
    return np.asarray(table, "<u2").tobytes()


def _table(packed: Any) -> tuple[int, ...]:
    return tuple(np.frombuffer(packed, "<u2").tolist())


def _manifest_of(content: Any) -> Manifest:
    layout, columns = _layout(content), content.get("columns", _UNCHANGED)
    shards = tuple(
        ShardEntry(_file_name(name), _id(table_id), Pin(int(version), int(time)))
        for name, table_id, version, time in content["shards"]
    )
    chunks = tuple(bytes(chunk) for chunk in content["chunks"])
    old = [version for chunk in chunks for version in unpack_chunk(chunk)]
    if len(old) != CHUNK * len(chunks):
        raise ValueError("a chunk has another number of versions")
    versions = (*old, *(ShardedVersion.unpack(version) for version in content["versions"]))
    tags = {str(name): int(number) for name, number in content["tags"].items()}
    return Manifest(
        table_id=_id(content["table"]),
        schema=layout.schema,
        options=layout.options,
        key=tuple(int(number) for number in content["key"]),
        tables=tuple((int(first), _table(packed)) for first, packed in content["buckets"]),
        target=None if content["target"] is None else _table(content["target"]),
        shards=shards,
        versions=versions,
        chunks=chunks,
        zones=ShardZones.unpack(content["zones"], layout.schema, len(shards)),
        tags=tags,
        sources={str(name): bytes(digest) for name, digest in content["sources"].items()},
        high_rowid=int(content["high_rowid"]),
        rows=int(content["rows"]),
        copies=int(content.get("copies", 0)),
        earlier=tuple(_layout(packed, int(last)) for last, packed in columns["earlier"]),
        migrations=tuple(
            Migration(int(number), int(version), str(text)) for number, version, text in columns["migrations"]
        ),
        next_column=int(columns["next"]),
    )


def _file_name(name: Any) -> str:
    """The name of a shard's file, which cannot lead out of the folder."""
    if not isinstance(name, str) or _FILE_NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r:.60} is no name of a shard's file")
    return name


def _id(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != _ID_BYTES:
        raise ValueError("an id has another length")
    return value
