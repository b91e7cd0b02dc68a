"""Room in the folder of a disk tier: what was used longest ago is removed.

The files are in 16 groups by the first digit of their names. A large folder makes room in one group at a
time, the largest, because listing all of it would take long; a small one looks at all.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from audiomem_sql.remote.tiers.block import KEY_BYTES
from audiomem_sql.remote.tiers.shared_sizes import GROUPS, SharedLock

#: What the names of files that are being written begin with.
NEW = ".new-"
#: A smaller folder is looked at as a whole.
SMALL_BYTES = 256 * 2**20
#: A file that is still being written after so long is one whose writer died.
STRAY_SECONDS = 600
_NAME = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")
_SECTOR = 4096


class _File(NamedTuple):
    used: float
    size: int
    path: str


class FileRoom:
    """The files in ``folder``; capacity: bytes on the disk."""

    def __init__(self, folder: str, capacity: int) -> None:
        self.folder, self.capacity = folder, capacity
        self._lock = SharedLock(os.path.join(folder, "lock"))

    def make(self, sizes: Sequence[int], limit: int) -> tuple[dict[int, int], int]:
        """Remove the oldest files, until nine tenths of ``limit`` are left of the groups that are looked at.

        sizes: of the groups. Returns the sizes of the groups that were listed, afterwards, and how many files
        were removed; nothing where another process makes room already. OSError, StorageError.
        """
        try:
            with self._lock.held(0):
                return self._make(sizes, limit)
        except BlockingIOError:
            return {}, 0

    def _make(self, sizes: Sequence[int], limit: int) -> tuple[dict[int, int], int]:
        if self.capacity < SMALL_BYTES:
            return self._hold(range(GROUPS), limit * 9 // 10)
        found: dict[int, int] = {}
        removed = 0
        now = list(sizes)
        while sum(now) > limit and len(found) < GROUPS:
            group = max(set(range(GROUPS)) - set(found), key=now.__getitem__)
            listed, count = self._hold([group], limit * 9 // 10 // GROUPS)
            found |= listed
            now[group] = listed[group]
            removed += count
        return found, removed

    def size_of_group(self, group: int) -> int:
        """The bytes on the disk of the files of one group."""
        return sum(file.size for file in self._files(group))

    def close(self) -> None:
        """Let go of the lock's file."""
        self._lock.close()

    def _hold(self, groups: Iterable[int], limit: int) -> tuple[dict[int, int], int]:
        """Remove the oldest files of some groups until they have at most ``limit`` bytes."""
        files = [(file, group) for group in groups for file in self._files(group)]
        sizes = dict.fromkeys(groups, 0)
        for file, group in files:
            sizes[group] += file.size
        held, removed = sum(sizes.values()), 0
        for file, group in sorted(files):
            if held <= limit:
                break
            try:
                os.unlink(file.path)
            except FileNotFoundError:  # its reader found it damaged
                pass
            except OSError:  # somebody else's
                continue
            held -= file.size
            sizes[group] -= file.size
            removed += 1
        return sizes, removed

    def _files(self, group: int) -> Iterator[_File]:
        """The blocks of a group. Files of writers that died are removed; what is not ours is left alone."""
        stray = time.time() - STRAY_SECONDS
        for number in range(16 * group, 16 * group + 16):
            try:
                entries = os.scandir(f"{self.folder}/{number:02x}")
            except OSError:
                continue
            with entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    if not stat.S_ISREG(status.st_mode):
                        continue
                    if _NAME.fullmatch(entry.name):
                        yield _File(status.st_mtime, size_on_disk(status.st_size), entry.path)
                    elif entry.name.startswith(NEW) and status.st_mtime < stray:
                        with contextlib.suppress(OSError):
                            os.unlink(entry.path)


def size_on_disk(length: int) -> int:
    """What a file of ``length`` bytes takes of a disk, as a rule."""
    return -(-length // _SECTOR) * _SECTOR
