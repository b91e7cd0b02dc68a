"""Doubles that are no usual numbers, and a table that holds them, with the same rows in memory."""

from __future__ import annotations

import math
import random
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from audiomem_sql.table.table import Table

ROWS = 3000


def real(bits: int) -> float:
    """The double of 64 bits."""
    (value,) = struct.unpack("<d", bits.to_bytes(8, "little"))
    assert isinstance(value, float)
    return value


#: NaN of either sign, with bits of its own, and the smallest payload of a quiet one.
NANS = [
    real(0x7FF8000000000000),
    real(0xFFF8000000000000),
    real(0xFFF8DEAD00000001),
    real(0x7FF8000000000001),
]
SPECIALS = [*NANS, math.inf, -math.inf, 0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1e300, -1e300]
FEW = [1.5, -2.5, 0.5, 2.0**53, 3.0]


def bits(values: Any) -> list[int | None]:
    """The 64 bits of each double."""
    return [None if value is None else int.from_bytes(struct.pack("<d", value), "little") for value in values]


def column(rng: random.Random, rows: int) -> list[float | None]:
    def one() -> float | None:
        kind = rng.random()
        if kind < 0.1:
            return None
        if kind < 0.5:
            return rng.choice(SPECIALS)
        return rng.choice(FEW) if kind < 0.8 else rng.uniform(-10, 10)

    return [one() for _ in range(rows)]


@dataclass
class Twin:
    """A table of several segments and a log, and its rows in memory: ``id``, ``g`` (few values), ``x``."""

    path: Path
    memory: pa.Table


def make(path: Path, rng: random.Random) -> Twin:
    memory = pa.table(
        {
            "id": pa.array(range(ROWS)),
            "g": pa.array([rng.choice(["a", "b", None]) for _ in range(ROWS)]),
            # NaN stands in some blocks only
            "x": pa.array([*column(rng, ROWS // 2), *(rng.uniform(0, 1) for _ in range(ROWS - ROWS // 2))]),
        }
    )
    with Table.create(path, ["id INTEGER PRIMARY KEY", "g TEXT", "x REAL"], {"protection": "none"}) as table:
        table.append(memory.slice(0, 2000))
        table.append(memory.slice(2000, 900))
        table.append(memory.slice(2900).to_pylist())
    return Twin(path, memory)
