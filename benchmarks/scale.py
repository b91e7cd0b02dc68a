"""A table of 1,000 shards and 10 billion rows on paper: ``python -m benchmarks.scale``.

What a shard costs was measured (``scale_measured.json``, with its date and kind of machine), and is measured
anew with ``--measure``; what many shards do together is computed and simulated from that, with a seed. See
docs/SCALE.md.

    python -m benchmarks.scale
    python -m benchmarks.scale --shards 1024 --rows 1e9 --only balance latency
    python -m benchmarks.scale --measure rows.parquet --vectors emb.npy --sizes 10000 30000 100000
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from audiomem_sql.columns.schema import Schema
from audiomem_sql.shards.buckets import BUCKETS
from audiomem_sql.table.table import Table
from benchmarks.knowledge import rows_of
from benchmarks.scale_measured import Measured, described, measure
from benchmarks.scale_model import (
    HOURS,
    Cluster,
    Prices,
    cores_for,
    disturbed,
    fullest,
    latencies,
    load_of_shards,
    manifest_cost,
    moving,
    rows_of_shards,
    zipf_shares,
)
from benchmarks.vectors import normal

KEPT = Path(__file__).with_name("scale_measured.json")
MORE_BUCKETS = 1 << 16
LOADS = (0.3, 0.6, 0.8)
#: What is asked, and of how many of the shards of the whole cluster; None: of all.
ASKED = (("key", 1), ("words", 16), ("words", None), ("nearest", 16), ("nearest", None))
#: Requests to a store, as docs/REMOTE.md has them: of a query in one shard that nobody has read before, and
#: of a commit beside one for each shard.
COLD_GETS = {"key": 4, "words": 8, "nearest": 19}
COMMIT_PUTS = 1
#: The part of a cluster that is simulated where few of its shards are asked at once.
PART = 128
#: The share of requests that are asked a second time at most, where there is a limit.
BUDGET = 0.05
_SCHEMA = ("id INTEGER PRIMARY KEY", "source TEXT", "created_at TIMESTAMP", "body TEXT")


def measured_lines(measured: Measured) -> Iterator[str]:
    """What was measured."""
    yield f"{measured.date}, {measured.machine}\n"
    sizes = " | ".join(f"{size:,} rows" for size in measured.sizes)
    yield f"| of a processor | {sizes} | line: a shard | and a million rows |"
    yield "|---" * (3 + len(measured.sizes)) + "|"
    for name, line in described(measured).items():
        cells = [_seconds(value) for value in (*line.means, line.base, line.a_million)]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield (
        f"\ncommit {measured.commit * 1e3:.1f} ms, for each shard more {measured.commit_shard * 1e3:.1f} ms; "
        f"bytes a row: {measured.bytes_raw:.0f} raw, {measured.bytes_text:.0f} stored, "
        f"{measured.bytes_words:.0f} for words, {measured.bytes_vectors:.0f} for vectors; "
        f"a shard open: {measured.memory.base / 1e3:.0f} KB, a million rows more "
        f"{measured.memory.a_million / 1e3:.0f} KB, {measured.files_read:.0f} file to read, "
        f"{measured.files_written:.0f} to write"
    )


def balance_lines(rows: int, shards: int, seed: int) -> Iterator[str]:
    """How much fuller than the mean the fullest shard is."""
    yield f"| shards | {BUCKETS:,} buckets | {MORE_BUCKETS:,} buckets |"
    yield "|---|---|---|"
    for count in sorted({16, 24, 100, 500, 512, shards, 1024}):
        cells = [
            fullest(rows_of_shards(rows, buckets, count, np.random.default_rng(seed)))
            for buckets in (BUCKETS, MORE_BUCKETS)
        ]
        yield f"| {count:,} | " + " | ".join(f"+{100 * cell:.1f} %" for cell in cells) + " |"
    yield (
        "\n| keys | Zipf's exponent | share of the first key "
        f"| fullest of {shards:,} shards, {BUCKETS:,} buckets | {MORE_BUCKETS:,} |"
    )
    yield "|---|---|---|---|---|"
    for what, count, exponent in (
        ("rows asked for", rows, 0.8),
        ("rows asked for", rows, 0.99),
        ("customers that place rows", 100_000, 0.8),
        ("customers that place rows", 100_000, 1.0),
    ):
        found = [
            load_of_shards(count, exponent, buckets, shards, np.random.default_rng(seed))
            for buckets in (BUCKETS, MORE_BUCKETS)
        ]
        first = zipf_shares(count, exponent)[0][0]
        cells = [f"{(1 + fullest(each)):.1f} × the mean" for each in found]
        yield f"| {count:,} {what} | {exponent} | {100 * first:.2g} % | {cells[0]} | {cells[1]} |"


def latency_lines(
    measured: Measured, rows: int, shards: int, requests: int, slow: tuple[float, float], seed: int
) -> Iterator[str]:
    """Seconds of queries by how many shards they ask and how busy the processes are."""
    of_shard = rows / shards
    yield (
        "| asked | shards | processor, one | in all | load | queries/s | copy by chance: median | 99 % "
        "| hedged: 99 % | hedged within the budget: 99 % | shorter queue: median | 99 % |"
    )
    yield "|---" * 12 + "|"
    for name, some in ASKED:
        line = described(measured)[name]
        touched = min(some or shards, shards)
        cluster = Cluster(shards if some is None else min(max(PART, touched), shards), copies=2)
        times = disturbed(partial(line.drawn, of_shard), *slow)
        mean = float(times(100_000, np.random.default_rng(seed)).mean())
        queries = max(20, requests // touched)
        for load in LOADS:
            plain, each, _ = latencies(times, cluster, touched, load, queries, seed)
            hedge = float(np.quantile(each, 0.95))
            hedged, few = (
                latencies(times, cluster, touched, load, queries, seed, hedge=hedge, budget=budget)[0]
                for budget in (np.inf, BUDGET)
            )
            shorter, _, _ = latencies(times, cluster, touched, load, queries, seed, shorter=True)
            rate = load * shards * cluster.copies / (touched * mean)
            parts = (
                (plain, 0.5),
                (plain, 0.99),
                (hedged, 0.99),
                (few, 0.99),
                (shorter, 0.5),
                (shorter, 0.99),
            )
            cells = [_seconds(float(np.quantile(found, part))) for found, part in parts]
            yield (
                f"| {name} | {touched:,} | {_seconds(mean)} | {_seconds(mean * touched)} | {load} | "
                f"{rate:,.3g} | " + " | ".join(cells) + " |"
            )


def _seconds(value: float) -> str:
    return f"{value * 1e3:.2g} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def moving_lines(measured: Measured, rows: int, shards: int) -> Iterator[str]:
    """What other numbers of shards take."""
    yield (
        "| shards | buckets | rows moved | steps | reading, h | writing, h | vacuum, h | in all, h "
        "| GB in memory, a step |"
    )
    yield "|---" * 9 + "|"
    for after in (shards + 1, shards * 3 // 2):
        for buckets in (BUCKETS, MORE_BUCKETS):
            done = moving(shards, after, rows, buckets, measured)
            yield (
                f"| {shards:,} → {after:,} | {buckets:,} | {done.rows:,.3g} ({100 * done.share:.2g} %) | "
                f"{done.steps:,} | {done.reading:,.3g} | {done.writing:,.3g} | {done.vacuum:,.3g} | "
                f"{done.hours:,.3g} | "
                f"{done.at_once * measured.bytes_raw / 1e9:.2g} |"
            )


def manifest_lines(measured: Measured, shards: int, versions: Sequence[int]) -> Iterator[str]:
    """What the manifest weighs, and what a commit of one process takes."""
    with tempfile.TemporaryDirectory() as folder, Table.create(Path(folder, "t.flac"), _SCHEMA) as table:
        schema: Schema = table.schema
    yield (
        "| shards | versions kept | shards changed by each | bytes | packed in | read in | a commit "
        "| most versions |"
    )
    yield "|---" * 8 + "|"
    for count in sorted({16, shards}):
        for kept in versions:
            for changed in sorted({1, count}):
                cost = manifest_cost(count, kept, changed, schema)
                commit = measured.commit + (changed - 1) * measured.commit_shard + cost.packing
                yield (
                    f"| {count:,} | {kept:,} | {changed:,} | {cost.stored / 1e3:,.0f} KB | "
                    f"{_seconds(cost.packing)} | {_seconds(cost.reading)} | {_seconds(commit)} | "
                    f"{cost.most_versions:,} |"
                )


def cost_lines(measured: Measured, rows: int, shards: int, prices: Prices) -> Iterator[str]:
    """Dollars a month."""
    yield f"{prices}\n"
    yield "| kept | bytes a row | TB | in an object store, $ a month | on two network disks |"
    yield "|---|---|---|---|---|"
    sizes = {
        "texts": measured.bytes_text,
        "and words": measured.bytes_text + measured.bytes_words,
        "and vectors": measured.bytes_text + measured.bytes_words + measured.bytes_vectors,
    }
    for name, size in sizes.items():
        total = size * rows / 1e9
        yield (
            f"| {name} | {size:.0f} | {total / 1e3:.2f} | {total * prices.stored:,.0f} | "
            f"{2 * total * prices.disk:,.0f} |"
        )
    yield "\n| a query/s of | cores at a load of 0.5 | $ a month | $ a thousand queries |"
    yield "|---|---|---|---|"
    for name, touched in (("key", 1), ("words", 16), ("words", shards), ("nearest", 16), ("nearest", shards)):
        seconds = described(measured)[name].at(rows / shards) * touched
        cores = cores_for(seconds, 1, 0.5)
        dollars = cores * prices.core * HOURS
        yield (
            f"| {name}, {touched:,} shards | {cores:,.3g} | {dollars:,.0f} | "
            f"{1000 * seconds / 0.5 * prices.core / 3600:,.2g} |"
        )
    yield "\n| a million of | requests, each | $ |"
    yield "|---|---|---|"
    commits, gets = prices.puts * (1 + COMMIT_PUTS), prices.gets
    yield f"| commits in one shard | {1 + COMMIT_PUTS} PUT | {commits:,.0f} |"
    puts = shards + COMMIT_PUTS
    yield f"| commits in all shards | {puts:,} PUT | {prices.puts * puts:,.0f} |"
    for name, touched in (("key", 1), ("words", shards), ("nearest", shards)):
        asked = COLD_GETS[name] * touched
        yield f"| {name}, {touched:,} shards, nothing cached | {asked:,} GET | {gets * asked:,.2f} |"
    build = rows / 1e6 * (measured.write.a_million + measured.vacuum.a_million) / 3600
    yield f"\nAll rows written once, and vacuumed: {build:,.0f} hours of a core, ${build * prices.core:,.0f}"


def reader_lines(measured: Measured, rows: int, shards: int) -> Iterator[str]:
    """What one process takes that has all shards open."""
    each = measured.memory.at(rows / shards)
    yield "| one process with all shards open | reads | writes |"
    yield "|---|---|---|"
    opened = _seconds(measured.open.at(rows / shards) * shards)
    yield f"| memory beside the cache of blocks | {each * shards / 1e9:,.2g} GB | the same |"
    yield f"| files open | {measured.files_read * shards:,.0f} | {measured.files_written * shards:,.0f} |"
    yield f"| opened one after another, of a processor | {opened} | the same |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=float, default=1e10)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1_000_000, help="simulated, a line of the table")
    parser.add_argument("--slow", type=float, nargs=2, default=(0.01, 10.0), metavar=("SHARE", "FACTOR"))
    parser.add_argument("--versions", type=int, nargs="*", default=[1, 256, 1024], help="in the manifest")
    parser.add_argument("--measured", type=Path, default=KEPT, help="a file that a run has written")
    parser.add_argument(
        "--measure", help="a Parquet file of texts: measure, and write the file of --measured"
    )
    parser.add_argument("--vectors", type=Path, help="of its first rows, (n, d)")
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    usual = Prices()
    for field in fields(Prices):
        parser.add_argument(
            f"--{field.name}", type=float, default=getattr(usual, field.name), help="US dollars"
        )
    parser.add_argument("--only", nargs="*", help="of the tables")
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        vectors = normal(np.load(chosen.vectors))
        rows, vectors = rows_of(chosen.measure, vectors, max(chosen.sizes))
        with tempfile.TemporaryDirectory() as folder:
            found = measure(rows, vectors, sorted(chosen.sizes), Path(folder))
        chosen.measured.write_text(found.to_json())
    measured = Measured.from_json(chosen.measured.read_text())
    count, shards, seed = int(chosen.rows), chosen.shards, chosen.seed
    prices = Prices(**{field.name: getattr(chosen, field.name) for field in fields(Prices)})
    slow = (chosen.slow[0], chosen.slow[1])
    tables: dict[str, Callable[[], Iterator[str]]] = {
        "measured": lambda: measured_lines(measured),
        "balance": lambda: balance_lines(count, shards, seed),
        "latency": lambda: latency_lines(measured, count, shards, chosen.requests, slow, seed),
        "moving": lambda: moving_lines(measured, count, shards),
        "manifest": lambda: manifest_lines(measured, shards, chosen.versions),
        "cost": lambda: cost_lines(measured, count, shards, prices),
        "reader": lambda: reader_lines(measured, count, shards),
    }
    unknown = sorted(set(chosen.only or ()) - tables.keys())
    if unknown:
        parser.error(f"there is no table {unknown[0]}; tables: {', '.join(tables)}")
    for name, lines in tables.items():
        if not chosen.only or name in chosen.only:
            print(f"\n## {name}\n", flush=True)
            for line in lines():
                print(line, flush=True)


if __name__ == "__main__":
    main()
