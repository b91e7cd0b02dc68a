"""The readers that ours is compared with: one that lacks something is not one that finds nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.documents import theirs

SETUP = """
def read(path):
    if path.suffix in {suffixes!r}:
        raise ValueError("the model is not there")
    return path.read_text().upper()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("text.txt", "a.md", "deep/b.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"words of {name}")
    return tmp_path


def test_a_reader_that_reads_no_text_is_refused_with_its_reason(folder: Path) -> None:
    with pytest.raises(SystemExit, match=r"cannot read text\.txt: ValueError: the model is not there"):
        theirs(sys.executable, SETUP.format(suffixes=[".txt"]), folder)


def test_what_one_cannot_read_is_left_out(folder: Path) -> None:
    assert theirs(sys.executable, SETUP.format(suffixes=[]), folder) == {
        "a.md": "WORDS OF A.MD",
        "deep/b.md": "WORDS OF DEEP/B.MD",
        "text.txt": "WORDS OF TEXT.TXT",
    }
    assert list(theirs(sys.executable, SETUP.format(suffixes=[".md"]), folder)) == ["text.txt"]
