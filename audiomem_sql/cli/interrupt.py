"""Ctrl-C in a command that can stop at a good place."""

from __future__ import annotations

import os
import signal


class Interrupt:
    """Ctrl-C: the first one asks to stop, the second one is a KeyboardInterrupt.

    ``armed``: whether there is anything to stop already; before, the first one is a KeyboardInterrupt, too.
    ``seen``: whether the first one came.
    """

    def __init__(self) -> None:
        self.seen = False
        self.armed = False

    def __enter__(self) -> Interrupt:
        self._before = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, *_: object) -> None:
        if self.seen or not self.armed:
            raise KeyboardInterrupt
        self.seen = True
        # print could be what was interrupted
        os.write(
            2, b"\naudiomem: stopping; what was read is kept (Ctrl-C again drops what is not committed)\n"
        )
