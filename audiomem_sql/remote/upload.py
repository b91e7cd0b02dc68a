"""Files of a stream as objects below a URL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit

from audiomem_sql.audio import INDEX
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.faults import fault_of
from audiomem_sql.remote.options import RemoteOptions
from audiomem_sql.remote.stores import BUCKETS, MEMORY, client, store_of

#: What players and browsers want to be told, by the end of a name.
_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "audio/mp4",
    ".m4s": "audio/mp4",
    ".json": "application/json",
}


class StoreTarget:
    """Objects below ``url``. UnsupportedError for a URL that nothing is written to."""

    scratch: str | None = None

    def __init__(self, url: str) -> None:
        scheme = urlsplit(url).scheme.lower()
        if scheme not in (*BUCKETS, MEMORY):
            raise UnsupportedError(
                f"nothing is written to {scheme}:// URLs",
                file=shown(url),
                remedy="Name a folder, or s3://bucket/folder, gs:// or az://.",
            )
        self._url = url.rstrip("/")
        self._timeout = RemoteOptions.of_environment().timeout
        self._client = client()
        self._written: list[str] = []
        if self._exists(INDEX):
            raise StorageError(
                "there is a stream already", file=shown(self.address(INDEX)), remedy="Name another folder."
            )

    def put(self, name: str, parts: Iterable[bytes]) -> None:
        """Write an object; a large one in several requests. StorageError if that failed."""
        store, key = self._place(name)
        kind = _TYPES["." + name.rpartition(".")[2]]
        try:
            self._written.append(name)
            self._client.put(store, key, iter(parts), attributes={"Content-Type": kind})
        except Exception as error:
            raise self._fault(error, name) from None

    def finish(self) -> None:
        """Nothing: an object is durable when the store has answered."""

    def address(self, name: str) -> str:
        """The URL of an object."""
        return f"{self._url}/{quote(name)}"

    def remove(self) -> None:
        """Remove what was written, as far as the store lets us."""
        for name in reversed(self._written):
            with contextlib.suppress(Exception):
                store, key = self._place(name)
                self._client.delete(store, key)

    def _exists(self, name: str) -> bool:
        store, key = self._place(name)
        try:
            self._client.head(store, key)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise self._fault(error, name) from None
        return True

    def _place(self, name: str) -> tuple[Any, str]:
        return store_of(self.address(name), self._timeout)

    def _fault(self, error: Exception, name: str) -> Exception:
        if type(error).__module__.startswith("audiomem_sql"):
            return error
        fault = fault_of(error, shown(self.address(name)), opened=False)
        if isinstance(fault, StorageError):
            return fault
        return StorageError(f"cannot be written: {fault}", file=shown(self.address(name)))
