"""The tier on a Redis server, or one that speaks its protocol: shared by machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiomem_sql.remote.tiers.block import Block, seal
from audiomem_sql.remote.tiers.server import ServerOptions, ServerTier, server_key


class RedisTier(ServerTier[Any]):
    """Blocks on the server at ``url``."""

    package, extra = "redis", "redis"

    def __init__(self, name: str, url: str, options: ServerOptions) -> None:
        super().__init__(name, options)
        self._url = url

    def _error(self) -> type[Exception]:
        from redis.exceptions import RedisError

        error: type[Exception] = RedisError
        return error

    def _connect(self) -> Any:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        seconds = self._options.timeout
        return Redis.from_url(
            self._url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
        )

    def _values(self, names: list[str]) -> dict[str, bytes | None]:
        return dict(zip(names, self._client().mget(names), strict=True))

    def _remove(self, names: list[str]) -> None:
        self._client().delete(*names)

    def _send(self, blocks: Sequence[tuple[bytes, Block]]) -> int:
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

    def _close(self, client: Any) -> None:
        client.close()
