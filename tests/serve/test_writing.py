"""Appends and sources: durable, all or none, once for a key, and by tokens that may."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

import audiomem_sql as am
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table

from .conftest import COLUMNS, Running, serving


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Running]:
    """A server of the empty tables `kb` and `docs`, and a client that may write to both."""
    Table.create(tmp_path / "kb.flac", COLUMNS, {"model": "hashing"}).close()
    Table.create(tmp_path / "docs.flac", DEFAULT_COLUMNS).close()
    tokens = str(tmp_path / "tokens.json")
    token = add_token(tokens, "writer", {"*": ["read", "file", "write"]})
    with serving(tmp_path / "kb.flac", tmp_path / "docs.flac", tokens=tokens, writable=True) as running:
        running.client.headers["Authorization"] = f"Bearer {token}"
        yield running


ROW = {
    "id": "9007199254740993",
    "title": "ä",
    "score": "-Infinity",
    "fine": True,
    "data": "AP8=",
    "seen": "2024-01-01T01:00:00+01:00",
    "about": {"a": [1]},
    "vec": [1, 2.5],
}
READ = {
    "id": "9007199254740993",
    "title": "ä",
    "body": None,
    "year": None,
    "score": "-Infinity",
    "fine": True,
    "data": "AP8=",
    "seen": "2024-01-01 00:00:00",
    "about": '{"a": [1]}',
    "vec": [1.0, 2.5],
}


def test_rows_of_json_come_back(writer: Running) -> None:
    answer = writer.client.post("/tables/kb/rows", json=[ROW], params={"message": "one"})
    assert (answer.status_code, answer.json()) == (201, {"version": 2, "rows": 1, "repeated": False})
    assert writer.client.get("/tables/kb/rows").json()["rows"] == [READ]
    assert writer.client.post("/tables/kb/rows", json={"title": "alone"}).json()["version"] == 3
    assert writer.client.post("/tables/kb/rows", json={"rows": [{"title": "x"}]}).json()["version"] == 4
    assert writer.client.get("/tables/kb/versions").json()["versions"][2]["message"] == "one"


@pytest.mark.parametrize("name", ["application/x-ndjson", "arrow", "parquet"])
def test_rows_of_other_formats(writer: Running, name: str) -> None:
    rows = pa.table({"id": [1, 2], "title": ["a", None], "vec": pa.array([[1.0, 2.0], None])})
    sink = io.BytesIO()
    if name == "arrow":
        with pa.ipc.new_stream(sink, rows.schema) as stream:
            stream.write_table(rows)
    elif name == "parquet":
        pyarrow.parquet.write_table(rows, sink)
    else:
        sink.write(b"\n".join(json.dumps(row).encode() for row in rows.to_pylist()))
    media_type = name if "/" in name else f"application/vnd.apache.{name}" + ".stream" * (name == "arrow")
    answer = writer.client.post(
        "/tables/kb/rows", content=sink.getvalue(), headers={"Content-Type": media_type}
    )
    assert answer.status_code == 201, answer.text
    read = writer.client.get("/tables/kb/rows", params={"columns": "id,title,vec"}).json()["rows"]
    assert read == rows.to_pylist()


REFUSED = (
    (b"", "application/json", 400, "no application/json"),
    (b"[", "application/json", 400, "no application/json"),
    (b"[]", "application/json", 400, "no rows"),
    (b"[1]", "application/json", 400, "object"),
    (b'[{"score": NaN}]', "application/json", 400, "no application/json"),
    (b"[" * 100_000, "application/json", 400, "no application/json"),
    (b'[{"nope": 1}]', "application/json", 400, "nope"),
    (b'[{"id": "x"}]', "application/json", 400, "id"),
    (b'[{"data": "!"}]', "application/json", 400, "base64"),
    (b'[{"vec": [1]}]', "application/json", 400, "vec"),
    (b'[{"id": 1}, {"id": 1}]', "application/json", 409, "id"),
    (b"\xff\xff", "application/vnd.apache.arrow.stream", 400, "arrow"),
    (b"PAR1", "application/vnd.apache.parquet", 400, "parquet"),
    (b"x", "image/png", 415, "rows come as"),
)


def test_what_is_refused_changes_nothing(writer: Running) -> None:
    for body, media_type, status, said in REFUSED:
        answer = writer.client.post("/tables/kb/rows", content=body, headers={"Content-Type": media_type})
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert writer.client.get("/tables/kb").json()["version"] == 1


def test_a_key_counts_once(writer: Running, tmp_path: Path) -> None:
    def send(title: str, key: str = "one") -> Any:
        return writer.client.post(
            "/tables/kb/rows", json=[{"title": title}], headers={"Idempotency-Key": key}
        )

    assert send("a").status_code == 201
    again = send("a")
    assert (again.status_code, again.json()) == (200, {"version": 2, "rows": 1, "repeated": True})
    assert send("b").status_code == 422
    assert send("b", "two").json()["version"] == 3
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send("c", "three"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert {answer.json()["version"] for answer in answers} == {4}
    with am.open(tmp_path / "kb.flac") as table:
        assert table.to_arrow()["title"].to_pylist() == ["a", "b", "c"]


def test_a_key_counts_once_for_another_server_too(tmp_path: Path) -> None:
    Table.create(tmp_path / "kb.flac", ["a TEXT"]).close()
    tokens = str(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {add_token(tokens, 'w', {'kb': ['write']})}", "Idempotency-Key": "k"}
    statuses = []
    for _ in range(2):
        with serving(tmp_path / "kb.flac", tokens=tokens, writable=True) as server:
            statuses.append(
                server.client.post("/tables/kb/rows", json=[{"a": "x"}], headers=headers).status_code
            )
    assert statuses == [201, 200]
    with am.open(tmp_path / "kb.flac") as table:
        assert len(table) == 1
        assert not (tmp_path / "kb.flac-wal").exists()


def test_many_writers_at_once(writer: Running) -> None:
    def send(number: int) -> int:
        return writer.client.post("/tables/kb/rows", json=[{"year": number}]).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(40))) == {201}
    rows = writer.client.get("/tables/kb/rows", params={"columns": "year"}).json()["rows"]
    assert sorted(row["year"] for row in rows) == list(range(40))


def test_a_source_is_brought_up_to_date(writer: Running) -> None:
    def put(text: str, media_type: str = "text/markdown", **more: str) -> Any:
        return writer.client.put(
            "/tables/docs/sources",
            params={"source": "guide.md", **more},
            content=text.encode(),
            headers={"Content-Type": media_type},
        )

    first = put("# Title\n\nOne paragraph.")
    assert first.status_code == 200, first.text
    assert first.json() == {
        "version": 2, "source": "guide.md", "outcome": "new", "rows_added": 1, "rows_removed": 0,
    }  # fmt: skip
    assert put("# Title\n\nOne paragraph.").json()["outcome"] == "unchanged"
    changed = put("# Title\n\nAnother one.").json()
    assert (changed["outcome"], changed["version"], changed["rows_removed"]) == ("changed", 3, 1)
    rows = writer.client.get("/tables/docs/rows", params={"columns": "source,title,body"}).json()["rows"]
    assert rows == [{"source": "guide.md", "title": "Title", "body": "Another one."}]
    assert put("x", "image/png").status_code == 415
    assert put("x", source="a\nb").status_code == 400
    assert put("x", source="").status_code == 400
    answer = writer.client.put("/tables/kb/sources", params={"source": "a"}, content=b"x")
    assert (answer.status_code, "no column source" in answer.json()["detail"]) == (400, True)
