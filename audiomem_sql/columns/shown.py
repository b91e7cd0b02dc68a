"""Rows as users get them: logical types as what they mean, all others as the engine has them.

What turns logical values is loaded with the first of them; most tables have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.types import ColumnType, shown_type

if TYPE_CHECKING:
    import pyarrow as pa


def shown_array(array: Any, column_type: ColumnType) -> Any:
    """An array, chunked or not, of ``arrow_type(column_type)`` as one of ``shown_type(column_type)``."""
    node = column_type.logical
    if node is None:
        return array
    import pyarrow as pa

    from audiomem_sql.columns.logical.forms import arrow_form

    if isinstance(array, pa.ChunkedArray):
        chunks = [arrow_form(node, chunk) for chunk in array.chunks]
        return pa.chunked_array(chunks or [arrow_form(node, array.combine_chunks())])
    return arrow_form(node, array)


def shown_images(array: Any, column_type: ColumnType) -> list[Any]:
    """What SQL sees of an array of ``shown_type(column_type)``."""
    node = column_type.logical
    if node is None:
        return sql_values(array, column_type)
    from audiomem_sql.columns.logical.forms import stored_form
    from audiomem_sql.columns.logical.texts import sql_images

    return sql_images(node, stored_form(node, array))


def common_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type in which DuckDB and polars get a column, see ``arrow_forms.common_of``."""
    if column_type.logical is None:
        return shown_type(column_type)
    from audiomem_sql.columns.logical.arrow_forms import common_of

    return common_of(column_type.logical)


def common_array(array: Any, column_type: ColumnType) -> Any:
    """An array of ``arrow_type(column_type)`` as one of ``common_type(column_type)``."""
    node = column_type.logical
    if node is None:
        return array
    import pyarrow as pa

    from audiomem_sql.columns.logical.arrow_forms import arrow_of, common_of
    from audiomem_sql.columns.logical.forms import arrow_form
    from audiomem_sql.columns.logical.texts import sql_images

    target = common_of(node)
    if target == arrow_of(node):
        return arrow_form(node, array)
    if not node.is_nested:
        return pa.array(sql_images(node, array), pa.string())
    return arrow_form(node, array).cast(target)


def shown_arrays(arrays: Sequence[Any], types: Sequence[ColumnType]) -> list[Any]:
    """Each array as :func:`shown_array` gives it."""
    return [shown_array(array, each) for array, each in zip(arrays, types, strict=True)]
