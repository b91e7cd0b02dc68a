"""Commands for a terminal that docs/CLIENTS.md gives: the tests run them as they stand there."""

from __future__ import annotations

import re

from .conftest import ROOT


def command_with(text: str, page: str = "CLIENTS.md") -> str:
    """The one command of an indented block of a page that has this text, without its prompt."""
    lines = re.findall(r"^    \$ (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    (command,) = [line for line in lines if text in line]
    return str(command)
