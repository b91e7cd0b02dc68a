"""Sources into a table: what is new or has changed is read, and committed in large batches.

A source is committed whole or not at all. A changed source takes the place of its old rows in the same commit; one that
is as it was adds nothing. What a source said is remembered by a digest of its bytes and of how it was read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.appending import NO_ROWIDS, matching_rowids
from audiomem_sql.errors import AudioMemError, SchemaError
from audiomem_sql.ingest.chunking import SIZE, check_sizes
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import RECORD_KINDS, Source, digest
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter
from audiomem_sql.snapshot import Snapshot
from audiomem_sql.sources import DIGEST_BYTES
from audiomem_sql.table import Table
from audiomem_sql.types import I64Array

#: The table that is made for sources when there is none.
DEFAULT_COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "source TEXT",
    "seq INTEGER",
    "title TEXT",
    "body TEXT",
    "created_at TIMESTAMP",
    "importance REAL",
)
#: Columns that a table must have to take sources.
REQUIRED_COLUMNS = ("source", "seq", "body")
#: Characters of text in a commit.
COMMIT_CHARACTERS = 64 << 20
#: Sources in a commit.
COMMIT_SOURCES = 1 << 16

_TYPES: dict[str, pa.DataType] = {
    "source": pa.string(),
    "seq": pa.int64(),
    "title": pa.string(),
    "body": pa.string(),
    "created_at": pa.timestamp("us"),
    "importance": pa.float64(),
}
_BATCH_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Reading:
    """How sources become rows: characters in a chunk, and how many of them it repeats of the one before; for files of
    records, the columns that hold body and title. OptionError for sizes that cannot be."""

    size: int = SIZE
    overlap: int = 0
    body_column: str | None = None
    title_column: str | None = None

    def __post_init__(self) -> None:
        check_sizes(self.size, self.overlap)

    def rows(self, source: Source) -> Iterator[dict[str, Any]]:
        """The rows of ``source``."""
        return rows_of(
            source,
            size=self.size,
            overlap=self.overlap,
            body_column=self.body_column,
            title_column=self.title_column,
        )

    def digest(self, source: Source) -> bytes:
        """What ``source`` says when it is read like this, 16 bytes; StorageError if it cannot be read."""
        columns = (self.body_column, self.title_column) if source.kind in RECORD_KINDS else ()
        how = repr((source.kind, self.size, self.overlap, *columns))
        return hashlib.blake2b(digest(source) + how.encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(slots=True)
class Report:
    """What became of the sources. ``text_bytes`` are those of the bodies added; ``skipped`` is (source, reason)."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    rows_added: int = 0
    rows_removed: int = 0
    text_bytes: int = 0
    commits: int = 0
    stopped: bool = False

    @property
    def read(self) -> int:
        """Sources that could be read."""
        return self.new + self.changed + self.unchanged


def ingest(
    table: Table,
    sources: Iterable[Source],
    reading: Reading | None = None,
    *,
    commit_characters: int = COMMIT_CHARACTERS,
    on_source: Callable[[Source], None] | None = None,
    on_skip: Callable[[Source, AudioMemError], None] | None = None,
    on_commit: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Report:
    """Bring ``table`` up to date with ``sources``.

    on_source: called when a source is done with. on_skip: called for one that cannot be read; the others go on.
    on_commit: called with the rows that are about to be written. stop: asked again and again; once it says True, the
    source that is being read is dropped, what was read before it is committed, and the report says ``stopped``.

    Raises SchemaError for a table without the columns for it, and what Table.append raises; earlier commits stand.
    """
    return _Ingestion(table, reading or Reading(), on_commit, stop).run(
        sources, commit_characters, on_source, on_skip
    )


class _Stopped(Exception):
    """The user wants no more."""


class _Ingestion:
    def __init__(
        self,
        table: Table,
        reading: Reading,
        on_commit: Callable[[int], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        check_columns(table)
        self._table = table
        self._reading = reading
        self._on_commit = on_commit
        self._stop = stop or (lambda: False)
        self._names = [name for name in _TYPES if name in table.schema]
        self._known = table.sources
        self._buffer = _Buffer(self._names)
        self._pending: dict[str, bytes] = {}
        self.report = Report()

    def run(
        self,
        sources: Iterable[Source],
        commit_characters: int,
        on_source: Callable[[Source], None] | None,
        on_skip: Callable[[Source, AudioMemError], None] | None,
    ) -> Report:
        try:
            for source in sources:
                if self._stop():
                    raise _Stopped
                try:
                    self._read(source)
                except AudioMemError as error:
                    self.report.skipped.append((source.name, error.what))
                    if on_skip is not None:
                        on_skip(source, error)
                if on_source is not None:
                    on_source(source)
                if self._buffer.characters >= commit_characters or len(self._pending) >= COMMIT_SOURCES:
                    self._commit()
        except _Stopped:
            self.report.stopped = True
        self._commit()
        return self.report

    def _read(self, source: Source) -> None:
        """Put the rows of ``source`` into the buffer, unless they are in the table already."""
        found = self._reading.digest(source)
        if self._pending.get(source.name, self._known.get(source.name)) == found:
            self.report.unchanged += 1
            return
        mark = self._buffer.mark()
        try:
            for number, row in enumerate(self._reading.rows(source)):
                self._buffer.add(row)
                if not number % 256 and self._stop():
                    raise _Stopped
        except BaseException:
            self._buffer.cut(mark)
            raise
        self._pending[source.name] = found

    def _commit(self) -> None:
        if not self._pending:
            return
        rows = self._buffer.table()
        if self._on_commit is not None:
            self._on_commit(rows.num_rows)
        before = self._table.version
        names: set[str] = set()

        def deleted(snapshot: Snapshot) -> I64Array:
            # Somebody else may have ingested the same sources meanwhile.
            known = self._known if snapshot.version == before else self._table.sources
            names.update(known.keys() & self._pending.keys())
            return rows_of_sources(snapshot, sorted(names)) if names else NO_ROWIDS

        self._table.exchange(
            rows, deleted, sources=self._pending, message=f"ingest: {_count(len(self._pending))}"
        )
        self.report.commits += 1
        self.report.new += len(self._pending) - len(names)
        self.report.changed += len(names)
        self.report.rows_added += rows.num_rows
        self.report.rows_removed += self._table.versions[-1].deleted
        self.report.text_bytes += pc.sum(pc.binary_length(rows.column("body"))).as_py() or 0
        self._known = self._table.sources
        self._pending = {}
        self._buffer = _Buffer(self._names)


def _count(sources: int) -> str:
    return "1 source" if sources == 1 else f"{sources:,} sources"


def check_columns(table: Table) -> None:
    """SchemaError unless ``table`` has the columns that sources need."""
    for name in REQUIRED_COLUMNS:
        if name not in table.schema:
            raise SchemaError(
                f"the table has no column {name}, which ingested text needs",
                file=table.path,
                remedy=f"Ingest into a new file, or into a table with {', '.join(_TYPES)}.",
            )


def rows_of_sources(snapshot: Snapshot, names: Sequence[str]) -> I64Array:
    """The rowids of the rows that came from the sources called ``names``, int64 (n,), ascending."""
    place = snapshot.schema.index("source")
    column = snapshot.schema.columns[place]
    bound = bind(Predicate(place, Op.IN, list(names)), column.type, literal=True)
    return matching_rowids(snapshot, [Filter(place, bound)], None)


class _Buffer:
    """Rows on their way: Python values first, Arrow batches as soon as there are many."""

    def __init__(self, names: Sequence[str]) -> None:
        self._schema = pa.schema([(name, _TYPES[name]) for name in names])
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
