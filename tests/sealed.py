"""Segment files taken apart and put together again with right checksums, whatever they then say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zstandard

from audiomem_sql.audio import Profile
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.protection.levels import Level
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.storage.pages.header import PageKind
from audiomem_sql.storage.pages.layout import PageLayout
from audiomem_sql.storage.pages.writer import FileSpec, Pages, PageWriter
from audiomem_sql.storage.segment.catalog_packing import CATALOG_HEADER, CATALOG_MAGIC, parse_header


@dataclass
class Sealed:
    """A segment: the catalog as plain values, and the data stream."""

    profile: Profile
    level: Level
    segment_id: bytes
    catalog: dict[str, Any]
    data: bytearray

    @classmethod
    def read(cls, path: Path | str) -> Sealed:
        file = PagedFile.open(str(path))
        try:
            head = file.read(0, 0, CATALOG_HEADER.size)
            _, stored, raw, _ = parse_header(head)
            packed = file.read(0, CATALOG_HEADER.size, stored)
            catalog = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(packed, max_output_size=raw))
            cells = file.data_cells()
            pages = file.layout.pages_for(CATALOG_HEADER.size + stored)
            first = pages * file.layout.cells if cells is None else cells.start
            data = file.read(first, 0, catalog["data_bytes"])
            return cls(
                file.source.profile, file.layout.level, file.header.segment_id, catalog, bytearray(data)
            )
        finally:
            file.close()

    def write(self, path: Path | str) -> None:
        """The file, its catalog and pages with the checksums that belong to them."""
        self.write_raw(path, msgpack.packb(self.catalog))

    def write_raw(
        self, path: Path | str, raw: bytes, *, size: int | None = None, stored: bytes | None = None
    ) -> None:
        """The same with ``raw`` for the map.

        Or with ``stored`` for its compressed form and ``size`` for what it claims.
        """
        packed = zstandard.ZstdCompressor(level=3).compress(raw) if stored is None else stored
        head = CATALOG_HEADER.pack(
            CATALOG_MAGIC, len(packed), len(raw) if size is None else size, crc32c(packed)
        )
        self.write_blob(path, head + packed)

    def write_blob(self, path: Path | str, blob: bytes) -> None:
        """The same with ``blob`` for both copies of the catalog."""
        with open(path, "wb") as sink:
            layout = PageLayout(self.profile.page_size, self.level)
            catalog = layout.pages_for(len(blob))
            pages = Pages(2 * catalog + layout.pages_for(len(self.data)), catalog)
            writer = PageWriter(
                sink, FileSpec(self.profile, self.level, self.segment_id, {"TITLE": "sealed"}), pages
            )
            writer.write(blob, PageKind.CATALOG)
            writer.write(bytes(self.data), PageKind.DATA)
            writer.write(blob, PageKind.CATALOG)
            writer.close()

    def extent(self, place: list[int]) -> bytes:
        """The bytes that [offset, stored, raw] names, decompressed."""
        offset, stored, raw = place
        return zstandard.ZstdDecompressor().decompress(
            bytes(self.data[offset : offset + stored]), max_output_size=raw
        )

    def store(self, content: bytes) -> list[int]:
        """Put ``content`` at the end of the data stream; [offset, stored, raw]."""
        packed = zstandard.ZstdCompressor().compress(content)
        place = [len(self.data), len(packed), len(content)]
        self.data += packed
        self.catalog["data_bytes"] = len(self.data)
        return place

    def _entries(self) -> list[dict[str, Any]]:
        hidden = (self.catalog.get(name) for name in ("rowids", "created", "ended"))
        return [entry for entry in (*self.catalog["columns"], *hidden) if entry]

    def extents(self) -> list[tuple[dict[str, Any], str]]:
        """Where [offset, stored, raw] stand: the map and its key."""
        owners = [(entry, name) for entry in self._entries() for name in ("dictionary", "bloom")]
        owners += [(self.catalog, name) for name in ("tombstones", "sources")]
        return [(owner, name) for owner, name in owners if owner[name]]

    def blocks(self) -> list[tuple[dict[str, Any], int]]:
        """Every block: the entry of its column, and its number."""
        return [
            (entry, number)
            for entry in self._entries()
            for number in range(len(entry["blocks"]["encodings"]))
        ]

    def numbers(self, entry: dict[str, Any], name: str) -> list[int]:
        """An array of the block directory; offsets as places, not as steps."""
        array = np.frombuffer(entry["blocks"][name], {"offsets": "<i8", "stored": "<u4", "raw": "<u4"}[name])
        return (np.cumsum(array) if name == "offsets" else array).tolist()

    def block(self, entry: dict[str, Any], number: int) -> bytes:
        """The bytes of a block before compression."""
        offset, stored = (self.numbers(entry, name)[number] for name in ("offsets", "stored"))
        if not self.numbers(entry, "raw")[number]:
            return b""
        return self.decompress(entry, bytes(self.data[offset : offset + stored]))

    def dictionary(self, entry: dict[str, Any]) -> zstandard.ZstdCompressionDict | None:
        """The compression dictionary of a column, which may stand decompressed in its entry."""
        place = entry["dictionary"]
        if not place:
            return None
        content = place if isinstance(place, bytes) else self.extent(place)
        return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)

    def decompress(self, entry: dict[str, Any], packed: bytes) -> bytes:
        """A block of the column of ``entry``."""
        if not packed:
            return b""
        return zstandard.ZstdDecompressor(dict_data=self.dictionary(entry)).decompress(packed)
