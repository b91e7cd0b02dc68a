"""The settings of DuckDB's loadable extension, ``SET audiomem_cache = '256MB'``, from DuckDB 1.5.6 on.

All are text, and empty where they are not set. C reads them as a statement is bound.
"""

from __future__ import annotations

import re

from audiomem_sql.errors import OptionError
from audiomem_sql.machine.block_cache import SHARED

_PREFIX = "audiomem_"
#: (name, description). What follows the first are options of a table.
SETTINGS = (
    ("audiomem_cache", "decoded blocks that this process keeps, as 256MB; empty: what its tables call for"),
    ("audiomem_profile", "profile of the tables that COPY writes"),
    ("audiomem_protection", "protection of the tables that COPY writes"),
    ("audiomem_compression_level", "compression level of the tables that COPY writes"),
    ("audiomem_model", "model of the SEMANTIC columns of the tables that COPY writes"),
)
#: Those of new tables.
OF_TABLES = tuple(name for name, _ in SETTINGS[1:])
_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(K|M|G|KI|MI|GI|)B?", re.IGNORECASE)


class _Cache:
    """What the setting said last: until it says something, who sets the capacity in Python is left alone."""

    text = ""


def use_cache(text: str | None) -> None:
    """Let the cache of blocks have the size of the setting; called by C."""
    text = (text or "").strip()
    if text == _Cache.text:
        return
    SHARED.capacity = bytes_of(text) if text else None
    _Cache.text = text


def bytes_of(text: str) -> int:
    """A number of bytes, with a unit as DuckDB's ``memory_limit`` has it. OptionError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise OptionError(
            f"{text!r} is no size", remedy="SET audiomem_cache = '256MB', or a number of bytes; RESET it."
        )
    return int(float(match[1]) * _UNITS[match[2].upper()])


def of_tables(values: list[str | None]) -> dict[str, str]:
    """The options of a table that are set; values: of the settings :data:`OF_TABLES`."""
    return {name.removeprefix(_PREFIX): value for name, value in zip(OF_TABLES, values, strict=True) if value}
