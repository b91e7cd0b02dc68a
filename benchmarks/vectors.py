"""Size, recall and speed of the index of vectors.

``python -m benchmarks.vectors emb_30k.npy queries.npy [--rows 1000000]`` prints them. The first file holds
vectors (n, d), the second queries (m, d). Larger tables are made of the vectors: each again and again, with
noise of the same covariance. Recall is the share of the ten nearest by exact cosine in float32 that a search
finds. ``--beside`` compares size, recall and time with the libraries of the extra ``bench-vectors`` that are
there, in one run (``benchmarks/vector_stores.py``); the queries are then 4,000 of the vectors, and of a
million rows the graphs are left out, which take longest to make. ``--filters``
searches an INDEXED column in SQL beside conditions that leave 0.01 to 100 % of the rows. ``--speeds``,
``--cold`` and ``--columns`` print a part each: ``--speeds --rows 1000000`` takes four minutes. Not part of
``make bench``: it needs files of vectors.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.indexes.vectors.codec import USUAL, StepRule, VectorCodec
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_format import decode_list
from audiomem_sql.indexes.vectors.index_writing import FINE_STEPS, EncodedIndex, encode_index
from audiomem_sql.machine.block_cache import BlockCache

Array = np.ndarray[Any, Any]
STEPS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
#: Queries among the vectors themselves, and the shares of the lists of which a cold search reads the codes.
TEXTS = 4000
SHARES = (0.08, 0.12, 0.16, 0.25, 0.5, 1.0)
#: How near lists must be beside the nearest one to be read, in another way of choosing them.
REACHES = (0.8, 0.75, 0.72, 0.7, 0.68, 0.66)
K = 10


def normal(vectors: Array) -> Array:
    """float32, each of length 1."""
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exact(vectors: Array, queries: Array, allowed: Array | None = None) -> Array:
    """The rows of the K nearest, (m, K); -1 where fewer are allowed."""
    scores = np.full((len(queries), 0), 0, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(vectors), 50_000):
        products = queries @ vectors[start : start + 50_000].T
        if allowed is not None:
            products[:, ~allowed[start : start + 50_000]] = -2
        best = np.argpartition(-products, K, axis=1)[:, :K]
        scores = np.concatenate((scores, np.take_along_axis(products, best, axis=1)), axis=1)
        rows = np.concatenate((rows, best + start), axis=1)
    order = np.argsort(-scores, axis=1)[:, :K]
    nearest = np.take_along_axis(rows, order, axis=1)
    return np.where(np.take_along_axis(scores, order, axis=1) > -2, nearest, -1)


def recall(truth: Array, rows: Array) -> float:
    """The share of ``truth`` (m, K) that is in ``rows`` (m, K)."""
    shares = [
        len(own & set(b.tolist())) / len(own)
        for a, b in zip(truth, rows, strict=True)
        if (own := set(a[a >= 0].tolist()))
    ]
    return statistics.fmean(shares) if shares else 1.0


def grown(vectors: Array, rows: int, seed: int = 1) -> Array:
    """float32 (rows, d): the vectors again and again, with noise of half their length."""
    rng = np.random.default_rng(seed)
    lower = np.linalg.cholesky(np.cov(vectors.T) + 1e-9 * np.eye(vectors.shape[1])).astype(np.float32)
    out = np.empty((rows, vectors.shape[1]), np.float32)
    for start in range(0, rows, 50_000):
        part = out[start : start + 50_000]
        noise = rng.standard_normal(part.shape, np.float32) @ lower.T
        part[:] = normal(vectors[rng.integers(0, len(vectors), len(part))] + 0.5 * noise)
    return out


def opened(index: EncodedIndex, rows: int) -> tuple[VectorIndex, float]:
    """The index with an empty cache, and the milliseconds that opening took."""
    started = time.perf_counter()
    reader = VectorIndex(
        index.header, rows, index.lists.__getitem__, lambda _: index.codec, BlockCache(512 << 20)
    )
    return reader, (time.perf_counter() - started) * 1e3


def answers(
    reader: VectorIndex, queries: Array, probes: int | None = None, allowed: Array | None = None
) -> tuple[Array, str]:
    """Rows (m, K) of one search a query, and as text its milliseconds: on the clock, and of the processor.

    The second is what a machine that has nothing else to do would take.
    """
    rows, times = [], []
    for query in queries:
        started, worked = time.perf_counter(), time.thread_time()
        rows.append(reader.search(query, K, allowed, probes)[0][0])
        times.append([time.perf_counter() - started, time.thread_time() - worked])
    middle, high = np.percentile(np.array(times) * 1e3, [50, 99], axis=0)
    text = (
        f"p50 {middle[0]:6.2f}  p99 {high[0]:6.2f} ms, processor p50 {middle[1]:6.2f}  p99 {high[1]:6.2f} ms"
    )
    return np.array(rows), text


def curve(vectors: Array, queries: Array) -> None:
    """Bytes a vector, all parts counted, against recall of the exhaustive search, for several steps."""
    truth = exact(vectors, queries)
    print(f"{len(vectors):,} vectors of {vectors.shape[1]} numbers\n\n step  bytes a vector  recall@{K}")
    for step in STEPS:
        codec = VectorCodec.trained(vectors, StepRule(step))
        index = encode_index(vectors, codec=codec, embed=True)
        reader, _ = opened(index, len(vectors))
        rows, _ = reader.search(queries, K, probes=reader.lists)
        print(f" {step:4.2f}  {index.size / len(vectors):14.1f}  {recall(truth, rows):9.4f}")


def options(vectors: Array, questions: Array) -> None:
    """Bytes a vector, recall by texts and by questions, and what the first search of an index reads."""
    texts = vectors[np.random.default_rng(0).permutation(len(vectors))[:TEXTS]]
    truths = exact(vectors, texts), exact(vectors, questions)
    print(f"\n recall@{K}: {len(texts):,} texts as queries, {len(questions):,} questions\n")
    for name, rule in {"compact": USUAL, "fine": FINE_STEPS}.items():
        started = time.process_time()
        index = encode_index(vectors, codec=VectorCodec.trained(vectors, rule), embed=True)
        made = (time.process_time() - started) / len(vectors) * 1e6
        print(
            f" {name}: {index.size / len(vectors):.1f} bytes a vector, made in {made:.0f} us of the processor"
        )
        reader, _ = opened(index, len(vectors))
        for share, reach in [(share, None) for share in SHARES] + [(None, reach) for reach in REACHES]:
            probes = None if share is None else max(1, round(share * reader.lists))
            recalls = [
                recall(truth, reader.search(queries, K, probes=probes, reach=reach)[0])
                for truth, queries in zip(truths, (texts, questions), strict=True)
            ]
            visits = reader._visits.of(reader.codec.rotated(questions), K, None, probes, reach)
            read = len(index.header) + visits @ np.array(list(map(len, index.lists)))
            chosen = f"reach {reach:.2f}" if share is None else f"{share:4.0%} of {reader.lists} lists"
            print(
                f"  {chosen:>17}  texts {recalls[0]:.4f}  questions {recalls[1]:.4f}  "
                f"{read.mean() / 1e3:7,.0f} KB cold, p95 {np.percentile(read, 95) / 1e3:,.0f}",
                flush=True,
            )


def columns(vectors: Array, questions: Array) -> None:
    """Bytes a vector of columns of vectors of one's own, and recall of searches in SQL."""
    from benchmarks.vector_stores import Indexed, IndexedInt8Codes, IndexedSmall, NotIndexed

    noise = np.random.default_rng(3).standard_normal(vectors.shape, np.float32)
    vectors = vectors * (1 + noise * np.float32(2**-14))
    truth = exact(normal(vectors), questions)
    for kind in (NotIndexed, Indexed, IndexedSmall, IndexedInt8Codes):
        with tempfile.TemporaryDirectory() as folder:
            store = kind(Path(folder) / "store")
            store.make(vectors)
            found = np.array([store.search(query, None) for query in questions])
            print(
                f" {store.name}: {store.size() / len(vectors):,.0f} bytes a vector, "
                f"recall {recall(truth, found):.4f}",
                flush=True,
            )


def small(vectors: Array, base: VectorCodec) -> None:
    """What small segments cost with a codec of their own and with the base's."""
    print("\n rows  bytes a vector: own  borrowed")
    for count in (1, 10, 100, 1000, 1999):
        own, borrowed = (encode_index(vectors[:count], codec=codec) for codec in (None, base))
        print(f"{count:5d}  {own.size / count:19.1f}  {borrowed.size / count:8.1f}")


def speeds(vectors: Array, queries: Array) -> None:
    """Encoding, decoding and searching of one index."""
    rows = len(vectors)
    started = time.perf_counter()
    index = encode_index(vectors)
    encoding = time.perf_counter() - started
    reader, opening = opened(index, rows)
    counts, header = reader._counts, reader._header
    started = time.perf_counter()
    for number, piece in enumerate(index.lists):
        decode_list(
            piece,
            number,
            int(counts[number]),
            header.centres[number],
            header.has_lengths,
            index.codec.trellis,
        )
    decoding = time.perf_counter() - started
    print(
        f"\n{rows:,} vectors, {reader.lists} lists, {index.size / rows:.1f} bytes a vector: "
        f"encoded {rows / encoding:,.0f}/s, decoded {rows / decoding:,.0f}/s, opened in {opening:.1f} ms"
    )
    truth = exact(vectors, queries)
    reader.search(queries[:1], K)  # the rotation, and the import of FAISS
    _, times = answers(opened(index, rows)[0], queries[:1])
    print(f"  first search with nothing decoded           {times}")
    reader.search(queries, K, probes=reader.lists)
    for probes in (None, *(reader.lists * share // 32 for share in (1, 2, 4, 8, 16)), reader.lists):
        nearest, times = answers(reader, queries, probes)
        print(f"  {probes or 'default':>7} lists  recall {recall(truth, nearest):.4f}  {times}")
    for share in (0.5, 0.1, 0.01, 0.001):
        allowed = np.random.default_rng(2).random(rows) < share
        nearest, times = answers(reader, queries[:50], allowed=allowed)
        truth = exact(vectors, queries[:50], allowed)
        print(f"  {share:7.1%} allowed  recall {recall(truth, nearest):.4f}  {times}")
    print(
        f"  decoded lists {reader._cache.bytes / 1e6:.0f} MB, peak of the process with the float32 vectors "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


def beside(vectors: Array, queries: Array, names: list[str], seconds: float) -> None:
    """One line for each store and setting.

    Of a setting as many queries are asked as take ``seconds``, for recall and times alike.
    """
    from benchmarks.vector_stores import STORES

    truth = exact(vectors, queries)
    print(f"\n{len(vectors):,} vectors of {vectors.shape[1]} numbers, at most {len(queries):,} queries\n")
    print(
        "| store | setting | bytes a vector | recall@10 | queries | ms: p50 / p99 / processor | made in, s |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in STORES:
        if (names and not any(name.lower() in kind.name.lower() for name in names)) or len(
            vectors
        ) > kind.most:
            continue
        with tempfile.TemporaryDirectory() as folder:
            store, started = kind(Path(folder) / "store"), time.process_time()
            try:
                store.make(vectors)
            except ImportError as error:
                print(f"| {kind.name} | not installed: {str(error)[:60]} |")
                continue
            made = time.process_time() - started
            for setting in store.settings:
                line = measured(partial(store.search, setting=setting), queries, truth, seconds)
                size = f"{store.size() / len(vectors):,.0f}"
                told = "default" if setting is None else store.told.format(setting)
                print(f"| {store.name} | {told} | {size} | {line} | {made:.0f} |", flush=True)


def filtered(vectors: Array, queries: Array, seconds: float) -> None:
    """Recall and times of searches in SQL beside a condition, by the share of the rows that it leaves."""
    from benchmarks.vector_stores import IndexedParts

    parts = IndexedParts.parts(len(vectors))
    print(f"\n{len(vectors):,} vectors, conditions on a column in no order\n")
    print("| rows allowed | recall@10 | queries | ms: p50 / p99 / processor |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store = IndexedParts(Path(folder) / "store")
        store.make(vectors)
        for most in (1, 10, 100, 1_000, 5_000, 10_000):
            truth = exact(vectors, queries, parts < most)
            line = measured(partial(store.search, setting=f"part < {most}"), queries, truth, seconds)
            print(f"| {most / 10_000:.2%} | {line} |", flush=True)


def measured(search: Callable[[Array], list[int]], queries: Array, truth: Array, seconds: float) -> str:
    """Recall, number of queries and milliseconds of one setting, as cells of a table."""
    search(queries[0])
    rows, clock, worked = [], [], []
    end = time.perf_counter() + seconds
    for query in queries:
        started, busy = time.perf_counter(), time.process_time()
        rows.append(search(query))
        worked.append(time.process_time() - busy)
        clock.append(time.perf_counter() - started)
        if time.perf_counter() > end:
            break
    found = np.array([own + [-1] * (K - len(own)) for own in rows])
    middle, high = np.percentile(np.array(clock) * 1e3, [50, 99])
    processor = np.median(worked) * 1e3
    share = recall(truth[: len(rows)], found)
    return f"{share:.4f} | {len(rows):,} | {middle:.2f} / {high:.2f} / {processor:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", help="other numbers of rows")
    parser.add_argument("--beside", action="store_true", help="compare with other libraries")
    parser.add_argument("--speeds", action="store_true", help="only the times of searches of --rows")
    parser.add_argument(
        "--cold", action="store_true", help="only sizes, recall and what a first search reads"
    )
    parser.add_argument("--columns", action="store_true", help="only columns of vectors of one's own")
    parser.add_argument("--filters", action="store_true", help="search beside conditions")
    parser.add_argument(
        "--stores", nargs="*", default=[], help="only those whose names have one of these words"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of queries for each setting")
    arguments = parser.parse_args()
    vectors, queries = normal(np.load(arguments.vectors)), normal(np.load(arguments.queries))
    if arguments.speeds or arguments.cold or arguments.columns:
        if arguments.cold:
            options(vectors, queries)
        if arguments.columns:
            columns(vectors, queries)
        for rows in (arguments.rows or (100_000, 1_000_000)) if arguments.speeds else ():
            speeds(grown(vectors, rows), queries)
        return
    if arguments.filters:
        for rows in arguments.rows or (len(vectors),):
            filtered(vectors if rows == len(vectors) else grown(vectors, rows), queries, arguments.seconds)
        return
    if arguments.beside:
        asked = vectors[np.random.default_rng(0).permutation(len(vectors))[:4000]]
        for rows in arguments.rows or (len(vectors),):
            table = vectors if rows == len(vectors) else grown(vectors, rows)
            beside(table, asked, arguments.stores, arguments.seconds)
        return
    curve(vectors, queries)
    options(vectors, queries)
    small(vectors, VectorCodec.trained(vectors))
    speeds(vectors, queries)
    for rows in (100_000, 1_000_000) if arguments.rows is None else arguments.rows:
        speeds(grown(vectors, rows), queries)


if __name__ == "__main__":
    main()
