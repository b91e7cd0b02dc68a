"""The rows of the load tests, made from their numbers, so that whoever asks knows each answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "title TEXT",
    "body TEXT INDEXED",
    "year INTEGER",
    "vec FLOAT[32] INDEXED",
]
DIMENSIONS = 32
#: Rows whose vectors are close together, and far from all others: those that are nearest to any of them.
CLUSTER = 10
#: Rows of one year, and of one topic, follow one another at these distances.
YEARS, TOPICS = 50, 1000
_WORDS = [
    "frame",
    "page",
    "cell",
    "segment",
    "snapshot",
    "codeword",
    "syndrome",
    "coefficient",
    "window",
    "spectrum",
    "band",
]


def title(number: int) -> str:
    """The title of row ``number``, which begins with 1."""
    return f"Title {number} of {_WORDS[number % len(_WORDS)]}"


def body(number: int) -> str:
    """Its text; ``topic`` is a word that every thousandth row has."""
    words = [_WORDS[(number * step + step) % len(_WORDS)] for step in range(1, 30)]
    return f"Row {number} is about {topic(number % TOPICS)} and {' '.join(words)}."


def topic(remainder: int) -> str:
    """The word of the rows whose number has this remainder."""
    return f"topic{remainder}x"


def row(number: int) -> dict[str, Any]:
    """Row ``number`` without its vector."""
    return {"id": number, "title": title(number), "body": body(number), "year": 1970 + number % YEARS}


def of_topic(remainder: int, rows: int) -> list[int]:
    """The rows of a topic."""
    return list(range(remainder or TOPICS, rows + 1, TOPICS))


def of_cluster(number: int) -> list[int]:
    """The rows whose vectors are nearest to that of row ``number``."""
    start = (number - 1) // CLUSTER * CLUSTER + 1
    return list(range(start, start + CLUSTER))


def vectors(rows: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 (rows, 32); a multiple of ``CLUSTER`` rows."""
    made = np.random.default_rng(7)
    centres = made.normal(size=(rows // CLUSTER, DIMENSIONS))
    spread = made.normal(size=(rows, DIMENSIONS)) * 0.02
    return (np.repeat(centres, CLUSTER, axis=0) + spread).astype(np.float32)


def batches(rows: int, size: int = 5000) -> Iterator[list[dict[str, Any]]]:
    """All rows with their vectors, in parts."""
    placed = vectors(rows).tolist()
    for start in range(0, rows, size):
        yield [
            row(number) | {"vec": placed[number - 1]}
            for number in range(start + 1, min(start + size, rows) + 1)
        ]


def make_table(path: Path, rows: int, protection: str = "standard") -> None:
    """The table in the file ``path``."""
    from audiomem_sql.table.table import Table

    with Table.create(path, COLUMNS, {"protection": protection}) as table:
        for batch in batches(rows):
            table.append(batch)
        table.vacuum()
