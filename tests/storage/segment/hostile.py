"""Changes of catalogs that their checksums do not tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sealed import Sealed

from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems


def use(path: Path) -> None:
    """Open, read everything, and look up some rows."""
    with Table(path) as table:
        for batch in table.scan():
            batch.validate(full=True)
        table.get(3)
        table.to_arrow(where="code = 'K000003'")
        for segment in table.snapshot.segments:
            segment.rowids()
            segment.tombstones()
            segment.may_contain(-1, 7)
            segment.may_contain(10, "K000003")


def array(entry: bytes, dtype: str, **changes: int) -> bytes:
    values = np.frombuffer(entry, dtype).copy()
    for place, value in changes.items():
        values[int(place[1:])] = value
    return values.tobytes()


def column(sealed: Sealed, name: str) -> dict[str, Any]:
    names = [definition["name"] for definition in sealed.catalog["schema"]]
    found: dict[str, Any] = sealed.catalog["columns"][names.index(name)]
    return found


def change(*keys: Any, value: Any) -> Callable[[Sealed], None]:
    """Put ``value`` at a place of the catalog."""

    def action(sealed: Sealed) -> None:
        container: Any = sealed.catalog
        for key in keys[:-1]:
            container = container[key]
        container[keys[-1]] = value(container[keys[-1]]) if callable(value) else value

    action.__name__ = (
        "-".join(map(str, keys)) + "=" + (value.__name__ if callable(value) else repr(value)[:30])
    )
    return action


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


def found_by_verify(path: Path) -> str:
    with Table(path) as table:
        return "\n".join(map(str, problems(table)))
