"""An engine for one FLAC file: its table is dropped with the file, and replaced as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

import audiomem_sql as am
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.table import dropping

FRAME = pd.DataFrame({"id": [5], "u": ["new"]})
NOTES = sa.Table(
    "notes", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("u", sa.Text)
)


@pytest.fixture
def engine(make_engine: Callable[..., sa.Engine], tmp_path: Path) -> sa.Engine:
    """An engine for a file with two rows."""
    am.write_flac(
        [{"id": 1, "t": "a"}, {"id": 2, "t": "b"}], tmp_path / "notes.flac", primary_key="id"
    ).close()
    return make_engine("notes.flac")


def files(folder: Path) -> list[str]:
    """What is in the folder of the test, but for the entry points."""
    return sorted(path.name for path in folder.iterdir() if path.name != "path")


def rows(engine: sa.Engine) -> list[object]:
    """The rows of the table."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text("SELECT * FROM notes ORDER BY id"))]


def test_replace(engine: sa.Engine, tmp_path: Path) -> None:
    os.chmod(tmp_path / "notes.flac", 0o640)
    with pytest.raises(ValueError, match="already exists"):
        FRAME.to_sql("notes", engine, index=False)
    for _ in range(2):
        FRAME.to_sql("notes", engine, if_exists="replace", index=False)
        assert rows(engine) == [(5, "new")]
    FRAME.to_sql("notes", engine, if_exists="append", index=False)
    assert rows(engine) == [(5, "new"), (5, "new")]
    engine.dispose()
    assert files(tmp_path) == ["notes.flac"]
    assert (tmp_path / "notes.flac").stat().st_mode & 0o777 == 0o640
    assert am.read_flac(tmp_path / "notes.flac")["u"].tolist() == ["new", "new"]


def test_a_failed_replace_leaves_the_table_as_it_was(engine: sa.Engine, tmp_path: Path) -> None:
    before = (tmp_path / "notes.flac").read_bytes()
    broken = pd.DataFrame({"id": [5, 6], "t": ["x", object()]})
    with pytest.raises((sa.exc.OperationalError, StorageError), match="the old one is as it was"):
        broken.to_sql("notes", engine, if_exists="replace", index=False)
    assert rows(engine) == [(1, "a"), (2, "b")]
    with engine.connect() as connection:
        NOTES.drop(connection)
        NOTES.create(connection)
        connection.execute(sa.insert(NOTES).values(id=7, u="x"))
        assert connection.execute(sa.select(NOTES.c.u)).all() == [("x",)]
        connection.rollback()
    assert rows(engine) == [(1, "a"), (2, "b")]
    engine.dispose()
    assert files(tmp_path) == ["notes.flac"]
    assert (tmp_path / "notes.flac").read_bytes() == before


def test_what_fails_in_a_savepoint_prevents_a_replacement(engine: sa.Engine, tmp_path: Path) -> None:
    connection = engine.connect()
    NOTES.drop(connection)
    NOTES.create(connection)
    connection.execute(sa.insert(NOTES).values(id=7, u="x"))
    with pytest.raises(sa.exc.IntegrityError), connection.begin_nested():
        connection.execute(sa.insert(NOTES).values(id=7, u="twice"))
    with pytest.raises(sa.exc.OperationalError, match="the old one is as it was"):
        connection.commit()
    connection.close()
    assert rows(engine) == [(1, "a"), (2, "b")]
    engine.dispose()
    assert files(tmp_path) == ["notes.flac"]


def test_another_writer_keeps_the_old_table(engine: sa.Engine, tmp_path: Path) -> None:
    with am.open(tmp_path / "notes.flac") as table:
        table.begin()
        with pytest.raises((sa.exc.OperationalError, StorageError, am.AudioMemError), match="writing"):
            FRAME.to_sql("notes", engine, if_exists="replace", index=False)
        table.rollback()
    assert rows(engine) == [(1, "a"), (2, "b")]
    engine.dispose()
    assert files(tmp_path) == ["notes.flac"]


def test_drop_and_create(engine: sa.Engine, tmp_path: Path) -> None:
    """Other connections of the engine follow, also new ones."""
    other = engine.connect()
    assert other.scalar(sa.text("SELECT count(*) FROM notes")) == 2
    other.rollback()
    NOTES.drop(engine)
    assert files(tmp_path) == []
    assert sa.inspect(other).get_table_names() == []
    other.rollback()
    third, fourth = engine.connect(), engine.connect()
    assert sa.inspect(third).get_table_names() == sa.inspect(fourth).get_table_names() == []
    with pytest.raises(sa.exc.ProgrammingError, match="no such table"):
        fourth.execute(sa.select(NOTES))
    fourth.rollback()
    NOTES.create(third)
    third.execute(sa.insert(NOTES).values(u="x"))
    third.commit()
    for connection in (other, fourth):
        connection.rollback()
        assert connection.execute(sa.select(NOTES.c.u)).all() == [("x",)]
        connection.rollback()
    for connection in (other, third, fourth):
        connection.close()
    engine.dispose()
    (tmp_path / "notes.flac").unlink()
    with pytest.raises(sa.exc.OperationalError, match="there is no such file"):
        engine.connect()


def test_autocommit(engine: sa.Engine, tmp_path: Path) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        NOTES.drop(connection)
        assert files(tmp_path) == []
        NOTES.create(connection)
        connection.execute(sa.insert(NOTES).values(u="x"))
        assert connection.execute(sa.select(NOTES.c.u)).all() == [("x",)]
    engine.dispose()
    assert am.read_flac(tmp_path / "notes.flac")["u"].tolist() == ["x"]


def test_a_file_that_is_not_there_yet(make_engine: Callable[..., sa.Engine], tmp_path: Path) -> None:
    engine = make_engine("new.flac?create=true&table=notes&timeout=2.5")
    assert sa.inspect(engine).get_table_names() == []
    FRAME.to_sql("notes", engine, index=False)
    assert rows(engine) == [(5, "new")]
    engine.dispose()
    assert files(tmp_path) == ["new.flac"]


def test_a_table_that_was_created_and_rolled_back(
    make_engine: Callable[..., sa.Engine], tmp_path: Path
) -> None:
    engine = make_engine("notes.flac?create=true")
    connection = engine.connect()
    connection.execute(sa.text("CREATE TEMPORARY TABLE passing(a)"))
    connection.execute(sa.text("INSERT INTO passing VALUES (1)"))
    NOTES.create(connection)
    connection.rollback()
    assert files(tmp_path) == []
    assert sa.inspect(connection).get_table_names() == []
    connection.rollback()
    NOTES.create(connection)
    connection.commit()
    connection.close()
    assert sa.inspect(engine).get_table_names() == ["notes"]


def test_no_other_table_that_lasts(engine: sa.Engine, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    for name, options in {"other": {}, "native": {"audiomem_native": True}}.items():
        table = sa.Table(name, metadata, sa.Column("a", sa.Integer), **options)
        with pytest.raises(UnsupportedError, match="lost with the connection"):
            table.create(engine)
    passing = sa.Table("passing", metadata, sa.Column("a", sa.Integer), prefixes=["TEMPORARY"])
    with engine.begin() as connection:
        passing.create(connection)
        connection.execute(sa.insert(passing).values(a=1))
        passing.drop(connection)
    assert files(tmp_path) == ["notes.flac"]
    assert rows(engine) == [(1, "a"), (2, "b")]


# -- what it stands on
# ------------------------------------------------------------------------------------------------


def test_replace_needs_a_closed_table(tmp_path: Path) -> None:
    am.write_flac([{"a": 1}], tmp_path / "old.flac").close()
    new = am.write_flac([{"a": 2}], tmp_path / "new.flac")
    new.append([{"a": 3}])
    with pytest.raises(StorageError, match="not in one file"):
        dropping.replace(tmp_path / "old.flac", str(tmp_path / "new.flac"))
    assert am.read_flac(tmp_path / "old.flac")["a"].tolist() == [1]
    new.close()
    dropping.replace(tmp_path / "old.flac", str(tmp_path / "new.flac"))
    assert files(tmp_path) == ["old.flac"]
    assert am.read_flac(tmp_path / "old.flac")["a"].tolist() == [2, 3]


def test_replace_deletes_what_stands_beside_the_old_table(tmp_path: Path) -> None:
    old = am.write_flac([{"a": 1}], tmp_path / "old.flac", deltas="beside")
    old.append([{"a": 2}])
    old.checkpoint()
    old.append([{"a": 3}])
    am.write_flac([{"a": 9}], tmp_path / "new.flac").close()
    assert (tmp_path / "old.flac-wal").exists()
    assert (tmp_path / "old.flac.d").exists()
    dropping.replace(tmp_path / "old.flac", str(tmp_path / "new.flac"))
    assert am.read_flac(tmp_path / "old.flac")["a"].tolist() == [9]
    assert files(tmp_path) == ["old.flac"]
    old.close()
    assert am.read_flac(tmp_path / "old.flac")["a"].tolist() == [9]


def test_an_engine_for_a_table_in_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    url = "memory://of-an-engine/notes.flac"
    engine = sa.create_engine(f"audiomem:///{url}?create=1")
    assert sa.inspect(engine).get_table_names() == []
    NOTES.metadata.create_all(engine)
    FRAME.to_sql("notes", engine, if_exists="append", index=False)
    assert rows(engine) == [(5, "new")]
    other = sa.create_engine(f"audiomem:///{url}")
    with other.begin() as connection:
        connection.execute(NOTES.update().values(u="newer"))
    assert rows(engine) == [(5, "newer")]
    with pytest.raises(sa.exc.NotSupportedError, match="a URL is no file"):
        NOTES.drop(engine)
    assert rows(engine) == [(5, "newer")]
    absent = sa.create_engine("audiomem:///memory://of-an-engine/absent.flac")
    with pytest.raises(sa.exc.OperationalError, match="there is no such object"):
        rows(absent)
