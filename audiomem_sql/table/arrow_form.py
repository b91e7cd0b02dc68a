"""How a dataset gives logical types: as most readers of Arrow know them, or as they are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.shown import common_array, common_type
from audiomem_sql.columns.types import STORED_MARK, ColumnType, arrow_type


@dataclass(frozen=True)
class Form:
    """type, array: of a logical column, and of its stored values.

    Functions of a module, so that a dataset can be sent to another process.
    """

    type: Callable[[ColumnType], Any]
    array: Callable[[Any, ColumnType], Any]
    stored: bool = False

    def field(self, field: pa.Field, column_type: ColumnType) -> pa.Field:
        """The field of a logical column, from that of ``Schema.shown``."""
        field = field.with_type(self.type(column_type))
        return field.with_metadata({**field.metadata, **STORED_MARK}) if self.stored else field


def _as_stored(array: Any, column_type: ColumnType) -> Any:
    return array


#: What DuckDB, polars and pyarrow itself know, see ``columns.shown.common_type``.
COMMON = Form(common_type, common_array)
#: The stored values.
STORED_FORM = Form(arrow_type, _as_stored, stored=True)
