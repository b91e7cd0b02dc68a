"""Puts labels behind what a segment stores, and signposts behind some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from audiomem_sql.columns.schema import Schema
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.storage.segment.data_spool import DataSpool
from audiomem_sql.storage.segment.labels import (
    SIGNPOST,
    SIGNPOST_BYTES,
    SIGNPOST_SHARE,
    Facts,
    Label,
    Signpost,
    pack_map,
)


class LabelWriter:
    """Of one segment, whose bytes go to ``spool``.

    What a signpost says is known when the last row is in, and so may be the places: until then room is kept.
    """

    def __init__(
        self,
        spool: DataSpool,
        table_id: bytes,
        segment_id: bytes,
        schema: Schema,
        options: Mapping[str, Any],
        signposts: Sequence[int] = (),
    ) -> None:
        """signposts: the places of those that are there already, in a stream that is not divided."""
        self._spool = spool
        self._seed = crc32c(segment_id)
        self._map = pack_map(table_id, schema, options)
        self._signposts = list(signposts)
        self._moving: list[Label] = []
        self._least = SIGNPOST_SHARE * (SIGNPOST.size + len(self._map))
        self._due = 0

    def behind(self, label: Label) -> bytes:
        """What stands behind the bytes that ``label`` is of: itself, and maybe the room for a signpost."""
        if self._spool.divided:
            self._moving.append(label)
        packed = label.pack(self._seed)
        end = self._spool.length + label.stored + len(packed)
        if end < self._due:
            return packed
        self._due = end + max(self._least, min(end, SIGNPOST_BYTES))
        self._signposts.append(label.end)
        return packed + bytes(SIGNPOST.size) + self._map

    def want_signpost(self) -> None:
        """Put one behind the next label."""
        self._due = 0

    def finish(self, facts: Facts) -> list[int]:
        """Write all signposts, and labels whose place was not known, into the data stream.

        Where the signposts are in the stream.
        """
        for label in self._moving:
            moved = replace(label, place=self._spool.final(label.place))
            self._spool.overwrite(label.place + label.stored, moved.pack(self._seed))
        for place in self._signposts:
            signpost = Signpost(self._spool.final(place), len(self._map), crc32c(self._map), facts)
            self._spool.overwrite(place, signpost.pack(self._seed))
        return [self._spool.final(place) for place in self._signposts]
