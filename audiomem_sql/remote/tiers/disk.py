"""The tier on a local disk: one file a block, shared by any number of processes.

A block's file is written under another name and renamed into place, without fsync: a reader sees a whole
file, or none, or after a loss of power one whose CRC-32C is wrong. Such a file is removed, and is not there.

    FOLDER/sizes           bytes of the files, see ``shared_sizes``
    FOLDER/lock            held by the one process that makes room
    FOLDER/3f/3f0a…        a sealed block; the name is its key in hexadecimal digits
    FOLDER/3f/.new-…       one that is being written
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.tiers.block import KEY_BYTES, SEALED_BYTES, Block, seal, unseal
from audiomem_sql.remote.tiers.disk_room import NEW, FileRoom, size_on_disk
from audiomem_sql.remote.tiers.prices import FREE
from audiomem_sql.remote.tiers.shared_sizes import SharedSizes
from audiomem_sql.remote.tiers.tier import Counters, PerProcess, TierInfo

#: A file that is read is marked as used, at most so often.
TOUCH_SECONDS = 60
#: After a full disk nothing is written for so long.
FULL_SECONDS = 30
#: What is written is counted whenever it is such a part of the capacity.
_PARTS = 16
_NUMBERS = itertools.count()
_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskTier:
    """Blocks in ``folder``: at most ``capacity`` bytes on the disk, but for what is being written."""

    def __init__(self, name: str, folder: str, capacity: int) -> None:
        self.name, self.folder, self.capacity = name, folder, capacity
        self.counters, self.prices = Counters(), FREE
        self._room = FileRoom(folder, capacity)
        self._sizes = SharedSizes(os.path.join(folder, "sizes"), self._room.size_of_group)
        self._full_until = 0.0
        self._crowded = False
        #: What could not be told to the others yet, because one of them held the lock.
        self._uncounted: PerProcess[Counter[int]] = PerProcess(Counter)

    def open(self) -> None:
        """Make the folder. StorageError where no file can be written to it."""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            tried = self._new_path(self._path(bytes(KEY_BYTES)))
            for descriptor in self._created(tried):
                os.unlink(tried)
                os.write(descriptor, bytes(1))
            self._sizes.now()
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in _FULL:
                return  # what is there can be read
            reason = getattr(error, "strerror", None) or str(error)
            raise StorageError(
                f"cannot be used as a cache: {reason}",
                file=self.folder,
                remedy="Name a folder that you can write to, such as disk:/var/cache/audiomem:10GB.",
            ) from error

    def get_many(self, keys: Sequence[bytes]) -> dict[bytes, Block]:
        """The blocks that are there and are what was written."""
        found = {}
        wrong = 0
        for key in keys:
            path = self._path(key)
            try:
                sealed = self._read(path)
            except FileNotFoundError:
                continue
            except OSError:  # a link, a folder, a disk that fails: not ours to read
                wrong += 1
                continue
            block = unseal(key, sealed)
            if block is None:
                wrong += 1
                with contextlib.suppress(OSError):
                    os.unlink(path)
            else:
                found[key] = block
        self.counters.add(requests=len(keys), errors=wrong)
        return found

    def put_many(self, blocks: Mapping[bytes, Block]) -> int:
        """Write the blocks.

        On a full disk room is made, and nothing written for a while. Nothing is written either while there is
        too much and another process makes room.
        """
        if time.monotonic() < self._full_until or self._is_crowded():
            self.counters.add(skipped=len(blocks))
            return 0
        changes: dict[int, int] = {}
        kept = failed = 0
        for key, block in blocks.items():
            group = key[0] >> 4
            try:
                changes[group] = changes.get(group, 0) + self._write(key, seal(key, block))
            except OSError as error:
                failed += 1
                if error.errno in _FULL:
                    self._full_until = time.monotonic() + FULL_SECONDS
                    break
            else:
                kept += len(block.data)
            if sum(changes.values()) > self.capacity // _PARTS:
                self._count(changes)
                changes = {}
                if self._crowded:
                    break
        self.counters.add(requests=len(blocks), errors=failed)
        self._count(changes)
        return kept

    def _count(self, changes: Mapping[int, int]) -> None:
        """Tell the others what was written, and make room where there is too much."""
        full = time.monotonic() < self._full_until
        uncounted = self._uncounted.get()
        uncounted.update(changes)
        counted = Counter(uncounted)
        try:
            sizes = self._sizes.add(counted)
            uncounted.subtract(counted)
            limit = min(self.capacity, sum(sizes) * 9 // 10) if full else self.capacity
            if sum(sizes) > limit:
                found, removed = self._room.make(sizes, limit)
                if found:
                    sizes = self._sizes.correct(sizes, found)
                self.counters.add(evictions=removed)
            self._crowded = sum(sizes) > self.capacity
        except (OSError, StorageError):
            self.counters.add(errors=1)

    def _is_crowded(self) -> bool:
        """Whether there is still too much, if there was."""
        if self._crowded:
            self._count({})
        return self._crowded

    def info(self) -> TierInfo:
        """Bytes on the disk, of all processes."""
        try:
            held = sum(self._sizes.now())
        except (OSError, StorageError) as error:
            return TierInfo(None, self.capacity, f"cannot be used: {error}")
        full = time.monotonic() < self._full_until
        return TierInfo(held, self.capacity, "the disk is full" if full else "ok")

    def close(self) -> None:
        """Let go of the files that tell of sizes and locks."""
        self._sizes.close()
        self._room.close()

    def _path(self, key: bytes) -> str:
        name = key.hex()
        return f"{self.folder}/{name[:2]}/{name}"

    def _read(self, path: str) -> bytes:
        """The bytes of a file, at most one more than a block has; it is marked as used now and then."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            data = os.read(descriptor, SEALED_BYTES + 1)
            now = time.time()
            if not 0 <= now - os.fstat(descriptor).st_mtime < TOUCH_SECONDS:
                with contextlib.suppress(OSError):  # somebody else's file
                    os.utime(descriptor)
        finally:
            os.close(descriptor)
        return data

    def _write(self, key: bytes, data: bytes) -> int:
        """Put a file into place; by how much the folder grew on the disk. OSError."""
        path = self._path(key)
        new = self._new_path(path)
        try:
            for descriptor in self._created(new):
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            before = 0
            with contextlib.suppress(OSError):
                before = size_on_disk(os.lstat(path).st_size)
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
        return size_on_disk(len(data)) - before

    @staticmethod
    def _new_path(path: str) -> str:
        """A name for a file that will have the name ``path``, which no other writer chooses."""
        return f"{os.path.dirname(path)}/{NEW}{os.getpid()}-{next(_NUMBERS)}-{time.time_ns()}"

    def _created(self, path: str) -> Iterator[int]:
        """The descriptor of a new file, closed afterwards; its folder is made where it is missing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            descriptor = os.open(path, flags, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
