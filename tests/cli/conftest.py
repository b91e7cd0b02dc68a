"""Running the commands: in this process where that is enough, in one of their own where it is not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from audiomem_sql.cli.main import run


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Result]


@pytest.fixture
def audiomem(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return command


def process(*arguments: str, cwd: Path, stdin: str = "") -> Result:
    """Runs a command line in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", *arguments],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def fails(result: Result, code: int, *words: str) -> None:
    """The command said in one line on stderr what is wrong, and nothing else."""
    assert result.code == code, result
    assert result.out == ""
    assert result.err.startswith("audiomem: ")
    assert result.err.count("\n") == 1, result.err
    for word in words:
        assert word in result.err


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
