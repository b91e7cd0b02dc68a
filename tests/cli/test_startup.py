"""Help comes at once: nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from audiomem_sql import __version__

from .conftest import Command

VERBS = (
    "create",
    "ingest",
    "import",
    "export",
    "sql",
    "shell",
    "info",
    "snapshots",
    "changes",
    "tag",
    "restore",
    "vacuum",
    "alter",
    "verify",
    "serve",
    "mcp",
    "token",
    "extension-path",
    "reindex",
    "log",
    "diff",
    "grep",
    "open",
    "man",
    "completion",
)
HEAVY = {
    "numpy",
    "pyarrow",
    "apsw",
    "pandas",
    "soundfile",
    "zstandard",
    "msgpack",
    "psutil",
    "rich.table",
    "selectolax",
}


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["--version"],
        ["completion", "bash"],
        ["man"],
        ["frobnicate"],
        *([verb, "--help"] for verb in VERBS),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str]) -> None:
    code = f"""
import sys
from audiomem_sql.cli.main import run
run({arguments!r})
print("imported", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.rpartition("imported")[2].split())


def test_help_names_every_verb(audiomem: Command) -> None:
    shown = audiomem("--help")
    assert shown.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in shown.out
        help_text = audiomem(verb, "--help")
        assert help_text.code == 0
        assert help_text.out.startswith(f"Usage: audiomem {verb} ")
        assert all(
            line.split("  ")[-1].strip() for line in help_text.out.splitlines() if line.startswith("  -")
        ), "help is missing"


def test_version(audiomem: Command) -> None:
    assert audiomem("--version").out == f"audiomem-sql {__version__}\n"


def test_without_a_verb_it_says_what_there_is_to_do(audiomem: Command) -> None:
    shown = audiomem()
    assert (shown.code, shown.err) == (0, "")
    assert "Some things to do:" in shown.out
