"""Jobs of a server: done beside its requests, told of truthfully, cancelled cleanly, one at a time."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import audiomem_sql as am
from audiomem_sql import observe
from audiomem_sql.errors import LimitError
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS
from audiomem_sql.jobs.job import Job
from audiomem_sql.jobs.records import MOST_WAITING, Records
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table

from .conftest import Running, serving

ALL = ["read", "file", "write", "upkeep"]


def make_tables(folder: Path) -> str:
    """Tables `docs` and `kb`, and a file of tokens; a token that may do everything with `docs` alone."""
    Table.create(folder / "docs.flac", DEFAULT_COLUMNS).close()
    with Table.create(
        folder / "kb.flac", ["id INTEGER PRIMARY KEY", "body BLOB"], {"protection": "standard"}
    ) as table:
        for number in range(20):
            table.append([{"id": number, "body": random.Random(number).randbytes(20_000)}])
    return add_token(str(folder / "tokens.json"), "keeper", {"docs": ALL, "kb": ALL})


@dataclass
class Keeper(Running):
    """A server, tables of it that nobody else uses, and where they are."""

    docs: str = ""
    kb: str = ""
    folder: Path = Path()


@pytest.fixture(scope="module")
def many_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Iterator[int], Path]]:
    """One server for all: each has processes of its own, which take a second to start."""
    folder = tmp_path_factory.mktemp("jobs")
    make_tables(folder)
    for number in range(6):
        for name in ("docs", "kb"):
            shutil.copy(folder / f"{name}.flac", folder / f"{name}{number}.flac")
    token = add_token(str(folder / "tokens.json"), "all", {"*": ALL})
    places = sorted(folder.glob("*[0-9].flac"))
    with serving(*places, tokens=str(folder / "tokens.json"), writable=True) as running:
        running.client.headers["Authorization"] = f"Bearer {token}"
        yield running, iter(range(6)), folder


@pytest.fixture
def keeper(many_tables: tuple[Running, Iterator[int], Path]) -> Keeper:
    running, numbers, folder = many_tables
    number = next(numbers)
    return Keeper(
        running.address,
        running.client,
        running.service,
        docs=f"docs{number}",
        kb=f"kb{number}",
        folder=folder,
    )


def submitted(running: Running, table: str, **body: Any) -> str:
    answer = running.client.post(f"/tables/{table}/jobs", json=body)
    assert answer.status_code == 202, answer.text
    where = answer.headers["location"]
    assert where == f"/jobs/{answer.json()['id']}"
    return where


def until(running: Running, where: str, fine: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until the job in ``where`` is so."""
    for _ in range(600):
        job = running.client.get(where).json()
        if fine(job):
            return
        assert job["state"] in ("queued", "running"), job
        time.sleep(0.05)
    raise AssertionError(job)


def ended(running: Running, where: str) -> dict[str, Any]:
    for _ in range(600):
        job: dict[str, Any] = running.client.get(where).json()
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def sources(count: int, words: int = 400) -> list[dict[str, str]]:
    return [
        {
            "source": f"{number}.md",
            "type": "markdown",
            "text": f"# Title {number}\n\n" + f"word{number} " * words,
        }
        for number in range(count)
    ]


@pytest.fixture
def observed() -> Iterator[None]:
    observe.start()
    yield
    observe.stop()


@pytest.mark.usefixtures("observed")
def test_a_vacuum_and_what_is_told_of_it(keeper: Keeper) -> None:
    with Table(keeper.folder / f"{keeper.docs}.flac") as table:
        table.append([{"id": 1, "body": "by another process"}])
    rows = f'audio_memory_table_rows{{table="{keeper.docs}"}} 1.0'
    assert rows in observe.metrics_text().decode()
    job = ended(keeper, submitted(keeper, keeper.kb, kind="vacuum", retain="1"))
    assert (job["state"], job["progress"], job["stage"], job["problem"]) == ("done", 1.0, "done", None)
    assert job["result"]["oldest_version"] == job["result"]["version"] == 21
    assert job["created"] <= job["started"] <= job["ended"]
    assert job["token"] == "all"
    with am.open(keeper.folder / f"{keeper.kb}.flac") as table:
        assert len(table.snapshot.segments) == 1
        assert len(table) == 20
    listed = keeper.client.get("/jobs", params={"table": keeper.kb}).json()["jobs"]
    assert [each["id"] for each in listed] == [job["id"]]
    counted = observe.metrics_text().decode()
    assert 'audio_memory_jobs_total{kind="vacuum",state="done"} 1.0' in counted
    assert 'audio_memory_job_duration_seconds_count{kind="vacuum"} 1.0' in counted
    assert keeper.client.get("/jobs", params={"table": keeper.docs}).json()["jobs"] == []
    assert keeper.client.get("/jobs", params={"table": keeper.kb, "state": "failed"}).json()["jobs"] == []


def test_ingest_adds_once_whatever_is_asked_again(keeper: Keeper) -> None:
    given = [*sources(3), {"source": "bad.csv", "type": "parquet", "text": "no parquet"}]
    first = ended(keeper, submitted(keeper, keeper.docs, kind="ingest", sources=given))
    assert first["state"] == "done"
    assert (first["result"]["new"], first["result"]["rows_removed"]) == (3, 0)
    assert [each["source"] for each in first["result"]["skipped"]] == ["bad.csv"]
    again = ended(keeper, submitted(keeper, keeper.docs, kind="ingest", sources=given))
    assert again["digest"] == first["digest"]
    assert (again["result"]["unchanged"], again["result"]["rows_added"]) == (3, 0)
    asked = {"limit": 1000, "columns": "source"}
    rows = keeper.client.get(f"/tables/{keeper.docs}/rows", params=asked).json()["rows"]
    assert len(rows) == first["result"]["rows_added"]
    changed = [{"source": "1.md", "type": "markdown", "text": "# Short\n\nnew"}]
    report = ended(keeper, submitted(keeper, keeper.docs, kind="ingest", sources=changed))["result"]
    assert (report["changed"], report["rows_added"]) == (1, 1)
    assert report["rows_removed"] == len([row for row in rows if row["source"] == "1.md"])


def test_requests_are_served_meanwhile_and_a_job_ends_when_told(keeper: Keeper) -> None:
    """A scrub at a crawl: it is cancelled while it runs, while the next one of the table waits for it."""
    crawl = submitted(keeper, keeper.kb, kind="scrub", rate=0.05, repair=True)
    waits = submitted(keeper, keeper.kb, kind="vacuum")
    same = keeper.client.post(f"/tables/{keeper.kb}/jobs", json={"kind": "vacuum"})
    assert same.headers["location"] == waits
    until(keeper, crawl, lambda job: job["state"] == "running")
    other = ended(keeper, submitted(keeper, keeper.docs, kind="ingest", sources=sources(1)))
    assert other["state"] == "done"
    assert (
        keeper.client.post(f"/tables/{keeper.kb}/rows", json=[{"id": 100, "body": "eA=="}]).status_code == 201
    )
    until(keeper, crawl, lambda job: 0 < job["progress"] < 1)
    assert keeper.client.get(crawl).json()["stage"] == "reading every page"
    assert keeper.client.get(waits).json()["state"] == "queued"
    assert keeper.client.post(f"{crawl}/again").status_code == 409
    told = keeper.client.delete(crawl)
    assert (told.status_code, told.json()["cancelling"]) == (202, True)
    assert ended(keeper, crawl)["state"] == "cancelled"
    assert ended(keeper, waits)["state"] == "done"
    assert keeper.client.delete(crawl).json()["state"] == "cancelled"
    assert keeper.client.get(f"/tables/{keeper.kb}").json()["rows"] == 21


def test_one_that_waits_is_cancelled_at_once_and_done_again(keeper: Keeper) -> None:
    crawls = [
        submitted(keeper, table, kind="scrub", rate=0.05, repair=True) for table in (keeper.kb, keeper.docs)
    ]
    waits = submitted(keeper, keeper.docs, kind="ingest", sources=sources(1))
    answer = keeper.client.delete(waits)
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    for each in crawls:
        keeper.client.delete(each)
    assert keeper.client.get(f"/tables/{keeper.docs}").json()["rows"] == 0
    again = keeper.client.post(f"{waits}/again")
    assert again.status_code == 202
    assert again.headers["location"] != waits
    assert ended(keeper, again.headers["location"])["result"]["new"] == 1
    assert keeper.client.get(waits).json()["state"] == "cancelled"


def test_a_damaged_table_is_found_and_repaired(keeper: Keeper) -> None:
    ended(keeper, submitted(keeper, keeper.kb, kind="vacuum"))
    path = keeper.folder / f"{keeper.kb}.flac"
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 40] = bytes(40)
    path.write_bytes(raw)
    found = ended(keeper, submitted(keeper, keeper.kb, kind="scrub", rate=1000))["result"]
    assert (found["whole"], found["repaired_files"]) == (False, 0)
    assert found["problems"] >= 1
    assert all(line.startswith(f"{keeper.kb}: page") for line in found["listed"])
    healed = ended(keeper, submitted(keeper, keeper.kb, kind="scrub", rate=1000, repair=True))
    assert healed["state"] == "done", healed
    healed = healed["result"]
    assert (healed["whole"], healed["repaired_files"]) == (True, 1)
    assert ended(keeper, submitted(keeper, keeper.kb, kind="scrub", rate=1000))["result"]["problems"] == 0


def test_vectors_and_shards_are_made_anew(tmp_path: Path) -> None:
    rows = [{"id": number, "body": f"text number {number}"} for number in range(40)]
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"]
    with Table.create(tmp_path / "notes.flac", columns, {"model": "hashing"}) as table:
        table.append(rows)
    with Table.create(tmp_path / "parts.shards", [*columns[:1], "body TEXT"], {"shards": "2"}) as table:
        table.append(rows)
    token = add_token(str(tmp_path / "tokens.json"), "all", {"*": ALL})
    places = [tmp_path / "notes.flac", tmp_path / "parts.shards"]
    with serving(*places, tokens=str(tmp_path / "tokens.json"), writable=True) as running:
        running.client.headers["Authorization"] = f"Bearer {token}"
        again = ended(running, submitted(running, "notes", kind="reembed", model="hashing", passages="on"))
        assert (again["state"], again["progress"]) == ("done", 1.0), again
        moved = ended(running, submitted(running, "parts", kind="reshard", to=3))
        assert (moved["state"], moved["progress"]) == ("done", 1.0), moved
    with am.open(places[0]) as table:
        assert table.options.passages == "on"
        assert table.search("text number 7", k=1)["id"].to_pylist() == [7]
        assert sorted(table.to_arrow()["id"].to_pylist()) == list(range(40))
    with am.open(places[1]) as table:
        assert len(list(places[1].glob("*.flac"))) == 3
        assert sorted(table.to_arrow()["id"].to_pylist()) == list(range(40))


def test_what_fails_says_why_and_names_no_path(keeper: Keeper) -> None:
    job = ended(keeper, submitted(keeper, keeper.kb, kind="reshard", to=3))
    assert (job["state"], job["problem"]["kind"]) == ("failed", "UnsupportedError")
    assert str(keeper.folder) not in str(job)
    assert ended(keeper, submitted(keeper, keeper.kb, kind="reembed"))["problem"]["kind"] == "SchemaError"


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "drop"},
        {"kind": "vacuum", "retain": "for ever"},
        {"kind": "vacuum", "retain": 3},
        {"kind": "vacuum", "level": 23},
        {"kind": "vacuum", "level": True},
        {"kind": "vacuum", "output": "/etc/passwd"},
        {"kind": "scrub", "rate": 0},
        {"kind": "scrub", "repair": "yes"},
        {"kind": "reembed", "model": "someone/else"},
        {"kind": "reshard", "weights": [1, "x"]},
        {"kind": "ingest"},
        {"kind": "ingest", "sources": []},
        {"kind": "ingest", "sources": [{"source": "a"}]},
        {"kind": "ingest", "sources": [{"source": "a\n", "text": "x"}]},
        {"kind": "ingest", "sources": [{"source": "a", "text": "x"}, {"source": "a", "text": "y"}]},
        {"kind": "ingest", "sources": [{"source": "a", "base64": "?"}]},
        {"kind": "ingest", "sources": [{"source": "a", "text": "x", "type": "exe"}]},
        {"kind": "ingest", "sources": [{"source": "a", "text": "x", "path": "/etc/passwd"}]},
        {"kind": "ingest", "sources": [{"source": "a", "text": "x\ud800"}]},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_anything_waits(refusing: Running, body: dict[str, Any]) -> None:
    content = json.dumps(body)
    answer = refusing.client.post(
        "/tables/docs/jobs", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]
    assert refusing.client.get("/jobs").json()["jobs"] == []


def test_scopes_say_who_may(refusing: Running, tmp_path_factory: pytest.TempPathFactory) -> None:
    tokens = refusing.service.settings.tokens
    assert tokens is not None
    reads, writes, keeps = (
        add_token(tokens, scope, {"docs": [scope]}) for scope in ("read", "write", "upkeep")
    )
    ingest = {"kind": "ingest", "sources": sources(1)}

    def status(token: str, method: str, path: str, body: Any = None) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return refusing.client.request(method, path, json=body, headers=headers).status_code

    for token, kind, wanted in (
        (reads, ingest, 403),
        (reads, {"kind": "scrub"}, 403),
        (writes, {"kind": "vacuum", "retain": "1"}, 403),
        (keeps, ingest, 403),
        (keeps, {"kind": "vacuum", "retain": "nonsense"}, 400),
    ):
        assert status(token, "POST", "/tables/docs/jobs", kind) == wanted
        assert status(token, "POST", "/tables/kb/jobs", kind) == 404
    where = submitted(refusing, "kb", kind="scrub", rate=1000)
    assert status(reads, "GET", where) == status(keeps, "DELETE", where) == 404
    assert refusing.client.get("/jobs", headers={"Authorization": f"Bearer {reads}"}).json()["jobs"] == []
    assert ended(refusing, where)["state"] == "done"
    where = submitted(refusing, "docs", kind="scrub", rate=1000)
    assert status(reads, "GET", where) == 200
    assert status(writes, "DELETE", where) == 403
    assert status(writes, "GET", "/jobs/none") == 404
    ended(refusing, where)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for tests that look at what is refused."""
    folder = tmp_path_factory.mktemp("refusing")
    token = make_tables(folder)
    tokens = str(folder / "tokens.json")
    with serving(folder / "docs.flac", folder / "kb.flac", tokens=tokens, writable=True) as running:
        running.client.headers["Authorization"] = f"Bearer {token}"
        yield running


def test_a_reader_has_no_jobs(table_path: Path) -> None:
    with serving(table_path) as running:
        assert running.client.post("/tables/kb/jobs", json={"kind": "scrub"}).status_code == 404
    assert not Path(f"{table_path}-jobs").exists()


def test_the_truth_after_a_kill(tmp_path: Path) -> None:
    """What ran is interrupted, and nothing of it goes on; what waited is done by the next server."""
    token = make_tables(tmp_path)
    command = [sys.executable, "-m", "audiomem_sql", "serve", str(tmp_path / "kb.flac"), "--port", "0"]
    command += ["--tokens", str(tmp_path / "tokens.json"), "--writable"]
    headers = {"Authorization": f"Bearer {token}"}
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    address = server.stderr.readline().split()[2].rstrip(";")
    with httpx.Client(base_url=address, headers=headers) as client:
        running = Running(address, client, None)  # type: ignore[arg-type]
        crawl = submitted(running, "kb", kind="scrub", rate=0.05, repair=True)
        waits = submitted(running, "kb", kind="vacuum", retain="1")
        until(running, crawl, lambda job: job["progress"] > 0)
        children = psutil.Process(server.pid).children()
        assert len(children) == 1
        server.kill()
        server.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive
    tokens = str(tmp_path / "tokens.json")
    with serving(tmp_path / "kb.flac", tokens=tokens, writable=True) as next_one:
        next_one.client.headers.update(headers)
        assert next_one.client.get(crawl).json()["state"] == "interrupted"
        assert ended(next_one, waits)["state"] == "done"
        again = next_one.client.post(f"{crawl}/again").headers["location"]
        until(next_one, again, lambda job: job["progress"] > 0)
    with serving(tmp_path / "kb.flac", tokens=tokens, writable=True) as last:  # the one before ended in peace
        last.client.headers.update(headers)
        assert last.client.get(again).json()["state"] == "interrupted"
    with am.open(tmp_path / "kb.flac") as table:
        assert len(table) == 20


def test_too_many_wait(tmp_path: Path) -> None:
    records = Records(None)
    for number in range(MOST_WAITING):
        records.add(Job.made("kb", "vacuum", {"level": number}))
    with pytest.raises(LimitError, match="too many jobs"):
        records.add(Job.made("kb", "vacuum", {}))
    first = records.add(Job.made("kb", "vacuum", {"level": 7}))
    assert first.arguments == {"level": 7}
    records.close()
