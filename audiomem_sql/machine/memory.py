"""Memory that a file asks for: told before it is taken, and an error of ours where there is none."""

from __future__ import annotations

import contextlib
import os

from audiomem_sql.errors import LimitError
from audiomem_sql.machine.hardware import CGROUP_MEMORY, in_groups, total_memory

#: So much is taken without asking how much there is.
UNASKED_BYTES = 256 << 20
MEMORY_INFO = "/proc/meminfo"
CGROUP_USED = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
#: Beside these: of what is used, the pages of files that the kernel keeps as long as nobody needs the room.
CGROUP_STATISTICS = "memory.stat"
_CACHED = ("inactive_file", "active_file")


def available() -> int:
    """Bytes that can be had without taking them from others: of the machine, or of the container."""
    free = total_memory()
    with contextlib.suppress(OSError, ValueError, StopIteration), open(MEMORY_INFO) as lines:
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        free = min(free, int(told.split()[1]) << 10)
    for most, used in zip(CGROUP_MEMORY, CGROUP_USED, strict=True):
        for group in map(os.path.dirname, in_groups(most)):
            with (
                contextlib.suppress(OSError, ValueError),
                open(os.path.join(group, os.path.basename(most))) as limit,
                open(os.path.join(group, os.path.basename(used))) as taken,
            ):
                free = min(free, int(limit.read()) - int(taken.read()) + _cached(group))
    return free


def _cached(group: str) -> int:
    """Bytes of files that a control group has in memory, with the groups inside it."""
    try:
        with open(os.path.join(group, CGROUP_STATISTICS)) as lines:
            told = {name: int(number) for name, number in map(str.split, lines)}
    except (OSError, ValueError):
        return 0
    # version 1 has the sums under other names
    return sum(told.get(f"total_{name}", told.get(name, 0)) for name in _CACHED)


def check_room(size: int, file: str | os.PathLike[str] | None) -> None:
    """LimitError where ``size`` bytes are more than there is.

    Linux grants more memory than it has, and ends the process that uses it.
    """
    if size > UNASKED_BYTES and size > available():
        raise _too_little(f"{size:,} bytes must be held at once, and there is not enough memory", file)


def out_of_memory(file: str | os.PathLike[str] | None) -> LimitError:
    """The error for a MemoryError while ``file`` was read."""
    return _too_little("there is not enough memory for what is in it", file)


def _too_little(what: str, file: str | os.PathLike[str] | None) -> LimitError:
    return LimitError(
        what,
        file=file,
        remedy="Read fewer rows or columns at once, or where there is more memory. "
        "If the file is small, do not trust it.",
    )
