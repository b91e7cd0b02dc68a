"""Short pieces of work that :mod:`benchmarks.compare` measures in two trees, through public functions only.

This file is also the program that measures them, of the ``audiomem_sql`` that stands first on the path:

    python benchmarks/kernels.py count FOLDER LIBRARY    one round of all, for callgrind (see ``compare``)
    python benchmarks/kernels.py time FOLDER             seconds of a kernel for each name that it reads
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomem_sql import Table

Kernel = Callable[[], object]

ROWS = 1500
COLUMNS = ("id INTEGER PRIMARY KEY", "source TEXT", "year INTEGER", "body TEXT SEMANTIC INDEXED")
PLAIN = ("id INTEGER PRIMARY KEY", "source TEXT", "year INTEGER", "body TEXT")


def rows_of(first: int, count: int) -> list[dict[str, Any]]:
    """Rows of which each tree makes the same: sentences of words that are as frequent as words are."""
    rng = random.Random(first)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in ("a", "ei", "o", "u") for c in "lmnrst"]
    frequencies = [1 / rank for rank in range(1, len(words) + 1)]
    return [
        {
            "id": first + number,
            "source": f"manual {rng.randrange(12)}",
            "year": 1990 + rng.randrange(35),
            "body": " ".join(rng.choices(words, frequencies, k=rng.randrange(15, 45))),
        }
        for number in range(count)
    ]


def first_import() -> None:
    """Import the package and what its functions need, in a process that has imported nothing."""
    import audiomem_sql

    assert audiomem_sql.open
    assert audiomem_sql.Table


class Kernels:
    """The tables that the kernels work on, in a folder."""

    def __init__(self, folder: str) -> None:
        import audiomem_sql

        self._open = audiomem_sql.open
        self._path = os.path.join(folder, "rows.flac")
        self._table = self._create(folder, "rows", COLUMNS)
        self._table.append(rows_of(1, ROWS))
        self._table.vacuum(level=3)
        self._larger = self._create(folder, "larger", PLAIN)
        self._smaller = self._create(folder, "smaller", PLAIN)
        self._next = 1
        self._more = [rows_of(at, 1000) for at in range(1, 100_000, 1000)]
        self.all: dict[str, Kernel] = {
            "open, read a row": self.open_and_get,
            "read 50 rows": self.get_rows,
            "scan a text column": self.scan,
            "filter": self.filter,
            "search by words": self.search_words,
            "search by vectors": self.search_vectors,
            "append 1000 rows": self.append_many,
            "commit a row": self.append_one,
        }

    @staticmethod
    def _create(folder: str, name: str, columns: tuple[str, ...]) -> Table:
        import audiomem_sql

        options = {"model": "hashing"} if columns is COLUMNS else {}
        return audiomem_sql.Table.create(os.path.join(folder, f"{name}.flac"), list(columns), options)

    def open_and_get(self) -> object:
        """Open the table and read a row."""
        with self._open(self._path) as table:
            return table.get(ROWS // 2)

    def get_rows(self) -> object:
        """Read 50 rows by their keys."""
        return [self._table.get(1 + 29 * number) for number in range(50)]

    def scan(self) -> object:
        """Read a column of texts."""
        with self._open(self._path) as table:
            return [batch.num_rows for batch in table.scan(["body"])]

    def filter(self) -> object:
        """Read the rows that pass a condition on two columns."""
        with self._open(self._path) as table:
            return table.to_arrow(["id"], "year BETWEEN ? AND 2004 AND body LIKE '%dom%'", (2000,))

    def search_words(self) -> object:
        """Rank rows by words."""
        return self._table.search("keyword: bal OR dol", 10, columns=["id"])

    def search_vectors(self) -> object:
        """Rank rows by meaning."""
        return self._table.search("semantic: bal dol mut", 10, columns=["id"])

    def append_many(self) -> object:
        """Append 1000 rows in one commit."""
        return self._larger.append(self._more.pop())

    def append_one(self) -> object:
        """Append a row, durably."""
        self._next += 1
        return self._smaller.append([{"id": self._next, "source": "s", "year": 2000, "body": "a short text"}])


def count(folder: str, library: str) -> None:
    """Run each kernel once for callgrind, which ``library`` tells when to begin and when to write.

    The first call of a kernel is not counted: it also imports modules and fills caches.
    """
    import ctypes

    requests = ctypes.CDLL(library)

    def counted(name: str, kernel: Kernel) -> None:
        requests.begin()
        kernel()
        requests.end(name.encode())

    counted("import", first_import)
    kernels = Kernels(folder)
    counted("nothing", lambda: None)  # takes what callgrind has left over of threads that began meanwhile
    for name, kernel in kernels.all.items():
        kernel()
        counted(name, kernel)


def answer(folder: str) -> None:
    """Seconds of one call of the kernel whose name is on each line of stdin; first, on a line, the names."""
    start = time.perf_counter()
    first_import()
    once = time.perf_counter() - start
    kernels = Kernels(folder)
    for kernel in kernels.all.values():
        kernel()
    print("\t".join(kernels.all), once, sep="\t", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        kernels.all[line.strip()]()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    {"count": count, "time": answer}[sys.argv[1]](*sys.argv[2:])
