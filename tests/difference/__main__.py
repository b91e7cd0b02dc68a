"""``python -m tests.difference --statements 1000000 --seed 0`` runs cases until so many statements were compared.

``--case N -v`` replays one; with ``--minimise`` it leaves out what its difference does not need.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from difference.run import LENGTH, Case, minimise, replay, run
from difference.steps import Tally

_AT_ONCE = 5


def several(first: int, length: int) -> tuple[Tally, list[Case]]:
    """Some cases: how much was compared, and those with a difference."""
    tally, wrong = Tally(), []
    for seed in range(first, first + _AT_ONCE):
        case = run(seed, length)
        tally.add(case.tally)
        if case.difference:
            wrong.append(case)
    return tally, wrong


def report(case: Case, *, steps: bool) -> None:
    door = "the extension" if case.extension else "the table in Python"
    print(f"case {case.seed} ({door}, {'small' if case.small else 'ordinary'} blocks)")
    for step in case.steps if steps else ():
        print(f"    {step}")
    print(case.difference or "no difference", flush=True)


def run_many(statements: int, seed: int, jobs: int, length: int, most: int) -> int:
    """Run cases, until Ctrl-C if it comes before; how many had a difference."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the background of a shell ignores it
    started, tally, wrong, following = time.monotonic(), Tally(), 0, seed
    with ProcessPoolExecutor(jobs) as pool, suppress(KeyboardInterrupt):
        waiting: deque[Future[tuple[Tally, list[Case]]]] = deque()
        while wrong < most and (tally.statements < statements or waiting):
            while len(waiting) < 2 * jobs and tally.statements < statements:
                waiting.append(pool.submit(several, following, length))
                following += _AT_ONCE
            found, cases = waiting.popleft().result()
            tally.add(found)
            wrong += len(cases)
            for case in cases:
                report(case, steps=False)
            done = following - _AT_ONCE * len(waiting)
            spent = time.monotonic() - started
            print(
                f"to case {done}: {tally.statements:,} statements, {wrong} differences, {spent:.0f} s",
                flush=True,
            )
    spent = time.monotonic() - started
    print(
        f"cases {seed} to {following - 1}: {wrong} differences, {tally.statements / spent:,.0f} statements/s"
    )
    print(tally, flush=True)
    return wrong


def main() -> int:
    """Exit code 1 if there was a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.difference", description=__doc__)
    parser.add_argument("--statements", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="the first case")
    parser.add_argument("--case", type=int, help="run this one alone")
    parser.add_argument("--length", type=int, default=LENGTH, help="statements of a case beside its schema")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--most", type=int, default=20, help="end after so many differences")
    parser.add_argument("-v", action="store_true", help="print the statements of the case")
    parser.add_argument("-j", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.case is None:
        return int(run_many(options.statements, options.seed, options.j, options.length, options.most) > 0)
    case = run(options.case, options.length)
    if case.difference and options.minimise:
        case.steps = minimise(case)
        case.difference = replay(case.steps, case.extension, case.small)
    report(case, steps=options.v or bool(case.difference))
    return int(bool(case.difference))


if __name__ == "__main__":
    sys.exit(main())
