"""How values of SQLAlchemy's DateTime, Date and Time are written and read: as every other door does it.

A DateTime is a TIMESTAMP, microseconds UTC. Days and times of day are TEXT, ``YYYY-MM-DD`` and ``HH:MM:SS``,
with ``.ffffff`` where that is not zero, so that their order as texts is that of their values.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import types
from sqlalchemy.dialects.sqlite import base as sqlite

from audiomem_sql.columns.timestamps import sql_text

__all__ = ["COLUMN_TYPES", "Day", "Moment", "TimeOfDay"]

Processor = Callable[[Any], Any]


def _written(kinds: tuple[Any, ...], name: str) -> Processor:
    def process(value: Any) -> str | None:
        if value is not None and not isinstance(value, kinds):
            raise TypeError(f"{name} takes {' or '.join(kind.__name__ for kind in kinds)}, not {value!r}")
        return None if value is None else sql_text(value)

    return process


class Moment(sqlite.DATETIME):
    """A datetime; one with a zone is stored as the same moment in UTC.

    ``DateTime(timezone=True)`` reads it back with the zone UTC, ``DateTime()`` without a zone.
    """

    def bind_processor(self, dialect: Any) -> Any:
        """From datetime or date to text."""
        if self._storage_format != sqlite.DATETIME._storage_format:
            return super().bind_processor(dialect)
        return _written((datetime, date), "DateTime")

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """From text to datetime."""
        read = super().result_processor(dialect, coltype)
        if not self.timezone or read is None:
            return read

        def process(value: Any) -> Any:
            moment = read(value)
            return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment

        return process


class Day(sqlite.DATE):
    """A date; of a TIMESTAMP it reads the day."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """From text to date."""
        read = super().result_processor(dialect, coltype)
        if self._reg or read is None:
            return read
        return lambda value: read(
            value[:10] if isinstance(value, str) and value[10:11] in (" ", "T") else value
        )


class TimeOfDay(sqlite.TIME):
    """A time of day."""

    def bind_processor(self, dialect: Any) -> Any:
        """From time to text."""
        if self._storage_format != sqlite.TIME._storage_format:
            return super().bind_processor(dialect)
        return _written((time,), "Time")


#: For ``colspecs`` of a dialect.
COLUMN_TYPES = {types.DateTime: Moment, types.Date: Day, types.Time: TimeOfDay}
