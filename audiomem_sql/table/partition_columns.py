"""The columns that readers of partitions give, in the order that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from audiomem_sql.errors import SchemaError, did_you_mean


def chosen(schema: pa.Schema, columns: Sequence[str] | None) -> pa.Schema:
    """The columns called ``columns``, all by default. SchemaError for one that is not there."""
    names = schema.names if columns is None else list(columns)
    for name in names:
        if name not in schema.names:
            raise SchemaError(
                f"there is no column {name!r}",
                remedy=f"{did_you_mean(name, schema.names)}The columns are {', '.join(schema.names)}",
            )
    return pa.schema([schema.field(name).remove_metadata() for name in names])
