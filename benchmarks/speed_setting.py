"""The rows that ``benchmarks.speed`` measures with, and the stores that several of its parts read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa

from audiomem_sql.table.table import Table
from benchmarks.__main__ import repeated
from benchmarks.analysis import tiled, write
from benchmarks.scale_measured import TEXTS
from benchmarks.stores import COLUMNS, AudioMemory, Parquet, Sqlite
from benchmarks.vectors import normal

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Setting:
    """What a run was asked for. level: of the tables that are read; loads have the level of a load."""

    folder: Path
    table: pa.Table
    rows: int
    big: int
    repeat: int = 5
    threads: int = 2
    level: int = 9
    vectors_file: str | None = None

    def place(self, name: str) -> Path:
        """A folder of its own, which is made."""
        made = self.folder / name
        made.mkdir(parents=True)
        return made

    @cached_property
    def texts(self) -> pa.Table:
        """``rows`` rows with ids from 1 on, their times as texts."""
        table = repeated(self.table, self.rows).combine_chunks()
        at = table.column_names.index("created_at")
        return table.set_column(at, "created_at", table["created_at"].cast(pa.string()))

    @cached_property
    def values(self) -> list[tuple[Any, ...]]:
        """The same as SQLite takes them."""
        return rows_as_values(self.texts)

    @cached_property
    def ours(self) -> AudioMemory:
        """The rows in a FLAC file."""
        store = AudioMemory(self.folder / "ours")
        store.level = self.level
        store.load(self.texts)
        return store

    @cached_property
    def sqlite(self) -> Sqlite:
        """The rows in a file of SQLite."""
        store = Sqlite(self.folder / "sqlite")
        store.load(self.texts)
        return store

    @cached_property
    def parquet(self) -> Parquet:
        """The rows in a Parquet file."""
        store = Parquet(self.folder / "parquet")
        store.load(self.texts)
        return store

    @cached_property
    def tiled(self) -> pa.Table:
        """``big`` rows whose times rise."""
        return tiled(self.table, self.big)

    @cached_property
    def scanned(self) -> tuple[Path, Path]:
        """These as a FLAC file and as a Parquet file of DuckDB."""
        return write(self.place("scanned"), self.tiled, self.level)

    @cached_property
    def indexed(self) -> AudioMemory:
        """The rows with a column ``body`` whose words are indexed as they are written."""
        store = AudioMemory(self.folder / "indexed")
        columns = [*TEXTS, "body TEXT INDEXED(tokenize='unicode61')"]
        with Table.create(store.path, columns, {"compression_level": self.level}) as table:
            table.append(self.texts)
            table.vacuum(level=self.level)
        return store

    @cached_property
    def vectors(self) -> Array:
        """float32 (n, d) of length 1: of the file, or 384 numbers by chance, near each other in groups."""
        if self.vectors_file is not None:
            return normal(np.load(self.vectors_file))
        chance = np.random.default_rng(0)
        count = min(self.rows, 30_000)
        middles = chance.standard_normal((max(8, count // 200), 384), np.float32)
        noise = 0.7 * chance.standard_normal((count, 384), np.float32)
        return normal(middles[chance.integers(0, len(middles), count)] + noise)


def rows_as_values(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows as tuples of Python values."""
    return list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True))


def sqlite_table(path: str | os.PathLike[str], journal: str = "delete") -> apsw.Connection:
    """A new database with an empty table t, which waits for the disk at every commit."""
    connection = apsw.Connection(os.fspath(path))
    connection.execute(f"PRAGMA journal_mode={journal}").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    columns = ", ".join(f"{name} {'INTEGER PRIMARY KEY' if name == 'id' else 'TEXT'}" for name in COLUMNS)
    connection.execute(f"CREATE TABLE t({columns}) STRICT")
    return connection


def put(connection: apsw.Connection, values: list[tuple[Any, ...]]) -> None:
    """One commit of these rows."""
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", values)
