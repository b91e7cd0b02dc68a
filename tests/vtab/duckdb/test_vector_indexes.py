"""INDEXED columns of vectors from DuckDB, through both doors, and from Python and the shell."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from typer.testing import CliRunner

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.cli.main import app
from audiomem_sql.errors import AudioMemError

COUNT, WIDTH = 400, 16


def vectors(count: int = COUNT) -> F32Array:
    return np.random.default_rng(2).standard_normal((count, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("indexes") / "v.flac"
    columns = ["id INTEGER PRIMARY KEY"]
    columns += [f"{name} FLOAT[{WIDTH}] INDEXED(metric={name})" for name in ("cosine", "l2", "ip")]
    with am.Table.create(made, columns) as table:
        table.append([{"id": n, "cosine": v, "l2": v * 3, "ip": v} for n, v in enumerate(vectors())])
        table.append([{"id": COUNT, "cosine": vectors()[0], "l2": vectors()[0], "ip": None}])
    return str(made)


@pytest.fixture(params=["extension", "python"])
def connection(request: pytest.FixtureRequest, loaded: Any) -> Iterator[Any]:
    if request.param == "extension":
        yield loaded
        return
    with duckdb.connect() as own:
        am.register_duckdb(own)
        yield own


def test_the_nearest_by_each_metric(connection: Any, path: str) -> None:
    query = vectors()[0] * 2
    call = f"SELECT id, distance FROM audiomem_search('{path}', {query.tolist()}, searched := '%s', k := 2%s)"
    assert [row[0] for row in connection.execute(call % ("cosine", "")).fetchall()] == [0, COUNT]
    found = connection.execute(call % ("l2", "")).fetchall()
    size = float(np.linalg.norm(vectors()[0]))
    assert [(n, round(d / size, 4)) for n, d in found] == [(0, 1.0), (COUNT, 1.0)]
    ((best, distance), _) = connection.execute(call % ("ip", "")).fetchall()
    assert (best, round(distance / size**2, 4)) == (0, -2.0)
    filtered = connection.execute(call % ("l2", ", filter := 'id % 50 = 7'")).fetchall()
    expected = np.argsort(np.linalg.norm(vectors()[7::50] * 3 - query, axis=1))[:2] * 50 + 7
    assert [row[0] for row in filtered] == expected.tolist()
    kept = connection.execute(f"SELECT l2 FROM audiomem_scan('{path}') WHERE id = 9").fetchone()[0]
    assert (np.array(kept, np.float32) == vectors()[9] * 3).all()


WRONG = [
    ("[1, 2]", "'l2'", "10", "has 2 numbers, the vectors have 16"),
    (f"{[0] * WIDTH}", "'cosine'", "10", "not all of them 0"),
    (f"{[0] * (WIDTH - 1)} || ['nan'::FLOAT]", "'l2'", "10", "finite numbers"),
    (f"{[1] * WIDTH}", "'l2'", "0", "k = 0 is no number of rows"),
    (f"{[1] * WIDTH}", "'l2'", "1000000000", "k = 1000000000 is over the limit"),
]


@pytest.mark.parametrize(("query", "column", "k", "message"), WRONG)
def test_wrong_input(connection: Any, path: str, query: str, column: str, k: str, message: str) -> None:
    before = Path(path).read_bytes()
    with pytest.raises(duckdb.Error) as caught:
        connection.execute(
            f"FROM audiomem_search('{path}', {query}, searched := {column}, k := {k})"
        ).fetchall()
    assert message in str(caught.value)
    assert Path(path).read_bytes() == before


def test_python(path: str, tmp_path: Path) -> None:
    query = vectors()[5]
    with am.open(path) as table:
        assert table.schema.sql().count("INDEXED(metric=") == 3
        for asked in (query, query.tolist(), query.tobytes(), json.dumps(query.tolist())):
            assert table.search(asked, 1, column="cosine", columns=["id"])["id"].to_pylist() == [5]
        for asked, k, message in (
            (query[:3], 10, "has 3 numbers"),
            (query * np.float32("nan"), 10, "finite"),
            (query * 0, 10, "not all of them 0"),
            (query, 0, "k = 0"),
            (query, 10**9, "k = 1000000000 is over"),
        ):
            with pytest.raises(AudioMemError, match=message):
                table.search(asked, k, column="cosine")
        with pytest.raises(AudioMemError, match=r"row 1.*no direction"):
            table.append([{"id": 1000, "cosine": query}, {"id": 1001, "cosine": query * 0}])
        assert len(table) == COUNT + 1
        frame = table.to_pandas()
    again = tmp_path / "again.flac"
    with am.open(path) as table, am.write_flac(table.to_arrow(), again) as copy:
        assert copy.schema == table.schema
        assert copy.search(query, 1, column="ip")["id"].to_pylist() == [5]
    assert len(frame) == COUNT + 1


def test_pythons_own_sqlite(path: str) -> None:
    connection = sqlite3.connect(":memory:")
    if not hasattr(connection, "enable_load_extension"):
        import pysqlite3

        connection = pysqlite3.connect(":memory:")
    am.load(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    query = (vectors()[5] * 3).tobytes()
    assert connection.execute("SELECT id FROM t WHERE l2 MATCH ? AND k = 1", (query,)).fetchall() == [(5,)]
    for statement, value, message in (
        ("SELECT id FROM t WHERE l2 MATCH ? AND k = 1", query[:8], "has 2 numbers"),
        ("SELECT id FROM t WHERE l2 MATCH ? AND k = 0", query, "k = 0"),
        ("INSERT INTO t(cosine) VALUES (?)", bytes(4 * WIDTH), "no direction"),
    ):
        with pytest.raises(Exception, match=message):
            connection.execute(statement, (value,)).fetchall()
    connection.close()


def test_the_shell(path: str) -> None:
    run = CliRunner()
    query = json.dumps(vectors()[5].tolist())
    found = run.invoke(app, ["search", path, query, "--column", "ip", "-k", "1", "--json"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)[0]["id"] == 5
    for arguments in ([query, "-k", "1000000000"], ["[1, 2]"], ["[]"], ["words"]):
        assert run.invoke(app, ["search", path, *arguments, "--column", "ip"]).exit_code != 0
