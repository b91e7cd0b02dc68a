"""Strategies for queries: a grammar whose every sentence has one answer, whatever the order in which rows are read.

So whatever depends on that order is pinned: aggregates that add or concatenate have an ORDER BY of their own,
LIMIT comes with a total order, and where a collation takes different texts for equal, only what they share is
shown. Conditions hold nothing that can fail (``abs``, ``sum``), because what is evaluated for which row is
the planner's choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from model import ModelColumn

from .grammar_terms import COMPARE, Named, Query, Source, Terms, literal
from .tables import ANY, BLOBS, HIDDEN_NAMES

__all__ = ["Grammar", "Query", "Source", "literal", "queries"]


class Grammar(Terms):
    """Draws one query over ``tables``, which are (name, columns)."""

    # -- FROM
    # -----------------------------------------------------------------------------------------------------

    def sources(self, most: int = 3) -> tuple[str, list[Source]]:
        """FROM and what it names."""
        first = self.source()
        text, scope = self.from_table(first), [first]
        for _ in range(self.draw(st.integers(0, most - 1))):
            following = self.source()
            if self.chance(6):
                following, item = self.derived(following)
            else:
                item = self.from_table(following)
            join = self.pick(
                (
                    "JOIN",
                    "JOIN",
                    "LEFT JOIN",
                    "LEFT JOIN",
                    "CROSS JOIN",
                    "RIGHT JOIN",
                    "FULL JOIN",
                    ",",
                    "NATURAL",
                    "USING",
                )
            )
            shared = [
                c.name
                for c in following.columns
                if sum(c.name == d.name for s in scope for d in s.columns) == 1 and not self._hides(c, scope)
            ]
            if join == "USING" and shared:
                kind = self.pick(("JOIN", "LEFT JOIN"))
                names = ", ".join(f'"{name}"' for name in shared[: self.draw(st.integers(1, len(shared)))])
                text += f" {kind} {item} USING ({names})"
            elif join == "NATURAL" and len(scope) == 1:
                text += f" NATURAL {self.pick(('JOIN', 'LEFT JOIN'))} {item}"
            elif join in (",", "CROSS JOIN"):
                text += f"{'' if join == ',' else ' '}{join} {item}"
            else:
                join = "JOIN" if join in ("USING", "NATURAL") else join
                text += f" {join} {item} ON {self.on([*scope, following], following)}"
            scope.append(following)
        return text, scope

    @staticmethod
    def _hides(column: ModelColumn, scope: Sequence[Source]) -> bool:
        """Whether a table may have a hidden column of this name instead: USING would take it, too."""
        hidden = {name.lower() for name in HIDDEN_NAMES}
        return column.name.lower() in hidden and any(
            source.table and all(column.name != own.name for own in source.columns) for source in scope
        )

    def on(self, scope: Sequence[Source], following: Source) -> str:
        """Mostly an equality of columns, of one type or not.

        No LIKE of an INTEGER PRIMARY KEY: where the join is, or is followed by, an outer join, SQLite searches
        the key for the texts that LIKE allows, finds none, and leaves out the row of NULLs (``test_like_on_key``).
        """
        source, column = self.column(scope[:-1])
        other = self.column([following], column.type)[1]
        text = (
            f"{source.ref(column)} {self.pick(('=', '=', '=', '=', '<', '>=', 'IS'))} {following.ref(other)}"
        )
        self.keys_like = False
        if self.chance(4):
            text = self.condition(scope, 1)
        if self.chance(4):
            text += f" AND {self.condition(scope, 1)}"
        self.keys_like = True
        return text

    def derived(self, source: Source) -> tuple[Source, str]:
        """A subquery in FROM: of the columns of a table."""
        names = ", ".join(f'{source.ref(column)} AS "{column.name}"' for column in source.columns)
        where = f" WHERE {self.condition([source], 1)}" if self.chance(2) else ""
        self.aliases += 1
        alias = f"s{self.aliases}"
        return Source(
            alias, source.columns
        ), f"(SELECT {names} FROM {self.from_table(source)}{where}) AS {alias}"

    def where(self, scope: Sequence[Source], most: int = 3) -> str:
        terms = [self.condition(scope) for _ in range(self.draw(st.integers(0, most)))]
        return " WHERE " + " AND ".join(terms) if terms else ""

    # -- queries
    # --------------------------------------------------------------------------------------------------

    def query(self) -> Query:
        """Any of them."""
        kinds = (
            self.plain,
            self.plain,
            self.ordered,
            self.ordered,
            self.by_rowid,
            self.aggregated,
            self.grouped,
        )
        more = (self.distinct, self.windowed, self.compound, self.with_cte, self.recursive)
        sql, ordered = self.pick(kinds + more)()
        return Query(sql, self.bindings, ordered)

    def outputs(self, scope: Sequence[Source]) -> str:
        count = self.draw(st.integers(1, 4))
        return ", ".join(self.expression(scope, self.draw(st.integers(0, 2))) for _ in range(count))

    def plain(self) -> tuple[str, bool]:
        text, scope = self.sources()
        items = self.pick(("*", "rows"))
        return f"SELECT {'*' if items == '*' else self.outputs(scope)} FROM {text}{self.where(scope)}", False

    def direction(self) -> str:
        return f"{self.pick(('', ' ASC', ' DESC'))}{self.pick(('', '', ' NULLS FIRST', ' NULLS LAST'))}"

    def limit(self) -> str:
        counts = st.integers(-1, 6)
        text = f" LIMIT {self.constant(counts)}" if self.chance(2) else ""
        return text + (f" OFFSET {self.constant(counts)}" if text and self.chance(2) else "")

    def ordered(self) -> tuple[str, bool]:
        text, scope = self.sources(2)
        terms = [self.expression(scope, 1) + self.direction() for _ in range(self.draw(st.integers(0, 2)))]
        terms = [f"(+{term})" if term[0] in "0123456789" else term for term in terms if not _is_number(term)]
        order = ", ".join([*terms, self.total(scope)])
        return (
            f"SELECT {self.outputs(scope)} FROM {text}{self.where(scope)} ORDER BY {order}{self.limit()}",
            True,
        )

    def by_rowid(self) -> tuple[str, bool]:
        source = self.source()
        key = next((column for column in source.columns if column.is_rowid), None)
        order = source.ref(key) if key and self.chance(2) else self.total([source])
        names = self.pick(("*", f"{source.rowid}, *" if source.table else "*", "count"))
        names = self.outputs([source]) if names == "count" else names
        return (
            f"SELECT {names} FROM {self.from_table(source)}{self.where([source])} ORDER BY {order}{self.pick(('', ' DESC'))}"
            f"{self.limit()}",
            True,
        )

    def aggregated(self) -> tuple[str, bool]:
        text, scope = self.sources(2)
        items = ", ".join(self.aggregate(scope) for _ in range(self.draw(st.integers(1, 4))))
        return f"SELECT {items} FROM {text}{self.where(scope)}", True

    def shown(self, source: Source, column: ModelColumn) -> str:
        """What texts that the column's collation takes for equal have in common."""
        ref = source.ref(column)
        if column.collation == "NOCASE":
            return f"lower(substr({ref}, 1)), octet_length({ref})"
        return f"rtrim({ref}, ' ')" if column.collation == "RTRIM" else ref

    def grouped(self) -> tuple[str, bool]:
        text, scope = self.sources(2)
        keys = [self.column(scope) for _ in range(self.draw(st.integers(1, 2)))]
        shown = ", ".join(self.shown(*key) for key in keys)
        items = ", ".join(self.aggregate(scope) for _ in range(self.draw(st.integers(0, 3))))
        having = ""
        if self.chance(2):
            having = f" HAVING {self.aggregate(scope, safe=True)} {self.pick(COMPARE)} {self.constant(ANY)}"
        by = ", ".join(source.ref(column) for source, column in keys)
        return (
            f"SELECT {shown}{', ' if items else ''}{items} FROM {text}{self.where(scope)} GROUP BY {by}{having}",
            False,
        )

    def distinct(self) -> tuple[str, bool]:
        text, scope = self.sources(2)
        keys = [self.column(scope) for _ in range(self.draw(st.integers(1, 3)))]
        names = ", ".join(source.ref(column) for source, column in keys)
        where = self.where(scope)
        if all(column.collation == "BINARY" for _, column in keys):
            limit = ""
            if self.chance(3):
                limit = f" ORDER BY {names}{self.limit()}"
            return f"SELECT DISTINCT {names} FROM {text}{where}{limit}", bool(limit)
        return f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {text}{where})", True

    def windowed(self) -> tuple[str, bool]:
        text, scope = self.sources(2)
        functions = []
        for _ in range(self.draw(st.integers(1, 2))):
            source, column = self.column(scope)
            ref = source.ref(column)
            function = self.pick(
                (
                    "row_number()",
                    "rank()",
                    "dense_rank()",
                    "ntile(2)",
                    f"lag({ref})",
                    f"lead({ref}, 2, 'none')",
                    f"first_value({ref})",
                    f"nth_value({ref}, 2)",
                    f"count({ref})",
                    f"sum({ref})",
                    f"max({ref} COLLATE BINARY)",
                    f"group_concat({ref}, '|')",
                )
            )
            other, another = self.column(scope)
            partition = f"PARTITION BY {other.ref(another)} " if self.chance(2) else ""
            order = self.expression(scope, 0)
            order = "" if _is_number(order) or order[0] in "0123456789:" else order + self.direction() + ", "
            frame = ""
            if self.chance(2):
                bounds = self.pick(
                    (
                        "UNBOUNDED PRECEDING AND CURRENT ROW",
                        "1 PRECEDING AND 1 FOLLOWING",
                        "CURRENT ROW AND UNBOUNDED FOLLOWING",
                    )
                )
                frame = f" {self.pick(('ROWS', 'GROUPS', 'ROWS'))} BETWEEN {bounds}"
            functions.append(f"{function} OVER ({partition}ORDER BY {order}{self.total(scope)}{frame})")
        return f"SELECT {self.outputs(scope)}, {', '.join(functions)} FROM {text}{self.where(scope)}", False

    def binary(self, scope: Sequence[Source], count: int) -> str:
        """Columns that are compared byte by byte."""
        pairs = [self.column(scope) for _ in range(count)]
        return ", ".join(
            f"{s.ref(c)} COLLATE BINARY" if c.collation != "BINARY" else s.ref(c) for s, c in pairs
        )

    def compound(self) -> tuple[str, bool]:
        count = self.draw(st.integers(1, 2))
        parts = []
        for number in range(self.draw(st.integers(2, 3))):
            text, scope = self.sources(2)
            # integers and reals that are equal: only the type that comes first is shown
            names = self.binary(scope, count)
            operator = (
                f" {self.pick(('UNION ALL', 'UNION ALL', 'UNION', 'INTERSECT', 'EXCEPT'))} " if number else ""
            )
            parts.append(f"{operator}SELECT {names} FROM {text}{self.where(scope, 2)}")
        sql = "".join(parts)
        if self.chance(3):
            return f"SELECT * FROM ({sql}) WHERE 1", False
        return sql, False

    def with_cte(self) -> tuple[str, bool]:
        source = self.source()
        names = ", ".join(f'{source.ref(column)} AS "{column.name}"' for column in source.columns)
        hint = self.pick(("", "", " MATERIALIZED", " NOT MATERIALIZED"))
        inner = f"SELECT {names} FROM {self.from_table(source)}{self.where([source], 2)}"
        first, second = Source("w1", source.columns), self.source()
        scope = [first, second]
        on = self.on(scope, second)
        join = self.pick(("JOIN", "LEFT JOIN", "RIGHT JOIN"))
        body = f"SELECT {self.outputs(scope)} FROM w AS w1 {join} {self.from_table(second)} ON {on}{self.where(scope, 2)}"
        return f"WITH w AS{hint} ({inner}) {body}", False

    def recursive(self) -> tuple[str, bool]:
        start, step = self.source(), self.source()
        first, column = self.column([start])
        other = self.column([step], column.type)[1]
        link = f"r.v {self.pick(('=', '<', 'IS', '='))} {step.ref(other)}"
        third = self.column([step], column.type)[1]
        # a rowid has no collation in SQLite's own tables: a UNION takes the next one
        forced = " COLLATE BINARY" if column.type == "INTEGER" and third.collation != "BINARY" else ""
        return (
            f"WITH RECURSIVE r(v, d) AS (SELECT {first.ref(column)}, 0 FROM {self.from_table(start)}{self.where([start], 1)} "
            f"UNION SELECT {step.ref(third)}{forced}, r.d + 1 FROM r JOIN {self.from_table(step)} ON {link} WHERE r.d < 3) "
            "SELECT d, count(*), count(v), count(DISTINCT lower(quote(v))) FROM r GROUP BY d",
            False,
        )


def _is_number(term: str) -> bool:
    """Whether SQLite would take an ORDER BY term for the number of a column."""
    return term.split(" ")[0].strip("()+-").isdecimal()


@st.composite
def queries(draw: st.DrawFn, tables: Sequence[Named], views: Sequence[Named] = ()) -> Query:
    """A query over ``tables`` and ``views``, which are (name, columns)."""
    return Grammar(draw, tables, views).query()


__all__ = ["BLOBS", "Grammar", "Query", "queries"]
