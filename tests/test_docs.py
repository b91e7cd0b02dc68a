"""The README and the pages of docs/ are promises: every example is run, and what they show is what comes out.

A comment above a block says how it is run:

- ``<!-- run: python -->``;
- ``<!-- run: sql -->``: on the connection that the first Python block opens;
- ``<!-- run: duckdb -->``: on ``duck``;
- ``<!-- run: jupyter -->``: as a cell, in a process of its own;
- ``<!-- run: console -->``: lines behind ``$``; the lines below each must be in its output;
- ``<!-- run: stores -->``: the same, by make convert-check.

``<!-- output -->`` stands above what the SQL block before it returns.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from entry_points import write_entry_points

from audiomem_sql.machine.block_cache import SHARED

ROOT = Path(__file__).parent.parent
#: tests/clients/test_transcripts.py runs docs/CLIENTS.md, whose programs follow each other in one folder, and
#: tests/frameworks/with_page.py docs/FRAMEWORKS.md, whose packages `make frameworks` installs.
PAGES = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.stem not in ("CLIENTS", "FRAMEWORKS")),
]
_BLOCK = re.compile(r"<!-- (run: (?P<how>\w+)|output) -->\n```\w*\n(?P<code>.*?)```", re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(how, code) of every block that is run or compared."""
    return [(match["how"] or "output", match["code"]) for match in _BLOCK.finditer(page.read_text())]


def pages_with(*kinds: str) -> list[Path]:
    """The pages that have a block of one of these kinds."""
    return [page for page in PAGES if {how for how, _ in blocks(page)} & set(kinds)]


def test_the_pages_with_examples() -> None:
    assert {page.stem for page in pages_with("python", "sql")} == {
        "README",
        "SQL",
        "TYPES",
        "PYTHON",
        "ANALYSIS",
        "ORM",
        "REMOTE",
        "STREAMING",
        "TIERS",
        "SHARDS",
        "OBSERVE",
        "SERVE",
        "JOBS",
        "MOVING",
    }
    consoles = {"README", "SHELL", "STREAMING", "OBSERVE", "INGEST", "IMPORT", "MOVING"}
    assert {page.stem for page in pages_with("console")} == consoles


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 250


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_code_block_says_how_it_is_run(page: Path) -> None:
    fences = re.findall(r"^```\w+$", page.read_text(), re.MULTILINE)
    assert len(fences) == len(blocks(page))


@pytest.mark.parametrize("page", pages_with("python", "sql"), ids=lambda page: page.stem)
def test_python_and_sql(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path / "path")))
    monkeypatch.setattr(SHARED, "capacity", SHARED.capacity)  # which a page may change
    names: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = []
    compared = 0
    try:
        for how, code in blocks(page):
            if how == "python":
                exec(compile(code, str(page), "exec"), names)
            elif how == "duckdb":
                rows = names["duck"].execute(code).fetchall()
            elif how == "jupyter":
                run_cell(code, tmp_path)
            elif how == "sql":
                rows = names["connection"].execute(code).fetchall()
            elif how == "output":
                shown = ["|".join(map(str, row)) for row in rows]
                if code.startswith("SCAN"):
                    shown = [str(row[-1]) for row in rows]
                assert shown == code.splitlines()
                compared += 1
    finally:
        import apsw

        apsw.connection_hooks.clear()
        for name in ("connection", "con", "duck"):
            if name in names:
                names[name].close()
    assert compared == sum(how == "output" for how, _ in blocks(page)) >= 1


def run_cell(code: str, folder: Path) -> None:
    """Run a cell of a notebook in IPython."""
    program = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell;"
        "InteractiveShell.instance().run_cell(sys.argv[1]).raise_error()"
    )
    environment = {
        "PYTHONPATH": f"{ROOT}:{folder / 'path'}",
        "PLOOMBER_STATS_ENABLED": "false",  # jupysql would report its use
        "HOME": str(folder),
        "IPYTHONDIR": str(folder / "ipython"),
    }
    done = subprocess.run(
        [sys.executable, "-c", program, code],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", pages_with("console"), ids=lambda page: page.stem)
def test_console(page: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# Sound\n\nA table can be heard.\n\n# Silence\n\nAn empty one, hardly.\n"
    )
    ran = 0
    for how, code in blocks(page):
        if how == "console":
            for command, expected in _commands(code):
                done = subprocess.run(
                    ["bash", "-c", command],
                    cwd=tmp_path,
                    capture_output=True,
                    text=True,
                    env={
                        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                        "HOME": str(tmp_path),
                        "PYTHONPATH": str(ROOT),  # this tree, whichever is installed
                        "AUDIOMEM_MODEL": "off",  # whether one is installed, or not
                    },
                )
                assert done.returncode == 0, f"{command}: {done.stderr}"
                for line in expected:
                    assert line in done.stdout.splitlines(), f"{command} prints {done.stdout!r}"
                ran += 1
    assert ran >= 6


def _commands(code: str) -> list[tuple[str, list[str]]]:
    """(command, lines expected below it) of a transcript."""
    commands: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    return commands
