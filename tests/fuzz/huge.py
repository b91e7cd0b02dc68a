"""Small files that say they have very much, under right checksums: a part of :mod:`fuzz.hostile`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from sealed import Sealed

from audiomem_sql.blocks.integers import encode_integers
from audiomem_sql.table.table import Table


def huge_files(protection: str) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Small files that say they have very much: rows, bytes in a block, bytes in a list."""
    options = {"profile": "embedded", "protection": protection}

    def changed(change: Callable[[Sealed], None], *columns: str) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            own = path.with_name("own.flac")
            with Table.create(own, columns, options) as table:
                table.append([{"id": number} for number in range(1, 11)])
            sealed = Sealed.read(own)
            own.unlink()
            change(sealed)
            sealed.write(path)

        return write

    for rows in (2**48, 2**33):
        yield f"{rows} rows", changed(lambda s, rows=rows: without_blocks(s, rows), "id INTEGER PRIMARY KEY")
        yield (
            f"{rows} rows with a default",
            changed(lambda s, rows=rows: with_a_default(s, rows), "id INTEGER PRIMARY KEY"),
        )
    columns = ("id INTEGER PRIMARY KEY", "a TEXT")
    yield "rows of nothing", changed(lambda s: blocks_of_nothing(s, 50_000), *columns)
    yield (
        "versions of rows of nothing",
        changed(lambda s: blocks_of_nothing(s, 50_000, versions=True), *columns),
    )
    yield "a list of zeros", changed(lambda s: one_list(s, 1 << 30), *columns)
    yield "a shorter list of zeros", changed(lambda s: one_list(s, 1 << 28), *columns)
    yield "a value of zeros", changed(one_value, "id INTEGER PRIMARY KEY", "a BLOB")
    wide = ("id INTEGER PRIMARY KEY", *(f"a{number} TEXT" for number in range(60)))
    yield "wide rows", changed(wide_blocks, *wide)


def without_blocks(sealed: Sealed, rows: int) -> None:
    """So many rows, of which nothing is stored but the first rowid."""
    catalog = sealed.catalog
    catalog["requires"] = [feature for feature in catalog["requires"] if feature != "row-versions"]
    for name in ("created", "ended"):
        catalog.pop(name, None)
    catalog |= {"rows": rows, "rowid_range": [1, rows], "first_rowid": 1, "rowids": None}
    catalog["versions"] = catalog["versions"][-1:]
    sealed.data.clear()
    catalog["data_bytes"] = 0


def with_a_default(sealed: Sealed, rows: int) -> None:
    """The same, with a column that was added later."""
    without_blocks(sealed, rows)
    catalog = sealed.catalog
    number, time, *rest = catalog["versions"][-1]
    before = catalog["schema"]
    after = [*before, {"name": "b", "type": "TEXT", "default": "'x'", "id": 7}]
    catalog["requires"] = [*catalog["requires"], "schema-changes"]
    catalog["versions"] = [[number, time, *rest], [number + 1, time + 1, 0, 0, None]]
    catalog["schemas"] = [[number, before, [], []], [number + 1, after, [], []]]
    catalog |= {"migrations": [[1, number + 1, "ADD COLUMN b"]], "next_column": 8}


def _nothing(blocks: int, rows: int) -> dict[str, Any]:
    counts = struct.pack("<q", rows) * blocks
    bounds = bytes(16 * blocks)
    zones = {"rows": counts, "nulls": counts, "low": bounds, "high": bounds}
    zeros = bytes(4 * blocks)
    places = {"offsets": bytes(8 * blocks), "stored": zeros, "raw": zeros, "encodings": bytes(blocks)}
    return {"blocks": {**places, "zones": zones}, "dictionary": None, "bloom": None}


def blocks_of_nothing(sealed: Sealed, blocks: int, *, versions: bool = False) -> None:
    """Blocks of 65,536 rows, all NULL."""
    rows = blocks << 16
    without_blocks(sealed, rows)
    place = next(n for n, column in enumerate(sealed.catalog["schema"]) if column["name"] == "a")
    sealed.catalog["columns"][place] = _nothing(blocks, 1 << 16)
    if versions:
        sealed.catalog["requires"] = [*sealed.catalog["requires"], "row-versions"]
        sealed.catalog |= {"created": _versions(sealed, blocks), "ended": None}


def _versions(sealed: Sealed, blocks: int) -> dict[str, Any]:
    """A column of the last version only, in blocks of 65,536 rows, which all are the same in the file."""
    number = sealed.catalog["versions"][-1][0]
    raw = encode_integers(np.full(1 << 16, number, np.int64))
    packed = zstandard.ZstdCompressor().compress(raw)
    entry = _nothing(blocks, 1 << 16)
    steps = [len(sealed.data), *[len(packed)] * (blocks - 1)]
    entry["blocks"] |= {
        "offsets": np.array(steps, "<i8").tobytes(),
        "stored": struct.pack("<I", len(packed)) * blocks,
        "raw": struct.pack("<I", len(raw)) * blocks,
        "encodings": bytes([1]) * blocks,
    }
    bounds = struct.pack("<q", number) * blocks
    entry["blocks"]["zones"] |= {"nulls": bytes(8 * blocks), "low": bounds, "high": bounds}
    sealed.data += packed * blocks
    sealed.catalog["data_bytes"] = len(sealed.data)
    return entry


def one_list(sealed: Sealed, size: int) -> None:
    """A list of deleted rows that is zeros."""
    sealed.catalog["tombstones"] = sealed.store(bytes(size))


def one_value(sealed: Sealed) -> None:
    """One row whose value is half a gigabyte of zeros."""
    raw = b"\x04" + struct.pack("<I", (1 << 29) - 16) + bytes((1 << 29) - 16)
    one_block(sealed, "a", raw, rows=1, encoding=4)


def one_block(sealed: Sealed, name: str, raw: bytes, *, rows: int, encoding: int) -> None:
    """A table of so many rows, of which a column is one block."""
    without_blocks(sealed, rows)
    _put_block(sealed, name, zstandard.ZstdCompressor().compress(raw), len(raw), rows, encoding)


def _put_block(sealed: Sealed, name: str, packed: bytes, raw: int, rows: int, encoding: int) -> None:
    place = next(n for n, column in enumerate(sealed.catalog["schema"]) if column["name"] == name)
    entry = _nothing(1, rows)
    blocks = entry["blocks"]
    blocks |= {"offsets": struct.pack("<q", len(sealed.data)), "stored": struct.pack("<I", len(packed))}
    blocks |= {"raw": struct.pack("<I", raw), "encodings": bytes([encoding])}
    blocks["zones"] |= {"nulls": bytes(8), "high": b"\xff" * 16}
    sealed.catalog["columns"][place] = entry
    sealed.data += packed
    sealed.catalog["data_bytes"] = len(sealed.data)


def wide_blocks(sealed: Sealed) -> None:
    """Many columns, each of one block of 16 MiB of the same text."""
    rows, value = 1 << 16, b"x" * 255
    raw = struct.pack("<IB", 1, 1) + bytes([len(value)]) + value + b"\x01" + bytes(rows)
    packed = zstandard.ZstdCompressor().compress(raw)
    without_blocks(sealed, rows)
    for column in sealed.catalog["schema"]:
        if column["name"] != "id":
            _put_block(sealed, column["name"], packed, len(raw), rows, 5)
