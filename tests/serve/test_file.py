"""The file itself: ranges and conditions, and our own reader of URLs on it, also during writes."""

from __future__ import annotations

import email
import os
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError
from audiomem_sql.serve.ranges import UnsatisfiableError, is_listed, ranges_of
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table

from .conftest import Running, serving

FILE = "/tables/kb/file"


@pytest.fixture
def content(table_path: Path) -> bytes:
    return table_path.read_bytes()


def test_the_whole_file(server: Running, content: bytes) -> None:
    for path in (FILE, f"{FILE}/kb.flac"):
        answer = server.client.get(path)
        assert (answer.status_code, answer.content) == (200, content)
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-type"] == "audio/flac"
        head = server.client.head(path, headers={"Range": "bytes=0-3"})
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(content))
        assert head.headers["etag"] == answer.headers["etag"]
        assert answer.headers["etag"].startswith('"')


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=10-", 10, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999999", 5, None),
        ("bytes=-99999999999", 0, None),
        ("BYTES = 3-4", 3, 5),
        ("bytes=0-9,5-14", 0, 15),
        ("bytes=5-9, 0-4", 0, 10),
        ("bytes=3-4,999999999-", 3, 5),
    ],
)
def test_one_range(server: Running, content: bytes, header: str, start: int, stop: int | None) -> None:
    answer = server.client.get(FILE, headers={"Range": header})
    part = content[start:stop]
    assert (answer.status_code, answer.content) == (206, part)
    first = len(content) + start if start < 0 else start
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(content)}"
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize(
    "header", ["bytes=", "bytes=a-b", "bytes=5-4", "bytes=--5", "rows=0-1", "0-1", "bytes=-"]
)
def test_what_is_no_range_is_passed_over(server: Running, content: bytes, header: str) -> None:
    answer = server.client.get(FILE, headers={"Range": header})
    assert (answer.status_code, answer.content) == (200, content)


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0", "bytes=" + ",".join(["0-0"] * 33)])
def test_ranges_that_cannot_be_had(server: Running, content: bytes, header: str) -> None:
    answer = server.client.get(FILE, headers={"Range": header})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(content)}"


def test_several_ranges(server: Running, content: bytes) -> None:
    answer = server.client.get(FILE, headers={"Range": "bytes=100-199, 0-9, 5-14, -10"})
    assert answer.status_code == 206
    assert answer.headers["content-length"] == str(len(answer.content))
    message = email.message_from_bytes(
        b"Content-Type: " + answer.headers["content-type"].encode() + b"\r\n\r\n" + answer.content
    )
    size = len(content)
    parts: list[Any] = message.get_payload()  # type: ignore[assignment]
    assert [(part["Content-Range"], part.get_payload(decode=True)) for part in parts] == [
        (f"bytes 0-14/{size}", content[:15]),
        (f"bytes 100-199/{size}", content[100:200]),
        (f"bytes {size - 10}-{size - 1}/{size}", content[-10:]),
    ]


def test_conditions(server: Running, content: bytes) -> None:
    etag = server.client.head(FILE).headers["etag"]
    ranged = {"Range": "bytes=0-3"}
    for headers, status in (
        ({"If-Match": etag}, 200),
        ({"If-Match": f'"other", {etag}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": f"W/{etag}"}, 412),
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f"W/{etag}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": '"other"', "If-None-Match": etag}, 412),
        (ranged | {"If-Range": etag}, 206),
        (ranged | {"If-Range": '"other"'}, 200),
        (ranged | {"If-Range": f"W/{etag}"}, 200),
        (ranged | {"If-Range": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
        (ranged | {"If-Match": etag}, 206),
        (ranged | {"If-None-Match": etag}, 304),
    ):
        answer = server.client.get(FILE, headers=headers)
        assert answer.status_code == status, headers
        if status == 304:
            assert (answer.headers["etag"], answer.content) == (etag, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/tables/kb/file/..%2f..%2fetc%2fpasswd",
        "/tables/kb/file/%2e%2e/kb.flac",
        "/tables/kb/file/kb.flac-wal",
        "/tables/..%2fkb/file",
        "/tables/kb%00/file",
        "/tables/%2fetc%2fpasswd/file",
        "/tables/kb/file//etc/passwd",
        "/../../etc/passwd",
    ],
)
def test_paths_lead_to_no_other_file(server: Running, path: str) -> None:
    host, port = server.address.removeprefix("http://").split(":")
    with httpx.Client() as client:
        url = httpx.URL(scheme="http", host=host, port=int(port), raw_path=path.encode())
        answer = client.send(client.build_request("GET", url))
    assert answer.status_code in (400, 404)
    assert b"root:" not in answer.content


def test_a_table_of_several_files_says_what_to_do(tmp_path: Path) -> None:
    am.create(tmp_path / "many.shards", ["id INTEGER PRIMARY KEY"], shards=2).close()
    with serving(tmp_path / "many.shards") as server:
        answer = server.client.get("/tables/many/file")
        assert answer.status_code == 409
        assert "audiomem backup many.shards many.flac" in answer.json()["detail"]
        assert server.client.get("/tables/many/rows").json()["rows"] == []


def test_our_reader_opens_it(server: Running, table_path: Path) -> None:
    url = f"{server.address}{FILE}/kb.flac"
    with am.open(url) as there, am.open(table_path) as here:
        assert there.name == "kb"
        assert there.to_arrow().equals(here.to_arrow())
        found = there.search("words: dogs", k=3, columns=["id"])
        assert found.equals(here.search("words: dogs", k=3, columns=["id"]))
    connection = am.connect(url)
    assert connection.execute("SELECT count(*) FROM kb WHERE version = 2").fetchone() == (300,)
    connection.close()


def test_a_reader_keeps_its_state_or_says_that_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEAD", "4096")
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    path = tmp_path / "kb.flac"
    with Table.create(path, ["data BLOB"]) as table:
        table.append([{"data": os.urandom(1000)} for _ in range(300)])
    with serving(path) as server:
        url = f"{server.address}{FILE}/kb.flac"
        first = server.client.head(FILE).headers["etag"]
        there = am.open(url)
        with Table(path) as table:
            table.append([{"data": b"new"}])
            # the log is beside the file now, which alone is not the table: a copy is served
            assert server.client.head(FILE).headers["etag"] != first
            assert server.client.get(FILE, headers={"If-Match": first}).status_code == 412
            with am.open(url) as newer:
                assert len(newer) == 301
        with pytest.raises(AudioMemError, match="another snapshot"):
            there.to_arrow()
        assert there.refresh()
        assert len(there.to_arrow()) == 301
        there.close()


def test_readers_while_the_table_is_written_to(tmp_path: Path) -> None:
    """Whoever opens the file has a version that there was, with all of its rows, or an error of ours."""
    path = tmp_path / "kb.flac"
    with Table.create(path, ["n INTEGER"]) as table:
        table.append([{"n": number} for number in range(500)])
    tokens = tmp_path / "tokens.json"
    token = add_token(str(tokens), "writer", {"*": ["read", "file", "write"]})
    with serving(path, tokens=str(tokens), writable=True) as server:
        server.client.headers["Authorization"] = f"Bearer {token}"
        stop = threading.Event()

        def write() -> None:
            with httpx.Client(base_url=server.address, headers=server.client.headers) as client:
                while not stop.is_set():
                    assert client.post("/tables/kb/rows", json=[{"n": 1}] * 10).status_code == 201
                    time.sleep(0.01)

        thread = threading.Thread(target=write)
        thread.start()
        opened, refused = 0, []
        try:
            for _ in range(12):
                try:
                    with am.open(f"{server.address}{FILE}/kb.flac?token={token}") as there:
                        rows, version = len(there.to_arrow()), there.version
                except AudioMemError as error:
                    refused.append(str(error))
                    continue
                assert rows == 500 + 10 * (version - 2)
                opened += 1
        finally:
            stop.set()
            thread.join()
        assert opened
        assert [each for each in refused if "another snapshot" not in each and "503" not in each] == []
        assert token not in "".join(server.log)
    with am.open(path) as table:
        assert len(table) == 500 + 10 * (table.version - 2)


def test_parsing_ranges() -> None:
    assert ranges_of(None, 10) == []
    assert ranges_of("bytes=0-1,3-4,5-6", 10) == [(0, 2), (3, 7)]
    with pytest.raises(UnsatisfiableError):
        ranges_of("bytes=0-", 0)
    assert is_listed('W/"a", "b"', '"b"', weak=False)
    assert not is_listed('W/"b"', '"b"', weak=False)
