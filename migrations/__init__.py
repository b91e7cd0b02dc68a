"""How tables change over time: the format versions of their files, and the steps that change their columns.

A file of any format version in ``SUPPORTED`` opens; version 1 is the first, and what came since is a feature
that a segment names when it needs it. Changes of the columns are steps, numbered in the order in which a
table went through them, and recorded in the file by the commit that applies them (:func:`migrate`).
"""

from __future__ import annotations

from audiomem_sql.migrations.changes import (
    AddColumn,
    DropColumn,
    DropSemantic,
    IndexColumn,
    RenameColumn,
    SchemaChange,
    SetSemantic,
    UnindexColumn,
    parse_change,
)
from audiomem_sql.migrations.steps import migrate
from audiomem_sql.storage.pages import FORMAT_VERSION

__all__ = [
    "SUPPORTED",
    "AddColumn",
    "DropColumn",
    "DropSemantic",
    "IndexColumn",
    "RenameColumn",
    "SchemaChange",
    "SetSemantic",
    "UnindexColumn",
    "migrate",
    "parse_change",
]

#: Format versions that this package reads.
SUPPORTED = range(1, FORMAT_VERSION + 1)
