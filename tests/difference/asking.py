"""Queries: of tables, of views, about hidden columns, and about times in all spellings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from model import ModelColumn
from spellings import TIMES, spellings
from vtab.grammar_terms import COMPARE, OF_HIDDEN, Named, Query, Source, literal

from audiomem_sql.columns.timestamps import render
from vtab.tables import HIDDEN_NAMES

from .draws import Asked

#: Conditions on a hidden column that no number of a version makes a difference to.
_HIDDEN = (
    *OF_HIDDEN,
    "NOT NOT {0}",
    "typeof({0}) = 'null'",
    "({0}, 1) IS NOT (0, 1)",
)
_EVERYWHERE = ("audiomem_version", "audiomem_rank", "audiomem_as_of", "audiomem_table")
_SEARCHED = ("audiomem_k", "audiomem_distance", "audiomem_filter")


def is_time(column: ModelColumn) -> bool:
    """Whether it is a TIMESTAMP."""
    return column.type == "TIMESTAMP"


class Pairs(Asked):
    """Constants that the two sides are told in different words: ``{@0}`` stands for the first one of ``pairs``."""

    def __init__(self, draw: Any, tables: Sequence[Named], views: Sequence[Named] = ()) -> None:
        super().__init__(draw, tables, views)
        self.pairs: list[tuple[str, str]] = []
        self.natives: dict[str, Any] = {}

    def time(self, *, nulls: bool = True) -> str:
        """A time: as it is kept for the native side, in any spelling for ours."""
        if nulls and self.chance(12):
            return "NULL"
        us = self.draw(TIMES)
        native, ours = render(us), self.draw(spellings(us))
        if self.chance(2):
            name = f"p{len(self.bindings)}"
            self.bindings[name], self.natives[name] = ours, native
            self.pairs.append((f":{name}", f":{name}"))
        else:
            self.pairs.append((literal(native), literal(ours)))
        return f"{{@{len(self.pairs) - 1}}}"

    def constant(self, values: Any) -> str:
        text = super().constant(values)
        if text.startswith(":"):
            self.natives[text[1:]] = self.bindings[text[1:]]
        return text

    def time_condition(self, scope: Sequence[Source], source: Source, column: ModelColumn) -> str:
        """A TIMESTAMP against times."""
        ref, kind = source.ref(column), self.draw.random.randrange(12)
        if kind <= 3:
            mark = self.pick(("{0}", "{0}", "{0}", "({0} || '')", "CAST({0} AS TEXT)", "(SELECT {0})"))
            one, other = ref, mark.format(self.time())
            pair = (one, other) if self.chance(2) else (other, one)
            return f"{pair[0]} {self.pick(COMPARE)} {pair[1]}"
        if kind <= 5:
            return f"{ref} {self.pick(('', 'NOT '))}BETWEEN {self.time()} AND {self.time()}"
        if kind <= 7:
            times = ", ".join(self.time() for _ in range(self.draw.random.randint(1, 4)))
            return f"{ref} {self.pick(('', 'NOT '))}IN ({times})"
        if kind == 8:
            other, another = self.column([source])
            if is_time(another):
                return f"({ref}, {other.ref(another)}) {self.pick(('=', '<', 'IS'))} ({self.time()}, {self.time()})"
            return f"({ref}, 1) {self.pick(('=', '<', '>=', 'IS', '<>'))} ({self.time()}, 1)"
        if kind == 9:
            return (
                f"CASE WHEN {ref} {self.pick(COMPARE)} {self.time()} THEN 1 ELSE {self.pick((0, 'NULL'))} END"
            )
        if kind == 10:
            rows = ", ".join(f"({self.time()}, {n})" for n in range(self.draw.random.randint(1, 3)))
            return f"({ref}, {self.draw.random.randint(0, 2)}) {self.pick(('', 'NOT '))}IN (VALUES {rows})"
        other, another = self.column(scope, "TIMESTAMP")
        if not is_time(another):
            return f"coalesce({ref} {self.pick(COMPARE)} {self.time()}, 0)"
        return f"{ref} {self.pick(COMPARE)} {other.ref(another)}"


class Times(Pairs):
    """Queries whose conditions are mostly about times."""

    def source(self) -> Source:
        found = super().source()
        for _ in range(3):
            if any(map(is_time, found.columns)):
                break
            self.aliases -= 1
            found = super().source()
        return found

    def condition(self, scope: Sequence[Source], depth: int = 2) -> str:
        pairs = [(source, column) for source in scope for column in source.columns if is_time(column)]
        if pairs and not self.chance(4):
            return self.time_condition(scope, *self.pick(pairs))
        return super().condition(scope, depth)

    def beside(self, natives: Collection[str]) -> str | None:
        """A query of a table beside z: a time that is read from a row may be in any spelling, too.

        natives: tables that are native on both sides. SQLite takes the collation of the left side, so z has to
        name theirs.
        """
        able = [(key, c) for key, columns in self.tables for c in columns if is_time(c)]
        if not able:
            return None
        key, column = self.pick(able)
        source, self.aliases = Source("s1", dict(self.tables)[key], key), 1
        return str(self.pick(_BESIDE)).format(
            t=f"{{{key}}}",
            c=f'"{column.name}"',
            op=self.pick(COMPARE),
            as_time=" COLLATE audiomem_time" if key in natives else "",
            where=self.time_condition([source], source, column),
            **{"in": self.pick(("IN", "NOT IN"))},
        )

    def expression(self, scope: Sequence[Source], depth: int = 2) -> str:
        if depth > 0 and self.chance(4):
            return f"({self.condition(scope, 0)})"
        return super().expression(scope, depth)


#: Queries beside the native table z, whose texts are times: {t} is a table, {c} its TIMESTAMP, {op} compares,
#: {as_time} makes z.txt a time beside a table that is native on both sides.
_BESIDE = (
    "SELECT s1.rowid, z.i FROM {t} AS s1 JOIN z ON s1.{c} {op} z.txt WHERE {where}",
    "SELECT s1.rowid, z.i FROM z CROSS JOIN {t} AS s1 ON s1.{c} {op} z.txt WHERE {where}",
    "SELECT s1.rowid, z.i FROM z CROSS JOIN {t} AS s1 ON z.txt{as_time} = s1.{c} WHERE {where}",
    "SELECT s1.rowid, z.i FROM {t} AS s1 LEFT JOIN z ON s1.{c} {op} z.txt WHERE {where}",
    "SELECT s1.rowid, z.i FROM z LEFT JOIN {t} AS s1 ON s1.{c} {op} z.txt AND {where}",
    "SELECT s1.rowid, z.i FROM {t} AS s1 FULL JOIN z ON s1.{c} = z.txt",
    "SELECT s1.rowid FROM {t} AS s1 WHERE s1.{c} {in} (SELECT txt FROM z) AND {where}",
    "SELECT s1.rowid, (SELECT count(*) FROM z WHERE s1.{c} {op} z.txt) FROM {t} AS s1 WHERE {where}",
    "SELECT z.i, (SELECT count(*) FROM {t} AS s1 WHERE s1.{c} {op} z.txt AND {where}) FROM z",
    "SELECT s1.{c} FROM {t} AS s1 WHERE {where} INTERSECT SELECT txt FROM z",
    "SELECT s1.{c} FROM {t} AS s1 WHERE {where} EXCEPT SELECT txt FROM z",
)


class Hidden(Asked):
    """Queries about hidden columns, and columns of the user that have the names of hidden ones.

    hidden: the names of hidden columns by which each table can be asked, beside those that every table has.
    prefixed: the tables of which a short name is no column.
    """

    def __init__(
        self, draw: Any, tables: Sequence[Named], hidden: dict[str, Sequence[str]], prefixed: Sequence[str]
    ) -> None:
        super().__init__(draw, tables)
        self.hidden = hidden
        self.prefixed = prefixed
        self.said = 0

    def _marker(self, source: Source) -> str:
        self.said += 1
        name = self.pick((*_EVERYWHERE, *self.hidden[source.table or ""]))
        return f"{{{source.table}!{source.alias}.{name}}}"

    def condition(self, scope: Sequence[Source], depth: int = 2) -> str:
        able = [source for source in scope if source.table in self.hidden]
        if able and self.chance(3):
            return str(self.pick(_HIDDEN)).format(self._marker(self.pick(able)))
        return super().condition(scope, depth)

    def reference(self, scope: Sequence[Source]) -> str:
        able = [source for source in scope if source.table in self.hidden]
        if able and self.chance(
            4
        ):  # the number of a version is only ours, and an equality would ask for something
            marker = self._marker(self.pick(able))
            return f"({marker} > 0)" if "version}" in marker else f"(+{marker})"
        named = [(s, c) for s in scope for c in s.columns if c.name in HIDDEN_NAMES]
        if named and self.chance(2):
            self.said += 1
            source, column = self.pick(named)
            return f"{source.alias}.{self.pick((column.name, column.name.upper(), column.name.lower()))}"
        return super().reference(scope)

    def captured(self) -> tuple[str, bool] | None:
        """A name of the outer query inside a subquery of a table that has only prefixed hidden columns."""
        for key, columns in self.tables:
            outer = Source("s1", columns, key)
            names = [column for column in columns if column.name in HIDDEN_NAMES]
            inner = [
                (other, theirs)
                for other, theirs in self.tables
                if other in self.prefixed
                and any(all(c.name.lower() != n.name.lower() for c in theirs) for n in names)
            ]
            if names and inner:
                other, theirs = self.pick(inner)
                free = [n for n in names if all(c.name.lower() != n.name.lower() for c in theirs)]
                name = self.pick(free).name
                ref = Source("s2", theirs, other).ref(self.pick(theirs))
                self.said += 1
                self.aliases = 2  # those of this query
                return (
                    f"SELECT s1.rowid, {name}, (SELECT count(*) FROM {{{other}}} AS s2 WHERE {ref} {self.pick(COMPARE)} {name}) "
                    f"FROM {{{key}}} AS s1{self.where([outer], 1)}",
                    False,
                )
        return None


def asked(grammar: Asked, said: str) -> Query:
    """A query in which the grammar says what it is about: ``said`` is the attribute that counts it."""
    query = grammar.query()
    for _ in range(5):
        if not said or getattr(grammar, said):
            break
        grammar.bindings.clear()
        if isinstance(grammar, Pairs):
            grammar.natives.clear()
        grammar.aliases = 0
        query = grammar.query()
    return query
