"""SQLAlchemy: engines, reflection, Core, ORM and pandas on a FLAC file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from entry_points import write_entry_points
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import Session

import audiomem_sql as am
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.table.table import Table

COLUMNS = (
    "id INTEGER PRIMARY KEY",
    "title TEXT NOT NULL",
    "seen TIMESTAMP",
    "ok BOOLEAN",
    "j JSON",
    "v FLOAT[2]",
    "r REAL",
    "code TEXT UNIQUE",
)
SEEN = datetime(2024, 3, 1, 10, 0, 0, 1)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """An engine on an empty table, found by the entry point."""
    monkeypatch.syspath_prepend(str(write_entry_points(tmp_path / "path")))
    Table.create(tmp_path / "notes.flac", COLUMNS).close()
    made = sa.create_engine(f"audiomem:///{tmp_path}/notes.flac")
    yield made
    made.dispose()


@pytest.fixture
def notes(engine: sa.Engine) -> sa.Table:
    """The table, reflected."""
    return sa.Table("notes", sa.MetaData(), autoload_with=engine)


def test_reflection(engine: sa.Engine, notes: sa.Table) -> None:
    inspector = sa.inspect(engine)
    assert inspector.get_table_names() == ["notes"]
    assert inspector.get_pk_constraint("notes")["constrained_columns"] == ["id"]
    found = {column.name: str(column.type) for column in notes.columns}
    expected = {"id": "INTEGER", "title": "TEXT", "seen": "TIMESTAMP", "ok": "BOOLEAN"}
    assert found == expected | {"j": "TEXT", "v": "BLOB", "r": "REAL", "code": "TEXT"}
    assert [column.name for column in notes.columns if not column.nullable and not column.primary_key] == [
        "title"
    ]
    for nothing in (inspector.get_indexes, inspector.get_foreign_keys, inspector.get_check_constraints):
        assert nothing("notes") == []
    assert inspector.get_view_names() == []


def test_core(engine: sa.Engine, notes: sa.Table) -> None:
    row = {"title": "a", "seen": SEEN, "ok": True, "j": "{}", "v": bytes(8), "r": 0.5, "code": "x"}
    with engine.begin() as connection:
        assert connection.execute(notes.insert(), row).inserted_primary_key == (1,)
        connection.execute(
            notes.insert(), [{"title": "b", "seen": None}, {"title": "c", "seen": datetime(2024, 1, 1)}]
        )
    with engine.connect() as connection:
        rows = connection.execute(sa.select(notes).order_by(notes.c.id)).all()
        assert dict(rows[0]._mapping) == row | {"id": 1}
        assert rows[1].seen is None
        assert rows[2].seen == datetime(2024, 1, 1)
        early = sa.select(notes.c.title).where(notes.c.seen < datetime(2024, 2, 1))
        assert connection.execute(early).scalars().all() == ["c"]
        changed = connection.execute(notes.update().where(notes.c.id > 1).values(title="z"))
        assert changed.rowcount == 2
        connection.rollback()
        assert connection.scalar(sa.text("SELECT count(*) FROM notes WHERE title = :t"), {"t": "z"}) == 0
        with pytest.raises(sa.exc.IntegrityError, match="NOT NULL"):
            connection.execute(notes.insert(), {"title": None})
        with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
            connection.execute(notes.insert(), {"title": "d", "code": "x"})
        with pytest.raises(sa.exc.DataError, match="column r"):
            connection.execute(sa.text("INSERT INTO notes(title, r) VALUES ('d', 'no number')"))
        with pytest.raises(sa.exc.ProgrammingError, match="no such column"):
            connection.execute(sa.text("SELECT missing FROM notes"))
        connection.rollback()
        assert connection.scalar(sa.select(sa.func.count()).select_from(notes)) == 3


def test_one_transaction_is_one_version(engine: sa.Engine, notes: sa.Table) -> None:
    with engine.begin() as connection:
        for title in "abc":
            connection.execute(notes.insert(), {"title": title})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert connection.get_isolation_level() == "AUTOCOMMIT"
        connection.execute(sa.text("INSERT INTO notes(notes, rank) VALUES ('tag', 'three')"))
        connection.execute(sa.text("DELETE FROM notes WHERE id = 1"))
        counts = sa.text("SELECT inserted, deleted FROM audiomem_snapshots('notes')")
        assert connection.execute(counts).all() == [(0, 0), (3, 0), (0, 0), (0, 1)]
        old = sa.text("SELECT count(*) FROM notes WHERE version = 'three'")
        assert connection.scalar(old) == 3
    with engine.connect() as connection:
        assert connection.get_isolation_level() == "SERIALIZABLE"


def test_orm(engine: sa.Engine) -> None:
    base = automap_base()
    base.prepare(autoload_with=engine)
    note = base.classes.notes
    with Session(engine) as session:
        first = note(title="first", seen=SEEN)
        session.add(first)
        session.commit()
        assert first.id == 1
        assert first.seen == SEEN
        session.add(note(title="second"))
        inner = session.begin_nested()
        session.add(note(title="third"))
        session.flush()
        inner.rollback()
        session.commit()
        assert [found.title for found in session.query(note).order_by(note.id)] == ["first", "second"]
        first.title = "changed"
        session.delete(session.get(note, 2))
        session.commit()
    with Session(engine) as session:
        assert [found.title for found in session.query(note)] == ["changed"]


def test_pandas(engine: sa.Engine, tmp_path: Path) -> None:
    with am.open(tmp_path / "notes.flac") as table:
        table.append([{"title": "a", "seen": SEEN, "ok": True}, {"title": "b"}])
    frame = pd.read_sql_table("notes", engine)
    assert frame["title"].tolist() == ["a", "b"]
    assert frame["seen"][0] == pd.Timestamp(SEEN)
    asked = pd.read_sql("SELECT title FROM notes WHERE id > ?", engine, params=(1,))
    assert asked["title"].tolist() == ["b"]
    with pytest.raises(UnsupportedError, match="lost with the connection"):
        frame.to_sql("copies", engine)
    with engine.begin() as connection:
        frame.drop(columns="id").assign(code=["y", "z"]).to_sql(
            "notes", connection, if_exists="append", index=False
        )
        assert connection.scalar(sa.text("SELECT count(*) FROM notes")) == 4


def test_a_database_with_tables_in_it(engine: sa.Engine, tmp_path: Path) -> None:
    url = f"audiomem:///{tmp_path}/base.sqlite"
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text(f"CREATE VIRTUAL TABLE seen USING audiomem('{tmp_path}/notes.flac')"))
        connection.execute(sa.text("CREATE TABLE plain(a INTEGER)"))
        connection.execute(sa.text("INSERT INTO plain VALUES (1)"))
    again = sa.create_engine(url)
    assert sorted(sa.inspect(again).get_table_names()) == ["plain", "seen"]
    sa.MetaData().create_all(again)
    with again.connect() as connection:
        both = connection.execute(sa.text("SELECT count(*), (SELECT count(*) FROM plain) FROM seen"))
        assert both.all() == [(0, 1)]
    again.dispose()


def test_what_is_not_there(engine: sa.Engine, tmp_path: Path) -> None:
    with pytest.raises(sa.exc.OperationalError, match="there is no such file"):
        sa.create_engine(f"audiomem:///{tmp_path}/missing.flac").connect()
    (tmp_path / "music.ogg").write_bytes(b"fLaC")
    with pytest.raises(sa.exc.DBAPIError, match=r"music\.ogg"):
        sa.create_engine(f"audiomem:///{tmp_path}/music.ogg").connect()
    named = sa.create_engine(f"audiomem:///{tmp_path}/notes.flac?table=other")
    assert sa.inspect(named).get_table_names() == ["other"]
    named.dispose()
    empty = sa.create_engine("audiomem://")
    with empty.connect() as connection:
        assert connection.scalar(sa.text("SELECT cosine_distance(x'0000803f', x'0000803f')")) == 0
    empty.dispose()
