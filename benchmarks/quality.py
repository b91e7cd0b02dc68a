"""How good searches are on texts that nobody tuned for: nDCG@10 of words, meaning and both, beside others.

    python -m benchmarks.quality --cache FOLDER

The texts are the four collections of ``benchmarks.quality_sets``, built from Debian packages that are fetched
to FOLDER, and as a fifth the public docstrings of Python's standard library with the questions of
``benchmarks/questions.jsonl``. FOLDER also keeps the vectors of all texts, by their hash. Everything is
measured in one run, on the same texts and vectors (all-MiniLM-L6-v2, by default with int8 weights). Needs
apt-get, the extras ``semantic`` and ``onnx``, and the package ``bm25s``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from audiomem_sql.search.models import embedders
from audiomem_sql.storage.segment import DEFAULT_MODEL
from benchmarks.quality_measures import Scored, bootstrap
from benchmarks.quality_sets import SETS, JudgedSet, Packages
from benchmarks.quality_systems import (
    TOKENIZERS,
    Answer,
    KeptVectors,
    Ours,
    bm25s_snowball,
    exact,
    fts5,
    fused_by_ranks,
    fused_by_scores,
    takes_rerank,
    ten,
)
from benchmarks.retrieval import ndcg, questions
from examples.demo import library_rows

#: What the interval of the difference is given of, and to what.
BOTH, BY_RANKS, PEERS_BY_RANKS = (
    "both: auto",
    "reciprocal ranks of words and meaning",
    "reciprocal ranks of bm25s and meaning",
)
#: The set of the questions about Python's library, which is not in the mean.
LIBRARY = "library"
PACKAGES = ("audiomem-sql", "apsw", "bm25s", "numpy", "onnxruntime", "PyStemmer", "sentence-transformers")
Figures = dict[str, list[float]]


def library() -> JudgedSet:
    """The public docstrings of Python's standard library, and the questions about it."""
    rows = library_rows()
    row_of = {row["name"]: number for number, row in enumerate(rows)}
    judged = JudgedSet(LIBRARY, [row["doc"] for row in rows])
    judged.queries = [
        (question, {row_of[name]: grade for name, grade in relevant.items()})
        for question, relevant in questions(set(row_of))
    ]
    return judged


def systems(
    judged: JudgedSet, embedder: embedders.Embedder, tables: dict[str, Ours], rerank: str | None
) -> dict[str, Answer]:
    """All that is compared, by its name in the table."""
    auto = tables[TOKENIZERS[0]]
    # several systems join them
    cosines, bm25s = cache(exact(embedder, judged.texts)), cache(bm25s_snowball(judged.texts))

    @cache
    def words(query: str) -> Scored:
        return auto.scored("words", query)

    compared: dict[str, Answer] = {f"words: {name}": table.answer("words") for name, table in tables.items()}
    compared |= {
        "words: bm25s, Snowball": ten(bm25s),
        "words: FTS5 porter": fts5(judged.texts, "porter"),
        "words: FTS5 unicode61": fts5(judged.texts, "unicode61"),
        "meaning": auto.answer("semantic"),
        "meaning: exact, float32": ten(cosines),
    }
    compared |= {f"both: {name}": table.answer("hybrid") for name, table in tables.items()}
    compared["standardised sum of words and meaning, outside"] = fused_by_scores(cosines, words)
    compared[BY_RANKS] = fused_by_ranks(cosines, words)
    compared[PEERS_BY_RANKS] = fused_by_ranks(cosines, bm25s)
    if rerank is not None:
        compared[f"both: auto, reranked by {rerank}"] = auto.answer("hybrid", rerank=rerank)
    return compared


def measured(
    judged: JudgedSet,
    embedder: embedders.Embedder,
    backend: str,
    rerank: str | None,
    progress: Callable[[str], None],
) -> Figures:
    """nDCG@10 of every query, by system."""
    with tempfile.TemporaryDirectory() as folder:
        tables: dict[str, Ours] = {}
        try:
            for tokenize in TOKENIZERS:
                path = Path(folder) / f"{tokenize.replace(' ', '_')}.flac"
                tables[tokenize] = Ours(path, judged.texts, tokenize, backend)
            figures = {}
            for name, answer in systems(judged, embedder, tables, rerank).items():
                start = time.perf_counter()
                figures[name] = [ndcg(answer(query), relevant) for query, relevant in judged.queries]
                progress(f"{judged.name}: {name}: {100 * np.mean(figures[name]):.1f}, "
                         f"{time.perf_counter() - start:.0f} s")  # fmt: skip
            return figures
        finally:
            for table in tables.values():
                table.close()


def table_of(figures: dict[str, Figures], names: Sequence[str]) -> str:
    """The Markdown table: a line a system, a column a set, then mean and worst of the sets ``names``."""
    extra = [name for name in figures if name not in names]
    lines = [f"| nDCG@10 × 100 | {' | '.join([*names, 'mean', 'worst', *extra])} |"]
    lines.append("|---" * (len(figures) + 3) + "|")
    for system in next(iter(figures.values())):
        means = {name: 100 * float(np.mean(of_set[system])) for name, of_set in figures.items()}
        chosen = [means[name] for name in names]
        cells = [*chosen, float(np.mean(chosen)), min(chosen), *(means[name] for name in extra)]
        lines.append(f"| {system} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return "\n".join(lines)


def differences_of(figures: dict[str, Figures]) -> str:
    """Both together less reciprocal ranks, and less the better of words and meaning, with intervals."""
    lines = ["| both less … (95 %) | reciprocal ranks | those of bm25s | the better single ranking |",
             "|---|---|---|---|"]  # fmt: skip
    for name, of_set in figures.items():
        single = max(("words: auto", "meaning"), key=lambda system: float(np.mean(of_set[system])))
        cells = []
        for other in (BY_RANKS, PEERS_BY_RANKS, single):
            mean, low, high = (100 * value for value in bootstrap(of_set[BOTH], of_set[other]))
            cells.append(f"{mean:+.1f} ({low:+.1f} to {high:+.1f})")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _embedder(backend: str, folder: Path) -> tuple[embedders.Embedder, KeptVectors]:
    """The embedder that tables use, with the vectors of earlier runs."""
    embedder: Any = embedders.embedder_named(DEFAULT_MODEL, backend)
    kept = KeptVectors(embedder._embedder, folder)
    embedder._embedder = kept
    return embedder, kept


def main() -> None:
    """Build the sets, measure, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="where packages and vectors are kept")
    parser.add_argument("--backend", default="onnx", choices=embedders.BACKENDS)
    parser.add_argument("--sets", nargs="*", choices=[*SETS, LIBRARY], default=[*SETS, LIBRARY])
    parser.add_argument("--rerank", help="a cross-encoder that ranks the best rows again")
    parser.add_argument("--json", type=Path, help="where the figure of every query goes")
    arguments = parser.parse_args()
    if arguments.rerank and not takes_rerank():
        parser.error("searches of this version take no rerank=")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    packages = Packages(arguments.cache / "packages")
    embedder, kept = _embedder(arguments.backend, arguments.cache)
    figures: dict[str, Figures] = {}
    for name in arguments.sets:
        judged = library() if name == LIBRARY else SETS[name](packages)
        sizes = np.mean([len(text.split()) for text in judged.texts])
        relevant = np.mean([len(rows) for _, rows in judged.queries])
        print(
            f"{judged.name}: {len(judged.texts):,} texts of {sizes:.0f} words, "
            f"{len(judged.queries)} queries, {relevant:.1f} relevant rows each",
            flush=True,
        )
        embedder.embed(judged.texts)
        embedder.embed([query for query, _ in judged.queries])
        kept.keep()
        figures[name] = measured(judged, embedder, arguments.backend, arguments.rerank, _say)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures))
    print("\n| package | version | SHA-256 |\n|---|---|---|")
    for name, (version, digest) in sorted(packages.used.items()):
        print(f"| {name} | {version} | {digest} |")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    print(f"\nPython {platform.python_version()}, {versions}")
    named = [name for name in figures if name != LIBRARY]
    print(f"\n{table_of(figures, named or [LIBRARY])}\n\n{differences_of(figures)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
