"""Opens a table as a lazy Arrow dataset."""

from __future__ import annotations

import os
from datetime import datetime

from audiomem_sql.table.arrow_dataset import FlacDataset
from audiomem_sql.table.arrow_form import COMMON, Form
from audiomem_sql.table.contract import ReadableTable
from audiomem_sql.table.reader import TableReader


def dataset(
    table: ReadableTable | str | os.PathLike[str],
    *,
    version: int | str | None = None,
    as_of: str | datetime | None = None,
    live: bool = False,
    coded: bool = False,
    evolving: bool = False,
    form: Form = COMMON,
) -> FlacDataset:
    """A table as a lazy Arrow dataset.

    table: a path, or an open table, which then stays whose it is. version, as_of: the table as it was, by
    number, by tag or by time. live: every query sees the newest version, instead of all of them the same.
    coded, evolving, form: as in :class:`~audiomem_sql.table.arrow_dataset.FlacDataset`.
    """
    if isinstance(table, str | os.PathLike):
        opened = TableReader(table, version=version, as_of=as_of)
        return FlacDataset(opened, live=live, coded=coded, evolving=evolving, form=form)
    if version is None and as_of is None:
        return FlacDataset(table, live=live, coded=coded, evolving=evolving, form=form)
    snapshot = table.at(version, as_of)
    return FlacDataset(table, snapshot=snapshot, coded=coded, evolving=evolving, form=form)
