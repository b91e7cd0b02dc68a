"""What tiers on a server have in common: a server that fails costs one timeout, and is then left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from audiomem_sql.errors import MissingExtraError
from audiomem_sql.remote.tiers.block import Block, unseal
from audiomem_sql.remote.tiers.prices import FREE, Prices
from audiomem_sql.remote.tiers.tier import Counters, PerProcess

Answer = TypeVar("Answer")
Item = TypeVar("Item")
#: Blocks that are asked for or sent at once: 8 MiB.
AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is dealt with.

    timeout: seconds for connecting, and for each answer. pause: seconds for which a server that failed is
    left out. keep: seconds after which it forgets a block.
    """

    timeout: float = 0.2
    pause: float = 30.0
    keep: int = 7 * 86_400
    prices: Prices = FREE


class _Outage:
    """Until when a server is left out, and why."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.until = 0.0
        self.reason = ""


class ServerLink:
    """The way to one server: who fails leaves it out for a while, then one thread tries it again."""

    def __init__(self, options: ServerOptions, counters: Counters) -> None:
        self._options, self._counters = options, counters
        self._outage = PerProcess(_Outage)

    def ask(
        self, request: Callable[[], Answer], failures: tuple[type[Exception], ...], instead: Answer
    ) -> Answer:
        """What ``request`` gives; ``instead`` where the server is left out, or for one of ``failures``."""
        outage = self._outage.get()
        with outage.lock:
            now = time.monotonic()
            if now < outage.until:
                return instead
            if outage.reason:
                # Only this thread tries; the others go on without the server.
                outage.until = now + self._options.pause
        self._counters.add(requests=1)
        try:
            answer = request()
        except failures as error:
            self._counters.add(errors=1)
            with outage.lock:
                outage.until = time.monotonic() + self._options.pause
                outage.reason = str(error) or type(error).__name__
            return instead
        with outage.lock:
            outage.until, outage.reason = 0.0, ""
        return answer

    def state(self) -> str:
        """``ok``, or why the server is left out."""
        reason = self._outage.get().reason
        return f"left out: {reason}" if reason else "ok"


def parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items, AT_ONCE at a time."""
    for start in range(0, len(items), AT_ONCE):
        yield items[start : start + AT_ONCE]


def server_key(key: bytes) -> str:
    """How a key is called on a server, which others may use for other things."""
    return f"audiomem:{key.hex()}"


def unsealed(given: dict[bytes, bytes | None], found: dict[bytes, Block]) -> list[bytes]:
    """Put the blocks that a server gave into ``found``; the keys under which something else was."""
    wrong = []
    for key, sealed in given.items():
        block = unseal(key, sealed) if isinstance(sealed, bytes) else None
        if block is not None:
            found[key] = block
        elif sealed is not None:
            wrong.append(key)
    return wrong


def missing_extra(package: str, extra: str) -> MissingExtraError:
    """What to say without a client of the server."""
    return MissingExtraError(
        f"a tier needs {package}, which is not installed",
        remedy=f"Run: pip install 'audiomem-sql[{extra}]'",
    )
