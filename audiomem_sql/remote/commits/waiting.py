"""Waiting between attempts: at random, longer each time, until the patience is at its end."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

#: The first wait is at most this long, in seconds, and the longest at most that.
FIRST, LONGEST = 0.02, 1.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a writer takes from the machine: seconds that pass, waiting, and chance."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = random.uniform
    random_bytes: Callable[[int], bytes] = os.urandom


class Patience:
    """How long a call still tries."""

    def __init__(self, seconds: float, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._end = surroundings.clock() + seconds
        self._next = FIRST

    def wait(self) -> bool:
        """Wait a while; False, at once, if the time is over."""
        if self._surroundings.clock() >= self._end:
            return False
        self._surroundings.sleep(self._surroundings.uniform(0, self._next))
        self._next = min(2 * self._next, LONGEST)
        return True
