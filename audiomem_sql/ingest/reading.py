"""Sources read into Arrow: one at a time here, or groups of them in processes of their own."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import AudioMemError, MissingExtraError
from audiomem_sql.ingest.chunking import SIZE, check_sizes
from audiomem_sql.ingest.documents.content import Problems
from audiomem_sql.ingest.identity import said
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, digest, kind_version
from audiomem_sql.ingest.stopping import Stopped
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.versions import DIGEST_BYTES

#: The columns that a source has something to say about.
COLUMNS: dict[str, pa.DataType] = {
    "source": pa.string(),
    "place": pa.string(),
    "seq": pa.int64(),
    "title": pa.string(),
    "body": pa.string(),
    "created_at": pa.timestamp("us"),
    "importance": pa.float64(),
}
_BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources become rows: characters in a chunk, and how many of them it repeats of the one before.

    For files of records, the columns that hold body and title. OptionError for sizes that cannot be.
    """

    size: int = SIZE
    overlap: int = 0
    body_column: str | None = None
    title_column: str | None = None

    def __post_init__(self) -> None:
        check_sizes(self.size, self.overlap)

    def rows(self, source: Source, problems: Problems | None = None) -> Iterator[dict[str, Any]]:
        """The rows of ``source``; what cannot be read inside it, while its rest can, goes to ``problems``."""
        return rows_of(
            source,
            size=self.size,
            overlap=self.overlap,
            body_column=self.body_column,
            title_column=self.title_column,
            problems=problems,
        )

    def how(self, kind: str) -> bytes:
        """What tells this way of reading pages of a kind from others, 16 bytes."""
        said_of_it = (*kind_version(kind), self.size, self.overlap, self.body_column, self.title_column)
        return blake2b(repr(said_of_it).encode(), digest_size=DIGEST_BYTES).digest()

    def digest(self, source: Source) -> bytes:
        """What ``source`` says when it is read like this, 16 bytes; StorageError if it cannot be read."""
        columns = (self.body_column, self.title_column) if source.kind in RECORD_KINDS else ()
        how = repr((*kind_version(source.kind), self.size, self.overlap, *columns))
        whole = blake2b(digest(source) + how.encode(), digest_size=DIGEST_BYTES).digest()
        return said(whole) + source.origin


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a source: its digest, or None if it is as it was; or what is wrong with it.

    ``problems``: what cannot be read inside it, while its rest was.
    """

    digest: bytes | None = None
    error: AudioMemError | None = None
    problems: tuple[AudioMemError, ...] = ()


class RowBuffer:
    """Rows on their way: Python values first, Arrow batches as soon as there are many."""

    def __init__(self, names: Sequence[str]) -> None:
        self._schema = pa.schema([(name, COLUMNS[name]) for name in names])
        self._columns: list[tuple[str, list[Any]]] = [(name, []) for name in names]
        self._batches: list[pa.RecordBatch] = []
        self._flushed = 0
        self._waiting = 0
        self.characters = 0

    def add(self, row: dict[str, Any]) -> None:
        """Take one row."""
        for name, values in self._columns:
            values.append(row[name])
        self.characters += len(row["body"])
        self._waiting += 1
        if self._waiting >= _BATCH_ROWS:
            self._flush()

    def extend(self, table: pa.Table, characters: int) -> None:
        """Take the rows that another buffer collected."""
        self._flush()
        self._batches += table.to_batches()
        self._flushed += table.num_rows
        self.characters += characters

    def mark(self) -> tuple[int, int]:
        """The place that :meth:`cut` goes back to."""
        return self._flushed + self._waiting, self.characters

    def cut(self, mark: tuple[int, int]) -> None:
        """Drop the rows that came after ``mark``."""
        rows, self.characters = mark
        self._flush()
        while self._batches and self._flushed > rows:
            last = self._batches.pop()
            self._flushed -= last.num_rows
            if self._flushed < rows:
                self._batches.append(last.slice(0, rows - self._flushed))
                self._flushed = rows

    def _flush(self) -> None:
        if not self._waiting:
            return
        arrays = [pa.array(values, self._schema.field(name).type) for name, values in self._columns]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self._flushed += self._waiting
        self._waiting = 0
        for _, values in self._columns:
            values.clear()

    def table(self) -> pa.Table:
        """All rows."""
        self._flush()
        return pa.Table.from_batches(self._batches, self._schema)


def read_source(
    source: Source, known_digest: bytes | None, reading: Reading, buffer: RowBuffer, stop: Callable[[], bool]
) -> Outcome:
    """Put the rows of ``source`` into ``buffer``, all or none.

    Nothing if its digest is the one that is known.
    """
    mark = buffer.mark()
    problems = Problems()
    try:
        digest = reading.digest(source)
        if known_digest is not None and said(digest) == said(known_digest):
            return Outcome()
        for number, row in enumerate(reading.rows(source, problems)):
            buffer.add(row)
            if not number % 256 and stop():
                raise Stopped
    except AudioMemError as error:
        buffer.cut(mark)
        return Outcome(error=error)
    except BaseException:
        buffer.cut(mark)
        raise
    if any(isinstance(problem, MissingExtraError) for problem in problems.listed):
        # Not the digest of what it says: it is read again, and tells again, until the package is there.
        digest = said(blake2b(digest, digest_size=DIGEST_BYTES).digest()) + source.origin
    return Outcome(digest, problems=tuple(problems.all(source.label)))


def read_group(
    group: Sequence[tuple[Source, bytes | None]], reading: Reading, names: Sequence[str]
) -> tuple[pa.Table, int, list[Outcome]]:
    """The rows of several sources, the characters in them, and what became of each.

    For a process of its own.
    """
    buffer = RowBuffer(names)
    outcomes = [read_source(source, known, reading, buffer, lambda: False) for source, known in group]
    return buffer.table(), buffer.characters, outcomes


def leave_interrupts() -> None:
    """Ctrl-C goes to every process of the terminal; the first one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
