"""Connections with the loadable extension, and what the DuckDB of this run can do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import audiomem_sql as am

RELEASE = tuple(int(part) for part in duckdb.__version__.split(".")[:3])
#: Whether COPY knows formats of extensions.
HAS_COPY = RELEASE >= (1, 5, 6)


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A connection with the extension; the working directory is the test's folder."""
    monkeypatch.chdir(tmp_path)
    with duckdb.connect(config={"threads": 2, "allow_unsigned_extensions": "true"}) as connection:
        am.load(connection)
        yield connection


#: What the second interface hands over is tested in the releases that the scan is built for.
HAS_SECOND_INTERFACE = duckdb.__version__ in ("2.0.0", "2.0.1")

#: Before 1.5.6 nothing of these is there: test_write_function.py says what COPY does then, and the trees of
#: test_hive.py are made with it.
collect_ignore = [] if HAS_COPY else ["test_copy.py", "test_copy_over_a_table.py", "test_hive.py"]
if not HAS_SECOND_INTERFACE:
    collect_ignore.append("test_second_interface.py")

#: Of test_hive.py: DuckDB before 2.0 takes some values of folders for other types, reads no row of a column
#: that is a folder's key, too, and does not say through its stable interface what a query asks of files.
_OF_2 = (
    "test_types_of_values",
    "test_types_that_are_given",
    "test_files_without_such_rows_are_not_read",
    "read('over',",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what only DuckDB 2 can judge."""
    if not HAS_SECOND_INTERFACE:
        items[:] = [
            item
            for item in items
            if item.path.name != "test_hive.py" or not any(name in item.name for name in _OF_2)
        ]
