"""Other programs that load the extension, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audiomem_sql.loadable import loadable_path

if TYPE_CHECKING:
    from .terminal import Terminal

ROOT = Path(__file__).parent.parent.parent
#: Without what points other programs at a Python.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("PYTHON", "AUDIOMEM_")) and key != "VIRTUAL_ENV"
} | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@dataclass(frozen=True)
class Said:
    """What a program printed, and its exit code."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run statements in the stock sqlite3 shell, which loads the extension first."""

    def run(
        *lines: str, mode: str = "list", database: str = ":memory:", load: str | None = None, **more: str
    ) -> Said:
        done = subprocess.run(
            ["sqlite3", "-batch", "-init", "/dev/null", f"-{mode}", database],
            input="\n".join([f".load {load or loadable_path()}", *lines, ""]),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=ENVIRONMENT | more,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Said]:
    """Run a program in a new Python process of this environment, with this tree."""

    def run(code: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=ENVIRONMENT | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[[str], Terminal]]:
    """Start commands, each in a terminal of its own, in the folder of the test."""
    from .terminal import Terminal

    started: list[Terminal] = []

    def start(command: str) -> Terminal:
        started.append(Terminal(command, tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.close()
