"""The order in which a stream fills the cells of its pages."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.storage.pages.cell_order import CellOrder


@st.composite
def orders(draw: st.DrawFn) -> CellOrder:
    cells = draw(st.integers(1, 60))
    later = draw(st.sets(st.integers(1, cells - 1), max_size=4)) if cells > 1 else set()
    return CellOrder(cells, (0, *sorted(later)))


@given(orders(), st.integers(1, 20))
def test_every_cell_has_one_place(order: CellOrder, pages: int) -> None:
    numbers = np.arange(pages * order.cells)
    places = order.places(numbers, pages)
    assert sorted(places.tolist()) == numbers.tolist()
    assert order.numbers(places, pages).tolist() == numbers.tolist()
    tiers = np.searchsorted(order.tiers, places % order.cells, side="right")
    assert (np.diff(tiers) >= 0).all()  # what comes first is in a lower band
    assert order.is_linear == (len(order.tiers) == 1)


@given(orders(), st.integers(1, 8), st.integers(1, 9), st.data())
def test_pages_are_laid_out_in_that_order(
    order: CellOrder, pages: int, size: int, data: st.DataObject
) -> None:
    length = data.draw(st.integers(0, pages * order.cells * size))
    stream = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    first = data.draw(st.integers(0, pages - 1))
    count = data.draw(st.integers(1, pages - first))
    found = order.arranged(first, count, pages, size, lambda at, length: stream[at : at + length])
    whole = np.frombuffer(stream.ljust(pages * order.cells * size, b"\0"), np.uint8).reshape(-1, size)
    expected = np.empty_like(whole)
    expected[order.places(np.arange(len(whole)), pages)] = whole
    assert (found == expected[first * order.cells : (first + count) * order.cells]).all()
