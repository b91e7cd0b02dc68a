"""The README is a promise: every example in it is run, and what it shows is what comes out.

A comment above a block says how it is run: ``<!-- run: python -->``, ``<!-- run: sql -->`` (on the connection that the
first Python block opens) or ``<!-- run: console -->`` (lines behind ``$``; the lines below each must be in its output).
``<!-- output -->`` stands above what the SQL block before it returns.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"<!-- (run: (?P<how>\w+)|output) -->\n```\w*\n(?P<code>.*?)```", re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """(how, code) of every block that is run or compared."""
    return [(match["how"] or "output", match["code"]) for match in _BLOCK.finditer(README.read_text())]


def test_every_code_block_says_how_it_is_run() -> None:
    fences = re.findall(r"^```\w+$", README.read_text(), re.MULTILINE)
    assert len(fences) == len(blocks())


def test_python_and_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = []
    compared = 0
    try:
        for how, code in blocks():
            if how == "python":
                exec(compile(code, str(README), "exec"), names)
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
        for name in ("connection", "con"):
            if name in names:
                names[name].close()
    assert compared == sum(how == "output" for how, _ in blocks()) > 6


def test_console(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(
        "# Sound\n\nA table can be heard.\n\n# Silence\n\nAn empty one, hardly.\n"
    )
    ran = 0
    for how, code in blocks():
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
                        "PYTHONPATH": str(README.parent),  # this tree, whichever is installed
                    },
                )
                assert done.returncode == 0, f"{command}: {done.stderr}"
                for line in expected:
                    assert line in done.stdout.splitlines(), f"{command} prints {done.stdout!r}"
                ran += 1
    assert ran >= 12


def _commands(code: str) -> list[tuple[str, list[str]]]:
    """(command, lines expected below it) of a transcript."""
    found: list[tuple[str, list[str]]] = []
    for line in code.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found
