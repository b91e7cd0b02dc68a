"""Less memory for the same work, where it is scarce.

This is of the whole process, from the first table of such a profile that is opened.

Three things, each of which costs a little speed, and none of them an answer:

- Arrow takes its memory from malloc. Its own allocators keep what was freed, in case it is needed again.
- malloc (glibc's) has one arena for all threads, gives free memory back from 64 KiB on, and large pieces at
  once.
- The system may take back those pages of shared libraries that nothing but their loading has needed: tables
  of symbols and of relocations, and what stands beside them. Whatever is used again comes back from the page
  cache, in microseconds.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache

#: Parameters of ``mallopt`` (malloc.h of glibc), and what they are set to.
_MALLOPT = {"M_TRIM_THRESHOLD": (-1, 64 << 10), "M_MMAP_THRESHOLD": (-3, 128 << 10), "M_ARENA_MAX": (-8, 1)}
#: ``madvise`` (sys/mman.h of Linux).
_MADV_DONTNEED = 4
_SMAPS = "/proc/self/smaps"


_begun: list[bool] = []


def is_spared() -> bool:
    """Whether a table of such a profile was opened in this process."""
    return bool(_begun)


def without_kernels() -> bool:
    """Whether it is worth some time not to load ``pyarrow.compute``, which takes 8 MB."""
    return bool(_begun) and "pyarrow.compute" not in sys.modules


@cache
def spare() -> None:
    """Do it, at the first call; where the system has no such thing, that one is left out."""
    import pyarrow as pa

    _begun.append(True)
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform != "linux":
        return
    with suppress(OSError, AttributeError):  # another C library has no mallopt
        library = ctypes.CDLL(None, use_errno=True)
        for number, value in _MALLOPT.values():
            library.mallopt(number, value)
    with suppress(OSError, AttributeError, ValueError):
        _release_libraries()


def trim() -> None:
    """Give back what malloc holds free, all of it: between two pieces of work that each needed much.

    Takes a millisecond.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def _release_libraries() -> None:
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for start, end in list(_clean_libraries()):
        advise(start, end - start, _MADV_DONTNEED)


def _clean_libraries() -> Iterator[tuple[int, int]]:
    """(start, end) of the mappings of shared libraries whose pages can be dropped.

    They cannot be written to, and every page of them is as in the file.
    """
    span: tuple[int, int] | None = None
    with open(_SMAPS) as smaps:
        for line in smaps:
            words = line.split()
            if not words[0].endswith(":"):
                library = len(words) > 5 and ".so" in words[-1] and words[1] in ("r-xp", "r--p")
                start, _, end = words[0].partition("-")
                span = (int(start, 16), int(end, 16)) if library else None
            elif words[0] == "Anonymous:" and span is not None and words[1] == "0":
                yield span
