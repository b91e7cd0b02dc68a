"""Changes of the schema: views, triggers, names and columns of tables; and what is done to the files of ours alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from model import ModelColumn
from vtab.grammar_terms import Named
from vtab.schema_objects import NATIVE, Statement, Trigger

from vtab.tables import quoted

from .draws import Made
from .state import HIDDEN_NAMES, Table, View

if TYPE_CHECKING:
    from .world import World

_ADDED = (
    ("INTEGER", ("", "DEFAULT 7", "DEFAULT -1", "NOT NULL DEFAULT 3")),
    ("REAL", ("", "DEFAULT 1.5", "NOT NULL DEFAULT 2")),
    ("TEXT", ("", "DEFAULT 'a'", "NOT NULL DEFAULT ''", "DEFAULT 12")),
    ("BLOB", ("", "DEFAULT x'6100'")),
    ("BOOLEAN", ("", "DEFAULT TRUE")),
    ("TIMESTAMP", ("", "DEFAULT '2023-11-14 22:13:20'")),
)
#: Refused by name, and what is said: (rule, statement, part of the message). ``{t}`` is a table of ours, ``{c}`` a column.
_REFUSED = (
    (
        "CREATE TRIGGER",
        "CREATE TRIGGER r AFTER INSERT ON {t} BEGIN SELECT 1; END",
        "cannot create triggers on virtual tables",
    ),
    ("CREATE INDEX", "CREATE INDEX r ON {t}({c})", "virtual tables may not be indexed"),
    ("ALTER TABLE … COLUMN", "ALTER TABLE {t} ADD COLUMN r TEXT", "virtual tables may not be altered"),
    (
        "UPSERT",
        "INSERT INTO {t}({c}) VALUES (NULL) ON CONFLICT DO NOTHING",
        "UPSERT not implemented for virtual table",
    ),
    (
        "UPDATE … RETURNING",
        "UPDATE {t} SET {c} = {c} RETURNING 1",
        "UPDATE RETURNING is not available on virtual tables",
    ),
    (
        "DELETE … RETURNING",
        "DELETE FROM {t} RETURNING 1",
        "DELETE RETURNING is not available on virtual tables",
    ),
    (
        "INSERT … RETURNING",
        "INSERT INTO {t}(rowid) VALUES (77) RETURNING rowid",
        "RETURNING cannot be answered",
    ),
    (
        "generated column",
        "CREATE VIRTUAL TABLE r USING audiomem('{folder}/r.flac', a INTEGER, b INTEGER AS (a + 1))",
        "generated column",
    ),
    (
        "ON CONFLICT FAIL",
        "CREATE VIRTUAL TABLE r USING audiomem('{folder}/r.flac', a TEXT UNIQUE ON CONFLICT FAIL)",
        "ON CONFLICT FAIL is not supported",
    ),
    (
        "reserved name",
        "CREATE VIRTUAL TABLE r USING audiomem('{folder}/r.flac', audiomem_version TEXT)",
        "audiomem_version",
    ),
)


class Objects(Made):
    """Views and triggers, for two sides that differ as documented.

    Where the target is a native table, NULL in a trigger is NULL on both sides. OR ABORT in a trigger is no clause for
    ours, so a constraint's own clause holds.
    """

    def __init__(
        self, draw: Any, tables: Sequence[Named], views: Sequence[Named], known: dict[str, Table]
    ) -> None:
        super().__init__(draw, tables, views)
        self.known = known
        #: Whether what happens to one row may have to do with what happened to another.
        self.chained = False

    def through(self, view: str, columns: Sequence[ModelColumn], kind: int) -> str:
        found = super().through(view, columns, kind)
        if self.chained and found.endswith((" WHERE true", " % 2 = 0")):
            return f"{found.rpartition(' WHERE ')[0]} WHERE i = {self.draw.random.randint(1, 6)}"
        return found

    def insert(self, table: Named, rowid: str, values: Sequence[str]) -> Statement:
        found, into = super().insert(table, rowid, values), self.known[table[0]]
        if into.native:
            return Statement(found.sql)
        if "ON CONFLICT" in into.clauses:
            return Statement(found.sql, (found.native or found.sql).replace("INSERT OR ABORT", "INSERT"))
        return found


class Changes:
    """Changes what a world has."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.draw = world.draw
        self.random = world.draw.random
        self.made = 0

    # -- views and triggers

    def native_tables(self) -> None:
        for sql in (*NATIVE.values(), "CREATE TABLE z(i INTEGER PRIMARY KEY, txt TEXT)"):
            self.world.step("schema", sql)

    def define(self) -> None:
        """Views and triggers over the tables that there are."""
        world = self.world
        for number, (key, columns) in enumerate(world.named):
            names = ", ".join(map(quoted, columns))
            plain = tuple(ModelColumn(c.name, c.type, (), c.collation) for c in columns)
            self.view(
                View(
                    f"w{number}",
                    f"SELECT rowid AS i, {names} FROM {{{key}}}",
                    (ModelColumn("i", "INTEGER"), *plain),
                    table=key,
                )
            )
        star = self.random.choice(list(world.tables))
        self.view(View("s0", f"SELECT * FROM {{{star}}}", star=star))
        for number in range(self.random.randint(1, 3)):
            sql, columns = self.objects().view()
            self.view(View(f"v{number}", sql, columns))
        for view in [view for view in world.schema.views if view.table]:
            for event in ("INSERT", "UPDATE", "DELETE"):
                table = view.table, world.tables[view.table].columns
                self.trigger(self.objects().instead(view.key, table, event))
        for _ in range(self.random.randint(1, 3)):
            self.trigger(self.objects().trigger())

    def objects(self) -> Objects:
        world = self.world
        return Objects(self.draw, world.named, world.views, world.tables)

    def view(self, view: View) -> None:
        if self.world.step("schema", f"CREATE VIEW {view.key} AS {view.select}"):
            self.world.schema.views.append(view)

    def trigger(self, trigger: Trigger) -> None:
        self.made += 1
        name = f"g{self.made}"
        texts = [
            f"CREATE TRIGGER {name} {trigger.head} BEGIN {'; '.join(body)}; END"
            for body in (
                [each.sql for each in trigger.body],
                [each.native or each.sql for each in trigger.body],
            )
        ]
        rules = self.world.sides.tally.rules
        if texts[0].count("OR ABORT") != texts[1].count("OR ABORT"):
            rules["OR ABORT in a trigger"] += 1
        if texts[0].count("coalesce(") != texts[1].count("coalesce("):
            rules["NULL in a trigger"] += 1
        if self.world.step("schema", texts[0], native=texts[1]):
            self.world.schema.triggers[name] = trigger

    def drop(self) -> None:
        """All views and triggers."""
        world = self.world
        for name in list(world.schema.triggers):
            world.step("schema", f"DROP TRIGGER {name}")
            world.schema.triggers.pop(name, None)
        for view in list(reversed(world.schema.views)):
            world.step("schema", f"DROP VIEW {view.key}")
            world.schema.views.remove(view)

    # -- changes

    def change(self) -> None:
        """One of them."""
        kind = self.random.choice(
            ("objects", "rename", "rename", "add", "add", "column", "column", "table", "reopen", "refused")
        )
        if kind == "objects":
            self.drop()
            self.define()
        elif kind == "rename":
            self.rename(self.world.any_table())
        elif kind == "refused":
            self.refused()
        else:
            if self.world.before:
                if self.draw.chance(3):
                    self.in_a_transaction()
                self.world.transact("COMMIT")
            if kind == "add":
                self.add(self.world.any_table())
            elif kind == "column":
                self.column(self.world.any_table())
            elif kind == "table":
                self.table()
            else:
                self.world.step("upkeep", "reconnect", rows=self.world.everything())

    def rename(self, table: Table) -> None:
        """ALTER TABLE … RENAME, which views and triggers follow."""
        world = self.world
        old = world.schema.names[table.key]
        new = f"{'b' if old.startswith('a') else 'a'}_{table.key}"
        if world.step("schema", f"ALTER TABLE {old} RENAME TO {new}"):
            world.schema.names[table.key] = new
            world.step("schema", f"SELECT count(*) FROM {new}", rows=world.everything())

    def command(self, table: Table, words: str, argument: str, native: str, **more: Any) -> bool:
        """A change of the columns: a command of ours, and ALTER TABLE of the native table."""
        name = f"{{{table.key}}}"
        text = argument.replace("'", "''")
        ours = f"INSERT INTO {name}(audiomem_table, audiomem_rank) VALUES ('{words}', '{text}')"
        alter = f"ALTER TABLE {name} {native}"
        return self.world.step(
            "schema", alter if table.native else ours, native=alter, rows=self.world.everything(), **more
        )

    def free_name(self, table: Table) -> str:
        own = {column.name.lower() for column in table.columns}
        free = [name for name in HIDDEN_NAMES if name.lower() not in own]
        self.made += 1
        return self.random.choice(free) if free and self.draw.chance(3) else f"n{self.made}"

    def add(self, table: Table) -> None:
        """A column; views and triggers stay, and SELECT * of a view has it."""
        if len(table.columns) > 7:
            return
        kind, clauses = self.random.choice(_ADDED)
        text = self.random.choice(clauses)
        split = text.partition(" DEFAULT")
        parts = tuple(part for part in ((split[0], f"DEFAULT{split[2]}") if split[1] else (text,)) if part)
        column = ModelColumn(self.free_name(table), kind, parts)
        if self.command(table, "add column", column.audiomem(), f"ADD COLUMN {column.native()}"):
            table.columns = (*table.columns, column)

    def column(self, table: Table) -> None:
        """A column is called otherwise, or dropped; views do not follow that, so they are made again."""
        self.drop()
        world = self.world
        column = self.random.choice(table.columns)
        # the name of a hidden column would find that
        stale = not table.native and column.name not in HIDDEN_NAMES and self.draw.chance(2)
        if stale:
            names = ", ".join(f"s1.{quoted(column)}" for column in table.columns)
            sql = f"CREATE VIEW stale AS SELECT {names} FROM {{{table.key}}} AS s1"
            world.step("upkeep", sql, native=None)
        if self.draw.chance(2):
            new = self.free_name(table)
            done = self.command(
                table,
                "rename column",
                f'{quoted(column)} TO "{new}"',
                f'RENAME COLUMN {quoted(column)} TO "{new}"',
            )
            if done:
                table.columns = tuple(replace(c, name=new) if c is column else c for c in table.columns)
                table.constraints = tuple(
                    text.replace(quoted(column), f'"{new}"') for text in table.constraints
                )
        else:
            name = quoted(column)
            done = self.command(table, "drop column", name, f"DROP COLUMN {name}")
            if done:
                table.columns = tuple(c for c in table.columns if c is not column)
        if stale:
            if done:
                sql = "SELECT * FROM stale"
                world.step("refused", sql, native=None, refused="no such column", rule="stale view")
            world.step("upkeep", "DROP VIEW stale", native=None)
        self.define()

    def table(self) -> None:
        """A table is made, or dropped."""
        world = self.world
        self.drop()
        if len(world.tables) < 3:
            self.made += 1
            key = f"p{self.made}"
            world.new_table(key, native=self.draw.chance(4))
            for _ in range(3 if key in world.tables else 0):
                world.write("write", world.tables[key])
        else:
            able = [key for key in world.tables if key != "t"]
            key = self.random.choice(able)
            if world.step("schema", f"DROP TABLE {{{key}}}"):
                del world.tables[key]
                world.sides.found.pop(world.schema.names.pop(key), None)
        self.define()

    # -- what is refused, and what the native side is not told

    def refused(self) -> None:
        """What the documentation says is refused."""
        ours = [table for table in self.world.tables.values() if not table.native]
        table = self.random.choice(ours)
        rule, sql, says = self.random.choice(_REFUSED)
        sql = sql.replace("{t}", f"{{{table.key}}}").replace("{c}", quoted(table.columns[0]))
        name = self.world.schema.names[table.key]
        self.world.step("refused", sql, native=None, refused=says, rule=rule, rows=[name])

    def in_a_transaction(self) -> None:
        """A change of the columns that cannot be undone."""
        ours = [table for table in self.world.tables.values() if not table.native]
        table = self.random.choice(ours)
        sql = f"INSERT INTO {{{table.key}}}(audiomem_table, audiomem_rank) VALUES ('add column', 'r TEXT')"
        self.world.step(
            "refused",
            sql,
            native=None,
            refused="cannot be undone|needs a transaction of its own",
            rule="columns in a transaction",
        )

    def upkeep(self) -> None:
        """A command that changes no row, or our table is dropped and taken up again."""
        world = self.world
        if world.before:
            return
        table = self.random.choice([table for table in world.tables.values() if not table.native])
        command = self.random.choice(("checkpoint", "merge", "vacuum", "reopen", "reopen"))
        name = world.schema.names[table.key]
        if command != "reopen":
            sql = f"INSERT INTO {{{table.key}}}(audiomem_table) VALUES ('{command}')"
            world.step("upkeep", sql, native=None, rows=[name])
            return
        world.step("upkeep", f"DROP TABLE {{{table.key}}}", native=None)
        taken = replace(table, name=name).take_up()
        world.step("upkeep", taken, native=None, rows=world.everything())
