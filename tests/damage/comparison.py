"""What came back, value by value: as it was written, as something else, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Flags = npt.NDArray[np.bool_]


class Comparison:
    """Of what is read with ``expected``. A value that was wrong once stays wrong.

    Text that is no UTF-8 does not become a Python string, whichever store it comes from. It counts as not
    come back.
    """

    def __init__(self, expected: pa.Table) -> None:
        self.columns = [column.combine_chunks() for column in expected.columns]
        shape = (expected.num_rows, len(self.columns))
        self.right: Flags = np.zeros(shape, bool)
        self.wrong: Flags = np.zeros(shape, bool)

    def add(self, column: int, start: int, array: pa.Array) -> None:
        """Rows ``start …`` of ``column`` came back as ``array``.

        More or fewer than there are count as wrong.
        """
        expected = self.columns[column].slice(start, len(array))
        if array.type == expected.type and array.equals(expected):
            self.right[start : start + len(array), column] = True
            return
        if len(expected) < len(array):
            self.wrong[start:, column] = True
        for row in range(len(expected)):
            try:
                value = array[row].as_py()
            except UnicodeDecodeError:
                continue
            self.value(column, start + row, value, expected[row].as_py())

    def value(self, column: int, row: int, value: Any, expected: Any) -> None:
        """One value came back."""
        same = type(value) is type(expected) and value == expected
        (self.right if same else self.wrong)[row, column] = True

    def row_missing(self, row: int) -> None:
        """Somebody said, without an error, that there is no such row."""
        self.wrong[row] = True

    @property
    def values(self) -> int:
        """Values that came back, right or wrong."""
        return int((self.right | self.wrong).sum())

    @property
    def intact(self) -> Flags:
        """Which rows came back whole, bool (rows,)."""
        flags: Flags = (self.right & ~self.wrong).all(axis=1)
        return flags

    @property
    def wrong_rows(self) -> int:
        """Rows with a value that is not the one written, and no error that says so."""
        return int(self.wrong.any(axis=1).sum())


@dataclass
class Reading:
    """What reading one damaged file gave.

    intact: bool (rows,). values: compared; wrong: of these, not as they were written, without an error.
    error: the first that was raised; foreign: one that is not of the store's own kind, or the death of the
    process. inner, outer: cells corrected.
    """

    intact: Flags
    values: int = 0
    wrong: int = 0
    wrong_rows: int = 0
    error: str | None = None
    foreign: str | None = None
    open_s: float = 0.0
    read_s: float = 0.0
    corrected: dict[str, int] = field(default_factory=dict)

    def take(self, comparison: Comparison) -> None:
        """Fill in what the comparison found."""
        self.intact = comparison.intact
        self.values = comparison.values
        self.wrong = int(comparison.wrong.sum())
        self.wrong_rows = comparison.wrong_rows
