"""What a commit message must be like."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tools import commit_message

ROOT = Path(__file__).parents[2]
BODY = "\n\nOne class knew too much.\n"


def faults(message: str) -> list[str]:
    return list(commit_message.faults(message))


@pytest.mark.parametrize(
    "subject",
    [
        "Split the segment writer by subject",
        "Pass the profile on",
        "Embed texts in batches of one length",
        "Bring back the old name",
        "Address cells by page",
        "Focus",
        "Re-read the log after a crash",
        "x".upper() + "y" * (72 - 1),
    ],
)
def test_what_is_accepted(subject: str) -> None:
    assert faults(subject + BODY) == []


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("Added a test", '"Added" is no imperative'),
        ("Adds a test", '"Adds" is no imperative'),
        ("Adding a test", '"Adding" is no imperative'),
        ("Fixes", '"Fixes" is no imperative'),
        ("Is faster", '"Is" is no imperative'),
        ("A table without data by bands: its second catalog is read as one", '"A" is no imperative'),
        ("What is heard is packed as what is written is", '"What" is no imperative'),
        ("add a test", "begins with a small letter"),
        ("Add a test.", "ends with a full stop"),
        ("README: what importance is good for", "does not begin with a verb"),
        ("fix: a scope", "does not begin with a verb"),
        ("42 more tests", "does not begin with a verb"),
        ("Xy" + "z" * 71, "has 73 characters; 72 at most"),
    ],
)
def test_subjects_that_are_refused(subject: str, fault: str) -> None:
    assert any(fault in found for found in faults(subject + BODY)), faults(subject + BODY)


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("", "the first line is empty"),
        ("\n\nAdd a test", "the first line is empty"),
        ("Add a test\n", "there is no body"),
        ("Add a test\n\n# Please enter the commit message\n", "there is no body"),
        ("Add a test\nbecause it was missing\n", "the second line is not blank"),
        ("Add a test\n\nBecause" + " it" * 40, "line 3 has 127 characters; 100 at most"),
        ("Add a test\n\n# ----- >8 -----\ndiff --git a/x b/x\n", "there is no body"),
    ],
)
def test_bodies_that_are_refused(message: str, fault: str) -> None:
    assert len(faults(message)) == 1
    assert fault in faults(message)[0]


@pytest.mark.parametrize(
    "message",
    [
        "Merge branch 'main' into rooms\n",
        'Revert "Added a test"\n\nThis reverts commit 0123.\n',
        "fixup! Split the segment writer by subject\n",
        f"Add a link\n\nhttps://example.org/{'x' * 120}\n",  # nothing to break it at
        "Add a test\n\nIt was missing.\n# Changes to be committed:" + " x" * 60,
    ],
)
def test_messages_of_git_and_what_cannot_be_broken(message: str) -> None:
    assert faults(message) == []


def test_the_program(tmp_path: Path) -> None:
    file = tmp_path / "COMMIT_EDITMSG"
    for message, code in (("Add a test" + BODY, 0), ("Added a test.\n", 1)):
        file.write_text(message)
        command = [sys.executable, str(ROOT / "tools" / "commit_message.py"), str(file)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == code
        assert len(done.stderr.splitlines()) == (3 if code else 0)
