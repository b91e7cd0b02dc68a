"""A column of vectors that gets an index when its table has rows already, another one, and none again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.connections import register

COUNT, WIDTH = 400, 16


def vectors(count: int = COUNT, seed: int = 3) -> F32Array:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(connection)
    connection.execute(
        f"CREATE VIRTUAL TABLE t USING audiomem('t.flac', id INTEGER PRIMARY KEY, v FLOAT[{WIDTH}])"
    )
    with connection:
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)", ((n, v.tobytes()) for n, v in enumerate(vectors()))
        )
    connection.execute("INSERT INTO t(t) VALUES ('checkpoint')")
    yield connection
    connection.close()


def command(sql: apsw.Connection, name: str, argument: Any = None) -> None:
    sql.execute("INSERT INTO t(t, rank) VALUES (?, ?)", (name, argument))


def nearest(sql: apsw.Connection, version: int | None = None) -> list[tuple[int, float]]:
    where = "" if version is None else f" AND version = {version}"
    query = vectors(1, 9)[0].tobytes()
    return sql.execute(f"SELECT id, distance FROM t WHERE v MATCH ? AND k = 3{where}", (query,)).fetchall()


def expected(metric: str) -> list[tuple[int, float]]:
    stored, query = vectors().astype(np.float64), vectors(1, 9)[0].astype(np.float64)
    if metric == "l2":
        distances = np.linalg.norm(stored - query, axis=1)
    else:
        distances = -(stored @ query)
        if metric == "cosine":
            distances = 1 + distances / np.linalg.norm(stored, axis=1) / np.linalg.norm(query)
    return [(int(n), float(distances[n])) for n in np.argsort(distances)[:3]]


def indexed(folder: Path) -> list[str]:
    """The metrics of the indexes that the newest columns may use."""
    with am.open(folder / "t.flac") as table:
        (column,) = (number for number, name in enumerate(table.snapshot.schema.names) if name == "v")
        views = [view.segment.with_schema(table.snapshot.schema) for view in table.snapshot.views]
        return [index.metric for segment in views if (index := segment.vector_index(column)) is not None]


def check(sql: apsw.Connection, metric: str, version: int | None = None) -> None:
    found = nearest(sql, version)
    assert [n for n, _ in found] == [n for n, _ in expected(metric)]
    assert np.allclose([d for _, d in found], [d for _, d in expected(metric)], atol=1e-5)


def test_there_and_back(sql: apsw.Connection, tmp_path: Path) -> None:
    stored = sql.execute("SELECT * FROM t").fetchall()
    check(sql, "cosine")
    command(sql, "index column", "v (metric=l2, codes=int8)")
    check(sql, "l2")  # compared one by one
    assert indexed(tmp_path) == []
    command(sql, "vacuum")
    assert indexed(tmp_path) == ["l2"]
    check(sql, "l2")
    check(sql, "l2", 2)  # an older version is searched as the column says now …
    with am.open(tmp_path / "t.flac", version=2) as table:  # … or, opened by itself, as it said then
        found = table.search(vectors(1, 9)[0], 3, column="v")
        assert found["id"].to_pylist() == [n for n, _ in expected("cosine")]
    command(sql, "index column", "v (metric=ip)")
    assert indexed(tmp_path) == []
    check(sql, "ip")
    check(sql, "ip", 3)
    with sql:
        sql.executemany(
            "INSERT INTO t VALUES (?, ?)",
            ((COUNT + n, (v * 0.001).tobytes()) for n, v in enumerate(vectors(300, 4))),
        )
    command(sql, "checkpoint")
    assert indexed(tmp_path) == ["ip"]  # of the new rows
    check(sql, "ip")
    sql.execute(f"DELETE FROM t WHERE id >= {COUNT}")
    command(sql, "vacuum", "1")
    assert indexed(tmp_path) == ["ip"]
    check(sql, "ip")
    command(sql, "unindex column", "v")
    assert indexed(tmp_path) == []
    check(sql, "cosine")
    command(sql, "vacuum", "1")
    with am.open(tmp_path / "t.flac") as table:
        assert table.schema["v"].sql() == f"v FLOAT[{WIDTH}]"
        assert not table.snapshot.segments[0].catalog.vectors
        assert [step.text for step in table.migrations] == [
            'index column "v" (metric=l2, codes=int8)',
            'index column "v" (metric=ip)',
            'unindex column "v"',
        ]
    check(sql, "cosine")
    assert sql.execute("SELECT * FROM t").fetchall() == stored


def test_what_is_refused_changes_nothing(sql: apsw.Connection, tmp_path: Path) -> None:
    command(sql, "index column", "v (metric=l2)")
    sql.execute("UPDATE t SET v = zeroblob(64) WHERE id = 7")
    before = (tmp_path / "t.flac").read_bytes()
    for name, argument, message in (
        ("index column", "v (metric=cosine)", "row 7.*no direction"),
        ("index column", "v", "row 7.*no direction"),
        ("index column", "v (metric=l2)", "already"),
        ("index column", "v (metric=l5)", "metric=l5 means nothing"),
        ("index column", "v (dimensions=17)", "an index of 17 numbers"),
        ("index column", "id", "only FLOAT"),
        ("index column", "w", "no column w"),
        ("unindex column", "id", "no index of vectors"),
        ("unindex column", None, "no command"),
    ):
        with pytest.raises(Exception, match=f"(?s)t.flac.*{message}"):
            command(sql, name, argument)
    assert (tmp_path / "t.flac").read_bytes() == before
    sql.execute("BEGIN")
    with pytest.raises(Exception, match="cannot be undone"):
        command(sql, "unindex column", "v")
    sql.execute("ROLLBACK")
    sql.execute("UPDATE t SET v = NULL WHERE id = 7")
    command(sql, "index column", "v")
    with pytest.raises(Exception, match="no direction"):
        sql.execute("UPDATE t SET v = zeroblob(64) WHERE id = 8")
    assert len(nearest(sql)) == 3


def test_another_connection_and_python_see_it(sql: apsw.Connection, tmp_path: Path) -> None:
    other = apsw.Connection("")
    register(other)
    other.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{tmp_path / 't.flac'}')")
    check(other, "cosine")
    with am.Table(tmp_path / "t.flac") as table:
        assert table.alter("index column v (metric=l2)") == 3
        assert table.search(vectors(1, 9)[0], 1, column="v")["id"].to_pylist() == [expected("l2")[0][0]]
    check(other, "l2")
    check(sql, "l2")
    other.close()
