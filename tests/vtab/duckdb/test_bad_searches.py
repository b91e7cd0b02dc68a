"""What cannot be searched for, through every door: one error that names the file, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import duckdb
import numpy as np
import pysqlite3
import pytest
from typer.testing import CliRunner

import audiomem_sql as am
from audiomem_sql.cli.main import app
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError

NAN = [float("nan"), 1.0, 0.0]
COMBINED = 'combined: {"query": "some words", "vectors": {"l2": [1, 2, 3]}'
#: What is asked of which column (t: of the table), how many rows, what the error says, and how it is ranked.
CASES: dict[str, tuple[Any, str, int, str] | tuple[Any, str, int, str, str]] = {
    "NaN": (NAN, "l2", 3, "finite"),
    "an infinity": ([1.0, float("inf"), 0.0], "ip", 3, "finite"),
    "a number that float32 cannot hold": ([1.0, 1e39, 0.0], "l2", 3, "finite"),
    "too few numbers": ([1.0, 2.0], "l2", 3, "has 2 numbers, the vectors have 3"),
    "too many numbers": ([1.0, 2.0, 3.0, 4.0], "plain", 3, "has 4 numbers, the vectors have 3"),
    "no number": ([], "ip", 3, "has 0 numbers"),
    "zeros, which have no direction": ([0.0, 0.0, 0.0], "cosine", 3, "not all of them 0"),
    "zeros in a column without an index": ([0.0, 0.0, 0.0], "plain", 3, "not all of them 0"),
    "no row": ([1.0, 0.0, 0.0], "l2", 0, "k = 0"),
    "fewer than none": ([1.0, 0.0, 0.0], "l2", -1, "k = -1"),
    "a billion rows": ([1.0, 0.0, 0.0], "l2", 10**9, "k = 1000000000 is over the limit"),
    "a vector of another model": ([1.0, 0.0, 0.0], "body", 3, "the vectors have 256"),
    "a text for a vector": ("words", "l2", 3, "no JSON array"),
    "a text of a megabyte": ("word " * 220_000, "body", 3, "over the limit of 1,048,576"),
    "FTS5's syntax of a megabyte": ("keyword: " + "or " * 350_000, "body", 3, "over the limit of 131,072"),
    "a vector of a megabyte": ("[" + "1, " * 350_000 + "1]", "l2", 3, "has 350001 numbers"),
    "nothing but spaces": ("semantic:   ", "body", 3, "empty"),
    "a fusion that does not exist": ("words", "body", 3, "there is no fusion 'rff'", "fusion=rff"),
    "a share above all": ("combined: {}", "t", 3, "weight = '1.5' is no share", "weight=1.5"),
    "a constant without ranks": ("words", "body", 3, "is of reciprocal ranks only", "rank_constant=3"),
    "rows for no reranker": ("words", "body", 3, "is of a reranker only", "rerank_rows=3"),
    "nothing in several things": ("combined: {}", "t", 3, "nothing to search for", "fusion=rrf"),
    "NaN among several things": (
        'combined: {"vectors": {"l2": [NaN, 1, 2]}}',
        "t",
        3,
        "finite",
        "fusion=rrf",
    ),
    "a weight that is no number": (
        f'{COMBINED}, "weights": {{"l2": NaN}}}}',
        "t",
        3,
        "no number from 0",
        "fusion=rrf",
    ),
    "a weight of nothing": (
        f'{COMBINED}, "weights": {{"ip": 1}}}}',
        "t",
        3,
        "a weight of 'ip'",
        "weight=0.5",
    ),
    "no row of several things": (f"{COMBINED}}}", "t", 0, "k = 0", "fusion=rrf"),
    "too many rows of several things": (f"{COMBINED}}}", "t", 10**9, "is over the limit", "fusion=rrf"),
}
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED", "plain FLOAT[3]"]
COLUMNS += [f"{metric} FLOAT[3] INDEXED(metric={metric})" for metric in ("cosine", "l2", "ip")]

Search = Callable[..., Any]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("bad") / "t.flac"
    with am.Table.create(made, COLUMNS, {"model": "hashing"}) as table:
        vector = [1.0, 2.0, 3.0]
        table.append([{"body": "some words", "plain": vector, "cosine": vector, "l2": vector, "ip": vector}])
    return str(made)


def options_of(ranking: str | None) -> dict[str, Any]:
    return {} if ranking is None else dict(part.strip().split("=") for part in ranking.split(","))


def in_sql(connection: Any) -> Search:
    """A search of either table of SQLite; vectors are blobs, or JSON where a blob says something else."""

    def search(query: Any, column: str, k: int, ranking: str | None = None) -> Any:
        with np.errstate(over="ignore"):
            value = query if isinstance(query, str) else np.array(query, "<f4").tobytes()
        asked = f"SELECT id FROM t WHERE {column} MATCH ? AND k = ?"
        if ranking is not None:
            return connection.execute(f"{asked} AND ranking = ?", (value, k, ranking)).fetchall()
        return connection.execute(asked, (value, k)).fetchall()

    return search


def in_duckdb(connection: Any, path: str) -> Search:
    def search(query: Any, column: str, k: int, ranking: str | None = None) -> Any:
        as_vector = not isinstance(query, str)
        text = (
            repr(query) if isinstance(query, str) else "[" + ", ".join(f"'{n}'::DOUBLE" for n in query) + "]"
        )
        asked = f"NULL, vector := {text}" if as_vector else text
        searched = "" if column == "t" else f", searched := '{column}'"
        how = "".join(f", {name} := '{value}'" for name, value in options_of(ranking).items())
        return connection.execute(
            f"FROM audiomem_search('{path}', {asked}{searched}, k := {k}{how})"
        ).fetchall()

    return search


def in_python(path: str) -> Search:
    def search(query: Any, column: str, k: int, ranking: str | None = None) -> Any:
        with am.Table(path) as table:
            if isinstance(query, str):
                named = None if column == "t" else column
                return table.search(query, k, column=named, **options_of(ranking))
            return table.search(vector=query, k=k, column=column)

    return search


def in_shell(path: str, folder: Path) -> Search:
    def search(query: Any, column: str, k: int, ranking: str | None = None) -> Any:
        (folder / "v.npy").unlink(missing_ok=True)
        if not isinstance(query, str):
            np.save(folder / "v.npy", np.array(query))
        asked = [query] if isinstance(query, str) else ["--vector", str(folder / "v.npy")]
        asked += [] if column == "t" else ["--column", column]
        asked += [] if ranking is None else ["--ranking", ranking]
        result = CliRunner().invoke(app, ["search", path, *asked, "-k", str(k)])
        assert result.exit_code in (0, 1, 2)
        if isinstance(result.exception, AudioMemError):
            raise result.exception
        if result.exit_code:  # typer checks the options
            raise ValueError(f"{path}: {' '.join(result.output.split())}")

    return search


#: Which table connections of apsw get, as tests/vtab/conftest.py sets it; here the ways choose.
DOORS = ("extension",)
WAYS = ("apsw", "extension of SQLite", "extension of DuckDB", "DuckDB in Python", "Python", "shell")


@pytest.fixture(params=WAYS)
def search(
    request: pytest.FixtureRequest, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Search]:
    door = request.param
    if door == "apsw":
        monkeypatch.setenv("AUDIOMEM_EXTENSION", "off")  # the table that is written in Python
    if door == "Python":
        yield in_python(path)
    elif door == "shell":
        yield in_shell(path, tmp_path)
    elif door == "extension of DuckDB":
        yield in_duckdb(request.getfixturevalue("loaded"), path)
    elif door == "DuckDB in Python":
        with duckdb.connect() as own:
            am.register_duckdb(own)
            yield in_duckdb(own, path)
    else:
        connection: Any = apsw.Connection(":memory:") if door == "apsw" else pysqlite3.connect(":memory:")
        (register if door == "apsw" else am.load)(connection)
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
        yield in_sql(connection)
        connection.close()


@pytest.mark.parametrize("case", CASES)
def test_one_error_and_nothing_changed(search: Search, path: str, case: str) -> None:
    query, column, k, message, *ranking = CASES[case]
    before = {each: each.read_bytes() for each in Path(path).parent.iterdir()}
    with pytest.raises(Exception) as caught:  # noqa: PT011  the type is that of the door
        search(query, column, k, *ranking)
    said = str(caught.value)
    assert message in said or (k < 1 and "Invalid value for '-k'" in said), said[:300]
    assert path in said
    assert "Traceback" not in said
    assert {each: each.read_bytes() for each in Path(path).parent.iterdir()} == before
    assert search([1.0, 2.0, 3.0], "l2", 1) is None or len(search([1.0, 2.0, 3.0], "l2", 1)) == 1


def test_a_tokenizer_that_does_not_exist(tmp_path: Path) -> None:
    """By every way to make a table; no file appears."""
    column = "body TEXT INDEXED(tokenize='snowbal english')"
    path = tmp_path / "new.flac"
    with pytest.raises(AudioMemError, match="snowbal"):
        am.Table.create(path, [column])
    for connection in (apsw.Connection(":memory:"), pysqlite3.connect(":memory:")):
        (register if isinstance(connection, apsw.Connection) else am.load)(connection)
        with pytest.raises(Exception, match="snowbal"):
            connection.execute(f"""CREATE VIRTUAL TABLE n USING audiomem('{path}', "{column}")""")
        connection.close()
    result = CliRunner().invoke(app, ["create", str(path), column])
    assert isinstance(result.exception, AudioMemError)
    assert "snowbal" in str(result.exception)
    with am.Table.create(tmp_path / "old.flac", ["id INTEGER"]) as table:
        with pytest.raises(AudioMemError, match="snowbal"):
            table.alter(f"add column {column}")
        assert table.schema.names == ("id",)
    assert [each.name for each in tmp_path.iterdir()] == ["old.flac"]


def test_vectors_of_another_model_are_refused(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "m.flac", ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": "words"}])
        vector = json.dumps([1.0] * 384)  # those of all-MiniLM-L6-v2
        with pytest.raises(AudioMemError, match="has 384 numbers, the vectors have"):
            table.search(vector=vector)
        with pytest.raises(AudioMemError, match="has 384 numbers, the vectors have"):
            table.search("words", vector={"body": vector})
