"""What a commit wrote, told to whoever observes."""

from __future__ import annotations

import logging

from audiomem_sql.observe import hooks
from audiomem_sql.table.open_table import OpenTable


def tell_written(opened: OpenTable, version: int) -> None:
    """Tell how many rows a version added and deleted, which is durable and loaded."""
    if hooks.observer is None and not hooks.LOGGER.isEnabledFor(logging.DEBUG):
        return
    for each in reversed(opened.snapshot.versions):
        if each.number == version:
            hooks.rows_written(opened.path, each.inserted, each.deleted)
        if each.number <= version:
            return
