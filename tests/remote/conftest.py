"""A real store on loopback, started once, and a proxy in front of it that each test has for itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from remote.proxy import FaultyProxy

BUCKET = "tables"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port at which SeaweedFS speaks S3; it has the bucket ``BUCKET``."""
    program = Path(sys.executable).with_name("weed")
    for _ in range(5):  # it takes more ports than its own, which others may take meanwhile, and ends then
        folder, port = tmp_path_factory.mktemp("seaweed"), free_port()
        options = [f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"]
        options += [f"-bucket={BUCKET}", "-admin.ui=false", "-webdav=false"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([program, "mini", *options], stdout=log, stderr=log, cwd=folder)
        try:
            if _has_started(f"http://127.0.0.1:{port}/{BUCKET}/", server):
                yield port
                return
        finally:
            server.kill()  # it takes half a minute to end by itself
            server.wait(20)
    raise AssertionError("the store did not start")


def _has_started(url: str, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the store answers; False if it has ended."""
    for _ in range(600):
        if server.poll() is not None:
            return False
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


@pytest.fixture(scope="session")
def shared_proxy(seaweed: int) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(seaweed)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(shared_proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> FaultyProxy:
    """In front of the store that ``s3://`` leads to, honest at first."""
    shared_proxy.reset()
    for name in [name for name in os.environ if name.startswith(("AWS_", "AUDIOMEM_REMOTE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", shared_proxy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "DO-NOT-TELL")
    monkeypatch.setenv("AUDIOMEM_REMOTE_TIMEOUT", "2")
    monkeypatch.setenv("AUDIOMEM_REMOTE_BUDGET", "5")
    return shared_proxy


@pytest.fixture
def store(proxy: FaultyProxy) -> S3Store:
    """The bucket ``BUCKET``, not through the proxy."""
    return S3Store(
        BUCKET,
        endpoint=f"http://127.0.0.1:{proxy.upstream}",
        access_key_id="somebody",
        secret_access_key="DO-NOT-TELL",
        client_options={"allow_http": True},
    )


def put(store: S3Store, key: str, data: bytes) -> str:
    """Put ``data`` there; its URL."""
    obstore.put(store, key, data)
    return f"s3://{BUCKET}/{key}"
