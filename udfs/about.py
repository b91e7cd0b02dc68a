"""``audiomem_version()``: which version of this package answers."""

from __future__ import annotations

from audiomem_sql._version import __version__
from audiomem_sql.udfs.function import INNOCUOUS, TEXT, Function


def audiomem_version(*_: object) -> str:
    """The version of this package."""
    return __version__


FUNCTIONS = (Function(audiomem_version, (), TEXT, (0,), flags=INNOCUOUS),)
