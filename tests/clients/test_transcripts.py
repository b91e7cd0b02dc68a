"""docs/CLIENTS.md is run from its first line to its last, in one folder.

``<!-- run: shell -->`` is a session: a command, what is typed behind its prompt, and all that it prints.
``console`` and ``python`` are as in the README; each block of Python is a process of its own.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from .conftest import ENVIRONMENT, ROOT, Said

DOCUMENT = ROOT / "docs" / "CLIENTS.md"
_BLOCK = re.compile(r"<!-- run: (?P<how>\w+) -->\n```\w*\n(?P<code>.*?)```", re.DOTALL)
_PROMPT = re.compile(r"^(?:sqlite>|D|memory D|\s+\.\.\.>) ")


def test_every_transcript(tmp_path: Path, python: Callable[[str], Said]) -> None:
    text = DOCUMENT.read_text()
    ran = 0
    for block in _BLOCK.finditer(text):
        how, code = block["how"], block["code"]
        if how == "python":
            said = python(code)
            assert (said.code, said.err) == (0, ""), code
        elif how == "shell":
            command, *lines = code.splitlines()
            typed = [_PROMPT.sub("", line) for line in lines if _PROMPT.match(line)]
            shown = [line for line in lines if not _PROMPT.match(line)]
            _same(command.removeprefix("$ "), "\n".join(typed) + "\n", shown, tmp_path)
        else:
            for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                _same(command, "", shown, tmp_path)
        ran += 1
    assert ran == len(re.findall(r"^```\w", text, re.MULTILINE))


def _same(command: str, typed: str, shown: list[str], folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", command],
        input=typed,
        capture_output=True,
        text=True,
        cwd=folder,
        env=ENVIRONMENT | {"HOME": str(folder), "PYTHONPATH": str(ROOT)},  # this tree, whichever is installed
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    assert done.stdout.splitlines() == shown, command
