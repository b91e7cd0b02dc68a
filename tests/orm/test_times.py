"""SQLAlchemy's DateTime, Date and Time: what was stored is found, by objects and by text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from audiomem_sql.sqlalchemy import AudioMemDialect
from audiomem_sql.table.table import Table

BERLIN = timezone(timedelta(hours=2))
MOMENTS = [datetime(2024, 3, 1, hour, 0, 0, micro) for hour in range(12) for micro in (0, 500_000)]
DAYS = [date(2024, 2, 20) + timedelta(days=count) for count in range(24)]
TIMES = [time(hour, 30, 0, micro) for hour in range(12) for micro in (0, 5)]


class Base(DeclarativeBase):
    pass


class Event(Base):
    __tablename__ = "event"
    id: Mapped[int] = mapped_column(primary_key=True)
    moment: Mapped[datetime]
    day: Mapped[date]
    clock: Mapped[time]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A session on a table with a row for each hour and half of one."""
    sa.dialects.registry.register("audiomem", "audiomem_sql.sqlalchemy", "AudioMemDialect")
    columns = ("id INTEGER PRIMARY KEY", "moment TIMESTAMP", "day TEXT", "clock TEXT")
    Table.create(tmp_path / "event.flac", columns).close()
    engine = sa.create_engine(f"audiomem:///{tmp_path}/event.flac")
    with Session(engine) as made:
        for number, values in enumerate(zip(MOMENTS, DAYS, TIMES, strict=True)):
            moment, day, clock = values
            made.add(Event(id=number, moment=moment, day=day, clock=clock))
        made.commit()
        yield made
    engine.dispose()


def found(session: Session, condition: Any) -> list[int]:
    return list(session.scalars(sa.select(Event.id).where(condition).order_by(Event.id)))


@pytest.mark.parametrize("name", ["moment", "day", "clock"])
def test_a_stored_value_finds_its_row(session: Session, name: str) -> None:
    session.expire_all()
    column = getattr(Event, name)
    for number in (0, 10, 11, 23):
        value = getattr(session.get(Event, number), name)
        assert value == {"moment": MOMENTS, "day": DAYS, "clock": TIMES}[name][number]
        assert found(session, column == value) == [number]
        assert found(session, column != value) == [i for i in range(24) if i != number]
        assert found(session, column < value) == list(range(number))
        assert found(session, column >= value) == list(range(number, 24))
        assert found(session, column.between(value, value)) == [number]
        assert found(session, column.in_([value])) == [number]
        text = sa.text(f"SELECT id FROM event WHERE {name} = :value")
        assert session.scalars(text, {"value": value}).all() == [number]
        text = sa.text(f"SELECT count(*) FROM event WHERE {name} > :value")
        assert session.scalar(text, {"value": value}) == 23 - number
    assert list(session.scalars(sa.select(Event.id).order_by(column.desc()))) == list(range(23, -1, -1))
    assert session.scalar(sa.select(sa.func.max(column))) == getattr(session.get(Event, 23), name)


def test_a_moment_with_a_zone_is_the_same_moment(session: Session) -> None:
    aware = MOMENTS[10].replace(tzinfo=UTC).astimezone(BERLIN)
    assert found(session, Event.moment == aware) == [10]
    assert session.scalar(sa.text("SELECT id FROM event WHERE moment = :at"), {"at": aware}) == 10
    session.add(Event(id=30, moment=aware, day=DAYS[0], clock=TIMES[0]))
    session.commit()
    session.expire_all()
    assert session.get_one(Event, 30).moment == MOMENTS[10]
    zoned = sa.column("moment", sa.DateTime(timezone=True))
    query = sa.select(zoned).select_from(sa.table("event")).where(zoned == aware)
    assert session.scalars(query).all() == [aware, aware]


def test_a_day_of_a_timestamp_is_its_midnight(session: Session) -> None:
    moment = sa.column("moment", sa.Date)
    query = sa.select(moment).select_from(sa.table("event"))
    assert session.scalars(query.where(moment == date(2024, 3, 1))).all() == [date(2024, 3, 1)]
    assert len(session.scalars(query.where(moment > date(2024, 3, 1))).all()) == 23
    assert found(session, Event.moment > date(2024, 3, 1)) == list(range(1, 24))


def test_a_table_of_pandas_takes_times_as_parameters(session: Session) -> None:
    engine = session.get_bind()
    for value in (MOMENTS[10], pd.Timestamp(MOMENTS[10]), pd.Timestamp(MOMENTS[10]).to_datetime64()):
        frame = pd.read_sql("SELECT id FROM event WHERE moment >= ?", engine, params=(value,))
        assert frame["id"].tolist() == list(range(10, 24))
    frame = pd.read_sql(
        sa.text("SELECT id FROM event WHERE moment IN (:a, :b)"), engine, params={"a": MOMENTS[1], "b": None}
    )
    assert frame["id"].tolist() == [1]


def test_what_is_no_time_is_a_data_error(session: Session) -> None:
    with pytest.raises(sa.exc.DataError, match="column moment: 'yesterday' is no timestamp"):
        session.scalars(sa.text("SELECT id FROM event WHERE moment = :at"), {"at": "yesterday"}).all()
    assert found(session, Event.moment == "2024-03-01T10:00:00Z") == [20]
    with pytest.raises(sa.exc.StatementError, match="DateTime takes datetime or date, not 5"):
        session.execute(sa.insert(Event).values(id=40, moment=5, day=DAYS[0], clock=TIMES[0]))
    with pytest.raises(sa.exc.StatementError, match="Time takes time, not '10:00'"):
        session.execute(sa.insert(Event).values(id=40, moment=MOMENTS[0], day=DAYS[0], clock="10:00"))
    with pytest.raises(sa.exc.StatementError, match="time of day with a zone"):
        found(session, Event.clock == time(10, tzinfo=UTC))


def test_a_format_of_the_users_own_is_kept() -> None:
    dialect = AudioMemDialect()
    moment = sqlite.DATETIME(storage_format="%(year)04d%(month)02d%(day)02d")
    assert moment.dialect_impl(dialect).bind_processor(dialect)(MOMENTS[0]) == "20240301"
    clock = sqlite.TIME(storage_format="%(hour)02d")
    assert clock.dialect_impl(dialect).bind_processor(dialect)(TIMES[-1]) == "11"
    day = sqlite.DATE(regexp=r"(\d+)/(\d+)/(\d+)", storage_format="%(year)d/%(month)d/%(day)d").dialect_impl(
        dialect
    )
    assert day.bind_processor(dialect)(DAYS[0]) == "2024/2/20"
    assert day.result_processor(dialect, None)("2024/2/20") == DAYS[0]
    assert sa.DateTime().dialect_impl(dialect).bind_processor(dialect)(None) is None
