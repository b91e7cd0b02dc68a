"""Size, recall and speed of the index of vectors.

``python -m benchmarks.vectors emb_30k.npy queries.npy [--rows 1000000]`` prints them. The first file holds
vectors (n, d), the second queries (m, d). Larger tables are made of the vectors: each again and again, with
noise of the same covariance. Recall is the share of the ten nearest by exact cosine in float32 that a search
finds. Not part of ``make bench``: it needs files of vectors, and nothing here is compared with a peer.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_format import decode_list
from audiomem_sql.indexes.vectors.index_writing import EncodedIndex, encode_index
from audiomem_sql.machine.block_cache import BlockCache

Array = np.ndarray[Any, Any]
STEPS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
K = 10


def normal(vectors: Array) -> Array:
    """float32, each of length 1."""
    vectors = vectors.astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def exact(vectors: Array, queries: Array, allowed: Array | None = None) -> Array:
    """The rows of the K nearest, (m, K)."""
    scores = np.full((len(queries), 0), 0, np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for start in range(0, len(vectors), 50_000):
        products = queries @ vectors[start : start + 50_000].T
        if allowed is not None:
            products[:, ~allowed[start : start + 50_000]] = -2
        best = np.argpartition(-products, K, axis=1)[:, :K]
        scores = np.concatenate((scores, np.take_along_axis(products, best, axis=1)), axis=1)
        rows = np.concatenate((rows, best + start), axis=1)
    return np.take_along_axis(rows, np.argsort(-scores, axis=1)[:, :K], axis=1)


def recall(truth: Array, rows: Array) -> float:
    """The share of ``truth`` (m, K) that is in ``rows`` (m, K)."""
    return statistics.fmean(
        len(set(a.tolist()) & set(b.tolist())) / K for a, b in zip(truth, rows, strict=True)
    )


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
        codec = VectorCodec.trained(vectors, step)
        index = encode_index(vectors, codec=codec, embed=True)
        reader, _ = opened(index, len(vectors))
        rows, _ = reader.search(queries, K, probes=reader.lists)
        print(f" {step:4.2f}  {index.size / len(vectors):14.1f}  {recall(truth, rows):9.4f}")


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
        decode_list(piece, number, int(counts[number]), header.centres[number], header.has_lengths)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    arguments = parser.parse_args()
    vectors, queries = normal(np.load(arguments.vectors)), normal(np.load(arguments.queries))
    curve(vectors, queries)
    small(vectors, VectorCodec.trained(vectors))
    speeds(vectors, queries)
    for rows in arguments.rows:
        speeds(grown(vectors, rows), queries)


if __name__ == "__main__":
    main()
