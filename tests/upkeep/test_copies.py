"""A copy of the file alone, made at any moment, is a state that was, or an error that names the log."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

pytestmark = pytest.mark.damages  # copies without their log are verified here

#: 200 commits in sessions of 20, a fold after every fifth, in place or by a file written anew, and vacuums.
WRITER = """
import sys
from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits, placement
from audiomem_sql.upkeep import compaction
log_limits.CHECKPOINT_COMMITS = 5
if sys.argv[2] == "appended":
    placement.REWRITTEN_BYTES = placement.REWRITTEN_PROTECTED_BYTES = compaction.SMALL_TABLE_BYTES = 0
print("ready", flush=True)
for session in range(10):
    with Table(sys.argv[1]) as table:
        for number in range(session * 20, session * 20 + 20):
            transaction = table.begin()
            transaction.insert(number + 1, (number + 1, "x" * (number % 7) * 300))
            if number % 3 == 2:
                transaction.delete(number // 2 + 1)
            table.commit()
        if session % 4 == 3:
            table.vacuum()
"""


def in_pieces(source: Path, target: Path) -> None:
    """As ``cp`` may read it: piece after piece, while the file changes."""
    with source.open("rb") as reads, target.open("wb") as writes:
        while piece := reads.read(4096):
            writes.write(piece)
            time.sleep(0)


def in_one(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


@pytest.mark.parametrize(
    ("protection", "way", "copied"),
    [
        ("none", "rewritten", in_pieces),
        ("none", "appended", in_pieces),
        ("none", "appended", in_one),
        ("standard", "appended", in_pieces),
    ],
)
def test_copies_of_a_file_that_is_written_to(
    tmp_path: Path, protection: str, way: str, copied: Callable[[Path, Path], None]
) -> None:
    path = tmp_path / "t.flac"
    options: dict[str, Any] = {"profile": "embedded", "protection": protection}
    Table.create(path, ["id INTEGER PRIMARY KEY", "v TEXT"], options).close()
    copies = []
    command = [sys.executable, "-W", "error", "-c", WRITER, str(path), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        while writer.poll() is None or len(copies) < 50:
            copies.append(tmp_path / f"{len(copies)}.flac")
            copied(path, copies[-1])
            time.sleep(0.01)
    copies.append(tmp_path / "last.flac")
    copied(path, copies[-1])
    assert writer.returncode == 0
    versions, refusals = [], []
    with Table(path) as source:
        assert source.version == 201
        for copy in copies:
            try:
                table = Table(copy)
            except DamagedFileError as error:
                refusals.append(str(error).replace(str(copy), ""))
                continue
            with table:
                versions.append(table.version)
                if versions.count(table.version) > 1:
                    continue
                if table.version % 5 == 1:
                    assert list(problems(table)) == []
                for number in {table.version // 2 + 1, table.version}:
                    found = table.checkout(version=number).to_arrow().sort_by("id")
                    assert found == source.checkout(version=number).to_arrow().sort_by("id")
    assert refusals
    assert all("those after it are in -wal, which is not here" in refusal for refusal in refusals)
    assert versions == sorted(versions)
    assert versions[-1] == 201
