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
from audiomem_sql.machine.interrupts import (
    apart,
    check_interrupt,
    result_of,
    wait_for,
    wait_until,
    watch,
    watched,
)
from audiomem_sql.protection.parity import ParityPlan
from audiomem_sql.protection.parity_encoder import encode_bands
from audiomem_sql.writing.writer_turn import WriterTurn


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


def test_what_another_thread_makes() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert result_of(pool.submit(len, "ab")) == 2
        with watched(lambda: False):
            assert result_of(pool.submit(len, "abc")) == 3
        going_on = threading.Event()
        with watched(lambda: True), pytest.raises(InterruptError):
            result_of(pool.submit(going_on.wait))
        going_on.set()


def test_a_step_apart_is_left_alone() -> None:
    assert apart(threading.get_ident) == threading.get_ident(), "nobody is asked: on this thread"
    with watched(lambda: False):
        assert apart(threading.get_ident) != threading.get_ident()
        assert apart(max, 1, 3) == 3
        with pytest.raises(ValueError, match="invalid literal"):
            apart(int, "a")
    going_on, over = threading.Event(), threading.Event()

    def step() -> None:
        going_on.wait()
        over.set()

    with watched(lambda: True), pytest.raises(InterruptError):
        apart(step)
    assert not over.is_set()
    going_on.set()
    assert over.wait(60), "it ends by itself"


def test_waiting_for_an_event() -> None:
    came, never = threading.Event(), threading.Event()
    came.set()
    for interrupted in (None, lambda: False):
        with watched(interrupted):
            assert wait_until(came, 0)
            assert wait_until(came, 60)
            assert not wait_until(never, 0)
            assert not wait_until(never, 0.02)
    with watched(lambda: True), pytest.raises(InterruptError):
        wait_until(never, 3600)


def test_waiting_for_the_turn_of_a_writer() -> None:
    turn: WriterTurn[object] = WriterTurn("t.flac")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(turn.enter, 1).result()
        with watched(lambda: True), pytest.raises(InterruptError):
            turn.enter(3600)
        assert turn.waiting == 0, "it has left the queue"
        pool.submit(turn.leave).result()
    assert turn.enter(0)


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


def test_whom_a_thread_asks_stays_if_it_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """apsw calls tables while an exception of a collation is on its way: the first call to C raises it."""

    def fails() -> float:
        raise SystemError("returned a result with an exception set")

    with watched(lambda: False):
        before = watch(None)
        assert watch(before) is None
        with monkeypatch.context() as patch:
            patch.setattr(interrupts.time, "monotonic", fails)
            with pytest.raises(SystemError):
                watch(lambda: True)
        check_interrupt()
        assert watch(before) is before
