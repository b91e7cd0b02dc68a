"""A table with five versions, in the log, in deltas or in its base."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.table.table import Table
from audiomem_sql.vtab.apsw import table as sqlite
from audiomem_sql.vtab.apsw.table import Module

ROWS = {
    2: [(1, "one"), (2, "two")],
    3: [(1, "one"), (2, "zwei")],
    4: [(2, "zwei"), (7, "seven")],
    5: [(2, "zwei"), (7, "seven")],
}


@pytest.fixture
def module(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Module]:
    """The module, on a connection to a database in the test's folder."""
    options = MODULATIONS[getattr(request, "param", "pcm")]
    sound = "".join(f", {name}={value}" for name, value in options.items())
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    module = sqlite.register(connection)
    sqlite.register_functions(connection, module)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, name TEXT UNIQUE{sound})"
    )
    yield module
    connection.close()


@pytest.fixture
def table(module: Module) -> Table:
    """Table t: version 1 is empty, 2 to 4 change rows, 5 holds the tag ``half`` of version 3.

    All are in the log.
    """
    sql = module.find("t").connection.apsw
    sql.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    sql.execute("UPDATE t SET name = 'zwei' WHERE id = 2")
    sql.execute("BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (7, 'seven'); COMMIT")
    table = module.find("t").table
    table.tag("half", 3)
    return table


@pytest.fixture
def sql(module: Module, table: Table) -> apsw.Connection:
    """The connection with that table."""
    return module.find("t").connection.apsw


#: Where the commits are: in the log, in deltas, in one delta, in the base.
PLACES: dict[str, list[str]] = {
    "log": [],
    "delta": ["checkpoint"],
    "merged": ["checkpoint", "INSERT", "checkpoint", "INSERT", "merge"],
    "base": ["vacuum"],
}


def settle(sql: apsw.Connection, place: str) -> None:
    for step in PLACES[place]:
        if step == "INSERT":
            sql.execute("INSERT INTO t(name) VALUES (hex(randomblob(8)))")
        else:
            sql.execute("INSERT INTO t(t) VALUES (?)", (step,))


def rows(sql: apsw.Connection, where: str, *bindings: Any) -> list[Any]:
    return sql.execute(f"SELECT id, name FROM t WHERE {where} ORDER BY id", bindings).fetchall()
