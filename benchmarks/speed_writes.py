"""Rows of ``benchmarks.speed`` that write: loads, commits, vacuums."""

from __future__ import annotations

import os
import random
import shutil
import statistics
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import apsw
import duckdb
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.blocks.compression import Compressor
from audiomem_sql.table.table import Table
from benchmarks.__main__ import repeated
from benchmarks.speed_goals import Figure
from benchmarks.speed_setting import Setting, put, rows_as_values, sqlite_table
from benchmarks.stores import COLUMNS
from benchmarks.timing import once

COMMITS = 80
#: Vacuums are measured so often, each of a copy of the same table.
VACUUMS = 2
#: As blocks of texts have them.
BLOCK_BYTES, DICTIONARY_BYTES = 128 << 10, 4 << 20


def load(setting: Setting) -> dict[str, Figure]:
    """All rows in one commit: ours from Arrow, SQLite's from Python values that are there."""
    ours, native = [], []
    for turn in range(setting.repeat):
        folder = setting.place(f"load{turn}")
        path = folder / "t.flac"
        ours.append(once(lambda p=path: am.write_flac(setting.texts, p, primary_key="id").close()) * 1e3)
        connection = sqlite_table(folder / "t.sqlite")
        native.append(once(lambda c=connection: put(c, setting.values)) * 1e3)
        connection.close()
        shutil.rmtree(folder)
    return {"load": Figure(min(ours), min(native))}


def commits(setting: Setting) -> dict[str, Figure]:
    """Commits of 1,000 rows one after another, in turns: ours of Arrow and by INSERT, SQLite's WAL."""
    each = min(1000, max(10, setting.rows // 20))
    rows = repeated(setting.texts, COMMITS * each)
    folder = setting.place("commits")
    columns = [f"{name} {'INTEGER PRIMARY KEY' if name == 'id' else 'TEXT'}" for name in COLUMNS]
    native = sqlite_table(folder / "t.sqlite", "wal")
    by_insert = apsw.Connection(":memory:")
    am.register(by_insert)
    by_insert.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{folder / 'i.flac'}', {', '.join(columns)})")
    times: dict[str, list[float]] = {"ours": [], "INSERT": [], "SQLite": []}
    with Table.create(folder / "t.flac", columns) as table:
        for start in range(0, len(rows), each):
            part = rows.slice(start, each)
            values = rows_as_values(part)
            times["ours"].append(once(lambda p=part: table.append(p)) * 1e3)
            times["INSERT"].append(once(lambda v=values: put(by_insert, v)) * 1e3)
            times["SQLite"].append(once(lambda v=values: put(native, v)) * 1e3)
    native.close()
    by_insert.close()
    median = {name: statistics.median(some) for name, some in times.items()}
    jump = {name: max(some) / median[name] for name, some in times.items()}
    return {
        "commit, median": Figure(
            median["ours"], median["SQLite"], {"ours by INSERT, ms": median["INSERT"], "rows": each}
        ),
        "commit, slowest / median": Figure(
            jump["ours"],
            jump["SQLite"],
            {"ours by INSERT": jump["INSERT"], "slowest, ms": max(times["ours"])},
        ),
    }


def vacuums(setting: Setting) -> dict[str, Figure]:
    """MB of values a second: where the blocks stay, and where 1 % of the rows go, with their versions."""
    folder = setting.place("vacuums")
    path, megabytes = folder / "t.flac", setting.texts.nbytes / 1e6
    am.write_flac(setting.texts, path, primary_key="id", compression_level=setting.level).close()
    with am.open(path) as table:
        table.vacuum(level=setting.level)
    gone = random.Random(0).sample(range(1, setting.rows + 1), max(1, setting.rows // 100))
    condition = f"id IN ({', '.join(map(str, gone))})"

    def stay(table: Table) -> Callable[[], object]:
        row = setting.texts.slice(0, 1).set_column(0, "id", pa.array([setting.rows + 1]))
        table.append(row)
        return lambda: table.vacuum(level=setting.level)

    def change(table: Table) -> Callable[[], object]:
        table.delete(condition)
        return lambda: table.vacuum(level=setting.level, retain="1")

    speeds: dict[str, list[float]] = {}
    for _ in range(min(VACUUMS, setting.repeat)):
        for name, prepare in (("stay", stay), ("change", change)):
            copy = folder / "copy"
            shutil.copytree(folder, copy, ignore=lambda *_: ["copy"])
            with am.open(copy / path.name) as table:
                speeds.setdefault(name, []).append(megabytes / once(prepare(table)))
            shutil.rmtree(copy)
        for name, seconds in {**_by_others(setting, condition), "zstd": compressing(setting)}.items():
            speeds.setdefault(name, []).append(megabytes / seconds)
    best = {name: max(each) for name, each in speeds.items()}
    return {
        "vacuum, blocks stay": Figure(best["stay"], best["SQLite"], {"DuckDB, MB/s": best["DuckDB"]}),
        "vacuum, rows change": Figure(best["change"], best["zstd"], {"SQLite, MB/s": best["SQLite"]}),
    }


def _by_others(setting: Setting, condition: str) -> dict[str, float]:
    """Seconds of SQLite's VACUUM, and of DuckDB's copy to a new file, both after the DELETE."""
    folder = setting.place("rewritten")
    native = sqlite_table(folder / "t.sqlite")
    put(native, setting.values)
    native.execute(f"DELETE FROM t WHERE {condition}")
    seconds = {"SQLite": once(lambda: native.execute("VACUUM"))}
    native.close()
    with duckdb.connect(config={"threads": setting.threads}) as duck:
        duck.execute(f"ATTACH '{folder / 'old.duckdb'}' AS old; ATTACH '{folder / 'new.duckdb'}' AS new")
        duck.register("new_rows", setting.texts)
        duck.execute(f"CREATE TABLE old.t AS FROM new_rows; DELETE FROM old.t WHERE {condition}")
        duck.execute("CHECKPOINT old")

        def copy() -> None:
            duck.execute("COPY FROM DATABASE old TO new; CHECKPOINT new")

        seconds["DuckDB"] = once(copy)
    shutil.rmtree(folder)
    return seconds


def compressing(setting: Setting) -> float:
    """Seconds of zstd alone for the values of all columns, in blocks with a dictionary, on all cores."""
    whole = b"\n".join(
        "\n".join(map(str, setting.texts[name].to_pylist())).encode() for name in COLUMNS if name != "id"
    )
    blocks = [whole[start : start + BLOCK_BYTES] for start in range(0, len(whole), BLOCK_BYTES)]
    share = max(1, len(whole) // DICTIONARY_BYTES)
    dictionary = b"".join(block[: BLOCK_BYTES // max(8, share)] for block in blocks)[:DICTIONARY_BYTES]
    compressor = Compressor(setting.level, dictionary, BLOCK_BYTES)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return once(lambda: list(pool.map(compressor.compress, blocks)))
