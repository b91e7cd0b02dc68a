"""Texts of SQLite that are not UTF-8: it takes them from any program, and CAST makes them of blobs.

They reach Python with their bytes as surrogates (PEP 383), and are refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from audiomem_sql.columns.table_names import is_utf8
from audiomem_sql.errors import DataTypeError


def is_not_utf8(value: Any) -> bool:
    """Whether a value is such a text, or a list with one in it."""
    if isinstance(value, list):
        return any(map(is_not_utf8, value))
    return isinstance(value, str) and not is_utf8(value)


def refused_text(what: str, values: Iterable[Any]) -> DataTypeError:
    """The error for the first of ``values`` that is not UTF-8."""
    bad = next(value for value in values if is_not_utf8(value))
    text = next(filter(is_not_utf8, bad)) if isinstance(bad, list) else bad
    return DataTypeError(
        f"{what}: {os.fsencode(text)[:40]!r}",
        remedy="Convert it to UTF-8 first, or keep the bytes: CAST(… AS BLOB), in a column of type BLOB",
    )
