"""Writers to be killed, forked from one process that has imported everything: starting one takes no time.

A fork that is killed leaves files as any other process does. The server has no threads, opens no table, and
only waits.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

SERVE = "--serve"


def serve(write: Callable[..., None]) -> None:
    """For each line of standard input, fork a process that calls ``write``, and say how it ended.

    A line holds the arguments as JSON.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                print("started", os.getpid(), flush=True)
                write(*json.loads(line))
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        _, status = os.waitpid(child, 0)
        print(f"\nended {os.waitstatus_to_exitcode(status)}", flush=True)


class Writers:
    """The writers of the module at ``path``, one at a time; a context manager."""

    def __init__(self, path: str) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-W", "error", path, SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._writer = 0

    def __enter__(self) -> Writers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._server:
            if self._writer:
                os.kill(self._writer, signal.SIGKILL)
            assert self._server.stdin is not None
            self._server.stdin.close()

    def start(self, *arguments: Any) -> str:
        """Start one; the first line that it prints."""
        server = self._server
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(json.dumps(arguments) + "\n")
        server.stdin.flush()
        self._writer = int(server.stdout.readline().removeprefix("started "))
        return server.stdout.readline()

    def kill(self) -> list[str]:
        """Kill it; the lines that it printed meanwhile, without a last one that was cut."""
        assert self._server.stdout is not None
        os.kill(self._writer, signal.SIGKILL)
        self._writer = 0
        lines: list[str] = []
        while not lines or not lines[-1].startswith("ended "):
            lines.append(self._server.stdout.readline())
            assert lines[-1], "the server ended"
        assert lines.pop() == "ended -9\n", "the writer ended by itself"
        lines.pop()  # what was cut, or nothing
        return [line.rstrip("\n") for line in lines]
