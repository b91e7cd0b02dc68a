"""Tables side by side, verified when the test ends.

Every test runs with both tables: the extension's and the one in Python.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import apsw
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
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Which table apsw connections get. Test cases of unittest choose by themselves.

    Connections that the test leaves open are closed: apsw has 33 places in a process for modules that
    PRAGMA integrity_check asks, and one with tables stays until it is closed.
    """
    chosen = getattr(request, "param", DOORS[0])
    assert os.path.exists(loadable_path())
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if chosen == "extension" else "off")
    before = apsw.connections()
    yield str(chosen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for connection in apsw.connections():
            if all(connection is not other for other in before) and _has_our_module(connection):
                connection.close()


def _has_our_module(connection: apsw.Connection) -> bool:
    """Whether it is a test's, not one that the package keeps for questions of its own."""
    try:
        return bool(connection.execute("SELECT 1 FROM pragma_module_list WHERE name = 'audiomem'").get)
    except apsw.Error:  # it is closed, or locked
        return False


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    """A connection for pairs of tables. At the end all rows are compared, and every file is verified."""
    with Twins(tmp_path) as both:
        yield both
