"""What ``benchmarks.memory`` measures, in a process of its own that imports nothing else.

``python -m benchmarks.memory_work STORE FOLDER`` runs it.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

ROWS, COMMITS, WIDTH = 20_000, 20, 560


def stage(name: str) -> None:
    """Print the peak of the resident memory since the last call, and what of it is anonymous now, in KiB.

    Begin again.
    """
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status if ":" in line)
    print(name, *(int(lines[field].split()[0]) for field in ("VmHWM", "RssAnon")), sep="\t", flush=True)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def texts() -> Iterator[str]:
    """Texts of WIDTH letters from a vocabulary of 3,000 words, the same in every run."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(3000)]
    while True:
        bodies: list[str] = []
        length = 0
        while length < WIDTH:
            bodies.append(words[int(chance.random() ** 2 * 3000)])
            length += len(bodies[-1]) + 1
        yield " ".join(bodies)[:WIDTH]


def work(store: str, folder: str) -> None:
    """The stages with one store, in this process: a profile, or ``sqlite3``."""
    bodies = texts()
    next(bodies)
    run, many, vacuum, checkpoint = _native(folder) if store == "sqlite3" else _ours(store, folder)
    stage("empty table")
    step = ROWS // COMMITS
    for first in range(0, ROWS, step):
        run("BEGIN")
        many("INSERT INTO t(id, body) VALUES (?, ?)", ((first + row, next(bodies)) for row in range(step)))
        run("COMMIT")
    stage("commits")
    run(checkpoint)
    stage("checkpoint")
    for name, query in (
        ("count", "SELECT count(*) FROM t"),
        ("filter", "SELECT count(*) FROM t WHERE body LIKE '%abc%'"),
        ("row", "SELECT * FROM t WHERE id = 777"),
    ):
        assert run(query).fetchall()
        stage(name)
    run(vacuum)
    stage("vacuum")


def _ours(profile: str, folder: str) -> tuple[Callable[..., Any], Callable[..., Any], str, str]:
    import apsw

    import audiomem_sql

    con = apsw.Connection(":memory:")
    audiomem_sql.register(con)
    stage("imports")
    con.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('{folder}/t.flac', "
        f"id INTEGER PRIMARY KEY, body TEXT, profile={profile})"
    )
    return (
        con.execute,
        con.executemany,
        "INSERT INTO t(t) VALUES ('vacuum')",
        "INSERT INTO t(t) VALUES ('checkpoint')",
    )


def _native(folder: str) -> tuple[Callable[..., Any], Callable[..., Any], str, str]:
    import sqlite3

    con = sqlite3.connect(f"{folder}/t.db", isolation_level=None)
    con.execute("PRAGMA journal_mode=WAL")
    stage("imports")
    con.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body TEXT) STRICT")
    return con.execute, con.executemany, "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2])
