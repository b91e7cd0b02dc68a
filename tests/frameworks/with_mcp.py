"""``audiomem mcp``, asked by the client library of the protocol: a process on stdio, and HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

import audiomem_sql as am
from audiomem_sql.serve.tokens import add_token

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "audiomem_sql", "mcp"]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Notes of two sources, as ingested ones are."""
    columns = [
        *("id INTEGER PRIMARY KEY", "source TEXT", "place TEXT", "seq INTEGER", "title TEXT"),
        *("body TEXT INDEXED", "created_at TIMESTAMP", "vec FLOAT[2]", "data BLOB"),
    ]
    with am.create(tmp_path / "notes.flac", columns) as table:
        rows = [
            {
                "source": f"{name}.md",
                "place": f"line={n}",
                "seq": n,
                "body": f"part {n} of {name} " + "x " * 900,
            }
            for n in range(4)
            for name in ("a", "b")
        ]
        table.append([{**row, "vec": [1.0, 2.0], "data": b"1234"} for row in rows])
        table.tag("first")
        table.append([{"source": "c.md", "seq": 0, "title": "last", "body": "something new"}])
    return tmp_path / "notes.flac"


@asynccontextmanager
async def assistant(*arguments: str | Path) -> AsyncIterator[Client]:
    """A client of a process on stdio."""
    environment = {"PYTHONPATH": str(ROOT), "AUDIOMEM_MODELS": "hashing"}
    parameters = StdioServerParameters(
        command=COMMAND[0], args=[*COMMAND[1:], *map(str, arguments)], env=os.environ | environment
    )
    async with Client(stdio_client(parameters)) as client:
        yield client


async def asked(client: Client, tool: str, **arguments: Any) -> Any:
    """What a tool answers."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    structured = result.structured_content
    assert structured is not None
    return structured["result"] if set(structured) == {"result"} else structured


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """What a tool says is wrong."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)  # type: ignore[union-attr]


async def reads(client: Client) -> None:
    (about,) = await asked(client, "tables")
    assert (about["name"], about["rows"], about["version"], about["tags"]) == (
        "notes",
        9,
        4,
        {"first": 2},
    )
    found = await asked(client, "search", query="part 2 of b", k=2, characters=30)
    best = found["rows"][0]["values"]
    assert (best["source"], best["place"], best["body"][:13]) == ("b.md", "line=2", "part 2 of b x")
    assert len(best["body"]) == 31
    assert "vec" not in best
    assert best["data"] == "4 bytes"
    only = await asked(client, "search", query="part", where="source = 'a.md' AND seq > 1")
    assert sorted(each["values"]["seq"] for each in only["rows"]) == [2, 3]
    row = await asked(client, "read", key=found["rows"][0]["key"], before=1, after=5)
    assert len(row["row"]["body"]) > 1000
    assert [each["seq"] for each in row["before"]] == [1]
    assert [each["seq"] for each in row["after"]] == [3]
    assert (await asked(client, "search", query="new", version="first"))["rows"] == []
    assert len((await asked(client, "search", query="new"))["rows"]) == 1
    assert "no row with the key" in await refused(client, "read", key="77")
    assert "no table x" in await refused(client, "search", query="x", table="x")
    assert "year" in await refused(client, "search", query="x", where="year > 3")
    assert str(notes) not in await refused(client, "search", query="x", version="77")


async def statements(client: Client) -> None:
    text = "SELECT source, count(*) AS n FROM notes WHERE seq >= ? GROUP BY 1 ORDER BY 1"
    counted = await asked(client, "sql", statement=text, parameters=[2])
    assert counted == {"columns": ["source", "n"], "rows": [["a.md", 2], ["b.md", 2]], "truncated": False}
    many = await asked(client, "sql", statement="SELECT id FROM notes", limit=100)
    assert len(many["rows"]) == 5
    assert many["truncated"]
    old = "SELECT count(*) FROM notes WHERE version = 'first'"
    assert (await asked(client, "sql", statement=old))["rows"] == [[8]]
    near = "SELECT id FROM notes WHERE notes MATCH 'new' AND k = 1"
    assert (await asked(client, "sql", statement=near))["rows"] == [[9]]
    for bad, said in (
        ("DELETE FROM notes", "only read"),
        ("ATTACH '/etc/passwd' AS x", "read"),
        ("SELECT readfile('/etc/passwd')", "readfile"),
        ("SELECT * FROM sqlite_schema", "sqlite_schema|sqlite_master"),
        ("INSERT INTO notes(notes) VALUES ('vacuum')", "only read"),
        ("SELECT 1; SELECT 2", "several statements"),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", "4 s"),
        ("SELECT zeroblob(1000000000)", "limits"),
        ("SELECT", "SQL"),
    ):
        assert re.search(said, await refused(client, "sql", statement=bad)), bad
    assert (await asked(client, "sql", statement="SELECT count(*) FROM notes"))["rows"] == [[9]]


async def resources(client: Client) -> None:
    (listed,) = (await client.list_resources()).resources
    assert str(listed.uri) == "audiomem://notes"
    (content,) = (await client.read_resource("audiomem://notes")).contents
    assert json.loads(content.text)["rows"] == 9  # type: ignore[union-attr]
    (template,) = (await client.list_resource_templates()).resource_templates
    assert template.uri_template == "audiomem://{table}/{key}"
    (content,) = (await client.read_resource("audiomem://notes/9")).contents
    assert json.loads(content.text)["row"]["body"] == "something new"  # type: ignore[union-attr]
    with pytest.raises(MCPError, match="no row with the key"):
        await client.read_resource("audiomem://notes/77")


def test_a_session_that_reads(notes: Path) -> None:
    async def session() -> None:
        async with assistant(notes, "--max-rows", "5", "--statement-timeout", "4") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {"tables", "search", "read", "sql"}
            assert all(tool.annotations.read_only_hint for tool in tools.values())  # type: ignore[union-attr]
            await reads(client)
            await statements(client)
            await resources(client)
            assert "Unknown tool" in await refused(client, "remember", text="x")

    asyncio.run(session())


def test_a_session_that_remembers(notes: Path, tmp_path: Path) -> None:
    from audiomem_sql.document_store import DocumentStore, Stored

    with DocumentStore(tmp_path / "own.flac") as store:
        store.add([Stored("a", "already there", {"n": 1})])

    async def session() -> None:
        async with assistant(notes, tmp_path / "own.flac", "--writable") as client:
            assert not {tool.name: tool for tool in (await client.list_tools()).tools}[
                "remember"
            ].annotations.read_only_hint  # type: ignore[union-attr]
            assert "several tables" in await refused(client, "remember", text="x")
            kept = await asked(client, "remember", text="Anna likes plums", table="notes", title="Anna")
            assert kept["version"] == 5
            again = await asked(client, "remember", text="and pears", table="notes")
            assert again["version"] == 6
            (found,) = (await asked(client, "search", query="plums", table="notes"))["rows"]
            assert (found["values"]["source"], found["values"]["title"]) == ("remember", "Anna")
            around = await asked(client, "read", key=found["key"], table="notes", after=2)
            assert [each["body"] for each in around["after"]] == ["and pears"]
            own = await asked(client, "remember", text="a plum tree", table="own", metadata={"n": [1, 2]})
            read = await asked(client, "read", key=own["key"], table="own", before=1)
            assert json.loads(read["row"]["metadata"])["n"] == [1, 2]
            assert [each["id"] for each in read["before"]] == ["a"]
            assert "nothing to remember" in await refused(client, "remember", text="  ", table="own")
            said = await refused(client, "remember", text="x", table="notes", metadata={"colour": "red"})
            assert "no column colour" in said
            assert "may only read" in await refused(client, "sql", statement="DELETE FROM own")

    asyncio.run(session())
    with DocumentStore(tmp_path / "own.flac") as store:
        (kept,) = store.search("plum")
        assert kept.metadata["n"] == [1, 2]
        assert kept.metadata["source"] == "remember"
    with am.open(notes) as table:
        assert table.versions[4].message == "remember: Anna"
        assert len(table) == 11
    assert not list(tmp_path.glob("*-wal")), "the log is not left behind"


def test_over_http(notes: Path) -> None:
    server = subprocess.Popen(
        [*COMMAND, str(notes), "--http", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert server.stderr is not None
        url = re.search(r"http://127\.0\.0\.1:\d+/mcp", server.stderr.readline())
        assert url is not None

        async def session() -> None:
            async with Client(url[0]) as one, Client(url[0]) as other:
                found = await asyncio.gather(
                    asked(one, "search", query="new"),
                    asked(other, "sql", statement="SELECT count(*) FROM notes"),
                )
                assert found[0]["rows"][0]["key"] == "9"
                assert found[1]["rows"] == [[9]]

        asyncio.run(session())
        page = {"Origin": "http://evil.example", "Accept": "application/json, text/event-stream"}
        assert httpx.post(url[0], json={}, headers=page).status_code == 403
        assert httpx.post(url[0], json={}, headers={"Host": "evil.example"}).status_code == 421
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        if server.stderr is not None:
            server.stderr.close()


def test_writing_over_http_needs_a_token(notes: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    writer = add_token(str(tokens), "writer", {"notes": ("read", "write")})
    reader = add_token(str(tokens), "reader", {"notes": ("read",)})
    server = subprocess.Popen(
        [*COMMAND, str(notes), "--http", "--port", "0", "--writable", "--tokens", str(tokens)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert server.stderr is not None
        url = re.search(r"http://127\.0\.0\.1:\d+/mcp", server.stderr.readline())
        assert url is not None
        for given, status in ((None, 401), ("am_wrong", 401), (reader, 403)):
            headers = {} if given is None else {"Authorization": f"Bearer {given}"}
            answer = httpx.post(url[0], json={}, headers=headers)
            assert answer.status_code == status
            assert "token" in answer.json()["error"]

        async def session() -> None:
            headers = {"Authorization": f"Bearer {writer}"}
            async with (
                httpx2.AsyncClient(headers=headers) as http,
                Client(streamable_http_client(url[0], http_client=http)) as client,  # type: ignore[index]
            ):
                assert (await asked(client, "remember", text="over HTTP"))["version"] == 5

        asyncio.run(session())
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    finally:
        server.kill()
        server.wait()
        if server.stderr is not None:
            server.stderr.close()


def test_what_is_too_long(notes: Path) -> None:
    async def session() -> None:
        async with assistant(notes, "--writable") as client:
            assert "10000 characters" in await refused(client, "search", query="x" * 10_001)
            assert "100000 characters" in await refused(client, "sql", statement="SELECT 1" + " " * 100_000)
            assert "1000 items" in await refused(client, "sql", statement="SELECT 1", parameters=[1] * 1001)
            assert "over the limit" in await refused(client, "remember", text="x" * 100_001)
            assert "over the limit" in await refused(
                client, "remember", text="x", metadata={"title": ["x" * 100_000]}
            )
            assert "less than or equal to 100" in await refused(client, "search", query="x", k=101)

    asyncio.run(session())


def test_what_ends_before_it_begins(tmp_path: Path, notes: Path) -> None:
    for arguments, code, said in (
        ([str(tmp_path / "none.flac")], 1, "no such file"),
        ([str(notes), str(notes)], 2, "two tables are called notes"),
        ([str(notes), "--http", "--writable"], 2, "audiomem token add tokens.json"),
        ([str(notes), "--tokens", "t.json"], 2, "tokens are for clients over HTTP"),
    ):
        done = subprocess.run(
            [*COMMAND, *arguments], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == code
        assert said in done.stderr
        assert not done.stdout
