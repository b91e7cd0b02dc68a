"""``audiomem drop``: asks, or needs ``--yes``; and what DROP TABLE of SQL leaves."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import audiomem_sql as am

from .conftest import Command, fails, process


@pytest.fixture
def notes(audiomem: Command, tmp_path: Path) -> Path:
    """A table with one row."""
    audiomem("create", "notes.flac", "id INTEGER PRIMARY KEY", "--profile", "embedded")
    assert audiomem("sql", "notes.flac", "INSERT INTO notes VALUES (1)").code == 0
    return tmp_path / "notes.flac"


def test_with_yes(audiomem: Command, notes: Path) -> None:
    result = audiomem("drop", "notes.flac", "--yes")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("notes.flac: 1 row, 2 versions, ")
    assert result.out.endswith(": deleted in 1 file\n")
    assert list(notes.parent.iterdir()) == []
    fails(audiomem("drop", "notes.flac", "--yes"), 1, "notes.flac", "no such file")


def test_nobody_to_ask(notes: Path) -> None:
    result = process("drop", "notes.flac", cwd=notes.parent, stdin="y\n")
    fails(result, 2, "notes.flac: this deletes 1 row, 2 versions, ", "--yes")
    assert len(am.read_flac(notes)) == 1


@pytest.mark.parametrize(("answer", "stays"), [("y", False), ("n", True), ("", True)])
def test_somebody_is_asked(notes: Path, answer: str, stays: bool) -> None:
    master, slave = pty.openpty()
    os.write(master, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "drop", "notes.flac"],
        cwd=notes.parent,
        stdin=slave,
        capture_output=True,
        text=True,
    )
    os.close(master)
    os.close(slave)
    assert "notes.flac: delete 1 row, 2 versions, " in done.stdout + done.stderr
    assert (done.returncode == 0) == (not stays)
    assert notes.exists() == stays


def test_not_while_somebody_writes(audiomem: Command, notes: Path) -> None:
    with am.open(notes) as table:
        table.begin()
        fails(audiomem("drop", "notes.flac", "--yes"), 1, "of this process is writing")
        table.rollback()
    assert notes.exists()
