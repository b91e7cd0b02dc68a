"""Numbers of the columns that no schema lists. Every other column is named by its index in the schema."""

from __future__ import annotations

from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind

#: The column number of the rowid, which every table has and no schema lists.
ROWID = -1
#: The columns of the versions that made and that deleted each row, where a segment has them.
CREATED = -2
ENDED = -3
#: Stands for "not deleted" where versions are compared.
NEVER = (1 << 63) - 1

_NAMES = {ROWID: "rowid", CREATED: "created", ENDED: "ended"}
_INTEGER = ColumnType(Kind.INTEGER)


def type_of_column(schema: Schema, column: int) -> ColumnType:
    """The type of ``column``; hidden ones hold INTEGER."""
    return _INTEGER if column < 0 else schema.columns[column].type


def name_of_column(schema: Schema, column: int) -> str:
    """The name of ``column`` in messages."""
    return _NAMES.get(column) or schema.columns[column].name


def is_derived_column(schema: Schema, column: int) -> bool:
    """Whether ``column`` has the vectors of texts, which can be made anew."""
    return column >= 0 and schema.columns[column].vector_of >= 0
