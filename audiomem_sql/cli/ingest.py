"""``audiomem ingest``: files and folders into a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from audiomem_sql.cli.create import OptionList, parse_options
from audiomem_sql.errors import OptionError

if TYPE_CHECKING:
    from audiomem_sql.table.table import Table

_File = Annotated[str, typer.Argument(help="The FLAC file; it is made if it is not there.", metavar="FILE")]
_Paths = Annotated[
    list[str],
    typer.Argument(
        help="Files and folders; - for stdin; pages (http:, https:); sitemap:URL for those of a site.",
        metavar="PATH...",
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
    float | None,
    typer.Option(
        help="Million characters of text in a commit [default: 64; 4 where texts are embedded].",
        metavar="MILLIONS",
        show_default=False,
    ),
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
_Prune = Annotated[
    bool | None,
    typer.Option(
        "--prune/--keep",
        help="Whether rows go whose files are gone from a folder; by default if all of it could be read.",
        show_default=False,
    ),
]
_Exclude = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help="Leave out what matches, as in a .gitignore; can be repeated."),
]
_Hidden = Annotated[bool, typer.Option("--hidden", help="Also files and folders that begin with a dot.")]
_NoIgnore = Annotated[
    bool, typer.Option("--no-ignore", help="Also what .gitignore and .audiomemignore leave out.")
]
_Watch = Annotated[bool, typer.Option("--watch", help="Then follow the folders until Ctrl-C.")]
_Name = Annotated[str | None, typer.Option("--name", help="What stdin is called as a source.")]
_Type = Annotated[str | None, typer.Option("--type", help="The kind of stdin, such as markdown.")]
_Meaning = Annotated[
    bool | None,
    typer.Option(
        "--meaning/--no-meaning",
        help="Of a new table: whether bodies are searched by meaning; they are if a model is installed.",
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
    commit_every: _CommitEvery = None,
    prune: _Prune = None,
    exclude: _Exclude = None,
    hidden: _Hidden = False,
    no_ignore: _NoIgnore = False,
    watch: _Watch = False,
    name: _Name = None,
    type_: _Type = None,
    option: OptionList = None,
    model: _Model = None,
    model_backend: _ModelBackend = None,
    words: _Words = None,
    meaning: _Meaning = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Read files, folders and pages into a table, and keep it true to them.

    New sources are added, changed ones replace their old rows, moved ones keep them, and those whose files
    are gone from a folder are taken out. A source is committed whole or not at all. Ctrl-C keeps what is
    committed.
    """
    from audiomem_sql.cli.ingest_given import is_given
    from audiomem_sql.cli.ingest_run import Run
    from audiomem_sql.ingest.ingestion import Reading
    from audiomem_sql.ingest.walking import Rules

    if commit_every is not None and not 0 < commit_every <= 4096:
        raise OptionError(
            f"--commit-every {commit_every:g} is not possible", remedy="It is more than 0 and at most 4096."
        )
    given = [path for path in paths if is_given(path)]
    if (name or type_) and "-" not in given:
        raise OptionError("--name and --type are those of stdin", remedy="Name - among the paths, too.")
    if watch and given:
        raise OptionError(f"--watch cannot follow {given[0]}", remedy="Name files and folders only.")
    run = Run(
        file,
        [path for path in paths if path not in given],
        given,
        Reading(size, overlap, body_column, title_column),
        Rules(tuple(exclude or ()), hidden, not no_ignore),
        None if commit_every is None else int(commit_every * 1e6) or 1,
        prune,
        lambda: _opened(file, _options(option, model, model_backend), words, meaning),
        (name, type_),
        json,
        model is not None or meaning is not None,
    )
    return run.watched() if watch else run.once()


def _options(option: list[str] | None, model: str | None, model_backend: str | None) -> dict[str, str]:
    """The options of a new table."""
    options = parse_options(option or ())
    if model is not None:
        options["model"] = model
    if model_backend is not None:
        options["model_backend"] = model_backend
    return options


@contextmanager
def _opened(file: str, options: dict[str, str], words: bool | None, meaning: bool | None) -> Iterator[Table]:
    """The table in ``file``; one that is made here and stays without a commit is taken away again."""
    from audiomem_sql.cli import new_table
    from audiomem_sql.machine.urls import is_url
    from audiomem_sql.table.table import Table

    table = new_table.make(file, options, words, meaning)
    if table is None:
        if options or words is not None or meaning:
            name = "--option" if options else "--meaning" if meaning else "--words" if words else "--no-words"
            raise OptionError(
                "options belong to a new file",
                file=file,
                remedy=f"Leave {name} out: the file knows its own. `audiomem reindex` changes them.",
            )
        with Table(file) as table:
            yield table
        return
    with table:
        try:
            yield table
        finally:
            if table.version == 1 and not is_url(file):
                table.take_back_creation()
