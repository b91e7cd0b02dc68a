"""Rows of ``benchmarks.speed`` that are peaks of the resident memory, each of a process of its own.

``python -m benchmarks.speed_memory STEP STORE PATH [SOURCE]`` is such a process. Linux only.
"""

from __future__ import annotations

import sys

import pyarrow.parquet as pq

from benchmarks.memory import figures_of
from benchmarks.memory_work import stage
from benchmarks.speed_goals import Figure
from benchmarks.speed_setting import Setting, put, rows_as_values, sqlite_table

#: The zstd level of the vacuum.
HARDEST = 19


def peaks(setting: Setting) -> dict[str, Figure]:
    """A scan of the big table, a load, and a vacuum at the hardest level, with the size that it leaves."""
    folder = setting.place("memory")
    ours, parquet = setting.scanned
    source = folder / "source.parquet"
    pq.write_table(setting.texts, source)
    loaded, native = folder / "loaded.flac", folder / "loaded.sqlite"
    steps = {
        "scan": (("scan", "ours", ours), ("scan", "parquet", parquet)),
        "load": (("load", "ours", loaded, source), ("load", "sqlite", native, source)),
        "vacuum": (("vacuum", "ours", loaded), ("vacuum", "sqlite", native)),
    }
    figures = {}
    for name, processes in steps.items():
        found = [
            figures_of("-m", "benchmarks.speed_memory", *map(str, each))["peak"][0] for each in processes
        ]
        mine, peer = (mebibytes * 2**20 / 1e6 for mebibytes in found)
        figures[f"peak memory, {name}"] = Figure(mine, peer)
    sizes = loaded.stat().st_size / 1e6, setting.parquet.size() / 1e6
    return figures | {"size after a vacuum": Figure(*sizes, {"values, MB": setting.texts.nbytes / 1e6})}


def scan(store: str, path: str) -> None:
    """Read all text in DuckDB with two threads, through the dataset or from Parquet."""
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    if store == "ours":
        import audiomem_sql as am

        am.attach(connection, path, "t")
    else:
        connection.execute(f"CREATE VIEW t AS FROM '{path}'")
    connection.execute("SELECT sum(length(body)) FROM t").fetchall()


def load(store: str, path: str, source: str) -> None:
    """Write the rows of a Parquet file."""
    table = pq.read_table(source)
    if store == "ours":
        import audiomem_sql as am

        am.write_flac(table, path, primary_key="id").close()
        return
    put(sqlite_table(path), rows_as_values(table))


def vacuum(store: str, path: str) -> None:
    """Make the file as small as it gets."""
    if store == "ours":
        import audiomem_sql as am

        with am.open(path) as table:
            table.vacuum(level=HARDEST)
        return
    import apsw

    apsw.Connection(path).execute("VACUUM")


if __name__ == "__main__":
    {"scan": scan, "load": load, "vacuum": vacuum}[sys.argv[1]](*sys.argv[2:])
    stage("peak")
