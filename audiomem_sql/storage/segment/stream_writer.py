"""Appends to the data stream of a new segment: blocks, which come compressed, and extents, which do not."""

from __future__ import annotations

from audiomem_sql.blocks.bloom import BloomFilter
from audiomem_sql.blocks.compression import Compressor
from audiomem_sql.errors import LimitError
from audiomem_sql.machine.durable import storage_error
from audiomem_sql.storage.segment.catalog import (
    MAX_EXTENT_BYTES,
    MAX_EXTENT_RATIO,
    Extent,
    fits_an_extent,
)
from audiomem_sql.storage.segment.data_spool import DataSpool, Stratum
from audiomem_sql.storage.segment.label_writer import LabelWriter
from audiomem_sql.storage.segment.labels import Label, Labelled

#: Least zstd level of dictionaries, filters and lists.
MIN_EXTENT_LEVEL = 9


class StreamWriter:
    """The data stream of the segment at ``path``, collected in ``spool``.

    labels: puts labels behind what is stored; None for a segment without. level: zstd level of the segment.
    """

    def __init__(self, path: str, spool: DataSpool, labels: LabelWriter | None, level: int) -> None:
        self.path = path
        self.spool = spool
        self.labels = labels
        self._extent_level = max(level, MIN_EXTENT_LEVEL)

    def append(self, data: bytes, stratum: Stratum) -> None:
        """Put ``data`` behind what the stratum has. StorageError if there is no room for it."""
        try:
            self.spool.append(data, stratum)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def store(
        self,
        data: bytes,
        kind: Labelled | None = None,
        column: int = 0,
        number: int = 0,
        stratum: Stratum = Stratum.STRUCTURE,
    ) -> Extent:
        """Compress ``data``, and append it.

        kind: append a label, too, which says what it is; ``column`` and ``number`` stand in the label.
        """
        self._check_extent(len(data), len(data))
        place = self.spool.place(stratum)
        stored = Compressor(self._extent_level).compress(data)
        self._check_extent(len(stored), len(data))
        if kind is not None and self.labels is not None:
            stored += self.labels.behind(Label(kind, column, place, len(stored), len(data), number))
        self.append(stored, stratum)
        return Extent(place, len(stored), len(data))

    def _check_extent(self, stored: int, raw: int) -> None:
        """LimitError for an extent that no reader takes: see :func:`fits_an_extent`."""
        if not fits_an_extent(stored, raw):
            raise LimitError(
                f"a list of {raw:,} bytes, which compression makes {stored:,}, is over the limit of "
                f"{MAX_EXTENT_BYTES:,}, or {MAX_EXTENT_RATIO:,} times as many as those",
                file=self.path,
                remedy="Divide it into several transactions.",
            )

    def store_filter(self, bloom: BloomFilter | None) -> Extent | None:
        """Store a Bloom filter, if there is one."""
        return None if bloom is None else self.store(bloom.bits.tobytes())

    def put_derived(self, data: bytes) -> Extent:
        """Append a part of an index as it is, to be read in pieces."""
        extent = Extent(self.spool.place(Stratum.DERIVED), len(data), len(data))
        self.append(data, Stratum.DERIVED)
        return extent
