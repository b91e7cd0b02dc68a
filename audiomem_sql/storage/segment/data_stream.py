"""The data stream of a segment file: blocks, dictionaries, filters and indexes, read by their place in it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.machine.memory import check_room, out_of_memory
from audiomem_sql.observe import hooks
from audiomem_sql.storage.pages import PagedFile, cell_seed
from audiomem_sql.storage.segment.catalog import Extent

if TYPE_CHECKING:
    from audiomem_sql.blocks.directory import BlockDirectory
    from audiomem_sql.storage.segment.directory_groups import Groups
    from audiomem_sql.storage.segment.labels import Label

#: Bytes that are searched for labels at once.
_SEARCHED_AT_ONCE = 4 << 20
REMEDY = "Restore it from a copy. `audiomem verify` lists all damage, `audiomem salvage` saves the rest."


class DataStream:
    """Reads the data stream that begins at cell ``first_cell`` of ``file``."""

    def __init__(self, file: PagedFile, first_cell: int) -> None:
        self.path = file.path
        self._file = file
        self._first_cell = first_cell
        #: Whether telling what will be read next is worth while.
        self.is_planned = file.is_far

    @hooks.staged("read")
    def read(self, offset: int, length: int) -> bytes:
        """The stored bytes at ``offset``. DamagedFileError if they cannot be recovered."""
        return self._file.read(self._first_cell, offset, length)

    def prefetch(self, extents: Iterable[tuple[int, int]]) -> None:
        """Tell what will be read next: offsets and lengths; see :meth:`PagedFile.prefetch`."""
        self._file.prefetch(self._first_cell, extents)

    @property
    def lasting_identity(self) -> Hashable | None:
        """What nobody will ever find other bytes under, in this process; None where nothing says so."""
        identity = self._file.source.file.lasting_identity
        return None if identity is None else (identity, self._file.header.segment_id, self._first_cell)

    @property
    def ahead(self) -> Callable[[Iterable[tuple[int, int]]], None] | None:
        """:meth:`prefetch`, where it is worth while."""
        return self.prefetch if self.is_planned else None

    def frame(self, offset: int, stored: int, raw: int, decompressor: Decompressor) -> bytes:
        """The bytes of the zstd frame at ``offset``, decompressed to ``raw`` bytes.

        Behind it, in the ``stored`` bytes, there may be a label: damage to that costs nothing.
        DamagedFileError if the frame cannot be recovered.
        """
        try:
            data = self.read(offset, stored)
        except DamagedFileError:
            try:
                return decompressor.decompress(self._readable_start(offset, stored), raw)
            except DamagedFileError:
                pass  # it ends behind what can be read
            raise
        return decompressor.decompress(data, raw)

    def _readable_start(self, offset: int, length: int) -> bytes:
        """The bytes at ``offset``, up to the first that cannot be recovered."""
        size = self._file.layout.cell_payload
        first = offset // size
        count = -(-(offset + length) // size) - first
        cells, intact = self._file.stream_cells(self._first_cell, first, count)
        if not intact.all():
            cells = cells[: int(intact.argmin())]
        return cells.reshape(-1)[offset - first * size :][:length].tobytes()

    def lost_page(
        self, groups: Groups, group: int, column: int, error: DamagedFileError, *, labels: bool
    ) -> BlockDirectory:
        """See :class:`~audiomem_sql.storage.segment.grouped_directory.PageReader`."""
        from audiomem_sql.storage.segment.lost_page import page_of_labels

        place = int(groups.offsets[group]), int(groups.lengths[group])
        return page_of_labels(groups, group, column, self.labels(*place) if labels else [], error)

    def labels(self, offset: int, length: int) -> list[Label]:
        """The labels in ``length`` bytes at ``offset`` that can be read."""
        from audiomem_sql.storage.segment.labels import LABEL, LABEL_MAGIC, Label

        size, seed = self._file.layout.cell_payload, cell_seed(self._file.header.segment_id)
        found, stop = [], -(-(offset + length) // size)
        step = _SEARCHED_AT_ONCE // size
        for first in range(offset // size, stop, step):
            more = -(-LABEL.size // size)  # a label may lie across two of the pieces
            try:
                cells, _ = self._file.stream_cells(self._first_cell, first, min(step + more, stop - first))
            except DamagedFileError:  # the file ends before
                continue
            data, at = cells.tobytes(), 0
            while 0 <= (at := data.find(LABEL_MAGIC, at)) < step * size:
                label = Label.unpack(data, at, seed)
                if label is not None and label.place + label.stored == first * size + at:
                    found.append(label)
                at += 1
        return found

    def extent(self, extent: Extent) -> bytes:
        """The bytes of an extent, decompressed. DamagedFileError with its place if they cannot be read."""
        try:
            check_room(2 * extent.raw, self.path)  # as it is, and decoded into as much again
            return self.frame(extent.offset, extent.stored, extent.raw, Decompressor())
        except MemoryError:
            raise out_of_memory(self.path) from None
        except DamagedFileError as error:
            self.locate(error, extent)
            raise

    def extents(self, extents: Sequence[Extent]) -> list[bytes]:
        """The same of several, which are read at once where the file is far away."""
        stored = self._file.read_many(self._first_cell, [(each.offset, each.stored) for each in extents])
        if stored is None:
            return [self.extent(each) for each in extents]
        check_room(2 * sum(each.raw for each in extents), self.path)
        decompressor, found = Decompressor(), []
        for each, data in zip(extents, stored, strict=True):
            try:
                found.append(decompressor.decompress(data, each.raw))
            except DamagedFileError as error:
                self.locate(error, each)
                raise
        return found

    def page(self, offset: int) -> int:
        """The page that holds byte ``offset``."""
        return self._file.page_at(self._first_cell, offset)

    def locate(self, error: DamagedFileError, extent: Extent) -> None:
        """Give ``error`` the file and the page of ``extent``, unless it names a file already."""
        if error.file is None:
            error.at(file=self.path, place=f"page {self.page(extent.offset)}", remedy=REMEDY)
