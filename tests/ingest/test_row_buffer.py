"""Rows on their way into a table: their order, and what is taken back."""

from __future__ import annotations

from typing import Any

import pytest

from audiomem_sql.ingest import reading
from audiomem_sql.ingest.reading import RowBuffer

NAMES = ("seq", "body")


def added(buffer: RowBuffer, *numbers: int) -> RowBuffer:
    for number in numbers:
        buffer.add({"seq": number, "body": str(number), "title": "is not asked for"})
    return buffer


def numbers(buffer: RowBuffer) -> list[Any]:
    table = buffer.table()
    assert table.column_names == list(NAMES)
    assert table.column("body").to_pylist() == [str(number) for number in table.column("seq").to_pylist()]
    return list(table.column("seq").to_pylist())


def test_rows_of_another_buffer_come_behind_those_that_are_there() -> None:
    buffer, other = added(RowBuffer(NAMES), 1, 22), added(RowBuffer(NAMES), 333, 4)
    buffer.extend(other.table(), other.characters)
    added(buffer, 5)
    assert numbers(buffer) == [1, 22, 333, 4, 5]
    assert buffer.characters == 1 + 2 + 3 + 1 + 1


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_what_came_behind_a_mark_is_dropped(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH_ROWS", batch)
    for kept in range(7):
        buffer = added(RowBuffer(NAMES), *range(kept))
        mark = buffer.mark()
        added(buffer, *range(kept, 10))
        buffer.cut(mark)
        assert (buffer.mark(), buffer.characters) == (mark, kept)
        assert numbers(buffer) == list(range(kept))
        added(buffer, 7)
        assert numbers(buffer) == [*range(kept), 7]


def test_batches_are_made_of_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BATCH_ROWS", 4)
    buffer = added(RowBuffer(NAMES), *range(10))
    assert [len(batch) for batch in buffer.table().to_batches()] == [4, 4, 2]
    assert buffer.table().num_rows == 10
