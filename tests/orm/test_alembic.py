"""Alembic: tables and columns of ours through their own commands, all else through a copy."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations

import audiomem_sql as am
from audiomem_sql.errors import UnsupportedError


@pytest.fixture
def op(engine: sa.Engine) -> Iterator[Operations]:
    """Operations on a database with a table of two rows, and a native one."""
    with engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        operations.create_table(
            "note",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("title", sa.String(20), nullable=False, index=True),
            sa.Column("year", sa.Integer),
            sa.CheckConstraint("year > 1900", name="not_too_old"),
            audiomem_options={"protection": "standard"},
        )
        operations.create_table("native", sa.Column("a", sa.Integer), audiomem_native=True)
        operations.bulk_insert(
            sa.table("note", sa.column("title"), sa.column("year")),
            [{"title": "one", "year": 2001}, {"title": "two", "year": 2002}],
        )
        yield operations


def rows(op: Operations) -> list[tuple[object, ...]]:
    """The rows of the table."""
    return [tuple(row) for row in op.get_bind().execute(sa.text("SELECT * FROM note ORDER BY id"))]


def names(folder: Path) -> list[str]:
    """The FLAC files of a folder."""
    return sorted(path.name for path in folder.glob("*.flac"))


def test_columns(op: Operations, tmp_path: Path) -> None:
    """What was inserted before in the same transaction is committed, and stays."""
    op.add_column("note", sa.Column("price", sa.Numeric(10, 2), server_default="1.5", nullable=False))
    op.add_column("note", sa.Column("it's", sa.Text))
    assert rows(op) == [(1, "one", 2001, 1.5, None), (2, "two", 2002, 1.5, None)]
    op.alter_column("note", "it's", new_column_name='so "called"', existing_type=sa.Text())
    op.drop_column("note", "price")
    op.execute('UPDATE note SET "so ""called""" = \'x\' WHERE id = 2')
    op.alter_column("note", "title", new_column_name="name")
    assert rows(op) == [(1, "one", 2001, None), (2, "two", 2002, "x")]
    assert [column["name"] for column in sa.inspect(op.get_bind()).get_columns("note")] == [
        "id",
        "name",
        "year",
        'so "called"',
    ]
    assert names(tmp_path) == ["note.flac"]


def test_what_cannot_be_done_in_place(op: Operations) -> None:
    changes = ({"nullable": True}, {"type_": sa.Integer()}, {"server_default": "x"})
    for change in changes:
        with pytest.raises(UnsupportedError, match="batch mode"):
            op.alter_column("note", "title", **change)
    with pytest.raises(sa.exc.DBAPIError, match="unique index cannot be added"):
        op.create_index("unique_title", "note", ["title"], unique=True)
    with pytest.raises(NotImplementedError, match="batch mode"):
        op.create_unique_constraint("unique_title", "note", ["title"])
    op.create_index("quick", "note", ["year"])
    op.drop_index("quick", "note")
    op.create_foreign_key("to_itself", "note", "note", ["year"], ["id"])
    op.add_column("note", sa.Column("parent", sa.Integer, sa.ForeignKey("note.id"), index=True))
    assert [len(row) for row in rows(op)] == [4, 4]


def test_native_tables(op: Operations, tmp_path: Path) -> None:
    op.add_column("native", sa.Column("b", sa.Integer))
    op.alter_column("native", "b", new_column_name="c")
    op.drop_column("native", "a")
    with op.batch_alter_table("native") as batch:
        batch.alter_column("c", type_=sa.Text(), nullable=False, server_default="x")
    (column,) = sa.inspect(op.get_bind()).get_columns("native")
    assert (column["name"], str(column["type"]), column["nullable"]) == ("c", "TEXT", False)
    op.drop_table("native")
    assert names(tmp_path) == ["note.flac"]


def test_a_batch_without_a_copy(op: Operations, tmp_path: Path) -> None:
    with op.batch_alter_table("note") as batch:
        batch.add_column(sa.Column("extra", sa.Boolean))
        batch.alter_column("title", new_column_name="name")
    with op.batch_alter_table("note") as batch:
        batch.drop_column("extra")
    assert rows(op) == [(1, "one", 2001), (2, "two", 2002)]
    with am.open(tmp_path / "note.flac") as table:
        assert len(table.migrations) == 3


def test_a_batch_with_a_copy(op: Operations, tmp_path: Path) -> None:
    """What the table had is in the copy: key, CHECK, options; the old file goes with the commit."""
    for round_number in (1, 2):
        with op.batch_alter_table("note") as batch:
            batch.alter_column("year", type_=sa.Text(), nullable=False, server_default="0")
            batch.create_unique_constraint(f"once_{round_number}", ["title"])
        op.get_bind().commit()
        assert names(tmp_path) == [("note-2.flac", "note.flac")[round_number - 1]]
    inspector = sa.inspect(op.get_bind())
    assert inspector.get_table_names() == ["native", "note"]
    assert inspector.get_pk_constraint("note")["constrained_columns"] == ["id"]
    assert [check["name"] for check in inspector.get_check_constraints("note")] == ["not_too_old"]
    assert inspector.get_unique_constraints("note")[0]["column_names"] == ["title"]
    assert inspector.get_table_options("note")["audiomem_options"]["protection"] == "standard"
    assert rows(op) == [(1, "one", "2001"), (2, "two", "2002")]
    with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
        op.execute("INSERT INTO note(title, year) VALUES ('one', 2024)")


def test_a_batch_that_fails(op: Operations, tmp_path: Path) -> None:
    op.execute("INSERT INTO note(title) VALUES ('one')")
    op.get_bind().commit()
    with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"), op.batch_alter_table("note") as batch:
        batch.create_unique_constraint("once", ["title"])
    op.get_bind().rollback()
    assert names(tmp_path) == ["note.flac"]
    assert [row[1] for row in rows(op)] == ["one", "two", "one"]


def test_rename_and_drop_table(op: Operations, tmp_path: Path) -> None:
    op.rename_table("note", "paper")
    assert op.get_bind().scalar(sa.text("SELECT count(*) FROM paper")) == 2
    assert names(tmp_path) == ["note.flac"]
    op.drop_table("paper")
    op.get_bind().commit()
    assert names(tmp_path) == []


def test_a_model_that_only_the_file_names(
    engine: sa.Engine, tmp_path: Path, make_engine: Callable[..., sa.Engine]
) -> None:
    """A copy makes vectors; it loads no model that the user did not name."""
    docs = sa.Table(
        "docs",
        sa.MetaData(),
        sa.Column("body", sa.Text, audiomem_semantic=True),
        sa.Column("n", sa.Integer),
        audiomem_options={"model": "hashing"},
    )
    docs.create(engine)
    with engine.connect() as connection:
        op = Operations(MigrationContext.configure(connection))
        op.execute("INSERT INTO docs VALUES ('a word', 1)")
        with op.batch_alter_table("docs") as batch:
            batch.alter_column("n", type_=sa.Text())
        match = sa.text("SELECT n FROM docs WHERE docs MATCH 'word'")
        assert connection.execute(match).all() == [("1",)]


def test_offline(tmp_path: Path) -> None:
    """The SQL does the same in a shell with the extension, but for the files of dropped tables."""
    out = io.StringIO()
    context = MigrationContext.configure(dialect_name="audiomem", opts={"as_sql": True, "output_buffer": out})
    op = Operations(context)
    op.create_table("note", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text))
    op.add_column("note", sa.Column("b", sa.Integer, server_default="3"))
    op.alter_column("note", "a", new_column_name="c")
    op.drop_column("note", "b")
    op.drop_table("note")
    import apsw

    connection = apsw.Connection(str(tmp_path / "x.db"))
    am.register(connection)
    connection.execute(out.getvalue())
    connection.close()
    assert names(tmp_path) == ["note.flac"]
    with am.open(tmp_path / "note.flac") as table:
        assert table.schema.names == ("id", "c")


# -- the command
# ------------------------------------------------------------------------------------------------

ENV = """
from alembic import context
import sqlalchemy as sa
from shelf import metadata

engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
"""
SHELF = """
import sqlalchemy as sa

metadata = sa.MetaData()
"""
FIRST = """
sa.Table(
    "author", metadata, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(9), unique=True)
)
sa.Table(
    "book", metadata, sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("author_id", sa.ForeignKey("author.id"), index=True),
    sa.Column("price", sa.Numeric(8, 2)), sa.Column("day", sa.Date), sa.Column("extra", sa.JSON),
    sa.Column("seen", sa.DateTime), sa.Column("ok", sa.Boolean), sa.Column("uid", sa.Uuid),
    sa.Column("code", sa.String(5), index=True, unique=True),
)
"""
SECOND = FIRST.replace('sa.Column("ok", sa.Boolean)', 'sa.Column("pages", sa.Integer)')


def test_autogenerate_and_upgrade(
    make_engine: Callable[..., sa.Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two revisions that were written by Alembic; between them, and after them, it finds no difference."""
    engine = make_engine("base.sqlite")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = Config(str(tmp_path / "alembic.ini"))
    config.set_main_option("script_location", str(tmp_path / "revisions"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", str(engine.url))
    config.stdout = io.StringIO()
    command.init(config, str(tmp_path / "revisions"))
    (tmp_path / "revisions" / "env.py").write_text(ENV)
    for number, text in enumerate((FIRST, SECOND)):
        (tmp_path / "shelf.py").write_text(SHELF + text)
        monkeypatch.delitem(sys.modules, "shelf", raising=False)
        command.revision(config, message=f"step{number}", autogenerate=True)
        command.upgrade(config, "head")
        scope: dict[str, sa.MetaData] = {}
        exec(SHELF + text, scope)
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), scope["metadata"]) == []
    assert names(tmp_path) == ["author.flac", "book.flac"]
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO book(pages, code) VALUES (3, 'a')"))
        assert connection.scalar(sa.text("SELECT count(*) FROM alembic_version")) == 1
    command.downgrade(config, "-1")
    columns = [column["name"] for column in sa.inspect(engine).get_columns("book")]
    assert "ok" in columns
    assert "pages" not in columns
    command.downgrade(config, "base")
    assert names(tmp_path) == []
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
