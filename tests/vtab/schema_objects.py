"""Strategies for what a schema has beside tables: views, triggers that write to tables, and what sets them off.

Two native tables, ``x`` and ``y``, are there on both sides; triggers on them, and INSTEAD OF triggers on views,
write to the tables that are compared. What a statement does must not depend on the order in which rows are read, so
rows get their rowids from the statement, and what changes several rows touches no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from model import ModelColumn, Twins

from .grammar_terms import Named, Source, Terms, literal
from .tables import quoted, values_of

#: The native tables: i is the rowid; y is written to by triggers of x.
NATIVE = {
    "x": "CREATE TABLE {x}(i INTEGER PRIMARY KEY, p, q)",
    "y": "CREATE TABLE {y}(i INTEGER, p, q)",
}
_ROWIDS = st.integers(1, 6)
_VERBS = (
    "INSERT",
    "INSERT",
    "INSERT",
    "INSERT OR IGNORE",
    "INSERT OR REPLACE",
    "INSERT OR FAIL",
    "INSERT OR ABORT",
)
#: Types that a STRICT table has, too, so that any value is taken or refused by both.
STRICT = ("INTEGER", "REAL", "TEXT", "BLOB")
#: Not ROLLBACK, here and above: both sides are in one transaction.
_RAISES = ("IGNORE", "ABORT, 'no'", "FAIL, 'no'")


def native_value(column: ModelColumn) -> str:
    """What a trigger gives a native table for a value: in a trigger ours takes the default for NULL."""
    default = next((text for text in column.clauses if text.startswith("DEFAULT ")), None)
    return "?" if default is None else f"coalesce(?, {default.removeprefix('DEFAULT ')})"


@dataclass(frozen=True)
class Statement:
    """SQL with ``{t}`` in it, for our side and, where it differs, for the native one."""

    sql: str
    native: str | None = None


@dataclass(frozen=True)
class Trigger:
    """A trigger ``name`` of the table or view ``on``."""

    head: str
    body: tuple[Statement, ...]

    def define(self, twins: Twins, name: str) -> None:
        """Make it, for both sides."""
        bodies = [each.native or each.sql for each in self.body], [each.sql for each in self.body]
        for side, body in enumerate(bodies):
            sql = f"CREATE TRIGGER {'na'[side]}_{name} {self.head} BEGIN {'; '.join(body)}; END"
            twins.connection.execute(twins.sides(sql)[side])


class Objects(Terms):
    """Draws views and triggers over ``tables`` and ``views``."""

    def constant(self, values: st.SearchStrategy[Any]) -> str:
        """A literal: a schema has no parameters."""
        return literal(self.draw(values))

    # -- views

    def view(self) -> tuple[str, tuple[ModelColumn, ...]]:
        """(SELECT, columns)."""
        kind = self.draw(st.integers(0, 3))
        if kind == 0:
            return self.joined()
        source = self.source()
        items, columns = self.selected([source], [column.name for column in source.columns])
        sql = f"SELECT {items} FROM {self.from_table(source)}{self.filtered([source])}"
        if kind == 1:
            sql += f" UNION ALL SELECT {items} FROM {self.from_table(source)}{self.filtered([source])}"
        elif kind == 2:
            value = self.expression([source], 1)
            return sql.replace(" FROM ", f", CAST({value} AS TEXT) AS made FROM ", 1), (
                *columns,
                ModelColumn("made", "TEXT"),
            )
        return sql, columns

    def joined(self) -> tuple[str, tuple[ModelColumn, ...]]:
        first, second = self.source(), self.source()
        scope = [first, second]
        names = [f"{source.alias}_{column.name}" for source in scope for column in source.columns]
        items, columns = self.selected(scope, names)
        join = self.pick(("JOIN", "LEFT JOIN"))
        on = f"{first.ref(first.columns[0])} {self.pick(('=', 'IS'))} {second.ref(second.columns[0])}"
        sql = f"SELECT {items} FROM {self.from_table(first)} {join} {self.from_table(second)} ON {on}"
        return sql + self.filtered(scope), columns

    def selected(self, scope: Sequence[Source], names: Sequence[str]) -> tuple[str, tuple[ModelColumn, ...]]:
        pairs = [(source, column) for source in scope for column in source.columns]
        items = ", ".join(f'{s.ref(c)} AS "{name}"' for (s, c), name in zip(pairs, names, strict=True))
        return items, tuple(
            ModelColumn(name, column.type, (), column.collation)
            for (_, column), name in zip(pairs, names, strict=True)
        )

    def filtered(self, scope: Sequence[Source]) -> str:
        return f" WHERE {self.condition(scope, 1)}" if self.chance(2) else ""

    # -- triggers

    def insert(self, table: Named, rowid: str, values: Sequence[str]) -> Statement:
        """A row with a rowid of the statement's."""
        name, columns = table
        alias = next((column for column in columns if column.is_rowid), None)
        names, ours, natives = ["rowid"] if alias is None else [], [], []
        if alias is None:
            ours, natives = [rowid], [rowid]
        for column, value in zip(columns, values, strict=True):
            names.append(quoted(column))
            ours.append(rowid if column is alias else value)
            natives.append(rowid if column is alias else native_value(column).replace("?", value))
        head = f"{self.pick(_VERBS)} INTO {{{name}}}({', '.join(names)}) VALUES"
        return Statement(f"{head} ({', '.join(ours)})", f"{head} ({', '.join(natives)})")

    def values(self, columns: Sequence[ModelColumn], row: str) -> list[str]:
        """For each column a constant, or a value of the row that set the trigger off."""
        return [
            f"{row}.{self.pick(('p', 'q'))}"
            if column.type in STRICT and self.chance(4)
            else self.constant(values_of(column))
            for column in columns
        ]

    def step(self, row: str) -> Statement:
        """One statement of a trigger, whose row is called ``row``: new or old."""
        name, columns = table = self.pick(self.tables)
        kind = self.draw(st.integers(0, 6))
        if kind <= 1:
            return self.insert(table, f"{row}.i", self.values(columns, row))
        if kind == 2:
            return Statement(f"DELETE FROM {{{name}}} WHERE rowid = {row}.i + {self.draw(st.integers(0, 1))}")
        if kind == 3:
            source = self.source()
            return Statement(
                f"INSERT INTO {{y}} SELECT {row}.i, count(*), {self.aggregate([source], safe=True)} "
                f"FROM {self.from_table(source)}{self.filtered([source])}"
            )
        if kind == 4 and self.chance(2):
            when = f"{row}.i % 5 = {self.draw(st.integers(0, 4))}"
            return Statement(f"SELECT RAISE({self.pick(_RAISES)}) WHERE {when}")
        column = self.pick(columns)
        value = self.values([column], row)[0]
        return Statement(f"UPDATE {{{name}}} SET {quoted(column)} = {value} WHERE rowid = {row}.i")

    def trigger(self) -> Trigger:
        """A trigger of x or y."""
        on = self.pick(("x", "x", "y"))
        event = "INSERT" if on == "y" else self.pick(("INSERT", "INSERT", "UPDATE", "DELETE"))
        row = "old" if event == "DELETE" else "new"
        when = f" WHEN {row}.i <> {self.draw(_ROWIDS)}" if self.chance(3) else ""
        steps = [self.step(row) for _ in range(self.draw(st.integers(1, 3)))]
        if on == "y":  # it must not set itself off
            steps = [step for step in steps if "{y}" not in step.sql] or [Statement("SELECT 1")]
        time = self.pick(("BEFORE", "AFTER", "AFTER"))
        return Trigger(f"{time} {event} ON {{{on}}} FOR EACH ROW{when}", tuple(steps))

    def instead(self, view: str, table: Named, event: str) -> Trigger:
        """An INSTEAD OF trigger of a view that has all columns of a table, and its rowid as i."""
        name, columns = table
        if event == "INSERT":
            step = self.insert(table, "new.i", [f"new.{quoted(column)}" for column in columns])
        elif event == "DELETE":
            step = Statement(f"DELETE FROM {{{name}}} WHERE rowid = old.i")
        else:
            settings = ", ".join(f"{quoted(column)} = new.{quoted(column)}" for column in columns)
            step = Statement(f"UPDATE {{{name}}} SET {settings} WHERE rowid = old.i")
        log = Statement(
            f"INSERT INTO {{y}} VALUES ({'old' if event == 'DELETE' else 'new'}.i, '{event}', NULL)"
        )
        return Trigger(f"INSTEAD OF {event} ON {{{view}}}", (step, log) if self.chance(2) else (step,))

    # -- what sets them off

    def statement(self, updatable: Sequence[tuple[str, Named]]) -> str:
        """A statement on x, or on one of ``updatable``, which are (view, table)."""
        kind = self.draw(st.integers(0, 7))
        if kind >= 4:
            view, (_, columns) = self.pick(updatable)
            return self.through(view, columns, kind)
        if kind == 2:
            change = self.pick(("p = {}", "i = i + 1, q = {}", "i = {}")).format(self.constant(_ROWIDS))
            return f"UPDATE {{x}} SET {change} WHERE i = {self.constant(_ROWIDS)}"
        if kind == 3:
            return f"DELETE FROM {{x}} WHERE i % {self.draw(st.integers(1, 3))} = 0"
        rows = [
            f"({self.constant(_ROWIDS)}, {self.constant(values_of(column))}, {self.constant(values_of(column))})"
            for column in (self.pick(self.pick(self.tables)[1]) for _ in range(self.draw(st.integers(1, 3))))
        ]
        return f"{self.pick(_VERBS)} INTO {{x}} VALUES {', '.join(rows)}"

    def through(self, view: str, columns: Sequence[ModelColumn], kind: int) -> str:
        """INSERT, UPDATE or DELETE of a view."""
        if kind <= 5:
            names = ", ".join(quoted(column) for column in columns)
            values = ", ".join(self.constant(values_of(column)) for column in columns)
            return (
                f"{self.pick(_VERBS)} INTO {{{view}}}(i, {names}) VALUES ({self.constant(_ROWIDS)}, {values})"
            )
        where = f"i = {self.constant(_ROWIDS)}"
        if kind == 6:
            return f"DELETE FROM {{{view}}} WHERE {self.pick((where, 'i % 2 = 0', 'true'))}"
        column = self.pick([column for column in columns if not column.is_rowid] or [None])
        if column is None:
            return f"DELETE FROM {{{view}}} WHERE {where}"
        value = self.constant(values_of(column))
        return f"UPDATE {{{view}}} SET {quoted(column)} = {value} WHERE {where}"


@dataclass(frozen=True)
class Schema:
    """Views, triggers, and the views that can be written to with the table that each stands for."""

    views: tuple[tuple[str, str, tuple[ModelColumn, ...]], ...]
    triggers: tuple[Trigger, ...]
    updatable: tuple[tuple[str, Named], ...]

    @property
    def named(self) -> list[Named]:
        """Views as the grammar of queries takes them."""
        return [(name, columns) for name, _, columns in self.views]

    def define(self, twins: Twins) -> None:
        """Make all of it."""
        for name, sql in NATIVE.items():
            twins.define(name, sql)
        for name, sql, _ in self.views:
            twins.define(name, f"CREATE VIEW {{{name}}} AS {sql}")
        for number, trigger in enumerate(self.triggers):
            trigger.define(twins, f"trigger{number}")


@st.composite
def schemas(draw: st.DrawFn, tables: Sequence[Named]) -> Schema:
    """What a schema has beside ``tables``."""
    views: list[tuple[str, str, tuple[ModelColumn, ...]]] = []
    updatable: list[tuple[str, Named]] = []
    triggers = []
    for number, (name, columns) in enumerate(tables):
        names = ", ".join(quoted(column) for column in columns)
        plain = tuple(ModelColumn(column.name, column.type, (), column.collation) for column in columns)
        view = f"w{number}"
        views.append(
            (view, f"SELECT rowid AS i, {names} FROM {{{name}}}", (ModelColumn("i", "INTEGER"), *plain))
        )
        updatable.append((view, (name, columns)))
        some = Objects(draw, tables)
        triggers += [some.instead(view, (name, columns), event) for event in ("INSERT", "UPDATE", "DELETE")]
    for number in range(draw(st.integers(1, 3))):
        sql, columns = Objects(draw, tables, [(name, known) for name, _, known in views]).view()
        views.append((f"v{number}", sql, columns))
    objects = Objects(draw, tables, [(name, known) for name, _, known in views])
    triggers += [objects.trigger() for _ in range(draw(st.integers(1, 4)))]
    return Schema(tuple(views), tuple(triggers), tuple(updatable))


@st.composite
def statements(draw: st.DrawFn, tables: Sequence[Named], schema: Schema) -> str:
    """A statement that sets triggers off."""
    return Objects(draw, tables, schema.named).statement(schema.updatable)
