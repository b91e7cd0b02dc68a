"""Ctrl-C in a command that can stop at a good place."""

from __future__ import annotations

import os
import signal

#: Seconds after Ctrl-C in which a good place must have been reached.
PATIENCE = 1.2


class Interrupt:
    """Ctrl-C: the first one asks to stop; a second one, or ``PATIENCE`` seconds, are a KeyboardInterrupt.

    ``armed``: whether there is anything to stop already; before, the first one is a KeyboardInterrupt, too.
    ``seen``: whether the first one came.
    """

    def __init__(self) -> None:
        self.seen = False
        self.armed = False

    def __enter__(self) -> Interrupt:
        self._before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM)
        signal.signal(signal.SIGINT, self._handle)
        signal.signal(signal.SIGALRM, self._wait_no_longer)
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped()
        signal.signal(signal.SIGINT, self._before[0])
        signal.signal(signal.SIGALRM, self._before[1])

    def stopped(self) -> None:
        """The good place was reached: what follows is not interrupted."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _wait_no_longer(self, *_: object) -> None:
        raise KeyboardInterrupt

    def _handle(self, *_: object) -> None:
        if self.seen or not self.armed:
            raise KeyboardInterrupt
        self.seen = True
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)
        # print could be what was interrupted
        os.write(2, b"\naudiomem: stopping; what is committed stays (Ctrl-C again stops at once)\n")
