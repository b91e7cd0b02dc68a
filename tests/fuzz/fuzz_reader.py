"""Feeds the reader files that were spoiled at random; run by ``make fuzz``.

    AUDIOMEM_FUZZ_SECONDS=60 python tests/fuzz/fuzz_reader.py [seed]

The law: of a file with damaged bytes every read gives the rows that were written, or one of our errors that
names the file; of a file whose checksums are right and whose content is nonsense, a row or one of our errors.
Nothing else is raised, and memory stays below a limit that the process sets for itself.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import pyarrow as pa
from samples import SCHEMA, arrow, content, create, rows
from sealed import Sealed

from audiomem_sql.errors import AudioMemError, DamageWarning
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import changes
from fuzz.mutations import spoil, spoil_log, spoil_sealed

#: Address space that the process may take, beyond what it has when it starts.
MEMORY = 3 << 30
#: One file may not keep the reader busy for longer.
SECONDS = 20.0
BATCHES = 200
#: Rows and options of the tables that are spoiled.
SHAPES: list[tuple[int, dict[str, Any]]] = [
    (300, {}),
    (3, {}),
    (0, {}),
    (500, {"profile": "mobile"}),
    (6_000, {"profile": "desktop"}),
]
QUERIES = [
    None,
    "id = 17",
    "n BETWEEN 3 AND 300",
    "code = 'K000017'",
    "title LIKE 'the%' AND ok",
    "x < 0.25 AND seen > '2001-01-01'",
]


class Broken(Exception):
    """The law was not kept."""


class Corpus:
    """Tables of several shapes, most with a log, some of several segments.

    Their files' bytes, and what queries give.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: list[Path] = []
        self.answers: dict[Path, dict[str | None, list[str]]] = {}
        self.bytes: dict[Path, bytes] = {}
        for number, (count, options) in enumerate(SHAPES):
            path = folder / f"t{number}.flac"
            apart = mock.patch.object(compaction, "SMALL_TABLE_BYTES", 0 if number % 2 else 1 << 30)
            with apart, create(path, count, seed=number, **options) as table:
                if count:
                    table.checkpoint()
                    table.begin()
                    assert table.transaction is not None
                    for rowid in range(1, count, 7):
                        table.transaction.delete(rowid)
                    table.commit()
                    table.checkpoint()
                    table.append(arrow(rows(40, number, 10**6)))
                    table.append([{"id": 10**6}], replace=f"id = {10**6}")
                    table.checkpoint()  # a segment with two versions
                    table.append(arrow(rows(5, number, -(2**60))))
                    table.append([], replace=f"id = {10**6 + 1}")
                self.answers[path] = {query: answer(table, query) for query in QUERIES}
                left = {file: file.read_bytes() for file in folder.rglob(f"{path.name}*") if file.is_file()}
            self.tables.append(path)
            for file, then in left.items():  # as if the writer had been killed before it closed the table
                file.write_bytes(then)
            self.bytes |= left
        self.files = sorted(self.bytes)
        #: Those of one segment: a file is put together again with its newest one only.
        self.sealed = {path: Sealed.read(path) for path in self.tables if segments_in(path) == 1}

    def table_of(self, path: Path) -> Path:
        if path.suffix != ".flac":
            return path.with_name(path.name.removesuffix("-wal"))
        return Path(str(path.parent)[:-2]) if path.parent.suffix == ".d" else path


def segments_in(path: Path) -> int:
    """How many segments a table has."""
    with Table(path) as table:
        return len(table.snapshot.segments)


def answer(table: Table, where: str | None) -> list[str]:
    """The rows that pass, by id; of a table without end only the first."""
    found = []
    for batch in islice(table.scan(where=where), BATCHES):
        batch.validate(full=True)
        found.extend(content(pa.Table.from_batches([batch])))
    return [repr(row) for row in sorted(found, key=lambda row: row.get("id", 0))]


def attempt(path: Path, ends: Counter[str], name: str, action: Callable[[], None]) -> None:
    """Read the table at ``path`` in one way, within the law; ``ends`` counts how it ended."""
    start = time.monotonic()
    try:
        action()
        ends[f"{name}: read"] += 1
    except AudioMemError as error:
        if error.file is None or str(path) not in error.file:
            raise Broken(f"{name}: the error names no file: {error!r}") from error
        ends[f"{name}: {type(error).__name__}"] += 1
    if time.monotonic() - start > SECONDS:
        raise Broken(f"{name}: took {time.monotonic() - start:.0f} s")


def _query(table: Table, answers: dict[str | None, list[str]] | None, where: str | None) -> None:
    rows_read = answer(table, where)
    if answers is not None and rows_read != answers[where]:
        raise Broken(f"a wrong answer to {where}: {sorted(set(rows_read) ^ set(answers[where]))[:3]}")


def _get(table: Table) -> None:
    for rowid in (1, 2, 17, 250, 10**6, 10**6 + 39, -(2**60), 2**63 - 1):
        row = table.get(rowid)
        if row is not None and "id" in row and row["id"] != rowid:
            raise Broken(f"row {row['id']} in the place of {rowid}")


def _inner(table: Table) -> None:
    for segment in table.snapshot.segments:
        segment.tombstones()
        entry = segment.entry(len(segment.schema) - 1)
        if entry is not None and entry.dictionary is not None:
            segment.extent(entry.dictionary)
        segment.take(ROWID, np.arange(min(3, segment.rows)))


def _versions(table: Table) -> None:
    for version in [*table.versions][:20]:
        len(list(islice(table.at(version.number).views, 10)))
    changes(table.snapshot, table.versions[0].number, table.version)
    len(table.sources)


def use(path: Path, answers: dict[str | None, list[str]] | None) -> Counter[str]:
    """Every way to read the table at ``path``, and how each ended.

    answers: what queries must give, if they give anything.
    """
    ends: Counter[str] = Counter()
    tables: list[Table] = []
    attempt(path, ends, "open", lambda: tables.append(Table(path, cache=BlockCache(8 << 20))))
    if not tables:
        return ends
    with tables[0] as table:
        attempt(path, ends, "all", partial(_query, table, answers, None))
        if set(SCHEMA.names) <= set(table.schema.names):
            for where in QUERIES[1:]:
                attempt(path, ends, "filter", partial(_query, table, answers, where))
        attempt(path, ends, "get", partial(_get, table))
        attempt(path, ends, "inner", partial(_inner, table))
        attempt(path, ends, "versions", partial(_versions, table))
        found = list(islice(problems(table), 1000))
        ends[f"verify: {'problems' if found else 'fine'}"] += 1
    return ends


def one(corpus: Corpus, seed: int, work: Path) -> Counter[str]:
    """One spoiled file, made from ``seed`` alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        return _one(corpus, seed, work)


def _one(corpus: Corpus, seed: int, work: Path) -> Counter[str]:
    rng = random.Random(seed)
    victim = rng.choice([*corpus.files, *corpus.tables])  # of a log that is spoiled little can be read
    base = corpus.table_of(victim)
    shutil.rmtree(work, ignore_errors=True)
    for path in corpus.files:
        if corpus.table_of(path) == base:
            copy = work / path.relative_to(corpus.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(corpus.bytes[path])
    spoiled = work / victim.relative_to(corpus.folder)
    if victim.suffix != ".flac":
        spoiled.write_bytes(spoil_log(rng, corpus.bytes[victim]))
        return use(work / base.name, None)
    if victim not in corpus.sealed or rng.random() < 0.5:
        spoiled.write_bytes(spoil(rng, corpus.bytes[victim]))
        return use(work / base.name, corpus.answers[base])
    spoil_sealed(rng, corpus.sealed[victim], spoiled)
    Path(f"{spoiled}-wal").unlink(missing_ok=True)  # it continues the segment that there was
    return use(work / base.name, None)


def limit_memory() -> None:
    """Make the system refuse what a reader must not ask for."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def main() -> int:
    seconds = float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "60"))
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(1 << 40)
    ends: Counter[str] = Counter()
    broken = files = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "corpus"
        folder.mkdir()
        corpus = Corpus(folder)
        limit_memory()
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            try:
                ends += one(corpus, seed + files, Path(name) / "work")
            except Exception:
                broken += 1
                print(f"seed {seed + files}:", traceback.format_exc(), sep="\n", file=sys.stderr)
            files += 1
    for name, count in sorted(ends.items()):
        print(f"{count:8}  {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{files} files from seed {seed}, {broken} broke the law; peak {peak} MiB")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
