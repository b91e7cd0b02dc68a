"""What a statement costs beside its rows: ``python -m benchmarks.statements``.

Planning joins of 8 to 64 tables, CREATE, DROP and a commit of one row, each by the loadable extension, by the
table that is written in Python, and by SQLite's own tables on the same rows, in one run.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import apsw

import audiomem_sql as am

ROWS = 1_000
ROUNDS = 7
DOORS = {"SQLite": None, "extension": "on", "python": "off"}


def connected(folder: Path, door: str) -> apsw.Connection:
    """A connection to a database of its own, which waits for the disk at every commit."""
    database = folder / f"{door}.db"
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA synchronous=FULL")
    if DOORS[door] is not None:
        os.environ["AUDIOMEM_EXTENSION"] = str(DOORS[door])
        am.register(connection)
    return connection


def create(door: str, name: str, folder: Path) -> str:
    """The statement that creates a table."""
    columns = "id INTEGER PRIMARY KEY, x INTEGER, s TEXT"
    if DOORS[door] is None:
        return f"CREATE TABLE {name}({columns}) STRICT"
    path = folder / f"{door}_{name}.flac"
    return f"CREATE VIRTUAL TABLE {name} USING audiomem('{path}', {columns}, protection=none)"


def chain(count: int) -> str:
    """Each table leads to the next one's key."""
    conditions = " AND ".join(f"a{n}.x = a{n + 1}.id" for n in range(count - 1))
    return (
        f"SELECT count(*) FROM {', '.join(f't a{n}' for n in range(count))} WHERE {conditions} AND a0.id = 5"
    )


def star(count: int) -> str:
    """One table leads to the keys of all others."""
    joins = " ".join(f"JOIN t a{n} ON a{n}.id = a0.x" for n in range(1, count))
    return f"SELECT count(*) FROM t a0 {joins}"


def least(work: Callable[[], object]) -> float:
    """Milliseconds, the least of some rounds."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times) * 1e3


def planning(connections: dict[str, apsw.Connection]) -> None:
    """EXPLAIN QUERY PLAN of joins; each statement is another text, so that none is kept prepared."""
    comments = itertools.count()
    print("\nplanning, ms and × SQLite")
    for name, query in (("chain", chain), ("star", star)):
        for count in (8, 16, 32, 64):
            sql = f"EXPLAIN QUERY PLAN {query(count)}"
            times = {
                door: least(lambda con=con, sql=sql: con.execute(f"{sql} -- {next(comments)}").fetchall())
                for door, con in connections.items()
            }
            told(f"{name} of {count}", times)


def told(what: str, times: dict[str, float]) -> None:
    """A line."""
    native = times["SQLite"]
    print(f"{what:<24}" + "".join(f"{door:>12} {ms:8.3f} {ms / native:6.2f}" for door, ms in times.items()))


def statements(connections: dict[str, apsw.Connection], folder: Path, journal: str) -> None:
    """CREATE, DROP and commits, medians of alternating rounds."""
    print(f"\njournal_mode={journal}, synchronous=FULL: ms and × SQLite")
    for con in connections.values():
        con.execute(f"PRAGMA journal_mode={journal}").fetchall()
    times: dict[str, dict[str, list[float]]] = {
        what: {door: [] for door in connections} for what in ("create", "drop", "insert")
    }
    for number in range(40):
        for door, con in connections.items():
            name = f"x{journal}{number}"
            for what, sql in (
                ("create", create(door, name, folder)),
                ("drop", f"DROP TABLE {name}"),
                ("insert", f"INSERT INTO t VALUES ({ROWS + number + (journal == 'wal') * 1000}, 1, 'a row')"),
            ):
                started = time.perf_counter()
                con.execute(sql).fetchall()
                times[what][door].append((time.perf_counter() - started) * 1e3)
    for what, by_door in times.items():
        told(what, {door: statistics.median(values[1:]) for door, values in by_door.items()})


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="where the files are, by default a temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        connections = {door: connected(folder, door) for door in DOORS}
        for door, con in connections.items():
            con.execute(create(door, "t", folder))
            with con:
                con.executemany("INSERT INTO t VALUES (?, ?, ?)", [(n, n % 50, f"s{n}") for n in range(ROWS)])
        planning(connections)
        for journal in ("delete", "wal"):
            statements(connections, folder, journal)
        for con in connections.values():
            con.close()


if __name__ == "__main__":
    main()
