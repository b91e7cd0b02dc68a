"""Puts labels behind what a segment stores, and signposts behind some of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.labels import SIGNPOST, SIGNPOST_BYTES, SIGNPOST_SHARE, Facts, Label, Signpost, pack_map
from audiomem_sql.protection.crc32c import crc32c


class LabelWriter:
    """Of one segment. What a signpost says is known when the last row is in: until then its place is kept."""

    def __init__(
        self, table_id: bytes, segment_id: bytes, schema: Schema, options: Mapping[str, Any]
    ) -> None:
        self._seed = crc32c(segment_id)
        self._map = pack_map(table_id, schema, options)
        self._signposts: list[int] = []
        self._least = SIGNPOST_SHARE * (SIGNPOST.size + len(self._map))
        self._due = 0

    def behind(self, label: Label) -> bytes:
        """What stands behind the bytes that ``label`` is of: itself, and maybe the room for a signpost."""
        packed = label.pack(self._seed)
        if label.end < self._due:
            return packed
        self._due = label.end + max(self._least, min(label.end, SIGNPOST_BYTES))
        self._signposts.append(label.end)
        return packed + bytes(SIGNPOST.size) + self._map

    def want_signpost(self) -> None:
        """Put one behind the next label."""
        self._due = 0

    def finish(self, data: IO[bytes], facts: Facts) -> None:
        """Write all signposts into the data stream."""
        for place in self._signposts:
            data.seek(place)
            data.write(Signpost(place, len(self._map), crc32c(self._map), facts).pack(self._seed))
