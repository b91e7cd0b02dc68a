"""apsw's cursor of a virtual table: rows are decoded a part at a time, and handed over value by value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import apsw

from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.search import FoundRow
from audiomem_sql.vtab.interface import Part
from audiomem_sql.vtab.rows import Rows

if TYPE_CHECKING:
    from audiomem_sql.vtab.virtual_table import VirtualTable


class Cursor:
    """Rows of one plan. Values wait as one list a column; SQLite asks for them one by one."""

    __slots__ = ("_count", "_eof", "_lists", "_owner", "_row", "_rowids", "_rows")

    def __init__(self, owner: VirtualTable) -> None:
        self._owner = owner
        self._rows = Rows(owner)
        self._lists: list[Sequence[Any] | None] = []
        self._rowids: Sequence[int] = ()
        self._row = 0
        self._count = 0
        self._eof = True

    def Filter(self, number: int, text: str, arguments: Sequence[Any]) -> None:
        """Begin with the rows of a plan; ``arguments`` are the values that its terms refer to."""
        self._take(self._rows.begin(text, arguments))

    def Eof(self) -> bool:
        """Whether there is no row."""
        return self._eof

    def Next(self) -> None:
        """The next row."""
        self._row += 1
        if self._row >= self._count:
            self._take(self._rows.next())

    def Column(self, number: int) -> Any:
        """A value of this row; -1 is the rowid."""
        try:
            return self._lists[number][self._row]  # type: ignore[index]
        except TypeError:
            value = self._rows.other(number, self._rowids[self._row])
            return apsw.pyobject(value) if isinstance(value, FoundRow) else value

    def ColumnNoChange(self, number: int) -> Any:
        """The same where an UPDATE leaves the column as it is: NaN and -0.0 stay, which SQLite alters."""
        value = self.Column(number)
        if isinstance(value, float) and (value != value or (value == 0 and math.copysign(1, value) < 0)):
            return apsw.no_change
        return value

    def Rowid(self) -> int:
        """The rowid of this row."""
        return self._rowids[self._row]

    def Close(self) -> None:
        """Done."""
        self._rows.close()

    def _take(self, part: Part | None) -> None:
        """Go to the first row of a part; None: there are no more."""
        self._row = 0
        if part is None:
            self._eof, self._count = True, 0
            return
        schema = self._owner.schema
        self._rowids = rowids = part.rowids if type(part.rowids) is list else part.rowids.tolist()
        self._count = len(rowids)
        self._eof = False
        roles = self._owner.hidden.roles
        lists: list[Sequence[Any] | None] = [None] * (len(schema) + len(roles) + 1)
        self._lists = lists
        lists[-1] = rowids  # Column(-1)
        if schema.rowid_column is not None:
            lists[schema.rowid_column] = rowids
        columns = self._rows.readable.schema.columns
        for column, values in zip(self._rows.plan.columns, part.columns, strict=True):
            lists[column] = values if type(values) is list else sql_values(values, columns[column].type)
        if part.ranks is not None:
            for place, role in enumerate(roles, len(schema)):
                if role is Hidden.RANK:
                    lists[place] = part.ranks
                elif role is Hidden.DISTANCE:
                    lists[place] = part.distances
