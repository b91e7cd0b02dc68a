"""Files read as `audiomem ingest` reads them: their kinds found, their rows, and what could not be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiomem_sql.errors import AudioMemError
from audiomem_sql.ingest.documents.content import Problems
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources

Row = dict[str, Any]


def read(path: Path) -> tuple[list[Row], list[AudioMemError]]:
    """The rows of one file, and the problems inside it."""
    refused: list[str] = []
    sources = find_sources([path], on_skip=lambda _, reason: refused.append(reason))
    assert len(sources) == 1, refused
    problems = Problems()
    rows = list(rows_of(sources[0], problems=problems))
    return rows, problems.all(sources[0].name)


def rows_of_file(path: Path) -> list[Row]:
    """The rows of one file that has no problems inside."""
    rows, problems = read(path)
    assert not problems, problems
    return rows


def kind_of(path: Path) -> str:
    """The kind that a file is taken for."""
    return find_sources([path])[0].kind
