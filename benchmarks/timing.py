"""Timing: medians and 99th percentiles of repeated calls, in milliseconds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of repeated calls."""

    p50: float
    p99: float
    least: float
    count: int


def timed(function: Callable[[Any], Any], arguments: Iterable[Any], *, budget: float = 20.0) -> Times:
    """Call ``function`` once for each argument, until ``budget`` seconds are spent."""
    times: list[float] = []
    end = time.perf_counter() + budget
    for argument in arguments:
        start = time.perf_counter()
        function(argument)
        times.append((time.perf_counter() - start) * 1e3)
        if time.perf_counter() > end:
            break
    times.sort()
    return Times(statistics.median(times), times[math.ceil(0.99 * len(times)) - 1], times[0], len(times))


def once(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
