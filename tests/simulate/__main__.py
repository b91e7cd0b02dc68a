"""``python -m tests.simulate --seeds A:B`` runs many seeds, ``--seed N -v`` replays one."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from simulate.run import TODAY, Outcome, Simulator
from simulate.world import GROUPS

_AT_ONCE = 200


def failures(first: int, last: int, groups: frozenset[str]) -> list[Outcome]:
    """The outcomes of the seeds that failed."""
    with Simulator(groups) as simulator:
        return [outcome for seed in range(first, last) if (outcome := simulator.run(seed)).failure]


def report(outcome: Outcome) -> None:
    """What happened, and what was wrong."""
    print(f"seed {outcome.seed}")
    for line in outcome.schedule:
        print(f"    {line}")
    print(f"  {'nothing was wrong' if outcome.failure is None else f'WRONG: {outcome.failure}'}", flush=True)


def run_range(first: int, last: int, jobs: int, groups: frozenset[str]) -> int:
    """Run them all; how many failed."""
    started, failed = time.monotonic(), 0
    starts = range(first, last, _AT_ONCE)
    with ProcessPoolExecutor(jobs) as pool:
        parts = pool.map(
            failures, starts, [min(start + _AT_ONCE, last) for start in starts], [groups] * len(starts)
        )
        for number, part in enumerate(parts, start=1):
            for outcome in part:
                report(outcome)
            failed += len(part)
            if number % 25 == 0:
                print(f"{min(number * _AT_ONCE, last - first):,} seeds, {failed} failed", flush=True)
    seconds = time.monotonic() - started
    each = seconds * jobs / max(1, last - first) * 1000
    print(f"seeds {first} to {last - 1}: {failed} failed; {seconds:.0f} s, {each:.0f} ms a seed")
    return failed


def main() -> int:
    """Exit code 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate", description=__doc__)
    parser.add_argument("--seeds", default="0:500", help="first and last + 1, such as 0:100000")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("-v", action="store_true", help="print what happens in it")
    parser.add_argument("-j", type=int, default=1, help="processes")
    parser.add_argument("--groups", default="", help=f"rules to add (+x) or leave out (-x): {sorted(GROUPS)}")
    options = parser.parse_args()
    groups = set(TODAY)
    for word in options.groups.split(","):
        (groups.add if word[:1] == "+" else groups.discard)(word[1:])
    if options.seed is not None:
        with Simulator(groups) as simulator:
            outcome = simulator.run(options.seed)
        if options.v or outcome.failure:
            report(outcome)
        return int(outcome.failure is not None)
    first, _, last = options.seeds.partition(":")
    return int(run_range(int(first), int(last), options.j, frozenset(groups)) > 0)


if __name__ == "__main__":
    sys.exit(main())
