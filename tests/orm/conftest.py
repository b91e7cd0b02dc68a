"""Engines that are found by the entry point of the package, as an installed one is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from entry_points import write_entry_points


@pytest.fixture
def make_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., sa.Engine]]:
    """Engines by what stands behind ``audiomem:///`` and the folder of the test."""
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path / "path")))
    made = []

    def make(name: str, **options: object) -> sa.Engine:
        made.append(sa.create_engine(f"audiomem:///{tmp_path}/{name}", **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(make_engine: Callable[..., sa.Engine]) -> sa.Engine:
    """An engine for a new database."""
    return make_engine("base.sqlite")
