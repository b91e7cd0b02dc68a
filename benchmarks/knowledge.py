"""A whole knowledge base: texts, vectors and an index of the words, in ours and in other stores.

    python -m benchmarks.knowledge --data rows.parquet --vectors emb.npy --queries queries.npy \
        [--rows 100000] [--stores …]

Prints bytes on the disk, recall@10 against exact cosine in float32, and milliseconds of a search given the
vector of the query, the ten bodies read; and of a search for two words. Embedding is left out: the vectors of
the rows are those of the file. More rows than the file has vectors are made by repeating rows, with noise of
half their length on the vectors. Stores that are not installed are passed over.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.indexes.words.tokenizer import words_of
from benchmarks.knowledge_stores import STORES, KnowledgeBase, Ours
from benchmarks.stores import COLUMNS
from benchmarks.timing import once, timed
from benchmarks.vectors import Array, exact, grown, normal, recall

WORD_QUERIES = 200


def rows_of(path: str, vectors: Array, count: int) -> tuple[pa.Table, Array]:
    """``count`` rows with the ids 1, 2, …, and their vectors."""
    rows = pq.read_table(path, columns=list(COLUMNS)).combine_chunks().slice(0, len(vectors))
    if count > len(rows):
        copies = -(-count // len(rows))
        bodies = pa.concat_tables([rows] * copies).slice(0, count)
        numbered = [f"{body} ({number})" for number, body in enumerate(bodies["body"].to_pylist())]
        rows = bodies.set_column(bodies.column_names.index("body"), "body", pa.array(numbered))
        vectors = grown(vectors, count)
    rows = rows.slice(0, count).combine_chunks()
    return rows.set_column(0, "id", pa.array(range(1, len(rows) + 1), pa.int64())), vectors[:count]


def word_queries(rows: pa.Table) -> list[tuple[str, str]]:
    """Two words that stand in the same row, for each of WORD_QUERIES rows."""
    rng = random.Random(0)
    bodies = (rows["body"][number].as_py() for number in rng.choices(range(len(rows)), k=2 * WORD_QUERIES))
    long = ([word.decode() for word in words_of("unicode61").terms(body) if len(word) > 3] for body in bodies)
    return [(rng.choice(words), rng.choice(words)) for words in long if len(words) > 3][:WORD_QUERIES]


def measured(store: KnowledgeBase, rows: pa.Table, vectors: Array, queries: Array, truth: Array) -> str:
    """A line of the table."""
    loading = once(lambda: store.load(rows, vectors))
    store.open()
    first = once(lambda: store.nearest(queries[0])) * 1e3
    nearest = np.array([store.nearest(query) for query in queries]) - 1
    line = (
        f"{store.size() / 1e6:.2f} | {loading:.0f} | {recall(truth, nearest):.3f} | {first:.0f} | "
        f"{_times(store.nearest, queries)}"
    )
    if store.words is None:
        return f"{line} | –"
    queries_of_words = word_queries(rows)
    store.words(queries_of_words[0])
    return f"{line} | {_times(store.words, queries_of_words)}"


def _times(search: Callable[[Any], Any], questions: Sequence[Any] | Array) -> str:
    """Milliseconds of a search: the median, the 99th percentile, and of all processors on average."""
    worked = time.process_time()
    times = timed(search, questions, budget=60)
    return f"{times.p50:.2f} / {times.p99:.2f} / {(time.process_time() - worked) / times.count * 1e3:.2f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a Parquet file with the columns " + ", ".join(COLUMNS))
    parser.add_argument("--vectors", type=Path, required=True, help="of its first rows, (n, d)")
    parser.add_argument("--queries", type=Path, required=True, help="vectors, (m, d)")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--stores", nargs="*", choices=list(STORES), default=list(STORES))
    parser.add_argument("--level", type=int, default=19, help="of the compression of ours")
    arguments = parser.parse_args()
    Ours.level = arguments.level
    queries = normal(np.load(arguments.queries))
    rows, vectors = rows_of(arguments.data, normal(np.load(arguments.vectors)), arguments.rows)
    truth = exact(vectors, queries)
    print(f"{len(rows):,} rows, {len(queries)} queries\n")
    print(
        "| store | MB | loaded in s | recall@10 | first search, ms | search, ms: p50 / p99 / processor "
        "| two words, ms: p50 / p99 / processor |"
    )
    print("|---|---|---|---|---|---|---|")
    for name in arguments.stores:
        kind = STORES[name]
        if kind.needs is not None and importlib.util.find_spec(kind.needs) is None:
            print(f"{kind.name}: {kind.needs} is not installed", file=sys.stderr)
            continue
        folder = Path(tempfile.mkdtemp(prefix="audiomem-knowledge-"))
        try:
            store = kind(folder / "kb")
            print(f"| {kind.name} | {measured(store, rows, vectors, queries, truth)} |", flush=True)
            store.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
