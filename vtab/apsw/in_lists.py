"""Whether apsw can hand a cursor all values of ``column IN (…)`` at once.

apsw 3.54.1 fails ("SQLError: <NULL>") when the list turns out to be empty, as that of a subquery may;
versions before it pass None. So a module of its own tries it, once in a process. Where it fails, SQLite asks
value by value instead.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import apsw


class _Probe:
    """Module, table and cursor in one: it has no rows."""

    def Create(self, *arguments: Any) -> Any:
        return "CREATE TABLE x(a)", self

    Connect = Create

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:
        for number in range(index.nConstraint):
            index.set_aConstraintUsage_argvIndex(number, number + 1)
            index.set_aConstraintUsage_in(number, True)
        return True

    def Open(self) -> Any:
        return self

    def Filter(self, number: int, text: str | None, arguments: Any) -> None: ...

    def Eof(self) -> bool:
        return True

    def Close(self) -> None: ...

    Disconnect = Destroy = Close


@cache
def lists_may_be_empty() -> bool:
    """Whether a plan may ask for whole lists."""
    hooks, apsw.connection_hooks[:] = list(apsw.connection_hooks), []
    try:
        connection = apsw.Connection(":memory:")
    finally:
        apsw.connection_hooks[:] = hooks
    try:
        connection.create_module("probe", cast(Any, _Probe()), use_bestindex_object=True)
        connection.execute("CREATE VIRTUAL TABLE t USING probe()")
        connection.execute("SELECT * FROM t WHERE a IN (SELECT 1 WHERE 0)").fetchall()
    except apsw.SQLError:
        return False
    finally:
        connection.close()
    return True
