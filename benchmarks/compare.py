"""Compare a change with its base in one run: ``python -m benchmarks.compare --base REVISION``.

The base is checked out beside, and the same short kernels (:mod:`benchmarks.kernels`) run in both trees, with
the same Python. What is compared are the instructions that the processor would execute, counted by valgrind's
callgrind: they differ by less than a percent from run to run, also on a busy machine. They leave out waiting:
for the disk, for memory, for other threads. With ``--times``, or where there is no valgrind, both trees take
turns, and the median of the ratios of their times is compared.

Exits with 1 if a kernel costs more than 10 % more than in the base.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KERNELS = Path(__file__).with_name("kernels.py")
#: A kernel may cost this many times what it cost before.
LIMIT = 1.10
ROUNDS = 31
#: Without these, times are compared.
VALGRIND = ("valgrind", "gcc")

_REQUESTS = """
#include <valgrind/callgrind.h>
void begin(void) { CALLGRIND_START_INSTRUMENTATION; CALLGRIND_ZERO_STATS; }
void end(const char *name) {
  CALLGRIND_DUMP_STATS_AT(name);
  CALLGRIND_ZERO_STATS;
  CALLGRIND_STOP_INSTRUMENTATION;
}
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one kernel, before and after the change. unit: ``instructions``, or ``seconds``."""

    kernel: str
    base: float
    change: float
    ratio: float

    @property
    def slower(self) -> bool:
        """Whether the change costs more than it may."""
        return self.ratio > LIMIT


def by_counts(base: Mapping[str, int], change: Mapping[str, int]) -> list[Cost]:
    """The kernels that both have, in the order of the change's."""
    return [Cost(name, base[name], n, n / base[name]) for name, n in change.items() if base.get(name)]


def by_times(times: Mapping[str, Sequence[tuple[float, float]]]) -> list[Cost]:
    """From pairs of seconds (base, change) that were measured together: medians, and the median of ratios."""
    return [
        Cost(
            name,
            statistics.median(before for before, _ in pairs),
            statistics.median(after for _, after in pairs),
            statistics.median(after / before for before, after in pairs),
        )
        for name, pairs in times.items()
    ]


def report(costs: Sequence[Cost], unit: str) -> str:
    """A line for each kernel, and one that says what it comes to."""
    shown = [f"{'kernel':<22}{'base':>14}{'change':>14}{'ratio':>8}   ({unit})"]
    for cost in costs:
        figures = [f"{cost.base * 1e3:.3f} ms", f"{cost.change * 1e3:.3f} ms"]
        if unit == "instructions":
            figures = [f"{cost.base / 1e6:.2f} M", f"{cost.change / 1e6:.2f} M"]
        mark = "   slower" if cost.slower else ""
        shown.append(f"{cost.kernel:<22}{figures[0]:>14}{figures[1]:>14}{cost.ratio:>8.3f}{mark}")
    slower = [cost.kernel for cost in costs if cost.slower]
    limit = f"{LIMIT - 1:.0%}"
    shown.append(
        f"more than {limit} slower: {', '.join(slower)}" if slower else f"none is more than {limit} slower"
    )
    return "\n".join(shown)


@contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """A tree of ``revision`` in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="audiomem-base-") as folder:
        tree = Path(folder) / "base"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def environment(tree: Path) -> dict[str, str]:
    """For a Python that imports ``audiomem_sql`` of ``tree``, and does the same in every run."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0"}


def start(tree: Path, command: Sequence[str], **options: object) -> subprocess.Popen[str]:
    """Start the kernels of ``tree``."""
    return subprocess.Popen(command, env=environment(tree), cwd=tree, text=True, **options)  # type: ignore[call-overload, no-any-return]


def compile_all(tree: Path) -> None:
    """Write the bytecode, so that it is read in both trees."""
    start(tree, [sys.executable, "-c", "import audiomem_sql as a; a.open, a.Table"]).wait()


def counts(trees: Sequence[Path], folder: Path) -> list[dict[str, int]]:
    """Instructions of every kernel in every tree; the trees side by side."""
    library = folder / "requests.so"
    source = library.with_suffix(".c")
    source.write_text(_REQUESTS)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    running = []
    for number, tree in enumerate(trees):
        compile_all(tree)
        data, out = folder / f"data{number}", folder / f"out{number}"
        data.mkdir()
        out.mkdir()
        python = [sys.executable, str(KERNELS), "count", str(data), str(library)]
        tool = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={out}/counts"]
        with (out / "log").open("w") as log:
            running.append((out, start(tree, [*tool, *python], stdout=log, stderr=log)))
    for out, process in running:
        if process.wait():
            raise SystemExit(f"the kernels failed:\n{(out / 'log').read_text()}")
    return [dumped(out) for out, _ in running]


def dumped(folder: Path) -> dict[str, int]:
    """What callgrind has counted, by the name that each dump was asked for with."""
    found = {}
    for path in sorted(folder.glob("counts.*"), key=lambda path: int(path.name.rpartition(".")[2])):
        text = path.read_text()
        trigger = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if trigger and total and trigger[1].strip() != "nothing":
            found[trigger[1].strip()] = int(total[1])
    return found


def times(trees: Sequence[Path], folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Pairs of seconds (base, change) of every kernel; the trees take turns at being first."""
    with ExitStack() as stack:
        processes = []
        for number, tree in enumerate(trees):
            data = folder / f"data{number}"
            data.mkdir()
            command = [sys.executable, str(KERNELS), "time", str(data)]
            process = start(tree, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.stdin.close)  # type: ignore[union-attr]
            processes.append(process)

        heads = [process.stdout.readline().rstrip("\n").split("\t") for process in processes]  # type: ignore[union-attr]
        if not all(len(head) > 1 for head in heads):
            raise SystemExit("the kernels failed")
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in heads[0][:-1]}
        doubtful = list(measured)
        for _ in range(3):  # what seems to be slower is measured again
            for number in range(ROUNDS):
                for name in doubtful:
                    pair = [0.0, 0.0]
                    for which in (0, 1) if number % 2 else (1, 0):
                        print(name, file=processes[which].stdin, flush=True)
                        pair[which] = float(processes[which].stdout.readline())  # type: ignore[union-attr]
                    measured[name].append((pair[0], pair[1]))
            doubtful = [cost.kernel for cost in by_times(measured) if cost.slower]
        return measured


def main() -> int:
    """Compare; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("--base", required=True, help="the revision to compare this tree with")
    parser.add_argument("--times", action="store_true", help="compare times, not instructions")
    arguments = parser.parse_args()
    lacking = [program for program in VALGRIND if shutil.which(program) is None]
    if lacking and not arguments.times:
        print(f"{' and '.join(lacking)} not installed: comparing times, which are less sure")
    with checked_out(arguments.base) as base, tempfile.TemporaryDirectory(prefix="audiomem-compare-") as name:
        trees, folder = (base, ROOT), Path(name)
        if arguments.times or lacking:
            costs, unit = by_times(times(trees, folder)), "times"
        else:
            costs, unit = by_counts(*counts(trees, folder)), "instructions"
    print(report(costs, unit))
    if not costs:
        print("nothing was measured")
    return int(not costs or any(cost.slower for cost in costs))


if __name__ == "__main__":
    raise SystemExit(main())
