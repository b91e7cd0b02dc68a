"""What is compared on judged texts: tables in FLAC files, and what others do with the same texts and vectors.

A system answers a query with the rows it finds, best first. All are given the same texts, in one column.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import numpy.typing as npt
import Stemmer

import audiomem_sql
from audiomem_sql.indexes.words.languages import stop_words
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.search.models.embedders import Embedder
from audiomem_sql.table.table import Table
from benchmarks.quality_measures import DEPTH, Scored, best_of, reciprocal_ranks, standardised_sum

Answer = Callable[[str], list[int]]
Vectors = npt.NDArray[np.float32]
#: What ``tokenize=`` says in the tables that are compared; the first is the default.
TOKENIZERS = ("auto", "snowball english", "porter")
#: How much of a row's score its meaning is in the formula of the standardised sum.
MEANING = 0.65


class KeptVectors:
    """An embedder with the vectors of all texts it ever saw in a file, by the hash of the text."""

    def __init__(self, embedder: Any, folder: Path) -> None:
        self._embedder: Embedder = embedder
        self._path = folder / f"vectors-{embedder.digest.hex()}.npz"
        self._known: dict[str, Vectors] = {}
        if self._path.exists():
            with np.load(self._path) as kept:
                self._known = dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    name = property(lambda self: self._embedder.name)
    dimensions = property(lambda self: self._embedder.dimensions)
    digest = property(lambda self: self._embedder.digest)

    def embed(self, texts: Sequence[str], progress: Any = None) -> Vectors:
        """Vectors of length 1, float32 (len(texts), dimensions)."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest() for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if missing:
            made = self._embedder.embed(list(missing.values()), progress)
            self._known |= dict(zip(missing, made, strict=True))
        return np.stack([self._known[key] for key in keys])

    def keep(self) -> None:
        """Write what is known."""
        keys = sorted(self._known)
        np.savez(self._path, keys=np.array(keys), vectors=np.stack([self._known[key] for key in keys]))


class Ours:
    """Texts in the table of a FLAC file, searched through ``Table.search``."""

    def __init__(self, path: Path, texts: Sequence[str], tokenize: str, backend: str) -> None:
        columns = {"row": "INTEGER PRIMARY KEY", "body": f"TEXT SEMANTIC INDEXED(tokenize='{tokenize}')"}
        self._path = path
        self._rows = len(texts)
        self.table = Table.create(path, [f"{name} {type_}" for name, type_ in columns.items()],
                                  {"model_backend": backend})  # fmt: skip
        self.table.append([{"row": row, "body": text} for row, text in enumerate(texts)])
        self.table.vacuum()
        self._connection = audiomem_sql.connect(str(path))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self.table.close()

    def answer(self, mode: str, **options: Any) -> Answer:
        """The rows by ``words``, ``semantic`` or ``hybrid``."""

        def search(query: str) -> list[int]:
            rows = self.table.search(f"{mode}: {query}", 10, columns=["row"], **options)
            return [int(row) for row in rows["row"].to_pylist()]

        return search

    def scored(self, mode: str, query: str) -> Scored:
        """What SQL says of the best rows: BM25 by ``words``, the cosine by ``semantic``."""
        score = "-rank" if mode == "words" else "1 - distance"
        table = self._path.stem
        rows = self._connection.execute(
            f'SELECT row, {score} FROM "{table}" WHERE "{table}" MATCH ? ORDER BY 2 DESC, 1 LIMIT {DEPTH}',
            (f"{mode}: {query}",),
        ).fetchall()
        numbers = np.array([row for row, _ in rows], np.int64)
        return Scored(numbers, np.array([value for _, value in rows], np.float64), self._rows)


def takes_rerank() -> bool:
    """Whether a search can be given something that ranks its best rows again."""
    return "rerank" in inspect.signature(Table.search).parameters


def exact(embedder: Embedder, texts: Sequence[str]) -> Callable[[str], Scored]:
    """All cosines, of float32 vectors."""
    vectors = embedder.embed(texts)
    return lambda query: best_of((vectors @ embedder.embed([query])[0]).astype(np.float64))


def bm25s_snowball(texts: Sequence[str]) -> Callable[[str], Scored]:
    """The package bm25s with Snowball's English stems and stop words, in texts and queries."""
    import bm25s

    stems, stops = Stemmer.Stemmer("english"), sorted(stop_words("english"))

    def tokens(texts: Sequence[str]) -> list[list[str]]:
        return [list(each) for each in bm25s.tokenize(
            list(texts), stopwords=stops, stemmer=stems, return_ids=False, show_progress=False
        )]  # fmt: skip

    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(tokens(texts), show_progress=False)

    def answer(query: str) -> Scored:
        words = tokens([query])[0]
        scores = index.get_scores(words) if words else np.zeros(len(texts))
        best = best_of(np.asarray(scores, np.float64))
        held = int(np.count_nonzero(best.scores > 0))
        return Scored(best.rows[:held], best.scores[:held], len(texts))

    return answer


def fts5(texts: Sequence[str], tokenize: str) -> Answer:
    """SQLite's FTS5, rows with any of the words of the query."""
    connection = apsw.Connection("")
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(body, tokenize='{tokenize}')")
    connection.executemany("INSERT INTO t (rowid, body) VALUES (?, ?)", enumerate(texts))

    def answer(query: str) -> list[int]:
        words = re.findall(r"\w+", query)
        rows = connection.execute(
            "SELECT rowid FROM t WHERE t MATCH ? ORDER BY bm25(t), rowid LIMIT 10",
            (" OR ".join(f'"{word}"' for word in words),),
        )
        return [int(row) for (row,) in rows]

    return answer


def fused_by_ranks(*kinds: Callable[[str], Scored]) -> Answer:
    """Reciprocal ranks of several kinds."""
    return lambda query: reciprocal_ranks([kind(query) for kind in kinds])


def fused_by_scores(meaning: Callable[[str], Scored], words: Callable[[str], Scored]) -> Answer:
    """The standardised sum, 0.65 of it meaning."""
    return lambda query: standardised_sum([meaning(query), words(query)], [MEANING, 1 - MEANING])


def ten(kind: Callable[[str], Scored]) -> Answer:
    """The ten best rows of one kind."""
    return lambda query: [int(row) for row in kind(query).rows[:10]]
