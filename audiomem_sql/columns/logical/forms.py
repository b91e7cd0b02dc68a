"""Arrays of any logical type, in Arrow's form and in the stored one."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from audiomem_sql.columns.logical import fixed
from audiomem_sql.columns.logical.nested import decode_nested, encode_nested
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.errors import DamagedFileError


def stored_form(node: Node, array: Any) -> Any:
    """The stored form of an array of ``arrow_of(node)``.

    ValueError, OverflowError or an Arrow error for a value that the type cannot hold.
    """
    return encode_nested(node, array) if node.is_nested else fixed.to_stored(node, array)


def arrow_form(node: Node, array: Any) -> Any:
    """The values of a stored array. DamagedFileError, without a place, for what is no stored form."""
    try:
        return decode_nested(node, array) if node.is_nested else fixed.from_stored(node, array)
    except (ValueError, IndexError, pa.ArrowException) as error:
        raise DamagedFileError(f"a block of {node!s:.80} holds what is none: {error}") from error
