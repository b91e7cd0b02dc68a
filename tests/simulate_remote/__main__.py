"""``python -m tests.simulate_remote --seeds A:B`` runs many seeds, ``--seed N -v`` replays one."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from simulate_remote.run import Outcome, run

_AT_ONCE = 200


def run_range(first: int, last: int) -> tuple[list[Outcome], int, int, int]:
    """The outcomes that failed; commits acknowledged, replies lost and processes killed in all."""
    outcomes = [run(seed) for seed in range(first, last)]
    failed = [outcome for outcome in outcomes if outcome.failure]
    totals = zip(*((each.acknowledged, each.settled, each.kills) for each in outcomes), strict=True)
    acknowledged, lost, kills = map(sum, totals)
    return failed, acknowledged, lost, kills


def report(outcome: Outcome) -> None:
    """What happened, and what was wrong."""
    print(f"seed {outcome.seed}")
    for line in outcome.log:
        print(f"    {line}")
    print(f"  {'nothing was wrong' if outcome.failure is None else f'WRONG: {outcome.failure}'}", flush=True)


def main() -> int:
    """Exit code 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulate_remote", description=__doc__)
    parser.add_argument("--seeds", default="0:500", help="first and last + 1, such as 0:10000")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("-v", action="store_true", help="print what happens in it")
    parser.add_argument("-j", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.seed is not None:
        outcome = run(options.seed)
        if options.v or outcome.failure:
            report(outcome)
        return int(outcome.failure is not None)
    first, last = map(int, options.seeds.split(":"))
    started, totals, failed = time.monotonic(), [0, 0, 0], 0
    starts = range(first, last, _AT_ONCE)
    with ProcessPoolExecutor(options.j) as pool:
        parts = pool.map(run_range, starts, [min(start + _AT_ONCE, last) for start in starts])
        for failures, *counts in parts:
            for outcome in failures:
                report(outcome)
            failed += len(failures)
            totals = [total + count for total, count in zip(totals, counts, strict=True)]
    seconds = time.monotonic() - started
    print(
        f"seeds {first} to {last - 1}: {failed} failed; {totals[0]:,} commits acknowledged, {totals[1]:,} "
        f"replies lost or sent twice, {totals[2]:,} kills; {seconds:.0f} s"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
