"""How many texts a second each model embeds: ``python -m benchmarks.embedding --data FILE.parquet``.

One after another in one process, with what is installed: ``wordllama`` (extra ``static``), all-MiniLM-L6-v2
with int8 weights (``onnx``) and in float32 (``semantic``). Texts that were embedded before are not looked up,
but for the last row. Beside the rate stands that of one processor, from the time of all processors, which is
what to compare on a machine that others use.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time

import numpy as np
import pyarrow.parquet as pq

from audiomem_sql.errors import MissingExtraError
from audiomem_sql.machine.hardware import processors
from audiomem_sql.search.models.embedder import Embedder
from audiomem_sql.search.models.embedders import SentenceTransformer
from audiomem_sql.search.models.onnx_model import OnnxTransformer
from audiomem_sql.search.models.static_model import StaticEmbedder
from audiomem_sql.search.models.stored_vectors import ENVIRONMENT, StoredEmbedder
from audiomem_sql.storage.segment import DEFAULT_MODEL


def measured(embedder: Embedder, texts: list[str]) -> tuple[float, float]:
    """Texts a second, and texts a second of a processor."""
    wall, work = time.perf_counter(), time.process_time()
    embedder.embed(texts)
    return len(texts) / (time.perf_counter() - wall), len(texts) / (time.process_time() - work)


def main() -> None:
    """Print the table of docs/EMBEDDING.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a Parquet file with a column body")
    parser.add_argument("--rows", type=int, default=20_000, help="texts for wordllama; models get fewer")
    arguments = parser.parse_args()
    texts: list[str] = pq.read_table(arguments.data, columns=["body"])["body"].to_pylist()[: arguments.rows]
    torch = SentenceTransformer(DEFAULT_MODEL)
    onnx = OnnxTransformer(DEFAULT_MODEL, torch.folder, torch.loaded)
    characters = np.mean([len(text) for text in texts])
    print(f"{processors()} processors, texts of {characters:.0f} characters\n")
    print("| model | texts | texts/s | texts/s of a processor |\n|---|---|---|---|")
    runs: list[tuple[str, Embedder, int]] = [
        ("wordllama, first", StaticEmbedder(), len(texts)),
        ("onnx, int8 weights", onnx, 600),
        ("torch, float32", torch, 100),
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[ENVIRONMENT] = folder
        for name, embedder, count in runs:
            try:
                if count < len(texts):
                    embedder.embed(texts[-1:])
                show(name, count, measured(embedder, texts[:count]))
                if isinstance(embedder, StaticEmbedder):
                    show("wordllama, words known", count, measured(embedder, texts[:count]))
                if embedder is onnx:
                    stored = StoredEmbedder(onnx)
                    stored.embed(texts[:count])
                    show("onnx, embedded before", count, measured(stored, texts[:count]))
            except MissingExtraError as error:
                print(f"| {name} | {error} | | |")


def show(name: str, count: int, rates: tuple[float, float]) -> None:
    print(f"| {name} | {count:,} | {rates[0]:,.0f} | {rates[1]:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
