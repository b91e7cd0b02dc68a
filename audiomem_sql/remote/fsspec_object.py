"""One object of whatever else fsspec reads: SFTP, FTP, hf://, and so on.

fsspec has no conditional reads in common. So the state of the object is asked for behind each read, and data
of a changed one is not handed out.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

from audiomem_sql.errors import AudioMemError, MissingExtraError, StorageError
from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.contract import MODIFIED, ObjectReader, Pin, TransientFaultError
from audiomem_sql.remote.faults import another_snapshot, fault_of, too_large_without_ranges

#: What file systems call that which changes when a file does.
_TAGS = ("ETag", "etag", "checksum", "md5", "mtime", "LastModified", "last_modified", "created", "ino")

#: File systems that have a thread for their requests; fsspec, too, lets go of none. In a child of a fork that
#: would close their connections by a poll that it shares with its parent, which would then wait for ever.
_WITH_THREADS: dict[int, Any] = {}
_LASTING_TAGS = ("ETag", "etag", "checksum", "md5")


class FsspecObject(ObjectReader):
    """The object at ``url``."""

    survives_forks = True

    def __init__(self, url: str) -> None:
        self.name = shown(url)
        self.place = ("fsspec", self.name)
        self._url = url
        self._open()

    def _open(self) -> None:
        """Get the file system, which fsspec makes anew in a child of a fork."""
        self._process = os.getpid()
        try:
            core = importlib.import_module("fsspec.core")
        except ImportError:
            raise MissingExtraError(
                f"URLs like {self.name} need the package fsspec",
                remedy="Install it with: pip install 'audiomem-sql[remote]'",
            ) from None
        try:
            self._files, self._path = core.url_to_fs(self._url)
        except ImportError as error:
            raise MissingExtraError(
                f"fsspec needs another package for it: {error.name or 'see its documentation'}",
                file=self.name,
            ) from None
        except Exception as error:
            unknown = isinstance(error, ValueError)
            raise StorageError(
                "nothing reads URLs of this kind"
                if unknown
                else f"fsspec cannot open it ({type(error).__name__})",
                file=self.name,
                remedy="Check the URL.",
            ) from None
        if getattr(self._files, "async_impl", False):
            _WITH_THREADS[id(self._files)] = self._files

    def first(self, length: int) -> tuple[Pin, bytes]:
        """The first bytes and the state."""
        pin = self._state(opened=False)
        if not pin.size:
            return pin, b""
        return pin, self.get(0, min(length, pin.size), pin)

    def get(self, start: int, stop: int, pin: Pin, *, fresh: bool = False) -> bytes:
        """A range of the object in the state ``pin``."""
        try:
            data = bytes(self._of_this_process().cat_file(self._path, start=start, end=stop))
        except Exception as error:
            raise fault_of(error, self.name, opened=True) from None
        if self._state(opened=True) != pin:
            raise another_snapshot(self.name)
        if len(data) != stop - start:
            raise TransientFaultError("the answer was cut")
        return data

    def whole(self, pin: Pin | None, most: int) -> tuple[Pin, bytes]:
        """All of the object."""
        found = self._state(opened=pin is not None)
        if found.size > most:
            raise too_large_without_ranges(self.name, most)
        return found, self.get(0, found.size, pin or found)

    def _of_this_process(self) -> Any:
        if self._process != os.getpid():
            self._open()
        return self._files

    def _state(self, *, opened: bool) -> Pin:
        try:
            self._of_this_process().invalidate_cache(self._path)
            facts: dict[str, Any] = self._files.info(self._path)
            if facts.get("type") == "directory":
                raise StorageError("is a folder", file=self.name, remedy="Name a FLAC file")
            if facts.get("size") is None:
                raise StorageError("its size cannot be told", file=self.name, remedy="Download it.")
        except AudioMemError:
            raise
        except Exception as error:
            raise fault_of(error, self.name, opened=opened) from None
        tags = [f"{name}={facts[name]}" for name in _TAGS if facts.get(name) is not None]
        lasting = any(facts.get(name) is not None for name in _LASTING_TAGS)
        return Pin(int(facts["size"]), ("" if lasting else MODIFIED) + " ".join(tags))
