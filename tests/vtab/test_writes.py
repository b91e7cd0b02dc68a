"""Every way of writing, step by step, on a native STRICT table and on ours: the same rows, and the same success or failure.

What SQLite does not do, or does in another way, for virtual tables of any kind is left out here:

- UPSERT (ON CONFLICT … DO), RETURNING and triggers on the table are refused by SQLite.
- ``changes()`` counts the rows that a constraint's own ON CONFLICT IGNORE dropped, and those that UPDATE OR REPLACE finds no
  longer there; in the table written in Python those that OR IGNORE dropped, too.
- SQLite leaves the rows before one of the wrong type where a statement has no other way to fail (it opens no statement
  journal for types); ours are all or none, as documented. So rows of a statement with several have the right types.
- The order in which one UPDATE changes several rows is not defined; where a key depends on it, the result may differ. So
  these are tried where our rows lie in the order of their rowids, as native ones do.
- UPDATE OR REPLACE of several rowids: SQLite changes a row that has moved to the rowid of one that comes later again.

And one thing is ours: a rowid that is given automatically follows the greatest one there ever was, as with
AUTOINCREMENT, and is never negative, while SQLite gives the rowid of a deleted last row again. So where the
two would differ, the steps below name the rowid. When the greatest possible rowid is taken, both choose a
free one at random.

A row with a rowid of its own that OR IGNORE drops raises SQLite's mark of AUTOINCREMENT, and not ours.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import ModelColumn

from audiomem_sql.connections import register
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

FUZZ_SECONDS = float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "0"))
EXAMPLES = max(60, int(FUZZ_SECONDS * 2))
#: What a long campaign finds is printed as it is; shrinking takes longer than finding it.
PHASES = tuple(Phase) if os.environ.get("AUDIOMEM_FUZZ_SHRINK") or not FUZZ_SECONDS else (Phase.generate,)

KEYS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("id", "TEXT", ("PRIMARY KEY",)),
    ModelColumn("id", "TEXT", ("PRIMARY KEY",), "NOCASE"),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY AUTOINCREMENT",)),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY ON CONFLICT REPLACE",)),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY ON CONFLICT IGNORE",)),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY DESC",)),
    ModelColumn("id", "TEXT", ("PRIMARY KEY ON CONFLICT REPLACE",)),
    None,
)
OTHERS = (
    ModelColumn("n", "INTEGER"),
    ModelColumn("nn", "TEXT", ("NOT NULL",)),
    ModelColumn("t", "TEXT", ("UNIQUE",)),
    ModelColumn("c", "TEXT", ("UNIQUE",), "NOCASE"),
    ModelColumn("s", "TEXT", ("UNIQUE",), "RTRIM"),
    ModelColumn("i", "INTEGER", ("UNIQUE", "NOT NULL")),
    ModelColumn("r", "REAL", ("UNIQUE",)),
    ModelColumn("b", "BLOB", ("UNIQUE",)),
    ModelColumn("d", "INTEGER", ("DEFAULT 2",)),
    ModelColumn("dn", "TEXT", ("NOT NULL", "DEFAULT 'a'")),
    ModelColumn("du", "TEXT", ("UNIQUE", "DEFAULT (1 + 1)")),
    ModelColumn("ui", "TEXT", ("UNIQUE ON CONFLICT IGNORE",)),
    ModelColumn("ur", "INTEGER", ("UNIQUE ON CONFLICT REPLACE",)),
    ModelColumn("ni", "TEXT", ("NOT NULL ON CONFLICT IGNORE",)),
    ModelColumn("nr", "INTEGER", ("NOT NULL ON CONFLICT REPLACE", "DEFAULT 3")),
    ModelColumn("ic", "INTEGER", ("UNIQUE",), "NOCASE"),
    ModelColumn("x", "TEXT", (), "NOCASE"),
    ModelColumn("xr", "TEXT", (), "RTRIM"),
    ModelColumn("y", "INTEGER"),
    ModelColumn("z", "REAL"),
    ModelColumn("bb", "BLOB"),
)
#: What a CHECK may say about a column of a type, and about two.
CHECKS: dict[str, tuple[str, ...]] = {
    "INTEGER": ("{} <> 2", "{} > 0 OR {} IS NULL", "typeof({}) = 'integer'", "CASE WHEN {} = 4 THEN 0 END"),
    "REAL": ("{} < 2", "{} = CAST({} AS INTEGER)", "typeof({}) = 'real'"),
    "TEXT": ("{} <> 'b'", "length({}) < 3", "{} IN ('a', '', '1')", "{} LIKE 'a%' OR {} IS NULL", "{} > 'A'"),
    "BLOB": ("{} <> x'41'", "length({}) > 0"),
}
ACROSS = ("{} IS NOT {}", "{} <= {}", "coalesce({}, 1) OR {} IS NULL", "({}, 1) < ({}, 2)")
VALUES: dict[str, tuple[Any, ...]] = {
    "INTEGER": (1, 2, 3, 4, None, "2", 3.0, "x", 0.5, -1, 2**62),
    "REAL": (1.5, 0.0, -0.0, 1, "2", None, "x", 1e300, 2.5),
    "TEXT": ("a", "A", "b", "a ", "", "é", "a\0b", "A\0B", "a\0c", 1, 1.0, None, b"a"),
    "BLOB": (b"", b"a", b"A", b"a\0", None, "a"),
}
#: Of these, what no column of the type accepts.
WRONG: dict[str, tuple[Any, ...]] = {"INTEGER": ("x", 0.5), "REAL": ("x",), "TEXT": (b"a",), "BLOB": ("a",)}
CONFLICTS = st.sampled_from(("", "", " OR REPLACE", " OR IGNORE", " OR FAIL", " OR ABORT", " OR ROLLBACK"))
DIRECTIONS = st.sampled_from(("", "", " ASC", " DESC"))
#: What a key of several columns may say itself.
OWN = st.sampled_from(("", "", "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE"))
#: Most of the examples are about what a page is not concerned with.
SOUNDS = (*["modulation=pcm"] * 4, "modulation=spectrum", "modulation=spectrum, band_plan=mission")
SAVEPOINTS = ("s1", "s2", "S3")


class Writes(RuleBasedStateMachine):
    extension = "on"

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "t.flac")
        self.native, self.ours = apsw.Connection(":memory:"), apsw.Connection(":memory:")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUDIOMEM_EXTENSION", self.extension)
            register(self.ours)
        self.columns: tuple[ModelColumn, ...] = ()
        self.keys: list[tuple[ModelColumn, ...]] = []
        self.checks: list[str] = []
        self.ignores = False
        self.greatest = 0
        self.savepoints: list[str] = []

    @initialize(
        key=st.sampled_from(KEYS),
        others=st.lists(st.sampled_from(OTHERS), min_size=1, max_size=4, unique=True),
        sound=st.sampled_from(SOUNDS),
        data=st.data(),
    )
    def create(
        self, key: ModelColumn | None, others: list[ModelColumn], sound: str, data: st.DataObject
    ) -> None:
        self.columns = (*((key,) if key else ()), *others)
        constraints = []
        if len(others) > 1 and data.draw(st.booleans()):
            for number in range(data.draw(st.integers(1, 2))):
                chosen = st.lists(st.sampled_from(others), min_size=2, max_size=3, unique=True)
                self.keys.append(tuple(data.draw(chosen)))
                primary = not number and key is None and data.draw(st.booleans())
                columns = self.keys[-1] if data.draw(st.booleans()) else (*self.keys[-1], self.keys[-1][0])
                names = ", ".join(f"{column.name}{data.draw(DIRECTIONS)}" for column in columns)
                kind = "PRIMARY KEY" if primary else "CONSTRAINT k UNIQUE"
                own = "" if self.keys[-1] in self.keys[:-1] else data.draw(OWN)
                constraints.append(f"{kind} ({names}){own}")
        for _ in range(data.draw(st.integers(0, 2))):
            column = data.draw(st.sampled_from(self.columns))
            condition = data.draw(st.sampled_from(CHECKS[column.type])).replace("{}", column.name)
            if data.draw(st.booleans()):
                condition = data.draw(st.sampled_from(ACROSS)).format(
                    column.name, data.draw(st.sampled_from(self.columns)).name
                )
            self.checks.append(condition)
            constraints.append(f"CONSTRAINT c{len(self.checks)} CHECK ({condition})")
        native = ", ".join([*(column.native() for column in self.columns), *constraints])
        self.native.execute(f"CREATE TABLE t({native}) STRICT")
        ours = [*(column.audiomem() for column in self.columns), *constraints]
        self.ignores = "ON CONFLICT IGNORE" in native
        self.connect(*ours, "profile=embedded", sound)

    def connect(self, *arguments: str) -> None:
        self.ours.execute(
            f"CREATE VIRTUAL TABLE t USING audiomem({', '.join((repr(str(self.path)), *arguments))})"
        )

    def teardown(self) -> None:
        with self.folder, closing(self.native), closing(self.ours):
            if not self.columns or sys.exception() is not None:
                return
            for connection in (self.native, self.ours):
                if connection.in_transaction:
                    connection.execute("COMMIT")
            self.same_rows()
            assert self.ours.execute("PRAGMA integrity_check").get == "ok"
            with Table(self.path) as table:
                assert list(problems(table)) == []

    # -- both sides
    # -----------------------------------------------------------------------------------------------

    def both(self, sql: str, bindings: tuple[Any, ...] = ()) -> bool:
        """Run it on both; whether it succeeded."""
        expected, found = self.run(self.native, sql, bindings), self.run(self.ours, sql, bindings)
        assert (expected is None) == (found is None), (
            f"{sql} {bindings}\nnative: {expected}\naudiomem: {found}"
        )
        if (
            isinstance(expected, apsw.ConstraintError)
            and "datatype" not in str(expected)
            and "cannot store" not in str(expected)
        ):
            assert isinstance(found, apsw.ConstraintError), (
                f"{sql} {bindings}\nnative: {expected}\naudiomem: {found!r}"
            )
            assert str(found) == _each_once(str(expected))
        assert self.native.in_transaction == self.ours.in_transaction, sql
        if expected is None and not self.ignores and self.counts(sql):
            assert self.native.changes() == self.ours.changes(), f"{sql} {bindings}"
        return expected is None

    def counts(self, sql: str) -> bool:
        """Whether SQLite can tell the rows that a statement changed."""
        return sql.startswith(("INSERT", "DELETE", "UPDATE")) and not sql.startswith("UPDATE OR REPLACE")

    def run(self, connection: apsw.Connection, sql: str, bindings: tuple[Any, ...]) -> Exception | None:
        try:
            connection.execute(sql, bindings).fetchall()
        except Exception as error:
            return error
        return None

    @invariant()
    def same_rows(self) -> None:
        if self.columns:
            sql = "SELECT rowid, * FROM t ORDER BY rowid"
            expected, found = self.native.execute(sql).fetchall(), self.ours.execute(sql).fetchall()
            assert list(map(_marked, found)) == list(map(_marked, expected)), f"{found}\nnative: {expected}"
            self.greatest = max([self.greatest, *(row[0] for row in expected)])

    # -- rules
    # ----------------------------------------------------------------------------------------------------

    def value(self, data: st.DataObject, column: ModelColumn, *, right: bool = False) -> Any:
        wrong = WRONG[column.type] if right else ()
        return data.draw(st.sampled_from([value for value in VALUES[column.type] if value not in wrong]))

    def rows(self, data: st.DataObject, most: int) -> tuple[str, tuple[Any, ...]]:
        """Columns and VALUES of some new rows, with explicit rowids where automatic ones would differ."""
        count = data.draw(st.integers(1, most))
        rows = [
            tuple(self.value(data, column, right=count > 1) for column in self.columns) for _ in range(count)
        ]
        names = [column.name for column in self.columns]
        alias = self.columns[0].is_rowid
        last = self.native.execute("SELECT coalesce(max(rowid), 0) FROM t").get
        if "PRIMARY KEY AUTOINCREMENT" in self.columns[0].clauses:
            last = self.native.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").get
        if last != self.greatest or (len(rows) > 1 and alias):
            numbers = [data.draw(st.integers(1, 6)) for _ in rows]
            if alias:
                rows = [
                    (number if row[0] is None else row[0], *row[1:])
                    for number, row in zip(numbers, rows, strict=True)
                ]
            else:
                names = ["rowid", *names]
                rows = [(number, *row) for number, row in zip(numbers, rows, strict=True)]
            # within the statement, OR REPLACE may delete the last row again
            self.greatest = max([self.greatest, *(row[0] for row in rows if isinstance(row[0], int))])
        left_out = data.draw(st.sampled_from((None, None, *(column.name for column in self.columns[1:]))))
        if left_out is not None:
            place = names.index(left_out)
            names.pop(place)
            rows = [row[:place] + row[place + 1 :] for row in rows]
        target = f"({', '.join(names)})"
        if len(names) == len(self.columns) and names[0] != "rowid" and data.draw(st.booleans()):
            target = ""
        marks = ", ".join([_listed("?", len(names))] * len(rows))
        select = " UNION ALL ".join([f"SELECT {', '.join('?' * len(names))}"] * len(rows))
        values = data.draw(st.sampled_from((f"VALUES {marks}", f"VALUES {marks}", select)))
        return f"{target} {values}", tuple(value for row in rows for value in row)

    @rule(data=st.data(), conflict=CONFLICTS)
    def insert(self, data: st.DataObject, conflict: str) -> None:
        values, bindings = self.rows(data, 1)
        self.both(f"INSERT{conflict} INTO t{values}", bindings)

    @rule(data=st.data(), conflict=CONFLICTS)
    def insert_several(self, data: st.DataObject, conflict: str) -> None:
        values, bindings = self.rows(data, 4)
        self.both(f"INSERT{conflict} INTO t{values}", bindings)

    @rule(data=st.data(), conflict=CONFLICTS, shift=st.integers(-1, 3))
    def insert_from_itself(self, data: st.DataObject, conflict: str, shift: int) -> None:
        chosen = []
        for column in self.columns:
            if column.is_rowid:
                chosen.append(f"id + {shift}")
            elif column.type == "TEXT":
                chosen.append(
                    data.draw(
                        st.sampled_from([column.name, f"{column.name} || 'x'", f"upper({column.name})"])
                    )
                )
            elif column.type == "BLOB":
                chosen.append(
                    data.draw(st.sampled_from([column.name, f"CAST({column.name} || 'x' AS BLOB)"]))
                )
            else:
                chosen.append(f"{column.name} + {shift}")
        names = ", ".join(column.name for column in self.columns)
        rowid = "" if self.columns[0].is_rowid else "rowid, "
        start, end = f"SELECT {rowid and f'rowid + {shift}, '}", " FROM t ORDER BY rowid"
        self.greatest = max(self.greatest, self.greatest + shift)
        self.both(f"INSERT{conflict} INTO t({rowid}{names}) {start}" + ", ".join(chosen) + end)

    @rule(data=st.data(), conflict=CONFLICTS, rowid=st.integers(1, 6))
    def update_one(self, data: st.DataObject, conflict: str, rowid: int) -> None:
        columns = data.draw(st.lists(st.sampled_from(self.columns), min_size=1, max_size=2, unique=True))
        sets = ", ".join(f"{column.name} = ?" for column in columns)
        values = [self.value(data, column) for column in columns]
        self.both(f"UPDATE{conflict} t SET {sets} WHERE rowid = ?", (*values, rowid))

    @rule(conflict=CONFLICTS, rowid=st.integers(1, 6), new=st.integers(-1, 8))
    def move(self, conflict: str, rowid: int, new: int) -> None:
        self.both(f"UPDATE{conflict} t SET rowid = ? WHERE rowid = ?", (new, rowid))

    @rule(data=st.data(), conflict=CONFLICTS, remainder=st.integers(0, 2))
    def update_several(self, data: st.DataObject, conflict: str, remainder: int) -> None:
        combined = {column for key in self.keys for column in key}
        free = [column for column in self.columns if not column.is_key and column not in combined]
        if free:
            column = data.draw(st.sampled_from(free))
            value = self.value(data, column, right=True)
            if conflict in (" OR FAIL", " OR IGNORE") and self.has_gaps(column, value):
                return
            self.both(f"UPDATE{conflict} t SET {column.name} = ? WHERE rowid % 3 <= ?", (value, remainder))

    def has_gaps(self, column: ModelColumn, value: Any) -> bool:
        """Whether which rows are changed before the first failure would depend on their order."""
        never_null = any(clause.startswith("NOT NULL") for clause in column.clauses)
        return bool(self.checks) or (value is None and never_null)

    @rule(data=st.data(), conflict=CONFLICTS)
    def update_keys(self, data: st.DataObject, conflict: str) -> None:
        rowids = [row[0] for row in self.ours.execute("SELECT rowid FROM t")]
        columns = [column for column in self.columns if not column.is_rowid]
        if rowids == sorted(rowids) and columns:
            column = data.draw(st.sampled_from(columns))
            values = [self.value(data, column, right=True) for _ in range(4)]
            cases = " ".join(f"WHEN {rowid} THEN ?" for rowid in range(1, 5))
            sql = f"UPDATE{conflict} t SET {column.name} = CASE +rowid {cases} ELSE {column.name} END"
            self.both(sql, tuple(values))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        column = data.draw(st.sampled_from(self.columns))
        value = data.draw(st.sampled_from(VALUES[column.type]))
        self.both(
            f"DELETE FROM t WHERE {column.name} {data.draw(st.sampled_from(('=', '<', 'IS')))} ?", (value,)
        )

    @rule(rowid=st.integers(1, 6))
    def delete_one(self, rowid: int) -> None:
        self.both("DELETE FROM t WHERE rowid = ?", (rowid,))

    @rule(remainder=st.integers(0, 3))
    def delete_many(self, remainder: int) -> None:
        self.both("DELETE FROM t WHERE rowid % 4 >= ?", (remainder,))

    @precondition(lambda self: self.columns and not self.native.in_transaction)
    @rule(how=st.sampled_from(("BEGIN", "BEGIN", "BEGIN IMMEDIATE")))
    def begin(self, how: str) -> None:
        self.both(how)

    @rule(how=st.sampled_from(("COMMIT", "COMMIT", "ROLLBACK")))
    def end(self, how: str) -> None:
        self.both(how)

    @rule(name=st.sampled_from(SAVEPOINTS))
    def savepoint(self, name: str) -> None:
        self.both(f"SAVEPOINT {name}")

    @rule(name=st.sampled_from(SAVEPOINTS), how=st.sampled_from(("RELEASE", "ROLLBACK TO", "ROLLBACK TO")))
    def to_savepoint(self, name: str, how: str) -> None:
        self.both(f"{how} {name}")

    @precondition(lambda self: self.columns and not self.native.in_transaction)
    @rule()
    def reopen(self) -> None:
        self.ours.execute("DROP TABLE t")
        self.connect()


def _each_once(message: str) -> str:
    """SQLite names a column of a key twice if the key does."""
    head, colon, names = message.partition("UNIQUE constraint failed: ")
    return head + colon + ", ".join(dict.fromkeys(names.split(", ")))


def _listed(text: str, count: int) -> str:
    return f"({', '.join([text] * count)})"


def _marked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((type(value), repr(value)) for value in row)


class WritesInPython(Writes):
    """The same with the table that is written in Python."""

    extension = "off"

    def counts(self, sql: str) -> bool:
        """apsw has no way to tell SQLite that a row was dropped."""
        return super().counts(sql) and " OR IGNORE " not in sql


Writes.TestCase.settings = WritesInPython.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    phases=PHASES,
    derandomize=not FUZZ_SECONDS,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestWrites = Writes.TestCase
TestWritesInPython = WritesInPython.TestCase
