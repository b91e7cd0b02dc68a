"""The oracle: the same table as a native STRICT table of SQLite and as an audiomem table, side by side.

In SQL that is given to :class:`Twins`, ``{t}`` stands for table t, and ``{t!s1.audiomem_rank}`` for a hidden
column of it, of which the native table has the value as a constant. Everything is run once with the native
tables and once with ours, and has to give the same rows, or an error both times.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw

from audiomem_sql.columns.types import TIME_COLLATION
from audiomem_sql.connections import register
from audiomem_sql.errors import DataTypeError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

#: What a native table has instead of the types that SQLite lacks. INT is INTEGER that never names the rowid.
_NATIVE = {"BOOLEAN": "INT", "JSON": "TEXT"}
#: What ours says of texts that only SQLite takes, made of blobs.
NO_UTF8 = "text that is not UTF-8"
NO_TIME = re.compile(r": column \w.*: .* is (no timestamp|finer than a microsecond)|timestamp .* is outside")
_PLACE = re.compile(r"\{(\w+)\}")
#: A hidden column of table t, which the query calls s1: ``{t!s1.audiomem_rank}``.
_HIDDEN = re.compile(r"\{(\w+)!(\w+)\.(\w+)\}")

Rows = list[tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class ModelColumn:
    """A column as SQL writes it: type INTEGER … FLOAT[n], and the clauses behind it.

    words: how our table is told the type, if not by its name.
    """

    name: str
    type: str
    clauses: tuple[str, ...] = ()
    collation: str = "BINARY"
    words: str = ""

    @property
    def is_text(self) -> bool:
        return self.type in ("TEXT", "TIMESTAMP", "JSON")

    @property
    def is_rowid(self) -> bool:
        clause = next((clause for clause in self.clauses if clause.startswith("PRIMARY KEY")), None)
        return self.type == "INTEGER" and clause is not None and "DESC" not in clause

    @property
    def is_key(self) -> bool:
        return any(clause.startswith(("PRIMARY KEY", "UNIQUE")) for clause in self.clauses)

    def audiomem(self) -> str:
        return self._definition(self.words or self.type)

    def native(self) -> str:
        if self.type == "TIMESTAMP":
            return f"{self._definition('TEXT')} COLLATE {TIME_COLLATION}"
        return self._definition(
            "BLOB" if self.type.startswith("FLOAT") else _NATIVE.get(self.type, self.type)
        )

    def _definition(self, type_name: str) -> str:
        collate = f" COLLATE {self.collation}" if self.collation != "BINARY" else ""
        return " ".join([f'"{self.name}"', type_name, *self.clauses]) + collate


@dataclass(frozen=True)
class Outcome:
    """Rows with the type of each value, or an error.

    A real is compared digit by digit, so that -0.0 is not 0.0.
    """

    rows: Rows | None = None
    error: type[Exception] | None = field(default=None, compare=False)
    message: str = field(default="", compare=False)

    def same(self, other: Outcome, ordered: bool) -> bool:
        if self.rows is None or other.rows is None:
            return self.rows is other.rows
        return self.rows == other.rows if ordered else Counter(self.rows) == Counter(other.rows)

    def __str__(self) -> str:
        if self.rows is None:
            return f"{self.error.__name__ if self.error else None}: {self.message}"
        return "\n".join(str(tuple(value for _, value in row)) for row in self.rows) or "(no rows)"


def _hidden(alias: str, column: str, *, native: bool) -> str:
    """A hidden column, or the value that it shows in a query for nothing: the newest version, and NULLs.

    Which number the newest version has does not matter. A row that an outer join adds has none.
    """
    if not native:
        return f"{alias}.{column}"
    return f"iif({alias}.rowid IS NULL, NULL, 1)" if column == "audiomem_version" else "NULL"


def _marked(value: Any) -> tuple[str, Any]:
    return type(value).__name__, repr(value) if isinstance(value, float) else value


class Twins:
    """One connection with pairs of tables.

    A pair is the native ``n_t`` and ``a_t``, whose file is ``t.flac`` in ``folder``.
    """

    def __init__(
        self, folder: Path, options: Sequence[str] = ("profile=embedded",), database: str = ":memory:"
    ) -> None:
        self.folder = folder
        self.options = options
        self.connection = apsw.Connection(database)
        register(self.connection)
        self.database = database
        self.tables: dict[str, tuple[ModelColumn, ...]] = {}
        #: Views and native tables that each side has of its own: what they are called.
        self.others: list[str] = []
        self.compared = 0
        self.no_times = 0

    # -- tables

    def create(
        self, name: str, *columns: ModelColumn, constraints: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        """Both tables; they are empty. constraints: those of the table. options: beside those of all."""
        self.tables[name] = columns
        definitions = ", ".join([*(column.native() for column in columns), *constraints])
        self.connection.execute(f"CREATE TABLE n_{name}({definitions}) STRICT")
        arguments = [
            self._literal(name),
            *(column.audiomem() for column in columns),
            *constraints,
            *self.options,
            *options,
        ]
        self.connection.execute(f"CREATE VIRTUAL TABLE a_{name} USING audiomem({', '.join(arguments)})")

    def define(self, name: str, sql: str, *, native: str | None = None) -> None:
        """The view or native table ``name``, once for each side; ``{name}`` in the SQL is its own name."""
        self.connection.execute(self.sides(native or sql)[0])
        self.connection.execute(self.sides(sql)[1])
        self.others.append(name)

    def reconnect(self) -> None:
        """The database is closed and opened again: SQLite connects the tables from its schema."""
        assert self.database != ":memory:"
        self.connection.close()
        self.connection = apsw.Connection(self.database)
        register(self.connection)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.flac"

    def _literal(self, name: str) -> str:
        return "'" + str(self.path(name)).replace("'", "''") + "'"

    def reopen(self) -> None:
        """Our tables are closed and opened again from their files."""
        for name in self.tables:
            self.connection.execute(f"DROP TABLE a_{name}")
            self.connection.execute(f"CREATE VIRTUAL TABLE a_{name} USING audiomem({self._literal(name)})")

    def __enter__(self) -> Twins:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.verify()
        finally:
            self.connection.close()

    def verify(self) -> None:
        """The tables have the same rows, and every file is sound."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self.same_rows()
        assert self.connection.execute("PRAGMA integrity_check").get == "ok"
        for name in self.tables:
            with Table(self.path(name)) as table:
                assert list(problems(table)) == []

    # -- comparing

    def same_rows(self) -> None:
        """Everything has the same rows on both sides."""
        for name in self.tables:
            self.same(f"SELECT rowid, * FROM {{{name}}}")
        for name in self.others:
            self.same(f"SELECT * FROM {{{name}}}")

    def run(self, sql: str, bindings: Any = None) -> Outcome:
        """What a statement gives, as it stands."""
        try:
            found = self.connection.execute(sql, bindings).fetchall()
        except Exception as error:
            return Outcome(None, type(error), str(error))
        return Outcome([tuple(map(_marked, row)) for row in found])

    def fill(self, sql: str, prefix: Callable[[str], str]) -> str:
        """The SQL with table names in place of ``{t}``, and hidden columns or what they show."""
        sql = _HIDDEN.sub(lambda match: _hidden(match[2], match[3], native=prefix(match[1]) == "n"), sql)
        return _PLACE.sub(lambda match: f"{prefix(match[1])}_{match[1]}", sql)

    def sides(self, sql: str) -> tuple[str, str]:
        """The SQL for the native tables, and for ours."""
        return self.fill(sql, lambda _: "n"), self.fill(sql, lambda _: "a")

    def counted(self, statement: str, *tables: str, counted: bool = True) -> bool:
        """Whether a statement succeeded; it is the same on both sides, as the tables are."""
        outcomes = []
        for prefix, text in zip("na", self.sides(statement), strict=True):
            outcome = self.run(text)
            message = outcome.message.replace(f"{prefix}_t", "t")
            outcomes.append((message, self.connection.changes() if counted and not message else 0))
        assert outcomes[0] == outcomes[1], statement
        for table in tables:
            self.same(f"SELECT * FROM {{{table}}}")
        return not outcomes[0][0]

    def named(self, sql: str) -> list[str]:
        """The tables and views that occur in it."""
        known = [*self.tables, *self.others]
        return sorted({name for name in _PLACE.findall(sql) if name in known})

    def same(self, sql: str, bindings: Any = None, *, ordered: bool = False, mixed: bool = False) -> Outcome:
        """Run a query on the native tables, on ours and, if ``mixed``, on every mixture; all must agree."""
        expected = self.run(self.fill(sql, lambda _: "n"), bindings)
        for ours in self._mixtures(sql) if mixed else [self.named(sql)]:
            text = self.fill(sql, lambda name, ours=ours: "a" if name in ours else "n")  # type: ignore[misc]
            found = self.run(text, bindings)
            self.compared += 1
            if found.error is UnicodeDecodeError or NO_UTF8 in found.message:
                continue  # SQLite makes such texts out of blobs; neither Python nor ours takes them
            if found.error is DataTypeError and NO_TIME.search(found.message):
                self.no_times += 1
                continue  # ours refuses to compare a time with what is none
            assert found.same(expected, ordered), (
                f"{text}\nbindings {bindings!r}\n-- native:\n{expected}\n-- audiomem:\n{found}\n"
                f"-- plan:\n{self.plan(text, bindings)}"
            )
        return expected

    def _mixtures(self, sql: str) -> Iterator[list[str]]:
        names = self.named(sql)
        for count in range(len(names), 0, -1):
            yield from map(list, itertools.combinations(names, count))

    def write(
        self, sql: str, bindings: Any = None, *, native: str | None = None, compares: bool = False
    ) -> Outcome:
        """Run a statement on the native table and on ours; both succeed or both fail, and return the same.

        native: what the native table is told instead. compares: its triggers have conditions, in which ours
        may refuse what is no time; it then has changed nothing, and the native table is not told.
        """
        found = self.run(self.fill(sql, lambda _: "a"), bindings)
        if compares and found.error is DataTypeError and NO_TIME.search(found.message):
            self.no_times += 1
            return found
        expected = self.run(self.fill(native or sql, lambda _: "n"), bindings)
        self.compared += 1
        assert found.same(expected, False), (
            f"{sql}\nbindings {bindings!r}\n-- native:\n{expected}\n-- audiomem:\n{found}"
        )
        return expected

    def plan(self, sql: str, bindings: Any = None) -> str:
        """EXPLAIN QUERY PLAN, a line a step."""
        try:
            return "\n".join(row[3] for row in self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
        except apsw.Error as error:
            return str(error)
