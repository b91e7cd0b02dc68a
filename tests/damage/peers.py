"""How much a reader gets back of the same rows in SQLite, in Parquet, and in SQLite beside `par2` volumes.

Each has its best chance: SQLite is asked for every row by itself when it cannot read all of them, Parquet for
every row group, and `par2` may repair before anybody reads.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import resource
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import apsw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from damage.comparison import Comparison, Flags, Reading
from damage.damages import Bytes

#: Rows of a Parquet row group: a small one, because it is what is lost with a byte.
GROUP_ROWS = 2048
#: par2's blocks: what is lost with a byte. The default; ten times as many make a list of checksums so long
#: that no copy of it stays whole where smaller blocks would help.
PAR2_BLOCKS = 2000
WORKER_BYTES = 8 << 30
PATIENCE_S = 900


class Peer(ABC):
    """A store of one or more files; damage is done to all bytes of all of them."""

    name: str

    def __init__(self, folder: Path, table: pa.Table) -> None:
        self.expected = table
        home = folder / self.name.replace(" ", "-")
        home.mkdir()
        self.make(home)
        files = sorted(path for path in home.iterdir() if path.is_file())
        self._files = [(path.name, path.stat().st_size) for path in files]
        self.data: Bytes = np.concatenate([np.fromfile(path, np.uint8) for path in files])
        shutil.rmtree(home)

    def rows_in(self, start: int, stop: int) -> Flags:
        """Peers are not asked which rows were cut."""
        return np.zeros(self.expected.num_rows, bool)

    def read(self, folder: Path, data: Bytes) -> Reading:
        """Everything that comes back of ``data``."""
        place = folder / "peer"
        place.mkdir()
        at = 0
        for name, size in self._files:
            data[at : at + size].tofile(place / name)
            at += size
        reading = Reading(np.zeros(self.expected.num_rows, bool))
        began = time.perf_counter()
        self.fetch(place, reading)
        reading.read_s = time.perf_counter() - began
        shutil.rmtree(place)
        return reading

    @abstractmethod
    def make(self, folder: Path) -> None:
        """Write the files."""

    @abstractmethod
    def fetch(self, folder: Path, reading: Reading) -> None:
        """Read them."""


class Sqlite(Peer):
    """A SQLite database as it is made by default."""

    name = "SQLite"

    def make(self, folder: Path) -> None:
        connection = apsw.Connection(str(folder / "t.sqlite"))
        connection.execute(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, source TEXT, title TEXT, created_at TEXT, body TEXT) "
            "STRICT"
        )
        rows = zip(*(column.to_pylist() for column in self.expected.columns), strict=True)
        with connection:
            connection.executemany("INSERT INTO t VALUES(?, ?, ?, ?, ?)", rows)
        connection.execute("VACUUM")
        connection.close()

    @functools.cached_property
    def _rows(self) -> list[tuple[object, ...]]:
        return list(zip(*(column.to_pylist() for column in self.expected.columns), strict=True))

    def fetch(self, folder: Path, reading: Reading) -> None:
        comparison = Comparison(self.expected)
        try:
            connection = apsw.Connection(str(folder / "t.sqlite"))
            try:
                connection.execute("PRAGMA writable_schema=ON")  # a damaged schema is no reason to give up
                self._fetch(connection, comparison, reading)
            finally:
                connection.close()
        except (apsw.Error, UnicodeDecodeError) as error:
            reading.error = reading.error or f"{type(error).__name__}: {error}"
        reading.take(comparison)

    def _fetch(self, connection: apsw.Connection, comparison: Comparison, reading: Reading) -> None:
        seen = np.zeros(len(self._rows), bool)
        try:
            for number, row in enumerate(connection.execute("SELECT * FROM t")):
                if number >= len(self._rows) * 2:
                    raise apsw.CorruptError("a table without an end")
                key = row[0]
                if isinstance(key, int) and 1 <= key <= len(seen):
                    seen[key - 1] = True
                    self._compare(comparison, key - 1, row)
            for missing in np.flatnonzero(~seen).tolist():
                comparison.row_missing(missing)
        except (apsw.Error, UnicodeDecodeError) as error:
            reading.error = f"{type(error).__name__}: {error}"
            for number in range(len(seen)):
                try:
                    row = connection.execute("SELECT * FROM t WHERE rowid = ?", (number + 1,)).fetchone()
                except (apsw.Error, UnicodeDecodeError):
                    continue
                if row is None:
                    comparison.row_missing(number)
                else:
                    self._compare(comparison, number, row)

    def _compare(self, comparison: Comparison, number: int, row: tuple[object, ...]) -> None:
        if row == self._rows[number]:
            comparison.right[number] = True
        else:
            for column, (value, expected) in enumerate(zip(row, self._rows[number], strict=True)):
                comparison.value(column, number, value, expected)


class SqlitePar2(Sqlite):
    """The same beside the volumes of `par2`, as many more bytes as ``share`` of its own."""

    name = "SQLite and par2"

    def __init__(self, folder: Path, table: pa.Table, share: float = 0.44, blocks: int = PAR2_BLOCKS) -> None:
        self.share, self.blocks = share, blocks
        super().__init__(folder, table)

    def make(self, folder: Path) -> None:
        super().make(folder)
        whole = (folder / "t.sqlite").stat().st_size
        percent = round(self.share * 100)
        while True:  # par2's own headers count, too: as many percent as fit
            self._par2(
                folder, "create", f"-b{self.blocks}", f"-r{percent}", "-n7", "t.sqlite.par2", "t.sqlite"
            )
            volumes = list(folder.glob("*.par2"))
            extra = sum(path.stat().st_size for path in volumes) / whole
            if extra <= self.share + 0.01 or percent <= 1:
                self.extra = extra
                return
            percent -= max(1, round(100 * (extra - self.share)))
            for path in volumes:
                path.unlink()

    def fetch(self, folder: Path, reading: Reading) -> None:
        with contextlib.suppress(subprocess.SubprocessError):  # what it could not repair is read as it is
            self._par2(folder, "repair", "t.sqlite.par2")
        super().fetch(folder, reading)

    @staticmethod
    def _par2(folder: Path, verb: str, *arguments: str) -> None:
        command = ["par2", verb, "-q", "-q", *arguments]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)


class Parquet(Peer):
    """Parquet with zstd, in small row groups. Read in a process of its own: a damaged file may end it."""

    name = "Parquet"
    _worker: ProcessPoolExecutor | None = None

    def make(self, folder: Path) -> None:
        pq.write_table(self.expected, folder / "t.parquet", compression="zstd", row_group_size=GROUP_ROWS)

    def fetch(self, folder: Path, reading: Reading) -> None:
        path = folder / "t.parquet"
        if self._worker is None:
            context = multiprocessing.get_context("spawn")
            self._worker = ProcessPoolExecutor(1, context, initializer=_begin, initargs=(self.expected,))
        try:
            found: Reading = self._worker.submit(_read_parquet, str(path)).result(PATIENCE_S)
            reading.__dict__.update(found.__dict__)
        except BrokenProcessPool:
            reading.error = reading.foreign = "the process that read it died"
            self._worker = None

    def close(self) -> None:
        """End the process that reads."""
        if self._worker is not None:
            self._worker.shutdown()


_expected: pa.Table


def _begin(expected: pa.Table) -> None:
    global _expected
    _expected = expected
    resource.setrlimit(resource.RLIMIT_AS, (WORKER_BYTES, WORKER_BYTES))


def _read_parquet(path: str) -> Reading:
    reading = Reading(np.zeros(_expected.num_rows, bool))
    comparison = Comparison(_expected)
    try:
        file = pq.ParquetFile(path)
        for number in range(file.num_row_groups):
            start = number * GROUP_ROWS
            try:
                group = file.read_row_group(number, use_threads=False)
                for column, name in enumerate(_expected.column_names):
                    comparison.add(column, start, group.column(name).combine_chunks())
            except Exception as error:
                reading.error = f"{type(error).__name__}: {error}"
    except Exception as error:
        reading.error = f"{type(error).__name__}: {error}"
    reading.take(comparison)
    return reading
