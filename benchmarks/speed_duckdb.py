"""Rows of ``benchmarks.speed`` that DuckDB answers: over a dataset, over the extension, over Parquet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED
from benchmarks.__main__ import SCANS
from benchmarks.analysis import QUERIES, sources_of, top_of
from benchmarks.speed_goals import Figure
from benchmarks.speed_setting import Setting
from benchmarks.timing import in_turns

DOORS = ("dataset", "extension", "parquet")
#: How a row begins, the query that it asks, and whether it is asked again with what the caches keep.
ASKED = (
    ("all text", "aggregate over text", True),
    ("LIKE", "LIKE on text", True),
    ("group by", "group by", True),
    ("join", "join", False),
    ("top ten", "top-k", False),
)


@contextmanager
def connected(ours: Path, parquet: Path, sources: Any, threads: int) -> Iterator[dict[str, Any]]:
    """A connection a door, in which the tables are called t and sources."""
    config = {"threads": threads, "allow_unsigned_extensions": "true"}
    connections = {door: duckdb.connect(config=config) for door in DOORS}
    for connection in connections.values():
        connection.register("sources_arrow", sources)
        connection.execute("CREATE TABLE sources AS FROM sources_arrow")
    am.attach(connections["dataset"], ours, "t")
    am.register_duckdb(connections["dataset"])
    am.load(connections["extension"])
    connections["extension"].execute(f"CREATE VIEW t AS FROM '{ours}'")
    connections["parquet"].execute(f"CREATE VIEW t AS FROM '{parquet}'")
    try:
        yield connections
    finally:
        for connection in connections.values():
            connection.close()


def cold_or_warm(
    asks: dict[str, Callable[[], Any]], connections: list[Any], repeat: int, kind: str
) -> dict[str, float]:
    """Milliseconds: cold with no block decoded and DuckDB's cache of files off, warm with both."""
    for connection in connections:
        connection.execute(f"SET enable_external_file_cache = {str(kind == 'warm').lower()}")
    if kind == "warm":
        in_turns(asks, 1)
        return in_turns(asks, repeat)
    return in_turns(asks, repeat, SHARED.clear)


def scans(setting: Setting) -> dict[str, Figure]:
    """All text, LIKE, group by, join and the ten newest rows of the big table."""
    ours, parquet = setting.scanned
    numbers = itertools.count(1)
    figures: dict[str, Figure] = {}
    with connected(ours, parquet, sources_of(setting.tiled), setting.threads) as doors:
        for what, label, again in ASKED:
            asks: dict[str, Callable[[], Any]] = {
                name: partial(_answer, door, QUERIES[label]) for name, door in doors.items()
            }
            if what == "top ten":
                asks["audiomem_top"] = lambda: _answer(doors["dataset"], top_of(ours, next(numbers)))
            for kind in ("cold", "warm") if again else ("cold",):
                times = cold_or_warm(asks, list(doors.values()), setting.repeat, kind)
                for name in asks.keys() - {"parquet"}:
                    row = f"{what}, {name}" if what == "top ten" else f"{what}, {name}, {kind}"
                    figures[row] = Figure(times[name], times["parquet"])
    return figures


def _answer(connection: Any, sql: str) -> Any:
    return connection.execute(sql).fetchall()


def indexed_like(setting: Setting) -> dict[str, Figure]:
    """LIKE on a column that is INDEXED, through ``audiomem_scan`` beside Parquet, and in SQLite."""
    path, store = setting.indexed.path, setting.indexed
    setting.parquet.open()
    ours = duckdb.connect(config={"threads": setting.threads})
    am.register_duckdb(ours)
    scan = f"SELECT count(*) FROM audiomem_scan('{path}', filter := 'body LIKE ''%kernel%''')"
    like = SCANS["LIKE '%kernel%'"]
    doors = [ours, setting.parquet.connection]
    setting.parquet.connection.execute(f"SET threads = {setting.threads}")
    figures = {}
    asks = {"ours": partial(_answer, ours, scan), "peer": lambda: [setting.parquet.query(like)]}
    for kind in ("cold", "warm"):
        times = cold_or_warm(asks, doors, setting.repeat, kind)
        figures[f"LIKE of INDEXED, audiomem_scan, {kind}"] = Figure(times["ours"], times["peer"])
    ours.close()
    setting.parquet.close()
    for kind in ("first", "again"):
        times = first_or_again(store, setting.sqlite, like, setting.repeat, kind)
        figures[f"LIKE of INDEXED, SQLite, {kind}"] = Figure(times["ours"], times["peer"])
    return figures


def first_or_again(ours: Any, peer: Any, sql: str, repeat: int, kind: str) -> dict[str, float]:
    """Milliseconds of a query in two stores: in connections that are new, or that have answered it."""
    least: dict[str, float] = {}
    for _ in range(repeat if kind == "first" else 1):
        SHARED.clear()
        ours.open()
        peer.open()
        asks = {"ours": lambda: _all(ours, sql), "peer": lambda: _all(peer, sql)}
        times = in_turns(asks, 1)
        if kind == "again":
            times = in_turns(asks, repeat)
        ours.close()
        peer.close()
        least = {
            name: min(milliseconds, least.get(name, milliseconds)) for name, milliseconds in times.items()
        }
    return least


def _all(store: Any, sql: str) -> Any:
    return store.connection.execute(sql).fetchall()
