"""Whether a search finds what answers the question.

``python -m benchmarks.retrieval`` prints the table of docs/VECTORS.md. The rows are the public docstrings of
Python's standard library, as ``make demo`` has them; the questions are those of ``questions.jsonl``, one a
line: ``{"question": …, "relevant": {"shutil.copytree": 2, "shutil.copy2": 1}}``, 2 for what answers it and 1
for what is worth knowing beside. nDCG@10 (Järvelin and Kekäläinen 2002) with gains 2^grade − 1; names that
this Python does not have are left out. Needs the extras ``semantic`` and ``onnx``; embedding takes some
minutes with torch.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow.parquet as pq

from audiomem_sql.search.models.embedders import BACKENDS, Embedder, embedder_named
from audiomem_sql.storage.segment import DEFAULT_MODEL
from audiomem_sql.table.table import Table
from examples.demo import HELP_COLUMNS, library_rows

QUESTIONS = Path(__file__).with_name("questions.jsonl")
Labels = dict[str, int]
_Row = TypeVar("_Row", str, int)


def questions(names: set[str]) -> list[tuple[str, Labels]]:
    """The labelled questions that can be answered with the rows called ``names``."""
    pairs = []
    for line in QUESTIONS.read_text().splitlines():
        entry = json.loads(line)
        relevant = {name: grade for name, grade in entry["relevant"].items() if name in names}
        if 2 in relevant.values():
            pairs.append((entry["question"], relevant))
    return pairs


def ndcg(names: Sequence[_Row], relevant: Mapping[_Row, int]) -> float:
    """nDCG@10 of an answer, given as names or numbers of rows."""

    def gained(grades: Sequence[int]) -> float:
        return sum((2**grade - 1) / math.log2(rank + 2) for rank, grade in enumerate(grades[:10]))

    best = gained(sorted(relevant.values(), reverse=True))
    return gained([relevant.get(name, 0) for name in names]) / best


def measured(pairs: list[tuple[str, Labels]], answer: Callable[[str], list[str]]) -> list[float]:
    """nDCG@10 of every question."""
    return [ndcg(answer(question), relevant) for question, relevant in pairs]


def exact(embedder: Embedder, names: list[str], docs: list[str]) -> Callable[[str], list[str]]:
    """The ten nearest by float32 vectors, all of them compared."""
    vectors = embedder.embed(docs)

    def answer(question: str) -> list[str]:
        nearest = np.argsort(-(vectors @ embedder.embed([question])[0]), kind="stable")[:10]
        return [names[row] for row in nearest]

    return answer


def ours(table: Table, mode: str) -> Callable[[str], list[str]]:
    """The ten best rows of a table."""

    def answer(question: str) -> list[str]:
        if mode == "keyword":  # FTS5's syntax: rows with any of the words, as in hybrid searches
            question = " OR ".join(f'"{word}"' for word in question.replace('"', " ").split())
        names: list[str] = table.search(f"{mode}: {question}", k=10, columns=["name"])["name"].to_pylist()
        return names

    return answer


def rate(embedder: Embedder, texts: list[str]) -> float:
    """Texts embedded in a second."""
    embedder.embed(["warm"])
    start = time.perf_counter()
    embedder.embed(texts)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="a Parquet file; the rate is measured on its first bodies")
    parser.add_argument("--rate-rows", type=int, default=2000)
    arguments = parser.parse_args()
    rows = library_rows()
    names, docs = [row["name"] for row in rows], [row["doc"] for row in rows]
    pairs = questions(set(names))
    print(f"{len(rows):,} docstrings, {len(pairs)} questions\n")
    print("| search | nDCG@10 | ± |\n|---|---|---|")

    def show(label: str, values: list[float]) -> None:
        spread = np.std(values) / math.sqrt(len(values))
        print(f"| {label} | {100 * np.mean(values):.1f} | {100 * spread:.1f} |", flush=True)

    for backend in BACKENDS:
        embedder = embedder_named(DEFAULT_MODEL, backend)
        show(f"{backend}: exact, float32", measured(pairs, exact(embedder, names, docs)))
        with tempfile.TemporaryDirectory() as folder:
            options = {"model": DEFAULT_MODEL, "model_backend": backend}
            with Table.create(Path(folder) / "help.flac", HELP_COLUMNS, options) as table:
                table.append(rows)
                table.vacuum()
                for mode in ("semantic", "hybrid") + (("keyword",) if backend == "torch" else ()):
                    show(f"{backend}: {mode}", measured(pairs, ours(table, mode)))
    if arguments.data:
        texts = (
            pq.read_table(arguments.data, columns=["body"])["body"].slice(0, arguments.rate_rows).to_pylist()
        )
        print("\n| backend | texts/s |\n|---|---|")
        for backend in BACKENDS:
            print(f"| {backend} | {rate(embedder_named(DEFAULT_MODEL, backend), texts):.0f} |", flush=True)


if __name__ == "__main__":
    main()
