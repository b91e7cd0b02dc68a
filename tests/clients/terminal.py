"""Programs in a terminal of a fixed size: keys go in, and what a person would see comes out."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pexpect
import pyte

from .conftest import ENVIRONMENT, ROOT

ROWS, COLUMNS = 40, 120
#: Seconds. The machine may be busy, and nothing waits longer than it must.
PATIENCE = 120
CTRL_C = "\x03"


class Terminal:
    """A command of bash in a terminal, and its screen."""

    def __init__(self, command: str, folder: Path) -> None:
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        # pexpect itself sets the size only after the program has begun, which may look before that.
        self._process = pexpect.spawn(
            "/bin/bash",
            [
                "-c",
                f"stty rows {ROWS} columns {COLUMNS}; exec {command}",
            ],
            cwd=str(folder),
            encoding="utf8",
            dimensions=(ROWS, COLUMNS),
            env=ENVIRONMENT | {"TERM": "xterm-256color", "HOME": str(home), "PYTHONPATH": str(ROOT)},
        )
        self._process.delaybeforesend = None

    @property
    def text(self) -> str:
        """What is on the screen, line by line."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def process_id(self) -> int:
        """That of the command."""
        return int(self._process.pid)

    def send(self, keys: str) -> None:
        """Press keys; an Enter is ``\\r``."""
        self._process.send(keys)

    def interrupt(self) -> None:
        """Press Ctrl-C, which the terminal makes a signal unless the program wants the key."""
        self.send(CTRL_C)

    def see(self, *patterns: str) -> str:
        """Wait until the screen has all of these regular expressions; what it shows then."""
        end = time.monotonic() + PATIENCE
        while not all(re.search(pattern, self.text, re.MULTILINE) for pattern in patterns):
            assert time.monotonic() < end, f"{patterns} are not on the screen:\n{self.text}"
            assert self._read(), f"it ended, and {patterns} are not on the screen:\n{self.text}"
        return self.text

    def sees(self, pattern: str, seconds: float = 5) -> bool:
        """Whether the screen has it soon: for keys that may have been lost."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text, re.MULTILINE):
            if time.monotonic() > end or not self._read():
                return False
        return True

    def gone(self, pattern: str) -> None:
        """Wait until the screen no longer has it."""
        end = time.monotonic() + PATIENCE
        while re.search(pattern, self.text, re.MULTILINE):
            assert time.monotonic() < end, f"{pattern} is still on the screen:\n{self.text}"
            assert self._read()

    def end(self) -> int:
        """Wait until the program has ended; its exit code, or minus the number of a signal."""
        end = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < end, f"it does not end:\n{self.text}"
        self._process.close()
        status = self._process.exitstatus
        return -int(self._process.signalstatus or 0) if status is None else int(status)

    def close(self) -> None:
        """End the program however it is."""
        if self._process.isalive():
            self._process.kill(signal.SIGKILL)
            self._process.wait()
        self._process.close()

    def _read(self) -> bool:
        """Take what has come; False at the end."""
        try:
            data = self._process.read_nonblocking(1 << 16, 0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self._stream.feed(data)
        if "\x1b[6n" in data:  # where is the cursor?
            self.send(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
        return True
