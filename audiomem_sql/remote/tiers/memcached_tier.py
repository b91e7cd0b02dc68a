"""The tier on a Memcached server: shared by machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from audiomem_sql.remote.tiers.block import HEADER, Block, seal
from audiomem_sql.remote.tiers.server import (
    ServerLink,
    ServerOptions,
    missing_extra,
    parts,
    server_key,
    unsealed,
)
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, TierInfo

#: What a server counts to an item beside its value: key, header, class of sizes.
_ITEM_OVERHEAD = 256
#: What a server takes that does not say what it takes.
_DEFAULT_LIMIT = 2**20


class _Connected:
    """The client of this process, and the longest value that the server takes."""

    def __init__(self, client: Any, limit: int) -> None:
        self.client, self.limit = client, limit


class MemcachedTier:
    """Blocks on the server at ``address``; what is too large for it is left out."""

    def __init__(self, name: str, address: tuple[str, int], options: ServerOptions) -> None:
        self.name = name
        self.counters, self.prices = Counters(), options.prices
        self._address, self._options = address, options
        self._link = ServerLink(options, self.counters)
        self._connected = PerProcess[list[_Connected]](list)
        self._failures: tuple[type[Exception], ...] = (OSError,)

    def open(self) -> None:
        """MissingExtraError without pymemcache. A server that does not answer is no error."""
        try:
            from pymemcache.exceptions import MemcacheError
        except ImportError:
            raise missing_extra("pymemcache", "memcached") from None
        # The client raises ValueError and the like for an answer that is none.
        self._failures = (MemcacheError, OSError, ValueError, TypeError, IndexError, KeyError)

    def _connection(self) -> _Connected:
        connected = self._connected.get()
        if not connected:
            from pymemcache.client.base import PooledClient

            seconds = self._options.timeout
            client = PooledClient(self._address, connect_timeout=seconds, timeout=seconds, no_delay=True)
            settings = client.stats("settings")
            limit = int(settings.get(b"item_size_max", _DEFAULT_LIMIT))
            connected.append(_Connected(client, limit - _ITEM_OVERHEAD))
        return connected[0]

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
        """Send the blocks that are not too large."""
        kept = 0
        for some in parts(list(blocks.items())):
            kept += self._link.ask(partial(self._send, some), self._failures, 0)
        return kept

    def _values(self, names: list[str]) -> dict[str, bytes] | None:
        return dict(self._connection().client.get_many(names))

    def _remove(self, names: list[str]) -> None:
        self._connection().client.delete_many(names, noreply=False)

    def _send(self, blocks: Sequence[tuple[bytes, Block]]) -> int:
        """Send the blocks that are not too large; the bytes of those that were not refused."""
        connection = self._connection()
        sealed = {server_key(key): seal(key, block) for key, block in blocks}
        fitting = {name: value for name, value in sealed.items() if len(value) <= connection.limit}
        self.counters.add(skipped=len(sealed) - len(fitting))
        if not fitting:
            return 0
        refused = connection.client.set_many(fitting, expire=self._options.keep, noreply=False)
        self.counters.add(errors=len(refused))
        return sum(len(value) - HEADER.size for name, value in fitting.items() if name not in refused)

    def info(self) -> TierInfo:
        """Only the server knows what it holds."""
        return TierInfo(None, None, self._link.state())

    def close(self) -> None:
        """Close the connections."""
        for connected in self._connected.get():
            connected.client.close()
        self._connected.get().clear()
