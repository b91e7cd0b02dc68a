"""SQLAlchemy creates tables with their files, and drops them with their files: in a database."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from sqlalchemy import orm

import audiomem_sql as am
from audiomem_sql.errors import OptionError, UnsupportedError


class Base(orm.DeclarativeBase):
    pass


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Author(Base):
    __tablename__ = "author"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(30), unique=True)
    books: orm.Mapped[list[Book]] = orm.relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "book"
    __table_args__ = (sa.UniqueConstraint("author_id", "title", name="one_title"),)
    id: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, primary_key=True)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey("author.id"), index=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.Text)
    state: orm.Mapped[str] = orm.mapped_column(server_default="new")
    author: orm.Mapped[Author] = orm.relationship(back_populates="books")


class Everything(Base):
    __tablename__ = "everything"
    key: orm.Mapped[uuid.UUID] = orm.mapped_column(primary_key=True)
    day: orm.Mapped[datetime.date]
    moment: orm.Mapped[datetime.datetime]
    clock: orm.Mapped[datetime.time]
    price: orm.Mapped[decimal.Decimal] = orm.mapped_column(sa.Numeric(12, 2))
    ratio: orm.Mapped[float]
    small: orm.Mapped[int] = orm.mapped_column(sa.SmallInteger)
    ok: orm.Mapped[bool]
    data: orm.Mapped[bytes]
    extra: orm.Mapped[dict[str, object]] = orm.mapped_column(sa.JSON)
    colour: orm.Mapped[Colour]
    maybe: orm.Mapped[str | None]


EVERYTHING = {
    "key": uuid.UUID("12345678123456781234567812345678"),
    "day": datetime.date(2024, 2, 29),
    "moment": datetime.datetime(2024, 2, 29, 12, 30, 1, 250_000),
    "clock": datetime.time(23, 59, 58, 5),
    "price": decimal.Decimal("1234567890.12"),
    "ratio": 0.1,
    "small": -3,
    "ok": True,
    "data": b"\0\xff",
    "extra": {"a": [1, None, "ä"]},
    "colour": Colour.BLUE,
    "maybe": None,
}


def names(folder: Path) -> list[str]:
    """The FLAC files of a folder."""
    return sorted(path.name for path in folder.glob("*.flac"))


def test_create_all_and_drop_all(engine: sa.Engine, tmp_path: Path) -> None:
    for _ in range(2):
        Base.metadata.create_all(engine)
        Base.metadata.create_all(engine)
        assert names(tmp_path) == ["author.flac", "book.flac", "everything.flac"]
        with engine.begin() as connection:
            assert connection.execute(sa.insert(Author).values(name="a")).inserted_primary_key == (1,)
        Base.metadata.drop_all(engine)
        Base.metadata.drop_all(engine)
        assert names(tmp_path) == []
        assert sa.inspect(engine).get_table_names() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.sqlite", "path"]


def test_orm_bulk_and_relationships(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        ada = Author(name="Ada", books=[Book(title="one"), Book(title="two")])
        session.add_all([ada, *(Author(name=f"n{number}") for number in range(20))])
        session.flush()
        assert [book.id for book in ada.books] == [1, 2]
        assert ada.books[0].state == "new"
        assert len({author.id for author in session.scalars(sa.select(Author))}) == 21
        session.execute(sa.insert(Book), [{"author_id": ada.id, "title": f"t{i}"} for i in range(50)])
        session.bulk_save_objects([Book(author_id=ada.id, title=f"s{i}") for i in range(5)])
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 57
        joined = sa.select(Author.name).join(Author.books).where(Book.title == "two")
        assert session.scalars(joined).all() == ["Ada"]
        eager = session.scalars(sa.select(Author).options(orm.selectinload(Author.books))).first()
        assert eager is not None
        assert len(eager.books) == 57
        ada.books.remove(ada.books[0])
        ada.books[0].title = "changed"
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 56
        session.delete(ada)
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 0
        session.add(Author(name="n3"))
        with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
            session.flush()
        session.rollback()
        assert session.scalar(sa.select(sa.func.count()).select_from(Author)) == 20


def test_values_of_every_type(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    with orm.Session(engine) as session:
        session.add(Everything(**EVERYTHING))
        session.commit()
        session.expunge_all()
        (found,) = session.scalars(sa.select(Everything))
        assert {name: getattr(found, name) for name in EVERYTHING} == EVERYTHING
        for column in ("key", "day", "clock", "price", "ok", "colour", "ratio", "data"):
            attribute = getattr(Everything, column)
            assert session.scalar(sa.select(Everything.small).where(attribute == EVERYTHING[column])) == -3
        assert session.get(Everything, EVERYTHING["key"]) is found
        assert session.scalar(sa.select(Everything.extra["a"][2].as_string())) == "ä"


def test_returning_is_refused_and_never_null(engine: sa.Engine) -> None:
    Base.metadata.create_all(engine)
    reflected = sa.Table("author", sa.MetaData(), autoload_with=engine)
    statements = [
        sa.insert(Author).values(name="a").returning(Author.id),
        sa.insert(Author).values(name="b").returning(Author),
        sa.insert(reflected).values(name="a").returning(reflected.c.id),
        sa.update(Author).values(name="b").returning(Author.id),
        sa.delete(Author).returning(Author.id),
    ]
    for statement in statements:
        with orm.Session(engine) as session, pytest.raises(UnsupportedError, match="no RETURNING"):
            session.execute(statement)
    many = sa.insert(Author).returning(Author)
    with orm.Session(engine) as session, pytest.raises(sa.exc.InvalidRequestError, match="RETURNING"):
        session.execute(many, [{"name": "x"}, {"name": "y"}])
    from sqlalchemy.dialects.sqlite import insert

    upserts = [
        insert(Author).values(name="a").on_conflict_do_nothing(),
        insert(Author).values(name="a").on_conflict_do_update(index_elements=["name"], set_={"name": "b"}),
    ]
    for upsert in upserts:
        with engine.connect() as connection, pytest.raises(UnsupportedError, match="no ON CONFLICT"):
            connection.execute(upsert)
    with engine.begin() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(Author)) == 0
        for _ in range(2):
            connection.execute(sa.insert(Author).values(name="a").prefix_with("OR IGNORE"))
        assert connection.scalar(sa.select(sa.func.count()).select_from(Author)) == 1


def test_reflection(engine: sa.Engine) -> None:
    definition = sa.Table(
        "t",
        sa.MetaData(),
        sa.Column("a", sa.Integer, primary_key=True),
        sa.Column("b", sa.String(5), primary_key=True),
        sa.Column("c", sa.DateTime, nullable=False, server_default=sa.func.current_timestamp()),
        sa.Column("d", sa.Numeric(8, 2), server_default="7.5"),
        sa.Column("e", sa.Boolean, unique=True),
        sa.Column("f", sa.Text, server_default="it's"),
        sa.Column("g", sa.Integer),
        sa.UniqueConstraint("c", "d", name="both"),
        sa.CheckConstraint("g > 0", name="positive"),
        sa.Index("known", "f", "g", unique=True),
        sa.Index("quick", "g"),
        audiomem_options={"protection": "standard", "profile": "mobile"},
    )
    definition.create(engine)
    inspector = sa.inspect(engine)
    assert inspector.get_pk_constraint("t")["constrained_columns"] == ["a", "b"]
    assert [each["name"] for each in inspector.get_columns("t") if not each["nullable"]] == ["a", "b", "c"]
    assert [each["primary_key"] for each in inspector.get_columns("t")] == [1, 2, 0, 0, 0, 0, 0]
    defaults = {each["name"]: each["default"] for each in inspector.get_columns("t")}
    assert defaults == {
        "a": None,
        "b": None,
        "c": "CURRENT_TIMESTAMP",
        "d": "'7.5'",
        "e": None,
        "f": "'it''s'",
        "g": None,
    }
    unique = [(each["name"], each["column_names"]) for each in inspector.get_unique_constraints("t")]
    assert unique == [(None, ["e"]), ("both", ["c", "d"]), (None, ["f", "g"])]
    assert inspector.get_check_constraints("t") == [{"name": "positive", "sqltext": "g > 0"}]
    assert inspector.get_indexes("t") == []
    assert inspector.get_foreign_keys("t") == []
    options = inspector.get_table_options("t")
    assert options["audiomem_options"] == {"protection": "standard", "profile": "mobile"}
    assert options["audiomem_native"] is False
    reflected = sa.Table("t", sa.MetaData(), autoload_with=engine)
    assert [type(column.type) for column in reflected.c][2:5] == [sa.TIMESTAMP, sa.REAL, sa.BOOLEAN]
    definition.drop(engine)
    reflected.create(engine)  # what was reflected makes the same table again
    again = sa.inspect(engine)
    assert again.get_pk_constraint("t") == inspector.get_pk_constraint("t")
    assert again.get_unique_constraints("t") == inspector.get_unique_constraints("t")
    assert again.get_table_options("t") == options
    with engine.begin() as connection:
        connection.execute(sa.insert(reflected).values(a=1, b="x", g=1))
        row = connection.execute(sa.select(reflected)).one()
        assert (row.d, row.f, row.e) == (7.5, "it's", None)
        assert isinstance(row.c, datetime.datetime)


class Point(sa.types.UserDefinedType[bytes]):
    """A vector of three numbers."""

    cache_ok = True

    def get_col_spec(self, **_options: object) -> str:
        return "FLOAT[3]"


def test_searched_columns(engine: sa.Engine) -> None:
    docs = sa.Table(
        "docs",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, audiomem_semantic=True, audiomem_indexed=True),
        sa.Column("point", Point, audiomem_indexed="metric=l2"),
        audiomem_options={"model": "hashing"},
        audiomem_path="elsewhere.flac",
    )
    docs.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(docs), [{"body": "reset a password"}, {"body": "cats and dogs"}])
        match = sa.text("SELECT id FROM docs WHERE docs MATCH 'password reset' ORDER BY rank LIMIT 1")
        assert connection.scalar(match) == 1
        connection.execute(sa.text("UPDATE docs SET point = '[1, 2, ' || id || ']'"))
        match = sa.text("SELECT id FROM docs WHERE point MATCH '[1, 2, 3]' ORDER BY distance LIMIT 1")
        assert connection.scalar(match) == 2
    reflected = sa.Table("docs", sa.MetaData(), autoload_with=engine)
    assert reflected.c.body.dialect_options["audiomem"]["semantic"]
    assert reflected.c.body.dialect_options["audiomem"]["tokenize"] == "auto"
    assert reflected.c.body.dialect_options["audiomem"]["indexed"] is True
    assert reflected.c.point.dialect_options["audiomem"]["indexed"] == "metric=l2"
    assert reflected.dialect_options["audiomem"]["options"]["model"] == "hashing"
    docs.drop(engine)


def test_the_tokenizer_of_a_column(engine: sa.Engine) -> None:
    body = sa.Column("body", sa.Text, audiomem_indexed=True, audiomem_tokenize="snowball german")
    docs = sa.Table(
        "docs",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        body,
        audiomem_path="elsewhere.flac",
    )
    docs.create(engine)
    reflected = sa.Table("docs", sa.MetaData(), autoload_with=engine)
    assert reflected.c.body.dialect_options["audiomem"]["tokenize"] == "snowball german"
    docs.drop(engine)
    lone = sa.Column("body", sa.Text, audiomem_tokenize="porter")
    with pytest.raises(OptionError, match="audiomem_indexed=True"):
        sa.Table("docs", sa.MetaData(), lone, audiomem_path="lone.flac").create(engine)


def test_tables_of_sqlites_own(engine: sa.Engine, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    native = sa.Table("native", metadata, sa.Column("id", sa.Integer, primary_key=True), audiomem_native=True)
    child = sa.Table(
        "child",
        metadata,
        sa.Column("n", sa.ForeignKey("native.id"), index=True),
        audiomem_native=True,
    )
    passing = sa.Table("passing", metadata, sa.Column("a", sa.Integer), prefixes=["TEMPORARY"])
    with engine.begin() as connection:
        metadata.create_all(connection)
        assert connection.execute(sa.insert(native).returning(native.c.id)).all() == [(1,)]
        connection.execute(sa.insert(passing).values(a=1))
    assert names(tmp_path) == []
    inspector = sa.inspect(engine)
    assert inspector.get_indexes("child")[0]["column_names"] == ["n"]
    assert inspector.get_foreign_keys("child")[0]["referred_table"] == "native"
    reflected = sa.Table("native", sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        assert connection.execute(sa.insert(reflected).returning(reflected.c.id)).all() == [(2,)]
    child.drop(engine)


def test_in_memory(make_engine: Callable[..., sa.Engine], tmp_path: Path) -> None:
    engine = sa.create_engine("audiomem://")
    metadata = sa.MetaData()
    sa.Table("plain", metadata, sa.Column("a", sa.Integer))
    kept = sa.Table("kept", metadata, sa.Column("a", sa.Integer), audiomem_path=str(tmp_path / "kept.flac"))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(kept).values(a=5))
    assert names(tmp_path) == ["kept.flac"]
    engine.dispose()
    assert am.read_flac(tmp_path / "kept.flac")["a"].tolist() == [5]


# -- files
# ------------------------------------------------------------------------------------------------


ITEM = sa.Table("item", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text))


def test_a_file_that_is_there_is_not_taken(engine: sa.Engine, tmp_path: Path) -> None:
    am.write_flac([{"a": "mine"}], tmp_path / "item.flac").close()
    with pytest.raises(sa.exc.OperationalError, match=r"item\.flac: the file exists already"):
        ITEM.create(engine)
    assert sa.inspect(engine).get_table_names() == []
    assert am.read_flac(tmp_path / "item.flac")["a"].tolist() == ["mine"]


def test_a_transaction_that_is_rolled_back(engine: sa.Engine, tmp_path: Path) -> None:
    """What it dropped is there, with its rows; the file that it made is gone."""
    ITEM.create(engine)
    other = sa.Table("other", sa.MetaData(), sa.Column("a", sa.Text))
    with engine.begin() as connection:
        connection.execute(sa.insert(ITEM).values(a="x"))
    connection = engine.connect()
    connection.execute(sa.insert(ITEM).values(a="y"))  # begins a transaction
    other.create(connection)
    ITEM.drop(connection)
    assert names(tmp_path) == ["item.flac", "other.flac"]
    connection.rollback()
    assert names(tmp_path) == ["item.flac"]
    assert connection.execute(sa.select(ITEM.c.a)).all() == [("x",)]
    connection.execute(sa.insert(ITEM).values(a="y"))
    ITEM.drop(connection)
    with pytest.raises(sa.exc.OperationalError, match="the file exists already"):
        ITEM.create(connection)  # it is deleted when the transaction ends
    connection.commit()
    assert names(tmp_path) == []
    connection.execute(sa.text("CREATE TABLE plain(a)"))
    other.create(connection)
    connection.execute(sa.insert(other).values(a="kept"))
    connection.commit()
    savepoint = connection.begin_nested()
    other.drop(connection)
    savepoint.rollback()
    connection.commit()
    assert connection.execute(sa.select(other)).all() == [("kept",)]
    connection.close()


def test_what_else_names_the_file_keeps_it(engine: sa.Engine, tmp_path: Path) -> None:
    ITEM.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIRTUAL TABLE second USING audiomem('item.flac')"))
    ITEM.drop(engine)
    assert names(tmp_path) == ["item.flac"]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM second")) == 0


def test_a_file_in_use_is_not_dropped(engine: sa.Engine, tmp_path: Path) -> None:
    """While another one writes to it, neither the table nor the file goes."""
    ITEM.create(engine)
    with am.open(tmp_path / "item.flac") as table:
        table.begin()
        with pytest.raises(sa.exc.OperationalError, match="writing"):
            ITEM.drop(engine)
        table.rollback()
    with engine.connect() as connection:
        assert connection.execute(sa.select(ITEM)).all() == []
    ITEM.drop(engine)
    assert names(tmp_path) == []


def test_a_missing_file(engine: sa.Engine, tmp_path: Path) -> None:
    ITEM.create(engine)
    engine.dispose()
    (tmp_path / "item.flac").rename(tmp_path / "away.flac")
    with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match="there is no such file"):
        connection.execute(sa.select(ITEM))
    assert [column["name"] for column in sa.inspect(engine).get_columns("item")] == ["id", "a"]
    pd.DataFrame({"a": ["new"]}).to_sql("item", engine, if_exists="replace", index=False)
    assert pd.read_sql_table("item", engine)["a"].tolist() == ["new"]
    ITEM.drop(engine)
    assert names(tmp_path) == ["away.flac"]


def test_connections_that_were_open(engine: sa.Engine, tmp_path: Path) -> None:
    """A connection that wrote to the table before it was dropped finds the new one, and harms nothing."""
    ITEM.create(engine)
    first, second = engine.connect(), engine.connect()
    first.execute(sa.insert(ITEM).values(a="old"))
    first.commit()
    ITEM.drop(second)
    second.commit()
    ITEM.create(second)
    second.execute(sa.insert(ITEM).values(a="new"))
    second.commit()
    assert first.execute(sa.select(ITEM.c.a)).all() == [("new",)]
    first.execute(sa.insert(ITEM).values(a="newer"))
    first.commit()
    assert second.execute(sa.select(ITEM.c.a)).all() == [("new",), ("newer",)]
    first.close()
    second.close()
    engine.dispose()
    assert am.read_flac(tmp_path / "item.flac")["a"].tolist() == ["new", "newer"]


def test_odd_names(engine: sa.Engine, tmp_path: Path) -> None:
    metadata = sa.MetaData()
    for name in ("a/b", "it's", "..", "Ärger 100%"):
        sa.Table(name, metadata, sa.Column("a", sa.Integer))
    metadata.create_all(engine)
    assert names(tmp_path) == ["%2E..flac", "a%2Fb.flac", "it's.flac", "Ärger 100%25.flac"]
    with engine.begin() as connection:
        for table in metadata.tables.values():
            connection.execute(sa.insert(table).values(a=1))
    metadata.drop_all(engine)
    assert names(tmp_path) == []
    assert [path.name for path in tmp_path.parent.glob("*.flac")] == []


def test_attached_databases(engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    other = sa.Table("item", sa.MetaData(), sa.Column("b", sa.Integer), schema="second")
    with engine.connect() as connection:
        connection.execute(sa.text(f"ATTACH '{tmp_path}/sub/other.db' AS second"))
        ITEM.create(connection)
        other.create(connection)
        assert names(tmp_path / "sub") == ["item.flac"]
        connection.execute(sa.insert(other).values(b=1))
        connection.commit()
        other.drop(connection)
        connection.commit()
    assert names(tmp_path) == ["item.flac"]
    assert names(tmp_path / "sub") == []


def test_unique_indexes_later(engine: sa.Engine) -> None:
    ITEM.create(engine)
    with pytest.raises(sa.exc.NotSupportedError, match="unique index cannot be added"):
        sa.Index("later", sa.Table("item", sa.MetaData(), autoload_with=engine).c.a, unique=True).create(
            engine
        )
    whole = sa.Table("part", sa.MetaData(), sa.Column("a", sa.Integer))
    sa.Index("some", whole.c.a, unique=True, sqlite_where=whole.c.a > 3)
    with pytest.raises(UnsupportedError, match="part of the rows"):
        whole.create(engine)


# -- pandas
# ------------------------------------------------------------------------------------------------


def test_to_sql(engine: sa.Engine, tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": [1, 2], "t": ["a", None], "w": pd.to_datetime(["2024-01-01", None])})
    frame.to_sql("n", engine, index=False)
    with pytest.raises(ValueError, match="already exists"):
        frame.to_sql("n", engine, index=False)
    frame.to_sql("n", engine, index=False, if_exists="append", method="multi")
    assert len(pd.read_sql_table("n", engine)) == 4
    for size in (1, 3):
        replacing = pd.DataFrame({"x": range(size)})
        replacing.to_sql("n", engine, index=False, if_exists="replace")
        pd.testing.assert_frame_equal(pd.read_sql_table("n", engine), replacing)
        assert names(tmp_path) == ["n.flac"]
    frame.to_sql("n", engine, if_exists="replace", index_label="i")
    read = pd.read_sql_table("n", engine, index_col="i")
    pd.testing.assert_frame_equal(read, frame, check_names=False, check_dtype=False)


def test_a_failed_replace_leaves_the_engine_usable(engine: sa.Engine, tmp_path: Path) -> None:
    """As with a table of SQLite's own the new table is there, with what pandas commits after the error."""
    pd.DataFrame({"n": [1, 2]}).to_sql("n", engine, index=False)
    with pytest.raises(pd.errors.DatabaseError):
        pd.DataFrame({"t": ["a", object()]}).to_sql("n", engine, index=False, if_exists="replace")
    assert pd.read_sql_table("n", engine)["t"].tolist() == ["a"]
    pd.DataFrame({"t": ["b"]}).to_sql("n", engine, index=False, if_exists="append")
    assert pd.read_sql_table("n", engine)["t"].tolist() == ["a", "b"]
