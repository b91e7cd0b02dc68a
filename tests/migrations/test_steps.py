"""Changes of the columns one by one: what they do, what they refuse, and lists of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import ConstraintError, OptionError, SchemaError, UnsupportedError
from audiomem_sql.migrations import (
    AddColumn,
    DropColumn,
    IndexColumn,
    RenameColumn,
    UnindexColumn,
    migrate,
    parse_change,
)
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT", "code TEXT UNIQUE"]


def after(*changes: str) -> Schema:
    schema, following = parse_columns(COLUMNS), 3
    for change in changes:
        schema = parse_change(change).apply(schema, following)
        following = max(following, *(column_id + 1 for column_id in schema.ids))
    return schema


def test_what_a_text_means() -> None:
    assert parse_change("ADD COLUMN year INTEGER") == AddColumn("year INTEGER")
    assert parse_change("add year INTEGER") == AddColumn("year INTEGER")
    assert parse_change("add column column TEXT") == AddColumn("column TEXT")
    assert parse_change(' drop  column "a ""b" ') == DropColumn('a "b')
    assert parse_change("drop name") == DropColumn("name")
    assert parse_change("rename column [a b] to c") == RenameColumn("a b", "c")
    assert parse_change("INDEX COLUMN vec") == IndexColumn("vec")
    assert parse_change("index vec (metric=l2, codes=int8)") == IndexColumn("vec", "metric=l2, codes=int8")
    assert parse_change("unindex column [a b]") == UnindexColumn("a b")
    assert str(IndexColumn("a", "Metric = L2")) == 'index column "a" (metric=l2)'
    for change in (AddColumn("y TEXT DEFAULT 'a, b'"), DropColumn('a "b"'), RenameColumn("x", "to")):
        assert parse_change(str(change)) == change
    for index in (UnindexColumn('a "b"'), IndexColumn('a "b"', "metric=ip, dimensions=2")):
        assert parse_change(str(index)) == index


NONSENSE = (
    "; add; add column; drop; drop column a b; rename a b; "
    "rename a to; rename a to 5; alter a; drop 'n'; vacuum; index; index 5; index a b; index a (; unindex a b"
)


@pytest.mark.parametrize("text", NONSENSE.split("; "))
def test_texts_that_mean_nothing(text: str) -> None:
    with pytest.raises(SchemaError, match=r"no change of the columns|type is missing"):
        after(text)


def test_ids_are_never_used_again() -> None:
    schema = after("add column a TEXT", "drop column a", "add column a INTEGER", "rename name to title")
    assert schema.names == ("id", "title", "code", "a")
    assert schema.ids[:3] == (0, 1, 2)
    assert schema["a"].type == parse_columns(["a INTEGER"])["a"].type


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("add column name TEXT", "already"),
        ("add column NAME TEXT", "already"),
        ("add column kind TEXT UNIQUE", "UNIQUE"),
        ("add column kind INTEGER PRIMARY KEY", "PRIMARY KEY"),
        ("add column kind INTEGER NOT NULL", "needs a DEFAULT"),
        ("add column kind INTEGER NOT NULL DEFAULT NULL", "needs a DEFAULT"),
        ("add column kind TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "literal"),
        ("add column kind INTEGER DEFAULT (1 + 1)", "literal"),
        ("add column kind INTEGER DEFAULT 'x'", "DEFAULT|default"),
        ("add column audiomem_rank INTEGER", "hidden"),
        ("rename column name to Audiomem_Version", "hidden"),
        ("add column kind", "type"),
        ("drop column kind", "no column kind"),
        ("drop column id", "PRIMARY KEY"),
        ("drop column code", "UNIQUE"),
        ("rename column kind to l", "no column kind"),
        ("rename column name to CODE", "already"),
        ("index column kind", "no column kind"),
        ("index column id", "only FLOAT"),
        ("index column name (metric=l2)", "name"),
        ("unindex column name", "no index of words"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: str, what: str) -> None:
    with pytest.raises(SchemaError, match=what):
        after(change)
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        with pytest.raises(SchemaError, match=what) as error:
            table.alter(change)
        assert error.value.file == table.path
        assert table.version == 1
        assert not table.migrations


def test_constraints_go_along(tmp_path: Path) -> None:
    columns = [
        "a TEXT",
        'b INTEGER CHECK (b > 0 OR "b" IS NULL)',
        "c TEXT",
        "UNIQUE (a, B)",
        "CHECK (length(c) < 9)",
    ]
    with Table.create(tmp_path / "t.flac", columns) as table:
        table.append([{"a": "x", "b": 1}, {"a": "x", "b": 2}])
        for change, what in (
            ("drop column b", "part of UNIQUE"),
            ("drop column c", "no such column"),
            ("add column d INTEGER CHECK (b < 2)", "CHECK constraint failed"),
            ("add column d INTEGER CHECK (e < 2)", "no such column"),
            ("add column d INTEGER CHECK (random() < 2)", "next time"),
        ):
            with pytest.raises((SchemaError, ConstraintError), match=what):
                table.alter(change)
        table.alter("add column d INTEGER DEFAULT 5 CHECK (d + b < 9)")
        table.alter('rename column b to "b 2"')
        table.alter("rename column c to k2")
        assert table.schema.sql() == (
            'a TEXT, "b 2" INTEGER, k2 TEXT, d INTEGER DEFAULT 5, CHECK ("b 2" > 0 OR "b 2" IS NULL), '
            'CHECK (length("k2") < 9), CHECK (d + "b 2" < 9), UNIQUE (a, "b 2")'
        )
        for row, what in (
            ({"a": "x", "b 2": 1}, "UNIQUE"),
            ({"a": "y", "b 2": 0}, "CHECK"),
            ({"a": "y", "b 2": 4}, "CHECK"),
            ({"a": "y", "b 2": 3, "k2": "more than nine"}, "CHECK"),
        ):
            with pytest.raises(ConstraintError, match=what):
                table.append([row])
        table.append([{"a": "y", "b 2": 3}])
        table.vacuum()
    with Table(tmp_path / "t.flac") as table:
        assert table.checkout(version=2).schema.sql() == (
            'a TEXT, b INTEGER, c TEXT, CHECK (b > 0 OR "b" IS NULL), CHECK (length(c) < 9), UNIQUE (a, B)'
        )
        with pytest.raises(ConstraintError, match="UNIQUE"):
            table.append([{"a": "x", "b 2": 1}])


def test_the_last_column_stays() -> None:
    with pytest.raises(SchemaError, match="last"):
        DropColumn("only").apply(parse_columns(["only TEXT"]), 1)


def test_capitals_alone_can_change() -> None:
    assert after("rename column name to Name").names == ("id", "Name", "code")


def test_steps_are_applied_once(tmp_path: Path) -> None:
    steps = [AddColumn("year INTEGER DEFAULT 1"), "rename column name to title"]
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        assert migrate(table, steps) == 2
        assert migrate(table, steps) == 0
        assert [(m.number, m.version) for m in table.migrations] == [(1, 2), (2, 3)]
        table.append([{"title": "a", "code": "b"}])
        assert migrate(table, [*steps, DropColumn("year")]) == 1
        table.vacuum()
    with Table(tmp_path / "t.flac") as table:
        assert [m.text for m in table.migrations] == [
            "add column year INTEGER DEFAULT 1",
            'rename column "name" to "title"',
            'drop column "year"',
        ]
        assert table.to_arrow().to_pylist() == [{"id": 1, "title": "a", "code": "b"}]
        with pytest.raises(SchemaError, match="went through 3"):
            migrate(table, steps)
        with pytest.raises(SchemaError, match="step 2 of the table"):
            migrate(table, [steps[0], "drop column name", "drop column year"])


def test_a_change_says_why(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        table.alter("add column year INTEGER", message="years at last")
        assert table.versions[-1].message == "years at last"
        assert table.migrations[0].text == "add column year INTEGER"


def test_an_old_version_is_not_written_to(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", COLUMNS) as table:
        table.append([{"code": "a"}])
        with Table(tmp_path / "t.flac", version=1) as old:
            for write in (old.begin, old.checkpoint, lambda: old.alter("drop name"), old.vacuum):
                with pytest.raises(UnsupportedError, match="version 1"):
                    write()


@pytest.mark.parametrize("change", [5, None, b"drop a", AddColumn])
def test_what_is_no_change(tmp_path: Path, change: object) -> None:
    with Table.create(tmp_path / "t.flac", ["a TEXT"]) as table:
        with pytest.raises(SchemaError, match=r"t\.flac: .*is no change of the columns"):
            table.alter(change)  # type: ignore[arg-type]
        for wrong in ({"layout": "mars"}, {"protection": "much"}):
            with pytest.raises(OptionError, match=r"t\.flac: .*does not exist"):
                table.vacuum(**wrong)  # type: ignore[arg-type]
        assert table.version == 1
