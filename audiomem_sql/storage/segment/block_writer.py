"""Compresses blocks on several threads, and stores them in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import pyarrow as pa

from audiomem_sql.blocks.column_writer import ColumnWriter, EncodedBlock
from audiomem_sql.machine.interrupts import check_interrupt, result_of
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.storage.segment.column_numbers import ENDED
from audiomem_sql.storage.segment.data_spool import Stratum
from audiomem_sql.storage.segment.label_writer import LabelWriter
from audiomem_sql.storage.segment.labels import Label, Labelled
from audiomem_sql.storage.segment.stream_writer import StreamWriter

#: A segment with fewer rows is written on the caller's thread.
_THREADED_ROWS = 256


class BlockWriter:
    """Stores the blocks of all columns of one segment in ``stream``, with their labels."""

    def __init__(self, stream: StreamWriter, threads: int) -> None:
        self._stream = stream
        self._threads = threads
        self._parallel = False
        self._pool: ThreadPool | None = None
        self._running: deque[tuple[ColumnWriter, Stratum, Future[EncodedBlock]]] = deque()
        self._labels = None if stream.labels is None else _BlockLabels(stream.labels)

    def expect_rows(self, rows: int) -> None:
        """Note that the segment has at least ``rows`` rows; with enough of them threads are used."""
        self._parallel = self._threads > 1 and rows >= _THREADED_ROWS

    def note_dictionary(self, column: int) -> None:
        """Note that blocks of ``column`` are compressed with a dictionary from now on."""
        if self._labels is not None:
            self._labels.with_dictionary.add(column)

    def note_ended_rows(self) -> None:
        """Note that a row of the segment has ended, so that the column of ended rows is stored."""
        if self._labels is not None:
            self._labels.any_ended = True

    def add(self, writer: ColumnWriter, arrays: Sequence[pa.Array], stratum: Stratum) -> None:
        """Store blocks of the column of ``writer``."""
        for array in arrays:
            if not self._parallel:
                self._store(writer, stratum, writer.encode(array))
                check_interrupt()
                continue
            if self._pool is None:
                self._pool = ThreadPool(self._threads, thread_name_prefix="audiomem-write")
            self._running.append((writer, stratum, self._pool.submit(writer.encode, array)))
            while len(self._running) > 4 * self._threads:
                self._store_next()

    def wait(self) -> None:
        """Store all blocks that were added."""
        while self._running:
            self._store_next()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)  # after an error some may still run
            self._pool = None

    def _store_next(self) -> None:
        writer, stratum, future = self._running.popleft()
        self._store(writer, stratum, result_of(future))
        check_interrupt()

    def _store(self, writer: ColumnWriter, stratum: Stratum, block: EncodedBlock) -> None:
        place = self._stream.spool.place(stratum)
        if self._labels is not None:
            block = self._labels.labelled(writer, place, block)
        writer.place(place, block)
        self._stream.append(block.stored, stratum)


class _BlockLabels:
    """Puts labels behind blocks.

    Whether the column of ended rows will be stored at all is not known while it has NULLs only. So labels of
    its blocks of NULLs, which have no bytes, wait, and stand behind another block's.
    """

    def __init__(self, labels: LabelWriter) -> None:
        self.with_dictionary: set[int] = set()
        self.any_ended = False
        self._labels = labels
        self._waiting: deque[Label] = deque()

    def labelled(self, writer: ColumnWriter, place: int, block: EncodedBlock) -> EncodedBlock:
        """``block``, which will be at ``place``, with its label behind it."""
        with_dictionary = writer.number in self.with_dictionary
        label = Label(
            Labelled.BLOCK_WITH_DICTIONARY if with_dictionary else Labelled.BLOCK,
            writer.number,
            place,
            len(block.stored),
            block.raw,
            writer.rows_placed,
            block.rows,
            block.zone[0],
            block.encoding,
        )
        if writer.number == ENDED and not block.stored:
            self._waiting.append(label)
            return block
        stored = block.stored + self._labels.behind(label)
        while self.any_ended and self._waiting:
            late = replace(self._waiting.popleft(), place=place + len(stored))
            stored += self._labels.behind(late)
        return replace(block, stored=stored)
