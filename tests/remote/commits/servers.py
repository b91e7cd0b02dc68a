"""Real object stores on loopback, each a process of its own: moto and SeaweedFS. Both speak S3."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.commits import open_store

BUCKET = "tables"
#: What both take: they do not look who asks.
OPTIONS: dict[str, Any] = {
    "region": "us-east-1",
    "access_key_id": "test",
    "secret_access_key": "test",
    "client_options": {"allow_http": True, "timeout": "20 seconds"},
}
_PROGRAMS = Path(sys.executable).parent
_GRPC_BEHIND = 10_000
#: Moto compares If-Match and then writes, and another thread of it may write in between, as S3 never lets it.
_MOTO = """
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main
lock, put = threading.Lock(), S3Response.put_object
def put_alone(self):
    with lock:
        return put(self)
S3Response.put_object = put_alone
main(sys.argv[1:])
"""


def free_ports(count: int) -> list[int]:
    """Ports that are free now, as are those 10,000 above, where SeaweedFS has its second ones."""
    found: list[int] = []
    with contextlib.ExitStack() as taken:
        while len(found) < count:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if port + _GRPC_BEHIND > 65_535:
                port -= _GRPC_BEHIND
            try:
                for each in (port, port + _GRPC_BEHIND):
                    held = taken.enter_context(socket.socket())
                    held.bind(("127.0.0.1", each))
            except OSError:
                continue
            found.append(port)
    return found


@contextlib.contextmanager
def running(command: list[str], folder: Path, url: str) -> Iterator[str]:
    """The server while the body runs. It answers at ``url`` when that begins, and is gone afterwards."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True
        )
        try:
            _wait_until_it_answers(process, url, folder / "log")
            yield url
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as refused:
            refused.close()
            return  # it is there, and refuses a stranger
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{log.name}: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.1)
        else:
            return


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Moto's S3, with the bucket, and with conditional writes that are one step."""
    (port,) = free_ports(1)
    command = [sys.executable, "-c", _MOTO, "-H", "127.0.0.1", "-p", str(port)]
    with running(command, folder, f"http://127.0.0.1:{port}") as url:
        request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
        request.add_header(
            "Authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
        )
        urllib.request.urlopen(request).close()
        yield url


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """SeaweedFS with the bucket, all parts in one process."""
    s3, master, volume, filer, admin = free_ports(5)
    command = [
        str(_PROGRAMS / "weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-s3.port={s3}", f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}",
        f"-admin.port={admin}", f"-bucket={BUCKET}", "-admin.ui=false", "-webdav=false",
        "-s3.port.iceberg=0", "-s3.port.lance=0",
    ]  # fmt: skip
    with running(command, folder, f"http://127.0.0.1:{s3}/{BUCKET}") as url:
        endpoint = url.removesuffix(f"/{BUCKET}")
        _wait_until_it_lets_in(endpoint)
        yield endpoint


def _wait_until_it_lets_in(endpoint: str) -> None:
    """SeaweedFS refuses everybody in its first second."""
    end = time.monotonic() + 60
    while True:
        try:
            open_store(f"s3://{BUCKET}", endpoint=endpoint, **OPTIONS).keys("none/")
        except StorageError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


STORES = {"moto": moto, "seaweed": seaweed}
