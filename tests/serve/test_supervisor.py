"""``audiomem serve --workers``: several processes, of which one may die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.serve.settings import Settings
from audiomem_sql.serve.supervisor import Supervisor


@pytest.fixture
def server(table_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "audiomem_sql", "serve", str(table_path), "--port", "0"]
    process = subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def processes(supervisor: int) -> list[int]:
    """Those that answer."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return [int(each) for each in children if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()]


def test_a_process_that_dies_is_started_again(server: subprocess.Popen[str]) -> None:
    address = server.stderr.readline().split()[2].rstrip(";")
    before = processes(server.pid)
    assert len(before) == 2
    os.kill(before[0], signal.SIGKILL)
    for number in range(1, 20):
        assert httpx.get(f"{address}/tables/kb/rows/{number}?columns=id").json() == {"id": number}
    end = time.monotonic() + 60
    while before[0] in processes(server.pid) or len(processes(server.pid)) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert before[1] in processes(server.pid)
    server.send_signal(signal.SIGTERM)
    _, said = server.communicate(timeout=60)
    assert server.returncode == 0
    assert f"process {before[0]} ended with -9" in said
    with pytest.raises(ProcessLookupError):
        os.kill(before[1], 0)


def test_processes_end_with_their_supervisor(table_path: Path) -> None:
    program = (
        "from audiomem_sql.serve.supervisor import Supervisor\n"
        "from audiomem_sql.serve.settings import Settings\n"
        f"Supervisor([{str(table_path)!r}], Settings(port=0), 1).run(lambda where: print(where, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout.readline().startswith("http://127.0.0.1:")
        (process,) = processes(supervisor.pid)
        supervisor.kill()
    end = time.monotonic() + 60
    while state(process) != "Z":
        assert time.monotonic() < end
        time.sleep(0.05)


def state(process: int) -> str:
    """The state of a process, Z of one that ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_what_cannot_be_opened_ends_all(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no such file"):
        Supervisor([str(tmp_path / "no.flac")], Settings(port=0), 1).run(lambda _: None)
