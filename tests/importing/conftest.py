"""Files of rows, and what a table has after they were imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.importing.importing import Imported, Order, import_files
from audiomem_sql.table.table import Table

Import = Callable[..., Imported]


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """Imports files of an empty folder into kb.flac there; texts become files first."""
    monkeypatch.chdir(tmp_path)

    def run(*sources: str, target: str = "kb.flac", **order: Any) -> Imported:
        return import_files(sources, target, Order(**order))

    return run


def write(name: str, content: str | bytes) -> str:
    """A file in the folder of the test; its name."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def rows(path: str = "kb.flac") -> list[dict[str, Any]]:
    """All rows of a table."""
    with Table(path) as table:
        return table.to_arrow().to_pylist()


def types(path: str = "kb.flac") -> dict[str, str]:
    """The types of a table's columns."""
    with Table(path) as table:
        return {column.name: str(column.type) for column in table.schema.columns}


def others(path: str = "kb.flac") -> list[str]:
    """What is in the folder beside the files that a test wrote, which begin with no dot."""
    return sorted(name for name in os.listdir() if name.startswith((".", path)))
