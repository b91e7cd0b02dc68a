"""SQLAlchemy's own dialect for SQLite, with the extension: it needs to be told that there is no RETURNING."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pysqlite3
import sqlalchemy as sa
from sqlalchemy import orm

import audiomem_sql as am


class Base(orm.DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    title: orm.Mapped[str]


def test_the_recipe(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/base.db", module=pysqlite3)
    engine.dialect.insert_returning = False

    @sa.event.listens_for(engine, "connect")
    def load(connection: Any, record: object) -> None:
        am.load(connection)

    create = "CREATE VIRTUAL TABLE note USING audiomem('note.flac', id INTEGER PRIMARY KEY, title TEXT)"
    with engine.begin() as connection:
        connection.execute(sa.text(create))
    with orm.Session(engine) as session:
        notes = [Note(title=str(number)) for number in range(3)]
        session.add_all(notes)
        session.flush()
        assert [note.id for note in notes] == [1, 2, 3]
        session.add(Note(title="single"))
        session.commit()
        session.execute(sa.insert(Note), [{"title": "bulk"}] * 3)
        notes[0].title = "changed"
        session.delete(notes[1])
        session.commit()
        ids = sa.select(Note.id, Note.title).order_by(Note.id)
        found = [(1, "changed"), (3, "2"), (4, "single"), (5, "bulk"), (6, "bulk"), (7, "bulk")]
        assert [tuple(row) for row in session.execute(ids)] == found
    engine.dispose()
