"""Both doors into DuckDB, its Python package and the loadable extension: the same queries, answers and errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import soundfile

import audiomem_sql as am
from audiomem_sql.search.ranking.options import NAMES
from audiomem_sql.vtab.duckdb.functions import ALIASES, FUNCTIONS

#: SQLite has no part in this.
DOORS = ("extension",)
WORDS = [
    "how to reset a password",
    "cats and dogs",
    "the disk is full",
    "passwords expire",
    "a quiet evening",
]

#: Queries over ``notes.flac`` that both doors answer alike.
QUERIES = [
    "FROM audiomem_scan('{notes}')",
    "SELECT count(*) FROM audiomem_scan('{notes}')",
    "SELECT year, id FROM audiomem_scan('{notes}', filter := 'year > 2020') WHERE id <> 4",
    "SELECT body FROM audiomem_scan('{notes}', condition := 'year IS NULL OR id = 1') WHERE year IS NULL",
    "SELECT count(*) FROM audiomem_scan('{notes}', filter := 'year > 2020', version := 'before')",
    "SELECT body FROM audiomem_scan('{notes}', version := 2) WHERE year BETWEEN 2021 AND 2023",
    "SELECT count(*) FROM audiomem_scan('{notes}', as_of := '2100-01-01')",
    "SELECT count(*) FROM audiomem_scan('{notes}', as_of := TIMESTAMP '2100-01-01 00:00:00')",
    "SELECT count(*) FROM audiomem_scan('{notes}', version := NULL, as_of := NULL, filter := NULL)",
    "SELECT id, distance FROM audiomem_search('{notes}', 'reset a password', k := 2)",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', k := 1, filter := 'year < 2025', version := 2)",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', condition := 'year < 2025') WHERE id > 1",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', filter := 'length(body) % 2 = 1 OR upper(body) LIKE ''%PA%''')",
    "SELECT id FROM audiomem_scan('{notes}', filter := 'year > 2020 AND substr(body, -1) <> ''s''') WHERE id < 9",
    "SELECT id FROM audiomem_top('{notes}', 'id', filter := 'EXISTS (SELECT 1 FROM json_each(json_array(year)) WHERE value > 2021)')",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', \"column\" := 'body', k := 3)",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', searched := 'body', k := 3, as_of := '2100-01-01')",
    "SELECT id, distance FROM audiomem_search('{notes}', [0.9, 0.1], searched := 'place', k := 2)",
    "SELECT id FROM audiomem_search('{notes}', [0.9, 0.1]::FLOAT[2], searched := 'place', k := 2)",
    "SELECT id FROM audiomem_search('{notes}', 'reset a disk', fusion := 'rrf', rank_constant := 3, weight := 0.2)",
    "SELECT id FROM audiomem_search('{notes}', 'reset a disk', weight := 1, fusion := NULL, rerank := NULL)",
    "SELECT id FROM audiomem_search('{notes}', 'reset a disk', weight := 0.123::DECIMAL(4, 3))",
    "SELECT id FROM audiomem_search('{folder}/man.flac', 'disk', column_weights := '{\"title\": 10}', k := 1) WHERE id = 1",
    "SELECT id FROM audiomem_search('{folder}/man.flac', 'disk', column_weights := '{\"Body\": 10}', k := 1) WHERE id = 2",
    "SELECT row_id, score, words FROM audiomem_explain('{folder}/man.flac', 'keyword: disk', column_weights := '{\"title\": 10}')",
    "FROM audiomem_explain('{notes}', 'reset a disk')",
    "SELECT words, score, row_id FROM audiomem_explain('{notes}', 'reset a password', k := 2, fusion := 'rrf', filter := 'id > 1')",
    "SELECT count(*) FROM audiomem_explain('{notes}', 'dogs', version := 2) WHERE score < 100",
    "SELECT row_id FROM audiomem_explain('{notes}', [0.9, 0.1], searched := 'place', k := 2)",
    "FROM audiomem_explain('{notes}', 'reset a disk', vector := [0.9, 0.1], searched := 'place')",
    "SELECT row_id, vectors FROM audiomem_explain('{notes}', 'dogs', vector := '{\"place\": [1, 2]}', weights := '{\"place\": 3}', fusion := 'rrf')",
    "SELECT id FROM audiomem_search('{notes}', 'dogs', vector := [1, 3], weights := '{\"place\": 2}', fusion := 'rrf', weight := 0.9)",
    "SELECT id FROM audiomem_search('{notes}', '[0.9, 0.1]', searched := 'place', k := 2)",
    "SELECT id FROM audiomem_search('{notes}', '\\x00\\x00\\x80?\\x00\\x00\\x00\\x00'::BLOB, searched := 'place', k := 1)",
    "SELECT count(*) FROM audiomem_search('{notes}', 'dogs', k := NULL)",
    "SELECT id, body FROM audiomem_top('{notes}', 'year DESC, id', k := 2)",
    "SELECT id FROM audiomem_top('{notes}', 'year', filter := 'id > 2', version := 'before')",
    "SELECT id FROM audiomem_top('{notes}', 'year', condition := 'id > 2', as_of := '2100-01-01') WHERE year > 0",
    "SELECT count(*) FROM audiomem_top('{notes}', 'id', k := 3)",
    "SELECT snapshot_id, inserted, deleted, tag, commit_message FROM audiomem_snapshots('{notes}')",
    "SELECT snapshot_time < '2100-01-01', count(*) FROM audiomem_snapshots('{notes}') GROUP BY 1",
    "FROM audiomem_changes('{notes}', 3, 4) ORDER BY ALL",
    "SELECT change_type, body FROM audiomem_changes('{notes}', 'before', NULL) WHERE row_id = 9",
    "SELECT a.id, b.id FROM audiomem_scan('{notes}') a JOIN audiomem_scan('{notes}', version := 2) b USING (year)",
    "SELECT n.year FROM audiomem_search('{notes}', 'disk', k := 1) s JOIN audiomem_scan('{notes}') n USING (id)",
    "FROM audiomem_knn('{notes}', 'place', '{notes}', 'place', k := 2) WHERE place = 2",
    "SELECT left_row_id FROM audiomem_knn('{notes}', 'body', '{notes}', 'body', left_filter := 'id < 3', filter := 'id > 3', k := 1)",
    "SELECT count(*) FROM audiomem_knn('{notes}', NULL, '{notes}', NULL, version := 2, left_version := 'before')",
    "SELECT audiomem_nearest('{notes}', [1.0, 2.0], 2, 'place'), typeof(audiomem_nearest('{notes}', 'dogs'))",
    "SELECT q, n.row_id, n.distance FROM (VALUES (1, '[1,0]'), (2, NULL), (3, '[0,1]')) AS t(q, v), LATERAL (SELECT unnest(audiomem_nearest('{notes}', v, 2, 'place', 'year > 2020')) AS n) ORDER BY ALL",
    "SELECT q, unnest(audiomem_nearest('{notes}', q, 2, 'body'), recursive := true) FROM (VALUES ('dogs'), ('new'), (NULL)) AS t(q)",
    "SELECT id, audiomem_nearest('{folder}/twice.flac', place, 3) FROM audiomem_scan('{notes}') ORDER BY id",
    "SELECT k, audiomem_nearest(if(k = 2, '{notes}', '{folder}/twice.flac'), [1, k]::DOUBLE[], k, if(k = 2, 'place', 'v'), if(k = 4, 'id > 2', NULL)) FROM range(1, 5) AS t(k)",
    "SELECT count(*), count(DISTINCT found.row_id), min(i - found.row_id) FROM (SELECT i, audiomem_nearest('{folder}/twice.flac', [1, i]::FLOAT[2], 2)[2] AS found FROM range(5000) AS t(i))",
    "SELECT audiomem_nearest('{folder}/twice.flac', [1, 2], NULL, NULL, 'id < 0'), audiomem_nearest('{notes}', NULL::VARCHAR, 3)",
    "FROM audiomem_duplicates('{folder}/twice.flac')",
    "FROM audiomem_duplicates('{folder}/twice.flac', searched := 'n', threshold := 0.5, filter := 'id <> 2', version := 2)",
    "SELECT size, words FROM audiomem_clusters('{notes}', k := 2, \"column\" := 'body')",
    "SELECT sum(size) FROM audiomem_clusters('{notes}', version := 2, filter := 'year > 2020')",
    "FROM audiomem_cluster_rows('{notes}', searched := 'place', as_of := '2100-01-01')",
    "FROM audiomem_map('{notes}', k := 1)",
    "SELECT cluster, count(*) FROM audiomem_map('{notes}', k := 3, searched := 'place') GROUP BY 1 ORDER BY 1",
    "FROM audiomem_scan('{folder}/parts/*.flac')",
    "SELECT count(*) FROM audiomem_scan('{folder}/parts/*.flac')",
    "SELECT n, replace(filename, '{folder}', '') FROM audiomem_scan('{folder}/**/p?.flac', filename := true)",
    "SELECT filename LIKE '%/p1.flac', count(*) FROM audiomem_scan('{folder}/parts/*', filename := true) GROUP BY ALL ORDER BY 1",
    "FROM audiomem_scan(['{folder}/parts/p2.flac', '{folder}/parts/p[1]*'])",
    "SELECT s FROM audiomem_scan(['{folder}/parts/p2.flac', '{folder}/parts/p1.flac']) WHERE n > 3 AND s LIKE 'b%'",
    "FROM audiomem_scan('{folder}/parts/*.flac', filter := 'n > 3')",
    "FROM audiomem_scan(['{folder}/parts/p1.flac', '{folder}/other/x[1].flac'], union_by_name := true)",
    "SELECT more, n FROM audiomem_scan(['{folder}/parts/p1.flac', '{folder}/other/x[1].flac'], union_by_name := true) WHERE more IS NULL",
    "SELECT _filename FROM audiomem_scan('{folder}/other/x[1].flac', filename := true)",
    "SELECT max(n) FROM audiomem_scan(['{folder}/other/x[1].flac', '{folder}/parts/p1.flac'], union_by_name := true)",
    "FROM audiomem_scan(['{folder}/parts/p1.flac'], as_of := '2100-01-01', filename := false)",
    "SELECT name, replace(path, '{folder}', '') FROM audiomem_attach('{folder}/parts')",
    "SELECT statement FROM audiomem_attach('{folder}/parts', schema := 'mine') LIMIT 1",
    "SELECT vec_from_json('[1, 2.5]'), typeof(vec_from_json('[1]')), vec_from_json(NULL)",
    "SELECT vec_from_json(text) FROM (VALUES ('[1]'), (NULL), ('[1, 2]'), ('[]')) AS t(text)",
    "SELECT vec_to_json(vec_from_json('[1, 2.5]')), vec_to_json([0.5]), vec_to_json(NULL)",
    "SELECT typeof(embed('a', 'hashing')), len(embed('a', 'hashing')), embed(NULL, 'hashing')",
    "SELECT cosine_distance(embed('a', 'hashing'), embed('a', 'hashing')) < 0.001",
    "SELECT cosine_distance([1.0, 0], [0, 1.0]), l2_distance('[0,0]', '[3,4]'), cosine_distance(NULL, [1.0])",
    "SELECT id, l2_distance(place, [0, 0]) FROM audiomem_scan('{notes}') ORDER BY id",
    "SELECT highlight('a b', 'b'), highlight('a b', 'b', '<'), highlight('a b', 'b', '<', '>'), highlight(NULL, 'b')",
    "SELECT snippet('a b c d e f', 'b', '', '', '… ', 2), audiomem_version()",
]
#: Queries that both doors refuse, and what both say.
ERRORS = [
    ("FROM audiomem_scan('{folder}/missing.flac')", "missing.flac: there is no such file"),
    ("FROM audiomem_scan(NULL)", "there is no path"),
    ("FROM audiomem_scan('{folder}/nothing*.flac')", "nothing*.flac: no table matches"),
    ("FROM audiomem_scan(['{notes}', NULL])", "there is no path"),
    ("FROM audiomem_scan([]::VARCHAR[])", "the list of paths is empty"),
    ("FROM audiomem_scan(['{folder}/parts/p1.flac', '{folder}/missing.flac'])", "missing.flac: there is no such file"),
    ("FROM audiomem_scan(['{folder}/parts/p1.flac', '{notes}'])", "Pass union_by_name := true"),
    ("FROM audiomem_scan(['{folder}/parts/p1.flac', '{folder}/other/x[1].flac'])", "column n: the column is double here"),
    ("FROM audiomem_scan(['{folder}/parts/p1.flac', '{folder}/other/y.flac'], union_by_name := true)", "column s: the column is int64 here"),
    ("FROM audiomem_scan('{folder}/parts/*.flac', filter := 'nix = 1')", "there is no column 'nix'"),
    ("FROM audiomem_scan('{notes}', version := 99)", "version 99 is not kept"),
    ("FROM audiomem_scan('{notes}', version := 'nobody')", "there is no tag 'nobody'"),
    ("FROM audiomem_scan('{notes}', version := 3.5)", "there is no tag '3.5'"),
    ("FROM audiomem_scan('{notes}', version := true)", "there is no tag 'true'"),
    ("FROM audiomem_scan('{notes}', as_of := 'someday')", "someday"),
    ("FROM audiomem_scan('{notes}', version := 1, as_of := '2020-01-01')", "exclude each other"),
    ("FROM audiomem_scan('{notes}', filter := 'nix = 1')", "there is no column 'nix'"),
    ("FROM audiomem_scan('{notes}', filter := 'id = 1', condition := 'id = 2')", "filter and condition are the same"),
    ("FROM audiomem_search('{notes}', 'a', k := 0)", "k = 0 is no number of rows"),
    ("FROM audiomem_search('{notes}', 'a', filter := 'foo(id)')", "no such function: foo"),
    ("FROM audiomem_scan('{notes}', filter := 'json(body) = 1')", "malformed JSON"),
    ("FROM audiomem_search('{notes}', NULL)", "there is nothing to search for"),
    ("FROM audiomem_search('{notes}', 'a', filter := 'year >')", "year >"),
    ("FROM audiomem_search('{notes}', 'a', \"column\" := 'nix')", "nix"),
    ("FROM audiomem_search('{notes}', 'a', \"column\" := 'year')", "column year is not searched"),
    ("FROM audiomem_search('{notes}', 'a', \"column\" := 'body', searched := 'body')", "column and searched are the same"),
    ("FROM audiomem_knn('{notes}', 'place', '{notes}', 'body')", "vectors of 2 numbers cannot be compared with those of 256"),
    ("FROM audiomem_knn('{notes}', 'place', NULL, 'place')", "there is no path"),
    ("FROM audiomem_knn('{notes}', 'place', '{notes}', 'place', k := 0)", "k = 0 is no number of rows"),
    ("FROM audiomem_knn('{notes}', 'place', '{notes}', 'place', left_filter := 'nix = 1')", "there is no column 'nix'"),
    ("SELECT audiomem_nearest('{notes}', [1, 2, 3], 2, 'place')", "/notes.flac: query: this cannot be compared with the vectors of column place. It has 3 numbers, and 2 are needed"),
    ("SELECT audiomem_nearest('{notes}', 'cats', 2, 'place')", "this cannot be compared with the vectors of column place"),
    ("SELECT audiomem_nearest('{notes}', [0, 0], 2, 'place')", "/notes.flac: query: a vector of zeros has no direction"),
    ("SELECT audiomem_nearest('{notes}', ['nan'::FLOAT, 0], 2, 'place')", "NaN"),
    ("SELECT audiomem_nearest('{notes}', [1, 2], 0, 'place')", "k = 0 is no number of rows"),
    ("SELECT audiomem_nearest('{notes}', [1, 2], 1000000000, 'place')", "over the limit"),
    ("SELECT audiomem_nearest('{notes}', [1, 2], 1, 'year')", "column year has no vectors"),
    ("SELECT audiomem_nearest('{notes}', [1, 2], 1, 'place', 'nix = 1')", "there is no column 'nix'"),
    ("SELECT audiomem_nearest(NULL, [1, 2])", "there is no path"),
    ("SELECT audiomem_nearest('{folder}/missing.flac', [1, 2])", "there is no such file"),
    ("FROM audiomem_duplicates('{notes}', threshold := 0)", "a threshold of 0"),
    ("FROM audiomem_duplicates('{notes}', threshold := 'most')", "a threshold of 'most'"),
    ("FROM audiomem_duplicates('{notes}', searched := 'year')", "column year has no vectors"),
    ("FROM audiomem_clusters('{notes}', k := 0)", "k = 0 is no number of clusters"),
    ("FROM audiomem_clusters('{notes}', version := 99)", "version 99 is not kept"),
    ("FROM audiomem_cluster_rows('{notes}', filter := 'year >')", "year >"),
    ("FROM audiomem_map('{folder}/parts/p1.flac')", "no column has vectors"),
    ("FROM audiomem_search('{notes}', 'a', fusion := 'rff')", "there is no fusion 'rff'. Did you mean rrf"),
    ("FROM audiomem_search('{notes}', 'a', weight := 1.5)", "1.5"),
    ("FROM audiomem_search('{notes}', 'a', weight := 'nan'::DOUBLE)", "nan"),
    ("FROM audiomem_search('{notes}', 'a', fusion := 'rrf', rank_constant := 0)", "is no number from 1"),
    ("FROM audiomem_search('{notes}', 'a', rerank := 'org/cross')", "you did not allow it"),
    ("FROM audiomem_explain('{notes}', 'a', rerank := 'org/cross', rerank_rows := 0)", "is no number from 1"),
    ("FROM audiomem_search('{folder}/man.flac', 'a', column_weights := '{\"titel\": 10}')", "Did you mean title"),
    ("FROM audiomem_explain('{folder}/man.flac', 'a', column_weights := '{\"id\": 10}')", "id is not searched by its words"),
    ("FROM audiomem_search('{folder}/man.flac', 'a', column_weights := '{\"title\": -1}')", "the weight -1 of title is no number"),
    ("FROM audiomem_search('{folder}/man.flac', 'a', column_weights := {'title': 10})", "has no names of columns"),
    ("FROM audiomem_search('{notes}', 'a', column_weights := '{\"body\": 1}')", "Leave the weights out"),
    ("FROM audiomem_explain('{notes}', NULL)", "there is nothing to search for"),
    ("FROM audiomem_explain('{notes}', 'a', vector := [1, 2, 3], searched := 'place')", "the query has 3 numbers"),
    ("FROM audiomem_explain('{notes}', 'a', weights := '{\"place\": 1}')", "a weight of 'place', which is not searched"),
    ("FROM audiomem_explain('{notes}', 'a', k := 0)", "k = 0 is no number of rows"),
    ("FROM audiomem_top('{notes}', 'year +')", "'year +' is no order"),
    ("FROM audiomem_top('{notes}', NULL)", "there is no order"),
    ("FROM audiomem_top('{notes}', 'year', k := -1)", "k = -1 is no number of rows"),
    ("FROM audiomem_changes('{notes}', 'nix', 2)", "there is no tag 'nix'"),
    ("FROM audiomem_changes('{notes}', NULL, NULL)", "None is no version"),
    ("FROM audiomem_snapshots('{folder}/missing.flac')", "there is no such file"),
    ("SELECT nothing FROM audiomem_scan('{notes}')", "nothing"),
    ("SELECT cosine_distance([1], [1, 2])", "the vectors have 1 and 2 numbers"),
    ("SELECT l2_distance([1.0, NULL], [1.0, 2.0])", "a vector is a flat list of finite numbers"),
    ("SELECT vec_to_json([0.5, NULL])", "a vector is a flat list of finite numbers"),
    ("SELECT audiomem_nearest('{notes}', [1.0, NULL]::DOUBLE[], 1, 'place')", "this cannot be compared with the vectors of column place"),
    ("SELECT audiomem_nearest('{notes}', [1.0, 1e300]::DOUBLE[], 1, 'place')", "too large for float32"),
    ("SELECT vec_from_json('[1, x]')", "is no JSON array of numbers"),
    ("SELECT embed('x', NULL)", "embed takes a text, the name of a model, and that of a backend"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``notes.flac``: five rows, a tag, then one row changed, one deleted and one added."""
    made = tmp_path_factory.mktemp("both")
    schema = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "year INTEGER", "place FLOAT[2]"]
    with am.Table.create(made / "notes.flac", schema, {"model": "hashing"}) as table:
        table.append(
            [
                {"id": i + 1, "body": body, "year": 2020 + i, "place": [1.0, float(i)]}
                for i, body in enumerate(WORDS)
            ]
        )
        table.tag("before")
        table.append(
            [{"id": 2, "body": "dogs only", "year": 2030}, {"id": 9, "body": "new", "year": None}],
            replace="id IN (2, 5)",
            message="later",
        )
    columns = ["id INTEGER PRIMARY KEY", "title TEXT INDEXED", "body TEXT INDEXED"]
    with am.Table.create(made / "man.flac", columns) as table:
        texts = [("disk", "a page of words"), ("page", "a disk of data"), ("more", "text"), ("other", "text")]
        table.append([{"id": i, "title": title, "body": body} for i, (title, body) in enumerate(texts, 1)])
    (made / "parts").mkdir()
    (made / "other").mkdir()
    for number in (1, 2):
        rows = [{"n": 3 * number + i, "s": "abc"[i]} for i in range(3)]
        am.write_flac(rows, made / "parts" / f"p{number}.flac").close()
    soundfile.write(made / "parts" / "song.flac", np.zeros((4800, 2)), 48000)
    am.write_flac([{"S": "x", "more": 1, "n": 0.5, "filename": "mine"}], made / "other" / "x[1].flac").close()
    am.write_flac([{"n": 1, "s": 2}], made / "other" / "y.flac").close()
    rows = [{"id": i, "n": "abcabc"[i], "v": [1.0, (0.0, 0.1, 9.0)[i // 2]]} for i in range(6)]
    columns = ["id INTEGER PRIMARY KEY", "n TEXT", "v FLOAT[2]"]
    with am.Table.create(made / "twice.flac", columns) as table:
        table.append(rows)
    return made


@pytest.fixture(scope="module")
def doors() -> Iterator[dict[str, Any]]:
    """A connection for each door."""
    package = duckdb.connect(config={"threads": 2})
    am.register_duckdb(package)
    extension = duckdb.connect(config={"threads": 2, "allow_unsigned_extensions": "true"})
    am.load(extension)
    yield {"package": package, "extension": extension}
    package.close()
    extension.close()


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_answer(doors: dict[str, Any], folder: Path, query: str) -> None:
    sql = query.replace("{notes}", f"{folder}/notes.flac").replace("{folder}", str(folder))
    answers = {name: _answer(connection, sql) for name, connection in doors.items()}
    assert answers["package"] == answers["extension"]
    assert answers["package"][1] != []


def _answer(connection: Any, sql: str) -> tuple[list[tuple[str, str]], list[str]]:
    """(name and type of the columns, rows as text) of a query."""
    described = connection.execute(f"DESCRIBE {sql}").fetchall()
    return [column[:2] for column in described], list(map(repr, connection.execute(sql).fetchall()))


def test_a_prepared_statement_sees_new_rows(doors: dict[str, Any], tmp_path: Path) -> None:
    """A function of constants alone is called whenever the statement is run."""
    for name, connection in doors.items():
        path = tmp_path / f"{name}.flac"
        with am.write_flac([{"id": 1, "v": [1.0, 2.0]}], path, primary_key="id") as table:
            connection.execute(f"PREPARE nearest AS SELECT audiomem_nearest('{path}', [2, 1])[1].row_id")
            assert connection.execute("EXECUTE nearest").fetchall() == [(1,)]
            table.append([{"id": 2, "v": [2.0, 1.0]}])
            assert connection.execute("EXECUTE nearest").fetchall() == [(2,)], name
        connection.execute("DEALLOCATE nearest")


@pytest.mark.parametrize(("query", "message"), ERRORS)
def test_the_same_error(doors: dict[str, Any], folder: Path, query: str, message: str) -> None:
    sql = query.replace("{notes}", f"{folder}/notes.flac").replace("{folder}", str(folder))
    for name, connection in doors.items():
        with pytest.raises(duckdb.Error) as caught:
            connection.execute(sql).fetchall()
        assert message in str(caught.value), name


def test_every_argument_has_its_name_in_both(doors: dict[str, Any]) -> None:
    """What DuckDB knows of the functions: the named arguments of both doors, and the aliases."""
    for function in FUNCTIONS:
        wanted = {parameter.name for parameter in function.named}
        for connection in doors.values():
            rows = connection.execute(
                "SELECT parameters FROM duckdb_functions() WHERE function_name = ?", [function.name]
            ).fetchall()
            assert any(wanted <= set(parameters) for (parameters,) in rows), function.name
    assert {
        "k",
        "filter",
        "column",
        "version",
        "as_of",
        "union_by_name",
        "filename",
        "hive_partitioning",
        "hive_types",
        "hive_types_autocast",
        "partial",
        "schema",
        "kind",
        "left_filter",
        "left_version",
        "threshold",
        "vector",
        "weights",
        "replicas",
        *NAMES,
        *ALIASES,
    } == {parameter.name for function in FUNCTIONS for parameter in function.named}


#: Names that the functions themselves use: of their columns, arguments and variables.
OWN_NAMES = [
    "snapshot_id", "row_id", "change_type", "_row_id", "snapshot_time", "inserted", "tag", "path", "query", "ordering", "filter",
    "condition", "column", "searched", "first", "last", "table", "row", "audiomem_source", "dist",
    "distance", "rank", "k", "version", "as_of", "fusion", "weight", "words", "ranking", "partial",
]  # fmt: skip


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_column_called_like_one_of_the_functions_own(
    doors: dict[str, Any], tmp_path: Path, name: str
) -> None:
    path = tmp_path / "own.flac"
    upper = name.upper()  # DuckDB's names are the same in upper and lower case
    with am.Table.create(
        path, ["id INTEGER PRIMARY KEY", f'"{upper}" TEXT', "body TEXT SEMANTIC"], {"model": "hashing"}
    ) as table:
        table.append([{"id": 1, upper: "old", "body": "a b"}])
        table.append([{"id": 2, upper: "new", "body": "b c"}])
    queries = [
        f"FROM audiomem_scan('{path}', filter := '\"{name}\" = ''new''')",
        f"FROM audiomem_search('{path}', 'b', k := 2, filter := '\"{name}\" = ''new''')",
        f"FROM audiomem_top('{path}', '\"{name}\"', k := 1)",
        f"FROM audiomem_changes('{path}', 1, NULL)",
        f"SELECT \"{name}\" FROM audiomem_changes('{path}', 3, NULL) WHERE \"{name}\" = 'new'",
    ]
    for query in queries:
        package, extension = (_answer(connection, query) for connection in doors.values())
        assert package == extension, query
        names = [column[0].lower() for column in package[0]]
        assert len(set(names)) == len(names)
        assert package[1], query
    found = f"FROM audiomem_search('{path}', 'b', k := 2)"
    described = doors["package"].execute(f"DESCRIBE {found}").fetchall()
    assert [column[0] for column in described] == [
        *["id", upper, "body"],
        "audiomem_distance" if name == "distance" else "distance",
    ]
    own = ["snapshot_id", "row_id", "change_type"]
    added = [f"_{each}" if each == name else each for each in own]
    described = doors["extension"].execute(f"DESCRIBE FROM audiomem_changes('{path}', 1, NULL)").fetchall()
    assert [column[0] for column in described] == [*added, "id", upper, "body"]
