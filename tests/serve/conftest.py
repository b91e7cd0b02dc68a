"""Servers on loopback, each with Uvicorn and sockets of its own, in a thread of the process of the tests."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiomem_sql.serve.server import configured, server_of
from audiomem_sql.serve.service import Service
from audiomem_sql.serve.settings import Limits, Settings
from audiomem_sql.table.table import Table

COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "title TEXT INDEXED",
    "body TEXT SEMANTIC INDEXED",
    "year INTEGER",
    "score REAL",
    "fine BOOLEAN",
    "data BLOB",
    "seen TIMESTAMP",
    "about JSON",
    "vec FLOAT[2]",
]
BIG = 9_007_199_254_740_993
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "title": f"title {number}",
        "body": f"Row {number} says how a password is reset, and {'cats' if number % 2 else 'dogs'}.",
        "year": 2000 + number % 20,
        "score": None if number % 7 == 0 else number / 3,
        "fine": number % 3 == 0,
        "data": bytes([number % 256, 255]),
        "seen": f"2024-03-{1 + number % 28:02} 10:00:00.5",
        "about": f'{{"n": {number}}}',
        "vec": [float(number), 0.1],
    }
    for number in range(1, 301)
] + [{"id": BIG, "title": 'comma, "quote"\nand line', "body": "", "year": -BIG, "score": float("-inf")}]


@dataclass
class Running:
    """A server that runs, and a client of it."""

    address: str
    client: httpx.Client
    service: Service
    log: list[str] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


@contextlib.contextmanager
def serving(*places: Path | str, **settings: Any) -> Iterator[Running]:
    """A server of tables, with ``settings``."""
    begun, addresses = threading.Event(), []

    def started(address: str) -> None:
        addresses.append(address)
        begun.set()

    lines: list[str] = []
    handler, logger = _Lines(lines), logging.getLogger("audiomem.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with Service([str(place) for place in places], Settings(port=0, **settings)) as service:
        server = server_of(configured(service), started)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            assert begun.wait(30)
            # none is kept: an impatient server may close it in the moment in which it is used again
            once = httpx.Limits(max_keepalive_connections=0)
            with httpx.Client(base_url=addresses[0], timeout=30, limits=once) as client:
                yield Running(
                    addresses[0], client, service, lines, lambda: setattr(server, "should_exit", True)
                )
        finally:
            server.should_exit = True
            thread.join(30)
            logger.removeHandler(handler)
    assert not thread.is_alive()


def make_table(path: Path) -> Path:
    """A table with a value of every type; version 2 has all rows but the last, and a tag."""
    with Table.create(path, COLUMNS, {"model": "hashing"}) as table:
        table.append(ROWS[:-1])
        table.tag("first")
        table.append(ROWS[-1:])
    return path


@pytest.fixture(scope="session")
def table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of ``make_table``, which no test changes."""
    return make_table(tmp_path_factory.mktemp("served") / "kb.flac")


@pytest.fixture(scope="session")
def keyed_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "keyed.flac"
    with Table.create(path, ["name TEXT PRIMARY KEY", "n INTEGER"]) as table:
        table.append([{"name": "a/b", "n": 1}, {"name": "7", "n": 2}])
    return path


@pytest.fixture(scope="session")
def server(table_path: Path, keyed_path: Path) -> Iterator[Running]:
    """A server that everybody may read from."""
    with serving(table_path, keyed_path, limits=Limits(value_bytes=1 << 20)) as running:
        yield running


@pytest.fixture
def get(server: Running) -> Callable[..., Any]:
    """The JSON of an answer 200."""

    def get(path: str, **parameters: Any) -> Any:
        answer = server.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get
