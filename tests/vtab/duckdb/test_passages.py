"""The passages of long texts from DuckDB, through both doors, from Python and from the shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from typer.testing import CliRunner

import audiomem_sql as am
from audiomem_sql.cli.main import app

FACT = "The treaty of Tordesillas divided the new world."
LONG = "The weather was fine and nobody spoke. " * 30 + FACT
OPTIONS = {"model": "hashing", "passages": 24}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = tmp_path_factory.mktemp("passages") / "p.flac"
    columns = ["id INTEGER PRIMARY KEY", "title TEXT", "body TEXT SEMANTIC"]
    with am.Table.create(made, columns, OPTIONS) as table:
        table.append(
            [{"id": 1, "title": "long " * 400, "body": LONG}, {"id": 2, "title": "b", "body": "fine"}]
        )
    return str(made)


@pytest.fixture(params=["extension", "python"])
def connection(request: pytest.FixtureRequest, loaded: Any) -> Iterator[Any]:
    if request.param == "extension":
        yield loaded
        return
    with duckdb.connect() as own:
        am.register_duckdb(own)
        yield own


def test_the_passage_is_a_column(connection: Any, path: str) -> None:
    call = f"FROM audiomem_search('{path}', 'treaty of Tordesillas', k := 2)"
    (found, other) = connection.execute(f"SELECT id, passage, distance {call}").fetchall()
    assert (found[0], other[:2]) == (1, (2, None))
    assert FACT in LONG[slice(*json.loads(found[1]))]
    assert connection.execute(f"SELECT passage {call}").fetchall() == [(found[1],), (None,)]
    assert connection.execute(f"SELECT distance, id {call}").fetchall()[0] == (found[2], 1)
    assert connection.execute(f"SELECT count(*) {call}").fetchall() == [(2,)]
    names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * {call}").fetchall()]
    assert names == ["id", "title", "body", "distance", "passage"]
    text = f"SELECT body[(passage ->> 0)::INT + 1 : (passage ->> 1)::INT] {call} LIMIT 1"
    assert FACT in connection.execute(text).fetchall()[0][0]


def test_why_a_passage_was_found(connection: Any, path: str) -> None:
    call = f"FROM audiomem_explain('{path}', 'treaty of Tordesillas')"
    rows = connection.execute(f"SELECT row_id, passage, passages, passage_cosine > cosine {call}").fetchall()
    with am.Table(path) as table:
        why = table.explain("treaty of Tordesillas").to_pylist()
        passage = table.search("treaty of Tordesillas", 1)["passage"][0].as_py()
    assert rows == [(1, passage, why[0]["passages"], True), (2, None, None, None)]
    shown = CliRunner().invoke(app, ["search", path, "treaty of Tordesillas", "--explain"]).stdout
    assert f"best of {why[0]['passages']} passages: {passage} cosine {why[0]['passage_cosine']:.4f}" in shown
    assert shown.count("passages:") == 1


def test_python_and_the_shell(path: str) -> None:
    with am.Table(path) as table:
        found = table.search("treaty of Tordesillas", 1, columns=["id"])
        assert found.column_names == ["id", "distance", "passage"]
        ((start, end),) = map(json.loads, found["passage"].to_pylist())
    (shown,) = json.loads(
        CliRunner().invoke(app, ["search", path, "Tordesillas", "-k", "1", "--json"]).stdout
    )
    assert json.loads(shown["passage"]) == [start, end]
    text = CliRunner().invoke(app, ["search", path, "treaty of Tordesillas", "-k", "1"]).stdout
    assert "Tordesillas divided" in " ".join(text.split())
    assert "…" in text


def test_a_shell_that_cuts_the_texts_of_a_table(tmp_path: Path) -> None:
    path = str(tmp_path / "t.flac")
    with am.Table.create(
        path, ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"], {"model": "hashing"}
    ) as table:
        table.append([{"id": 1, "body": LONG}])
        assert table.search("Tordesillas", 1).column_names == ["id", "body", "distance"]
    assert CliRunner().invoke(app, ["reembed", path, "--passages", "24"]).exit_code == 0
    with am.Table(path) as table:
        assert table.options.passages == "24"
        assert table.search("Tordesillas", 1)["passage"].null_count == 0
    assert CliRunner().invoke(app, ["reembed", path, "--passages", "sometimes"]).exit_code != 0
