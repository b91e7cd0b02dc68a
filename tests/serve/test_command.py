"""``audiomem serve`` and ``audiomem token`` as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import audiomem_sql as am
from audiomem_sql.cli import main
from audiomem_sql.serve.tokens import TokenFile, add_token

AUDIOMEM = [sys.executable, "-m", "audiomem_sql"]


@contextlib.contextmanager
def process(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server, and its address."""
    running = subprocess.Popen([*AUDIOMEM, "serve", *arguments], cwd=cwd, stderr=subprocess.PIPE, text=True)
    try:
        assert running.stderr is not None
        line = running.stderr.readline()
        assert line.startswith("serving at "), line
        yield running, line.split()[2].rstrip(";")
    finally:
        running.kill()
        running.wait(20)
        if running.stderr is not None:
            running.stderr.close()


def certificate(folder: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        *subject,
    ]
    subprocess.run(
        [*command, "-keyout", "key.pem", "-out", "cert.pem"], cwd=folder, check=True, capture_output=True
    )


def test_a_server_with_tokens_and_tls(tmp_path: Path) -> None:
    am.write_flac([{"id": 1, "a": "x"}], tmp_path / "kb.flac").close()
    token = add_token(str(tmp_path / "tokens.json"), "app", {"kb": ["read", "write"]})
    certificate(tmp_path)
    options = ["--tokens", "tokens.json", "--writable", "--certificate", "cert.pem", "--key", "key.pem"]
    with process("kb.flac", "--port", "0", *options, cwd=tmp_path) as (server, address):
        assert address.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, verify=context, headers=headers, timeout=30) as client:
            assert client.get("/tables/kb/rows").json()["rows"] == [{"id": 1, "a": "x"}]
            assert client.post("/tables/kb/rows", json=[{"id": 2, "a": "y"}]).status_code == 201
            assert os.path.exists(tmp_path / "kb.flac-wal")
        server.send_signal(signal.SIGTERM)
        assert server.stderr is not None
        lines = server.stderr.read().splitlines()
        assert server.wait(20) == 0
    entries = [json.loads(line) for line in lines]
    assert [(entry["method"], entry["route"], entry["table"], entry["status"]) for entry in entries] == [
        ("GET", "/tables/{table}/rows", "kb", 200),
        ("POST", "/tables/{table}/rows", "kb", 201),
    ]
    assert all(
        entry["token"] == "app" and entry["bytes"] and entry["client"] == "127.0.0.1" for entry in entries
    )
    assert not os.path.exists(tmp_path / "kb.flac-wal")  # the table is one file at rest
    with am.open(tmp_path / "kb.flac") as table:
        assert table.to_arrow()["a"].to_pylist() == ["x", "y"]


def test_what_cannot_be_served(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    am.write_flac([{"id": 1}], "kb.flac").close()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kb.flac").write_bytes((tmp_path / "kb.flac").read_bytes())
    for arguments, code, said in (
        (["nope.flac"], 1, "no such file"),
        (["kb.flac", "folder/kb.flac"], 2, "would both be the table kb"),
        (["kb.flac", "--writable"], 2, "needs tokens"),
        (["kb.flac", "--certificate", "a", "--key", "b"], 2, "certificate"),
        (["kb.flac", "--tokens", "kb.flac"], 2, "no file of tokens"),
    ):
        assert main.run(["serve", *arguments, "--port", "0"]) == code
        error = capfd.readouterr().err
        assert said in error
        assert error.count("\n") == 1, error


def test_tokens(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "tokens.json")
    assert main.run(["token", "add", path, "all", "--days", "2"]) == 0
    assert TokenFile(path).find(capfd.readouterr().out.strip()) is not None
    assert main.run(["token", "add", path, "some", "--download", "kb", "--write", "kb"]) == 0
    assert main.run(["token", "add", path, "some"]) == 2
    capfd.readouterr()
    assert main.run(["token", "list", path]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("all  *: read file  until 2")
    assert second == "some  kb: file write"
    assert main.run(["token", "remove", path, "all"]) == 0
    assert main.run(["token", "remove", path, "all"]) == 2
    assert "no token all" in capfd.readouterr().err


def test_what_operators_see(tmp_path: Path) -> None:
    am.write_flac([{"id": 1, "a": "x"}], tmp_path / "kb.flac").close()
    command = [*AUDIOMEM, "serve", "kb.flac", "--port", "0", "--metrics-port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            said = server.stderr.readline().split()
            address, _, metrics = (word.rstrip(";") for word in said if word.startswith("http:"))
            assert httpx.get(f"{address}/tables/kb/rows").status_code == 200
            assert httpx.get(f"{address}/nothing").status_code == 404
            seen = httpx.get(metrics).text
        finally:
            server.kill()
    for line in (
        'http_requests_total{method="GET",route="/tables/{table}/rows",status="200"} 1.0',
        'http_requests_total{method="GET",route="none",status="404"} 1.0',
    ):
        assert f"audio_memory_{line}" in seen, seen
