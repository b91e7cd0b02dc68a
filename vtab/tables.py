"""The audiomem tables that a connection has in use, by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import QueryError, did_you_mean
from audiomem_sql.table.table import Table as EngineTable
from audiomem_sql.vtab.interface import Table

#: The databases in which SQLite looks for a name first.
_DATABASES = {"temp": 0, "main": 1}
#: Filters that may be evaluated one inside another.
_MOST_CONDITIONS = 4


class Tables:
    """The audiomem tables that a connection has in use."""

    def __init__(self) -> None:
        self._tables: list[Table] = []
        self._conditions = 0  # that are being evaluated, one inside another

    def add(self, table: Table) -> None:
        """The connection uses a table from now on."""
        self._tables.append(table)

    def __iter__(self) -> Iterator[Table]:
        return iter(self._tables)

    def find(self, name: str) -> Table:
        """The table called ``name``, also as ``database.name``; QueryError if the connection has none.

        Of several that in ``temp`` comes first, then that in ``main``, as in SQL.
        """
        wanted = fold(name)
        called = [table for table in self._tables if fold(table.name) == wanted]
        called = called or [table for table in self._tables if fold(_full_name(table)) == wanted]
        if called:
            return min(called, key=lambda table: _DATABASES.get(fold(database_of(table)), len(_DATABASES)))
        names = [table.name for table in self._tables]
        raise QueryError(
            f"there is no audiomem table {name}",
            remedy=f"{did_you_mean(name, names)}Tables in use: {', '.join(names) or 'none'}.",
        )

    @contextmanager
    def evaluating(self, path: str) -> Iterator[None]:
        """A condition is evaluated meanwhile. QueryError for one inside another inside another."""
        if self._conditions >= _MOST_CONDITIONS:
            raise QueryError(
                "a filter evaluates itself",
                file=path,
                remedy=f"Filters may stand in filters {_MOST_CONDITIONS} times.",
            )
        self._conditions += 1
        try:
            yield
        finally:
            self._conditions -= 1

    def forget(self, table: Table) -> None:
        """The connection is done with a table."""
        if table in self._tables:
            self._tables.remove(table)

    def writing(self, key: tuple[str, ...]) -> EngineTable | None:
        """The table of the engine that was connected to in the same words, while a transaction is open.

        SQLite connects again when the schema changes, also in the middle of a transaction, whose rows the new
        table has to have.
        """
        for table in self._tables:
            if table.key == key and table.table.transaction is not None:
                return table.table
        return None

    def uses(self, table: EngineTable) -> bool:
        """Whether the connection has a table of the engine in use."""
        return any(used.key and used.table is table for used in self._tables)

    def same(self, table: Table) -> list[Table]:
        """The other tables of the same name that have the same table of the engine."""
        return [
            used
            for used in self._tables
            if used is not table
            and used.key
            and used.table is table.table
            and fold(used.name) == fold(table.name)
        ]


def database_of(table: Table) -> str:
    """The name under which the database of a table is attached."""
    return table.key[0] if table.key else "main"


def _full_name(table: Table) -> str:
    return f"{database_of(table)}.{table.name}"
