"""Statements that write to one table: INSERT, UPDATE and DELETE, with conflict clauses, with NULL and DEFAULT, with times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from model import ModelColumn
from vtab.grammar_terms import Source

from vtab.tables import INTEGERS, quoted, values_of

from .asking import Pairs, is_time

if TYPE_CHECKING:
    from .state import Table

CLAUSES = (" OR REPLACE", " OR REPLACE", " OR IGNORE", " OR IGNORE", " OR FAIL", " OR ABORT", " OR ROLLBACK")
_MOST = 2**62
#: Rowids that there may be.
_NEAR = st.integers(1, 9)


class Writer(Pairs):
    """Draws statements on ``table``; the conditions may read ``tables``.

    last: the rowid after which a native table numbers on. explicit: the rowids that the statement names.
    """

    def __init__(self, draw: Any, tables: Sequence[Any], table: Table, last: int, extension: bool) -> None:
        super().__init__(draw, tables)
        self.table = table
        self.last = last
        self.extension = extension
        self.explicit = [0]
        self.aliases = 2  # those of the statement itself

    @property
    def scope(self) -> Source:
        return Source("s1", self.table.columns, self.table.key)

    # -- values

    def value(self, column: ModelColumn, *, foreign: bool = False, spelled: bool = False) -> str:
        """A value for a column; ``foreign`` may not fit, ``spelled`` are times in any spelling."""
        if spelled and is_time(column) and not self.table.native and not self.chance(5):
            return self.time()
        return self.constant(values_of(column, foreign=foreign))

    def number(self) -> int:
        """A rowid that the statement names."""
        if self.chance(2) and self.table.greatest < _MOST:
            found = max(self.table.greatest, *self.explicit) + 1
        elif self.chance(15):
            found = self.draw(INTEGERS)
        else:
            found = self.draw.random.randint(1, 9)
        self.explicit.append(found)
        return found

    # -- INSERT

    def insert(
        self, clause: str, *, rows: int = 0, spelled: bool = False, verb: str = "", null: bool = False
    ) -> str:
        """INSERT of some rows, with an automatic rowid where both sides choose the same.

        Of several rows none has a value of a wrong type: SQLite leaves those before it.
        """
        rows = rows or self.pick((1, 1, 1, 2, 3))
        alias = self.table.alias
        automatic = rows == 1 and self.last == self.table.greatest < _MOST and self.chance(2)
        kept = [
            column
            for column in self.table.columns
            if column is not alias and not self.chance(2 if null else 6)
        ]
        if not kept or (not null and self.chance(2)):
            kept = [column for column in self.table.columns if column is not alias]
        names = [quoted(column) for column in kept]
        lines = []
        for _ in range(rows):
            line = [
                "NULL" if null and self.chance(3) else self.value(column, foreign=rows == 1, spelled=spelled)
                for column in kept
            ]
            lines.append(line)
        if alias is not None and (not automatic or self.chance(2)):
            names.insert(0, quoted(alias))
            for line in lines:
                line.insert(0, "NULL" if automatic else str(self.number()))
        elif alias is None and not automatic:
            names.insert(0, "rowid")
            for line in lines:
                line.insert(0, str(self.number()))
        if null and automatic and self.chance(6):
            return f"{verb or 'INSERT'}{clause} INTO {{{self.table.key}}} DEFAULT VALUES"
        whole = names == [quoted(column) for column in self.table.columns]
        target = "" if whole and self.chance(2) else f"({self.named(names, null)})"
        if not names:
            return f"{verb or 'INSERT'}{clause} INTO {{{self.table.key}}} DEFAULT VALUES"
        values = f"VALUES {', '.join('(' + ', '.join(line) + ')' for line in lines)}"
        if self.chance(4):
            values = " UNION ALL ".join(f"SELECT {', '.join(line)}" for line in lines)
        return self.written(f"{verb or 'INSERT'}{clause} INTO", target, values, null)

    def named(self, names: list[str], null: bool) -> str:
        """The list of columns, each quoted in one of SQL's ways."""
        if not null:
            return ", ".join(names)
        return ", ".join(
            self.pick((name, name, f"[{name.strip(chr(34))}]", f"'{name.strip(chr(34))}'", name.upper()))
            if name[0] == '"'
            else name
            for name in names
        )

    def written(self, verb: str, target: str, values: str, null: bool) -> str:
        """The statement, in one of the ways in which its columns can be told."""
        into = f"{{{self.table.key}}}"
        if null and self.chance(4):
            into = f"main.{into}"
        if null and target and self.chance(4):
            into += " AS z"
        text = f"{verb} {into}{target} {values}"
        if null and self.chance(6):
            text = f"WITH w AS (SELECT ') INSERT INTO {{{self.table.key}}}(x)' AS c) {text}"
        if null and self.extension and self.chance(6):  # of a comment apsw says what it says of a trigger
            text = f"/* INSERT INTO x(a) */ -- VALUES\n {text}"
        return text

    def insert_select(self, clause: str) -> str:
        """INSERT of rows of a table, in the order of their rowids, with rowids of the statement's."""
        key, columns = self.pick(self.tables)
        source = Source("s2", columns, key)
        alias = self.table.alias
        kept = [column for column in self.table.columns if column is not alias and not self.chance(5)]
        items = []
        for column in kept:
            same = [other for other in columns if other.type == column.type]
            items.append(source.ref(self.pick(same)) if same and not self.chance(4) else self.value(column))
        shift = self.draw.random.randint(0, 6)
        self.explicit.append(50 + shift)
        names = [quoted(alias) if alias else "rowid", *map(quoted, kept)]
        items.insert(0, f"abs({source.rowid} % 50) + {shift}")
        where = f" WHERE {self.condition([source], 1)}" if self.chance(2) else ""
        return (
            f"INSERT{clause} INTO {{{self.table.key}}}({', '.join(names)}) SELECT {', '.join(items)} "
            f"FROM {{{key}}} AS s2{where} ORDER BY {source.rowid} LIMIT {self.draw.random.randint(1, 5)}"
        )

    # -- UPDATE

    def update_one(self, clause: str, *, spelled: bool = False, null: bool = False) -> str:
        """One row, whose columns may be keys."""
        columns = [column for column in self.table.columns if column is not self.table.alias]
        if not columns or self.chance(8):
            return self.move(clause)
        chosen = self.draw.random.sample(columns, self.draw.random.randint(1, min(2, len(columns))))
        sets = ", ".join(
            f"{quoted(column)} = {'NULL' if null and self.chance(2) else self.value(column, foreign=True, spelled=spelled)}"
            for column in chosen
        )
        return f"UPDATE{clause} {{{self.table.key}}} SET {sets} WHERE rowid = {self.constant(_NEAR)}"

    def move(self, clause: str) -> str:
        """A row gets another rowid."""
        name = quoted(self.table.alias) if self.table.alias and self.chance(2) else "rowid"
        value = str(self.number())
        if self.chance(6):
            value = self.pick(
                (f"'{value}'", f"' {value} '", f"{value}.0", f"{value}.5", "NULL", "x'37'", "'x'")
            )
        return (
            f"UPDATE{clause} {{{self.table.key}}} SET {name} = {value} WHERE rowid = {self.constant(_NEAR)}"
        )

    def update_several(self, clause: str, *, spelled: bool = False, null: bool = False) -> str | None:
        """Several rows, by any condition; no key, and no failure that depends on the order of the rows."""
        free = [column for column in self.table.columns if not self.table.is_keyed(column)]
        if clause == " OR FAIL":
            free = [column for column in free if not self.table.can_fail(column)]
        if not free:
            return None
        column = self.pick(free)
        same = [
            other for other in self.table.columns if other.type == column.type and other.type != "INTEGER"
        ]
        if null and self.chance(2):
            value = "NULL"
        elif same and self.chance(3):
            value = self.scope.ref(self.pick(same))
        else:
            value = self.value(column, spelled=spelled)
        where = f" WHERE {self.condition([self.scope])}" if not self.chance(6) else ""
        return f"UPDATE{clause} {{{self.table.key}}} AS s1 SET {quoted(column)} = {value}{where}"

    def update_keys(self, clause: str) -> str | None:
        """Several rows and a key, where both sides change the rows in the order of their rowids."""
        columns = [column for column in self.table.columns if column is not self.table.alias]
        if not columns:
            return None
        column = self.pick(columns)
        cases = " ".join(f"WHEN {rowid} THEN {self.value(column)}" for rowid in range(1, 6))
        name = quoted(column)
        return f"UPDATE{clause} {{{self.table.key}}} SET {name} = CASE +rowid {cases} ELSE {name} END"

    # -- DELETE

    def delete(self) -> str:
        if self.table.count > 12:
            return f"DELETE FROM {{{self.table.key}}} WHERE rowid % 3 >= {self.draw.random.randint(0, 1)}"
        if self.chance(3):
            return f"DELETE FROM {{{self.table.key}}} WHERE rowid = {self.constant(_NEAR)}"
        return f"DELETE FROM {{{self.table.key}}} AS s1 WHERE {self.condition([self.scope])}"
