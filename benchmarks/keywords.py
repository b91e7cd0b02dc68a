"""The keyword index beside FTS5.

``python -m benchmarks.keywords --data FILE.parquet`` prints the tables of docs/KEYWORDS.md. Queries are made
of words of the rows themselves, drawn with a fixed seed; both sides give the ten best rows by BM25.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pyarrow as pa
import pyarrow.parquet as pq

from audiomem_sql.indexes.words.encoder import EncodedKeywords, encode_keywords
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.matching import match
from audiomem_sql.indexes.words.tokenizer import words_of
from benchmarks.corpus import docstrings
from benchmarks.timing import Times, once, timed

DETAILS = ("full", "column", "none")
QUERIES = 200


def texts_of(path: str | None, count: int) -> pa.Array:
    """The column ``body`` of a Parquet file, or the docstrings of this Python."""
    table = docstrings() if path is None else pq.read_table(path, columns=["body"])
    return table["body"].slice(0, count).combine_chunks()


def kinds(texts: pa.Array) -> dict[str, list[str]]:
    """Queries of each kind.

    Words are drawn as often as they stand in the rows, so frequent ones are drawn often.
    """
    rng = random.Random(0)
    rows = [
        words
        for i in rng.choices(range(len(texts)), k=2000)
        if len(words := words_of("unicode61").terms(texts[i].as_py())) > 3
    ]

    def drawn(make: Callable[[list[str], int], str]) -> list[str]:
        chosen = []
        for row in rng.choices(rows, k=QUERIES):
            words = [word.decode() for word in row]
            chosen.append(make(words, rng.randrange(len(words) - 2)))
        return chosen

    return {
        "one word": drawn(lambda words, at: f'"{words[at]}"'),
        "two words": drawn(lambda words, at: f'"{words[at]}" "{rng.choice(words)}"'),
        "four words, OR": drawn(lambda words, at: " OR ".join(f'"{word}"' for word in rng.sample(words, 4))),
        "phrase of three": drawn(lambda words, at: f'"{" ".join(words[at : at + 3])}"'),
        "prefix of four": drawn(lambda words, at: f'"{words[at][:4]}" *'),
    }


def in_fts5(texts: pa.Array, detail: str) -> tuple[float, int, apsw.Connection]:
    """Seconds to build, bytes without the texts, and the connection. ``content=''`` leaves the texts out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fts5.db"
        connection = apsw.Connection(str(path))
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(body, content='', detail={detail})")
        rows = list(enumerate(texts.to_pylist()))

        def build() -> None:
            with connection:
                connection.executemany("INSERT INTO t(rowid, body) VALUES (?, ?)", rows)
                connection.execute("INSERT INTO t(t) VALUES ('optimize')")

        seconds = once(build)
        connection.execute("VACUUM")
        return seconds, path.stat().st_size, connection


def asked(connection: apsw.Connection) -> Callable[[str], Any]:
    sql = "SELECT rowid, bm25(t) FROM t WHERE t MATCH ? ORDER BY bm25(t) LIMIT 10"
    return lambda query: connection.execute(sql, (query,)).fetchall()


def opened(encoded: EncodedKeywords, texts: pa.Array) -> KeywordIndex:
    return KeywordIndex(
        encoded.header, encoded.pieces.__getitem__, len(texts), lambda rows: texts.take(pa.array(rows))
    )


def best(index: KeywordIndex, query: str) -> Any:
    matches = match(parse_query(query, ["body"]), {"body": index})
    return matches.score(matches.statistics, k=10)


def best_cold(encoded: EncodedKeywords, texts: pa.Array, query: str) -> Any:
    return best(opened(encoded, texts), query)


def line(name: str, times: dict[str, Times | None]) -> None:
    cells = " | ".join("–" if each is None else f"{each.p50:.2f} / {each.p99:.1f}" for each in times.values())
    print(f"| {name} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="a Parquet file with a column body; without it, docstrings")
    parser.add_argument("--rows", type=int, default=30_000)
    arguments = parser.parse_args()
    texts = texts_of(arguments.data, arguments.rows)
    queries = kinds(texts)
    print(f"{len(texts):,} rows, {texts.nbytes / 1e6:.1f} MB of text\n")
    print("| index | bytes | build, s | rows/s |\n|---|---|---|---|")
    times: dict[str, dict[str, Times | None]] = {}
    for positions in (False, True):
        encoded: list[EncodedKeywords] = []
        seconds = once(
            lambda positions=positions, encoded=encoded: encoded.append(
                encode_keywords(texts, positions=positions)
            )
        )
        size = len(encoded[0].header) + sum(map(len, encoded[0].pieces))
        name = f"AudioMemory, {'with' if positions else 'without'} positions"
        print(f"| {name} | {size:,} | {seconds:.2f} | {len(texts) / seconds:,.0f} |")
        warm = opened(encoded[0], texts)
        cold = f"{name}, first query"
        ask = partial(best, warm)
        times[name] = {kind: timed(ask, some, budget=15) for kind, some in queries.items()}
        ask_cold = partial(best_cold, encoded[0], texts)
        times[cold] = {kind: timed(ask_cold, some, budget=15) for kind, some in queries.items()}
    for detail in DETAILS:
        seconds, size, connection = in_fts5(texts, detail)
        name = f"FTS5, detail={detail}"
        print(f"| {name} | {size:,} | {seconds:.2f} | {len(texts) / seconds:,.0f} |")
        ask_fts5 = asked(connection)
        times[name] = {
            kind: timed(ask_fts5, some, budget=15) if detail == "full" or "phrase" not in kind else None
            for kind, some in queries.items()
        }
    print(f"\n| ms, p50 / p99 | {' | '.join(queries)} |\n|---|{'---|' * len(queries)}")
    for name, each in times.items():
        line(name, each)


if __name__ == "__main__":
    main()
