"""``make crash``: every crash and every failing call of the workloads, then the killed writers."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash import kill, threads
from crash.sweep import sweep_crashes, sweep_failures
from crash.workload import STEPS

WAYS = 8


def main() -> None:
    """Stops at the first thing that is lost."""
    total: Counter[str] = Counter()
    for which in STEPS:
        with tempfile.TemporaryDirectory() as folder:
            total["crash"] += sweep_crashes(Path(folder), which, ways=WAYS)
        with tempfile.TemporaryDirectory() as folder:
            total += sweep_failures(Path(folder), which)
        print(f"{which}: {', '.join(f'{count:,} × {what}' for what, count in total.items())}", flush=True)
    threads.main()
    kill.main()


if __name__ == "__main__":
    main()
