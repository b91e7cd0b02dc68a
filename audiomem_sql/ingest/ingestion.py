"""Sources into a table: what is new or has changed is read, and committed in large batches.

A source is committed whole or not at all. A changed source takes the place of its old rows in the same
commit; one that is as it was adds nothing; one whose file was moved keeps its rows under the new name; those
whose files are gone are taken out. What a source said is remembered by a digest of its bytes and of how it
was read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from audiomem_sql.arrays import I64Array
from audiomem_sql.errors import AudioMemError
from audiomem_sql.ingest.identity import FILE, Places, is_file, new_tags, page_notes, said
from audiomem_sql.ingest.kept_rows import Vectors, keep_vectors, moved_rows, rows_of_sources
from audiomem_sql.ingest.reading import COLUMNS, Outcome, Reading, RowBuffer, read_source
from audiomem_sql.ingest.reading_ahead import read_ahead
from audiomem_sql.ingest.recognition import Recognition, same_rows
from audiomem_sql.ingest.report import Pending, Report
from audiomem_sql.ingest.sources import Found, Source
from audiomem_sql.ingest.stopping import Stopped, Stopping
from audiomem_sql.ingest.table_columns import DEFAULT_COLUMNS, check_columns
from audiomem_sql.ingest.told import Told
from audiomem_sql.machine.progress import Progress
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.table.table import Table
from audiomem_sql.versions import DIGEST_BYTES, Snapshot, present_sources

__all__ = ["DEFAULT_COLUMNS", "Pending", "Reading", "Report", "check_columns", "ingest"]

#: Characters of text in a commit; fewer where each text is embedded, so that little is lost by Ctrl-C.
COMMIT_CHARACTERS = 64 << 20
EMBEDDED_CHARACTERS = 4 << 20
#: Sources in a commit.
COMMIT_SOURCES = 1 << 16
#: New sources of so many bytes in all are worth processes of their own.
PARALLEL_BYTES = 4 << 20
#: What is committed after a stop, if there is no more: characters, and seconds in which it must be done.
LAST_CHARACTERS = 4 << 20
LAST_SECONDS = 0.8
#: Between two looks for commits of others.
_REFRESH_SECONDS = 0.1


class _Overtaken(Exception):
    """Somebody else committed while rows were moved."""


def ingest(  # noqa: PLR0913  # whom to tell of what
    table: Table,
    sources: Iterable[Source],
    reading: Reading | None = None,
    *,
    commit_characters: int | None = None,
    processes: int = 1,
    found: Found | None = None,
    prune: bool | None = None,
    notes: Mapping[str, Mapping[str, bytes]] | None = None,
    on_source: Callable[[Source], None] | None = None,
    on_reading: Callable[[Source, int], None] | None = None,
    on_skip: Callable[[Source, AudioMemError], None] | None = None,
    on_part: Callable[[Source, AudioMemError], None] | None = None,
    on_commit: Callable[[int], None] | None = None,
    on_rows: Progress | None = None,
    on_written: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    report: Report | None = None,
) -> Report:
    """Bring ``table`` up to date with ``sources``.

    commit_characters: of text in a commit. processes: that read sources if there is much to read; a script
    that wants more than one keeps what it does behind ``if __name__ == "__main__"``. found: what was seen
    where the sources were found: those of the table whose files are gone from there are taken out. prune:
    whether they are; by default if all folders could be read, and had something; True also otherwise, and for
    sources that earlier versions ingested. notes: further entries for the list of sources, by the name of the
    source that they are committed with. on_source: called when a source is done with. on_reading: called now
    and then in a long one, with characters of it that were read. on_skip: called for one that cannot be read;
    the others go on. on_part: called for what cannot be read inside one whose rest is read. on_commit: called
    with the rows that are about to be written. on_rows: called with texts of them that are embedded, and all
    that are to be. on_written: then with bytes that are in the file, and all of them. stop: asked again and
    again; once it says True, the source that is being read is dropped, what was read before it is committed
    if that is quick, and the report says ``stopped``. report: the one to fill, which is true after an
    exception, too.

    Raises SchemaError for a table without the columns for it, and what Table.append raises; earlier commits
    stand.
    """
    tell = Told(
        on_source or (lambda source: None),
        on_reading or (lambda source, characters: None),
        on_skip or (lambda source, error: None),
        on_part or (lambda source, error: None),
        on_commit or (lambda rows: None),
        on_rows or (lambda done, total: None),
        on_written or (lambda done, total: None),
        stop or (lambda: False),
    )
    work = _Ingestion(table, reading or Reading(), tell, report or Report(), list(sources), notes or {})
    if commit_characters is None:
        embedded = bool(table.schema.semantic_columns)
        commit_characters = EMBEDDED_CHARACTERS if embedded else COMMIT_CHARACTERS
    work.run(commit_characters, processes, found, prune)
    return work.report


class _Ingestion:
    def __init__(
        self,
        table: Table,
        reading: Reading,
        tell: Told,
        report: Report,
        sources: list[Source],
        notes: Mapping[str, Mapping[str, bytes]],
    ) -> None:
        check_columns(table)
        self._table = table
        self._reading = reading
        self._tell = tell
        self._sources = sources
        self._notes = notes
        self._names = [name for name in COLUMNS if name in table.schema]
        entries = self._learn(table.snapshot)
        self._said_of_pages = page_notes(entries)
        self._places = Places.of(table.path, entries)
        self._is_noted = self._places.note() in (None, *entries)
        self._recognition = Recognition(self._known, self._places, sources)
        rowid = table.schema.rowid_column
        own = [name for place, name in enumerate(table.schema.names) if place != rowid]
        self._only_ours = all(name in COLUMNS for name in own)
        self._buffer = RowBuffer(self._names)
        self._owed = 0  # sources whose rows are in the buffer, and whose outcome is still to come
        self._marks: dict[str, bytes] = {}  # of sources as before, whose digest does not say what they are
        self._earlier: dict[str, tuple[str, bool]] = {}  # what sources were called; whether they say the same
        self._again: list[Source] = []  # that somebody else took out or changed while they were read
        self._stopping = Stopping(tell.stop)
        self._is_writing = False
        self.pending = Pending()
        self.report = report

    def _learn(self, snapshot: Snapshot) -> dict[str, bytes]:
        """Read which sources the table has; all entries of the list."""
        entries = source_entries(snapshot)
        self._known, self._known_at = present_sources(entries), snapshot.version
        return entries

    def run(self, commit_characters: int, processes: int, found: Found | None, prune: bool | None) -> None:
        try:
            sources = self._recognised(commit_characters)
            # Those that are known by name have most likely not changed, and digests are quick.
            unknown = sum(source.size for source in sources if source.name not in self._known)
            parallel = processes > 1 and unknown >= PARALLEL_BYTES
            for source, outcome in self._ahead(sources, processes) if parallel else self._one_by_one(sources):
                if outcome.error is None and outcome.digest is None and source.name not in self._known:
                    self._again.append(source)  # it is not as it was in the table
                else:
                    self._take(source, outcome)
                self._tell.source(source)
                self._commit_if_full(commit_characters)
            if found is not None and prune is not False:
                self._prune(found, explicit=prune is True)
            self.pending.notes.update(self._marks)
            self._commit()
            again, self._again = self._again, []
            for source, outcome in self._one_by_one(again):
                self._take(source, outcome)
                self._commit_if_full(commit_characters)
            self._commit()
        except Stopped:
            self._stopped()

    def _take(self, source: Source, outcome: Outcome) -> None:
        """Note what became of a source."""
        for problem in outcome.problems:
            reason = f"{problem.place}: {problem.what}" if problem.place else problem.what
            self.report.skipped.append((problem.file or source.label, reason))
            self._tell.part(source, problem)
        if outcome.error is not None:
            self.report.skipped.append((source.label, outcome.error.what))
            self._tell.skip(source, outcome.error)
        elif outcome.digest is None:
            self.report.unchanged += 1
            known = self._known[source.name]
            if source.origin == FILE and not is_file(known):
                self._marks[source.name] = said(known) + FILE
            self.pending.notes.update(new_tags(self._notes.get(source.name, {}), self._said_of_pages))
        else:
            self.pending.digests[source.name] = outcome.digest
            self.pending.notes.update(self._notes.get(source.name, {}))
            if source.name in self._earlier:
                earlier, same = self._earlier[source.name]
                self.pending.replaced[earlier] = source.name
                self.pending.renamed += same

    def _commit_if_full(self, commit_characters: int) -> None:
        characters = self._buffer.characters + self.pending.size
        full = characters >= commit_characters or len(self.pending.digests) >= COMMIT_SOURCES
        if full and not self._owed:
            self._commit()

    def _recognised(self, commit_characters: int) -> list[Source]:
        """The sources but for those that the table has under another name, whose rows only move."""
        if not self._known:
            return self._sources
        recognition, left = self._recognition, []
        for source in self._sources:
            if recognition.is_known(source) or source.origin != FILE or not self._moves(source):
                left.append(source)
            else:
                self._tell.source(source)
                self._commit_if_full(commit_characters)
        for source in left:
            if not (recognition.is_known(source) or source.name in self._earlier):
                moved = recognition.from_moved_folder(source)
                if moved is not None:
                    recognition.take(moved, source)
                    self._earlier[source.name] = (moved, False)
        return left

    def _moves(self, source: Source) -> bool:
        """Whether the rows of a source that is new by its name are there, and need only be moved."""
        if self._tell.stop():
            raise Stopped
        recognition = self._recognition
        try:
            digest = self._reading.digest(source)
        except AudioMemError:
            return False  # it is told when it is read
        earlier = recognition.earlier_name(source)
        same = earlier is not None and said(self._known.get(earlier, b"")) == said(digest)
        if earlier is None:
            earlier = recognition.moved_from(source, digest)
            same = earlier is not None
        if earlier is None:
            other = recognition.same_as(digest)
            if other is not None:
                self.pending.copied[source.name] = other
            return False
        recognition.take(earlier, source)
        if not same or not same_rows(earlier, source):
            self._earlier[source.name] = (earlier, same)
            return False
        self.pending.moved[earlier] = source.name
        self.pending.digests[source.name] = digest
        self.pending.renamed += 1
        self.pending.size += source.size
        return True

    def _one_by_one(self, sources: Sequence[Source]) -> Iterator[tuple[Source, Outcome]]:
        for source in sources:
            if self._tell.stop():
                raise Stopped
            before = self._buffer.characters

            def is_over(source: Source = source, before: int = before) -> bool:
                self._tell.reading(source, self._buffer.characters - before)
                return self._tell.stop()

            known = self._known.get(source.name)
            yield source, read_source(source, known, self._reading, self._buffer, is_over)

    def _ahead(self, sources: Sequence[Source], processes: int) -> Iterator[tuple[Source, Outcome]]:
        """The same from several processes, in the same order; very large sources are read here."""
        how = (self._reading, self._names)
        path = self._table.path
        for group, read in read_ahead(sources, lambda: self._known, how, processes, self._tell.stop, path):
            if read is None:
                yield from self._one_by_one(group)
                continue
            table, characters, outcomes = read
            self._buffer.extend(table, characters)
            self._owed = len(group)
            for source, outcome in zip(group, outcomes, strict=True):
                self._owed -= 1
                yield source, outcome

    def _prune(self, found: Found, *, explicit: bool) -> None:
        """Take out the sources whose files are gone; by default only if all that was there could be read."""
        gone = self._recognition.gone(found, explicit=explicit)
        doubt = self._recognition.doubt(gone, found) if gone and not explicit else None
        if doubt is not None:
            self.report.kept = len(gone), doubt
        else:
            self.pending.pruned = gone

    def _stopped(self) -> None:
        """Commit what was read if that is quick; drop the rest."""
        self.report.stopped = True
        characters = self._buffer.characters + self.pending.size
        if characters > LAST_CHARACTERS or self._owed or not self.pending.digests:
            self.report.dropped = len(self.pending.digests)
            return
        self._stopping.allow(LAST_SECONDS)
        try:
            self._commit()
        except Stopped:
            self.report.dropped = len(self.pending.digests)

    def _working(self, done: int, total: int) -> None:
        """So many texts are embedded, or bytes written. Stopped once that is no longer wanted."""
        (self._tell.written if self._is_writing else self._tell.rows)(done, total)
        self._stopping.check()

    def _commit(self) -> None:
        if not self.pending:
            return
        parts = [self.pending]
        if self.pending.moved and not self._only_ours:
            parts = self.pending.split()  # new rows take the defaults of columns that moved ones have
        for part in parts:
            rows = RowBuffer(self._names).table() if part is not parts[-1] else self._buffer.table()
            while True:
                snapshot = self._table.snapshot
                if snapshot.version != self._known_at:
                    self._learn(snapshot)
                    again = part.leave_out_changed(self._known, self._marks)
                    self._again += [source for source in self._sources if source.name in again]
                if not part:
                    break
                try:
                    with self._stopping.watched():
                        counts = self._commit_on(snapshot, part, rows)
                    self._count(part, *counts)
                    break
                except _Overtaken:
                    # the commit that failed has looked for those of others
                    if self._table.snapshot.version == snapshot.version and not self._table.refresh():
                        time.sleep(_REFRESH_SECONDS)
        self._learn(self._table.snapshot)
        self.pending = Pending(copied=self.pending.copied)
        self._buffer = RowBuffer(self._names)

    def _commit_on(
        self, snapshot: Snapshot, pending: Pending, rows: pa.Table
    ) -> tuple[int, int, int, set[str]]:
        """Commit ``rows`` and what else is pending; what `_count` counts.

        _Overtaken if rows are moved, or sources named anew, that somebody may have changed since.
        """
        table, new_rows = self._table, rows.num_rows
        vectors: Vectors = {}
        moved = moved_rows(snapshot, pending.moved, vectors)
        before = self._known.keys() & pending.digests.keys()
        copied = {other for name, other in pending.copied.items() if name in pending.digests}
        keep_vectors(snapshot, {*before, *pending.replaced, *copied}, vectors)
        text_bytes = pc.sum(pc.binary_length(rows.column("body"))).as_py() or 0
        if moved is not None:
            rows = pa.concat_tables([moved, rows], promote_options="permissive")
        self._is_writing = False
        self._tell.commit(rows.num_rows)
        names: set[str] = set()
        out = {*pending.moved, *pending.replaced, *pending.pruned}

        def deleted(newest: Snapshot) -> I64Array:
            self._is_writing = True  # all texts are embedded
            # Somebody else may have ingested the same sources meanwhile.
            if newest.version != snapshot.version and (pending.moved or self._marks.keys() & pending.notes):
                raise _Overtaken
            is_known = newest.version == self._known_at
            known = self._known if is_known else present_sources(source_entries(newest))
            names.update(known.keys() & pending.digests.keys())
            return rows_of_sources(newest, names | out)

        entries = pending.entries()
        if not self._is_noted and any(not os.path.isabs(name) for name in pending.digests):
            entries[self._places.note() or ""] = bytes(DIGEST_BYTES)
        table.exchange(
            rows,
            deleted,
            sources=entries,
            message=pending.message(),
            progress=self._working,
            known=vectors,
        )
        self._is_noted = self._is_noted or (self._places.note() or "") in entries
        return new_rows, rows.num_rows - new_rows, text_bytes, names

    def _count(self, pending: Pending, rows: int, moved: int, text_bytes: int, names: set[str]) -> None:
        """Add a commit to the report. moved: rows that it moved. names: sources whose rows it took out."""
        report = self.report
        other = set(pending.moved.values()) | set(pending.replaced.values())
        changed = len(names - other) + len(other) - pending.renamed
        report.commits += 1
        report.renamed += pending.renamed
        report.pruned += len(pending.pruned)
        report.changed += changed
        report.new += len(pending.digests) - changed - pending.renamed
        report.rows_added += rows
        report.rows_removed += self._table.versions[-1].deleted - moved
        report.text_bytes += text_bytes
