"""``install_hook``: clients that open apsw connections of their own see the module without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase

import audiomem_sql


@pytest.fixture
def hook() -> Iterator[None]:
    audiomem_sql.install_hook()
    audiomem_sql.install_hook()
    yield
    apsw.connection_hooks.clear()


@pytest.mark.usefixtures("hook")
def test_peewee(tmp_path: Path) -> None:
    database = APSWDatabase(str(tmp_path / "app.db"))
    database.connect()
    database.execute_sql(
        "CREATE VIRTUAL TABLE notes USING audiomem('notes.flac', id INTEGER PRIMARY KEY, title TEXT)"
    )

    class Notes(peewee.Model):
        title = peewee.TextField()

        class Meta:
            table_name = "notes"

    Notes.bind(database)
    Notes.create(title="a")
    Notes.create(title="b")
    assert [(note.id, note.title) for note in Notes.select().where(Notes.title == "b")] == [(2, "b")]
    database.close()
    assert (tmp_path / "notes.flac").exists()
