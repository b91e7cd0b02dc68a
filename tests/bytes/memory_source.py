"""Bytes in memory as a second place where bytes are, to try the contract."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import StorageError

_NUMBERS = count()


class MemorySource(ByteSource):
    """``data``, called ``name``.

    ``requests``: the ranges of each read, which those that were reopened share.
    """

    def __init__(self, data: bytes, name: str = "memory") -> None:
        self.name = name
        self.size = len(data)
        self.identity = next(_NUMBERS)
        self.requests: list[list[tuple[int, int]]] = []
        self._data: bytes | None = data

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if self._data is None:
            raise StorageError("is closed", file=self.name)
        self.requests.append(list(ranges))
        return [self._data[offset : offset + length] for offset, length in ranges]

    def reopen(self) -> MemorySource:
        assert self._data is not None
        again = MemorySource(self._data, self.name)
        again.identity, again.requests = self.identity, self.requests
        return again

    def close(self) -> None:
        self._data = None
