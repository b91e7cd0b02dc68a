"""INDEXED columns of vectors in SQL: k-NN by three metrics, through everything that changes rows."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, DamagedFileError

COUNT, WIDTH = 700, 24
METRICS = ("cosine", "l2", "ip")
COLUMNS = "id INTEGER PRIMARY KEY, part INTEGER, " + ", ".join(
    f"{metric} FLOAT[{WIDTH}] INDEXED(metric={metric})" for metric in METRICS
)


def vectors(count: int = COUNT, seed: int = 5) -> F32Array:
    """Around a few points, of different lengths; no zeros."""
    rng = np.random.default_rng(seed)
    points = np.random.default_rng(1).standard_normal((20, WIDTH)) * 2
    made = points[rng.integers(0, 20, count)] + rng.standard_normal((count, WIDTH))
    return made.astype(np.float32)


def blob(vector: F32Array) -> bytes:
    return vector.astype("<f4").tobytes()


def distance(stored: F32Array, query: F32Array, metric: str) -> np.ndarray[Any, Any]:
    stored, query = stored.astype(np.float64), query.astype(np.float64)  # type: ignore[assignment]
    if metric == "l2":
        return np.linalg.norm(stored - query, axis=1)
    products = stored @ query
    return (
        -products if metric == "ip" else 1 - products / np.linalg.norm(stored, axis=1) / np.linalg.norm(query)
    )


class Oracle:
    """The rows as they should be: rowid → part and vector."""

    def __init__(self, sql: apsw.Connection) -> None:
        self.sql = sql
        self.rows: dict[int, tuple[int, F32Array]] = {}

    def insert(self, first: int, made: F32Array) -> None:
        for number, vector in enumerate(made, first):
            self.sql.execute(
                "INSERT INTO t VALUES (?, ?, ?, ?, ?)", (number, number % 100, *[blob(vector)] * 3)
            )
            self.rows[number] = (number % 100, vector)

    def check(self, metric: str, query: F32Array, most: int = 100, rest: str = "", *more: object) -> None:
        """The ten nearest of rows with ``part`` below ``most``, and their distances."""
        kept = {number: vector for number, (part, vector) in self.rows.items() if part < most}
        numbers = np.array(sorted(kept))
        expected = distance(np.array([kept[number] for number in numbers]), query, metric)
        order = np.lexsort((numbers, expected))[:10]
        where = f"{metric} MATCH ? AND k = 10 AND part < ?{rest}"
        found = self.sql.execute(
            f"SELECT id, distance FROM t WHERE {where}", (blob(query), most, *more)
        ).fetchall()
        assert [row[0] for row in found] == numbers[order].tolist()
        assert np.allclose([row[1] for row in found], expected[order], rtol=1e-5, atol=1e-5)

    def check_all(self, seed: int = 9) -> None:
        for metric in METRICS:
            for query in vectors(3, seed):
                self.check(metric, query)
            self.check(
                metric, vectors(1, seed)[0], 1
            )  # a filter that leaves few rows, and one that leaves some
            self.check(metric, vectors(1, seed)[0], 40)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', {COLUMNS}, protection=none, profile=embedded)"
    )
    yield connection
    connection.close()


@pytest.fixture
def filled(sql: apsw.Connection) -> Oracle:
    oracle = Oracle(sql)
    sql.execute("BEGIN")
    oracle.insert(1, vectors())
    sql.execute("COMMIT")
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    return oracle


def indexes_of(path: Path) -> list[int]:
    """How many vectors the indexes of each segment have, together."""
    with am.open(path / "t.flac") as table:
        return [
            sum(len(segment.vector_index(column).present) for column in segment.catalog.vectors)
            for segment in table.snapshot.segments
            if segment.rows
        ]


def test_through_every_change(filled: Oracle, tmp_path: Path) -> None:
    sql = filled.sql
    assert indexes_of(tmp_path) == [3 * COUNT]
    filled.check_all()
    filled.insert(COUNT + 1, vectors(40, 6))  # rows of the log
    filled.check_all()
    sql.execute("DELETE FROM t WHERE part BETWEEN 10 AND 30")
    filled.rows = {number: row for number, row in filled.rows.items() if not 10 <= row[0] <= 30}
    moved = vectors(1, 7)[0]
    near = blob(moved + np.float32(0.01))
    sql.execute("UPDATE t SET cosine = ?, l2 = ?, ip = ? WHERE id = 5", (near, near, near))
    filled.rows[5] = (5, moved + np.float32(0.01))
    filled.check_all()
    for metric in ("cosine", "l2"):
        assert sql.execute(f"SELECT id FROM t WHERE {metric} MATCH ? AND k = 1", (blob(moved),)).get == 5
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    filled.check_all()
    sql.execute("BEGIN")
    filled.insert(2000, vectors(300, 8))  # a delta with an index of its own
    filled.check_all()
    sql.execute("COMMIT")
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    filled.check_all()
    sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    assert len(indexes_of(tmp_path)) == 1
    filled.check_all()
    stored = dict(sql.execute("SELECT id, l2 FROM t").fetchall())
    assert stored == {number: blob(vector) for number, (_, vector) in filled.rows.items()}


def test_a_transaction_that_is_rolled_back(filled: Oracle) -> None:
    rows = dict(filled.rows)
    filled.sql.execute("BEGIN")
    filled.insert(5000, vectors(20, 3))
    filled.sql.execute("DELETE FROM t WHERE id < 100")
    filled.sql.execute("ROLLBACK")
    filled.rows = rows
    filled.check_all()


def test_older_versions(filled: Oracle) -> None:
    sql = filled.sql
    before = max(row[0] for row in sql.execute("SELECT snapshot_id FROM audiomem_snapshots('t')"))
    rows = dict(filled.rows)
    sql.execute("DELETE FROM t WHERE id % 2")
    sql.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    filled.rows = {number: row for number, row in rows.items() if not number % 2}
    for metric in METRICS:
        filled.check(metric, vectors(1)[0])
    filled.rows = rows
    for metric in METRICS:
        filled.check(metric, vectors(1)[0], 100, " AND version = ?", before)
        filled.check(metric, vectors(1)[0], 100, " AND version = ? AND id > 0", before)


def test_rows_come_in_the_order_of_distance(filled: Oracle) -> None:
    for metric in METRICS:
        query = blob(vectors(1, 2)[0])
        found = filled.sql.execute(f"SELECT distance FROM t WHERE {metric} MATCH ?", (query,)).fetchall()
        assert len(found) == COUNT
        assert found == sorted(found)
        plan = filled.sql.execute(
            f"EXPLAIN QUERY PLAN SELECT id FROM t WHERE {metric} MATCH x'' ORDER BY distance"
        )
        assert "TEMP B-TREE" not in str(plan.fetchall())


def test_null_is_near_nothing(filled: Oracle) -> None:
    filled.sql.execute("UPDATE t SET l2 = NULL WHERE id <= 300")
    filled.rows = {number: row for number, row in filled.rows.items() if number > 300}
    filled.check("l2", vectors(1, 4)[0])
    filled.sql.execute("INSERT INTO t(t) VALUES ('vacuum')")
    filled.check("l2", vectors(1, 4)[0])
    filled.check("l2", vectors(1, 4)[0], 2)


WRONG: list[tuple[str, str, tuple[object, ...]]] = [
    ("SELECT * FROM t WHERE l2 MATCH ? AND k = 3", "has 23 numbers, the vectors have 24", (bytes(92),)),
    ("SELECT * FROM t WHERE l2 MATCH ? AND k = 3", "multiple of 4", (bytes(95),)),
    (
        "SELECT * FROM t WHERE ip MATCH ? AND k = 3",
        "finite numbers",
        (struct.pack("<f", float("nan")) * WIDTH,),
    ),
    (
        "SELECT * FROM t WHERE ip MATCH ? AND k = 3",
        "finite numbers",
        (struct.pack("<f", float("inf")) * WIDTH,),
    ),
    ("SELECT * FROM t WHERE cosine MATCH ? AND k = 3", "not all of them 0", (bytes(96),)),
    ("SELECT * FROM t WHERE cosine MATCH 'words' AND k = 3", "no JSON array of numbers", ()),
    ("SELECT * FROM t WHERE l2 MATCH ? AND k = 3", "column l2: '[true, 1", (str([True] + [1] * 23).lower(),)),
    ("SELECT * FROM t WHERE ip MATCH ? AND k = 3", "no JSON array", (json.dumps(["1"] * WIDTH),)),
    ("SELECT * FROM t WHERE cosine MATCH ? AND k = 0", "k = 0 is no number of rows", (bytes(96),)),
    ("SELECT * FROM t WHERE l2 MATCH ? AND k = 1000000000", "k = 1000000000 is over the limit", (bytes(96),)),
    ("INSERT INTO t(cosine) VALUES (?)", "no direction", (bytes(96),)),
    ("UPDATE t SET cosine = ? WHERE id = 3", "no direction", (bytes(96),)),
    ("INSERT INTO t(l2) VALUES (?)", "96 are needed", (bytes(92),)),
    ("INSERT INTO t(l2) VALUES (?)", "NaN", (struct.pack("<f", float("nan")) * WIDTH,)),
    ("UPDATE t SET ip = ? WHERE id = 3", "infinite", (struct.pack("<f", float("-inf")) * WIDTH,)),
    ("INSERT INTO t(ip) VALUES ('[1, 2]')", "It has 2 numbers, and 24 are needed", ()),
]


def test_wrong_input_is_one_error_and_changes_nothing(filled: Oracle, tmp_path: Path) -> None:
    before = (tmp_path / "t.flac").read_bytes()
    for statement, message, bindings in WRONG:
        with pytest.raises((apsw.Error, AudioMemError)) as caught:
            filled.sql.execute(statement, bindings).fetchall()
        assert message in str(caught.value), statement
    assert (tmp_path / "t.flac").read_bytes() == before
    assert filled.sql.execute(
        "SELECT * FROM t WHERE l2 MATCH ? AND k = 1", (bytes(96),)
    ).get  # zeros are a point
    filled.check_all()


def test_one_column_is_searched_without_its_name(tmp_path: Path) -> None:
    connection = apsw.Connection("")
    register(connection)
    path = tmp_path / "u.flac"
    connection.execute(
        f"CREATE VIRTUAL TABLE u USING audiomem('{path}', v FLOAT[2] INDEXED(metric=l2), w FLOAT[2])"
    )
    connection.execute("INSERT INTO u VALUES ('[0, 1]', '[1, 0]'), ('[3, 4]', '[0, 1]')")
    found = connection.execute("SELECT rowid, distance FROM u WHERE u MATCH '[3, 3]' AND k = 2").fetchall()
    assert [(rowid, round(far, 4)) for rowid, far in found] == [(2, 1.0), (1, 3.6056)]
    connection.close()


def test_vectors_that_are_cut(tmp_path: Path) -> None:
    made = vectors(500, 11)
    made[3, :16] = 0  # the index has no direction for it
    with am.Table.create(
        tmp_path / "cut.flac",
        [f"v FLOAT[{WIDTH}] INDEXED(metric=cosine, dimensions=16)"],
        {"protection": "none"},
    ) as table:
        table.append([{"v": vector} for vector in made])
        for query in (*vectors(6, 12), made[3], np.r_[np.zeros(16), np.ones(8)].astype(np.float32)):
            expected = np.argsort(distance(made, query, "cosine"), kind="stable")[:5]
            found = table.search(query, 5, columns=["v"], column="v")
            rows = [
                np.flatnonzero((made == row).all(axis=1))[0]
                for row in np.array(found["v"].to_pylist(), np.float32)
            ]
            if query[:16].any():
                assert rows[0] == expected[0]
                assert len({*rows} & {*expected.tolist()}) >= 3  # what 16 of 24 numbers propose
            else:
                assert rows == expected.tolist()


def test_damage_in_an_index_is_an_error_that_says_what_helps(filled: Oracle, tmp_path: Path) -> None:
    filled.sql.close()
    path = tmp_path / "t.flac"
    with am.open(path) as table:
        (segment,) = (segment for segment in table.snapshot.segments if segment.rows)
        extent = segment.catalog.vectors[3].lists[0]
        content = segment.file.read(segment.data_cell, extent.offset, extent.stored)
    data = path.read_bytes()
    at = data.index(content[6000:6060])
    path.write_bytes(data[:at] + bytes(60) + data[at + 60 :])
    with am.open(path) as table:
        query = vectors(1)[0]
        with pytest.raises(DamagedFileError, match="audiomem vacuum"):
            table.search(query, column="l2")
        assert len(table.search(query, column="ip")) == 10
        assert len(table.search(query, where="part = 3", column="l2")) == 7  # few rows need no index
        assert len(table.to_arrow(["l2"])) == COUNT
    path.write_bytes(data)
