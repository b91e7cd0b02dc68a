"""What sentences of the grammar of queries are made of: constants, columns, expressions and conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from model import ModelColumn

from .tables import ANY, INTEGERS, REALS, TEXTS, operands_of, values_of

COMPARE = (
    "=",
    "=",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "<>",
    "IS",
    "IS NOT",
    "IS DISTINCT FROM",
    "IS NOT DISTINCT FROM",
)
PATTERNS = (
    "%",
    "a%",
    "A%",
    "%a",
    "_",
    "a_",
    "%b%",
    "",
    "%1%",
    "1%",
    "common%",
    "COMMON prefix%",
    "é%",
    "a\\%",
    "%\0%",
    "__",
)
GLOBS = (
    "*",
    "a*",
    "A*",
    "*a",
    "?",
    "[a-b]*",
    "[^a]*",
    "*[",
    "[]]*",
    "",
    "1*",
    "common*",
    "[A-Z]?",
    "*b*",
    "[[]a]",
)
#: Hidden columns that every table has, and conditions on them that no number of a version makes a difference to.
HIDDEN = ("audiomem_version", "audiomem_version", "audiomem_rank", "audiomem_as_of", "audiomem_table")
OF_HIDDEN = (
    "{0} IS NULL",
    "{0} IS NOT NULL",
    "NOT ({0} IS NULL)",
    "{0} > 0",
    "{0} <= 0",
    "0 < {0}",
    "{0} <> -1",
    "{0} IS NOT -1",
    "{0} BETWEEN 0 AND 1000000",
    "{0} NOT BETWEEN 0 AND 1000000",
    "{0} NOT IN (-1, 0)",
    "{0} < 'a'",
    "({0} > 0 OR {0} IS NULL)",
    "{0} LIKE 'a%'",
    "coalesce({0}, 0) > 0",
    "NOT NOT {0}",
)
COLLATE = ("BINARY", "NOCASE", "RTRIM")


Named = tuple[str, tuple[ModelColumn, ...]]


@dataclass
class Source:
    """Something in FROM: the alias, its columns, and what it stands for; only a table has a rowid."""

    alias: str
    columns: tuple[ModelColumn, ...]
    table: str | None = None
    view: str | None = None

    def ref(self, column: ModelColumn) -> str:
        return f'{self.alias}."{column.name}"'

    @property
    def rowid(self) -> str:
        return f"{self.alias}.rowid"


@dataclass
class Query:
    """SQL with ``{t}`` for tables, named bindings, and whether its rows are in a total order."""

    sql: str
    bindings: dict[str, Any] = field(default_factory=dict)
    ordered: bool = False

    def __str__(self) -> str:
        return f"{self.sql}\n{self.bindings}"


def literal(value: Any) -> str:
    """An SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        if "\0" in value:
            return f"CAST(x'{value.encode().hex()}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float) and math.isinf(value):
        return "9e999" if value > 0 else "-9e999"
    return repr(value)


class Terms:
    """Draws what queries over ``tables`` and ``views``, which are (name, columns), are made of."""

    def __init__(self, draw: st.DrawFn, tables: Sequence[Named], views: Sequence[Named] = ()) -> None:
        self.draw = draw
        self.tables = tables
        self.views = views
        self.bindings: dict[str, Any] = {}
        self.aliases = 0
        #: Whether an INTEGER PRIMARY KEY may be compared by LIKE.
        self.keys_like = True

    # -- small things
    # ---------------------------------------------------------------------------------------------

    def pick(self, choices: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(choices)))

    def chance(self, of: int) -> bool:
        """True once in ``of`` times; shrinks to False."""
        return bool(self.draw(st.integers(0, of - 1)) == of - 1)

    def constant(self, values: st.SearchStrategy[Any]) -> str:
        """A literal, or a named parameter."""
        value = self.draw(values)
        if self.chance(2):
            name = f"p{len(self.bindings)}"
            self.bindings[name] = value
            return f":{name}"
        return literal(value)

    def source(self) -> Source:
        """A table; where there are views, mostly one of them."""
        self.aliases += 1
        if self.views and self.chance(4) is False:
            name, columns = self.pick(self.views)
            return Source(f"s{self.aliases}", columns, view=name)
        name, columns = self.pick(self.tables)
        return Source(f"s{self.aliases}", columns, name)

    def from_table(self, source: Source) -> str:
        return f"{{{source.table or source.view}}} AS {source.alias}"

    def column(self, scope: Sequence[Source], want: str | None = None) -> tuple[Source, ModelColumn]:
        """A column in scope, of type ``want`` if there is one."""
        pairs = [(source, column) for source in scope for column in source.columns]
        wanted = [pair for pair in pairs if pair[1].type == want]
        found: tuple[Source, ModelColumn] = self.pick(wanted or pairs)
        return found

    def reference(self, scope: Sequence[Source]) -> str:
        """A column, or a rowid."""
        with_rowid = [source for source in scope if source.table]
        if with_rowid and self.chance(6):
            return str(self.pick(with_rowid).rowid)
        source, column = self.column(scope)
        return source.ref(column)

    # -- expressions
    # ----------------------------------------------------------------------------------------------

    def expression(self, scope: Sequence[Source], depth: int = 2) -> str:  # noqa: C901
        """An expression that never fails."""
        kind = self.draw(st.integers(0, 13)) if depth > 0 else self.draw(st.integers(0, 1))
        if kind == 0:
            return self.reference(scope)
        if kind == 1:
            return self.constant(ANY)
        one = self.expression(scope, depth - 1)
        if kind == 2:
            return f"({one} {self.pick(('+', '-', '*', '/', '%', '||', '&', '|', '<<'))} {self.expression(scope, depth - 1)})"
        if kind == 3:
            return (
                f"{self.pick(('typeof', 'length', 'lower', 'upper', 'hex', 'quote', 'octet_length'))}({one})"
            )
        if kind == 4:
            return f"CAST({one} AS {self.pick(('INTEGER', 'REAL', 'TEXT', 'BLOB', 'NUMERIC'))})"
        if kind == 5:
            return f"coalesce({one}, {self.expression(scope, depth - 1)})"
        if kind == 6:
            return f"CASE WHEN {self.condition(scope, depth - 1)} THEN {one} ELSE {self.expression(scope, depth - 1)} END"
        if kind == 7:
            return f"(({one}) COLLATE {self.pick(COLLATE)})"
        if kind == 8:
            return f"nullif({one}, {self.expression(scope, depth - 1)})"
        if kind == 9:
            return f"(+{one})"
        if kind == 10:
            return f"{self.pick(('min', 'max', 'ifnull'))}({one}, {self.expression(scope, depth - 1)})"
        if kind == 11:
            return f"({self.condition(scope, depth - 1)})"
        if kind == 12:
            return f"(- {one})"
        return self.scalar_subquery(scope, depth - 1)

    def scalar_subquery(self, scope: Sequence[Source], depth: int) -> str:
        """A subquery with one value."""
        source = self.source()
        inner = [source, *scope] if self.chance(2) else [source]
        where = f" WHERE {self.condition(inner, depth)}" if self.chance(2) else ""
        if self.chance(3):
            order = f"{self.expression([source], 0)} {self.pick(('', 'DESC'))}, {self.total([source])}"
            value = self.expression([source], 0)
            return f"(SELECT {value} FROM {self.from_table(source)}{where} ORDER BY {order} LIMIT 1 OFFSET {self.draw(st.integers(0, 2))})"
        return f"(SELECT {self.aggregate([source], safe=True)} FROM {self.from_table(source)}{where})"

    def aggregate(self, scope: Sequence[Source], *, safe: bool = False) -> str:
        """An aggregate; ``sum`` and ``abs`` fail when they overflow, and are left out if ``safe``."""
        source, column = self.column(scope)
        ref = source.ref(column)
        kinds = ["count(*)", "count", "min", "max", "total", "count distinct", "concat"] + (
            [] if safe else ["sum", "avg", "abs"]
        )
        kind = self.pick(kinds)
        filtered = f" FILTER (WHERE {self.condition(scope, 1)})" if self.chance(5) and kind != "abs" else ""
        if kind == "count(*)":
            return f"count(*){filtered}"
        if kind in ("min", "max"):
            return f"{kind}({ref} COLLATE BINARY){filtered}"
        if kind == "count distinct":
            return f"count(DISTINCT {ref}){filtered}"
        if kind == "concat":
            return f"group_concat({ref}, '|' ORDER BY {self.total(scope)}){filtered}"
        if kind == "abs":
            return f"max(abs({ref}))"
        if kind == "count":
            return f"count({ref}){filtered}"
        return f"{kind}({ref} ORDER BY {self.total(scope)}){filtered}"

    def total(self, scope: Sequence[Source]) -> str:
        """Terms that no two different rows share."""
        terms = [
            f"{source.rowid}"
            if source.table
            else f"{source.ref(column)} COLLATE BINARY, typeof({source.ref(column)})"
            for source in scope
            for column in ((source.columns[0],) if source.table else source.columns)
        ]
        return ", ".join(terms)

    # -- conditions
    # -----------------------------------------------------------------------------------------------

    def condition(self, scope: Sequence[Source], depth: int = 2) -> str:
        kind = self.draw(st.integers(0, 19)) if depth > 0 else self.draw(st.integers(0, 11))
        source, column = self.column(scope)
        if source.table and self.chance(10):
            return self._hidden(source)
        if kind <= 6:
            return self._compared(scope, source, column, kind)
        if kind <= 11:
            return self._of_rowids(scope, source, column, kind)
        if kind <= 16:
            return self._combined(scope, depth, kind)
        return self._subquery(scope, source, column, depth, kind)

    def _hidden(self, source: Source) -> str:
        """A condition on a hidden column of a table; but no equality, which asks for something."""
        column = self.pick(HIDDEN)
        return self.pick(OF_HIDDEN).format(f"{{{source.table}!{source.alias}.{column}}}")

    def _compared(self, scope: Sequence[Source], source: Source, column: ModelColumn, kind: int) -> str:
        """A column against constants, columns, ranges, lists and patterns."""
        ref = source.ref(column)
        if kind <= 1:
            value = self.constant(operands_of(column))
            pair = (ref, value) if self.chance(2) else (value, ref)
            return f"{pair[0]} {self.pick(COMPARE)} {pair[1]}"
        if kind == 2:
            return f"{ref} {self.pick(('IS NULL', 'IS NOT NULL', 'ISNULL', 'NOTNULL'))}"
        if kind == 3:
            return f"{ref} {self.pick(COMPARE)} {self.reference(scope)}"
        if kind == 4:
            some = operands_of(column)
            return f"{ref} {self.pick(('', 'NOT '))}BETWEEN {self.constant(some)} AND {self.constant(some)}"
        if kind == 5:
            some = operands_of(column)
            values = ", ".join(self.constant(some) for _ in range(self.draw(st.integers(0, 4))))
            return f"{ref} {self.pick(('', 'NOT '))}IN ({values})"
        may_be_like = self.keys_like or not column.is_rowid
        if may_be_like and self.chance(3):
            escape = self.pick(("", " ESCAPE '\\'"))
            return f"{ref} {self.pick(('', 'NOT '))}LIKE {self.constant(st.sampled_from(PATTERNS))}{escape}"
        operators = (("LIKE", PATTERNS), ("GLOB", GLOBS)) if may_be_like else (("GLOB", GLOBS),)
        operator, patterns = self.pick(operators)
        pattern = self.constant(st.one_of(st.sampled_from(patterns), TEXTS, ANY))
        return f"{ref} {self.pick(('', 'NOT '))}{operator} {pattern}"

    def _of_rowids(self, scope: Sequence[Source], source: Source, column: ModelColumn, kind: int) -> str:
        """A rowid, a collation, a column as a truth, or a pair of columns."""
        ref, own = source.ref(column), values_of(column)
        if kind == 7:
            rowid = self.pick([s for s in scope if s.table] or [source])
            name = rowid.rowid if rowid.table else ref
            return f"{name} {self.pick(COMPARE)} {self.constant(st.one_of(INTEGERS, INTEGERS, REALS, ANY))}"
        if kind == 8:
            return f"{ref} COLLATE {self.pick(COLLATE)} {self.pick(COMPARE)} {self.constant(st.one_of(own, TEXTS))}"
        if kind == 9:
            return ref
        if kind == 10:
            rowid = self.pick([s for s in scope if s.table] or [source])
            name = rowid.rowid if rowid.table else ref
            values = ", ".join(self.constant(INTEGERS) for _ in range(self.draw(st.integers(1, 4))))
            return f"{name} IN ({values})"
        left, right = self.column(scope)
        value = self.constant(values_of(right))
        return f"({ref}, {left.ref(right)}) {self.pick(('=', '<', '>=', 'IS', '<>'))} ({self.constant(own)}, {value})"

    def _combined(self, scope: Sequence[Source], depth: int, kind: int) -> str:
        """Conditions joined by AND, OR and NOT, or two expressions."""
        if kind == 12:
            return f"({self.condition(scope, depth - 1)} AND {self.condition(scope, depth - 1)})"
        if kind <= 14:
            return f"({self.condition(scope, depth - 1)} OR {self.condition(scope, depth - 1)})"
        if kind == 15:
            return f"NOT ({self.condition(scope, depth - 1)})"
        return f"{self.expression(scope, depth - 1)} {self.pick(COMPARE)} {self.expression(scope, depth - 1)}"

    def _subquery(
        self, scope: Sequence[Source], source: Source, column: ModelColumn, depth: int, kind: int
    ) -> str:
        """EXISTS, or IN a SELECT of one or two columns."""
        ref = source.ref(column)
        inner = self.source()
        seen = [inner, *scope] if self.chance(2) else [inner]
        where = f" WHERE {self.condition(seen, depth - 1)}" if self.chance(2) else ""
        if kind == 17:
            return f"{self.pick(('', 'NOT '))}EXISTS (SELECT 1 FROM {self.from_table(inner)}{where})"
        first, second = self.column([inner], column.type)
        if kind == 18:
            return f"{ref} {self.pick(('', 'NOT '))}IN (SELECT {first.ref(second)} FROM {self.from_table(inner)}{where})"
        other, another = self.column(scope)
        third = self.column([inner], another.type)[1]
        return (
            f"({ref}, {other.ref(another)}) {self.pick(('', 'NOT '))}IN "
            f"(SELECT {first.ref(second)}, {inner.ref(third)} FROM {self.from_table(inner)}{where})"
        )
