"""``audiomem_version()``: which version of this package answers."""

from __future__ import annotations

import apsw

from audiomem_sql._version import __version__


def audiomem_version(*_: object) -> str:
    """The version of this package."""
    return __version__


def register(connection: apsw.Connection) -> None:
    """Make the function known to ``connection``."""
    connection.create_scalar_function("audiomem_version", audiomem_version, 0, deterministic=True)
