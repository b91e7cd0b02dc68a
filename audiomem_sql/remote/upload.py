"""Files of a stream as objects below a URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from urllib.parse import quote, urlsplit

from audiomem_sql.audio import INDEX
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.faults import NoObjectError, fault_of
from audiomem_sql.remote.options import RemoteOptions
from audiomem_sql.remote.stores import BUCKETS, MEMORY, client, store_of

#: What players and browsers want to be told, by the end of a name.
_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "audio/mp4",
    ".m4s": "audio/mp4",
    ".json": "application/json",
}

#: Bytes that go up in one request at most.
_ONE_REQUEST = 32 << 20


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
            data, parts = _joined(parts)
            # In one request, where it can be: a failed one of several leaves parts in the store.
            more: dict[str, Any] = {"use_multipart": False} if data is not None else {}
            self._client.put(
                store, key, parts if data is None else data, attributes={"Content-Type": kind}, **more
            )
        except Exception as error:
            fault = self._fault(error, name)
            if "access was refused" not in str(fault):  # it may be there all the same
                self._written.append(name)
            raise fault from None
        except BaseException:
            self._written.append(name)
            raise
        self._written.append(name)

    def finish(self) -> None:
        """Nothing: an object is durable when the store has answered."""

    def address(self, name: str) -> str:
        """The URL of an object."""
        return f"{self._url}/{quote(name)}"

    def remove(self) -> list[str]:
        """Remove what was written, the playlists first; the URLs of what the store does not let us remove."""
        left = []
        for name in reversed(self._written):
            try:
                store, key = self._place(name)
                self._client.delete(store, key)
            except FileNotFoundError:
                continue
            except Exception:
                left.append(shown(self.address(name)))
        return left

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
        where = shown(self.address(name))
        fault = fault_of(error, where, opened=False)
        if isinstance(fault, NoObjectError):
            return StorageError("there is no such bucket", file=where, remedy="Check its name.")
        if isinstance(fault, StorageError):
            remedy = "Check credentials (docs/REMOTE.md), and if they may write there."
            return StorageError(
                fault.what,
                file=where,
                remedy=remedy if "access was refused" in fault.what else fault.remedy,
            )
        return StorageError(f"cannot be written: {fault}", file=where, remedy="Try again.")


def _joined(parts: Iterable[bytes]) -> tuple[bytes | None, Iterator[bytes]]:
    """All of ``parts`` as one, if they are no more than one request should carry; or None and the parts."""
    given = iter(parts)
    taken: list[bytes] = []
    size = 0
    for part in given:
        taken.append(part)
        size += len(part)
        if size > _ONE_REQUEST:
            return None, chain(taken, given)
    return b"".join(taken), iter(())
