"""Observing that ends with the test."""

from __future__ import annotations

import re
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiomem_sql import observe
from audiomem_sql.observe import hooks
from audiomem_sql.table.table import Table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def observing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hooks, "tables", weakref.WeakSet())  # not those that other tests left open
    observe.start()
    yield
    observe.stop()


def values(name: str, **labels: str) -> dict[tuple[tuple[str, str], ...], float]:
    """The samples of a metric that have these labels, by their labels."""
    found = {}
    for line in observe.metrics_text().decode().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match is None or match[1] != f"audio_memory_{name}":
            continue
        own = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        if labels.items() <= own.items():
            found[tuple(sorted(own.items()))] = float(match[3])
    return found


def value(name: str, **labels: str) -> float:
    """The sum of those samples."""
    return sum(values(name, **labels).values())


def filled(path: Path, rows: int = 300, **options: str) -> Path:
    """A table with some rows in one commit."""
    with Table.create(path, ["id INTEGER PRIMARY KEY", "a TEXT INDEXED", "b INTEGER"], options) as table:
        table.append([{"id": n, "a": f"word {n % 7}", "b": n} for n in range(rows)])
    return path
