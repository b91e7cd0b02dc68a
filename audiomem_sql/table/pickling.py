"""A table that travels to another process: its path and version, to be opened there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.versions import Snapshot


def reduced(kind: Callable[..., Any], readable: object, opened: OpenTable) -> tuple[Any, ...]:
    """What pickle keeps of a table of class ``kind``. UnsupportedError if elsewhere it had other rows.

    readable: what this thread sees of it.
    """
    if not isinstance(readable, Snapshot):
        raise UnsupportedError(
            "a table with an open transaction cannot be pickled",
            file=opened.path,
            remedy="Commit it first.",
        )
    if opened.arrived is not None:
        raise UnsupportedError(
            "a table that has arrived in part cannot be pickled: elsewhere it may have other rows",
            file=opened.path,
            remedy="Wait until all of it is there.",
        )
    version = None if opened.salvage else opened.snapshot.version
    how = opened.salvage, opened.on_damage, opened.replicas
    return _reopened, (kind, opened.files.address, version, *how)


def _reopened(
    kind: Callable[..., Any],
    path: str,
    version: int | None,
    salvage: bool,
    on_damage: str,
    replicas: tuple[str, ...] = (),
) -> Any:
    """A table that was pickled."""
    return kind(path, version=version, salvage=salvage, on_damage=on_damage, replicas=replicas)
