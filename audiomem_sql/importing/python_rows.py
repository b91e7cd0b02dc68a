"""A source whose rows come as dicts of Python values: JSON, workbooks, SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from audiomem_sql.importing.bad_lines import BadLines
from audiomem_sql.importing.inputs import Inputs
from audiomem_sql.importing.python_columns import PythonColumns

#: Rows that are looked at first, and rows of a batch.
SAMPLE_ROWS = 5000
BATCH_ROWS = 4096

Row = Mapping[str, Any]


class PythonRows:
    """Rows as often as they are asked for; see ``RowSource``.

    rows: begins anew, and calls what it is given with the bytes that are read. columns: those that are known
    before the first row.
    """

    sorts = False

    def __init__(
        self,
        inputs: Inputs,
        bad: BadLines,
        rows: Callable[[Callable[[int], object]], Iterator[Row]],
        columns: PythonColumns,
        key: str | None = None,
    ) -> None:
        self.key = key
        self._inputs, self._bad, self._rows = inputs, bad, rows
        self._columns = columns
        self._done = 0

    def schema(self, whole: bool) -> pa.Schema:
        """The columns; see ``RowSource``."""
        rows = self._rows(lambda done: None)
        for part in _parts(rows if whole else islice(rows, SAMPLE_ROWS)):
            self._columns.look(part)
        return self._columns.decide()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; see ``RowSource``."""
        self._bad.begin()
        before = 0
        for part in _parts(self._rows(self._at)):
            yield self._columns.batch(part, before)
            before += len(part)

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return self._done, self._inputs.size

    def _at(self, done: int) -> None:
        self._done = done


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(rows, BATCH_ROWS)):
        yield part
