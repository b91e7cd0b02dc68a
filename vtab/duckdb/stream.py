"""The rows of one statement, as the C half of the extension takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pyarrow as pa


class Stream:
    """The rows of one statement, for several threads.

    order: for each column that C wants, which one of the batches it is; None: it wants no values.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch], order: list[int | None]) -> None:
        self._batches = batches
        self._order = order
        self._lock = threading.Lock()
        self._number = 0

    def next(self) -> tuple[int, tuple[Any, ...], int] | None:
        """The next part that has rows: their count, the columns, and its number; None at the end."""
        with self._lock:
            batch = next((each for each in self._batches if each.num_rows), None)
            self._number += 1
            number = self._number
        if batch is None:
            return None
        arrays = [column.__arrow_c_array__() for column in batch.columns]
        return batch.num_rows, tuple(None if at is None else arrays[at] for at in self._order), number

    def close(self) -> None:
        """Nothing more is decoded."""
        self._batches = iter(())
