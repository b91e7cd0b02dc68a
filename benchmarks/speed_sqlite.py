"""Rows of ``benchmarks.speed`` that SQLite answers, over a FLAC file and over tables of its own."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED
from benchmarks.__main__ import SCANS
from benchmarks.doors import inserted
from benchmarks.speed_duckdb import first_or_again
from benchmarks.speed_goals import Figure
from benchmarks.speed_setting import Setting, put, sqlite_table
from benchmarks.timing import in_turns, once

ASKED = {
    "top ten, SQLite": ("SELECT * FROM t ORDER BY created_at DESC, id DESC LIMIT 10", ("first", "again")),
    "sum(length(body)), SQLite": (SCANS["sum(length(body))"], ("first",)),
    "LIKE, SQLite": (SCANS["LIKE '%kernel%'"], ("first", "again")),
    "range of ids, SQLite": ("", ("first",)),
}
LOOKUPS, INSERTS = 2000, 20_000
CITIES = ("Lima", "Oslo", "Paris", "Quito")
#: How often the city is asked for: the index on keys is made at the fourth lookup.
AGAIN = 12


def queries(setting: Setting) -> dict[str, Figure]:
    """Whole columns, LIKE, the ten newest rows, and a hundred rows one after another."""
    figures = {}
    for what, (sql, kinds) in ASKED.items():
        middle = setting.rows // 2
        asked = sql or f"SELECT id, body FROM t WHERE id BETWEEN {middle} AND {middle + 99}"
        for kind in kinds:
            times = first_or_again(setting.ours, setting.sqlite, asked, setting.repeat, kind)
            figures[f"{what}, {kind}"] = Figure(times["ours"], times["peer"])
    return figures


def lookups(setting: Setting) -> dict[str, Figure]:
    """Rows by id, one statement each, in one connection."""
    keys = random.Random(0).choices(range(1, setting.rows + 1), k=LOOKUPS)
    memory = sqlite_table(":memory:")
    put(memory, setting.values)
    SHARED.clear()
    setting.ours.open()
    setting.sqlite.open()
    doors = {"ours": setting.ours.connection, "file": setting.sqlite.connection, "memory": memory}

    def asked(connection: apsw.Connection) -> Callable[[], list[Any]]:
        sql = "SELECT title FROM t WHERE id = ?"
        return lambda: [connection.execute(sql, (key,)).fetchall() for key in keys]

    times = in_turns({name: asked(connection) for name, connection in doors.items()}, setting.repeat)
    for connection in doors.values():
        connection.close()
    return {f"rows by id, {peer}": Figure(times["ours"], times[peer]) for peer in ("file", "memory")}


def inserts(setting: Setting) -> dict[str, Figure]:
    """Many INSERTs of small rows in one transaction."""
    count = min(INSERTS, setting.rows)
    times: dict[str, list[float]] = {"native": [], "extension": []}
    for turn in range(setting.repeat):
        folder = setting.place(f"inserts{turn}")
        for name, each in times.items():
            connection = apsw.Connection(":memory:")
            am.register(connection)
            each.append(inserted(connection, name, folder, count) * 1e3)
            connection.close()
    return {"INSERTs in one commit": Figure(min(times["extension"]), min(times["native"]))}


def cities(setting: Setting) -> dict[str, Figure]:
    """A row of a frequent city, the first time and again, of twice as many rows as the big table has."""
    count = 2 * setting.big
    chance = np.random.default_rng(0)
    rows = pa.table(
        {
            "id": pa.array(range(1, count + 1), pa.int64()),
            "city": pa.array(CITIES).take(pa.array(chance.integers(0, len(CITIES), count))),
            "x": chance.integers(0, 1000, count),
        }
    )
    folder = setting.place("cities")
    am.write_flac(rows, folder / "t.flac", primary_key="id").close()
    native = apsw.Connection(str(folder / "t.sqlite"))
    native.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, city TEXT, x INTEGER) STRICT")
    with native:
        columns = (rows[name].to_pylist() for name in rows.column_names)
        native.executemany("INSERT INTO t VALUES (?, ?, ?)", zip(*columns, strict=True))
    native.close()
    figures = {"ours": _asked_again(folder / "t.flac"), "SQLite": _asked_again(folder / "t.sqlite")}
    ours, peer = figures.values()
    others = {
        "ours, first, ms": ours["first"],
        "ours, slowest again, ms": ours["slowest"],
        "SQLite, first, ms": peer["first"],
    }
    return {
        "city again / first": Figure(ours["again"] / ours["first"], peer["again"] / peer["first"], others)
    }


def _asked_again(path: Path) -> dict[str, float]:
    """Milliseconds of the first time, and of the other times the median and the most."""
    _asked(path)  # imports what it needs
    return _asked(path)


def _asked(path: Path) -> dict[str, float]:
    SHARED.clear()
    connection = am.connect(path) if path.suffix == ".flac" else apsw.Connection(str(path))
    sql = "SELECT * FROM t WHERE city = 'Paris' LIMIT 1"
    first, *again = (once(lambda: connection.execute(sql).fetchall()) * 1e3 for _ in range(AGAIN))
    connection.close()
    return {"first": first, "again": statistics.median(again), "slowest": max(again)}
