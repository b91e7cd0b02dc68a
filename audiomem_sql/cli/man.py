"""``audiomem man``: the manual page, made of the commands themselves."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

_ENVIRONMENT = (
    ("AUDIOMEM_MODEL", "The model of tables that ingest makes, or off."),
    ("AUDIOMEM_MODELS", "Names of models that may be loaded, with commas between them."),
    ("AUDIOMEM_DEVICE", "Where models and large comparisons run: cpu, cuda or auto."),
    ("VISUAL, EDITOR", "What opens texts."),
)
_EXITS = (
    ("0", "All is well. Of grep: a line matched."),
    ("1", "The data is damaged, or the work failed. Of grep: no line matched."),
    ("2", "Wrong usage. Of grep: something failed."),
    ("130", "Ctrl-C."),
    ("141", "Whoever read the output went away."),
)
#: The program whose page it is.
_described: list[typer.Typer] = []


def describe(program: typer.Typer) -> None:
    """Say whose commands the page is made of."""
    _described[:] = [program]


def man(
    roff: Annotated[
        bool, typer.Option("--roff", help="Print the source of the page, also in a terminal.")
    ] = False,
) -> int:
    """Show the manual page; where stdout is no terminal, print its source, for a file audiomem.1."""
    import shutil
    import subprocess
    import sys

    text = page()
    if roff or not sys.stdout.isatty() or shutil.which("man") is None:
        print(text, end="")
        return 0
    return subprocess.run(["man", "-l", "-"], input=text.encode(), check=False).returncode


def page() -> str:
    """The page in man(7), which mandoc and groff format."""
    from typer.main import get_command

    from audiomem_sql import __version__

    program: Any = get_command(_described[0])
    lines = [
        f'.TH AUDIOMEM 1 "" "audiomem-sql {__version__}" "User Commands"',
        ".SH NAME",
        r"audiomem \- tables kept in FLAC audio files",
        ".SH SYNOPSIS",
        ".B audiomem",
        r".RI [ options ] " + r'" " verb " " [ arguments ]',
        ".SH DESCRIPTION",
        _text(
            "A table of text, typed columns and vectors is a FLAC file. Without a verb, audiomem shows the "
            "tables of the folder and what can be done with them."
        ),
        ".SH OPTIONS",
        *_parameters(program),
        ".SH VERBS",
    ]
    for name, command in program.commands.items():
        lines += _verb(name, command)
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXITS:
        lines += [".TP", f".B {code}", _text(meaning)]
    lines.append(".SH ENVIRONMENT")
    for name, meaning in _ENVIRONMENT:
        lines += [".TP", f".B {_escaped(name)}", _text(meaning)]
    lines += [".SH SEE ALSO", ".BR flac (1), ", ".BR sqlite3 (1)"]
    return "\n".join(lines) + "\n"


def _verb(name: str, command: Any) -> list[str]:
    if getattr(command, "commands", None):
        return [line for child, verb in command.commands.items() for line in _verb(f"{name} {child}", verb)]
    arguments = " ".join(
        parameter.metavar or parameter.name.upper()
        for parameter in command.params
        if parameter.param_type_name == "argument"
    )
    lines = [
        f'.SS "audiomem {_escaped(name)}"',
        f".B audiomem {_escaped(name)}",
        f".I {_escaped('[OPTIONS] ' + arguments)}",
    ]
    for paragraph in (command.help or "").split("\n\n"):
        lines += [".PP", _text(paragraph)]
    return lines + _parameters(command)


def _parameters(command: Any) -> list[str]:
    """The arguments and options of a command, each with what it means."""
    lines: list[str] = []
    context = typer.Context(command)
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            name, meaning = parameter.metavar or parameter.name.upper(), getattr(parameter, "help", None)
            bold = f".I {_escaped(name)}"
        else:
            if getattr(parameter, "hidden", False) or parameter.name in ("help",):
                continue
            record = parameter.get_help_record(context)
            if record is None:
                continue
            bold, meaning = f".B {_escaped(record[0])}", record[1]
        lines += [".TP", bold, _text(meaning or "")]
    return lines


def _text(text: str) -> str:
    """A paragraph on one line."""
    return _escaped(" ".join(text.replace("\b", "").split())) or r"\&"


def _escaped(text: str) -> str:
    r"""Text of roff: hyphens that can be copied, no requests at the start of a line, ASCII alone."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace("…", "...")
    text = re.sub(r"[^\x00-\x7f]", lambda match: rf"\[u{ord(match[0]):04X}]", text)
    return rf"\&{text}" if text.startswith((".", "'")) else text
