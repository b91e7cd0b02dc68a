"""Move a store of sqlite-vec into a FLAC file: rows and vectors as they are, nothing embedded anew.

pip install sqlite-vec
python examples/move_store.py [FOLDER]        # FOLDER/store.db; a small one is made if there is none
"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import apsw
import numpy as np
import sqlite_vec

import audiomem_sql as am

MAKE = """
CREATE TABLE passages(id INTEGER PRIMARY KEY, body TEXT);
CREATE VIRTUAL TABLE vectors USING vec0(embedding float[64] distance_metric=cosine);
"""
READ = "SELECT id, body, embedding FROM passages JOIN vectors ON vectors.rowid = id ORDER BY id"
NEAREST = "SELECT rowid FROM {} MATCH ? AND k = 10 ORDER BY distance"


def make_store(store: apsw.Connection) -> None:
    """A store as it is usually made: texts in one table, vectors in another."""
    store.execute(MAKE)
    for row, vector in enumerate(np.random.default_rng(1).normal(size=(1_000, 64)).astype("<f4")):
        store.execute("INSERT INTO passages VALUES (?, ?)", (row, f"passage {row}"))
        store.execute("INSERT INTO vectors(rowid, embedding) VALUES (?, ?)", (row, vector.tobytes()))


def main(folder: Path) -> tuple[list[int], list[int]]:
    """The ids of the ten nearest rows, as the store and as the table see them; also printed."""
    folder.mkdir(parents=True, exist_ok=True)
    store = apsw.Connection(str(folder / "store.db"))
    store.enable_load_extension(True)
    store.load_extension(sqlite_vec.loadable_path())
    if not store.execute("SELECT 1 FROM sqlite_schema WHERE name = 'vectors'").fetchall():
        make_store(store)

    rows = store.execute(READ)
    columns = ["id INTEGER PRIMARY KEY", "body TEXT", "vec FLOAT[64]"]
    with am.Table.create(folder / "moved.flac", columns) as table:
        while some := list(islice(rows, 5_000)):  # a commit each
            table.append(dict(zip(("id", "body", "vec"), zip(*some, strict=True), strict=True)))
        table.vacuum()

    moved, query = am.connect(folder / "moved.flac"), np.random.default_rng(2).normal(size=64).astype("<f4")
    theirs = [row for (row,) in store.execute(NEAREST.format("vectors WHERE embedding"), (query.tobytes(),))]
    ours = [row for (row,) in moved.execute(NEAREST.format("moved WHERE vec"), (query.tobytes(),))]
    print(f"nearest in the store: {theirs}\nnearest in the table: {ours}")
    return theirs, ours


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "move_store"))
