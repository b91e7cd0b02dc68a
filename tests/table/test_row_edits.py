"""delete, update, upsert and merge_rows: each is one commit, and means what it means for a list of dicts."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import audiomem_sql as am
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    ConstraintError,
    DataTypeError,
    OptionError,
    QueryError,
    SchemaError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.table.row_edits import WhenMatched, WhenNotMatched, WhenNotMatchedBySource
from audiomem_sql.versions import changes

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "code TEXT COLLATE NOCASE UNIQUE",
    "n INTEGER CHECK (n >= 0)",
    "name TEXT NOT NULL DEFAULT 'none'",
    "seen TIMESTAMP",
]
DEFAULTS: dict[str, Any] = {"id": None, "code": None, "n": None, "name": "none", "seen": None}
Row = dict[str, Any]
_NUMBERS = count()


class Refused(Exception):
    """The model has no such rows."""


class Model:
    """The same table as a list of dicts."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.high = 0

    def put(self, rows: list[Row]) -> None:
        """Have these rows, if they keep the constraints; one without an id gets the next one."""
        for row in sorted(rows, key=lambda row: row["id"] is None):
            if row["id"] is None:
                row["id"] = max([self.high, *(other["id"] for other in rows if other["id"] is not None)]) + 1
        ids = [row["id"] for row in rows]
        codes = [row["code"].lower() for row in rows if row["code"] is not None]
        if len(set(ids)) < len(ids) or len(set(codes)) < len(codes):
            raise Refused
        if any(row["name"] is None or (row["n"] is not None and row["n"] < 0) for row in rows):
            raise Refused
        self.rows = sorted(rows, key=lambda row: row["id"])
        self.high = max([self.high, *ids])

    def delete(self, passes: Callable[[Row], bool]) -> am.ChangedRows:
        kept = [row for row in self.rows if not passes(row)]
        gone = len(self.rows) - len(kept)
        self.rows = kept
        return am.ChangedRows(0, deleted=gone)

    def update(self, passes: Callable[[Row], bool], change: Callable[[Row], Row]) -> am.ChangedRows:
        count = sum(map(passes, self.rows))
        self.put([{**row, **change(row)} if passes(row) else row for row in self.rows])
        return am.ChangedRows(0, updated=count)

    def merge(
        self,
        given: list[Row],
        on: tuple[str, ...],
        matched: str,
        not_matched: str,
        by_source: str,
    ) -> am.ChangedRows:
        def key(row: Row) -> tuple[Any, ...]:
            values = [row.get(name) for name in on]
            return tuple(value.lower() if isinstance(value, str) else value for value in values)

        by_key = {key(row): row for row in given}
        if len(by_key) < len(given) or any(None in each for each in by_key):
            raise Refused
        there = {key(row) for row in self.rows} & set(by_key)
        if (matched == "fail" and there) or (not_matched == "fail" and set(by_key) - there):
            raise Refused
        rows: list[Row] = []
        updated = deleted = 0
        for row in self.rows:
            new = by_key.get(key(row))
            if new is None:
                drop = by_source == "delete"
            else:
                drop = matched == "delete"
            if drop:
                deleted += 1
                continue
            if new is not None and matched == "update":
                updated += 1
                row = {**row, **new, "id": row["id"] if new.get("id") is None else new["id"]}
            rows.append(row)
        added = [DEFAULTS | row for each, row in by_key.items() if each not in there]
        if not_matched != "insert":
            added = []
        self.put(rows + added)
        return am.ChangedRows(0, len(added), updated, deleted)


def content(table: am.Table) -> list[Row]:
    return sorted(table, key=lambda row: row["id"])


class Run:
    """Verbs by chance, on a table and on its model."""

    def __init__(self, table: am.Table, seed: int) -> None:
        self.table, self.model = table, Model()
        self.chance = random.Random(seed)
        self.refused = self.done = 0

    def row(self, names: list[str]) -> Row:
        chance = self.chance
        values: Row = {
            "id": chance.choice([None, *range(1, 40)]),
            "code": chance.choice([None, *(f"{letter}{n}" for letter in "aA" for n in range(15))]),
            "n": chance.choice([None, *range(9), *range(9), -1]),
            "name": chance.choice(["x", "y", "z", "z", "none", None]) if chance.random() < 0.1 else "w",
            "seen": None,
        }
        return {name: values[name] for name in names}

    def condition(self) -> tuple[Any, Callable[[Row], bool]]:
        number = self.chance.randrange(9)
        low = self.chance.randrange(40)
        return self.chance.choice(
            [
                (f"n = {number}", lambda row: row["n"] == number),
                (f"id > {low} AND length(name) = 1", lambda row: row["id"] > low and len(row["name"]) == 1),
                (pc.field("id") < low, lambda row: row["id"] < low),
                (pc.field("n").is_null(), lambda row: row["n"] is None),
                ("code LIKE 'a1%'", lambda row: row["code"] is not None and row["code"].lower()[:2] == "a1"),
            ]
        )

    def change(self) -> tuple[dict[str, Any], dict[str, str], Callable[[Row], Row]]:
        """values, sql, and the same for one row."""
        return self.chance.choice(
            [
                ({"name": "same"}, {}, lambda row: {"name": "same"}),
                ({"n": pc.field("n") + 1}, {}, lambda row: {"n": None if row["n"] is None else row["n"] + 1}),
                ({}, {"n": "n - 1"}, lambda row: {"n": None if row["n"] is None else row["n"] - 1}),
                ({}, {"id": "id + 1"}, lambda row: {"id": row["id"] + 1}),
                (
                    {"n": lambda rows: pc.multiply(rows["id"], 2), "name": "twice"},
                    {},
                    lambda row: {"n": row["id"] * 2, "name": "twice"},
                ),
                ({"code": "A1"}, {}, lambda row: {"code": "A1"}),
                (
                    {"seen": None},
                    {"name": "name || coalesce(code, '')", "code": "NULL"},
                    lambda row: {"seen": None, "name": row["name"] + (row["code"] or ""), "code": None},
                ),
            ]
        )

    def step(self) -> None:
        table, model, chance = self.table, self.model, self.chance
        what = chance.choice(["delete", "update", "update", "merge", "merge", "upsert", "upsert", "keep"])
        if what == "keep":
            chance.choice([table.checkpoint, table.merge, table.vacuum, table.refresh])()
        elif what == "delete":
            where, passes = self.condition()
            if chance.random() < 0.5:
                self.both(lambda: table.delete(where), lambda: model.delete(passes))
        elif what == "update":
            where, passes = self.condition()
            values, sql, change = self.change()
            self.both(lambda: table.update(where, values, sql=sql), lambda: model.update(passes, change))
        else:
            on = chance.choice([("id",), ("code",), ("name",), ("n", "name"), ("id",)])
            names = [*on, *(name for name in DEFAULTS if name not in on and chance.random() < 0.5)]
            rows = [self.row(names) for _ in range(chance.randrange(6))]
            if chance.random() < 0.8:  # most without what is refused at once
                rows = [row for row in rows if all(row[name] is not None for name in on)]
            for row in rows:
                for name in names:
                    if name not in on and chance.random() < 0.2:
                        del row[name]
            self.merge(rows, on, plain=what == "upsert")

    def merge(self, rows: list[Row], on: tuple[str, ...], *, plain: bool) -> None:
        table, chance = self.table, self.chance
        if plain:
            self.both(
                lambda: table.upsert(rows, on if len(on) > 1 else on[0]),
                lambda: self.model.merge(rows, on, "update", "insert", "ignore"),
            )
            return
        matched: WhenMatched = chance.choice(["update", "update", "delete", "ignore", "fail"])
        not_matched: WhenNotMatched = chance.choice(["insert", "insert", "ignore", "fail"])
        by_source: WhenNotMatchedBySource = "delete" if chance.random() < 0.1 else "ignore"
        self.both(
            lambda: table.merge_rows(
                rows,
                on,
                when_matched=matched,
                when_not_matched=not_matched,
                when_not_matched_by_source=by_source,
            ),
            lambda: self.model.merge(rows, on, matched, not_matched, by_source),
        )

    def both(self, edit: Callable[[], am.ChangedRows], expect: Callable[[], am.ChangedRows]) -> None:
        """The same from both, one commit, and rows that are equal; or a refusal by both, and nothing."""
        table, before = self.table, self.table.version
        try:
            expected = expect()
        except Refused:
            with pytest.raises(AudioMemError):
                edit()
            assert table.version == before
            assert table.transaction is None
            self.refused += 1
        else:
            made = edit()
            self.done += 1
            counts = (made.inserted, made.updated, made.deleted)
            assert counts == (expected.inserted, expected.updated, expected.deleted)
            assert made.version == table.version == before + bool(sum(counts))
        assert content(table) == self.model.rows
        self.model.high = max(self.model.high, table.snapshot.high_rowid)


@pytest.fixture(params=["file", "shards", "store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "store":
        return f"memory://edited/t{next(_NUMBERS)}.flac"
    return str(tmp_path / ("t.flac" if request.param == "file" else "t.shards"))


@pytest.fixture
def table(tmp_path: Path) -> Iterator[am.Table]:
    with am.Table.create(tmp_path / "t.flac", COLUMNS) as made:
        made.append(
            [{"id": number, "code": f"c{number}", "n": number, "name": "x"} for number in range(1, 6)]
        )
        yield made


def options(place: str) -> dict[str, Any]:
    return {"profile": "embedded", **({"shards": 3} if place.endswith(".shards") else {})}


@pytest.mark.parametrize("seed", range(3))
def test_verbs_by_chance(place: str, seed: int) -> None:
    with am.Table.create(place, COLUMNS, options(place)) as table:
        run = Run(table, seed)
        for _ in range(60):
            run.step()
        assert run.done > 15
        assert run.refused > 3
        kept = {version.number: content(table.checkout(version.number)) for version in table.versions[-3:]}
        assert kept[table.version] == run.model.rows
    with am.open(place) as again:
        assert content(again) == run.model.rows


def refused(table: am.Table, error: type[AudioMemError], what: str, edit: Callable[[], Any]) -> None:
    """The edit is refused with this error, which says this, and changes nothing."""
    before, version = content(table), table.version
    with pytest.raises(error, match=what) as raised:
        edit()
    assert raised.value.file is not None
    assert table.version == version
    assert table.transaction is None
    assert content(table) == before


def test_what_an_upsert_refuses(table: am.Table) -> None:
    def no(error: type[AudioMemError], what: str, rows: Any, key: Any = None) -> None:
        refused(table, error, what, lambda: table.upsert(rows, key))

    no(ConstraintError, r"row 1: the key id = 7 is there twice, in row 0, too", [{"id": 7}, {"id": 7}])
    no(ConstraintError, r"row 2: the key code = 'D' .* row 0", [{"code": c} for c in "deD"], "code")
    no(ConstraintError, r"row 1: NULL in column id", [{"id": 7}, {"id": None}])
    no(ConstraintError, r"row 0: NULL in column code", pa.table({"code": pa.nulls(1, pa.string())}), ["code"])
    no(SchemaError, r"row 1: column id is missing", [{"id": 7}, {"n": 7}])
    no(SchemaError, r"no column nme", [{"id": 7, "nme": "a"}])
    no(SchemaError, r"no column cod\. Did you mean code", [{"id": 7}], "cod")
    no(QueryError, r"\['id', 'id'\] is no key", [{"id": 7}], ["id", "id"])
    no(QueryError, r"\[\] is no key", [{"id": 7}], [])
    no(DataTypeError, r"row 1: .*column n", [{"id": 7, "n": 1}, {"id": 8, "n": "many"}])
    no(DataTypeError, r"is no table", 5)
    no(ConstraintError, r"row 1: CHECK .*n >= 0", [{"id": 7, "n": 1}, {"id": 2, "n": -1}])
    no(ConstraintError, r"row 1: NOT NULL .*name", [{"id": 7}, {"id": 2, "name": None}])
    no(ConstraintError, r"UNIQUE .*code", [{"id": 7, "code": "C1"}])
    assert table.upsert([]) == am.ChangedRows(table.version)


def test_what_an_update_refuses(table: am.Table) -> None:
    def no(error: type[AudioMemError], what: str, where: Any, *given: Any, **named: Any) -> None:
        refused(table, error, what, lambda: table.update(where, *given, **named))

    no(SchemaError, "no column nme. Did you mean name", "true", {"nme": 1})
    no(SchemaError, "column n is set twice", "true", {"n": 1, "N": 2})
    no(SchemaError, "column n is set twice", "true", {"n": 1}, sql={"n": "2"})
    no(SchemaError, "the name of a column is a text", "true", {1: 2})
    no(QueryError, "no column is set", "true")
    no(QueryError, "values is a dict", "true", ["n"])
    no(DataTypeError, "TEXT value in INTEGER column n", "true", {"n": "many"})
    no(DataTypeError, r"row 1: .*TEXT value in INTEGER column n", "true", sql={"n": "name"})
    no(DataTypeError, "row 1: cannot store NULL .* PRIMARY KEY column id", "true", {"id": None})
    no(ConstraintError, "row 3: NOT NULL .*name", "id = 3", {"name": None})
    no(ConstraintError, "row 1: CHECK", "true", {"n": -1})
    no(ConstraintError, "UNIQUE .*code", "id > 3", {"code": "same"})
    no(ConstraintError, "UNIQUE .*id", "id = 1", {"id": 2})
    no(DataTypeError, "column n is given 1 values for 5 rows", "true", {"n": lambda rows: [1]})
    no(DataTypeError, "row 1: .*column n", "true", {"n": lambda rows: [1, "many", 2, 3, 4]})
    no(QueryError, "function for column n fails: ZeroDivisionError", "true", {"n": lambda rows: 1 // 0})
    no(QueryError, "no column 'm'", "true", {"n": pc.field("m") + 1})
    no(QueryError, "Arrow cannot evaluate", "true", {"n": pc.field("name") + 1})
    no(QueryError, "no column 'm'", "true", sql={"n": "m + 1"})
    no(QueryError, "column n: this expression cannot be understood", "true", sql={"n": "1 +"})
    no(QueryError, "aggregate", "true", sql={"n": "count(*)"})
    no(QueryError, "an expression of SQL is a text", "true", sql={"n": 1})
    no(QueryError, "row 1", "true", sql={"n": "json_extract('{', '$.a')"})
    no(QueryError, "a filter is a text or an expression", None, {"n": 1})
    no(QueryError, "has no parameters", pc.field("n") > 1, {"n": 1}, [5])
    no(QueryError, "question marks", "n > ?", {"n": 1})


def test_other_words_and_filters_are_refused(table: am.Table) -> None:
    words: Any = {"when_matched": "updat"}
    refused(table, OptionError, "Did you mean update", lambda: table.merge_rows([], **words))
    words = {"when_not_matched": "add"}
    refused(table, OptionError, "Say insert, ignore or fail", lambda: table.merge_rows([], **words))
    words = {"when_not_matched_by_source": True}
    refused(table, OptionError, "Say ignore or delete", lambda: table.merge_rows([], **words))
    refused(table, QueryError, "no column 'm'", lambda: table.delete("m = 1"))
    refused(table, QueryError, "no column 'm'", lambda: table.delete(pc.field("m") == 1))
    everything: Any = {"id": 1}
    refused(table, QueryError, "'true' for all rows", lambda: table.delete(everything))


def test_merge_rows_fails_where_it_is_told_to(table: am.Table) -> None:
    refused(
        table,
        ConstraintError,
        "row 1: the key id = 5 is there already",
        lambda: table.merge_rows([{"id": 7}, {"id": 5}], when_matched="fail"),
    )
    refused(
        table,
        ConstraintError,
        "row 0: the key id = 7 is not there",
        lambda: table.merge_rows([{"id": 7}, {"id": 5}], when_not_matched="fail"),
    )


def test_the_key_of_the_table_is_the_default(tmp_path: Path) -> None:
    def upserted(columns: list[str], rows: list[Row]) -> list[Row]:
        path = tmp_path / f"k{next(_NUMBERS)}.flac"
        with am.Table.create(path, columns) as table:
            table.append(rows[:1])
            assert table.upsert(rows[1:]).updated == 1
            return list(table)

    assert upserted(["a TEXT PRIMARY KEY", "b TEXT"], [{"a": "x"}, {"a": "x", "b": "1"}]) == [
        {"a": "x", "b": "1"}
    ]
    assert upserted(["a TEXT", "b TEXT UNIQUE"], [{"b": "x"}, {"a": "1", "b": "x"}]) == [{"a": "1", "b": "x"}]
    rows = [{"a": "x", "b": "y"}, {"a": "x", "b": "y", "c": "1"}]
    assert upserted(["a TEXT", "b TEXT", "c TEXT", "PRIMARY KEY (b, a)"], rows) == rows[1:]
    for columns, what in ((["a TEXT"], "no key"), (["a TEXT UNIQUE", "b TEXT UNIQUE"], "several keys")):
        with am.Table.create(tmp_path / f"k{next(_NUMBERS)}.flac", columns) as table:
            refused(table, QueryError, what, lambda: table.upsert([{"a": "x"}]))
            assert table.upsert([{"a": "x"}], key="a").inserted == 1


def test_rows_in_every_form(table: am.Table) -> None:
    """Columns that they do not have stay as they are."""
    frame = pd.DataFrame({"id": [1], "N": [10]})
    assert table.upsert(frame).updated == 1
    assert table.upsert(pl.DataFrame({"id": [2], "n": [20]})).updated == 1
    assert table.upsert(pl.LazyFrame({"id": [3], "n": [30]})).updated == 1
    assert table.upsert({"id": np.array([4]), "n": [40]}).updated == 1
    assert table.upsert(pa.table({"id": [5], "n": [50]}).to_reader()).updated == 1
    expected = [
        {"id": number, "code": f"c{number}", "n": 10 * number, "name": "x", "seen": None}
        for number in range(1, 6)
    ]
    assert content(table) == expected
    assert table.upsert(frame.set_index("id")).updated == 1
    assert content(table) == expected
    with table.checkout(2) as old:
        assert table.upsert(old).updated == 5
    assert [row["n"] for row in content(table)] == [1, 2, 3, 4, 5]


def test_a_key_that_several_rows_have(table: am.Table) -> None:
    assert table.upsert([{"name": "x", "n": 9}, {"name": "y"}], key="name") == am.ChangedRows(3, 1, 5)
    assert [row["n"] for row in content(table)] == [9] * 5 + [None]
    many = [{"name": f"m{number}", "n": number} for number in range(2000)]
    assert table.upsert([*many, {"name": "x", "n": 8}], key="name") == am.ChangedRows(4, 2000, 5)
    assert table.to_arrow(where="name = 'x'")["n"].to_pylist() == [8] * 5


def test_a_table_becomes_what_is_given(table: am.Table) -> None:
    made = table.merge_rows(
        [{"id": 2, "n": 0}, {"id": 9}], when_not_matched_by_source="delete", message="as in the source"
    )
    assert made == am.ChangedRows(3, inserted=1, updated=1, deleted=4)
    assert [(row["id"], row["n"]) for row in table] == [(2, 0), (9, None)]
    assert table.versions[-1].message == "as in the source"
    kinds = sorted(change.kind for change in changes(table.snapshot, 3, 3))
    assert kinds == ["delete"] * 4 + ["insert", "update_postimage", "update_preimage"]


def test_values_of_every_type(tmp_path: Path) -> None:
    columns = ["x REAL", "b BLOB", "ok BOOLEAN", "seen TIMESTAMP", "doc JSON", "vec FLOAT[2]", "t TEXT"]
    with am.Table.create(tmp_path / "t.flac", columns) as table:
        table.append([{"t": "a"}, {"t": "b"}])
        seen = pd.Timestamp("2024-05-06 07:08:09")
        values = {"x": 1, "b": b"\0", "ok": True, "seen": seen, "doc": {"a": [1]}, "vec": np.ones(2)}
        assert table.update("t = 'a'", values).updated == 1
        assert table.to_arrow(where="t = 'a'").drop_columns("t").to_pylist() == [
            {"x": 1.0, "b": b"\0", "ok": True, "seen": seen, "doc": '{"a":[1]}', "vec": [1.0, 1.0]}
        ]
        assert table.update("t = 'b'", {name: pc.field(name) for name in values}).updated == 1
        assert table.update("true", {name: lambda rows, n=name: rows[n] for name in values}).updated == 2
        assert table.update("true", {"x": pa.scalar(2.5), "ok": lambda rows: pa.scalar(False)}).updated == 2
        assert table.upsert(table, key="t").updated == 2
        a, b = sorted(table, key=lambda row: row["t"])
        assert a == {**a, "x": 2.5, "ok": False, "seen": seen, "vec": [1.0, 1.0]}
        assert b == {**dict.fromkeys(values), "x": 2.5, "ok": False, "t": "b"}


def test_values_of_logical_types(tmp_path: Path) -> None:
    """Functions and expressions see what users see, and keys are compared as they are stored."""
    columns = ["id UUID PRIMARY KEY", "price DECIMAL(10, 2)", "day DATE", "tags TEXT[]", "s STRUCT(a BIGINT)"]
    with am.Table.create(tmp_path / "t.flac", columns) as table:
        ids = [UUID(int=number) for number in range(5)]
        row = {"day": date(2024, 1, 31), "tags": ["a", None], "s": {"a": 1}}
        table.append([{"id": ids[n], "price": Decimal(n) / 4, **row} for n in range(4)])
        more = {"price": lambda rows: pc.add(rows["price"], pa.scalar(Decimal("1.00"))), "s": {"a": 2}}
        assert table.update("true", more).updated == 4
        made = table.update("price < 1.3", {"price": pc.field("price")}, sql={"day": "date(day, '+1 day')"})
        assert made.updated == 2
        assert table.upsert([{"id": ids[1], "price": Decimal("9.99")}, {"id": ids[4]}]).inserted == 1
        assert table.upsert([{"price": Decimal("9.99"), "tags": []}], key="price").updated == 1
        assert table.upsert([{"day": date(2024, 1, 31), "s": None}], key="day").updated == 2
        found = {each["id"]: each for each in table}
        assert found[ids[1]] == {
            "id": ids[1],
            "price": Decimal("9.99"),
            "day": date(2024, 2, 1),
            "tags": [],
            "s": {"a": 2},
        }
        assert found[ids[2]] == {"id": ids[2], "price": Decimal("1.50"), **row, "s": None}
        assert table.upsert(list(table)).updated == table.upsert(table).updated == 5
        assert {each["id"]: each for each in table} == found
        refused(table, SchemaError, "cannot be a key", lambda: table.upsert([{"tags": ["a"]}], key="tags"))
        refused(table, DataTypeError, "column price", lambda: table.update("true", {"price": "dear"}))
        assert table.delete(pc.field("price") > Decimal("9.00")).deleted == 1


def test_exact_arithmetic(tmp_path: Path) -> None:
    with am.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "p DECIMAL(30,4)", "word TEXT"]) as table:
        table.append([{"p": "12345678901234567890.1234", "word": "x"}, {"p": None, "word": "5"}])
        assert table.update("true", sql={"p": "decimal_add(p, '0.0001')"}).updated == 2
        whole = Decimal("12345678901234567890.1235")
        assert table.to_arrow()["p"].to_pylist() == [whole, None]
        table.update("decimal_cmp(p, '12345678901234567890.1234') > 0", sql={"p": "decimal_mul(p, 2)"})
        assert table.to_arrow()["p"].to_pylist() == [2 * whole, None]
        table.update("id = 1", sql={"p": "decimal_sub(p, 0.5)"})
        assert table.to_arrow()["p"].to_pylist() == [2 * whole - Decimal("0.5"), None]
        refused(
            table,
            QueryError,
            "row 1: the expression",
            lambda: table.update("true", sql={"p": "decimal_add(word, 1)"}),
        )
        refused(table, QueryError, "no number", lambda: table.update("decimal_cmp(word, 1)", {"word": ""}))


def test_rows_without_a_key_keep_their_rowids(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["name TEXT"]) as table:
        table.append([{"name": name} for name in "abc"])
        assert table.update("name = 'b'", {"name": "B"}) == am.ChangedRows(3, updated=1)
        assert table.get(2) == {"name": "B"}
        assert [change.kind for change in changes(table.snapshot, 3, 3)] == [
            "update_preimage",
            "update_postimage",
        ]
        assert table.delete("rowid = 2").deleted == 1
        assert table.get(2) is None


def test_meaning_and_words_follow(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED", "n INTEGER"]
    with am.Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append([{"id": 1, "body": "cats sleep on sofas"}, {"id": 2, "body": "frames hold samples"}])
        table.update("id = 1", {"n": 5})
        assert table.search("cats on sofas", 1)["n"].to_pylist() == [5]
        table.upsert([{"id": 1, "body": "parity repairs pages"}, {"id": 3, "body": "dogs sleep on sofas"}])
        assert table.search("sofas", 1)["id"].to_pylist() == [3]
        assert table.search("words: cats")["id"].to_pylist() == []
        assert table.search("parity of pages", 1)["id"].to_pylist() == [1]


def test_one_writer(table: am.Table) -> None:
    table.begin()
    with pytest.raises(StorageError, match="a transaction is open"):
        table.delete("true")
    with pytest.raises(StorageError, match="a transaction is open"):
        table.upsert([{"id": 1}])
    with am.open(table.path) as other:
        other.busy_timeout = 0.05
        with pytest.raises(BusyError):
            other.update("true", {"n": 0})
    table.rollback()
    with am.open(table.path, version=1) as old, pytest.raises(UnsupportedError):
        old.delete("true")
    assert table.update("id = 1", {"n": lambda rows: [len(table)]}).updated == 1
    assert [row["n"] for row in content(table)] == [5, 2, 3, 4, 5]


def test_columns_that_change_meanwhile(table: am.Table) -> None:
    def altered() -> Iterator[pa.RecordBatch]:
        with am.open(table.path) as other:
            other.alter("add column more TEXT")
        yield pa.record_batch({"id": [1]})

    reader = pa.RecordBatchReader.from_batches(pa.schema([("id", pa.int64())]), altered())
    with pytest.raises(SchemaError, match="changed meanwhile"):
        table.upsert(reader)
    assert table.upsert([{"id": 1, "more": "m"}]).updated == 1


def test_many_rows_are_a_segment(tmp_path: Path) -> None:
    rows = 20_000
    with am.Table.create(tmp_path / "t.flac", COLUMNS) as table:
        table.append(pa.table({"id": np.arange(rows), "code": [f"c{n}" for n in range(rows)]}))
        assert table.update("id >= 100", sql={"n": "id * 2"}) == am.ChangedRows(3, updated=rows - 100)
        half = pa.table({"id": np.arange(rows // 2, rows + 10), "name": ["new"] * (rows // 2 + 10)})
        assert table.upsert(half) == am.ChangedRows(4, 10, rows // 2)
        assert table.delete("id < 5000") == am.ChangedRows(5, deleted=5000)
        found = table.to_arrow(["id", "n", "name"]).sort_by("id").to_pydict()
        assert found["id"] == list(range(5000, rows + 10))
        assert found["n"] == [2 * number for number in range(5000, rows)] + [None] * 10
        assert found["name"] == ["none"] * (rows // 2 - 5000) + ["new"] * (rows // 2 + 10)
