"""One case: tables on two sides, and statements that are drawn for them one after another."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from model import ModelColumn
from vtab.grammar_terms import Named

from vtab.tables import columns, constraints

from .asking import Hidden, Pairs, Times, asked, is_time
from .changing import Changes, Objects
from .draws import Asked, Seeded
from .sides import Sides
from .state import HIDDEN_NAMES, Schema, Table, named
from .steps import Bindings, Step, Tally
from .writing import CLAUSES, Writer

#: How often each kind is drawn; changes of the schema come with several statements.
WEIGHTS = {
    "query": 20,
    "view": 13,
    "hidden": 12,
    "time": 14,
    "write": 10,
    "conflict": 12,
    "null": 9,
    "trigger": 10,
    "schema": 0.7,
}
_PLACE = re.compile(r"\{(\w+)(?:!(\w+)\.(\w+))?\}|\{@(\d+)\}")


class World:
    """Tables, and what is drawn for them.

    Parameters
    ----------
    seed : int
        Of everything that is drawn.
    """

    def __init__(self, seed: int, tally: Tally | None = None) -> None:
        self.draw = Seeded(seed)
        self.random = self.draw.random
        self.small = self.draw.chance(3)
        self.sides = Sides(not self.draw.chance(4), tally)
        self.tables: dict[str, Table] = {}
        self.schema = Schema()
        self.before: list[tuple[str, Schema]] = []
        self.changes = Changes(self)

    # -- names

    def fill(self, sql: str, *, ours: bool, pairs: Sequence[tuple[str, str]] = ()) -> str:
        """SQL with the names of tables and views, and what each side is told of the pairs."""

        def place(match: re.Match[str]) -> str:
            key, alias, column, pair = match.groups()
            if pair is not None:
                return pairs[int(pair)][ours]
            if column is not None:
                return f"{alias}.{column}" if ours and not self.tables[key].native else _hidden(alias, column)
            return self.schema.names.get(key, match[0] if key == "folder" else key)

        return _PLACE.sub(place, sql)

    def step(
        self,
        kind: str,
        sql: str,
        grammar: Asked | None = None,
        *,
        native: str | None = "",
        rows: Sequence[str] = (),
        **more: Any,
    ) -> bool:
        """Tell both sides. native: what the native one is told instead; None if it is told nothing."""
        pairs = grammar.pairs if isinstance(grammar, Pairs) else ()
        bindings: Bindings = dict(grammar.bindings) if grammar else {}
        natives = dict(grammar.natives) if isinstance(grammar, Pairs) else None
        told = None if native is None else self.fill(native or sql, ours=False, pairs=pairs)
        step = Step(
            kind,
            self.fill(sql, ours=True, pairs=pairs),
            told,
            bindings,
            natives if natives != bindings else None,
            rows=tuple(rows),
            **more,
        )
        done = self.sides.step(step)
        if self.before and kind != "transaction" and not self.sides.ours.in_transaction:
            self.schema = self.before[0][1]  # the statement has rolled the transaction back
            self.before.clear()
        for table in self.tables.values():
            found = self.sides.found.get(self.schema.names[table.key])
            if found:
                table.count = len(found)
                greatest = max(row[0] for row in found)
                table.greatest = max(table.greatest, greatest)
                if not self.before:
                    table.kept = max(table.kept, greatest)
        return done

    @property
    def named(self) -> list[Named]:
        return named(list(self.tables.values()))

    @property
    def views(self) -> list[Named]:
        return [
            (view.key, self.tables[view.star].columns if view.star else view.columns)
            for view in self.schema.views
        ]

    def everything(self) -> list[str]:
        """What has rows, by name."""
        tables = [self.schema.names[key] for key in self.tables]
        views = [view.key for view in self.schema.views if self.draw.chance(5)]
        return [*tables, "x", "y", *views]

    # -- tables

    def create(self) -> None:
        """Tables with some rows, views and triggers."""
        for number in range(self.random.randint(1, 3)):
            key = "tuv"[number]
            while key not in self.tables:
                self.new_table(key, native=number > 0 and self.draw.chance(4))
        self.changes.native_tables()
        for number in range(1, 6):
            times = Times(self.draw, self.named)
            self.step("time", f"INSERT INTO z VALUES ({number}, {times.time()})", times)
        self.changes.define()
        for key in self.tables:
            for _ in range(self.random.randint(2, 5)):
                self.write(self.draw.random.choice(("write", "conflict", "null")), self.tables[key])

    def new_table(self, key: str, *, native: bool = False) -> None:
        """One more table."""
        found = self.drawn_columns(timed=not self.tables)
        table = Table(
            key,
            f"a_{key}",
            found,
            self.drawn_constraints(found),
            native,
            prefixed=not native and self.draw.chance(3),
        )
        done = self.step("schema", table.define(ours=True), native=table.define(ours=False))
        if done:
            self.tables[key] = table
            self.schema.names[key] = table.name

    def drawn_columns(self, *, timed: bool) -> tuple[ModelColumn, ...]:
        found: tuple[ModelColumn, ...] = self.draw(columns(5))
        if timed and not any(map(is_time, found)):
            place = self.random.randrange(len(found))
            if not any("PRIMARY KEY" in clause for clause in found[place].clauses):
                changed = ModelColumn(found[place].name, "TIMESTAMP", self.random.choice(((), ("UNIQUE",))))
                found = (*found[:place], changed, *found[place + 1 :])
            else:
                free = [
                    n for n in ("seen", "K", "Version") if n.lower() not in {c.name.lower() for c in found}
                ]
                found = (*found, ModelColumn(free[0], "TIMESTAMP"))
        return tuple(replace(c, clauses=tuple(map(self.with_conflict, c.clauses))) for c in found)

    def drawn_constraints(self, found: tuple[ModelColumn, ...]) -> tuple[str, ...]:
        texts = self.draw(constraints(found))
        return tuple(text if text.startswith("CHECK") else self.with_conflict(text) for text in texts)

    def with_conflict(self, clause: str) -> str:
        """The clause of a constraint, sometimes with a conflict clause, or AUTOINCREMENT."""
        if clause == "PRIMARY KEY DESC" or clause.startswith("DEFAULT"):
            return clause
        if clause == "PRIMARY KEY" and self.draw.chance(12):
            return "PRIMARY KEY AUTOINCREMENT"
        if self.draw.chance(5):
            return f"{clause} ON CONFLICT {self.random.choice(('IGNORE', 'REPLACE'))}"
        return clause

    # -- statements

    def next(self) -> None:
        """Some statement."""
        if self.draw.chance(8):
            self.control()
        if self.draw.chance(60):
            self.changes.upkeep()
        kind = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        self.kinds[kind](self)

    def control(self) -> None:
        """Begin or end a transaction, or a savepoint."""
        if not self.before:
            words = self.random.choice(("BEGIN", "BEGIN", "BEGIN IMMEDIATE", "SAVEPOINT outer"))
        else:
            words = self.random.choice(
                ("COMMIT", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "SAVEPOINT s")
            )
        self.transact(words)

    def transact(self, words: str) -> None:
        """Do that, and keep in mind what a rollback takes back."""
        name = words.split()[-1]
        places = [place for place, (other, _) in enumerate(self.before) if other == name]
        if words.startswith("ROLLBACK TO") and places:
            self.schema = self.before[places[-1]][1].copy()
            del self.before[places[-1] + 1 :]
        elif words == "ROLLBACK":
            self.schema = self.before[0][1]
            self.before.clear()
        elif words.startswith("RELEASE") and places:
            del self.before[places[-1] :]
        elif words == "COMMIT":
            self.before.clear()
        elif words.startswith(("BEGIN", "SAVEPOINT")):
            self.before.append((name, self.schema.copy()))
        ends = not words.startswith(("BEGIN", "SAVEPOINT"))
        self.step("transaction", words, rows=self.everything() if ends else ())

    def finish(self) -> None:
        """End the transaction; every file has to be sound."""
        if self.before:
            self.transact("COMMIT")
        self.step("upkeep", "reconnect", rows=self.everything())
        self.sides.verify()

    def ask(self, grammar: Asked, kind: str, said: str = "") -> None:
        query = asked(grammar, said)
        self.step(kind, query.sql, grammar, ordered=query.ordered)

    def query(self) -> None:
        self.ask(Asked(self.draw, self.named), "query")

    def view(self) -> None:
        self.ask(Asked(self.draw, self.named, self.views), "view")

    def hidden(self) -> None:
        if self.draw.chance(5):
            tables = [table for table in self.tables.values() if self.has_hidden_names(table)]
            if tables:
                self.write("hidden", self.random.choice(tables))
                return
        ours = {
            key: table.short_names(self.schema.names[key])
            for key, table in self.tables.items()
            if not table.native
        }
        prefixed = [key for key in ours if self.tables[key].prefixed]
        grammar = Hidden(self.draw, self.named, ours, prefixed)
        if self.draw.chance(6):
            captured = grammar.captured()
            if captured is not None:
                self.step("hidden", captured[0], grammar)
                return
        self.ask(grammar, "hidden", "said")

    @staticmethod
    def has_hidden_names(table: Table) -> bool:
        return any(column.name in HIDDEN_NAMES for column in table.columns)

    def time(self) -> None:
        if self.draw.chance(4):
            tables = [table for table in self.tables.values() if any(map(is_time, table.columns))]
            self.write("time", self.random.choice(tables or list(self.tables.values())))
            return
        times = Times(self.draw, self.named, self.views if self.draw.chance(4) else ())
        natives = {key for key, table in self.tables.items() if table.native}
        beside = times.beside(natives) if self.draw.chance(4) else None
        if beside is not None:
            self.step("time", beside, times)
        elif self.draw.chance(20):
            self.step(
                "time", f"UPDATE z SET txt = {times.time()} WHERE i = {self.random.randint(1, 5)}", times
            )
        else:
            self.ask(times, "time", "pairs")

    def last(self, table: Table) -> int:
        """The rowid after which the native table numbers on; below 0 if ours may number on after another one.

        SQLite's mark of AUTOINCREMENT counts a row that OR IGNORE dropped, and one that the same transaction deleted.
        """
        name = self.schema.names[table.key]
        sql = f"SELECT coalesce(max(rowid), 0) FROM {name}"
        if table.counted_by_sequence:
            sql = f"SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{name}'"
        last = int(self.sides.native.execute(sql).get)
        return -1 if table.counted_by_sequence and last != table.kept else last

    def write(self, kind: str, table: Table) -> None:
        """A statement of the kind on the table."""
        writer = Writer(self.draw, self.named, table, self.last(table), self.sides.extension)
        clause = self.random.choice(CLAUSES) if kind == "conflict" else ""
        if kind in ("hidden", "time") and self.draw.chance(2):
            clause = self.random.choice(CLAUSES)
        spelled, null = kind == "time", kind == "null"
        sql = self.statement(writer, table, clause, spelled=spelled, null=null)
        # changes() counts what a constraint's own clause dropped, and what UPDATE OR REPLACE finds no longer there
        counted = "ON CONFLICT IGNORE" not in table.clauses and not sql.startswith("UPDATE OR REPLACE")
        counted = counted and (self.sides.extension or " OR IGNORE " not in sql)
        updates_with_own = sql.startswith("UPDATE") and "ON CONFLICT REPLACE" in table.clauses
        rows = [self.schema.names[table.key]]
        table.greatest = max(table.greatest, *writer.explicit)
        self.step(kind, sql, writer, rows=rows, counted=counted and not updates_with_own)

    def statement(self, writer: Writer, table: Table, clause: str, *, spelled: bool, null: bool) -> str:
        """Any of the writer's."""
        if table.count < 4 and not self.draw.chance(4):
            return writer.insert(clause, spelled=spelled, null=null)
        if table.count > 16 or self.draw.chance(8):
            return writer.delete()
        found: str | None = None
        kind = self.random.randrange(10)
        if kind <= 2:
            found = writer.update_one(clause, spelled=spelled, null=null)
        elif kind <= 4:
            found = writer.update_several(clause, spelled=spelled, null=null)
        elif kind == 5 and clause:
            ours = [
                row[0] for row in self.sides.ours.execute(f"SELECT rowid FROM {self.schema.names[table.key]}")
            ]
            found = writer.update_keys(clause) if ours == sorted(ours) else None
        elif kind == 6:
            found = writer.insert_select(clause)
        elif kind == 7 and clause == " OR REPLACE":
            found = writer.insert("", verb="REPLACE")
        return found or writer.insert(clause, spelled=spelled, null=null)

    def trigger(self) -> None:
        objects = Objects(self.draw, self.named, self.views, self.tables)
        updatable = [
            (view.key, (view.table, self.tables[view.table].columns))
            for view in self.schema.views
            if view.table
        ]
        objects.chained = any("ON {y}" in trigger.head for trigger in self.schema.triggers.values())
        sql = objects.statement(updatable)
        if any("ON CONFLICT" in table.clauses for table in self.tables.values()):
            sql = sql.replace("INSERT OR ABORT", "INSERT")  # in triggers that it sets off ours cannot tell
        for table in self.tables.values():  # rows that a trigger inserted and deleted again
            table.greatest = max(table.greatest, 20)
        fails = bool(self.before) or " OR FAIL" in sql  # and may leave some of what it did
        if fails:
            self.transact("SAVEPOINT fail")
        done = self.step("trigger", sql, objects, rows=self.everything())
        if fails and self.before:
            if not done:
                self.transact("ROLLBACK TO fail")
            self.transact("RELEASE fail")
        sql = "SELECT max(coalesce((SELECT max(i) FROM x), 0), coalesce((SELECT max(i) FROM y), 0))"
        most = self.sides.native.execute(sql).get
        for table in self.tables.values():
            table.greatest = max(table.greatest, most if isinstance(most, int) else 0)

    def any_table(self) -> Table:
        return self.random.choice(list(self.tables.values()))

    kinds: ClassVar[dict[str, Callable[[World], None]]] = {
        "query": query,
        "view": view,
        "hidden": hidden,
        "time": time,
        "write": lambda self: self.write("write", self.any_table()),
        "conflict": lambda self: self.write("conflict", self.any_table()),
        "null": lambda self: self.write("null", self.any_table()),
        "trigger": trigger,
        "schema": lambda self: self.changes.change(),
    }


def _hidden(alias: str, column: str) -> str:
    """What a hidden column shows in a query for nothing: the newest version, and NULLs; which number does not matter."""
    if column in ("audiomem_version", "version"):
        return f"iif({alias}.rowid IS NULL, NULL, 1)"
    return "NULL"


__all__ = ["World"]
