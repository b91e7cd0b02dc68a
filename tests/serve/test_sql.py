"""``POST /sql``: what it gives, in every format, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import apsw
import httpx
import pyarrow as pa
import pyarrow.parquet
import pytest

from audiomem_sql.serve.formats import NAMES
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.sql_pool import SqlPool, Statement
from audiomem_sql.serve.work import Job

from .conftest import Running, serving

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"


def ask(server: Running, sql: str, parameters: Any = (), **more: Any) -> httpx.Response:
    body = {"sql": sql, "parameters": parameters if isinstance(parameters, dict) else list(parameters)}
    named = {"format": more.pop("format")} if "format" in more else {}
    return server.client.post("/sql", json=body | more, params=named)


def test_a_query_with_parameters(server: Running) -> None:
    answer = ask(
        server, "SELECT id, data, fine, seen FROM kb WHERE id = ? AND data = ?", [3, {"base64": "A/8="}]
    )
    assert answer.json()["rows"] == [{"id": 3, "data": "A/8=", "fine": 1, "seen": "2024-03-04 10:00:00.5"}]
    named = ask(server, "SELECT :a + $b AS c", {":a": 1, "b": True}).json()
    assert named == {"columns": [{"name": "c", "type": None}], "rows": [{"c": 2}], "truncated": False}
    assert ask(server, "SELECT count(*) n FROM kb JOIN keyed ON keyed.n = kb.id").json()["rows"] == [{"n": 2}]
    assert ask(server, "SELECT count(*) n FROM kb WHERE version = 'first'").json()["rows"] == [{"n": 300}]


def test_search_and_table_functions(server: Running) -> None:
    found = ask(server, "SELECT id FROM kb WHERE kb MATCH 'words: dogs' AND k = 3 AND filter = 'year > 2010'")
    assert [row["id"] % 2 for row in found.json()["rows"]] == [0, 0, 0]
    near = ask(server, "SELECT id FROM kb WHERE vec MATCH ? AND k = 1", [[5, 0.1]])
    assert near.json()["rows"] == [{"id": 5}]
    versions = ask(server, "SELECT max(snapshot_id) n FROM audiomem_snapshots('kb')").json()
    assert versions["rows"] == [{"n": 4}]


@pytest.mark.parametrize("name", NAMES)
def test_every_format(server: Running, name: str) -> None:
    sql = "SELECT id, title, score, data, NULL AS void, year * 1.5 AS y FROM kb WHERE id < 1000 ORDER BY id"
    answer = ask(server, sql, format=name)
    assert answer.status_code == 200
    ids = list(range(1, 301))
    if name in ("arrow", "parquet"):
        stream = io.BytesIO(answer.content)
        read = (
            pa.ipc.open_stream(stream).read_all() if name == "arrow" else pyarrow.parquet.read_table(stream)
        )
        assert read["id"].to_pylist() == ids
        assert read["score"].to_pylist()[:7] == [number / 3 for number in range(1, 7)] + [None]
        assert [str(field.type) for field in read.schema] == [
            "int64", "string", "double", "binary", "string", "double",
        ]  # fmt: skip
    elif name == "csv":
        lines = list(csv.reader(io.StringIO(answer.text)))
        assert [int(line[0]) for line in lines[1:]] == ids
    else:
        rows = answer.json()["rows"] if name == "json" else list(map(json.loads, answer.text.splitlines()))
        assert [row["id"] for row in rows] == ids
        assert rows[6]["score"] is None


def test_columns_of_several_types(server: Running) -> None:
    mixed = "SELECT 1 AS a UNION ALL SELECT 'x'"
    assert [row["a"] for row in ask(server, mixed).json()["rows"]] == [1, "x"]
    refused = ask(server, mixed, format="arrow")
    assert refused.status_code == 400
    assert "CAST" in refused.json()["detail"]
    numbers = ask(server, "SELECT 1 AS a UNION ALL SELECT 0.5", format="arrow")
    assert pa.ipc.open_stream(numbers.content).read_all()["a"].to_pylist() == [1.0, 0.5]
    late = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 90000) "
    with pytest.raises(httpx.RemoteProtocolError):
        ask(server, late + "SELECT CASE x WHEN 80000 THEN 'text' ELSE x END FROM c", format="arrow")
    soon = ask(server, late + "SELECT CASE x WHEN 4000 THEN 'text' ELSE x END FROM c", format="arrow")
    assert soon.status_code == 400  # nothing is sent before 256 KiB are made, or all


def test_limits_of_rows_and_bytes(table_path: Any) -> None:
    from audiomem_sql.serve.settings import Limits

    with serving(table_path, limits=Limits(rows=100, response_bytes=20_000)) as server:
        answer = ask(server, "SELECT id FROM kb").json()
        assert (len(answer["rows"]), answer["truncated"]) == (100, True)
        answer = ask(server, "SELECT id FROM kb", limit=3).json()
        assert ([row["id"] for row in answer["rows"]], answer["truncated"]) == ([1, 2, 3], True)
        assert ask(server, "SELECT id FROM kb LIMIT 100").json()["truncated"] is False
        assert ask(server, "SELECT id FROM kb", format="csv").status_code == 413
        assert ask(server, "SELECT hex(zeroblob(9000)) FROM kb LIMIT 3", format="csv").status_code == 413
    with serving(table_path, limits=Limits(response_bytes=1_500_000)) as server:
        with pytest.raises(httpx.RemoteProtocolError):  # not a shorter answer that looks whole
            ask(server, "SELECT hex(zeroblob(200000)) FROM kb LIMIT 9", format="csv")
        assert server.client.get("/health").status_code == 200


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '/etc/passwd' AS x",
        "DETACH main",
        "SELECT load_extension('x')",
        "SELECT load_extension('x', 'y')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT audiomem_device('cuda')",
        "SELECT * FROM sqlite_schema",
        "SELECT count(*) FROM sqlite_master",
        "SELECT sql FROM sqlite_temp_schema",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_function_list",
        "SELECT * FROM audiomem_verify('kb')",
        "SELECT * FROM audiomem_cache()",
        "SELECT * FROM dbstat",
        "PRAGMA user_version = 3",
        "PRAGMA query_only = OFF",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA integrity_check",
        "PRAGMA writable_schema = ON",
        "INSERT INTO kb(title) VALUES ('x')",
        "INSERT INTO kb(kb) VALUES ('vacuum')",
        "UPDATE kb SET title = 'x'",
        "DELETE FROM kb",
        "DROP TABLE kb",
        "ALTER TABLE kb RENAME TO x",
        "CREATE TABLE x(a)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.x USING audiomem('/tmp/x.flac', a TEXT)",
        "CREATE VIRTUAL TABLE x USING fts5(a)",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE TEMP TRIGGER x AFTER INSERT ON kb BEGIN SELECT 1; END",
        "VACUUM INTO '/tmp/served-vacuum'",
        "BEGIN",
        "SAVEPOINT a",
        "REINDEX",
        "ANALYZE",
        "EXPLAIN SELECT 1 FROM sqlite_schema",
        "SELECT id FROM kb WHERE kb MATCH 'x' AND filter = 'EXISTS (SELECT 1 FROM sqlite_schema)'",
    ],
)
def test_what_does_more_than_read_is_refused(server: Running, sql: str) -> None:
    answer = ask(server, sql)
    assert answer.status_code in (400, 403), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert ".flac" not in answer.json()["detail"].replace("/tmp/x.flac", "")
    assert ask(server, "SELECT count(*) n FROM kb").json()["rows"] == [{"n": 301}]


@pytest.mark.parametrize(
    ("sql", "parameters", "status", "said"),
    [
        ("", (), 400, "no statement"),
        ("-- nothing", (), 400, "no statement"),
        ("SELECT 1; SELECT 2", (), 400, "several"),
        ("SELECT 1; DELETE FROM kb", (), 400, "several"),
        ("SELEC 1", (), 400, "syntax error"),
        ("SELECT nope FROM kb", (), 400, "no such column"),
        ("SELECT * FROM nope", (), 400, "no such table"),
        ('SELECT "text" FROM kb', (), 400, "no such column"),
        ("SELECT ?", (), 400, "parameters"),
        ("SELECT :a", {}, 400, "parameters"),
        ("SELECT ?", (1, 2), 400, "parameters"),
        ("SELECT ?", (2**64,), 400, "64 bits"),
        ("SELECT ?", ({"a": 1},), 400, "no value"),
        ("SELECT ?", ({"base64": "!"},), 400, "base64"),
        ("SELECT id FROM kb WHERE version = 77", (), 400, "not kept"),
        ("SELECT zeroblob(2000000)", (), 413, "limits"),
        ("SELECT group_concat(zeroblob(100000)) FROM kb", (), 413, "limits"),
        ("SELECT embed('x', 'openai:gpt')", (), 400, ""),
        ("SELECT id FROM kb WHERE kb MATCH 'x' AND ranking = 'rerank=onnx:/etc'", (), 400, ""),
    ],
)
def test_what_cannot_be_run(server: Running, sql: str, parameters: Any, status: int, said: str) -> None:
    answer = ask(server, sql, parameters)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert "served" not in answer.json()["detail"]  # the folder of the table


def test_a_statement_ends_when_its_client_goes(table_path: Any) -> None:
    from audiomem_sql.serve.settings import Limits

    with serving(table_path, limits=Limits(statement_seconds=60.0)) as server:
        body = json.dumps({"sql": ENDLESS}).encode()
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            head = f"POST /sql HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n"
            client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
            wait_for(lambda: server.service.workers.busy == 1)
        wait_for(lambda: server.service.workers.busy == 0)
        assert '"aborted": true' in server.log[-1]


def test_a_client_that_goes_in_the_middle_of_an_answer(table_path: Any) -> None:
    with serving(table_path) as server:
        body = {"sql": "SELECT a.id, a.body, b.body c FROM kb a, kb b, kb c"}
        with server.client.stream("POST", "/sql", json=body, params={"format": "ndjson"}) as answer:
            assert answer.status_code == 200
            next(answer.iter_bytes())
        wait_for(lambda: server.service.workers.busy == 0)
        wait_for(lambda: server.service.sql._lent == 0)


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


#: Some 20 ms a row, in one step of SQLite's machine, which looks at the time every 10,000 steps.
SLOW_ROWS = """WITH RECURSIVE t(x) AS (SELECT replace(hex(zeroblob(40000)), '0', 'a')),
    c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
    SELECT count(*) FROM c, t WHERE instr(x || n, substr(x, 1, 40000) || 'b')"""


def test_slow_steps_are_interrupted_between_rows(table_path: Any) -> None:
    from audiomem_sql.serve.settings import Limits

    with serving(table_path, limits=Limits(statement_seconds=0.3)) as server:
        server.client.timeout = httpx.Timeout(20)
        answer = ask(server, SLOW_ROWS)
        assert answer.status_code == 504
        assert ask(server, "SELECT count(*) n FROM kb").json()["rows"] == [{"n": 301}]


def test_steps_that_nothing_interrupts_take_half_the_threads(
    table_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiomem_sql.serve import work
    from audiomem_sql.serve.settings import Limits

    monkeypatch.setattr(work, "_STUCK", 0.1)
    with serving(table_path, limits=Limits(statement_seconds=0.2, threads=2)) as server:
        body = {"sql": "SELECT instr(x, substr(x, 1, 200000) || 'b') FROM ("
                       "SELECT replace(hex(zeroblob(200000)), '0', 'a') AS x)"}  # fmt: skip
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(server.client.post, "/sql", json=body)
            wait_for(lambda: server.service.workers.stuck == 1)
            assert ask(server, "SELECT 1").status_code == 503
            assert server.client.get("/tables/kb/rows/3?columns=id").json() == {"id": 3}
            assert stuck.result().status_code in (200, 504)
        wait_for(lambda: server.service.workers.stuck == 0)
        assert ask(server, "SELECT 1 AS a").json()["rows"] == [{"a": 1}]


def test_a_statement_that_cannot_be_ended_gives_its_place_back() -> None:
    pool = SqlPool(Limits(), 1)
    statement = Statement(pool, [], "SELECT 1 UNION SELECT 2", [], Job(10), str)
    assert statement._lent is not None
    statement._lent.connection.close(True)
    with pytest.raises(apsw.ConnectionClosedError):
        statement.close()
    statement.close()
    again = Statement(pool, [], "SELECT 3", [], Job(10), str)
    assert list(again) == [(3,)]
    pool.close()
