"""Kinds of files of rows, by what their names end in, for import and export."""

from __future__ import annotations

import os

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".duckdb": "duckdb",
}
KINDS = tuple(dict.fromkeys(SUFFIXES.values()))
#: Kinds that may be compressed, and what the names of such files end in.
PACKED = ("csv", "tsv", "json", "jsonl")
PACKINGS = (".gz", ".zst")


def kind_of_name(path: str) -> tuple[str | None, str | None]:
    """The kind that a name says, and how it says that the file is compressed; None for nothing."""
    stem, suffix = os.path.splitext(path.lower())
    packing = suffix if suffix in PACKINGS else None
    return SUFFIXES.get(os.path.splitext(stem)[1] if packing else suffix), packing
