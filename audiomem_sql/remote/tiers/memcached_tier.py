"""The tier on a Memcached server: shared by machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiomem_sql.remote.tiers.block import HEADER, Block, seal
from audiomem_sql.remote.tiers.server import ServerOptions, ServerTier, server_key

#: What a server counts to an item beside its value: key, header, class of sizes.
_ITEM_OVERHEAD = 256
#: What a server takes that does not say what it takes.
_DEFAULT_LIMIT = 2**20


class _Connected:
    """A client, and the longest value that the server takes."""

    def __init__(self, client: Any, limit: int) -> None:
        self.client, self.limit = client, limit


class MemcachedTier(ServerTier[_Connected]):
    """Blocks on the server at ``address``; what is too large for it is left out."""

    package, extra = "pymemcache", "memcached"

    def __init__(self, name: str, address: tuple[str, int], options: ServerOptions) -> None:
        super().__init__(name, options)
        self._address = address

    def _error(self) -> type[Exception]:
        from pymemcache.exceptions import MemcacheError

        error: type[Exception] = MemcacheError
        return error

    def _connect(self) -> _Connected:
        from pymemcache.client.base import PooledClient

        seconds = self._options.timeout
        client = PooledClient(self._address, connect_timeout=seconds, timeout=seconds, no_delay=True)
        settings = client.stats("settings")
        limit = int(settings.get(b"item_size_max", _DEFAULT_LIMIT))
        return _Connected(client, limit - _ITEM_OVERHEAD)

    def _values(self, names: list[str]) -> dict[str, bytes | None]:
        return dict(self._client().client.get_many(names))

    def _remove(self, names: list[str]) -> None:
        self._client().client.delete_many(names, noreply=False)

    def _send(self, blocks: Sequence[tuple[bytes, Block]]) -> int:
        connection = self._client()
        sealed = {server_key(key): seal(key, block) for key, block in blocks}
        fitting = {name: value for name, value in sealed.items() if len(value) <= connection.limit}
        self.counters.add(skipped=len(sealed) - len(fitting))
        if not fitting:
            return 0
        refused = connection.client.set_many(fitting, expire=self._options.keep, noreply=False)
        self.counters.add(errors=len(refused))
        return sum(len(value) - HEADER.size for name, value in fitting.items() if name not in refused)

    def _close(self, client: _Connected) -> None:
        client.client.close()
