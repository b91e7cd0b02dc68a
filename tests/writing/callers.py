"""Calls in threads of their own, and the rows of the tables that they share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT UNIQUE", "v INTEGER"]


def create(path: Path) -> Table:
    return Table.create(path, COLUMNS, {"profile": "embedded"})


class Call(threading.Thread):
    """A call in a thread of its own: what it returned, or what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._function = function
        self.value: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self._function()
        except BaseException as error:
            self.error = error

    def result(self) -> Any:
        self.join(60)
        assert not self.is_alive(), "it hangs"
        if self.error is not None:
            raise self.error
        return self.value


def rows_at(table: Table, version: int) -> set[tuple[Any, ...]]:
    with table.checkout(version=version) as old:
        return rows(old)


def rows(table: Any) -> set[tuple[Any, ...]]:
    found = [tuple(row.values()) for row in table.to_arrow().to_pylist()]
    assert len(set(found)) == len(found) == len(table)
    return set(found)
