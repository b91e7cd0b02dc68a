"""How remote objects are read: numbers that the environment can change."""

from __future__ import annotations

import os
from dataclasses import dataclass

from audiomem_sql.errors import OptionError

#: Objects up to this size are taken whole from a server that knows no ranges.
WHOLE_BYTES = 8 << 20
#: Gaps up to this size are read along with what is on both sides.
GAP_BYTES = 8 << 10
#: Larger ones are, too, up to so many bytes of one step, if all its requests are then made at the same time.
WIDE_GAPS_BYTES = 256 << 10
#: The most bytes of one request: more are several, at the same time.
REQUEST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """head: bytes of the first request. timeout: seconds of one request.

    budget: seconds that requests may go on failing before an error is raised. parallel: requests at the same
    time. kept: bytes of an object that stay in memory while it is open. hedge: seconds after which a second
    request is made at the earliest; 0 for never. refresh: seconds between two
    looks for a newer state of a table. reach: how near the lists of vectors are that a search reads, as a
    share of the nearest one's; 0 for nearly all.
    """

    head: int = 80 << 10
    timeout: float = 10.0
    budget: float = 30.0
    parallel: int = 32
    kept: int = 32 << 20
    hedge: float = 0.05
    refresh: float = 5.0
    reach: float = 0.68

    @classmethod
    def of_environment(cls) -> RemoteOptions:
        """Those that ``AUDIOMEM_REMOTE_HEAD``, ``…_TIMEOUT`` and so on say. OptionError for what is none."""
        return cls(
            head=int(_number("HEAD", 80 << 10, 1024, 1 << 30)),
            timeout=_number("TIMEOUT", 10.0, 0.05, 3600),
            budget=_number("BUDGET", 30.0, 0, 3600),
            parallel=int(_number("PARALLEL", 32, 1, 256)),
            kept=int(_number("KEPT", 32 << 20, 0, 1 << 40)),
            refresh=_number("REFRESH", 5.0, 0, 1e9),
            hedge=_number("HEDGE", 0.05, 0, 3600),
            reach=_number("REACH", 0.68, 0, 1),
        )


def _number(name: str, default: float, least: float, most: float) -> float:
    text = os.environ.get(f"AUDIOMEM_REMOTE_{name}")
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not least <= value <= most:
        raise OptionError(f"AUDIOMEM_REMOTE_{name} is a number from {least:g} to {most:g}, not {text!r:.40}")
    return value
