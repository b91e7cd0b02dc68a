"""Timing: medians and 99th percentiles of repeated calls, in milliseconds."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
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


def in_turns(
    asks: Mapping[str, Callable[[], Any]], repeat: int, before: Callable[[], object] | None = None
) -> dict[str, float]:
    """Milliseconds of each, the least of ``repeat`` turns; SystemExit where they answer differently.

    before: called before each of them, and not counted.
    """
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(repeat):
        answers = {}
        for name, ask in asks.items():
            if before is not None:
                before()
            start = time.perf_counter()
            answers[name] = ask()
            times[name].append((time.perf_counter() - start) * 1e3)
        first, *others = answers.values()
        if any(other != first for other in others):
            raise SystemExit(f"the stores disagree: {answers}")
    return {name: min(each) for name, each in times.items()}
