"""Work that nobody wants any more ends, on the thread that asks, and only while somebody is to be asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from audiomem_sql.arrays import U8Array
from audiomem_sql.errors import InterruptError
from audiomem_sql.machine import interrupts
from audiomem_sql.machine.interrupts import check_interrupt, wait_for, watch, watched
from audiomem_sql.protection.parity import ParityPlan
from audiomem_sql.protection.parity_encoder import encode_bands


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interrupts, "INTERVAL", 0)
    yield
    assert watch(None) is None  # each test has put back what was there


def test_who_is_asked() -> None:
    check_interrupt()
    with watched(lambda: True):
        with watched(lambda: False):
            check_interrupt()
        with pytest.raises(InterruptError, match="interrupted"):
            check_interrupt()
        with watched(None):
            check_interrupt()
    check_interrupt()


def test_other_threads_are_not_asked_for() -> None:
    with watched(lambda: True), ThreadPoolExecutor(1) as pool:
        pool.submit(check_interrupt).result()


def test_asked_once_in_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "INTERVAL", 3600)
    with watched(lambda: True):
        for _ in range(1000):
            check_interrupt()


def test_waiting_for_other_threads() -> None:
    with ThreadPoolExecutor(2) as pool:
        wait_for([pool.submit(len, "a"), pool.submit(len, "b")])
        with pytest.raises(ValueError, match="invalid literal"):
            wait_for([pool.submit(int, "a")])
        going_on = threading.Event()
        with watched(lambda: True), pytest.raises(InterruptError):
            wait_for([pool.submit(going_on.wait)])
        going_on.set()


@pytest.mark.parametrize("threads", [1, 2])
def test_parity_in_bands_is_left_undone(threads: int) -> None:
    plan, size = ParityPlan(60_000, 6_000), 16
    written: list[int] = []

    def read(first: int, count: int) -> U8Array:
        return np.zeros((count, size), np.uint8)

    def write(first: int, cells: U8Array) -> None:
        written.extend(range(first, first + len(cells)))

    encode_bands(plan, size, read, write, plan.rows * size, threads)
    assert sorted(written) == list(range(plan.parities))
    written.clear()
    with watched(lambda: True), pytest.raises(InterruptError):
        encode_bands(plan, size, read, write, plan.rows * size, threads)
    assert len(written) < plan.parities
