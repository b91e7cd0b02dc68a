"""A real Prometheus on loopback scrapes a process of ours: `make observe`.

Every query of the dashboard has to give samples, every target to be up, every rule to be healthy.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT
from .test_rules import queries

#: What a process does while it is scraped: it commits, reads, searches, waits for locks, asks a store, fails.
WORK = """
import asyncio, sys, threading, time
import audiomem_sql as am
from audiomem_sql import observe
from audiomem_sql.table.table import Table
folder, url = sys.argv[1:]
observe.start(port=0)
print(observe.port(), flush=True)
path = folder + "/kb.flac"
columns = ["id INTEGER PRIMARY KEY", "a TEXT INDEXED", "b INTEGER"]
Table.create(path, columns, {"protection": "standard"}).close()
table = Table(path)
other = Table(path, busy_timeout=0.02)
stored = Table.create(url, columns)

async def app(scope, receive, send):
    scope["route"] = type("Route", (), {"path": "/tables"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})

async def ignored(message):
    pass

served = observe.instrument(app)
number = 0
while True:
    for each in (table, stored):
        each.append([{"id": number + n, "a": f"word {n}", "b": n} for n in range(10)])
        each.search("word", k=3)
        each.to_arrow(where="b < 5")
    connection = am.connect(path)
    connection.execute("SELECT a FROM kb WHERE id = 5").fetchall()
    connection.close()
    table.checkpoint()
    table.begin()
    try:
        other.append([{"id": -number, "a": "", "b": 0}])
    except am.AudioMemError:
        pass
    table.rollback()
    scope = {"type": "http", "method": "GET", "path": "/tables", "headers": []}
    asyncio.run(served(scope, None, ignored))
    number += 10
    time.sleep(0.2)
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, store_url: str) -> Iterator[str]:
    """The address of one that has scraped for a while."""
    folder = tmp_path_factory.mktemp("prometheus")
    command = [sys.executable, "-c", WORK, str(folder), store_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as ours:
        assert ours.stdout is not None
        target = int(ours.stdout.readline())
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [
                str(ROOT / "deploy" / "prometheus" / f"{name}.yml") for name in ("recording", "alerts")
            ],
            "scrape_configs": [
                {"job_name": "audiomem", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
            ],
        }
        # groups have an interval of their own, which would take half a minute
        rules = folder / "recording.yml"
        rules.write_text(Path(settings["rule_files"][0]).read_text().replace("interval: 30s", "interval: 1s"))
        settings["rule_files"][0] = str(rules)
        (folder / "prometheus.yml").write_text(json.dumps(settings))
        port = free_port()
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=error",
            ]
        )
        try:
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 120
            while not scraped(address) and time.monotonic() < deadline:
                assert ours.poll() is None
                time.sleep(0.5)
            time.sleep(8)
            yield address
        finally:
            server.terminate()
            server.wait()
            ours.terminate()


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A table's URL in a store that moto plays."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }
    os.environ.update(environment)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/bucket", method="PUT"), timeout=30)
    yield "s3://bucket/stored.flac"
    server.stop()


def ask(address: str, path: str, **parameters: str) -> Any:
    with urllib.request.urlopen(
        f"{address}{path}?{urllib.parse.urlencode(parameters)}", timeout=30
    ) as answer:
        said = json.load(answer)
    assert said["status"] == "success"
    return said["data"]


def scraped(address: str) -> bool:
    try:
        found = ask(address, "/api/v1/query", query="audio_memory_table_rows > 50")["result"]
    except OSError:
        return False
    return len(found) == 2


def of_panel(query: str) -> str:
    """As Grafana asks it, with all instances and tables; rates over less time than here has been."""
    return query.replace("$instance", ".*").replace("$table", ".*").replace("[5m]", "[1m]")


@pytest.mark.parametrize("query", queries())
def test_every_query_of_the_dashboard(prometheus: str, query: str) -> None:
    result = ask(prometheus, "/api/v1/query", query=of_panel(query))["result"]
    assert result, query
    if "quantile" not in query and "ratio" not in query and ":p" not in query:
        assert all(sample["value"][1] != "NaN" for sample in result), result


def test_every_rule_is_healthy(prometheus: str) -> None:
    groups = ask(prometheus, "/api/v1/rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == 17
    assert [rule["name"] for rule in rules if rule["health"] not in ("ok", "unknown")] == []
    assert {rule["health"] for rule in rules if rule["type"] == "recording"} == {"ok"}


def test_what_is_up(prometheus: str) -> None:
    (target,) = ask(prometheus, "/api/v1/targets")["activeTargets"]
    assert target["health"] == "up"
    assert target["lastError"] == ""
    assert (
        float(
            ask(prometheus, "/api/v1/query", query='audio_memory_frequency_health{band="whole"}')["result"][
                0
            ]["value"][1]
        )
        == 1
    )
    found = ask(
        prometheus, "/api/v1/query", query='sum(audio_memory_store_requests_total{method="put",store="s3"})'
    )
    assert float(found["result"][0]["value"][1]) > 0
