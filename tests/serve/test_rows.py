"""Tables, versions, pages of rows, rows by key, in every format, compared with the table itself."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import audiomem_sql as am
from audiomem_sql.serve.formats import NAMES, chosen
from audiomem_sql.serve.pages import Cursor, Page
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.values import distinct
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

from .conftest import BIG, ROWS, Running, serving

Get = Callable[..., Any]
MEDIA_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """A row of ROWS as JSON has it."""
    names = ("id", "title", "body", "year", "score", "fine", "data", "seen", "about", "vec")
    made = {name: row.get(name) for name in names}
    for name in ("id", "year"):
        if abs(made[name]) >= 2**53:
            made[name] = str(made[name])
    if made["score"] == float("-inf"):
        made["score"] = "-Infinity"
    if made["data"] is not None:
        made["data"] = base64.b64encode(made["data"]).decode()
    if made["vec"] is not None:
        made["vec"] = pa.array(made["vec"], pa.float32()).to_pylist()
    return made


def test_the_list_of_tables(get: Get) -> None:
    assert get("/tables") == {
        "tables": [
            {"name": "kb", "rows": 301, "version": 4, "scopes": ["read", "file"]},
            {"name": "keyed", "rows": 2, "version": 2, "scopes": ["read", "file"]},
        ]
    }


def test_a_table_and_its_versions(get: Get) -> None:
    about = get("/tables/kb")
    assert (about["rows"], about["version"], about["tags"], about["model"]) == (
        301,
        4,
        {"first": 2},
        "hashing",
    )
    assert [column["type"] for column in about["columns"]][-2:] == ["JSON", "FLOAT[2]"]
    assert about["columns"][2]["semantic"]
    assert about["columns"][2]["indexed"]
    assert get("/tables/kb", version=2)["rows"] == 300
    assert get("/tables/kb", version=1)["rows"] == 0
    assert get("/tables/kb/tags") == {"first": 2}
    newest = get("/tables/kb/versions", limit=1)
    assert [each["version"] for each in newest["versions"]] == [4]
    older = get("/tables/kb/versions", before=newest["next"])
    assert [(each["version"], each["tags"]) for each in older["versions"]] == [
        (3, []),
        (2, ["first"]),
        (1, []),
    ]
    assert older["next"] is None
    at = older["versions"][1]["time"]
    assert get("/tables/kb", as_of=at)["rows"] == 300


def test_json_has_every_value(get: Get) -> None:
    answer = get("/tables/kb/rows", limit=1000)
    assert answer["rows"] == [expected(row) for row in ROWS]
    assert answer["next"] is None
    assert answer["columns"][7] == {"name": "seen", "type": "TIMESTAMP"}


@pytest.mark.parametrize("name", NAMES)
def test_every_format_has_the_same_rows(server: Running, table_path: Path, name: str) -> None:
    parameters = {"limit": "1000", "where": "id < ?", "parameter": str(BIG)}
    by_name = server.client.get("/tables/kb/rows", params={**parameters, "format": name})
    by_header = server.client.get("/tables/kb/rows", params=parameters, headers={"Accept": MEDIA_TYPES[name]})
    assert by_name.status_code == by_header.status_code == 200
    assert by_name.headers["content-type"].startswith(MEDIA_TYPES[name])
    assert by_name.headers["audiomem-version"] == "4"
    if name != "parquet":  # whose writer notes nothing of the time, but need not write the same bytes
        assert by_name.content == by_header.content
    rows = [expected(row) for row in ROWS[:-1]]
    if name in ("arrow", "parquet"):
        read = pa.ipc.open_stream(by_name.content).read_all() if name == "arrow" else None
        read = pyarrow.parquet.read_table(io.BytesIO(by_name.content)) if read is None else read
        with am.open(table_path) as table:
            assert read.cast(table.to_arrow().schema).equals(table.to_arrow(where="id < 1000"))
    elif name == "csv":
        lines = list(csv.reader(io.StringIO(by_name.text, newline="")))
        assert lines[0] == list(rows[0])
        assert lines[7][4] == ""  # NULL
        assert [json.loads(line[-1]) for line in lines[1:]] == [row["vec"] for row in rows]
        assert [line[6] for line in lines[1:]] == [row["data"] for row in rows]
        assert [line[5] for line in lines[1:4]] == ["false", "false", "true"]
    elif name == "ndjson":
        assert [json.loads(line) for line in by_name.text.splitlines()] == rows
    else:
        assert by_name.json()["rows"] == rows


def test_csv_tells_null_from_an_empty_text(server: Running) -> None:
    answer = server.client.get(
        "/tables/kb/rows", params={"where": f"id = {BIG}", "columns": "title,body,fine", "format": "csv"}
    )
    assert answer.text == 'title,body,fine\r\n"comma, ""quote""\nand line","",\r\n'


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_in_every_format(server: Running, name: str) -> None:
    answer = server.client.get("/tables/kb/rows", params={"where": "id < 0", "columns": "id", "format": name})
    assert answer.status_code == 200
    if name == "arrow":
        assert pa.ipc.open_stream(answer.content).read_all().num_rows == 0
    elif name == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(answer.content)).schema.names == ["id"]
    elif name == "json":
        assert answer.json()["rows"] == []
    else:
        assert answer.text == {"csv": "id\r\n", "ndjson": ""}[name]


def test_pages_are_of_one_version_and_have_every_row_once(server: Running, tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["n INTEGER"]) as table:
        table.append([{"n": number} for number in range(100)])
    with serving(tmp_path / "t.flac") as running, Table(tmp_path / "t.flac") as table:
        seen: list[int] = []
        parameters: dict[str, Any] = {"limit": 30}
        while True:
            page = running.client.get("/tables/t/rows", params=parameters).json()
            assert page["version"] == 2
            seen += [row["n"] for row in page["rows"]]
            table.append([{"n": -1}])
            if page["next"] is None:
                break
            parameters = {"limit": 30, "after": page["next"]}
        assert seen == list(range(100))
        assert running.client.get("/tables/t").json()["rows"] == 104


def test_rows_that_are_out_of_order_come_by_rowid(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "n INTEGER"]) as table:
        table.append([{"id": 5, "n": 5}, {"id": 105, "n": 5}])
    with Table(path) as table, TableReader(path) as reader:
        for first in (3, 1):  # in the log, behind the segment
            table.append([{"id": first, "n": first}, {"id": first + 100, "n": first}])
        reader.refresh()
        assert not reader.readable.ordered
        pages, after = [], None
        while True:
            page = Page(reader, ["id", "n"], "n <> 9", (), after, 4)
            pages.append([each for batch in page for each in batch.column(0).to_pylist()])
            if not page.more:
                break
            after = page.last
        assert pages == [[1, 3, 5, 101], [103, 105]]


def test_an_order(get: Get) -> None:
    answer = get("/tables/kb/rows", order="score DESC, id", limit=2, columns="id,score", where="id < 100")
    assert [row["id"] for row in answer["rows"]] == [99, 97]  # 98 has none
    assert answer["next"] is None


def test_a_row_by_its_key(server: Running, get: Get) -> None:
    assert get("/tables/kb/rows/2") == expected(ROWS[1])
    assert get(f"/tables/kb/rows/{BIG}", columns="id") == {"id": str(BIG)}
    assert get("/tables/keyed/rows/a%2Fb") == {"name": "a/b", "n": 1}
    assert get("/tables/keyed/rows/7") == {"name": "7", "n": 2}
    for path, status in (("/tables/kb/rows/302", 404), ("/tables/kb/rows/2?version=1", 404)):
        assert server.client.get(path).status_code == status
    assert server.client.get("/tables/kb/rows/2?version=nope").status_code == 400


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"where": "nope = 1"}, "no column"),
        ({"where": "id = ("}, "cannot be understood"),
        ({"where": "id > ?"}, ""),
        ({"where": "load_extension('x')"}, ""),
        ({"where": "EXISTS (SELECT * FROM sqlite_schema)"}, ""),
        ({"columns": "nope"}, "no column"),
        ({"columns": ""}, "list of names"),
        ({"columns": "id;title"}, "list of names"),
        ({"order": "nope"}, "no column"),
        ({"after": "!"}, "no cursor"),
        ({"after": "WzEsIDJd", "version": "2"}, "after names the version"),
        ({"version": "2", "as_of": "2026-01-01"}, "exclude"),
        ({"version": "99"}, "not kept"),
        ({"as_of": "noon"}, ""),
        ({"limit": "0"}, "limit"),
        ({"limit": "9999999999"}, "limit"),
        ({"format": "xml"}, "no format"),
    ],
)
def test_what_cannot_be_understood(server: Running, parameters: dict[str, str], said: str) -> None:
    answer = server.client.get("/tables/kb/rows", params=parameters)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert "/" not in answer.json()["detail"].replace("and/or", "")  # no path of the server


def test_what_never_ends_is_ended(table_path: Path) -> None:
    endless = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c) = id"
    statement = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    with serving(table_path, limits=Limits(statement_seconds=0.2)) as server:
        for answer in (
            server.client.get("/tables/kb/rows", params={"where": endless}),
            server.client.post("/sql", json={"sql": statement}),
        ):
            assert (answer.status_code, "longer than 0.2 s" in answer.json()["detail"]) == (504, True)
        assert server.client.get("/health").status_code == 200


def test_methods_that_a_path_lacks(server: Running) -> None:
    for path, allowed in (
        ("/tables/kb/search", "GET, POST"),
        ("/tables/kb/file", "GET, HEAD"),
        ("/sql", "POST"),
    ):
        answer = server.client.delete(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
        assert answer.headers["content-type"] == "application/problem+json"


def test_what_a_client_likes() -> None:
    assert chosen(None, None).name == "json"
    assert chosen(None, "*/*").name == "json"
    assert chosen(None, "text/*, application/json;q=0.5").name == "csv"
    assert chosen(None, "application/x-ndjson;q=0.2, application/json;q=0").name == "ndjson"
    assert chosen("csv", "application/json").name == "csv"
    with pytest.raises(Problem) as refused:
        chosen(None, "image/png, application/json;q=0")
    assert refused.value.status == 406


def test_names_that_are_there_twice() -> None:
    assert distinct(["a", "a", "a:1", "a"]) == ["a", "a:2", "a:1", "a:3"]


def test_a_cursor_is_read_as_it_was_written() -> None:
    for cursor in (Cursor(1, -5), Cursor(10**6, 2**63 - 1)):
        assert Cursor.parse(cursor.text()) == cursor


def test_a_remedy_is_one_of_http(server: Running) -> None:
    for path in ("rows?k=1", "search?query=x", "changes?rows=true"):
        refused = server.client.get(f"/tables/kb/{path}&where=nope+=+1")
        assert refused.status_code == 400
        assert refused.json()["detail"].endswith("For everything else send a statement of SQL")
