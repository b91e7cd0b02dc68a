"""The table that all doors share: read, written, kept in shape, described, displayed, as an Arrow dataset.

What the rooms above use:

- ``TableReader`` reads a table, ``Table`` writes to it, too; ``ReadableTable`` is what a function that only
  reads should ask for
- ``ChangedRows`` is what its ``delete``, ``update``, ``upsert`` and ``merge_rows`` did
- ``dataset`` opens a table as a ``FlacDataset``
- ``describe`` says what is known without reading rows; ``html_of`` shows that in a notebook
- ``scrub`` and ``Scrubber`` look for damage, slowly

Useful for whoever has a path and wants rows. Not for SQL, which is the matter of ``vtab``.

Inside, one direction: ``contract`` → ``open_table`` (files, snapshot, options) → ``rows`` (queries),
``session`` (who writes) → ``transactions``, ``appends``, ``row_edits``, ``upkeep``, ``schema_changes``,
``creation`` (what is written) → ``reader``, ``table`` (the faces).

A name is imported when it is asked for first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomem_sql.table.arrow_dataset import FlacDataset
    from audiomem_sql.table.contract import ReadableTable
    from audiomem_sql.table.description import describe
    from audiomem_sql.table.display import html_of
    from audiomem_sql.table.open_dataset import dataset
    from audiomem_sql.table.reader import TableReader
    from audiomem_sql.table.row_edits import ChangedRows
    from audiomem_sql.table.scrubbing import Scrubber, scrub
    from audiomem_sql.table.table import Table

__all__ = [
    "ChangedRows",
    "FlacDataset",
    "ReadableTable",
    "Scrubber",
    "Table",
    "TableReader",
    "dataset",
    "describe",
    "html_of",
    "scrub",
]

_MODULES = {
    "ChangedRows": "row_edits",
    "FlacDataset": "arrow_dataset",
    "ReadableTable": "contract",
    "Scrubber": "scrubbing",
    "Table": "table",
    "TableReader": "reader",
    "dataset": "open_dataset",
    "describe": "description",
    "html_of": "display",
    "scrub": "scrubbing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
