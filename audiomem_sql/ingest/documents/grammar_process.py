"""Definitions in source code found in another process, which ends where a grammar takes too long.

Some grammars take hours for one step on what is hardly code, such as ``a<b,a<b,…`` in TypeScript, and do not
ask meanwhile whether to stop. So the operating system ends the process, after seconds of its processor time.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.spawn import get_executable

from audiomem_sql.ingest.documents.definitions import Definition

_CODE = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    f"from {__name__} import serve; from {__package__}.source_code import definitions_in; "
    "serve(definitions_in)"
)
#: Seconds of its processor time beside those that the parser has.
_MORE_SECONDS = 0.5


class GrammarProcess:
    """The process, which starts with the first text, is kept, and ends when this one does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def definitions(self, text: str, name: str, seconds: float) -> list[Definition] | None:
        """What `source_code.definitions_in` finds; None if the process was ended meanwhile.

        OSError where there can be no such process.
        """
        request = json.dumps((text, name, seconds)).encode() + b"\n"
        with self._lock:
            try:
                answer = self._ask(request)
            except BaseException:  # it may answer later, and nobody would know what
                self._end()
                raise
            if not answer.endswith(b"\n"):
                self._end()
                return None
        found = json.loads(answer)
        return [Definition(said, start, stop, tuple(parents)) for said, start, stop, parents in found]

    def _ask(self, request: bytes) -> bytes:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _started()
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:  # never: both are pipes
            return b""
        try:
            asked.write(request)
            asked.flush()
        except BrokenPipeError:
            return b""
        return answers.readline()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            self.close_pipes(process)
            process.wait()

    def close_pipes(self, process: subprocess.Popen[bytes] | None = None) -> None:
        """Close this end of the pipes, by which the process ends when it has nothing to do."""
        process = process or self._process
        for pipe in () if process is None else (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()


def _started() -> subprocess.Popen[bytes]:
    """The process; it is in a session of its own, so that Ctrl-C is not for it."""
    executable = os.fsdecode(get_executable() or "")
    if not executable or getattr(sys, "frozen", False) or not hasattr(signal, "setitimer"):
        raise OSError("there is no Python that could be started, or no clock to end it")
    return subprocess.Popen(
        [executable, "-c", _CODE, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def serve(definitions_in: Callable[[str, str, float], list[Definition]]) -> None:
    """Answer the texts of the process that started this one, a line each, until it is gone."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # it ends the process, whatever it does
    with suppress(BrokenPipeError):
        for line in sys.stdin.buffer:
            text, name, seconds = json.loads(line)
            signal.setitimer(signal.ITIMER_PROF, max(0.0, seconds) + _MORE_SECONDS)
            found = definitions_in(text, name, seconds)
            signal.setitimer(signal.ITIMER_PROF, 0)
            sys.stdout.buffer.write(json.dumps(found).encode() + b"\n")
            sys.stdout.buffer.flush()


class _Kept:
    """The one process of this one; a fork has another."""

    def __init__(self) -> None:
        self.process = GrammarProcess()
        self._others: list[GrammarProcess] = []
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Leave the process to the parent, and keep no end of its pipes."""
        self.process.close_pipes()
        self._others.append(self.process)
        self.process = GrammarProcess()

    def close(self) -> None:
        """End the process."""
        self.process.close()


_KEPT = _Kept()


def definitions(text: str, name: str, seconds: float) -> list[Definition] | None:
    """As `GrammarProcess.definitions`, by the process that is kept."""
    return _KEPT.process.definitions(text, name, seconds)
