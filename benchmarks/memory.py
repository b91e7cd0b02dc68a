"""Memory of a process that writes and reads a small table, by profile: ``python -m benchmarks.memory``.

20,000 rows of 560 bytes in twenty commits through SQL, then a checkpoint, three queries (``count(*)``, LIKE,
a row by its key) and a vacuum. Each profile, and SQLite's own module on a table of its own, in a process of
its own. Figures are MiB over a bare Python: the peak of the resident memory in each stage (VmHWM, which Linux
lets a process set back), and in brackets that part of what is resident at its end that no file stands behind:
the rest is pages of libraries, which the system takes back when it needs them. Linux only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WHAT = """
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print("bare", *(int(lines[what].split()[0]) for what in ("VmHWM", "RssAnon")), sep="\\t")
"""
PROFILES = ("embedded", "mobile", "desktop", "server")
STAGES = ("imports", "empty table", "commits", "checkpoint", "count", "filter", "row", "vacuum")


def measured(store: str) -> dict[str, tuple[float, float]]:
    """Of each stage with ``store``, in a process of its own, the two figures in MiB over a bare Python."""
    peak, own = figures_of("-c", WHAT)["bare"]
    with tempfile.TemporaryDirectory() as folder:
        work = "-m", "benchmarks.memory_work", store
        first, second, bytecode = (os.path.join(folder, name) for name in ("first", "second", "bytecode"))
        for place in (first, second):
            os.mkdir(place)
        figures_of(*work, first, bytecode=bytecode)  # compiles, which takes memory
        stages = figures_of(*work, second, bytecode=bytecode)
    return {name: (most - peak, anonymous - own) for name, (most, anonymous) in stages.items()}


def figures_of(*arguments: str, bytecode: str | None = None) -> dict[str, tuple[float, float]]:
    """What Python prints with these arguments: a name and two figures in KiB a line; here in MiB.

    bytecode: the folder where it keeps what it compiled, as an installed package has it.
    """
    root = Path(__file__).parent.parent
    environment = dict(os.environ)
    if bytecode is not None:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=root, env=environment
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return {name: (int(most) / 1024, int(anonymous) / 1024) for name, most, anonymous in lines}


def main() -> None:
    """One process for each profile and for SQLite, and a table of what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", nargs="*", default=PROFILES)
    arguments = parser.parse_args()
    print("| MiB over a bare Python | " + " | ".join(STAGES) + " | peak |")
    print("|---" * (len(STAGES) + 2) + "|")
    for store in (*arguments.profiles, "sqlite3"):
        figures = measured(store)
        cells = [f"{peak:.1f} ({anonymous:.1f})" for peak, anonymous in (figures[stage] for stage in STAGES)]
        print(
            f"| {store} | " + " | ".join(cells) + f" | {max(peak for peak, _ in figures.values()):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
