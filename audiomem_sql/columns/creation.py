"""What a new table must fulfil beyond the grammar: defaults that fit, CHECKs that SQLite understands."""

from __future__ import annotations

from audiomem_sql.columns.checks import Checks
from audiomem_sql.columns.defaults import check_default
from audiomem_sql.columns.schema import Schema


def check_definitions(schema: Schema) -> None:
    """Raise SchemaError, naming the column, for what SQLite would refuse at CREATE or at the first INSERT.

    A schema from a catalog is not looked at again: it was when its table was made.
    """
    for column in schema.columns:
        check_default(column)
    if schema.checks:
        Checks(schema)
