"""One run of ``audiomem ingest``, or one that goes on as files change; and how it ends."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomem_sql.cli.ingest_work import Work
    from audiomem_sql.cli.interrupt import Interrupt
    from audiomem_sql.cli.progress import Bar
    from audiomem_sql.ingest.ingestion import Reading
    from audiomem_sql.ingest.walking import Rules
    from audiomem_sql.table.table import Table


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for.

    ``paths``: files and folders. ``given``: stdin and addresses. ``opened``: gives the table, which is made
    if it is not there. ``stdin``: the name and the kind of what comes in there. ``json``: whether facts are
    printed as such. ``chosen``: whether it was said what a new table is searched by.
    """

    file: str
    paths: list[str]
    given: list[str]
    reading: Reading
    rules: Rules
    commit_characters: int | None
    prune: bool | None
    opened: Callable[[], AbstractContextManager[Table]]
    stdin: tuple[str | None, str | None]
    json: bool
    chosen: bool

    def once(self) -> int:
        """Bring the table up to date; the exit code."""
        from audiomem_sql.cli.interrupt import Interrupt
        from audiomem_sql.cli.progress import bar

        started = time.perf_counter()
        facts: dict[str, Any] | None = None
        with Interrupt() as interrupt, bar("bytes", "looking") as progress:
            work = self._work(progress, interrupt)
            try:
                facts = self._bring(work, interrupt, started)
            except KeyboardInterrupt:
                if not interrupt.armed:
                    raise
                work.report.stopped = True
            interrupt.stopped()
        if facts is None and work.report.stopped:
            facts = self._facts_after(work, started)
        if facts is not None and not self._has_table():
            facts |= {"version": None, "file_bytes": 0}  # it was made, and taken back
        if facts is not None and (self.json or self._has_table()):
            self._print(facts, work.last_line)
        return self._exit_code(work)

    def _has_table(self) -> bool:
        """Whether the file is there; that of an object store is not asked for."""
        from audiomem_sql.machine.file_names import is_there
        from audiomem_sql.machine.urls import is_url

        return is_url(self.file) or is_there(self.file)

    def watched(self) -> int:
        """Bring the table up to date again and again; the exit code."""
        from audiomem_sql.cli import output
        from audiomem_sql.cli.ingest_watch import Stamps, changes, line
        from audiomem_sql.cli.interrupt import Interrupt
        from audiomem_sql.cli.progress import bar

        code, stamps = 0, Stamps()
        with Interrupt() as interrupt:
            first = self._work(_silent(), interrupt)
            # what changes from here on is seen, however long the first reading takes
            signs = changes(self.paths, first.is_own)
            next(signs)
            is_first = interrupt.armed = True
            while not interrupt.seen:
                started = time.perf_counter()
                with bar("bytes", "looking") as progress:
                    work = self._work(progress, interrupt)
                    try:
                        facts = self._bring(work, interrupt, started, stamps)
                    except KeyboardInterrupt:
                        work.report.stopped, facts = True, None
                if work.report.stopped:
                    return self._exit_code(work)
                code = code or int(bool(work.failed))
                if is_first and facts is not None:
                    self._print(facts, work.last_line)
                    output.note(f"audiomem: watching {', '.join(self.paths)}; Ctrl-C ends it")
                elif facts is not None and work.report.commits:
                    print(line(work, facts["version"]), flush=True)
                is_first = False
                for changed in signs:
                    if changed or interrupt.seen:
                        break
        output.note("audiomem: no longer watching")
        return code

    def _work(self, progress: Bar, interrupt: Interrupt) -> Work:
        from audiomem_sql.cli.ingest_work import Asked, Work

        asked = Asked(self.reading, self.rules, self.commit_characters, self.prune, lambda: interrupt.seen)
        return Work(self.file, asked, progress)

    def _bring(
        self, work: Work, interrupt: Interrupt, started: float, stamps: Any = None
    ) -> dict[str, Any] | None:
        """Read what there is; the facts, or None if there was nothing."""
        from audiomem_sql.cli import new_table
        from audiomem_sql.cli.ingest_given import STDIN, Given, check_name
        from audiomem_sql.cli.ingest_summary import facts_of
        from audiomem_sql.ingest.ingestion import check_columns
        from audiomem_sql.machine.urls import is_url

        with Given(work, self.reading) as given:
            work.find(self.paths)
            if STDIN in self.given:
                work.add([given.stdin(*self.stdin)])
            pages = [path for path in self.given if path != STDIN]
            was_there = not is_url(self.file) and self._has_table()
            if not (work.sources or pages or self._has_table()):
                return None
            interrupt.armed = True
            with self.opened() as table:
                check_columns(table)
                if STDIN in self.given:
                    check_name(table, self.stdin[0])
                is_new = table.version == 1 and not was_there
                if is_new and (note := new_table.note_of(table, self.chosen)):
                    work.say(note)
                sources = list(work.sources)
                if stamps is not None:
                    sources = stamps.changed(sources)
                work.read_into(table, sources, found=work.found if self.paths else None)
                if pages and not work.report.stopped:
                    given.read_pages(table, pages)
                interrupt.stopped()
                table.checkpoint()  # closing would do it; the sizes below are those of what is left then
                work.note_what_is_there(table)
                facts = facts_of(table, work.report, work.skipped, time.perf_counter() - started)
                facts["searched_by"] = new_table.searched_by(table)
                if is_new:
                    work.last_line = new_table.line_of(table)
                return facts

    def _facts_after(self, work: Work, started: float) -> dict[str, Any] | None:
        """What is there after an ingest was broken off."""
        from audiomem_sql.cli.ingest_summary import facts_of
        from audiomem_sql.errors import AudioMemError
        from audiomem_sql.table.table import Table

        with contextlib.suppress(AudioMemError), Table(self.file) as table:
            work.note_what_is_there(table)
            return facts_of(table, work.report, work.skipped, time.perf_counter() - started)
        return None

    def _print(self, facts: dict[str, Any], last_line: str | None) -> None:
        from audiomem_sql.cli import output
        from audiomem_sql.cli.ingest_summary import summary

        if self.json:
            output.print_json(facts)
        else:
            print(summary(facts), *([last_line] if last_line else []), sep="\n", flush=True)

    def _exit_code(self, work: Work) -> int:
        from audiomem_sql.cli import output

        report, named = work.report, ", ".join([*self.paths, *self.given])
        if report.stopped:
            dropped = f", {report.dropped:,} were read and not committed" if report.dropped else ""
            kept = f"{work.there:,} of {output.counted(len(work.sources), 'source')} are in the table"
            if not self._has_table():
                kept = f"nothing is kept, and {self.file} is not there"
            output.note(f"audiomem: interrupted: {kept}{dropped}. Run the same command again to go on.")
            return 128 + signal.SIGINT
        if report.kept is not None:
            count, reason = report.kept
            output.note(
                f"audiomem: {output.counted(count, 'source')} whose files are gone stay in the table: "
                f"{reason}. --prune takes them out, --keep says that they stay."
            )
        if not work.sources and not report.read and not report.pruned and not work.failed:
            output.note(
                f"audiomem: {named}: nothing that can be read. Name text files, or folders that have some."
            )
            return 1
        if not report.read and not report.pruned:
            output.note(f"audiomem: {named}: nothing could be read.")
            return 1
        if work.failed:
            output.note(f"audiomem: {output.counted(work.failed, 'source')} could not be read.")
        return int(bool(work.failed) or report.kept is not None)


def _silent() -> Bar:
    from audiomem_sql.cli.progress import Bar

    return Bar(None, None)
