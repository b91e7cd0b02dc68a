"""The command ``audiomem``: one module a verb, and here what becomes of errors.

Exit codes: 0 fine, 1 the data is damaged or the work failed, 2 wrong usage; 130 after Ctrl-C, 141 when
whoever read the output went away. An error is one line on stderr, without a traceback.

Typer is imported here, everything heavier inside the verbs: help must come at once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Annotated, Any

import typer
import typer.main

from audiomem_sql.cli import (
    alter,
    backup,
    changes,
    clusters,
    completion,
    convert,
    create,
    diff,
    doctor,
    drop,
    dump,
    duplicates,
    export,
    extension_path,
    grep,
    importing,
    info,
    ingest,
    jobs,
    log,
    man,
    map,
    mcp,
    monitor,
    open_place,
    play,
    reembed,
    reindex,
    repair,
    reshard,
    restore,
    salvage,
    scrub,
    search,
    serve,
    shell,
    snapshots,
    spectrogram,
    sql,
    stream,
    tag,
    tier,
    token,
    transcode,
    vacuum,
    verify,
    worker,
)
from audiomem_sql.errors import AudioMemError, DamageWarning, OptionError, UpkeepWarning

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE

VERBS: dict[str, Callable[..., Any]] = {
    verb.__name__.replace("_", "-"): verb
    for verb in (
        create.create,
        ingest.ingest,
        convert.convert,
        export.export,
        sql.sql,
        shell.shell,
        info.info,
        snapshots.snapshots,
        log.log,
        changes.changes,
        diff.diff,
        tag.tag,
        restore.restore,
        vacuum.vacuum,
        reshard.reshard,
        backup.backup,
        stream.stream,
        tier.tier,
        alter.alter,
        drop.drop,
        dump.dump,
        verify.verify,
        transcode.transcode,
        spectrogram.spectrogram,
        play.play,
        reindex.reindex,
        reembed.reembed,
        repair.repair,
        salvage.salvage,
        scrub.scrub,
        search.search,
        grep.grep,
        clusters.clusters,
        duplicates.duplicates,
        serve.serve,
        mcp.mcp,
        worker.worker,
        jobs.jobs,
        doctor.doctor,
        monitor.monitor,
        extension_path.extension_path,
        completion.completion,
        man.man,
    )
} | {"import": importing.import_table, "map": map.map_table, "open": open_place.open_place}
#: Verbs that have verbs of their own.
GROUPS = {"token": token.app}


def _show_version(wanted: bool) -> None:
    if wanted:
        from audiomem_sql import __version__

        typer.echo(f"audiomem-sql {__version__}")
        raise typer.Exit


def audiomem(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version, and end."),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="Where models and large comparisons run: cpu, cuda, cuda:1 or auto."),
    ] = None,
) -> None:
    """Tables kept in FLAC audio files: make them, fill them, query them, check them."""
    if device is not None:
        from audiomem_sql.machine.device import use_device

        use_device(device)


def _program(verbs: Iterable[str]) -> typer.Typer:
    """The program with those verbs."""
    program = typer.Typer(
        name="audiomem",
        help="Tables kept in FLAC audio files: make them, fill them, query them, check them.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rich's help costs as much time as everything else together
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    program.callback()(audiomem)
    for name in verbs:
        if name in GROUPS:
            program.add_typer(GROUPS[name], name=name)
        else:
            program.command(name)(VERBS[name])
    return program


app = _program([*VERBS, *GROUPS])
man.describe(app)


@functools.cache
def _command(verb: str | None) -> Any:
    """The program with that verb alone, since Typer looks at every option of the others too; or with all."""
    return typer.main.get_command(app if verb is None else _program([verb]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code. Nothing is raised but what is a fault of this program."""
    try:
        with _warnings_in_a_line():
            code = _run(arguments)
        sys.stdout.flush()
        return code
    except AudioMemError as error:
        return _fail(str(error), WRONG_USAGE if isinstance(error, OptionError) else FAILED)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whatever is still buffered must go somewhere when Python ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        prefix = f"{error.filename}: " if error.filename else ""
        return _fail(f"{prefix}{error.strerror or error}", FAILED)
    except UnicodeError as error:
        return _fail(f"an argument is not UTF-8: {error}", WRONG_USAGE)
    except MemoryError:
        return _fail("there is not enough memory for this", FAILED)


@contextlib.contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """What is damaged but does not keep the command from its work, on stderr."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message: Any, category: Any, *arguments: Any, **options: Any) -> None:
            if issubclass(category, (DamageWarning, UpkeepWarning)):
                _say(f"warning: {message}")
            else:
                others(message, category, *arguments, **options)

        warnings.simplefilter("always", DamageWarning)
        warnings.simplefilter("always", UpkeepWarning)
        warnings.showwarning = show
        yield


def _run(arguments: Sequence[str]) -> int:
    if not arguments:
        from audiomem_sql.cli.home import home

        home()
        return 0
    command = _command(arguments[0] if arguments and arguments[0] in VERBS | GROUPS else None)
    try:
        # main() of the command would turn every error into its own exit code
        with command.make_context("audiomem", list(arguments)) as context:
            result = command.invoke(context)
    except typer.Exit as end:
        return int(end.exit_code)
    except _USAGE_ERRORS as error:
        context = getattr(error, "ctx", None)
        where = f" Try `{context.command_path} --help`." if context is not None else ""
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message(), file=sys.stderr)
            return WRONG_USAGE
        message = error.format_message().rstrip(".")
        return _fail(message + ("" if message.endswith("?") else ".") + where, WRONG_USAGE)
    return result if isinstance(result, int) else 0


#: Typer keeps them in its own click or in the real one: BadParameter, UsageError, ClickException.
_USAGE_ERRORS: Any = typer.BadParameter.__mro__[2]


def _fail(message: str, code: int) -> int:
    _say(message)
    return code


def _say(message: str) -> None:
    """One line on stderr."""
    from audiomem_sql.cli.output import note

    with contextlib.suppress(OSError):
        note(f"audiomem: {message}")


def main() -> None:
    """Entry point of the command."""
    for output in (sys.stdout, sys.stderr):
        reconfigure = getattr(output, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    if completion.VARIABLE in os.environ:
        completion.answer(app)
    sys.exit(run(sys.argv[1:]))
