"""A table looked at: columns and types, first and last rows, some by chance, one after another."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from audiomem_sql.table.contract import ReadableTable
from audiomem_sql.table.rows import Rows

#: Rows of ``head`` and ``tail`` where it is not said how many.
FEW = 5
#: Rows that are Python values at once while a table is iterated over.
_ROWS_AT_ONCE = 1 << 10


class Browsing(ReadableTable):
    """The first look at a table. Rows come in the order of ``to_arrow``."""

    @property
    @abstractmethod
    def _rows(self) -> Rows:
        """The rows that a query reads now."""

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema.names)

    @property
    def dtypes(self) -> dict[str, str]:
        """The SQL type of each column by its name, in the words of whoever declared it: ``VARCHAR(20)``."""
        return {column.name: column.sql_type for column in self.schema.columns}

    def head(self, n: int = FEW, columns: Sequence[str] | None = None) -> pa.Table:
        """The first ``n`` rows; all of them where there are fewer. QueryError if ``n`` is no such number."""
        return self._rows.head(n, columns)

    def tail(self, n: int = FEW, columns: Sequence[str] | None = None) -> pa.Table:
        """The last ``n`` rows, in order; all of them where there are fewer."""
        return self._rows.tail(n, columns)

    def sample(
        self,
        n: int | None = None,
        *,
        fraction: float | None = None,
        seed: int | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[Any] = (),
    ) -> pa.Table:
        """Rows by chance, each at most once, in the order of the table.

        n: how many, all of them where there are fewer. fraction: instead of n, which part of the rows, 0 to
        1. where: a filter; the rows are chosen of those that pass. seed: any integer; with the same one the
        same rows are chosen, also after a merge or a vacuum, as they are those whose rowids hash lowest.
        QueryError for what is no number of rows, no part, or no seed.
        """
        return self._rows.sample(n, fraction, seed, columns, where, parameters)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows as dicts of Python values.

        A date or time that Python cannot hold, with nanoseconds, outside of the years 1 to 9999, or infinite,
        is the text that SQL shows of it, which all verbs take for the value. Rows are read as they are asked
        for, a batch in memory at a time. They are those of the moment at which the iteration began, whatever
        is committed meanwhile.
        """
        return _dicts(self._rows.scan())

    def __repr__(self) -> str:
        """A line about the table, and its first rows where they can be read."""
        from audiomem_sql.table.display import text_of

        return text_of(self)

    def _repr_html_(self) -> str:
        """What notebooks show, see :mod:`audiomem_sql.table.display`."""
        from audiomem_sql.table.display import html_of

        return html_of(self)


def _dicts(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    from audiomem_sql.columns.exact_python import python_values

    for batch in batches:
        names = batch.schema.names
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            part = batch.slice(start, _ROWS_AT_ONCE)
            if not part.columns:
                yield from part.to_pylist()
                continue
            for values in zip(*map(python_values, part.columns), strict=True):
                yield dict(zip(names, values, strict=True))
