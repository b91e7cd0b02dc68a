"""Rows of ``benchmarks.speed`` that are about the first answer: of a table, a search, the sqlite3 shell."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import numpy as np

import audiomem_sql as am
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.table.table import Table
from benchmarks.doors import start_up
from benchmarks.keywords import kinds
from benchmarks.scale_measured import TEXTS, given_vectors
from benchmarks.speed_goals import Figure
from benchmarks.speed_setting import Setting
from benchmarks.stores import DuckDB
from benchmarks.timing import once

#: Each of these is cheap, and is measured more often than a query.
TURNS = 9


def least(measure: dict[str, Callable[[], float]], turns: int = TURNS) -> dict[str, float]:
    """Of functions that give seconds, in turns, the least of each in milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in measure}
    for _ in range(turns):
        for name, take in measure.items():
            times[name].append(take() * 1e3)
    return {name: min(each) for name, each in times.items()}


def opening(setting: Setting) -> dict[str, Figure]:
    """Opening, and then the first row with its text, beside DuckDB's own file."""
    path, duck = setting.ours.path, DuckDB(setting.folder / "duckdb")
    duck.load(setting.texts)
    key = setting.rows // 2

    def ours() -> float:
        SHARED.clear()
        tables: list[Table] = []
        seconds = once(lambda: tables.append(am.open(path)))
        tables[0].close()
        return seconds

    def theirs() -> float:
        seconds = once(duck.open)
        duck.close()
        return seconds

    def first_row(store: Any) -> Callable[[], float]:
        def take() -> float:
            store.open()
            seconds = once(lambda: store.get(key))
            store.close()
            return seconds

        return take

    opens = least({"ours": ours, "peer": theirs})
    SHARED.clear()
    rows = least({"ours": first_row(setting.ours), "peer": first_row(duck)})
    return {
        "open": Figure(opens["ours"], opens["peer"]),
        "first row with its text": Figure(rows["ours"], rows["peer"]),
    }


def words(setting: Setting) -> dict[str, Figure]:
    """A search for one word in a connection that is new, and for two words again, beside FTS5."""
    asked = kinds(setting.texts["body"].combine_chunks())
    one, two = asked["one word"][0], asked["two words"][0]
    native = setting.place("fts5") / "t.sqlite"
    connection = apsw.Connection(str(native))
    connection.execute("CREATE VIRTUAL TABLE t USING fts5(body)")
    with connection:
        rows = ((row[0], row[4]) for row in setting.values)
        connection.executemany("INSERT INTO t(rowid, body) VALUES (?, ?)", rows)
    connection.execute("INSERT INTO t(t) VALUES ('optimize')")
    connection.close()
    sql = "SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank LIMIT 10"
    stores = {
        "ours": (lambda: am.connect(setting.indexed.path), f"keyword: {one}", f"keyword: {two}"),
        "peer": (lambda: apsw.Connection(str(native)), one, two),
    }

    def first(name: str) -> Callable[[], float]:
        opened, query, _ = stores[name]

        def take() -> float:
            SHARED.clear()
            connection = opened()
            seconds = once(lambda: connection.execute(sql, (query,)).fetchall())
            connection.close()
            return seconds

        return take

    times = least({name: first(name) for name in stores})
    figures = {"first search by words": Figure(times["ours"], times["peer"])}
    connections = {name: opened() for name, (opened, _, _) in stores.items()}
    times = least(
        {
            name: lambda c=connection, q=stores[name][2]: once(lambda: c.execute(sql, (q,)).fetchall())
            for name, connection in connections.items()
        },
        5 * TURNS,
    )
    for connection in connections.values():
        connection.close()
    return figures | {"two words again": Figure(times["ours"], times["peer"])}


def vectors(setting: Setting) -> dict[str, Figure]:
    """A search for the nearest ten of a text's vector in a connection that is new, beside FAISS.

    FAISS reads a flat index from its file and searches it; without FAISS, numpy reads the vectors.
    """
    found = setting.vectors[: setting.rows]
    rows = setting.texts.slice(0, len(found))
    path = setting.place("vectors") / "t.flac"
    columns = [*TEXTS, "body TEXT SEMANTIC"]
    with (
        given_vectors(rows["body"].to_pylist(), found),
        Table.create(path, columns, {"passages": "off"}) as table,
    ):
        table.append(rows)
        table.vacuum(level=setting.level)
    query = np.ascontiguousarray(found[len(found) // 3], "<f4")

    def ours() -> float:
        SHARED.clear()
        DECODED_LISTS.clear()
        connection = am.connect(path)
        sql = "SELECT rowid FROM t WHERE t MATCH ? LIMIT 10"
        seconds = once(lambda: connection.execute(sql, (query.tobytes(),)).fetchall())
        connection.close()
        return seconds

    times = least({"ours": ours, "peer": _flat(path.with_suffix(".index"), found, query)})
    return {"first search by vectors": Figure(times["ours"], times["peer"])}


def _flat(path: Path, vectors: np.ndarray[Any, Any], query: np.ndarray[Any, Any]) -> Callable[[], float]:
    """The seconds of reading a flat index and searching it."""
    try:
        import faiss
    except ModuleNotFoundError:
        path = path.with_suffix(".npy")
        np.save(path, vectors)
        return lambda: once(lambda: np.argsort(-(np.load(path) @ query))[:10])
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(path))
    return lambda: once(lambda: faiss.read_index(str(path)).search(query[None], 10))


def shell(setting: Setting) -> dict[str, Figure]:
    """The stock sqlite3 shell from its start to its end, with bytecode as an installed package has it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {"PYTHONPYCACHEPREFIX": str(setting.place("bytecode"))}
    path = setting.ours.path
    start_up(path, 1, environment)  # compiles
    times = start_up(path, setting.repeat, environment)
    alone = times["the shell alone"][0] * 1e3
    rows = {"shell, .load alone": "with the extension", "shell, first row": "to the first row"}
    return {
        row: Figure(times[name][0] * 1e3, alone, {"of a processor, ms": times[name][1] * 1e3})
        for row, name in rows.items()
    }
