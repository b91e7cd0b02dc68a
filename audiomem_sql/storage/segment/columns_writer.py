"""The columns of a new segment as they arrive, cut into blocks: those of the schema, and the hidden ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.column_writer import STRING_KINDS, ColumnWriter, choose_dictionary
from audiomem_sql.columns.column import Column
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import integer_array
from audiomem_sql.columns.types import ColumnType, Kind
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.storage.segment.block_writer import BlockWriter
from audiomem_sql.storage.segment.catalog import ColumnEntry, Extent
from audiomem_sql.storage.segment.column_numbers import CREATED, ENDED, NEVER, ROWID
from audiomem_sql.storage.segment.data_spool import Stratum
from audiomem_sql.storage.segment.importance import importance_column, stretches
from audiomem_sql.storage.segment.labels import Labelled
from audiomem_sql.storage.segment.stream_writer import StreamWriter
from audiomem_sql.storage.segment.strips import Strips, plan_strips, small_dictionaries
from audiomem_sql.storage.segment.write_options import WriteOptions

#: Bytes of values in a block of an INDEXED column of vectors. Bits hardly repeat: small blocks cost little.
INDEXED_BLOCK_BYTES = 32 << 10
#: Rows of a run of rowids that are stored at once when the run breaks.
_RUN_ROWS = 1 << 20


class DataColumns:
    """The columns of the schema that are stored as blocks.

    The first rows are held back until there are enough of them to choose compression dictionaries from.
    """

    def __init__(
        self, schema: Schema, options: WriteOptions, stream: StreamWriter, blocks: BlockWriter
    ) -> None:
        self._count = len(schema)
        self._stream = stream
        self._blocks = blocks
        self._sample_bytes = options.sample_bytes
        self._stretch_bytes = options.block_bytes // 8
        self._importance = importance_column(schema) if options.by_bands else None
        self._stratum = Stratum.ORDINARY
        self._remote = options.remote
        self._strips: Strips | None = None
        self._rows = 0
        self._writers = {
            number: _column_writer(
                number,
                column.name,
                column.type,
                _block_options(column, options),
                keyed=column.unique or column.primary_key,
            )
            for number, column in enumerate(schema.columns)
            if number != schema.rowid_column and not column.is_hidden
        }
        self._dictionaries: dict[int, Extent] = {}
        self._held: list[tuple[Stratum, Mapping[int, pa.Array]]] | None = []
        self._held_bytes = 0

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Append rows, one array a column of the schema."""
        for stratum, start, stop in self._strata(columns):
            arrays = {number: columns[number].slice(start, stop - start) for number in self._writers}
            if self._held is None:
                self._add(stratum, arrays)
                continue
            self._held.append((stratum, arrays))
            self._held_bytes += sum(int(array.nbytes) for array in arrays.values())
            if self._held_bytes >= self._sample_bytes:
                self.release()

    def release(self) -> None:
        """Choose dictionaries from the rows held back, then let those go. Later calls do nothing."""
        if self._held is None:
            return
        held_rows, self._held = self._held, None
        self._blocks.wait()  # so that places do not depend on the number of threads
        batches = [arrays for _, arrays in held_rows]
        if self._remote:
            for number, dictionary in small_dictionaries(self._writers, batches).items():
                self._use_dictionary(number, dictionary, Stratum.HEAD)
            self._strips = plan_strips(self._writers, batches)
        else:
            for number, writer in self._writers.items():
                check_interrupt()
                if writer.type.kind in STRING_KINDS:
                    chosen = choose_dictionary([arrays[number] for arrays in batches])
                    if chosen is not None:
                        self._use_dictionary(number, chosen, Stratum.STRUCTURE)
        held_rows.reverse()
        while held_rows:
            self._add(*held_rows.pop())

    def flush(self) -> None:
        """Store the blocks that remain; a signpost comes with the last column."""
        last = max(self._writers, default=None)
        for number, writer in self._writers.items():
            arrays = writer.flush()
            if number == last and self._stream.labels is not None:
                self._blocks.wait()
                self._stream.labels.want_signpost()
            self._blocks.add(writer, arrays, self._stratum_of(number, self._stratum))

    def entries(self) -> tuple[ColumnEntry | None, ...]:
        """The catalog entries, one for each column of the schema; their Bloom filters are stored now."""
        return tuple(
            _entry(self._writers[number], self._stream, self._dictionaries.get(number))
            if number in self._writers
            else None
            for number in range(self._count)
        )

    def _use_dictionary(self, number: int, dictionary: bytes, stratum: Stratum) -> None:
        self._writers[number].use_dictionary(dictionary)
        self._dictionaries[number] = self._stream.store(
            dictionary, Labelled.DICTIONARY, number, stratum=stratum
        )
        self._blocks.note_dictionary(number)

    def _stratum_of(self, number: int, stratum: Stratum) -> Stratum:
        """Where blocks of a column are put whose rows are of ``stratum``."""
        in_strip = self._strips is not None and number in self._strips.columns
        return Stratum.STRIPS if in_strip else stratum

    def _strata(self, columns: Sequence[pa.Array]) -> Iterable[tuple[Stratum, int, int]]:
        """(stratum, first row, row behind the last) of rows that matter alike."""
        if self._importance is None:
            return [(Stratum.ORDINARY, 0, len(columns[0]))]
        stored = [columns[number] for number in self._writers]
        return stretches(columns[self._importance], stored, self._stretch_bytes)

    def _add(self, stratum: Stratum, arrays: Mapping[int, pa.Array]) -> None:
        if stratum != self._stratum:
            for writer in self._writers.values():
                if self._stratum_of(writer.number, stratum) == stratum:
                    self._blocks.add(writer, writer.flush(), self._stratum)
            self._stratum = stratum
        for piece in self._pieces(arrays):
            for number, writer in self._writers.items():
                check_interrupt()
                self._blocks.add(writer, writer.add(piece[number]), self._stratum_of(number, stratum))

    def _pieces(self, arrays: Mapping[int, pa.Array]) -> Iterable[Mapping[int, pa.Array]]:
        """``arrays``, cut where a strip ends: then blocks of its columns come one after another."""
        if self._strips is None or not arrays:
            yield arrays
            return
        count = len(next(iter(arrays.values())))
        for start, stop in self._strips.slices(self._rows, count):
            yield {number: array.slice(start, stop - start) for number, array in arrays.items()}
        self._rows += count


class HiddenColumnWriters:
    """Rowids, and the versions that made and deleted each row. Rowids that are a run are not stored."""

    def __init__(self, options: WriteOptions, stream: StreamWriter, blocks: BlockWriter) -> None:
        self._stream = stream
        self._blocks = blocks
        self._rowids, self._created, self._ended = (
            _column_writer(number, name, ColumnType(Kind.INTEGER), options, keyed=number == ROWID)
            for number, name in ((ROWID, "rowid"), (CREATED, "created"), (ENDED, "ended"))
        )
        self._rows = 0
        self._contiguous = True
        self._any_ended = False
        #: Whether each row has the version that made it.
        self.versioned = False
        self.low_rowid = self.high_rowid = 0

    def add(self, rowids: I64Array, created: I64Array | None, ended: I64Array | None) -> None:
        """Append rows; see :meth:`SegmentWriter.add`."""
        if created is not None and ended is not None:
            self._add_versions(created, ended)
        if not self._rows:
            self.low_rowid = int(rowids[0])
        following = self.low_rowid + self._rows
        if self._contiguous and (int(rowids[0]) != following or (np.diff(rowids) != 1).any()):
            self._contiguous = False
            for start in range(self.low_rowid, following, _RUN_ROWS):
                earlier = np.arange(start, min(start + _RUN_ROWS, following), dtype=np.int64)
                self._emit(self._rowids, self._rowids.add(integer_array(earlier)))
        if not self._contiguous:
            self._emit(self._rowids, self._rowids.add(integer_array(rowids)))
        self._rows += len(rowids)
        self.high_rowid = int(rowids[-1])

    def flush(self) -> None:
        """Store the blocks of rowids and of created versions that remain."""
        for writer in (self._rowids, self._created):
            self._emit(writer, writer.flush())

    def flush_ended(self) -> None:
        """Store the blocks of ended versions that remain."""
        self._emit(self._ended, self._ended.flush())

    @property
    def first_rowid(self) -> int | None:
        """The first rowid where they are a run, else None."""
        return self.low_rowid if self._contiguous else None

    def rowids_entry(self) -> ColumnEntry | None:
        """The catalog entry of the rowids, if they are stored."""
        return None if self._contiguous else _entry(self._rowids, self._stream)

    def created_entry(self) -> ColumnEntry | None:
        """The catalog entry of the versions that made rows, if they are stored."""
        return _entry(self._created, self._stream) if self.versioned else None

    def ended_entry(self) -> ColumnEntry | None:
        """The catalog entry of the versions that deleted rows, if they are stored."""
        return _entry(self._ended, self._stream) if self._any_ended else None

    def _add_versions(self, created: I64Array, ended: I64Array) -> None:
        self.versioned = True
        self._emit(self._created, self._created.add(integer_array(created)))
        has_ended = ended != NEVER
        if has_ended.any():
            self._any_ended = True
            self._blocks.note_ended_rows()
        self._emit(self._ended, self._ended.add(integer_array(ended, has_ended)))

    def _emit(self, writer: ColumnWriter, arrays: list[pa.Array]) -> None:
        self._blocks.add(writer, arrays, Stratum.STRUCTURE)


def _block_options(column: Column, options: WriteOptions) -> WriteOptions:
    """Small blocks for vectors that are found by an index: a search reads dozens of rows here and there."""
    if column.vector_index is None:
        return options
    return replace(options, block_bytes=min(options.block_bytes, INDEXED_BLOCK_BYTES))


def _column_writer(
    number: int, name: str, column_type: ColumnType, options: WriteOptions, *, keyed: bool
) -> ColumnWriter:
    return ColumnWriter(
        name, column_type, number=number, level=options.level, block_bytes=options.block_bytes, keyed=keyed
    )


def _entry(writer: ColumnWriter, stream: StreamWriter, dictionary: Extent | None = None) -> ColumnEntry:
    return ColumnEntry(writer.directory(), dictionary, stream.store_filter(writer.bloom()))
