"""Tables side by side, verified when the test ends.

Every test runs with both tables: the extension's and the one in Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from model import Twins

from audiomem_sql.loadable import loadable_path

from .notes_table import con, notes  # noqa: F401
from .versioned import module, sql, table  # noqa: F401

DOORS = ("extension", "python")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "door" in metafunc.fixturenames:
        metafunc.parametrize("door", getattr(metafunc.module, "DOORS", DOORS), indirect=True)


@pytest.fixture(autouse=True)
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which table apsw connections get. Test cases of unittest choose by themselves."""
    chosen = getattr(request, "param", DOORS[0])
    assert os.path.exists(loadable_path())
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if chosen == "extension" else "off")
    return str(chosen)


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    """A connection for pairs of tables. At the end all rows are compared, and every file is verified."""
    with Twins(tmp_path) as both:
        yield both
