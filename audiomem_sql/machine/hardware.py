"""What a machine has, and which profile fits it.

psutil knows the memory of every system, where the standard library does not; what a container may have of
it, and which processors this process, it does not ask.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from audiomem_sql.errors import OptionError

GIB = 1 << 30
CGROUP_MEMORY = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container may have, in control groups of version 2 and 1."""
OWN_GROUPS = "/proc/self/cgroup"
"""Where it says which groups below these the process is in: each may have less than those around it."""
CGROUP_PROCESSORS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Where Linux says how much time of processors a container may have, and in how long, likewise."""
BLOCK_DEVICES = "/sys/dev/block"
"""Where Linux has a folder for each block device, by its numbers."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """Processors that this process may use, bytes of memory that it may have, bytes free on the disk.

    rotating: whether the disk says that it rotates (virtual ones often say so, too); None where nothing
    tells. No profile asks for either.
    """

    processors: int
    memory: int
    free: int
    rotating: bool | None = None

    @property
    def choice(self) -> str:
        """The name of the first profile of ``AUTO_MINIMUMS`` whose minimums are all met."""
        return next(
            (name for name in AUTO_MINIMUMS if not list(self._short(AUTO_MINIMUMS[name]))), "embedded"
        )

    def reasons(self) -> dict[str, str]:
        """Of each profile, best first, what is missing for it; empty for one that fits."""
        return {name: "; ".join(self._short(least)) for name, least in AUTO_MINIMUMS.items()}

    def check(self, name: str) -> None:
        """``OptionError`` for a profile that would not run here at all."""
        missing = list(self._short(NEEDED[name]))
        if missing:
            raise OptionError(
                f"profile {name} cannot be served by this machine: {'; '.join(missing)}",
                remedy=f"Use profile=auto, which is {self.choice} here.",
            )

    def _short(self, least: Hardware) -> Iterator[str]:
        for what, has, needs in (
            ("processors", self.processors, least.processors),
            ("memory", self.memory, least.memory),
            ("free disk", self.free, least.free),
        ):
            if has < needs:
                yield f"{what} {_size(has, what)} of {_size(needs, what)}"


AUTO_MINIMUMS = {
    "server": Hardware(8, 32 * GIB, 64 * GIB),
    "desktop": Hardware(2, 4 * GIB, 8 * GIB),
    "mobile": Hardware(1, 1 * GIB, 1 * GIB),
    "embedded": Hardware(0, 0, 0),
}
"""What ``auto`` asks of a machine, best profile first."""
NEEDED = {
    "server": Hardware(1, 1 * GIB, 0),
    "desktop": Hardware(1, GIB // 2, 0),
    "mobile": Hardware(1, GIB // 4, 0),
    "embedded": Hardware(0, 0, 0),
}
"""Less than that, and writing a large table fails for want of memory."""
UNKNOWN = AUTO_MINIMUMS["desktop"]
"""A figure that the system does not tell is sufficient for this, and no more."""


def measured(folder: str | os.PathLike[str] = ".", *, kind: bool = True) -> Hardware:
    """The machine, and the disk that holds ``folder``, or would once its missing parents are made.

    kind: find out what kind of disk it is, too.
    """
    existing_folder = _existing(folder)
    rotating = _rotating(existing_folder) if kind else None
    return Hardware(processors(), total_memory(), _free(existing_folder), rotating)


def processors() -> int:
    """Those that this process may use; a part of one that a container may have counts as one."""
    count = os.cpu_count() or UNKNOWN.processors
    with contextlib.suppress(AttributeError, OSError):
        count = len(os.sched_getaffinity(0))
    for paths in CGROUP_PROCESSORS:
        with contextlib.suppress(ValueError, OSError):  # "max" or -1 is no limit
            quota, period = " ".join(Path(path).read_text() for path in paths).split()
            if int(quota) > 0 and int(period) > 0:
                count = min(count, -(-int(quota) // int(period)))
    return count


def total_memory() -> int:
    """Bytes that the machine, or the container, has in all."""
    total = 0
    with contextlib.suppress(ValueError, OSError, AttributeError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if total <= 0:
        total = _memory_by_psutil()
    for path in chain.from_iterable(map(in_groups, CGROUP_MEMORY)):
        with contextlib.suppress(ValueError, OSError), open(path) as limit:
            total = min(total, int(limit.read()))
    return total


def in_groups(path: str) -> list[str]:
    """A file of the outermost group, and the same of each group of this process inside that."""
    folder, name = os.path.split(path)
    paths = [path]
    with contextlib.suppress(OSError, ValueError), open(OWN_GROUPS) as lines:
        for line in lines:
            _, controllers, group = line.rstrip("\n").split(":", 2)
            if not controllers or "memory" in controllers.split(","):
                names = [part for part in group.split("/") if part not in ("", "..")]
                paths += [os.path.join(folder, *names[:count], name) for count in range(1, len(names) + 1)]
    return list(dict.fromkeys(paths))


def _memory_by_psutil() -> int:
    """Bytes that the machine has, where the standard library does not tell."""
    try:
        import psutil

        return int(psutil.virtual_memory().total)
    except (ImportError, OSError, RuntimeError):
        return UNKNOWN.memory


def _existing(folder: str | os.PathLike[str]) -> str:
    path = os.path.abspath(folder)
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _rotating(path: str) -> bool | None:
    """What Linux says of the disk, or of the whole that a partition is part of.

    None for network and layered file systems.
    """
    with contextlib.suppress(ValueError, OSError, AttributeError):
        number = os.stat(path).st_dev
        device = os.path.realpath(f"{BLOCK_DEVICES}/{os.major(number)}:{os.minor(number)}")
        if os.path.exists(f"{device}/partition"):
            device = os.path.dirname(device)
        with open(f"{device}/queue/rotational") as told:
            return bool(int(told.read()))
    return None


def _free(path: str) -> int:
    try:
        if hasattr(os, "statvfs"):
            told = os.statvfs(path)
            return told.f_bavail * told.f_frsize
        from shutil import disk_usage  # which imports every kind of archive

        return disk_usage(path).free
    except OSError:
        return UNKNOWN.free


def _size(number: int, what: str) -> str:
    return str(number) if what == "processors" else f"{number / GIB:.3g} GiB"
