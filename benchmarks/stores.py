"""The same rows in every store, behind one small interface: load, get a row, scan, search, append."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import apsw
import duckdb
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED

COLUMNS = ("id", "source", "title", "created_at", "body")


class Store(ABC):
    """A store in a folder of its own.

    What a store cannot do raises NotImplementedError and is shown as a dash.
    """

    name: str
    appends = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def load(self, table: pa.Table) -> None:
        """Store all rows, durably."""

    @abstractmethod
    def open(self) -> None:
        """Open for reading, as a new process would."""

    @abstractmethod
    def close(self) -> None:
        """Close, and forget what is cached."""

    @abstractmethod
    def query(self, sql: str) -> Any:
        """The first row of a query on table ``t``."""

    def get(self, key: int) -> Any:
        """All columns of the row with id ``key``."""
        return self.query(f"SELECT * FROM t WHERE id = {key}")

    def append(self, table: pa.Table) -> None:
        """One durable commit."""
        raise NotImplementedError

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


class AudioMemory(Store):
    """Ours: a FLAC file, read through SQLite's virtual table."""

    name = "AudioMemory"
    level = 9

    @property
    def path(self) -> Path:
        """The FLAC file."""
        return self.folder / "t.flac"

    def load(self, table: pa.Table) -> None:
        am.write_flac(table, self.path, primary_key="id", compression_level=self.level).close()

    def open(self) -> None:
        self.connection = am.connect(self.path)

    def close(self) -> None:
        self.connection.close()
        SHARED.clear()

    def query(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()

    def append(self, table: pa.Table) -> None:
        if not hasattr(self, "table"):
            self.table = am.open(self.path)
        self.table.append(table)


class AudioMemoryBest(AudioMemory):
    """The same at zstd level 19."""

    name = "AudioMemory, level 19"
    level = 19


class Sqlite(Store):
    """SQLite with its defaults (rollback journal, synchronous=FULL)."""

    name = "SQLite"

    def load(self, table: pa.Table) -> None:
        self.open()
        self.connection.execute(
            "CREATE TABLE t("
            "id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT) STRICT"
        )
        self.append(table)
        self.connection.execute("VACUUM")
        self.close()

    def open(self) -> None:
        self.connection = apsw.Connection(str(self.folder / "t.sqlite"))

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()

    def append(self, table: pa.Table) -> None:
        rows = zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)
        with self.connection:
            self.connection.executemany("INSERT INTO t VALUES(?, ?, ?, ?, ?)", rows)


class Parquet(Store):
    """Parquet, zstd level 19, one row group, by DuckDB: the smallest Parquet file of these rows."""

    name = "Parquet zstd-19"
    appends = False

    def load(self, table: pa.Table) -> None:
        path = str(self.folder / "t.parquet").replace("'", "''")
        with duckdb.connect() as connection:
            connection.register("new_rows", table)
            connection.execute(
                f"COPY (SELECT * FROM new_rows) TO '{path}' "
                "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 19, "
                f"ROW_GROUP_SIZE {-(-len(table) // 2048) * 2048})"
            )

    def open(self) -> None:
        self.connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
        path = str(self.folder / "t.parquet").replace("'", "''")
        self.connection.execute(f"CREATE VIEW t AS SELECT * FROM '{path}'")

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str) -> Any:
        return self.connection.execute(sql.replace(" LIKE ", " ILIKE ")).fetchone()


class DuckDB(Store):
    """DuckDB's own file, with a primary key."""

    name = "DuckDB"

    def load(self, table: pa.Table) -> None:
        self.open()
        self.connection.execute(
            "CREATE TABLE t(id BIGINT PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT)"
        )
        self.append(table)
        self.connection.execute("CHECKPOINT")
        self.close()

    def open(self) -> None:
        self.connection = duckdb.connect(
            str(self.folder / "t.duckdb"), config={"threads": os.cpu_count() or 1}
        )

    def close(self) -> None:
        self.connection.close()

    def query(self, sql: str) -> Any:
        return self.connection.execute(sql.replace(" LIKE ", " ILIKE ")).fetchone()

    def append(self, table: pa.Table) -> None:
        self.connection.register("new_rows", table)
        self.connection.execute("INSERT INTO t SELECT * FROM new_rows")
        self.connection.unregister("new_rows")


STORES: tuple[type[Store], ...] = (AudioMemory, AudioMemoryBest, Sqlite, Parquet, DuckDB)
