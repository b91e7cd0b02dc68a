"""Python's values that are texts in SQL: dates and times, exact numbers, and UUIDs."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import numpy as np

from audiomem_sql.columns.timestamps import sql_text
from audiomem_sql.errors import DataTypeError

#: The types of the values that :func:`parameter_text` takes.
TEXTS: Final = (date, time, np.datetime64, Decimal, UUID)


def parameter_text(value: Any) -> str | None:
    """The text for a parameter of one of ``TEXTS``; None for NaT. DataTypeError for what has no text."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise DataTypeError(f"{value} is no finite number", remedy="Pass None, or a float")
        return str(value)
    return sql_text(value)
