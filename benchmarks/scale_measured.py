"""What a shard costs on this machine, for ``benchmarks/scale.py``: service times, bytes, memory, files.

Processor time where an operation only works, time on the clock where it waits for a disk. Shards of several
sizes are measured; a line through them says what others take, see :class:`Line`.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import random
import shutil
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.search.embedding import texts as table_texts
from audiomem_sql.table.table import Table
from benchmarks.knowledge import word_queries
from benchmarks.knowledge_stores import Given

Array = np.ndarray[Any, Any]
#: The parts of a distribution that are kept: its quantiles at these places.
QUANTILES = np.linspace(0, 1, 41)
#: The columns before ``body``.
TEXTS = ("id INTEGER PRIMARY KEY", "source TEXT", "title TEXT", "created_at TEXT")
_SHARDS = 64


@dataclass(frozen=True, slots=True)
class Line:
    """A cost that grows with the rows of a shard: ``base`` and so much ``a_million`` rows.

    means: of what was measured, one a size. spread: quantiles of single operations in the largest shard, each
    divided by their mean; [1.0] where there are none.
    """

    base: float
    a_million: float
    means: Sequence[float] = ()
    spread: Sequence[float] = (1.0,)

    @classmethod
    def through(cls, sizes: Sequence[int], costs: Sequence[float], spread: Sequence[float] = (1.0,)) -> Line:
        """The line of least squared relative errors that never falls, and is nowhere below 0."""
        rows, values = np.asarray(sizes) / 1e6, np.asarray(costs, np.float64)
        weights = 1 / np.maximum(values, 1e-12)
        terms = np.stack([weights, rows * weights], axis=1)
        base, slope = np.linalg.lstsq(terms, values * weights, rcond=None)[0]
        if slope < 0:
            base, slope = float(values.mean()), 0.0
        elif base < 0:
            base, slope = 0.0, float((values * rows * weights**2).sum() / ((rows * weights) ** 2).sum())
        return cls(float(base), float(slope), tuple(values.tolist()), tuple(spread))

    def at(self, rows: float) -> float:
        """The cost of one operation, on average, in a shard of ``rows`` rows."""
        return self.base + self.a_million * rows / 1e6

    def drawn(self, rows: float, count: int, chance: np.random.Generator) -> Array:
        """The costs of ``count`` operations, float64 (count,)."""
        places = np.linspace(0, 1, len(self.spread))
        return self.at(rows) * np.interp(chance.random(count), places, self.spread)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, when, and on which kind of machine.

    Seconds of a processor: ``open``, ``key`` (a row by its key), ``scan`` (a column and a filter on another
    one), ``like`` (all texts looked through), ``words`` and ``nearest`` (ten best), ``read`` (every value),
    ``write`` (rows appended with both indexes), ``vacuum``. Seconds on the clock: ``commit`` of one row, and
    ``commit_shard``, what each shard that a commit changes costs it. bytes_*: of the file, a row. memory:
    bytes that an open shard takes after a row of it was read. files: open, of a shard that is read, and of
    one that is written to.
    """

    date: str
    machine: str
    sizes: Sequence[int]
    open: Line
    key: Line
    scan: Line
    like: Line
    words: Line
    nearest: Line
    read: Line
    write: Line
    vacuum: Line
    commit: float
    commit_shard: float
    bytes_raw: float
    bytes_text: float
    bytes_words: float
    bytes_vectors: float
    memory: Line
    files_read: float
    files_written: float

    def to_json(self) -> str:
        """As a file has it."""
        return json.dumps(asdict(self), indent=1, default=list) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Measured:
        """The inverse."""
        fields = json.loads(text)
        return cls(
            **{name: Line(**value) if isinstance(value, dict) else value for name, value in fields.items()}
        )


def measure(rows: pa.Table, vectors: Array, sizes: Sequence[int], folder: Path, times: int = 60) -> Measured:
    """Measure shards of ``sizes`` rows, each the first ones of ``rows`` and ``vectors``."""
    found: dict[str, list[Array]] = {}
    memory: list[float] = []
    path = folder / "shard.flac"
    for size in sizes:
        part = rows.slice(0, size).combine_chunks()
        costs = _writing(path, part, vectors[:size])
        costs |= _reading(path, part, vectors[:size], times)
        for name, each in costs.items():
            found.setdefault(name, []).append(np.asarray(each))
        memory.append(_memory(path))
    lines = {
        name: Line.through(sizes, [float(each.mean()) for each in costs], _spread(costs[-1]))
        for name, costs in found.items()
    }
    commit, commit_shard, files_read, files_written = _commits(folder / "kb.shards")
    raw, text, words = _sizes(rows.slice(0, sizes[-1]).combine_chunks(), folder)
    return Measured(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python "
        f"{platform.python_version()}",
        sizes=list(sizes),
        **lines,
        commit=commit,
        commit_shard=commit_shard,
        bytes_raw=raw,
        bytes_text=text,
        bytes_words=words - text,
        bytes_vectors=path.stat().st_size / sizes[-1] - words,
        memory=Line.through(sizes, memory),
        files_read=files_read,
        files_written=files_written,
    )


def _spread(costs: Array) -> Sequence[float]:
    """Quantiles of ``costs`` with the mean 1."""
    if len(costs) < 10:
        return (1.0,)
    quantiles = np.quantile(costs, QUANTILES)
    middles = (quantiles[1:] + quantiles[:-1]) / 2  # of the line between two quantiles
    return [round(float(value), 4) for value in quantiles / middles.mean()]


def _seconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def _asked(connection: Any, sql: str, value: Any) -> None:
    connection.execute(sql, (value,)).fetchall()


def _writing(path: Path, rows: pa.Table, vectors: Array) -> dict[str, list[float]]:
    """Makes the shard, with words and the vectors of the texts."""
    path.unlink(missing_ok=True)
    columns = [*TEXTS, "body TEXT SEMANTIC INDEXED"]
    with (
        given_vectors(rows["body"].to_pylist(), vectors),
        Table.create(path, columns, {"passages": "off"}) as table,
    ):
        write = _seconds(lambda: table.append(rows))
        vacuum = _seconds(table.vacuum)
    return {"write": [write], "vacuum": [vacuum]}


@contextmanager
def given_vectors(texts: list[str], vectors: Array) -> Iterator[None]:
    """Meanwhile SEMANTIC columns take these vectors (n, d) for these texts, and no model runs."""
    embedder = Given(texts, vectors)
    named = table_texts.embedder_named
    table_texts.embedder_named = lambda *_, **__: embedder  # type: ignore[assignment]
    try:
        yield
    finally:
        table_texts.embedder_named = named


def _reading(path: Path, rows: pa.Table, vectors: Array, times: int) -> dict[str, list[float]]:
    """Seconds of single operations: each is done some times before, with what the caches then keep."""
    chance = random.Random(1)
    SHARED.clear()
    opened = [_seconds(lambda: Table(path).close()) for _ in range(times)]
    connection = am.connect(path)
    name = path.stem
    middle = sorted(chance.choices(rows["created_at"].to_pylist(), k=101))[50]
    keys = chance.choices(rows["id"].to_pylist(), k=times)
    likes = ("%kernel%", "%archive%", "%pointer%", "%object%", "%signal%") * 3
    pairs = [f'keyword: "{one}" "{two}"' for one, two in word_queries(rows)][:times]
    noise = np.random.default_rng(1).normal(0, 0.3 / vectors.shape[1] ** 0.5, (times, vectors.shape[1]))
    chosen = vectors[[chance.randrange(len(vectors)) for _ in range(times)]] + noise
    queries = [query.astype(np.float32).tobytes() for query in chosen]

    def each(sql: str, values: Sequence[Any]) -> list[float]:
        for value in values[:10]:
            _asked(connection, sql, value)
        return [_seconds(partial(_asked, connection, sql, value)) for value in values]

    def every_value() -> None:
        with Table(path) as table:
            table.to_arrow()

    match = f"SELECT rowid, rank FROM {name} WHERE {name} MATCH ?"
    found = {
        "open": opened,
        "key": each(f"SELECT title, body FROM {name} WHERE id = ?", keys),
        "scan": each(f"SELECT count(*), max(id) FROM {name} WHERE created_at < ?", [middle] * 12),
        "like": each(f"SELECT count(*) FROM {name} WHERE body LIKE ?", likes),
        "words": each(f"{match} ORDER BY rank LIMIT 10", pairs),
        "nearest": each(f"{match} LIMIT 10", queries),
        "read": [_seconds(every_value) for _ in range(3)],
    }
    connection.close()
    return found


def _memory(path: Path) -> float:
    """Bytes that are taken by opening a shard and reading one row of it, without the blocks it keeps."""
    with Table(path) as table:
        key = table.to_arrow(["id"]).column(0)[-1].as_py()
    SHARED.clear()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    with Table(path) as table:
        table.to_arrow(["id"], where=f"id = {key}")
        SHARED.clear()
        taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return float(taken)


def _commits(folder: Path) -> tuple[float, float, float, float]:
    """Seconds of a commit of one row, seconds more for each shard of a larger one, and open files."""
    columns = ["id INTEGER PRIMARY KEY", "body TEXT"]
    rows = [{"id": number, "body": f"The text of row {number}"} for number in range(40 * _SHARDS)]
    before = _open_files()
    with am.create(folder, columns, shards=_SHARDS) as table:
        table.append(rows[: 10 * _SHARDS])
        written = (_open_files() - before) / _SHARDS
        one = _clock(lambda number: table.append(rows[-number - 1 : -number]), range(1, 10))
        parts = [
            rows[start : start + 5 * _SHARDS] for start in range(10 * _SHARDS, 30 * _SHARDS, 5 * _SHARDS)
        ]
        many = _clock(table.append, parts)
    with am.open(folder) as table:
        assert table.to_arrow(["id"], where="body LIKE 'The%'").num_rows > 10 * _SHARDS
        read = (_open_files() - before) / _SHARDS
    shutil.rmtree(folder)
    return one, max(0.0, many - one) / (_SHARDS - 1), round(read), round(written)


def _clock(action: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    """The least of seconds: others wait for the disk, too."""
    found = []
    for argument in arguments:
        start = time.perf_counter()
        action(argument)
        found.append(time.perf_counter() - start)
    return min(found)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _sizes(rows: pa.Table, folder: Path) -> tuple[float, float, float]:
    """Bytes a row: of the values themselves, of a file without indexes, and of one with words."""
    found = [rows.nbytes / len(rows)]
    for column in ("body TEXT", "body TEXT INDEXED"):
        path = folder / "size.flac"
        with Table.create(path, [*TEXTS, column]) as table:
            table.append(rows)
            table.vacuum()
        found.append(path.stat().st_size / len(rows))
        path.unlink()
    raw, text, words = found
    return raw, text, words


def described(measured: Measured) -> Mapping[str, Line]:
    """The lines of what was measured, by name."""
    names = ("open", "key", "scan", "like", "words", "nearest", "read", "write", "vacuum")
    return {name: getattr(measured, name) for name in names}
