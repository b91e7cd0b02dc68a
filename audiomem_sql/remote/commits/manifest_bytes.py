"""The bytes of a manifest and of its pages: a header with the format, MessagePack in zstd, CRC-32C."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import zstandard

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.errors import DamagedFileError, FormatVersionError, LimitError, StorageError
from audiomem_sql.protection.crc32c import CRC_BYTES, crc32c
from audiomem_sql.remote.commits.manifest import (
    Done,
    Footprint,
    InlineEntry,
    Manifest,
    PageEntry,
    Retired,
    SegmentEntry,
)
from audiomem_sql.remote.commits.paths import MAX_EPOCH, is_name
from audiomem_sql.remote.commits.store import Mark

FORMAT = 1
#: Format, magic, bytes before and after compression.
HEADER = struct.Struct("<H6sII")
MANIFEST_MAGIC = b"AMMANI"
PAGE_MAGIC = b"AMPAGE"
#: The largest that is written or read, before compression.
MAX_RAW_BYTES = 16 << 20
#: A manifest that would be larger than this puts its older segments into a page.
MANIFEST_BYTES = 256 << 10
#: Features that this version knows, of those that a manifest may require.
FEATURES = frozenset({"manifest-numbers", "shards", "history"})
#: What the manifest requires of a table that is being deleted.
DROPPED = "dropped"
ID_BYTES = 16
_MOST = (1 << 63) - 1
_SHORT = 1 << 10


class DroppedError(StorageError):
    """The table is being deleted."""


def pack_manifest(manifest: Manifest) -> bytes:
    """Its bytes, without the segments that are in pages. LimitError if they are too many."""
    content: dict[str, Any] = {
        "requires": ["manifest-numbers", "shards"] if manifest.shards else ["manifest-numbers"],
        "table": manifest.table,
        "seq": manifest.seq,
        "epoch": manifest.epoch,
        "version": manifest.version,
        "time": manifest.time,
        "next_rowid": manifest.next_rowid,
        "schema": manifest.schema,
        "oldest": manifest.oldest,
        "retention": manifest.retention,
        "writer": manifest.writer,
        "tags": dict(sorted(manifest.tags.items())),
        "pages": [[page.name, page.size, page.count] for page in manifest.pages],
        "segments": [_segment_list(entry) for entry in manifest.segments[manifest.paged :]],
        "inline": [_record_list(entry) for entry in manifest.inline],
        "recent": [
            [d.commit, d.seq, d.version, _footprint_list(d.footprint), d.first_rowid, d.new_rows]
            for d in manifest.recent
        ],
        "retired": [[entry.name, entry.size, entry.version] for entry in manifest.retired],
    }
    if manifest.history:
        content["requires"].append("history")
        content["history"] = [_segment_list(entry) for entry in manifest.history]
    if manifest.shards:
        content["shards"] = [_shard_list(shard) for shard in manifest.shards]
        content["content"] = manifest.content
    return _pack(MANIFEST_MAGIC, content)


def pack_dropped(manifest: Manifest) -> bytes:
    """What takes the place of ``manifest`` when the table is deleted: nobody can open it any more."""
    content = {"requires": ["manifest-numbers", DROPPED], "table": manifest.table, "seq": manifest.seq + 1}
    return _pack(MANIFEST_MAGIC, content)


def is_manifest(data: bytes) -> bool:
    """Whether the first bytes of an object are those of such a manifest."""
    return data[2:8] == MANIFEST_MAGIC


def unpack_manifest(data: bytes, page: Callable[[PageEntry], Sequence[SegmentEntry]]) -> Manifest:
    """The inverse. page: reads the segments of a page.

    FormatVersionError for one that a newer version wrote, DroppedError for that of a table that is being
    deleted, DamagedFileError for anything else.
    """
    content = _unpack(MANIFEST_MAGIC, data, "manifest")
    try:
        if DROPPED in _listed(content["requires"]):
            raise DroppedError(
                "the table was dropped, and what is left of it is not deleted yet",
                remedy="Run `audiomem drop` with its URL again.",
            )
        _check_features(content["requires"])
        manifest = _manifest_of(content)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise _not_understood("manifest", error) from None
    paged: list[SegmentEntry] = []
    for entry in manifest.pages:
        segments = page(entry)
        if len(segments) != entry.count:
            raise DamagedFileError("a page of the manifest holds another number of segments than it says")
        paged += segments
    manifest = replace(manifest, segments=(*paged, *manifest.segments))
    if contradiction := manifest.contradiction():
        raise DamagedFileError(f"the manifest contradicts itself: {contradiction}")
    return manifest


def pack_page(segments: Sequence[SegmentEntry]) -> bytes:
    """The bytes of a page."""
    return _pack(PAGE_MAGIC, [_segment_list(entry) for entry in segments])


def unpack_page(data: bytes) -> tuple[SegmentEntry, ...]:
    """The inverse; errors as of a manifest."""
    content = _unpack(PAGE_MAGIC, data, "page")
    try:
        return tuple(_segment_of(value) for value in _listed(content))
    except (TypeError, ValueError, IndexError) as error:
        raise _not_understood("page", error) from None


def _pack(magic: bytes, content: Any) -> bytes:
    raw = msgpack.packb(content)
    if len(raw) > MAX_RAW_BYTES:
        raise LimitError(
            f"a manifest of {len(raw):,} bytes is over the limit of {MAX_RAW_BYTES:,}",
            remedy="Vacuum the table, or keep fewer tags.",
        )
    stored = zstandard.ZstdCompressor(level=3).compress(raw)
    data = HEADER.pack(FORMAT, magic, len(raw), len(stored)) + stored
    return data + crc32c(data).to_bytes(CRC_BYTES, "little")


def _unpack(magic: bytes, data: bytes, what: str) -> Any:
    """What ``_pack`` was given."""
    if len(data) < HEADER.size + CRC_BYTES or data[2:8] != magic:
        raise DamagedFileError(f"this is no {what} of a table")
    number, _, raw_size, size = HEADER.unpack_from(data)
    if number != FORMAT:
        raise FormatVersionError(
            f"the {what} is in format {number}, and this version reads format {FORMAT}",
            remedy="Open it with a newer audiomem-sql.",
        )
    body, crc = data[:-CRC_BYTES], int.from_bytes(data[-CRC_BYTES:], "little")
    if size != len(body) - HEADER.size or crc32c(body) != crc:
        raise DamagedFileError(f"the {what} does not match its CRC-32C")
    try:
        if raw_size > MAX_RAW_BYTES or zstandard.frame_content_size(body[HEADER.size :]) != raw_size:
            raise DamagedFileError(f"the {what} states two sizes, or one over the limit")
        raw = zstandard.ZstdDecompressor().decompress(body[HEADER.size :], max_output_size=raw_size)
        check_whole(raw)
        return msgpack.unpackb(raw)
    except (zstandard.ZstdError, msgpack.UnpackException, ValueError) as error:
        raise _not_understood(what, error) from None


def _not_understood(what: str, error: Exception) -> DamagedFileError:
    return DamagedFileError(f"the {what} cannot be understood ({type(error).__name__}: {error!s:.200})")


def _check_features(requires: Any) -> None:
    unknown = sorted({str(name) for name in _listed(requires)} - FEATURES)
    if unknown:
        raise FormatVersionError(
            f"the manifest needs features that this version does not have: {', '.join(unknown):.200}",
            remedy="Open it with a newer audiomem-sql.",
        )


def _manifest_of(content: Any) -> Manifest:
    writer = content["writer"]
    return Manifest(
        table=_id(content["table"]),
        seq=_count(content["seq"]),
        epoch=_number(content["epoch"], 1, MAX_EPOCH),
        version=_count(content["version"]),
        time=_number(content["time"]),
        next_rowid=_number(content["next_rowid"]),
        schema=_count(content["schema"]),
        oldest=_count(content["oldest"]),
        retention=_count(content["retention"]),
        writer=None if writer is None else _id(writer),
        tags={_text(name): _count(number) for name, number in content["tags"].items()},
        pages=tuple(
            PageEntry(_name(v[0]), _count(v[1]), _number(v[2], 1)) for v in _listed(content["pages"])
        ),
        segments=tuple(_segment_of(value) for value in _listed(content["segments"])),
        inline=tuple(_record_of(value) for value in _listed(content["inline"])),
        recent=tuple(
            Done(_id(v[0]), _count(v[1]), _count(v[2]), _footprint_of(v[3]), _number(v[4]), _count(v[5]))
            for v in _listed(content["recent"])
        ),
        retired=tuple(Retired(_name(v[0]), _count(v[1]), _count(v[2])) for v in _listed(content["retired"])),
        history=tuple(_segment_of(value) for value in _listed(content.get("history", []))),
        shards=tuple(_shard_of(value) for value in _listed(content.get("shards", []))),
        content=_bytes(content.get("content", b"")),
    )


def _shard_list(shard: Manifest) -> list[Any]:
    return [
        shard.table,
        shard.version,
        shard.time,
        shard.oldest,
        [_segment_list(entry) for entry in shard.segments],
        [_record_list(entry) for entry in shard.inline],
    ]


def _shard_of(value: Any) -> Manifest:
    table, version, time, oldest, segments, records = value[:6]
    return Manifest(
        table=_id(table),
        version=_count(version),
        time=_number(time),
        oldest=_count(oldest),
        segments=tuple(_segment_of(each) for each in _listed(segments)),
        inline=tuple(_record_of(each) for each in _listed(records)),
    )


def _record_list(entry: InlineEntry) -> list[Any]:
    return [entry.version, entry.time, entry.first_rowid, entry.new_rows, entry.commit, entry.record]


def _record_of(value: Any) -> InlineEntry:
    version, time, first, new_rows, commit, record = value[:6]
    return InlineEntry(
        _count(version), _number(time), _number(first), _count(new_rows), _id(commit), _bytes(record)
    )


def _segment_list(entry: SegmentEntry) -> list[Any]:
    return [
        entry.name,
        entry.size,
        list(entry.mark),
        entry.segment_id,
        entry.first_version,
        entry.last_version,
        entry.rows,
        entry.low_rowid,
        entry.high_rowid,
        entry.time,
        entry.commit,
        entry.storage_class,
    ]


def _segment_of(value: Any) -> SegmentEntry:
    name, size, mark, segment_id, first, last, rows, low, high, time, commit, storage_class = value[:12]
    e_tag, version = (None if part is None else _text(part) for part in mark)
    return SegmentEntry(
        _name(name),
        _count(size),
        Mark(e_tag, version),
        _id(segment_id),
        _number(first, 1),
        _number(last, 1),
        _count(rows),
        _number(low),
        _number(high),
        _number(time),
        _id(commit),
        _text(storage_class),
    )


def _footprint_list(footprint: Footprint | None) -> list[Any] | None:
    if footprint is None:
        return None
    rowids, keys = footprint.rowids, footprint.keys
    return [
        None if rowids is None else list(rowids),
        None if keys is None else list(keys),
        footprint.schema,
    ]


def _footprint_of(value: Any) -> Footprint | None:
    if value is None:
        return None
    rowids, keys, schema = value[:3]
    if not isinstance(schema, bool):
        raise TypeError("something else than a truth value")
    return Footprint(
        None if rowids is None else tuple(_number(rowid) for rowid in _listed(rowids)),
        None if keys is None else tuple(_number(key, 0, (1 << 64) - 1) for key in _listed(keys)),
        schema,
    )


def _number(value: Any, least: int = -(1 << 63), greatest: int = _MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        raise ValueError(f"{value!r:.40} is no number from {least} to {greatest}")
    return value


def _count(value: Any) -> int:
    return _number(value, 0)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("something else than a list")
    return value


def _id(value: Any) -> bytes:
    if not isinstance(value, bytes) or len(value) != ID_BYTES:
        raise ValueError(f"an id that has not {ID_BYTES} bytes")
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("something else than bytes")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _SHORT:
        raise ValueError("something else than a short text")
    return value


def _name(value: Any) -> str:
    if not is_name(value):
        raise ValueError("a name that no object of a table has")
    assert isinstance(value, str)
    return value
