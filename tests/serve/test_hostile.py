"""Clients that are slow, large or wrong: refused, logged, bounded; others are served meanwhile."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.tokens import add_token

from .conftest import Running, serving

IMPATIENT = Limits(
    header_seconds=0.3,
    read_seconds=0.3,
    write_seconds=0.3,
    response_seconds=0.6,
    body_bytes=200_000,
    threads=2,
)


@pytest.fixture(scope="module")
def impatient(table_path: Path) -> Iterator[Running]:
    with serving(table_path, limits=IMPATIENT) as running:
        yield running


@contextlib.contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        yield client


def answer_of(client: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65536):
            got += part
    return got


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            faulthandler.dump_traceback()
            pytest.fail("what is waited for does not come; the threads are in the captured output")
        time.sleep(0.01)


def test_headers_that_never_end(impatient: Running) -> None:
    with connected(impatient) as silent, connected(impatient) as slow:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012  # whichever byte comes too late
            for _ in range(100):
                slow.sendall(b"X: y\r\n")
                time.sleep(0.05)
        assert answer_of(silent).startswith(b"HTTP/1.1 408")
    assert impatient.client.get("/health").status_code == 200


def test_a_second_request_whose_headers_never_end(impatient: Running) -> None:
    with connected(impatient) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hea")
        got = answer_of(client)
        assert got.startswith(b"HTTP/1.1 200")


def test_a_body_that_never_ends(impatient: Running) -> None:
    head = b"POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    head += b"Content-Length: 100\r\n\r\n{"
    with connected(impatient) as client:
        client.sendall(head)
        assert answer_of(client) == b""
    with connected(impatient) as client:  # a byte now and then does not help for ever
        began = time.monotonic()
        client.sendall(head)
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                time.sleep(0.1)
                client.sendall(b" ")
        assert answer_of(client) == b""
        assert time.monotonic() - began < 5


def test_an_answer_that_nobody_takes(impatient: Running) -> None:
    body = json.dumps({"sql": "SELECT a.body FROM kb a, kb b, kb c"}).encode()
    head = f"POST /sql?format=csv HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    with connected(impatient) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        wait_for(lambda: impatient.service.sql._lent)
        wait_for(lambda: not impatient.service.sql._lent)
    wait_for(lambda: any('"aborted": true' in line and '"status": 200' in line for line in impatient.log))


def test_an_answer_that_takes_too_long(impatient: Running) -> None:
    with (
        pytest.raises(httpx.RemoteProtocolError),
        impatient.client.stream(
            "POST", "/sql?format=csv", json={"sql": "SELECT a.body FROM kb a, kb b, kb c"}
        ) as answer,
    ):
        for _ in answer.iter_bytes():
            pass
    wait_for(lambda: not impatient.service.sql._lent)


def test_large_bodies(impatient: Running) -> None:
    large = impatient.client.post(
        "/sql", content=b" " * 300_000, headers={"Content-Type": "application/json"}
    )
    assert (large.status_code, large.headers["connection"]) == (413, "close")

    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    chunked = impatient.client.post("/sql", content=parts(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413
    assert chunked.headers["content-type"] == "application/problem+json"


def test_bodies_of_those_who_may_not_write_are_small(table_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "reader", {"kb": ["read"]})
    with serving(table_path, tokens=path) as server:
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {token}"}, 413)):
            answer = server.client.post("/sql", content=b" " * (2 << 20), headers=headers)
            assert answer.status_code == status


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /tables HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /tables HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /tables HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"GET /tables HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /sql HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_request(impatient: Running, request_bytes: bytes) -> None:
    with connected(impatient) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request_bytes)
        got = answer_of(client)
        assert not got or got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 408", b"HTTP/1.1 421", b"HTTP/1.1 431"))
    assert impatient.client.get("/health").status_code == 200


def test_too_many_at_once(table_path: Path) -> None:
    limits = Limits(threads=1, waiting=1, statement_seconds=5.0)
    endless = {"sql": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"}
    with serving(table_path, limits=limits) as server:
        sockets = []
        body = json.dumps(endless).encode()
        head = f"POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
        for _ in range(2):
            host, port = server.address.removeprefix("http://").split(":")
            sockets.append(socket.create_connection((host, int(port))))
            sockets[-1].sendall(head + b"Content-Type: application/json\r\n\r\n" + body)
        wait_for(lambda: server.service.workers.busy == 2)
        refused = server.client.get("/tables")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert server.client.get("/health").status_code == 200
        for each in sockets:
            each.close()
        wait_for(lambda: server.service.workers.busy == 0)
        assert server.client.get("/tables").status_code == 200


def test_requests_wait_for_a_thread_for_a_time(table_path: Path) -> None:
    limits = Limits(threads=1, waiting=10, waiting_seconds=0.2, statement_seconds=30.0)
    with serving(table_path, limits=limits) as server, connected(server) as client:
        client.sendall(endless_statement())
        wait_for(lambda: server.service.workers.busy == 1)
        refused = server.client.get("/tables/kb/rows/3")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        with connected(server) as other:  # which goes while it waits
            other.sendall(b"GET /tables/kb/rows HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(lambda: server.service.workers.busy == 2)
        wait_for(lambda: server.service.workers.busy == 1)
        client.close()
        wait_for(lambda: server.service.workers.busy == 0)
        assert server.client.get("/tables/kb/rows/3").status_code == 200


def test_an_answer_that_has_begun_is_not_refused(table_path: Path) -> None:
    with serving(table_path, limits=Limits(threads=1, waiting=0)) as server:
        with server.client.stream("GET", "/tables/kb/file") as whole:
            assert whole.status_code == 200
        body = {"sql": "SELECT hex(zeroblob(300000)) FROM kb LIMIT 40"}
        with server.client.stream("POST", "/sql?format=csv", json=body) as answer:
            parts = answer.iter_bytes()
            count = len(next(parts))
            rests: list[bool] = []

            def rests_for_a_while() -> bool:  # the rest waits until it is read: no thread is taken by it
                rests.append(not server.service.workers.busy)
                return len(rests) > 20 and all(rests[-20:])

            wait_for(rests_for_a_while)
            with connected(server) as client:
                client.sendall(endless_statement())
                wait_for(lambda: server.service.workers.busy)
                client.close()
                count += sum(map(len, parts))
        assert count > 40 * 600_000
    assert server.service.sql._lent == 0


def endless_statement() -> bytes:
    """A request that takes a thread until its client goes."""
    sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c"
    body = json.dumps({"sql": sql}).encode()
    head = f"POST /sql HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n".encode()
    return head + b"Content-Type: application/json\r\n\r\n" + body


def healthy(client: socket.socket) -> bool:
    """Whether a connection is answered."""
    client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while not got.endswith(b'"ok"}'):
        part = client.recv(1000)
        if not part:
            return False
        got += part
    return got.startswith(b"HTTP/1.1 200")


def test_too_many_connections(table_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving(table_path, limits=Limits(connections=3)) as server, contextlib.ExitStack() as stack:
        ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        kept = [stack.enter_context(connected(server)) for _ in range(3)]
        for each in kept:
            assert healthy(each)
        with connected(server) as another:
            another.sendall(ask)
            got = answer_of(another)
            assert got.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in got
        assert healthy(kept[0])  # those that are there are answered meanwhile
        assert "more than 3 connections" in caplog.text
        kept.pop().close()
        wait_for(lambda: server.client.get("/health").status_code == 200)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiomem_sql.table.table import Table

    Table.create(tmp_path / "kb.flac", ["a TEXT"]).close()
    tokens = str(tmp_path / "tokens.json")
    headers = {"Authorization": f"Bearer {add_token(tokens, 'writer', {'kb': ['read', 'write']})}"}
    with serving(tmp_path / "kb.flac", tokens=tokens, writable=True) as server:
        assert server.client.post("/tables/kb/rows", json=[{"a": "x"}], headers=headers).status_code == 201
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)  # it would be cut short
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            full = server.client.post("/tables/kb/rows", json=[{"a": "y" * 5000}], headers=headers)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert (full.status_code, full.headers["retry-after"]) == (507, "1")
        assert server.client.post("/tables/kb/rows", json=[{"a": "z"}], headers=headers).status_code == 201
        found = server.client.get("/tables/kb/rows?columns=a", headers=headers).json()["rows"]
        assert [row["a"] for row in found] == ["x", "z"]


def test_errors_of_the_server_name_no_paths(tmp_path: Path) -> None:
    from audiomem_sql.table.table import Table

    path = tmp_path / "secret-folder" / "kb.flac"
    path.parent.mkdir()
    with Table.create(path, ["a TEXT"], {"protection": "none"}) as table:
        table.append([{"a": os.urandom(50).hex()} for number in range(2000)])
    with serving(path) as server:
        content = bytearray(path.read_bytes())
        for place in range(8000, len(content) - 8000, 500):
            content[place] ^= 0x55
        path.write_bytes(content)
        seen = set()
        for answer in (
            server.client.get("/tables/kb/rows?limit=5000"),
            server.client.post("/sql", json={"sql": "SELECT max(a), count(*) FROM kb"}),
            server.client.get("/tables/kb/rows/77"),
            server.client.get("/ready"),
        ):
            seen.add(answer.status_code)
            assert "secret-folder" not in answer.text
            assert "secret-folder" not in str(answer.headers)
        assert seen & {400, 500, 503}
        path.unlink()
        assert server.client.get("/tables/kb/file").status_code == 500
        assert "secret-folder" not in server.client.get("/tables/kb/file").text
        assert server.client.get("/ready").status_code == 503
