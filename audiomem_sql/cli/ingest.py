"""``audiomem ingest``: files and folders into a table."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.create import OptionList, parse_options
from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    from audiomem_sql.cli.progress import Bar
    from audiomem_sql.errors import AudioMemError
    from audiomem_sql.ingest.ingestion import Reading, Report
    from audiomem_sql.ingest.sources import Source
    from audiomem_sql.table.table import Table

#: Skipped sources that are named; the others are counted.
NAMED_SKIPS = 20


_File = Annotated[str, typer.Argument(help="The FLAC file; it is made if it is not there.", metavar="FILE")]
_Paths = Annotated[
    list[str],
    typer.Argument(
        help="Text, Markdown, HTML, CSV, JSON Lines, Parquet; folders with such files.", metavar="PATH..."
    ),
]
_Size = Annotated[int, typer.Option(help="Most characters in a chunk.")]
_Overlap = Annotated[int, typer.Option(help="Characters that a chunk repeats of the one before.")]
_BodyColumn = Annotated[
    str | None, typer.Option(help="The column of CSV, JSON Lines and Parquet that holds the text.")
]
_TitleColumn = Annotated[
    str | None, typer.Option(help="The column of CSV, JSON Lines and Parquet that holds the title.")
]
_CommitEvery = Annotated[
    float, typer.Option(help="Million characters of text in a commit.", metavar="MILLIONS")
]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Of a new table: search bodies by meaning with this model, such as all-MiniLM-L6-v2."
    ),
]
_ModelBackend = Annotated[
    str | None,
    typer.Option("--model-backend", help="Of a new table with a model: torch, or onnx, which is faster."),
]
_Words = Annotated[
    bool | None,
    typer.Option(
        "--words/--no-words",
        help="Of a new table: whether titles and bodies are searched by their words; they are by default.",
        show_default=False,
    ),
]


def ingest(  # noqa: PLR0913  # a parameter for each option of the command
    file: _File,
    paths: _Paths,
    size: _Size = 800,
    overlap: _Overlap = 0,
    body_column: _BodyColumn = None,
    title_column: _TitleColumn = None,
    commit_every: _CommitEvery = 64,
    option: OptionList = None,
    model: _Model = None,
    model_backend: _ModelBackend = None,
    words: _Words = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Read files and folders into a table: new sources are added, changed ones replace their old rows.

    A source is committed whole or not at all. Ctrl-C keeps what was read; a second one drops what is not
    committed yet.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.cli.ingest_summary import facts_of, summary
    from audiomem_sql.cli.interrupt import Interrupt
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.ingest.ingestion import Reading

    if not 0 < commit_every <= 4096:
        raise OptionError(
            f"--commit-every {commit_every:g} is not possible", remedy="It is more than 0 and at most 4096."
        )
    reading = Reading(size, overlap, body_column, title_column)
    started = time.perf_counter()
    with Interrupt() as interrupt, bar("bytes", "looking") as progress:
        work = _Work(progress)
        if not work.find(file, paths):
            output.note(
                f"audiomem: {', '.join(paths)}: nothing that can be read. "
                "Name text files, or folders that have some."
            )
            return 1
        interrupt.armed = True
        with _opened(file, _options(option, model, model_backend), words) as table:
            report = work.read_into(table, reading, commit_every, stop=lambda: interrupt.seen)
            table.checkpoint()  # closing would do it; the sizes below are those of what is left then
            facts = facts_of(table, report, work.skipped, time.perf_counter() - started)
    if json:
        output.print_json(facts)
    else:
        print(summary(facts))
    return _exit_code(report, paths)


class _Work:
    """The sources of one ingest, and how far it is.

    ``sources``: what is read, once ``find`` was called. ``skipped``: (source, reason) of what cannot be read,
    in the order in which that came up. ``done_sources`` and ``done_bytes``: those that were read or skipped.
    The bar shows all of it.
    """

    def __init__(self, progress: Bar) -> None:
        self.sources: list[Source] = []
        self.skipped: list[tuple[str, str]] = []
        self.total_bytes = 0
        self.done_sources = 0
        self.done_bytes = 0
        self._progress = progress

    def find(self, file: str, paths: Sequence[str]) -> bool:
        """Find the sources in ``paths``; whether there are any. The table in ``file`` is none."""
        from audiomem_sql.ingest.sources import find_sources

        own = os.path.realpath(file)

        def is_own(path: str | os.PathLike[str]) -> bool:
            return f"{os.path.realpath(path)}/".startswith((f"{own}/", f"{own}.d/"))

        def skip(path: os.PathLike[str], reason: str) -> None:
            if not is_own(path):
                self._skip(str(path), reason)

        self.sources = [source for source in find_sources(paths, on_skip=skip) if not is_own(source.path)]
        self.total_bytes = sum(source.size for source in self.sources)
        return bool(self.sources)

    def read_into(
        self, table: Table, reading: Reading, commit_every: float, stop: Callable[[], bool]
    ) -> Report:
        """Bring ``table`` up to date. commit_every: million characters. stop: asked whether to end early."""
        from audiomem_sql.cli import output
        from audiomem_sql.cli.ingest_summary import model_of
        from audiomem_sql.ingest.ingestion import check_columns, ingest

        check_columns(table)
        how = f"embedding with {model_of(table)}: " if table.schema.semantic_columns else ""
        doing = self._progress.doing
        return ingest(
            table,
            self.sources,
            reading,
            processes=os.cpu_count() or 1,
            commit_characters=int(commit_every * 1e6) or 1,
            on_source=self._finish,
            on_skip=self._refuse,
            on_commit=lambda rows: doing(f"writing {output.counted(rows, 'row')}"),
            on_rows=lambda done, total: doing(f"{how}{done:,} of {output.counted(total, 'row')}"),
            stop=stop,
        )

    def _finish(self, source: Source) -> None:
        from audiomem_sql.cli import output

        self.done_sources += 1
        self.done_bytes += source.size
        self._progress.to(self.done_bytes, self.total_bytes)
        self._progress.doing(f"{self.done_sources:,} of {output.counted(len(self.sources), 'source')}")

    def _refuse(self, source: Source, error: AudioMemError) -> None:
        self._skip(source.name, f"{error.place}: {error.what}" if error.place else error.what)

    def _skip(self, name: str, reason: str) -> None:
        from audiomem_sql.cli import output

        self.skipped.append((name, reason))
        if len(self.skipped) <= NAMED_SKIPS:
            self._progress.say(f"audiomem: skipped {output.printable(name)}: {output.printable(reason)}")
        elif len(self.skipped) == NAMED_SKIPS + 1:
            self._progress.say("audiomem: skipped more; all are counted, and --json lists them")


def _options(option: list[str] | None, model: str | None, model_backend: str | None) -> dict[str, str]:
    """The options of a new table."""
    options = parse_options(option or ())
    if model is not None:
        options["model"] = model
    if model_backend is not None:
        options["model_backend"] = model_backend
    return options


@contextmanager
def _opened(file: str, options: dict[str, str], words: bool | None) -> Iterator[Table]:
    """The table in ``file``; one that is made here and stays without a commit is taken away again."""
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.sharded_creation import remove_new
    from audiomem_sql.table.table import Table

    table = _made(file, options, words)
    if table is None:
        if options or words is not None:
            name = "--option" if options else "--words" if words else "--no-words"
            raise OptionError(
                "options belong to a new file",
                file=file,
                remedy=f"Leave {name} out: the file knows its own.",
            )
        with Table(file) as table:
            yield table
        return
    try:
        with table:
            yield table
    finally:
        if table.version == 1 and not is_url(file):
            remove_new(table.files)


def _made(file: str, options: dict[str, str], words: bool | None) -> Table | None:
    """A new table; None if something is there, which of a URL is told when the table is made."""
    from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
    from audiomem_sql.machine.file_names import is_there
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.table import Table
    from audiomem_sql.versions import AlreadyThereError

    if not is_url(file) and is_there(file):
        return None
    columns = [
        column
        + (" SEMANTIC" if "model" in options and column == "body TEXT" else "")
        + (" INDEXED" if words is not False and column in ("title TEXT", "body TEXT") else "")
        for column in DEFAULT_COLUMNS
    ]
    try:
        return Table.create(file, columns, options)
    except AlreadyThereError:
        return None


def _exit_code(report: Report, paths: Sequence[str]) -> int:
    from audiomem_sql.cli import output

    if report.stopped:
        output.note("audiomem: interrupted. Run the same command again to go on.")
        return 128 + signal.SIGINT
    if not report.read:
        output.note(f"audiomem: {', '.join(paths)}: nothing could be read.")
        return 1
    return 0
