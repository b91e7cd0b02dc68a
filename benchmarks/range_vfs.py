"""SQLite reading a database at a URL: a VFS of apsw that asks a web server for ranges.

As sql.js-httpvfs does: what is read is asked for in pieces of ``PIECE`` bytes, which are kept, and twice as
many pieces each time as long as reads follow each other.
"""

from __future__ import annotations

import urllib.request
from typing import Any

import apsw

PIECE = 16 << 10
MOST_PIECES = 64


class RangeVfs(apsw.VFS):
    """Opens what is registered under its name; read only."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url = name, url
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> RangeFile:
        flags[1] = apsw.SQLITE_OPEN_READONLY
        return RangeFile(self._url)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return False

    def xFullPathname(self, name: str) -> str:
        return name


class RangeFile:
    """A file at a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pieces: dict[int, bytes] = {}
        self._following, self._at_once = -1, 1
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request) as answer:
            self._size = int(answer.headers["Content-Length"])

    def xRead(self, amount: int, offset: int) -> bytes:
        first, last = offset // PIECE, (offset + amount - 1) // PIECE
        for number in range(first, last + 1):
            if number not in self._pieces:
                self._fetch(number)
        data = b"".join(self._pieces[number] for number in range(first, last + 1))
        return data[offset - first * PIECE :][:amount]

    def _fetch(self, number: int) -> None:
        self._at_once = min(2 * self._at_once, MOST_PIECES) if number == self._following else 1
        stop = min((number + self._at_once) * PIECE, self._size)
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={number * PIECE}-{stop - 1}"})
        with urllib.request.urlopen(request) as answer:
            data = answer.read()
        for place in range(0, len(data), PIECE):
            self._pieces[number + place // PIECE] = data[place : place + PIECE]
        self._following = number + self._at_once

    def xFileSize(self) -> int:
        return self._size

    def xLock(self, level: int) -> None: ...
    def xUnlock(self, level: int) -> None: ...
    def xCheckReservedLock(self) -> bool:
        return False

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xSectorSize(self) -> int:
        return 4096

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xClose(self) -> None: ...


def opened(url: str, name: str = "ranges") -> Any:
    """A connection to the database at ``url``; the VFS lives as long as it does."""
    vfs = RangeVfs(name, url)
    connection = apsw.Connection("/kb.db", flags=apsw.SQLITE_OPEN_READONLY, vfs=name)
    return vfs, connection
