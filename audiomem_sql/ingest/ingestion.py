"""Sources into a table: what is new or has changed is read, and committed in large batches.

A source is committed whole or not at all. A changed source takes the place of its old rows in the same
commit; one that is as it was adds nothing. What a source said is remembered by a digest of its bytes and of
how it was read.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import AudioMemError, SchemaError, StorageError
from audiomem_sql.ingest.reading import (
    COLUMNS,
    Outcome,
    Reading,
    RowBuffer,
    Stopped,
    leave_interrupts,
    read_group,
    read_source,
)
from audiomem_sql.ingest.sources import Source
from audiomem_sql.machine.progress import Progress
from audiomem_sql.predicates import Op, Predicate, bind
from audiomem_sql.scan import Filter
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing.appending import NO_ROWIDS, matching_rowids

__all__ = ["DEFAULT_COLUMNS", "Reading", "Report", "check_columns", "ingest"]

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

#: New sources of so many bytes in all are worth processes of their own.
PARALLEL_BYTES = 4 << 20
#: A source of so many bytes is not sent between processes.
LARGE_SOURCE = 8 << 20
#: Sources that a process reads at once, and their bytes.
GROUP_SOURCES = 256
GROUP_BYTES = 512 << 10


@dataclass(slots=True)
class Report:
    """What became of the sources.

    ``text_bytes`` are those of the bodies added; ``skipped`` is (source, reason).
    """

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
    processes: int = 1,
    on_source: Callable[[Source], None] | None = None,
    on_skip: Callable[[Source, AudioMemError], None] | None = None,
    on_commit: Callable[[int], None] | None = None,
    on_rows: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Report:
    """Bring ``table`` up to date with ``sources``.

    commit_characters: of text in a commit. processes: that read sources if there is much to read; a script
    that wants more than one keeps what it does behind ``if __name__ == "__main__"``. on_source: called when a
    source is done with. on_skip: called for one that cannot be read; the others go on. on_commit: called with
    the rows that are about to be written. on_rows: called with those that are embedded, then written, and all
    of them. stop: asked again and again; once it says True, the source that is being read is dropped, what
    was read before it is committed, and the report says ``stopped``.

    Raises SchemaError for a table without the columns for it, and what Table.append raises; earlier commits
    stand.
    """
    ingestion = _Ingestion(table, reading or Reading(), on_source, on_skip, on_commit, on_rows, stop)
    return ingestion.run(list(sources), commit_characters, processes)


class _Ingestion:
    def __init__(
        self,
        table: Table,
        reading: Reading,
        on_source: Callable[[Source], None] | None,
        on_skip: Callable[[Source, AudioMemError], None] | None,
        on_commit: Callable[[int], None] | None,
        on_rows: Progress | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        check_columns(table)
        self._table = table
        self._reading = reading
        self._on_source = on_source
        self._on_skip = on_skip
        self._on_rows = on_rows
        self._on_commit = on_commit
        self._stop = stop or (lambda: False)
        self._names = [name for name in COLUMNS if name in table.schema]
        self._known = table.sources
        self._buffer = RowBuffer(self._names)
        self._pending: dict[str, bytes] = {}
        self._owed = 0  # sources whose rows are in the buffer, and whose outcome is still to come
        self.report = Report()

    def run(self, sources: Sequence[Source], commit_characters: int, processes: int) -> Report:
        # Those that are known by name have most likely not changed, and digests are quick.
        unknown = sum(source.size for source in sources if source.name not in self._known)
        parallel = processes > 1 and unknown >= PARALLEL_BYTES
        try:
            for source, outcome in self._ahead(sources, processes) if parallel else self._one_by_one(sources):
                if outcome.error is not None:
                    self.report.skipped.append((source.name, outcome.error.what))
                    if self._on_skip is not None:
                        self._on_skip(source, outcome.error)
                elif outcome.digest is None:
                    self.report.unchanged += 1
                else:
                    self._pending[source.name] = outcome.digest
                if self._on_source is not None:
                    self._on_source(source)
                full = self._buffer.characters >= commit_characters or len(self._pending) >= COMMIT_SOURCES
                if full and not self._owed:
                    self._commit()
        except Stopped:
            self.report.stopped = True
        self._commit()
        return self.report

    def _one_by_one(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Outcome]]:
        for source in sources:
            if self._stop():
                raise Stopped
            yield (
                source,
                read_source(source, self._known.get(source.name), self._reading, self._buffer, self._stop),
            )

    def _ahead(self, sources: Sequence[Source], processes: int) -> Iterator[tuple[Source, Outcome]]:
        """The same from several processes, in the same order; very large sources are read here."""
        read = partial(read_group, reading=self._reading, names=self._names)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context, leave_interrupts) as pool:
            waiting: deque[tuple[list[Source], Future[tuple[pa.Table, int, list[Outcome]]] | None]] = deque()
            try:
                groups = _groups(sources)
                while True:
                    while len(waiting) < 4 * processes and (group := next(groups, None)) is not None:
                        large = len(group) == 1 and group[0].size >= LARGE_SOURCE
                        known = [(source, self._known.get(source.name)) for source in group]
                        waiting.append((group, None if large else pool.submit(read, known)))
                    if not waiting:
                        return
                    group, future = waiting.popleft()
                    if future is None:
                        yield from self._one_by_one(group)
                        continue
                    table, characters, outcomes = self._result(future)
                    self._buffer.extend(table, characters)
                    self._owed = len(group)
                    for source, outcome in zip(group, outcomes, strict=True):
                        self._owed -= 1
                        yield source, outcome
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _result(
        self, future: Future[tuple[pa.Table, int, list[Outcome]]]
    ) -> tuple[pa.Table, int, list[Outcome]]:
        while True:
            if self._stop():
                raise Stopped
            try:
                return future.result(timeout=0.1)
            except TimeoutError:
                continue
            except BrokenProcessPool:
                raise StorageError(
                    "a process that reads sources was ended from outside",
                    file=self._table.path,
                    remedy="There may be too little memory. What is committed stays; run it again to go on.",
                ) from None

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
            rows,
            deleted,
            sources=self._pending,
            message=f"ingest: {_count(len(self._pending))}",
            progress=self._on_rows,
        )
        self.report.commits += 1
        self.report.new += len(self._pending) - len(names)
        self.report.changed += len(names)
        self.report.rows_added += rows.num_rows
        self.report.rows_removed += self._table.versions[-1].deleted
        self.report.text_bytes += pc.sum(pc.binary_length(rows.column("body"))).as_py() or 0
        self._known = self._table.sources
        self._pending = {}
        self._buffer = RowBuffer(self._names)


def _count(sources: int) -> str:
    return "1 source" if sources == 1 else f"{sources:,} sources"


def _groups(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """Neighbours that are read together; a large source is alone."""
    group: list[Source] = []
    size = 0
    for source in sources:
        if group and (size + source.size > GROUP_BYTES or len(group) >= GROUP_SOURCES):
            yield group
            group, size = [], 0
        group.append(source)
        size += source.size
    if group:
        yield group


def check_columns(table: Table) -> None:
    """SchemaError unless ``table`` has the columns that sources need."""
    for name in REQUIRED_COLUMNS:
        if name not in table.schema:
            raise SchemaError(
                f"the table has no column {name}, which ingested text needs",
                file=table.path,
                remedy=f"Ingest into a new file, or into a table with {', '.join(COLUMNS)}.",
            )


def rows_of_sources(snapshot: Snapshot, names: Sequence[str]) -> I64Array:
    """The rowids of the rows that came from the sources called ``names``, int64 (n,), ascending."""
    column_index = snapshot.schema.index("source")
    column = snapshot.schema.columns[column_index]
    bound = bind(Predicate(column_index, Op.IN, list(names)), column.type, literal=True)
    return matching_rowids(snapshot, [Filter(column_index, bound)], None)
