"""Folders that change, and tables that follow them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiomem_sql.ingest.identity import folder_of
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, Reading, Report, ingest
from audiomem_sql.ingest.sources import find
from audiomem_sql.ingest.walking import Rules
from audiomem_sql.table.table import Table

SEMANTIC = tuple(name.replace("body TEXT", "body TEXT SEMANTIC") for name in DEFAULT_COLUMNS)


def bring(
    table: Table, *paths: str | Path, rules: Rules | None = None, prune: bool | None = None, **how: Any
) -> Report:
    """Ingest files and folders, as the command does."""
    found = find(paths, folder_of(table.path), rules or Rules())
    return ingest(table, found.sources, Reading(), found=found, prune=prune, **how)


def rows(table: Table) -> list[tuple[object, ...]]:
    """All rows but for their keys and times, in order."""
    table.refresh()
    names = ("source", "seq", "place", "title", "body")
    return sorted(tuple(row[name] for name in names) for row in table.to_arrow().to_pylist())


def ids(table: Table) -> dict[str, int]:
    """The key of the row of each text."""
    table.refresh()
    return {row["body"]: row["id"] for row in table.to_arrow().to_pylist()}


def sources(table: Table) -> list[str]:
    """The sources of the rows, each once."""
    table.refresh()
    return sorted({row["source"] for row in table.to_arrow(columns=["source"]).to_pylist()})


@contextmanager
def without_rights() -> Iterator[None]:
    """Files are asked for as a user who is nobody, if this is root, who may read everything."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
