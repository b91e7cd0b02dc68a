"""Which files this process has open."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def open_below(folder: Path | str) -> list[str]:
    """The open files of a folder, whatever else other threads have open."""
    found = []
    for handle in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile, as that of the listing is
            found.append(os.readlink(f"/proc/self/fd/{handle}"))
    return sorted(name for name in found if name.startswith(f"{folder}/"))
