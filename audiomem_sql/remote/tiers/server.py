"""What tiers on a server have in common: a server that fails costs one timeout, and is then left out."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Generic, TypeVar

from audiomem_sql.errors import MissingExtraError
from audiomem_sql.remote.tiers.block import Block, unseal
from audiomem_sql.remote.tiers.prices import FREE, Prices
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, TierInfo

Answer = TypeVar("Answer")
Item = TypeVar("Item")
Client = TypeVar("Client")
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
    """What to say without a client of a tier."""
    return MissingExtraError(
        f"a tier needs {package}, which is not installed",
        remedy=f"Run: pip install 'audiomem-sql[{extra}]'",
    )


class ServerTier(ABC, Generic[Client]):
    """Blocks on a server, forgotten after a while, and earlier where its memory is full.

    package, extra: of the client. Each process has a client of its own, which connects when it is used.
    """

    package: ClassVar[str]
    extra: ClassVar[str]

    def __init__(self, name: str, options: ServerOptions) -> None:
        self.name = name
        self.counters, self.prices = Counters(), options.prices
        self._options = options
        self._link = ServerLink(options, self.counters)
        self._clients = PerProcess[list[Client]](list)
        self._failures: tuple[type[Exception], ...] = (OSError,)

    def open(self) -> None:
        """MissingExtraError without the client. A server that does not answer is no error."""
        try:
            error = self._error()
        except ImportError:
            raise missing_extra(self.package, self.extra) from None
        # A client that is given nonsense raises ValueError and the like: never out of a query.
        self._failures = (error, OSError, ValueError, TypeError, IndexError, KeyError)

    @abstractmethod
    def _error(self) -> type[Exception]:
        """The root of the client's errors. ImportError where it is not installed."""

    @abstractmethod
    def _connect(self) -> Client:
        """A new client."""

    @abstractmethod
    def _values(self, names: list[str]) -> dict[str, bytes | None]:
        """What the server has under names."""

    @abstractmethod
    def _remove(self, names: list[str]) -> None:
        """Remove what is under names."""

    @abstractmethod
    def _send(self, blocks: Sequence[tuple[bytes, Block]]) -> int:
        """Send blocks; the bytes of those that were not refused."""

    @abstractmethod
    def _close(self, client: Client) -> None:
        """Close the connections of a client."""

    def _client(self) -> Client:
        """The client of this process."""
        clients = self._clients.get()
        if not clients:
            clients.append(self._connect())
        return clients[0]

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there and are what was written; others are removed."""
        found: dict[bytes, Block] = {}
        for some in parts(keys):
            names = {key: server_key(key) for key in some}
            values = self._link.ask(partial(self._values, list(names.values())), self._failures, None)
            if values is None:
                break
            wrong = unsealed({key: values.get(name) for key, name in names.items()}, found)
            if wrong:
                self.counters.add(errors=len(wrong))
                gone = [names[key] for key in wrong]
                self._link.ask(partial(self._remove, gone), self._failures, None)
        return found

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Send the blocks; a server that is full, or read-only, keeps what it has."""
        kept = 0
        for some in parts(list(blocks.items())):
            kept += self._link.ask(partial(self._send, some), self._failures, 0)
        return kept

    def info(self) -> TierInfo:
        """Only the server knows what it holds."""
        return TierInfo(None, None, self._link.state())

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.get():
            self._close(client)
        self._clients.get().clear()
