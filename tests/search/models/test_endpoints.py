"""Models that servers run, over real HTTP on this machine: formats, errors, bad answers, and consent."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import audiomem_sql
from audiomem_sql.errors import AudioMemError, InterruptError, OptionError, UnsupportedError
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.search.models import allowed, endpoints, http_json
from audiomem_sql.search.models.allowed import allow_model
from audiomem_sql.search.models.embedders import HashingEmbedder, embedder_named
from audiomem_sql.search.models.endpoints import EndpointEmbedder
from audiomem_sql.table.table import Table

TEXTS = ["How do I reset a password?", "  ", "The cat sat on the mat.", "naïve café 🎼"]
NAMES = ("openai:hashing-3", "ollama:hashing:latest")
Answer = tuple[int, dict[str, str], bytes]


class Server:
    """Embeds with hashes. ``answers`` are given first, one for each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[Callable[[Any], Answer]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, dict(self.headers), content))
                answer = server.answers.pop(0) if server.answers else server.embeds(self.path)
                status, headers, body = answer(content)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def embeds(self, path: str) -> Callable[[Any], Answer]:
        def answer(content: Any) -> Answer:
            vectors = (HashingEmbedder().embed(content["input"]) * 3).tolist()  # of no length 1
            if path == "/api/embed":
                return given({"model": content["model"], "embeddings": vectors})
            data = [{"object": "embedding", "index": n, "embedding": v} for n, v in enumerate(vectors)]
            return given({"object": "list", "data": data[::-1], "usage": {"total_tokens": 1}})

        return answer

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def given(content: Any, status: int = 200, **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setattr(allowed, "_named", set())
    monkeypatch.setattr(allowed, "_places", {})
    monkeypatch.setattr(http_json, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("AUDIOMEM_VECTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUDIOMEM_MODELS", raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # is not asked for this machine
    embedder_named.cache_clear()
    server = Server()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    yield server
    server.close()
    embedder_named.cache_clear()


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest, server: Server) -> EndpointEmbedder:
    allow_model(request.param)
    return EndpointEmbedder(request.param)


def test_vectors(model: EndpointEmbedder, server: Server) -> None:
    expected = HashingEmbedder().embed(TEXTS)
    expected[1] = np.eye(1, 256)[0]
    vectors = model.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert model.dimensions == 256
    (request,) = server.requests
    path, headers, content = request
    assert content["input"] == [TEXTS[0], TEXTS[2], TEXTS[3]]
    if model.name == NAMES[0]:
        assert path == "/v1/embeddings"
        assert content["model"] == "hashing-3"
        assert content["encoding_format"] == "float"
        assert headers["Authorization"] == "Bearer sk-secret"
    else:
        assert path == "/api/embed"
        assert content["model"] == "hashing:latest"
        assert "Authorization" not in headers
    assert model.embed(["  ", ""]).tolist() == [np.eye(1, 256)[0].tolist()] * 2
    assert model.embed([]).shape == (0, 256)
    assert len(server.requests) == 1


def test_batches(model: EndpointEmbedder, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    texts = [f"text {number}" for number in range(150)]
    vectors = model.embed(texts, lambda done, total: seen.append((done, total)))
    assert [len(content["input"]) for _, _, content in server.requests] == [64, 64, 22]
    assert seen == [(64, 150), (128, 150), (150, 150)]
    assert np.allclose(vectors, HashingEmbedder().embed(texts), atol=1e-6)
    server.requests.clear()
    monkeypatch.setattr(endpoints, "CHARACTERS_AT_ONCE", 12_000)
    model.embed(["x" * 9000, "y" * 6000, "z", "\ud800"])
    sent = [content["input"] for _, _, content in server.requests]
    assert sent == [["x" * 6000, "y" * 6000], ["z", "?"]]


def test_a_server_that_is_busy_is_asked_again(model: EndpointEmbedder, server: Server) -> None:
    for status in http_json.PASSING[:4]:
        server.answers.append(lambda _, status=status: given({"error": "busy"}, status))  # type: ignore[misc]
    assert np.allclose(model.embed(["a b"]), HashingEmbedder().embed(["a b"]), atol=1e-6)
    assert len(server.requests) == 5
    server.answers += [lambda _: given({"error": {"message": "slow down"}}, 429)] * 5
    with pytest.raises(UnsupportedError, match=r"429 slow down, 5 times"):
        model.embed(["a b"])
    assert len(server.requests) == 10
    server.answers.append(lambda _: given(b"", 503, Retry_After="0.3"))
    start = time.monotonic()
    model.embed(["a b"])
    assert time.monotonic() - start >= 0.3
    for told in ("Sat, 28 Nov 2020 18:00:00 GMT", "soon", "-5", "nan", "Sat, 99 Nov 2026 18:00:00 GMT"):
        server.answers.append(lambda _, told=told: given(b"", 429, Retry_After=told))  # type: ignore[misc]
        start = time.monotonic()
        model.embed(["a b"])
        assert time.monotonic() - start < 20


def test_when_a_server_asks_to_come_again() -> None:
    later = email.utils.formatdate(time.time() + 50, usegmt=True)
    assert 40 < http_json._seconds(later) <= 50
    assert http_json._seconds("7.5") == 7.5
    assert http_json._seconds("86400") == http_json._seconds("inf") == http_json.LONGEST_WAIT >= 60
    assert [http_json._seconds(told) for told in (None, "", "-1", "nan", "soon")] == [0.0] * 5


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_server_that_dies_within_an_answer_is_asked_again(
    model: EndpointEmbedder, server: Server, length: int
) -> None:
    def dies(content: Any) -> Answer:
        status, headers, body = server.embeds("/api/embed" if model.name == NAMES[1] else "/")(content)
        return status, {**headers, "Content-Length": str(len(body) + length)}, body  # whole, but not all

    server.answers += [dies, dies]
    assert np.allclose(model.embed(["a b"]), HashingEmbedder().embed(["a b"]), atol=1e-6)
    assert len(server.requests) == 3
    server.answers += [dies] * 5
    with pytest.raises(UnsupportedError, match=rf"IncompleteRead.*{length} more expected.*5 times"):
        model.embed(["a b"])


@pytest.mark.parametrize(
    ("status", "said"), [(400, "bad"), (401, "allow_model"), (404, "not found"), (302, "302"), (501, "501")]
)
def test_an_answer_that_refuses(model: EndpointEmbedder, server: Server, status: int, said: str) -> None:
    other = Server()
    told = f"bad key sk-secret\nmodel not found {'x' * 5000}"
    server.answers.append(
        lambda _: given({"error": {"message": told}}, status, Location=f"{other.url}/api/embed")
    )
    with pytest.raises(UnsupportedError) as raised:
        model.embed(["a"])
    other.close()
    text = str(raised.value)
    assert said in text
    assert model.name in text
    assert len(text) < 700
    assert "\n" not in text
    if model.name == NAMES[0]:
        assert "sk-secret" not in text
    assert len(server.requests) == 1
    assert other.requests == []  # no key goes to another host


def vectors_answer(name: str, vectors: Any) -> Answer:
    if name == NAMES[1]:
        return given({"embeddings": vectors})
    return given({"data": [{"index": n, "embedding": v} for n, v in enumerate(vectors)]})


BAD: dict[str, Any] = {
    "too few": [[1.0, 2.0]],
    "too many": [[1.0, 2.0]] * 3,
    "other lengths": [[1.0], [1.0, 2.0]],
    "empty": [[], []],
    "zeros": [[0.0, 0.0], [1.0, 0.0]],
    "nan": [[float("nan"), 1.0], [1.0, 0.0]],
    "infinite": [[1e400, 1.0], [1.0, 0.0]],
    "texts": [["1", "2"], ["1", "2"]],
    "booleans": [[True, False], [True, True]],
    "a text": ["AAAA", "AAAA"],
    "nested": [[[1.0]], [[1.0]]],
    "nothing": [None, None],
    "numbers": [1.0, 2.0],
    "huge": [[10**400, 1], [1, 1]],
}


@pytest.mark.parametrize("case", BAD)
def test_an_answer_that_cannot_be(model: EndpointEmbedder, server: Server, case: str) -> None:
    server.answers.append(lambda _: vectors_answer(model.name, BAD[case]))
    with pytest.raises(UnsupportedError, match="gave no vectors"):
        model.embed(["a", "b"])
    assert model.embed(["a", "b"]).shape == (2, 256)  # nothing of it was kept


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"{}", b"null", b'{"data": 5, "embeddings": 5}', b"[" * 100_000, b"\xff"]
)
def test_an_answer_of_another_form(model: EndpointEmbedder, server: Server, body: bytes) -> None:
    server.answers.append(lambda _: given(body))
    with pytest.raises(UnsupportedError, match="gave no vectors"):
        model.embed(["a", "b"])


def test_numbers_of_vectors_that_are_no_order(server: Server) -> None:
    allow_model(NAMES[0])
    for numbers in ((0, 0), (1, 2), (0, None), (0, "1")):
        data = [{"index": number, "embedding": [1.0, 2.0]} for number in numbers]
        server.answers.append(lambda _, data=data: given({"data": data}))  # type: ignore[misc]
        with pytest.raises(UnsupportedError, match="gave no vectors"):
            EndpointEmbedder(NAMES[0]).embed(["a", "b"])


def test_other_dimensions_than_before(model: EndpointEmbedder, server: Server) -> None:
    model.embed(["a"])
    server.answers.append(lambda _: vectors_answer(model.name, [[1.0, 2.0]]))
    with pytest.raises(UnsupportedError, match="had 256 numbers, and now 2"):
        model.embed(["b"])


def test_a_slow_server(model: EndpointEmbedder, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_json, "TIMEOUT", 0.1)
    monkeypatch.setattr(http_json, "ATTEMPTS", 2)

    def slow(content: Any) -> Answer:
        time.sleep(0.4)
        return given({})

    server.answers += [slow, slow]
    with pytest.raises(UnsupportedError, match="in time, 2 times"):
        model.embed(["a"])


def test_an_interrupt_while_it_waits(model: EndpointEmbedder, server: Server) -> None:
    going = threading.Event()

    def never(content: Any) -> Answer:
        going.wait(60)
        return given({})

    server.answers.append(never)
    try:
        with watched(lambda: bool(server.requests)), pytest.raises(InterruptError):
            model.embed(["a"])
    finally:
        going.set()


def test_no_server(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    closed = Server()
    closed.close()
    allow_model("openai:m", url=closed.url)
    with pytest.raises(UnsupportedError, match="Check that the server runs"):
        EndpointEmbedder("openai:m").embed(["a"])


def test_address_and_key_of_the_user(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Server()
    allow_model("openai:m", url=f"{other.url}/v2/", key="mine")
    EndpointEmbedder("openai:m").embed(["a"])
    other.close()
    assert [(path, headers["Authorization"]) for path, headers, _ in other.requests] == [
        ("/v2/embeddings", "Bearer mine")
    ]
    assert server.requests == []
    for url in (
        "",
        "file:///etc/passwd",
        "127.0.0.1",
        "http://",
        "ftp://a/",
        "http://a b/",
        "http://a:x/",
        "http://a/?k",
    ):
        with pytest.raises(OptionError, match="address of an endpoint"):
            allow_model("openai:m", url=url)
    with pytest.raises(OptionError, match="no server"):
        allow_model("all-MiniLM-L6-v2", key="k")
    for name in ("openai:", "ollama: "):
        with pytest.raises(OptionError, match="names no model"):
            EndpointEmbedder(name)
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0")
    assert EndpointEmbedder("ollama:m")._place() == ("http://127.0.0.1:11434", "")
    monkeypatch.delenv("OLLAMA_HOST")
    assert EndpointEmbedder("ollama:m")._place() == (endpoints.OLLAMA_URL, "")
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert EndpointEmbedder("openai:other")._place() == (endpoints.OPENAI_URL, "sk-secret")


@pytest.mark.parametrize("name", NAMES)
def test_a_table(name: str, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"], {"model": name}) as table:
        table.append([{"id": number, "body": text} for number, text in enumerate(TEXTS)])
        assert table.search("the cat on the mat", k=1)["id"].to_pylist() == [2]
        assert table.options.model == name
    for private in (b"sk-secret", server.url.encode(), b"http"):
        assert private not in path.read_bytes()
    requests = len(server.requests)
    allowed._named.clear()
    embedder_named.cache_clear()  # as in another process
    with pytest.raises(AudioMemError, match="you did not allow it"):
        audiomem_sql.connect(path).execute("SELECT id FROM t WHERE t MATCH 'a cat'").fetchall()
    with Table(path) as table, pytest.raises(UnsupportedError, match="you did not allow it"):
        table.append([{"id": 9, "body": "more"}])
    with pytest.raises(UnsupportedError, match="you did not allow it"):
        EndpointEmbedder(name).embed(["a"])
    assert len(server.requests) == requests  # a stranger's file asks nobody
    allow_model(name)
    found = audiomem_sql.connect(path).execute("SELECT id FROM t WHERE t MATCH 'the cat on the mat' LIMIT 1")
    assert found.fetchall() == [(2,)]
    sent = [text for _, _, content in server.requests[requests:] for text in content["input"]]
    assert "the cat on the mat" not in sent  # it was known


def test_nothing_is_made_without_a_server(server: Server, tmp_path: Path) -> None:
    server.answers.append(lambda _: given({"error": "model not found, try pulling it first"}, 404))
    with pytest.raises(UnsupportedError, match="try pulling it first"):
        Table.create(tmp_path / "t.flac", ["body TEXT SEMANTIC"], {"model": "ollama:gone"})
    assert not (tmp_path / "t.flac").exists()


def test_a_connection_that_breaks_is_made_again(model: EndpointEmbedder, server: Server) -> None:
    def broken(content: Any) -> Answer:
        raise ConnectionError("the server ends here")

    server.answers += [broken, broken]
    assert np.allclose(model.embed(["a b"]), HashingEmbedder().embed(["a b"]), atol=1e-6)
    assert len(server.requests) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_dies_between_answers_leaves_a_table_as_it_was(
    name: str, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    rows = [{"id": number, "body": f"text {number}"} for number in range(150)]  # three requests
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"], {"model": name}) as table:
        table.append([{"id": 1000, "body": "before"}])
        before, version = path.read_bytes(), table.version

        def works(content: Any) -> Answer:
            return server.embeds("/api/embed" if name == NAMES[1] else "/")(content)

        for ending in (
            given({"error": "no model"}, 404),
            given(b"{"),
            vectors_answer(name, [[1.0] * 9] * 64),
        ):
            server.answers += [works, lambda _, ending=ending: ending]  # type: ignore[misc]
            with pytest.raises(UnsupportedError, match="gave no vectors"):
                table.append(rows)
            assert (path.read_bytes(), table.version, len(table)) == (before, version, 1)
        sql = audiomem_sql.connect(path)
        server.answers += [lambda _: given({"error": "no model"}, 404)]
        with pytest.raises(UnsupportedError, match="gave no vectors"):
            sql.execute("INSERT INTO t(id, body) VALUES (1, 'one'), (2, 'two')")
        assert sql.execute("SELECT id FROM t").fetchall() == [(1000,)]
        sql.close()
        table.append(rows)
        assert len(table) == 151


def test_dimensions_that_are_asked_for(server: Server, tmp_path: Path) -> None:
    for name in NAMES:
        asked = f"{name}?dimensions=8"
        allow_model(asked)
        embedder = EndpointEmbedder(asked)
        assert embedder.dimensions == 8
        assert server.requests == []  # the name says it
        assert embedder.digest != EndpointEmbedder(name).digest
        server.answers.append(lambda _, name=name: vectors_answer(name, [[3.0] * 8]))  # type: ignore[misc]
        assert np.allclose(embedder.embed(["a"]), np.full((1, 8), 8**-0.5))
        content = server.requests.pop()[2]
        assert (content["model"], content["dimensions"]) == (name.partition(":")[2], 8)
        with pytest.raises(UnsupportedError, match="8 dimensions were asked for, its vectors have 256"):
            embedder.embed(["b"])
        server.requests.clear()
        path = tmp_path / f"{name[:6]}.flac"
        server.answers.append(lambda _, name=name: vectors_answer(name, [[3.0] * 8]))  # type: ignore[misc]
        with Table.create(path, ["body TEXT SEMANTIC"], {"model": asked}) as table:
            table.append([{"body": "a text"}])
            assert table.search([1.0] * 8, k=1)["distance"].to_pylist() == [pytest.approx(0, abs=1e-6)]
        server.requests.clear()
        for wrong in ("", "0", "-1", "8x", "08", "65536", "1e3", "8?dimensions=8"):
            with pytest.raises(OptionError, match="no number of dimensions"):
                EndpointEmbedder(f"{name}?dimensions={wrong}")


def test_what_is_secret_is_never_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (
        "http://me:sekret@127.0.0.1:1/v1",
        "http://me:sekret@[::1/v1",
        "http:/me:sekret@host",
        "me:sekret@host",
        "http://sekret@127.0.0.1/?k",
    ):
        with pytest.raises(OptionError) as raised:
            allow_model("openai:m", url=url)
        assert "sekret" not in str(raised.value)
    allow_model("ollama:m")
    monkeypatch.setenv("OLLAMA_HOST", "me:sekret@127.0.0.1")
    with pytest.raises(OptionError, match="a name or a password in it"):
        EndpointEmbedder("ollama:m").embed(["a"])
    allow_model("openai:m")
    for key in ("sekret\nHost: evil", "sekrét", "sekret\x00"):
        with pytest.raises(OptionError, match="characters that no key has") as raised:
            allow_model("openai:m", key=key)
        assert "sekr" not in str(raised.value)
        if "\x00" in key:
            continue
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(OptionError, match="characters that no key has"):
            EndpointEmbedder("openai:m").embed(["a"])
    assert server.requests == []
    monkeypatch.setenv("OPENAI_API_KEY", "  sekret\n")  # as a file with it ends
    EndpointEmbedder("openai:m").embed(["a"])
    assert server.requests[0][1]["Authorization"] == "Bearer sekret"
