"""The columns of tables that take sources."""

from __future__ import annotations

from audiomem_sql.errors import SchemaError
from audiomem_sql.ingest.reading import COLUMNS
from audiomem_sql.table.table import Table

#: The table that is made for sources when there is none.
DEFAULT_COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "source TEXT",
    "place TEXT",
    "seq INTEGER",
    "title TEXT",
    "body TEXT",
    "created_at TIMESTAMP",
    "importance REAL",
)
#: Columns that a table must have to take sources.
REQUIRED_COLUMNS = ("source", "seq", "body")


def check_columns(table: Table) -> None:
    """SchemaError unless ``table`` has the columns that sources need."""
    for name in REQUIRED_COLUMNS:
        if name not in table.schema:
            raise SchemaError(
                f"the table has no column {name}, which ingested text needs",
                file=table.path,
                remedy=f"Ingest into a new file, or into a table with {', '.join(COLUMNS)}.",
            )
