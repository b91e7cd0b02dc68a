"""What a server is told: its limits, who may come from where, and what it may change."""

from __future__ import annotations

import os
from dataclasses import dataclass

from audiomem_sql.errors import OptionError

#: Hosts that only the machine itself can reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, and of all of them.

    statement_seconds: work on a statement, a search or a page. response_seconds: from the first byte of an
    answer to the last. rows, response_bytes: of one answer. rows_default: of a page that does not say.
    body_bytes: of a request. value_bytes: of a value that SQL computes. memory_bytes: that SQLite takes, for
    all statements together. threads: requests that are worked on at the same time. waiting: requests that
    wait for a thread; more are refused. waiting_seconds: for which one waits. connections: open ones.
    header_seconds: until a request's headers are there. read_seconds: for the next part of its body.
    write_seconds: until the client has taken a part of the answer. rate, burst: requests a second of a
    token or an address, and how many may come at once; 0 for no limit.
    """

    statement_seconds: float = 30.0
    response_seconds: float = 300.0
    rows: int = 1_000_000
    rows_default: int = 100
    response_bytes: int = 1 << 30
    body_bytes: int = 16 << 20
    value_bytes: int = 16 << 20
    memory_bytes: int = 512 << 20
    threads: int = min(32, 4 * (os.cpu_count() or 1))
    waiting: int = 500
    waiting_seconds: float = 10.0
    connections: int = 1000
    header_seconds: float = 10.0
    read_seconds: float = 15.0
    write_seconds: float = 30.0
    rate: float = 0.0
    burst: int = 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value < 0 or (value == 0 and name not in ("rate", "waiting")):
                raise OptionError(f"{name} = {value} is no limit", remedy="Write a number above 0.")


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server runs.

    writable: tokens may write that say so. tokens: the file of the tokens; without one everybody may read.
    origins: pages of these origins may ask (CORS). hosts: names by which it is asked, any if empty. proxies:
    addresses of proxies whose ``X-Forwarded-For`` is believed. queue: the address of a queue of jobs; this
    process by default. jobs: the folder that remembers them, by default beside the first table that is no
    URL. changes: the address of a Redis that carries changes between servers.
    """

    limits: Limits = Limits()
    host: str = "127.0.0.1"
    port: int = 8000
    writable: bool = False
    tokens: str | None = None
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    queue: str | None = None
    jobs: str | None = None
    changes: str | None = None
    certificate: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if self.writable and self.tokens is None:
            raise OptionError(
                "a server that may be written to needs tokens",
                remedy="audiomem token add tokens.json NAME --write TABLE; then --tokens tokens.json",
            )
        if self.queue is not None and not self.writable:
            raise OptionError("a queue is for a server that may be written to", remedy="Add --writable.")
        if (self.certificate is None) != (self.key is None):
            raise OptionError("--certificate and --key belong together", remedy="Give both, or neither.")

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """The values of ``Host`` that are answered; () for all.

        A server that only this machine reaches, and that asks for no token, is reached by any page that a
        browser of this machine shows, if the page's name is made to lead here. So other names are refused.
        """
        if self.hosts:
            return self.hosts
        return (*LOOPBACK, self.host) if self.host in LOOPBACK and self.tokens is None else ()
