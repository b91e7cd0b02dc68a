"""The table-valued functions as the loadable extension has them, and what crosses between Python and C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NoReturn

from audiomem_sql.columns.column import quote
from audiomem_sql.errors import QueryError
from audiomem_sql.vtab import codes
from audiomem_sql.vtab.index_query import EQ
from audiomem_sql.vtab.not_utf8 import refused_text
from audiomem_sql.vtab.table_functions import TableFunction

#: (argument, omit, list) of each condition, text, number, cost, rows, ordered, unique.
Planned = tuple[tuple[tuple[int, bool, bool], ...], str, int, float, int, bool, bool]
Crossing = tuple[int, tuple[Any, ...]]
#: Result code, message, and the exception for a host that takes exceptions as they are, or None.
Explained = tuple[int, str, BaseException | None]
#: For such a host: its own exception, of one of ours and the table that it concerns.
Raised = Callable[[BaseException, str | None], BaseException]
_ROWS_AT_ONCE = 256


def explained(error: BaseException, raised: Raised | None, table: str | None = None) -> Explained:
    """What SQLite and the host are told of an exception."""
    code, message = codes.explained(error, table)
    if raised is None:
        return code, message, None
    # SQLite runs a statement again by itself when the columns have changed; an exception says that it was not
    # run
    return codes.ERROR if code == codes.SCHEMA else code, message, raised(error, table)


class FunctionTable:
    """A table-valued function as an eponymous virtual table; its arguments are hidden columns."""

    def __init__(self, function: TableFunction, raised: Raised | None) -> None:
        self.function = function
        self._raised = raised
        hidden = [f"{quote(name)} HIDDEN" for name in function.parameters]
        self.declaration = f"CREATE TABLE x({', '.join([*map(quote, function.columns), *hidden])})"

    def planned(
        self, conditions: Sequence[tuple[int, int, bool, str, Any, bool]], order: Any, used: int
    ) -> Planned | None:
        """The arguments are equalities on hidden columns; the text of the plan names those that are given."""
        names: list[str] = []
        uses = []
        for column, op, usable, *_ in conditions:
            parameter = column - len(self.function.columns)
            name = self.function.parameters[parameter] if parameter >= 0 and op == EQ else None
            if name is None or name in names:
                uses.append((0, False, False))
                continue
            if not usable:
                return None
            names.append(name)
            uses.append((len(names), True, False))
        return tuple(uses), ",".join(names), len(names), 1000.0 / (1 + len(names)), 100, False, False

    def open(self) -> FunctionCursor:
        """A cursor."""
        return FunctionCursor(self.function)

    def disconnect(self) -> None:
        """The connection is done with the function."""

    def explained(self, error: BaseException) -> Explained:
        """What SQLite and the host are told of an exception."""
        return explained(error, self._raised)


class FunctionCursor:
    """The rows of one call."""

    def __init__(self, function: TableFunction) -> None:
        self._function = function
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._arguments: tuple[Any, ...] = ()
        self._first = 0

    def not_utf8(self, text: str, arguments: Sequence[Any]) -> NoReturn:
        """Refuse an argument that is not UTF-8."""
        raise refused_text(f"{self._function.name} was given text that is not UTF-8", arguments)

    def filter(self, text: str, arguments: Sequence[Any]) -> Crossing | None:
        """Call the function with the arguments that ``text`` names."""
        named = dict(zip(text.split(",") if text else (), arguments, strict=True))
        self._rows = self._function.call(**named)
        self._arguments = tuple((named.get(name),) for name in self._function.parameters)
        self._first = 0
        return self.next()

    def next(self) -> Crossing | None:
        """The next rows; None at the end."""
        rows = list(islice(self._rows, _ROWS_AT_ONCE))
        if not rows:
            return None
        rowids = list(range(self._first, self._first + len(rows)))
        self._first += len(rows)
        columns = map(list, zip(*rows, strict=True))
        return len(rows), (*columns, *self._arguments, rowids)

    def other(self, column: int, row: int) -> Any:
        """Every column is held."""
        raise QueryError(f"{self._function.name} has no column {column}")

    def close(self) -> None:
        """Done."""
        self._rows = iter(())
