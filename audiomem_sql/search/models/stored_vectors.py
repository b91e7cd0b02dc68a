"""Vectors that were made before, in a file of the user's: a text is embedded once on a machine.

The file is a SQLite database in the user's cache folder. It holds no text: the key of a vector is a hash of
the text, of the model's weights, and of what else the vector depends on. Several processes may use it at
once, and one that is killed leaves it whole. Each vector has a checksum. A file that SQLite or a checksum
finds damaged is removed and begun again. Whatever is wrong with it, texts are embedded without it.

``AUDIOMEM_VECTOR_CACHE`` names the folder, or is ``off``; ``AUDIOMEM_VECTOR_CACHE_MB`` is how large the file
may become (512). When it is full, the vectors that were written first go, a quarter of them at a time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.cache_folder import cache_folder
from audiomem_sql.machine.digests import blake2b
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.machine.progress import Progress
from audiomem_sql.search.models.embedder import Embedder, Wrapper

ENVIRONMENT = "AUDIOMEM_VECTOR_CACHE"
LIMIT_ENVIRONMENT = "AUDIOMEM_VECTOR_CACHE_MB"
DEFAULT_MB = 512
#: Its number is that of the layout.
FILE_NAME = "vectors-1.sqlite3"
#: Texts that are embedded before their vectors are written.
TEXTS_AT_ONCE = 512
_CHECKSUM_BYTES = 8
_BUSY_SECONDS = 2.0
_KEYS_AT_ONCE = 500
_SETTINGS = ("PRAGMA page_size = 8192", "PRAGMA auto_vacuum = INCREMENTAL")
_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors "
    "(number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, vector BLOB NOT NULL)"
)
_Result = TypeVar("_Result")


def cache_file() -> Path | None:
    """The file of vectors; None where the user wants none."""
    chosen = os.environ.get(ENVIRONMENT, "")
    if chosen.lower() in ("off", "no", "none", "0"):
        return None
    return (Path(chosen).expanduser() if chosen else cache_folder()) / FILE_NAME


def cache_limit() -> int:
    """The most bytes of the file. OptionError if the environment says something else than a number."""
    chosen = os.environ.get(LIMIT_ENVIRONMENT) or str(DEFAULT_MB)
    if not chosen.isascii() or not chosen.isdigit() or not 1 <= int(chosen) <= 1 << 30:
        raise OptionError(
            f"{LIMIT_ENVIRONMENT}={chosen:.40} is no number of megabytes",
            remedy=f"Use a number from 1 on, or {ENVIRONMENT}=off to keep no vectors.",
        )
    return int(chosen) << 20


class StoredVectors:
    """The file of vectors, opened anew for each use, so that threads and forked children share nothing."""

    def __init__(self, path: Path, limit: int) -> None:
        """limit: the most bytes of the file."""
        self._path = path
        self._limit = limit

    def get(self, keys: Sequence[bytes], dimensions: int) -> dict[bytes, F32Array]:
        """The vectors of those keys that are there, float32 (dimensions,) each."""

        def read(database: sqlite3.Connection) -> dict[bytes, F32Array]:
            found: dict[bytes, F32Array] = {}
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                part = keys[start : start + _KEYS_AT_ONCE]
                places = ",".join("?" * len(part))
                rows = database.execute(f"SELECT key, vector FROM vectors WHERE key IN ({places})", part)
                for key, stored in rows:
                    vector = _unpacked(key, stored)
                    if len(vector) == dimensions:
                        found[key] = vector
            return found

        return self._with_database(read) or {} if self._path.exists() else {}

    def put(self, vectors: dict[bytes, F32Array]) -> None:
        """Keep vectors by their keys."""
        rows = [(key, _packed(key, vector)) for key, vector in vectors.items()]

        def write(database: sqlite3.Connection) -> None:
            for setting in _SETTINGS:  # of a file that is empty yet
                database.execute(setting)
            database.execute(_TABLE)
            database.execute("BEGIN IMMEDIATE")
            database.executemany("INSERT OR REPLACE INTO vectors(key, vector) VALUES (?, ?)", rows)
            self._drop_oldest(database)
            database.execute("COMMIT")
            if self._path.stat().st_size > self._limit + (self._limit >> 2):  # the limit was higher before
                database.executescript("PRAGMA incremental_vacuum")

        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))  # for nobody else to read
        except OSError:
            return
        self._with_database(write)

    def _drop_oldest(self, database: sqlite3.Connection) -> None:
        """Keep within the limit; pages that become free are used again."""
        page, pages, free = (
            int(database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        used = (pages - free) * page
        if used <= self._limit:
            return
        first, last = database.execute("SELECT min(number), max(number) FROM vectors").fetchone()
        share = max(0.25, 1 - 0.75 * self._limit / used)
        database.execute(
            "DELETE FROM vectors WHERE number < ?", (first + int((last + 1 - first) * share) + 1,)
        )

    def _with_database(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result | None:
        """``work`` with the database; None if that cannot be used. A file that is damaged is removed."""
        try:
            with contextlib.closing(
                sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            ) as database:
                # The file can be made again, and damage is found: nothing waits for the disk.
                database.execute("PRAGMA synchronous = OFF")
                return work(database)
        except sqlite3.OperationalError:  # locked, full, not to be opened or written
            return None
        except (sqlite3.DatabaseError, ValueError, TypeError):
            for suffix in ("-journal", ""):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self._path}{suffix}")
            return None


class StoredEmbedder(Wrapper):
    """Another embedder, behind the user's file of vectors."""

    def __init__(self, embedder: Embedder, settings: Callable[[], bytes] = bytes) -> None:
        """settings: gives what vectors depend on beside the text and the weights."""
        super().__init__(embedder)
        self._settings = settings

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> F32Array:
        """As the other embedder; what it makes is written after every few hundred texts."""
        path = cache_file()
        if path is None:
            return self._embedder.embed(texts, progress)
        store = StoredVectors(path, cache_limit())
        secret = blake2b(self.digest + self._settings(), digest_size=32).digest()
        keys = [
            blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=secret).digest()
            for text in texts
        ]
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        known = store.get(keys, self.dimensions)
        missing = []
        for row, key in enumerate(keys):
            if key in known:
                vectors[row] = known[key]
            else:
                missing.append(row)
        missing.sort(key=lambda row: len(texts[row]))
        done = len(texts) - len(missing)
        for start in range(0, len(missing), TEXTS_AT_ONCE):
            check_interrupt()
            rows = missing[start : start + TEXTS_AT_ONCE]
            report = _within(progress, done, len(texts))
            vectors[rows] = self._embedder.embed([texts[row] for row in rows], report)
            store.put({keys[row]: vectors[row] for row in rows})
            done += len(rows)
        return vectors


def _within(progress: Progress | None, before: int, total: int) -> Progress | None:
    """What a part of the work reports to. before: texts done before it."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)


def _packed(key: bytes, vector: F32Array) -> bytes:
    values = vector.astype("<f4").tobytes()
    return values + blake2b(key + values, digest_size=_CHECKSUM_BYTES).digest()


def _unpacked(key: bytes, stored: bytes) -> F32Array:
    """ValueError if it is not what was written."""
    values, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
    if checksum != blake2b(key + values, digest_size=_CHECKSUM_BYTES).digest():
        raise ValueError("a vector is not what was written")
    return np.frombuffer(values, "<f4").astype(np.float32)
