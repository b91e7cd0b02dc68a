"""The change feed, search while typing and chunks of rows: over a WebSocket, and as events."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

import audiomem_sql as am
from audiomem_sql.scan import fetch
from audiomem_sql.serve import live, version_events
from audiomem_sql.serve.live_schemas import SearchMessage
from audiomem_sql.serve.live_session import Search
from audiomem_sql.serve.settings import Limits
from audiomem_sql.serve.tokens import add_token, remove_token
from audiomem_sql.serve.version_events import Wanted, events_of
from audiomem_sql.serve.work import Job
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.versions import row_changes

from .conftest import BIG, Running, serving

EVENTS = {"Accept": "text/event-stream"}


@contextlib.contextmanager
def socket_of(server: Running, table: str = "kb", **options: Any) -> Iterator[ClientConnection]:
    """A WebSocket, once the server has said what it is of."""
    address = f"{server.address.replace('http', 'ws')}/tables/{table}/live"
    with connect(address, proxy=None, compression=None, **options) as socket:
        yield socket


def say(socket: ClientConnection, **message: Any) -> None:
    socket.send(json.dumps(message))


def hear(socket: ClientConnection, seconds: float = 20) -> Any:
    return json.loads(socket.recv(timeout=seconds))


def follow(socket: ClientConnection, **asked: Any) -> int:
    """Follow the table; the version behind which the feed begins."""
    assert hear(socket)["type"] == "ready"
    say(socket, type="changes", id="c", **asked)
    begun = hear(socket)
    assert begun["type"] == "following", begun
    return int(begun["after"])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A table of three versions: created, one row, another row."""
    with Table.create(tmp_path / "kb.flac", ["id INTEGER PRIMARY KEY", "title TEXT"]) as table:
        table.append([{"title": "one"}])
        table.append([{"title": "two"}], message="second")
    return tmp_path / "kb.flac"


def changed(event: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(each["change"], each["rowid"], each["row"].get("title")) for each in event["changes"]]


def test_each_version_comes_once_whoever_reconnects(small: Path) -> None:
    done = threading.Event()

    def write() -> None:
        with Table(small) as table:
            for number in range(10):
                table.append([{"title": f"row {number}"}])
        done.set()

    seen, numbers = 1, []
    with serving(small) as server:
        writer = threading.Thread(target=write)
        writer.start()
        while len(numbers) < 12:
            with socket_of(server) as socket:
                assert follow(socket, after=seen, rows=True) == seen
                for _ in range(min(3, 12 - len(numbers))):
                    event = hear(socket)
                    numbers.append(event["version"])
                    assert [kind for kind, _, _ in changed(event)] == ["insert"]
                    seen = event["version"]
        writer.join()
    assert done.is_set()
    assert numbers == list(range(2, 14))


def test_what_changed(small: Path) -> None:
    with serving(small) as server, socket_of(server) as socket:
        assert follow(socket, rows=True, where="title <> ?", parameters=["two"]) == 3
        with contextlib.closing(am.connect(str(small))) as connection:
            connection.execute("UPDATE kb SET title = 'new' WHERE id = 2")
            connection.execute("DELETE FROM kb WHERE id < 3")
        update, removal = hear(socket), hear(socket)
        assert (update["version"], update["inserted"], update["deleted"]) == (4, 1, 1)
        # the old image does not meet the condition, the new one does
        assert changed(update) == [("update_postimage", 2, "new")]
        assert changed(removal) == [("delete", 1, "one"), ("delete", 2, "new")]
        got = server.client.get("/tables/kb/changes?after=1&rows=true&columns=title&limit=2").json()
        assert [changed(each)[0] for each in got["versions"]] == [("insert", 1, "one"), ("insert", 2, "two")]
        assert (got["version"], got["next"], got["versions"][1]["message"]) == (3, 3, "second")
        assert "id" not in got["versions"][0]["changes"][0]["row"]
        got = server.client.get("/tables/kb/changes?after=3").json()
        assert [each["version"] for each in got["versions"]] == [4, 5]
        assert got["next"] is None
        assert "changes" not in got["versions"][0]


def test_a_large_version_has_counts_alone(small: Path) -> None:
    with Table(small) as table:
        table.append([{"title": "x"}] * 10_001)
        table.append([{"title": "y"}])
    with serving(small) as server:
        first = server.client.get("/tables/kb/changes?after=2&rows=true").json()
        assert [each["version"] for each in first["versions"]] == [3]  # no more rows at once
        assert first["next"] == 3
        assert listed(server) == [([2, 3], 1), ([4], None), ([5], 1)]
        both = server.client.get("/tables/kb/changes?after=3&rows=true&limit=5").json()
        assert (both["versions"][0]["inserted"], both["versions"][0]["changes"]) == (10_001, None)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A table of three versions with rows of 100 KB, and a fourth of small ones."""
    with Table.create(tmp_path / "kb.flac", ["id INTEGER PRIMARY KEY", "title TEXT", "body TEXT"]) as table:
        for count in (3, 2, 5):
            table.append([{"title": f"row {row}", "body": f"{row}" * 100_000} for row in range(count)])
        table.append([{"title": "small", "body": ""}])
    return tmp_path / "kb.flac"


def listed(server: Running, **asked: Any) -> list[tuple[list[int], Any]]:
    """(versions, the number of the changes of the last, None for null) of each answer, by ``next``."""
    answers, after = [], 1
    while after is not None:
        got = server.client.get("/tables/kb/changes", params={"rows": True, **asked, "after": after}).json()
        changes = got["versions"][-1]["changes"]
        answers.append(
            ([each["version"] for each in got["versions"]], None if changes is None else len(changes))
        )
        after = got["next"]
    return answers


def test_wide_rows_come_in_several_answers(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version_events, "MOST_BYTES", 410_000)
    monkeypatch.setattr(live, "MOST_BYTES", 410_000)
    with serving(wide) as server:
        # 300 KB; 200 KB; 500 KB are too many; the last is in the answer of those that have no rows
        assert listed(server) == [([2], 3), ([3], 2), ([4, 5], 1)]
        whole = server.client.get("/tables/kb/changes?after=3&rows=true").json()["versions"]
        assert [each["changes"] is None for each in whole] == [True, False]
        assert listed(server, columns="title") == [([2, 3, 4, 5], 1)]  # what is not asked for does not count
        assert listed(server, where="id < 6") == [([2], 3), ([3, 4, 5], 0)]
        with socket_of(server) as socket:
            follow(socket, after=1, rows=True)
            heard = [hear(socket) for _ in range(4)]
        assert [(each["version"], each["changes"] and len(each["changes"])) for each in heard] == [
            (2, 3), (3, 2), (4, None), (5, 1),
        ]  # fmt: skip
        assert heard[1]["changes"][1]["row"] == {"id": 5, "title": "row 1", "body": "1" * 100_000}


def test_events_keep_to_the_bytes_of_an_answer(wide: Path) -> None:
    with serving(wide, limits=Limits(response_bytes=310_000)) as server:
        assert listed(server) == [([2], 3), ([3], 2), ([4, 5], 1)]
    with serving(wide, limits=Limits(response_bytes=100)) as server:
        assert server.client.get("/tables/kb/changes?after=1&rows=true").status_code == 413


def test_only_what_is_asked_for_is_read(wide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, list[int]]] = []

    def fetch_rows(readable: Any, rowids: Any, columns: Any) -> Any:
        read.append((len(rowids), list(columns)))
        return fetch.fetch_rows(readable, rowids, columns)

    monkeypatch.setattr(version_events, "fetch_rows", fetch_rows)
    monkeypatch.setattr(row_changes, "_values", lambda segment, rows: 1 / 0)
    with Table(wide) as table:
        table.flush()
    with TableReader(wide) as reader:
        told = events_of(reader, 1, Wanted(True, ["id"], "title = 'row 1'"), 100, 1 << 20)
        assert [len(json.loads(each.content)["changes"]) for each in told.events] == [1, 1, 1, 0]
        assert {tuple(columns) for _, columns in read} == {(), (0,), (1,)}
        assert sum(rows for rows, columns in read if columns == [0]) == 3  # of those that pass
        read.clear()
        assert len(events_of(reader, 1, Wanted(True), 100, 450_000).events) == 1
        assert sum(rows for rows, columns in read if columns) <= 5  # no more than tells that it is too much
        for name, value in (("_GROWTH", 2), ("_PIECE_BYTES", 250_000)):
            monkeypatch.setattr(version_events, name, value)
            read.clear()
            events_of(reader, 3, Wanted(True), 1, 1 << 20)
            assert [rows for rows, columns in read if columns] == [1, 2, 2]
            monkeypatch.setattr(version_events, "_GROWTH", 8)


def test_values_are_those_of_json(server: Running) -> None:
    got = server.client.get(
        "/tables/kb/changes", params={"after": 3, "rows": True, "columns": "id,year,score"}
    )
    assert got.json()["versions"][0]["changes"] == [
        {
            "rowid": str(BIG),
            "change": "insert",
            "row": {"id": str(BIG), "year": str(-BIG), "score": "-Infinity"},
        }
    ]


def test_what_is_gone_is_said(small: Path) -> None:
    with Table(small) as table:
        table.tag("here")
        table.append([{"title": "x"}])
        table.vacuum(retain="1")
        table.append([{"title": "three"}])
    with serving(small) as server:
        about = server.client.get("/tables/kb/versions").json()["versions"]
        oldest, newest = about[-1]["version"], about[0]["version"]
        for path in ("rows?version=1", "changes?after=1", "?version=1"):
            refused = server.client.get(f"/tables/kb/{path}" if path[0] != "?" else "/tables/kb?version=1")
            assert refused.status_code == 410, path
            kept = refused.json()["kept"]
            assert (kept["oldest"], kept["newest"]) == (oldest, newest)
            assert f"kept are versions {oldest} to {newest}" in refused.json()["detail"]
        assert server.client.get("/tables/kb/changes?after=1", headers=EVENTS).status_code == 410
        assert server.client.get("/tables/kb/changes?after=99").status_code == 410
        assert server.client.get(f"/tables/kb/changes?after={oldest}").json()["version"] == newest
        with socket_of(server) as socket:
            hear(socket)
            say(socket, type="changes", id="c", after=1)
            said = hear(socket)
            assert (said["id"], said["problem"]["status"]) == ("c", 410)


@pytest.mark.parametrize("asked", ["rows=true&where=nope", "rows=true&columns=nope", "where=id", "after=x"])
def test_what_cannot_be_followed(server: Running, asked: str) -> None:
    assert server.client.get(f"/tables/kb/changes?{asked}").status_code == 400


def test_events(small: Path) -> None:
    with serving(small) as server:
        with server.client.stream("GET", "/tables/kb/changes?after=1", headers=EVENTS) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            lines = answer.iter_lines()
            heard = [line for line, _ in zip(lines, range(9), strict=False)]
            assert [line for line in heard if line.startswith("id:")] == ["id: 2", "id: 3"]
            with Table(small) as table:
                table.append([{"title": "three"}])
            assert next(line for line in lines if line.startswith("id:")) == "id: 4"
            data = next(line for line in lines if line.startswith("data:"))
            assert json.loads(data.removeprefix("data: "))["inserted"] == 1
        resumed = {**EVENTS, "Last-Event-ID": "3"}
        with server.client.stream("GET", "/tables/kb/changes?after=1", headers=resumed) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("id:")) == "id: 4"


def test_the_end_of_a_server_is_not_held_up(small: Path) -> None:
    with serving(small) as server:
        address = f"{server.address}/tables/kb/changes"
        opened = httpx.stream("GET", address, headers=EVENTS, timeout=30)
        answer = opened.__enter__()
        lines = answer.iter_lines()
        next(lines)
        with socket_of(server) as socket:
            follow(socket)
            began = time.monotonic()
            server.stop()
            with pytest.raises(ConnectionClosed):
                hear(socket)
            with contextlib.suppress(httpx.HTTPError):
                assert list(lines) == [""]
            assert time.monotonic() - began < 5
        opened.__exit__(None, None, None)


def test_a_newer_search_ends_the_older(table_path: Path) -> None:
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with serving(table_path, limits=Limits(threads=1)) as server, socket_of(server) as socket:
        hear(socket)
        # the one thread is taken until this client goes
        with httpx.Client(base_url=server.address) as other, contextlib.suppress(httpx.ReadTimeout):
            other.post("/sql", json={"sql": slow}, timeout=0.3)
            raise AssertionError
        blocker = threading.Thread(target=post_for, args=(server, slow, 1.0))
        blocker.start()
        while not server.service.workers.busy:
            time.sleep(0.01)
        for number, query in enumerate(("p", "pa", "pass", "words: dogs")):
            say(socket, type="search", id="s", sequence=number, query=query, k=1, columns=["id"])
        found = hear(socket)
        assert (found["type"], found["sequence"]) == ("found", 3)
        assert len(found["rows"]) == 1
        blocker.join()
        say(socket, type="search", id="s", sequence=4, query="x", where="nope = 1")
        wrong = hear(socket)
        assert (wrong["sequence"], wrong["problem"]["status"]) == (4, 400)
        say(socket, type="search", id="s", sequence=5, query="words: absent")
        assert hear(socket)["rows"] == []


def test_a_search_that_runs_is_interrupted() -> None:
    search, running = Search(), Job(1.0)
    search.job = running
    search.ask(SearchMessage(id="s", query="newer"))
    assert running.is_over()
    assert search.pending is not None


def post_for(server: Running, sql: str, seconds: float) -> None:
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(f"{server.address}/sql", json={"sql": sql}, timeout=seconds)


def test_rows_come_as_they_are_taken(server: Running) -> None:
    with socket_of(server) as socket:
        hear(socket)
        say(socket, type="rows", id="r", columns=["id"], size=90, chunks=1, where="id > ?", parameters=[10])
        first = hear(socket)
        with pytest.raises(TimeoutError):
            hear(socket, 0.3)  # one was asked for
        say(socket, type="more", id="r", chunks=9)
        rest = [hear(socket) for _ in range(3)]
        chunks = [first, *rest]
        assert [each["sequence"] for each in chunks] == [0, 1, 2, 3]
        assert [each["end"] for each in chunks] == [False, False, False, True]
        ids = [row["id"] for each in chunks for row in each["rows"]]
        assert ids == [*range(11, 301), str(BIG)]
        assert rest[-1]["next"] is None
        say(socket, type="rows", id="r", columns=["id"], size=90, after=first["next"], limit=100)
        again = [hear(socket), hear(socket)]
        assert [row["id"] for each in again for row in each["rows"]] == list(range(101, 201))
        assert (again[1]["end"], again[1]["next"] is None) == (True, False)
        say(socket, type="rows", id="r", columns=["id"], where="id < 0")
        none = hear(socket)
        assert (none["rows"], none["end"]) == ([], True)
        say(socket, type="rows", id="r", columns=["id"], size=1, chunks=1)
        hear(socket)
        say(socket, type="rows", id="r")
        assert hear(socket)["problem"]["status"] == 409
        say(socket, type="cancel", id="r")
        time.sleep(0.05)
        say(socket, type="rows", id="r", columns=["id"], limit=1, version="first")
        assert hear(socket)["version"] == 2


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "1", '{"type": "nope"}', '{"type": "rows"}', '{"type": "changes", "id": 1}', "[" * 9999,
        '{"type": "search", "id": "s", "k": 0}', '{"type": "rows", "id": "r", "size": 0}',
        '{"type": "rows", "id": "r", "after": "x"}', '{"type": "changes", "id": "c", "after": -1}',
        '{"type": "rows", "id": "r", "parameters": [{}], "where": "id = ?"}',
    ],
)  # fmt: skip
def test_messages_that_are_none(server: Running, text: str) -> None:
    with socket_of(server) as socket:
        hear(socket)
        socket.send(text)
        assert hear(socket)["problem"]["status"] == 400
        say(socket, type="rows", id="r2", columns=["id"], limit=1)
        assert hear(socket)["rows"] == [{"id": 1}]  # it goes on


def test_bounds_of_a_connection(server: Running) -> None:
    with socket_of(server) as socket:
        hear(socket)
        for number in range(9):
            say(socket, type="changes", id=str(number))
        said = [hear(socket) for _ in range(9)]
        assert sum(each["type"] == "following" for each in said) == 8
        assert next(each["problem"]["status"] for each in said if each["type"] == "error") == 429
        socket.send("x" * ((1 << 20) + 1))
        with pytest.raises(ConnectionClosed) as closed:
            hear(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
    with socket_of(server) as socket:
        hear(socket)
        socket.send(b"bytes")
        with pytest.raises(ConnectionClosed):
            hear(socket)


def test_a_slow_client_is_left(small: Path) -> None:
    with Table(small) as table:
        table.append([{"title": "x" * 1000}] * 9000)
    with serving(small, limits=Limits(write_seconds=0.3)) as server:
        with socket_of(server, max_queue=1) as socket:
            hear(socket)
            for number in range(6):
                say(socket, type="rows", id=str(number), size=10_000, chunks=64)
            time.sleep(1.5)
            with pytest.raises(ConnectionClosed):
                heard_all(socket)
        assert server.client.get("/health").status_code == 200


def heard_all(socket: ClientConnection) -> None:
    for _ in range(60):
        hear(socket)


def test_who_may_follow(table_path: Path, keyed_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    token = add_token(path, "reader", {"kb": ["read"]})
    with serving(table_path, keyed_path, tokens=path, limits=Limits(header_seconds=1)) as server:
        bearer = {"Authorization": f"Bearer {token}"}
        with socket_of(server, additional_headers=bearer) as socket:
            assert hear(socket)["type"] == "ready"
        with socket_of(server, subprotocols=["audiomem", f"audiomem.token.{token}"]) as socket:
            assert socket.subprotocol == "audiomem"
            assert follow(socket) == 4
            with socket_of(server) as other:
                other.send(json.dumps({"token": token}))
                assert hear(other)["type"] == "ready"
                time.sleep(1.1)  # a connection that is open is not impatient
                remove_token(path, "reader")
                say(other, type="cancel", id="none")
                assert hear(other)["problem"]["status"] == 401
                with pytest.raises(ConnectionClosed) as closed:
                    hear(other)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 3000
        token = add_token(path, "reader", {"kb": ["read"]})
        for headers, table, status in (
            ({"Authorization": "Bearer am_wrong"}, "kb", 401),
            ({"Authorization": f"Bearer {token}"}, "keyed", 404),
            ({"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}, "kb", 403),
        ):
            with (
                pytest.raises(InvalidStatus) as refused,
                socket_of(server, table, additional_headers=headers),
            ):
                pass
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body or b"{}")["status"] == status
        for first, code, status in (
            ('{"token": "am_wrong"}', 3000, 401),
            ('{"token": 1}', 3000, 401),
            (None, 3008, 408),
        ):
            with socket_of(server) as socket:
                if first:
                    socket.send(first)
                assert hear(socket)["problem"]["status"] == status
                with pytest.raises(ConnectionClosed) as closed:
                    hear(socket)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == code
        with socket_of(server, "keyed") as socket:
            socket.send(json.dumps({"token": token}))
            assert hear(socket)["problem"]["status"] == 404
        assert server.client.get(f"/tables/kb/changes?token={token}").status_code == 200
        assert token not in "".join(server.log)
        assert json.loads(server.log[0]) | {"ms": 0, "bytes": 0, "time": ""} == {
            "time": "", "method": "WEBSOCKET", "route": "/tables/{table}/live", "table": "kb", "status": 101,
            "bytes": 0, "ms": 0, "client": "127.0.0.1", "token": "reader",
        }  # fmt: skip


def test_pages_and_guesses(table_path: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "tokens.json")
    add_token(path, "reader", {"kb": ["read"]})
    with serving(table_path, origins=("https://page.example",)) as server:
        own = server.address
        for origin in ("https://page.example", own):
            with socket_of(server, additional_headers={"Origin": origin}) as socket:
                assert hear(socket)["type"] == "ready"
        for origin in ("null", "https://page.example.evil", own.replace("127.0.0.1", "localhost")):
            with pytest.raises(InvalidStatus), socket_of(server, additional_headers={"Origin": origin}):
                pass
        with pytest.raises(InvalidStatus), socket_of(server, additional_headers={"Host": "evil.example"}):
            pass
    with serving(table_path, tokens=path) as server:
        statuses = []
        for number in range(22):
            with socket_of(server) as socket:
                socket.send(json.dumps({"token": f"am_{number}"}))
                statuses.append(hear(socket)["problem"]["status"])
        assert statuses[:20] == [401] * 20
        assert 429 in statuses


def test_rates_and_numbers(table_path: Path) -> None:
    with serving(table_path, limits=Limits(rate=0.01, burst=3)) as server, socket_of(server) as socket:
        hear(socket)
        for number in range(3):
            say(socket, type="rows", id=str(number), columns=["id"], limit=1)
        said = [hear(socket) for _ in range(3)]
        assert [each["problem"]["status"] for each in said if each["type"] == "error"] == [429]
    with serving(table_path, limits=Limits(connections=4)) as server:
        with socket_of(server), socket_of(server):
            with pytest.raises(InvalidStatus) as refused, socket_of(server):
                pass
            assert refused.value.response.status_code == 503
            assert server.client.get("/health").status_code == 200
        with socket_of(server) as socket:
            assert hear(socket)["type"] == "ready"
