"""Numbers and identifiers that a catalog says, checked: whatever was unpacked may be there instead."""

from __future__ import annotations

from typing import Any

from audiomem_sql.errors import DamagedFileError

_MOST_INT64 = (1 << 63) - 1


def integer(value: Any, least: int = -(1 << 63), greatest: int = _MOST_INT64) -> int:
    """``value``, if it is an integer of the range. DamagedFileError, as from all here, if it is not."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= greatest:
        shown = value if isinstance(value, int) else type(value).__name__
        raise DamagedFileError(f"the catalog holds {shown} where a number from {least} to {greatest} must be")
    return value


def count(value: Any, greatest: int = _MOST_INT64) -> int:
    """``value``, if it is an integer from 0 to ``greatest``."""
    return integer(value, 0, greatest)


def identifier(value: Any, size: int) -> bytes:
    """``value``, if it is ``size`` bytes."""
    if not isinstance(value, bytes) or len(value) != size:
        raise DamagedFileError("the catalog holds an identifier of the wrong length")
    return value
