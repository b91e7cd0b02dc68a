"""Spans as a receiver of OTLP gets them: what is inside what, and that no contents are in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql import observe
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.observe.observer import MOST_SPANS
from audiomem_sql.table.table import Table

from .conftest import filled, value
from .otlp import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        observe.start(otlp=started.url)
        yield started
        observe.stop()


def paths(receiver: Receiver) -> set[str]:
    observe.flush()
    return {
        " ".join(name.removeprefix("audiomem.") for name in receiver.path(span)) for span in receiver.spans
    }


def test_from_a_statement_to_its_reads(receiver: Receiver, tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    assert {"open", "commit"} <= paths(receiver)
    SHARED.clear()
    connection = am.connect(path)
    secret = "word 3"
    connection.execute("SELECT id FROM kb WHERE b > 20 AND a <> ?", (secret,)).fetchall()
    connection.execute("SELECT id FROM kb WHERE kb MATCH 'word'").fetchall()
    connection.execute("INSERT INTO kb VALUES (7777, ?, 1)", (secret,))
    connection.close()
    found = paths(receiver)
    assert {"query scan decode read", "query search read"} <= found, sorted(found)
    assert receiver.service == "audiomem"
    for span in receiver.spans:
        assert span.start <= span.end
        assert secret not in str(span.facts)
        assert span.facts["audiomem.table"] in ("kb", "other")
    by_id = {span.id: span for span in receiver.spans}
    for span in receiver.spans:
        if span.parent:
            assert by_id[span.parent].trace == span.trace
            assert by_id[span.parent].start <= span.start


def test_an_error_is_named_without_its_text(receiver: Receiver, tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as table, pytest.raises(am.AudioMemError):
        table.append([{"id": 1, "a": "again", "b": 0}])
    paths(receiver)
    (failed,) = [span for span in receiver.spans if span.failed]
    assert failed.name == "audiomem.commit"
    assert failed.facts["error.type"] == "ConstraintError"


def test_threads_that_decode_ahead_are_inside(receiver: Receiver, tmp_path: Path) -> None:
    with Table.create(tmp_path / "kb.flac", ["a TEXT"]) as table:
        table.append([{"a": f"{n} " * 200} for n in range(9000)])
    SHARED.clear()
    with Table(tmp_path / "kb.flac") as table:
        table.to_arrow()
    reads = {path for path in paths(receiver) if path.endswith("read") and not path.startswith("open")}
    assert reads
    assert all(path.startswith("query scan") for path in reads), reads
    assert sum(span.name == "audiomem.read" for span in receiver.spans) <= 3 * MOST_SPANS


def test_a_service(receiver: Receiver) -> None:
    pages: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = type("Route", (), {"path": "/tables/{name}"})
        if scope["path"] == "/tables/broken":
            raise ValueError("secret")
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        pages.append(message)

    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = [(b"traceparent", f"00-{trace}-b7ad6b7169203331-01".encode())]
    served = observe.instrument(app)

    def ask(path: str) -> None:
        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        asyncio.run(served(scope, None, send))

    ask("/tables/kb")
    with pytest.raises(ValueError, match="secret"):
        ask("/tables/broken")
    ask("/metrics")
    assert pages[-2]["status"] == 200
    assert b"audio_memory_http_requests_total" in pages[-1]["body"]
    assert value("http_requests_total", route="/tables/{name}", status="404") == 1
    assert value("http_requests_total", route="/tables/{name}", status="500") == 1
    assert value("http_request_duration_seconds_count") == 2
    paths(receiver)
    assert {span.trace for span in receiver.spans if span.name == "audiomem.http"} == {trace}
    assert [span.failed for span in receiver.spans] == [False, True]
    assert "secret" not in str(receiver.spans)
