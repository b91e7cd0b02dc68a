"""A child that is forked after a model was loaded: refused, or answered, and never left waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

#: In a process of its own, which may be forked as it likes. argv: a folder.
PROGRAM = """
import os, signal, sys
import audiomem_sql as am
from audiomem_sql.errors import UnsupportedError
from audiomem_sql.search.models.forked import check_process

os.chdir(sys.argv[1])
rows = [{"id": i, "body": f"text {i}"} for i in range(5_000)]
table = am.write_flac(rows, "t.flac", primary_key="id", semantic="body", model="hashing")
table.search("text 7", k=1)

def child(answer):
    number = os.fork()
    if number == 0:
        signal.alarm(60)
        os._exit(answer())
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

def searches():
    found = [table.search(f"text {number}", k=1)["id"].to_pylist() for number in (12, 7)]
    table.refresh()
    before = len(table)
    table.append([{"body": "of a child"}])
    return 3 if found == [[12], [7]] and len(table) == before + 1 else 4

def loads():
    try:
        check_process("m")
        return 5
    except UnsupportedError as error:
        return 6 if "the model m cannot run in a process that was forked" in str(error) else 7

print(child(searches), child(loads))
check_process("m")  # as loading a model does
print(child(searches), child(loads), child(lambda: child(loads)))
check_process("m")
"""


def test_what_a_child_may_do(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("3 5\n3 6 6\n", "")


def test_a_lock_that_another_thread_had_is_free() -> None:
    from audiomem_sql.search.models.forked import ForkedLock

    lock, held, done = ForkedLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        with lock:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    done.set()
    holder.join()
    with lock:
        assert pytest
