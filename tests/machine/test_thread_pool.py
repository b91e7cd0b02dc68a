"""Ctrl-C while a pool starts a thread: the work is submitted, the thread is known, and the process ends."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from audiomem_sql.machine.thread_pool import ThreadPool

ROOT = Path(__file__).parents[2]
#: Ctrl-C comes while ``Thread.start`` waits for its thread.
INTERRUPTED = """
import signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from audiomem_sql.machine.thread_pool import ThreadPool

def trace(frame, event, argument):
    waits = frame.f_code is threading.Event.wait.__code__
    if waits and frame.f_back.f_code is threading.Thread.start.__code__:
        sys.settrace(None)
        signal.raise_signal(signal.SIGINT)
    return trace

done = threading.Event()
pool = {pool}(2)
sys.settrace(trace)
try:
    pool.submit(done.set)
except KeyboardInterrupt:
    print("interrupted", done.wait(20), flush=True)
"""


def ends(pool: str, seconds: float) -> bool:
    """Whether a process ends so soon whose pool was interrupted."""
    command = [sys.executable, "-c", INTERRUPTED.format(pool=pool)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupted True\n"
        try:
            return process.wait(seconds) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False


def test_a_process_ends_after_ctrl_c() -> None:
    assert ends("ThreadPool", 60)


def test_why_there_is_one() -> None:
    """Python's own pool loses the thread. When it no longer does, ThreadPool is no longer needed."""
    assert not ends("ThreadPoolExecutor", 3)


def test_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ThreadPool(1) as pool:
        assert pool.submit(threading.get_ident).result() != threading.get_ident()
        assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(int)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_submit() -> None:
    results: list[int] = []

    def work() -> None:
        with ThreadPool(1) as pool:
            results.append(pool.submit(lambda: 7).result())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [7]


def test_all_pools_are_these() -> None:
    for path in (ROOT / "audiomem_sql").rglob("*.py"):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert "ThreadPoolExecutor" not in imported or path.name == "thread_pool.py", path
