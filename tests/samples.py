"""Tables to test with: every column type, NULLs, extremes; and their rows as plain Python values."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.schema import Schema, parse_columns
from audiomem_sql.errors import NotAudioMemoryError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "n INTEGER",
    "x REAL",
    "title TEXT",
    "category TEXT",
    "doc JSON",
    "raw BLOB",
    "ok BOOLEAN",
    "seen TIMESTAMP",
    "vec FLOAT[3]",
    "code TEXT UNIQUE",
]
SCHEMA: Schema = parse_columns(COLUMNS)
INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), 2**31, -(2**31), 255, 256]
REALS = [0.0, 1.5, -1.5, float("inf"), float("-inf"), 5e-324, 1.7976931348623157e308]
TEXTS = ["", "a", "naïve café", "🎼" * 5, "x" * 400, "a\0b", "\n"]
WORDS = [
    "the",
    "audio",
    "frame",
    "holds",
    "a",
    "page",
    "of",
    "cells",
    "and",
    "every",
    "cell",
    "has",
    "its",
    "own",
    "checksum",
]


def rows(count: int, seed: int = 0, first: int = 1) -> list[dict[str, Any]]:
    """Rows of ``SCHEMA`` with the ids first, first + 1, …; about one value in eight is NULL."""
    rng = random.Random(f"{seed}:{first}")
    return [_row(rng, rowid) for rowid in range(first, first + count)]


def _row(rng: random.Random, rowid: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": rng.choice(INTEGERS) if rng.random() < 0.3 else rng.randrange(1000),
        "x": rng.choice(REALS) if rng.random() < 0.3 else rng.random(),
        "title": rng.choice(TEXTS)
        if rng.random() < 0.3
        else " ".join(rng.choices(WORDS, k=rng.randrange(1, 40))),
        "category": rng.choice(WORDS[:5]),
        "doc": f'{{"n": {rng.randrange(100)}}}',
        "raw": rng.randbytes(rng.randrange(60)),
        "ok": rng.random() < 0.5,
        "seen": rng.randrange(0, 2_000_000_000) * 1_000_000,
        "vec": [float(np.float32(rng.random())) for _ in range(3)],
        "code": f"K{rowid:06d}",
    }
    return {"id": rowid, **{name: None if rng.random() < 0.125 else value for name, value in row.items()}}


def arrow(values: list[dict[str, Any]], schema: Schema = SCHEMA) -> pa.Table:
    """Rows as an Arrow table of exactly the schema's types."""
    return pa.Table.from_pylist(values, schema.to_arrow())


def content(table: Table | pa.Table) -> list[dict[str, Any]]:
    """All rows by id, TIMESTAMP as microseconds: comparable with what :func:`rows` makes."""
    data = table.to_arrow() if isinstance(table, Table) else table
    columns = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in data.columns
    ]
    found = pa.table(columns, names=data.column_names).to_pylist()
    return sorted(found, key=lambda row: row.get("id", 0))


def same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> bool:
    """Whether two lists of rows are equal, the sign of zero included."""
    return repr(left) == repr(right)


#: Options of a table in each modulation.
MODULATIONS: dict[str, dict[str, str]] = {
    "pcm": {},
    "flat": {"modulation": "spectrum"},
    "mission": {"modulation": "spectrum", "band_plan": "mission"},
}


def create(path: Path, count: int = 100, seed: int = 0, **options: Any) -> Table:
    """A table of ``SCHEMA`` with ``count`` rows, open."""
    table = Table.create(path, SCHEMA, {"profile": "embedded", **options})
    if count:
        table.append(arrow(rows(count, seed)))
    return table


def verify(path: Path) -> None:
    """Fail on any fault in the files of the table at ``path``; sound that is no table is passed over."""
    try:
        table = Table(path)
    except NotAudioMemoryError:
        return
    with table:
        assert [str(problem) for problem in problems(table)] == []
