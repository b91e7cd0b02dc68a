"""A database with a table for each type."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import pytest

from predicates.cases import STRICT


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    for kind, declared in STRICT.items():
        connection.execute(f"CREATE TABLE {kind.value}(c {declared}) STRICT")
    yield connection
    connection.close()
