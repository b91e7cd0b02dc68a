"""The work of ``audiomem ingest``: what there is to read, reading it, and telling how far it is."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiomem_sql.cli.progress import Bar
    from audiomem_sql.errors import AudioMemError
    from audiomem_sql.ingest.ingestion import Reading, Report
    from audiomem_sql.ingest.sources import Found, Source
    from audiomem_sql.ingest.walking import Rules
    from audiomem_sql.table.table import Table

#: Skipped sources that are named; the others are counted.
NAMED_SKIPS = 20
#: Kinds of files that few folders are ingested for: without the package that reads them they are counted.
_MEDIA = {"image": "picture", "audio": "audio file"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: ``reading`` says how sources are read, ``rules`` what is left out of folders.

    ``commit_characters``: of text in a commit, None for the usual. ``prune``: see `ingestion.ingest`.
    ``stop``: asked whether to end early.
    """

    reading: Reading
    rules: Rules
    commit_characters: int | None
    prune: bool | None
    stop: Callable[[], bool]


class Work:
    """The sources of one ingest, and how far it is.

    ``sources``: what is read, once ``find`` was called. ``skipped``: (source, reason, whether it should have
    been readable) of all that is not read, in the order in which that came up. ``report``: what was done.
    ``there``: sources that the table has in the end. ``last_line``: what is printed behind the summary.
    The bar shows how far it is.
    """

    def __init__(self, file: str, asked: Asked, progress: Bar) -> None:
        from audiomem_sql.cli.ingest_progress import IngestProgress
        from audiomem_sql.ingest.ingestion import Report

        self.sources: list[Source] = []
        self.found: Found | None = None
        self.skipped: list[tuple[str, str, bool]] = []
        self.report: Report = Report()
        self.total_bytes = 0
        self.there = 0
        self.last_line: str | None = None
        self._own = os.path.realpath(file)
        self._file = file
        self._asked = asked
        self._progress = progress
        self._advance = IngestProgress(progress)
        self._done_sources = 0
        self._is_refused = False
        self._unchanged = 0
        self._unnamed = 0
        self._needed: Counter[tuple[str, str]] = Counter()  # (what, remedy), how often

    @property
    def failed(self) -> int:
        """Sources that should have been readable, and were not."""
        return sum(failed for _, _, failed in self.skipped)

    def find(self, paths: Sequence[str]) -> None:
        """Find the sources in ``paths``. The table itself is none."""
        from audiomem_sql.ingest.identity import folder_of
        from audiomem_sql.ingest.sources import find

        def report(path: Path, reason: str, *, failed: bool) -> None:
            if not self.is_own(path):
                self.skip(str(path), reason, failed=failed)

        self.found = find(
            paths,
            folder_of(self._file),
            self._asked.rules,
            on_skip=lambda path, reason: report(path, reason, failed=False),
            on_fault=lambda path, reason: report(path, reason, failed=True),
            on_found=self._looking,
        )
        self.add([source for source in self.found.sources if not self.is_own(source.path)])

    def is_own(self, path: str | os.PathLike[str]) -> bool:
        """Whether a path is that of the table, or of what belongs to it."""
        resolved = os.path.realpath(path)
        return f"{resolved}/".startswith((f"{self._own}/", f"{self._own}.d/", f"{self._own}-wal"))

    def add(self, sources: Sequence[Source]) -> None:
        """There is more to read."""
        self.sources += sources
        self.total_bytes += sum(source.size for source in sources)

    def read_into(
        self,
        table: Table,
        sources: Sequence[Source],
        *,
        found: Found | None = None,
        notes: Mapping[str, Mapping[str, bytes]] | None = None,
    ) -> None:
        """Bring ``table`` up to date with ``sources``, which were added."""
        from audiomem_sql.cli import output
        from audiomem_sql.cli.ingest_summary import model_of
        from audiomem_sql.ingest.ingestion import ingest
        from audiomem_sql.storage.segment import HASHING

        advance, is_slow = self._advance, table.options.model != HASHING
        self._say_sources()
        advance.begin(model_of(table) if table.schema.semantic_columns else None, is_slow=is_slow)
        advance.reading(0, self.total_bytes)
        ingest(
            table,
            sources,
            self._asked.reading,
            processes=os.cpu_count() or 1,
            commit_characters=self._asked.commit_characters,
            found=found,
            prune=self._asked.prune,
            notes=notes,
            on_source=self._finish,
            on_reading=self._go_on,
            on_skip=self._refuse,
            on_part=self._skip_part,
            on_commit=lambda rows: advance.commit(output.counted(rows, "row")),
            on_rows=advance.embed,
            on_written=lambda done, total: advance.write(),
            stop=self._asked.stop,
            report=self.report,
        )
        self._say_needed()
        if not self.report.stopped:
            advance.end()

    def is_stopped(self) -> bool:
        """Whether it is to end early, which the report says from then on."""
        self.report.stopped = self.report.stopped or self._asked.stop()
        return self.report.stopped

    def note_what_is_there(self, table: Table) -> None:
        """Count the sources that ``table`` has."""
        names = table.sources.keys()
        self.there = sum(source.name in names for source in self.sources)

    def _looking(self, count: int) -> None:
        if not count % 64:
            self._progress.doing(f"looking: {count:,} files found")

    def doing(self, what: str) -> None:
        """Show what is going on now."""
        self._progress.doing(what)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.say(line)

    def _say_sources(self) -> None:
        from audiomem_sql.cli import output

        self._progress.doing(f"{self._done_sources:,} of {output.counted(len(self.sources), 'source')}")

    def _go_on(self, source: Source, characters: int) -> None:
        self._say_sources()
        self._advance.reading(min(characters, source.size), self.total_bytes)

    def _finish(self, source: Source) -> None:
        self._done_sources += 1
        self._say_sources()
        is_new = not self._is_refused and self.report.unchanged == self._unchanged
        self._is_refused, self._unchanged = False, self.report.unchanged
        self._advance.read(source.size, self.total_bytes, waits=is_new)

    def _skip_part(self, source: Source, error: AudioMemError) -> None:
        """Something inside a source is not read: it counts unless it is of no kind that is read."""
        from audiomem_sql.errors import DamagedFileError, LimitError, UnsupportedError

        failed = isinstance(error, DamagedFileError | LimitError | UnsupportedError)
        self.skip(error.file or source.label, _reason(error), failed=failed)

    def _refuse(self, source: Source, error: AudioMemError) -> None:
        from audiomem_sql.errors import MissingExtraError

        self._is_refused = True
        what = _MEDIA.get(source.kind)
        if what and isinstance(error, MissingExtraError) and "[media]" in (error.remedy or ""):
            self.skipped.append((source.label, _reason(error), False))
            self._needed[what, (error.remedy or "").removeprefix("Run: ")] += 1
        else:
            self.refuse(source.label, error)

    def _say_needed(self) -> None:
        """Say in one line for all of a kind what has to be installed for them."""
        from audiomem_sql.cli import output

        for (what, remedy), count in self._needed.items():
            verb = "needs" if count == 1 else "need"
            self._progress.say(f"audiomem: {output.counted(count, what)} {verb} {remedy}")
        self._needed.clear()

    def refuse(self, name: str, error: AudioMemError) -> None:
        """A source cannot be read."""
        self.skip(name, _reason(error), failed=True)

    def skip(self, name: str, reason: str, *, failed: bool) -> None:
        """Note a source that is not read, and say so: of those that nobody expected to be read only some."""
        from audiomem_sql.cli import output

        self.skipped.append((name, reason, failed))
        self._unnamed += not failed
        if failed or self._unnamed <= NAMED_SKIPS:
            said = "cannot read" if failed else "skipped"
            self._progress.say(f"audiomem: {said} {output.printable(name)}: {output.printable(reason)}")
        elif self._unnamed == NAMED_SKIPS + 1:
            self._progress.say("audiomem: skipped more; all are counted, and --json lists them")


def _reason(error: AudioMemError) -> str:
    """What is wrong, where, and of a package that is missing how to install it."""
    from audiomem_sql.errors import MissingExtraError

    reason = f"{error.place}: {error.what}" if error.place else error.what
    return f"{reason}. {error.remedy}" if isinstance(error, MissingExtraError) and error.remedy else reason
