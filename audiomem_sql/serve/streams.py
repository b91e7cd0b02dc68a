"""Tables as streams of HLS that are open: cut as they are asked for, from the file itself or a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.table_file import check_served, open_still, state_of
from audiomem_sql.table.reader import TableReader
from audiomem_sql.upkeep.stream import SECONDS, streamable_file
from audiomem_sql.upkeep.stream_cut import CutFile

#: Streams that are open at the same time, and those with the ones that are only read to their end; each may
#: have a copy of its table.
_MOST, _MOST_HELD = 4, 8
#: Seconds for which one that is being made is waited for, and between two looks whether anybody waits still.
_WAIT, _LOOK = 1.0, 0.05
#: Seconds for which the newest version is the one that was streamed last, although there is a newer one.
_SECONDS = 5.0


class OpenStream:
    """A version of a table, cut. To be held while it is read."""

    def __init__(self, table: ServedTable, version: int, scratch: str) -> None:
        self.table = table.name
        self.version = version
        self.made = time.monotonic()
        self.users = 0
        self.is_left = self.was_newest = False
        self._stack = contextlib.ExitStack()
        try:
            opened = open_still(table.path_of_file)
            opened.close()
            reader = self._stack.enter_context(TableReader(table.place, version=version))
            file = self._stack.enter_context(
                streamable_file(reader.files, reader.snapshot, reader.options, scratch)
            )
            self.cut = CutFile(file, table.name, SECONDS)
            is_own = os.path.realpath(file.path) == os.path.realpath(table.path_of_file)
            self._path, self._state = table.path_of_file, state_of(opened.status) if is_own else None
            if not self.is_whole():
                raise Problem(503, "the file is being written to; come again in a second")
        except BaseException:
            self.close()
            raise

    def is_whole(self) -> bool:
        """Whether nobody has written to what is cut since it was opened."""
        if self._state is None:
            return True
        try:
            return state_of(os.stat(self._path)) == self._state
        except OSError:
            return False

    def close(self) -> None:
        """Close the files, and remove the copy."""
        self._stack.close()


class Streams:
    """The streams that are open, at most some. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._open: list[OpenStream] = []  # the one that was used last is the last
        self._held = 0  # with those that are being made, and those that are left but read
        self._folder: str | None = None

    def of(self, table: ServedTable, version: str | None, name: str) -> OpenStream:
        """The stream that has the file ``name``; to be given back with :meth:`release`.

        version: None for the newest, which may be some seconds old. Problem 404 for a name that no stream
        has, 410 for a part of one that is not there any more, 409 for a table that is not one file here, 503
        while too many are read, or somebody else has one of this table made.
        """
        check_served(table)
        is_part = not name.endswith((".m3u8", ".json"))
        if is_part and not name.endswith((".mp4", ".m4s")):
            raise Problem(404, "a stream has no such file")
        found = self._taken(table, lambda each: is_part and each.cut.size(name) is not None)
        if found is not None:
            return found
        number = table.reader(version).version
        with self._making_of(table):
            now = time.monotonic()
            found = self._taken(
                table,
                lambda each: (
                    each.version == number
                    or (version is None and each.was_newest and now - each.made < _SECONDS)
                ),
            )
            if found is None:
                found = self._made(table, number)
                found.was_newest = version is None
        if found.cut.size(name) is None and name not in found.cut.playlists:
            self.release(found)
            if is_part:
                raise Problem(410, "this stream is not there any more: ask for its playlist again")
            raise Problem(404, f"the playlists are index.m3u8 and {found.cut.media}")
        return found

    def release(self, stream: OpenStream) -> None:
        """It is not read any more."""
        with self._lock:
            stream.users -= 1
            is_over = stream.is_left and not stream.users
        if is_over:
            self._end(stream)

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            opened, self._open = self._open, []
            folder, self._folder = self._folder, None
        for stream in opened:
            stream.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _making_of(self, table: ServedTable) -> Iterator[None]:
        """Be the only one who has a stream of the table made. Problem 503 if somebody else is for long."""
        with self._lock:
            making = self._making.setdefault(table.name, threading.Lock())
        end = time.monotonic() + _WAIT
        while not making.acquire(timeout=_LOOK):
            check_interrupt()
            if time.monotonic() > end:
                raise _busy("somebody has a stream of this table made already")
        try:
            yield
        finally:
            making.release()

    def _taken(self, table: ServedTable, fits: Callable[[OpenStream], bool]) -> OpenStream | None:
        with self._lock:
            for stream in list(self._open):
                if stream.table != table.name:
                    continue
                if not stream.is_whole():
                    self._leave(stream)
                elif fits(stream):
                    stream.users += 1
                    self._open.remove(stream)
                    self._open.append(stream)
                    return stream
        return None

    def _made(self, table: ServedTable, version: int) -> OpenStream:
        folder = self._room()
        try:
            stream = OpenStream(table, version, folder)
        except BaseException:
            with self._lock:
                self._held -= 1
            raise
        stream.users = 1
        with self._lock:
            self._open.append(stream)
            for oldest in self._open[:-_MOST]:
                self._leave(oldest)
        return stream

    def _room(self) -> str:
        """The folder for another one, which is counted. Problem 503 if as many as may be are read."""
        with self._lock:
            if self._held >= _MOST_HELD:
                idle = next((each for each in self._open if not each.users), None)
                if idle is None:
                    raise _busy("too many streams are read")
                self._leave(idle)
            self._held += 1
            if self._folder is None:
                self._folder = tempfile.mkdtemp(prefix="audiomem-serve-")
            return self._folder

    def _leave(self, stream: OpenStream) -> None:
        """Close a stream, now or when nobody reads it any more. The lock is held."""
        self._open.remove(stream)
        stream.is_left = True
        if not stream.users:
            self._held -= 1
            stream.close()

    def _end(self, stream: OpenStream) -> None:
        """Close one that was left."""
        try:
            stream.close()
        finally:
            with self._lock:
                self._held -= 1


def _busy(what: str) -> Problem:
    return Problem(503, f"{what}; come again in a few seconds", headers={"Retry-After": "5"})


class StreamPart(Iterator[bytes]):
    """The bytes of a part of a stream, which is given back with them, also if none was asked for."""

    def __init__(self, streams: Streams, stream: OpenStream, parts: Iterator[bytes]) -> None:
        self._streams = streams
        self._stream: OpenStream | None = stream
        self._parts = parts

    def __next__(self) -> bytes:
        assert self._stream is not None
        part = next(self._parts)
        if not self._stream.is_whole():
            raise Problem(410, "the file changed while it was sent")
        return part

    def close(self) -> None:
        """Give the stream back."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._streams.release(stream)
