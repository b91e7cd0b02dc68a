"""The tier on a Redis server, or one that speaks its protocol: shared by machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from audiomem_sql.remote.tiers.block import Block, seal
from audiomem_sql.remote.tiers.server import (
    ServerLink,
    ServerOptions,
    missing_extra,
    parts,
    server_key,
    unsealed,
)
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, TierInfo


class RedisTier:
    """Blocks on the server at ``url``, forgotten after a while, and earlier where its memory is full."""

    def __init__(self, name: str, url: str, options: ServerOptions) -> None:
        self.name = name
        self.counters, self.prices = Counters(), options.prices
        self._url, self._options = url, options
        self._link = ServerLink(options, self.counters)
        self._clients = PerProcess[list[Any]](list)
        self._failures: tuple[type[Exception], ...] = (OSError,)

    def open(self) -> None:
        """MissingExtraError without redis-py. A server that does not answer is no error."""
        try:
            from redis.exceptions import RedisError
        except ImportError:
            raise missing_extra("redis", "redis") from None
        # A client that is given nonsense raises ValueError and the like: never out of a query.
        self._failures = (RedisError, OSError, ValueError, TypeError)

    def _client(self) -> Any:
        """The client of this process, which connects when it is used."""
        clients = self._clients.get()
        if not clients:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry

            seconds = self._options.timeout
            clients.append(
                Redis.from_url(
                    self._url,
                    socket_timeout=seconds,
                    socket_connect_timeout=seconds,
                    retry=Retry(NoBackoff(), 0),
                    retry_on_timeout=False,
                )
            )
        return clients[0]

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there and are what was written; others are removed."""
        found: dict[bytes, Block] = {}
        for some in parts(keys):
            names = [server_key(key) for key in some]
            values = self._link.ask(partial(self._values, names), self._failures, None)
            if values is None:
                break
            wrong = [server_key(key) for key in unsealed(dict(zip(some, values, strict=True)), found)]
            if wrong:
                self.counters.add(errors=len(wrong))
                self._link.ask(partial(self._remove, wrong), self._failures, None)
        return found

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Send the blocks; a server that is full, or read-only, keeps what it has."""
        kept = 0
        for some in parts(list(blocks.items())):
            kept += self._link.ask(partial(self._send, some), self._failures, 0)
        return kept

    def _values(self, names: list[str]) -> list[bytes | None] | None:
        return list(self._client().mget(names))

    def _remove(self, names: list[str]) -> None:
        self._client().delete(*names)

    def _send(self, blocks: Sequence[tuple[bytes, Block]]) -> int:
        """Send blocks; the bytes of those that were not refused."""
        pipeline = self._client().pipeline(transaction=False)
        for key, block in blocks:
            pipeline.set(server_key(key), seal(key, block), ex=self._options.keep)
        answers = pipeline.execute(raise_on_error=False)
        kept = [
            len(block.data)
            for (_, block), answer in zip(blocks, answers, strict=True)
            if not isinstance(answer, Exception)
        ]
        self.counters.add(errors=len(blocks) - len(kept))
        return sum(kept)

    def info(self) -> TierInfo:
        """Only the server knows what it holds."""
        return TierInfo(None, None, self._link.state())

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.get():
            client.close()
        self._clients.get().clear()
