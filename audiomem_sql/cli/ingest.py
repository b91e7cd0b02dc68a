"""``audiomem ingest``: files and folders into a table."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.create import OptionList, parse_options
from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    from audiomem_sql.ingest.ingestion import Report
    from audiomem_sql.table.table import Table

#: Skipped sources that are named; the others are counted.
NAMED_SKIPS = 20


def ingest(
    file: Annotated[
        str, typer.Argument(help="The FLAC file; it is made if it is not there.", metavar="FILE")
    ],
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Text, Markdown, HTML, CSV, JSON Lines, Parquet; folders with such files.", metavar="PATH..."
        ),
    ],
    size: Annotated[int, typer.Option(help="Most characters in a chunk.")] = 800,
    overlap: Annotated[int, typer.Option(help="Characters that a chunk repeats of the one before.")] = 0,
    body_column: Annotated[
        str | None, typer.Option(help="The column of CSV, JSON Lines and Parquet that holds the text.")
    ] = None,
    title_column: Annotated[
        str | None, typer.Option(help="The column of CSV, JSON Lines and Parquet that holds the title.")
    ] = None,
    commit_every: Annotated[
        float, typer.Option(help="Million characters of text in a commit.", metavar="MILLIONS")
    ] = 64,
    option: OptionList = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="Of a new table: search bodies by meaning with this model, such as all-MiniLM-L6-v2.",
        ),
    ] = None,
    model_backend: Annotated[
        str | None,
        typer.Option("--model-backend", help="Of a new table with a model: torch, or onnx, which is faster."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Read files and folders into a table: new sources are added, changed ones replace their old rows.

    A source is committed whole or not at all. Ctrl-C keeps what was read; a second one drops what is not committed yet.
    """
    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.errors import AudioMemError
    from audiomem_sql.ingest.ingestion import Reading, check_columns, ingest
    from audiomem_sql.ingest.sources import Source, find_sources

    if not 0 < commit_every <= 4096:
        raise OptionError(
            f"--commit-every {commit_every:g} is not possible", remedy="It is more than 0 and at most 4096."
        )
    reading = Reading(size, overlap, body_column, title_column)
    started = time.perf_counter()
    early: list[tuple[str, str]] = []
    with _Interrupt() as interrupt, bar("bytes", "looking") as progress:

        def skipped(name: str, reason: str) -> None:
            early.append((name, reason))
            if len(early) <= NAMED_SKIPS:
                progress.say(f"audiomem: skipped {output.printable(name)}: {output.printable(reason)}")
            elif len(early) == NAMED_SKIPS + 1:
                progress.say("audiomem: skipped more; all are counted, and --json lists them")

        mine = os.path.realpath(file)

        def is_own(path: str | os.PathLike[str]) -> bool:
            return f"{os.path.realpath(path)}/".startswith((f"{mine}/", f"{mine}.d/"))

        sources = [
            source
            for source in find_sources(
                paths, on_skip=lambda path, reason: None if is_own(path) else skipped(str(path), reason)
            )
            if not is_own(source.path)
        ]
        if not sources:
            output.note(
                f"audiomem: {', '.join(paths)}: nothing that can be read. Name text files, or folders that have some."
            )
            return 1
        total, done, number = sum(source.size for source in sources), 0, 0

        def finished(source: Source) -> None:
            nonlocal done, number
            done, number = done + source.size, number + 1
            progress.to(done, total)
            progress.doing(f"{number:,} of {output.counted(len(sources), 'source')}")

        def bad(source: Source, error: AudioMemError) -> None:
            skipped(source.name, f"{error.place}: {error.what}" if error.place else error.what)

        interrupt.armed = True
        options = parse_options(option or ())
        options |= {} if model is None else {"model": model}
        options |= {} if model_backend is None else {"model_backend": model_backend}
        with _opened(file, options) as table:
            check_columns(table)
            how = f"embedding with {model_of(table)}: " if table.schema.semantic_columns else ""
            report = ingest(
                table,
                sources,
                reading,
                processes=os.cpu_count() or 1,
                commit_characters=int(commit_every * 1e6) or 1,
                on_source=finished,
                on_skip=bad,
                on_commit=lambda rows: progress.doing(f"writing {output.counted(rows, 'row')}"),
                on_rows=lambda done, total: progress.doing(
                    f"{how}{done:,} of {output.counted(total, 'row')}"
                ),
                stop=lambda: interrupt.seen,
            )
            table.checkpoint()  # closing would do it; the sizes below are those of what is left then
            facts = _facts(table, report, early, time.perf_counter() - started)
    if json:
        output.print_json(facts)
    else:
        print(_summary(facts))
    if report.stopped:
        output.note("audiomem: interrupted. Run the same command again to go on.")
        return 128 + signal.SIGINT
    if not report.read:
        output.note(f"audiomem: {', '.join(paths)}: nothing could be read.")
        return 1
    return 0


def model_of(table: Table) -> str:
    """The model of a table, and what runs it."""
    options = table.options
    return options.model if options.model == "hashing" else f"{options.model} ({options.model_backend})"


class _Interrupt:
    """Ctrl-C: the first one asks to stop, the second one is a KeyboardInterrupt."""

    def __init__(self) -> None:
        self.seen = False
        self.armed = False

    def __enter__(self) -> _Interrupt:
        self._before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, *_: object) -> None:
        if self.seen or not self.armed:
            raise KeyboardInterrupt
        self.seen = True
        # print could be what was interrupted
        os.write(
            2, b"\naudiomem: stopping; what was read is kept (Ctrl-C again drops what is not committed)\n"
        )


@contextmanager
def _opened(file: str, options: dict[str, str]) -> Iterator[Table]:
    """The table in ``file``; one that is made here and stays without a commit is taken away again."""
    from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
    from audiomem_sql.table.table import Table

    if os.path.lexists(file):
        if options:
            raise OptionError(
                "options belong to a new file",
                file=file,
                remedy="Leave --option out: the file knows its own.",
            )
        with Table(file) as table:
            yield table
        return
    columns = [
        f"{column} SEMANTIC" if "model" in options and column.startswith("body ") else column
        for column in DEFAULT_COLUMNS
    ]
    table = Table.create(file, columns, options)
    try:
        with table:
            yield table
    finally:
        if table.version == 1:
            os.unlink(file)


def _facts(
    table: Table, report: Report, skipped: Sequence[tuple[str, str]], duration: float
) -> dict[str, Any]:
    segments = table.snapshot.segments
    return {
        "file": table.path,
        "version": table.version,
        "model": model_of(table) if table.schema.semantic_columns else None,
        "rows": len(table),
        "sources": {
            "new": report.new,
            "changed": report.changed,
            "unchanged": report.unchanged,
            "skipped": [{"source": name, "reason": reason} for name, reason in skipped],
        },
        "rows_added": report.rows_added,
        "rows_removed": report.rows_removed,
        "text_bytes": report.text_bytes,
        "value_bytes": sum(table.snapshot.column_bytes(place) for place in range(len(table.schema))),
        "file_bytes": sum(os.path.getsize(segment.path) for segment in segments),
        "commits": report.commits,
        "interrupted": report.stopped,
        "seconds": round(duration, 3),
    }


def _summary(facts: dict[str, Any]) -> str:
    from audiomem_sql.cli import output

    sources = facts["sources"]
    counts = ", ".join(f"{sources[key]:,} {key}" for key in ("new", "changed", "unchanged"))
    ratio = facts["value_bytes"] / facts["file_bytes"]
    rate = (
        f", {facts['rows_added'] / facts['seconds']:,.0f} rows/s"
        if facts["rows_added"] and facts["seconds"]
        else ""
    )
    return (
        f"sources: {counts}, {len(sources['skipped']):,} skipped\n"
        f"rows: {facts['rows_added']:,} added, {facts['rows_removed']:,} removed, {facts['rows']:,} in all\n"
        f"text: {output.size(facts['text_bytes'])} added; the table has {output.size(facts['value_bytes'])} "
        f"in a file of {output.size(facts['file_bytes'])}, ratio {ratio:.2f}\n"
        f"time: {facts['seconds']:.1f} s{rate}"
        + (f", embedded with {facts['model']}" if facts["model"] else "")
    )
