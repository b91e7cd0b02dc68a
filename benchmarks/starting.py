"""What it takes until the first row, and the next: ``python -m benchmarks.starting``.

Processes that end at once, in ms of processor time, which other processes disturb least: Python alone, with
numpy and pyarrow, with this package, with a connection that knows it, and with a row of a table; the shell of
SQLite alone, behind ``.load``, and with a row. Then, in one process that has opened the table before: opening
it, the first row with its text, a search by words at first, and again. Bytecode is there, as pip leaves it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import audiomem_sql as am
from audiomem_sql.loadable import loadable_path

#: Rows of the table, and words of a text.
ROWS, WORDS = 20_000, 60
CONNECTED = "import apsw, audiomem_sql; c = apsw.Connection(':memory:'); audiomem_sql.register(c)"
TABLE = "CREATE VIRTUAL TABLE t USING audiomem('{path}')"
ROW = "SELECT * FROM t LIMIT 1"


def make(path: str) -> None:
    """The table: texts of a vocabulary of 5,000 words."""
    chance = random.Random(1)
    vocabulary = [
        "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=length % 8 + 3)) for length in range(5000)
    ]
    rows = (
        {"id": number, "body": " ".join(vocabulary[int(chance.random() ** 2 * 5000)] for _ in range(WORDS))}
        for number in range(ROWS)
    )
    with am.create(path, ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"]) as table:
        table.append(list(rows))
        table.vacuum()


def processes(path: str) -> dict[str, list[str]]:
    """The commands that are timed, by what they show."""
    python = [sys.executable, "-c"]
    shell = ["sqlite3", "-batch", "-init", os.devnull, ":memory:"]
    loaded = [*shell, "-cmd", f".load {loadable_path()}"]
    statement = TABLE.format(path=path)
    found = f"{CONNECTED}; c.execute({statement!r}); c.execute({ROW!r}).fetchall()"
    return {
        "python": [*python, "pass"],
        "numpy, pyarrow": [*python, "import numpy, pyarrow"],
        "import audiomem_sql": [*python, "import audiomem_sql"],
        "register": [*python, CONNECTED],
        "first row": [*python, found],
        "sqlite3": [*shell, "SELECT 1"],
        ".load": [*loaded, "SELECT 1"],
        ".load, first row": [*loaded, statement, ROW],
    }


def of_process(command: list[str], rounds: int, bytecode: str) -> list[float]:
    """Milliseconds of processor time of each round, the first of which compiles and is left out."""
    environment = dict(os.environ, PYTHONPYCACHEPREFIX=bytecode)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    taken = []
    for _ in range(rounds + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
    return taken[1:]


def calls(path: str, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time in this process."""
    taken: dict[str, list[float]] = {
        "open": [],
        "first row with text": [],
        "first search": [],
        "search again": [],
    }

    def timed(name: str, call: Callable[[], object]) -> None:
        start = time.process_time_ns()
        call()
        taken[name].append((time.process_time_ns() - start) / 1e6)

    with am.open(path) as table:
        queries = itertools.cycle(
            " ".join(text.split()[:2]) for text in table.to_arrow(["body"])["body"].to_pylist()[:50]
        )
    for _ in range(rounds):
        opened: list[am.Table] = []
        timed("open", lambda opened=opened: opened.append(am.open(path)))
        (table,) = opened
        with table:
            timed("first row with text", lambda table=table: table.head(1))
            for name in ("first search", "search again"):
                query = next(queries)
                timed(name, lambda table=table, query=query: table.search(query, column="body", k=10))
    return taken


def main() -> None:
    """Print a table of medians and least figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print("| what | median ms | least ms |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.flac")
        make(path)
        for name, command in processes(path).items():
            if shutil.which(command[0]) is not None:
                _show(name, of_process(command, rounds, os.path.join(folder, "bytecode")))
        for name, taken in calls(path, 4 * rounds).items():
            _show(name, taken)


def _show(name: str, taken: list[float]) -> None:
    print(f"| {name} | {statistics.median(taken):.2f} | {min(taken):.2f} |", flush=True)


if __name__ == "__main__":
    main()
