"""SQLAlchemy's door: ``create_engine("audiomem:///notes.flac")``.

It is SQLAlchemy's dialect of SQLite on another driver (:mod:`audiomem_sql.dbapi`), whose tables are virtual
and have a file each. Where Alembic is installed, its operations know them, too.
"""

from __future__ import annotations

from audiomem_sql.errors import MissingExtraError

try:
    import sqlalchemy  # noqa: F401
except ImportError:
    raise MissingExtraError(
        "SQLAlchemy is not installed", remedy="Run: pip install 'audiomem-sql[sqlalchemy]'"
    ) from None

from audiomem_sql.orm.sqlalchemy.dialect import AudioMemDialect

__all__ = ["AudioMemDialect"]

try:
    import audiomem_sql.orm.sqlalchemy.alembic  # noqa: F401  # Alembic knows a dialect once its class is there
except ImportError as error:  # it is not installed; a folder of migrations may have its name
    if not (error.name or "").startswith("alembic"):
        raise
