"""Caches of the web in front of a store: nginx, which keeps files in slices, and Varnish, which does not."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import StorageError
from audiomem_sql.remote import RemoteFile, RemoteOptions, stale
from audiomem_sql.remote.stale import StalePlaces
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy
from remote.tiers.places import free_port, running

MIB = 1 << 20
OLD, NEW = os.urandom(3 * MIB), os.urandom(3 * MIB)
_SBIN = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5; proxy_cache_path {folder}/cache keys_zone=tables:1m;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      slice 1m; proxy_set_header Range $slice_range; proxy_http_version 1.1;
      proxy_cache tables; proxy_cache_key $uri$is_args$args$slice_range; proxy_cache_valid 200 206 1h;
      proxy_cache_bypass $http_cache_control;
      proxy_pass http://127.0.0.1:{upstream};
    }}
  }}
}}
"""
_VARNISH = """vcl 4.1;
backend store {{ .host = "127.0.0.1"; .port = "{upstream}"; }}
sub vcl_recv {{ if (req.http.Cache-Control ~ "no-cache") {{ set req.hash_always_miss = true; }} }}
sub vcl_backend_response {{ set beresp.ttl = 1h; }}
"""


@dataclass
class WebCache:
    """A cache at ``port`` in front of ``proxy``, in front of a store. slices: it keeps parts of a file."""

    port: int
    slices: bool
    proxy: FaultyProxy
    store: S3Store

    def put(self, key: str, data: bytes) -> str:
        put(self.store, key, data)
        return f"http://127.0.0.1:{self.port}/{BUCKET}/{key}"


@contextlib.contextmanager
def started(kind: str, folder: Path, upstream: int) -> Iterator[int]:
    port, config = free_port(), folder / "config"
    text = _NGINX if kind == "nginx" else _VARNISH
    config.write_text(text.format(folder=folder, port=port, upstream=upstream))
    if kind == "nginx":
        command = [str(shutil.which("nginx", path=_SBIN)), "-c", str(config)]
    else:
        command = [str(shutil.which("varnishd", path=_SBIN)), "-F", "-j", "none", "-a", f"127.0.0.1:{port}"]
        command += ["-f", str(config), "-n", str(folder / "work"), "-s", "malloc,64m", "-T", "none"]
    with running(command, port) as server:
        yield port
        if kind == "varnish":  # its child would outlive a kill for a moment
            server.terminate()
            server.wait(20)


@pytest.fixture(scope="module", params=["nginx", "varnish"])
def started_cache(
    request: pytest.FixtureRequest, shared_proxy: FaultyProxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, bool]]:
    with started(request.param, tmp_path_factory.mktemp(request.param), shared_proxy.port) as port:
        yield port, request.param == "nginx"


@pytest.fixture
def cache(started_cache: tuple[int, bool], proxy: FaultyProxy, store: S3Store) -> WebCache:
    return WebCache(*started_cache, proxy, store)


def test_the_same_bytes(cache: WebCache) -> None:
    url = cache.put("same.bin", OLD)
    choice = random.Random(5)
    for turn in range(2):
        file = RemoteFile(url)
        starts = [choice.randrange(3 * MIB) for _ in range(60)] + [MIB - 5, 2 * MIB - 70_000]
        ranges = [(start, choice.randrange(1, 100_000)) for start in starts]
        assert file.read(ranges) == [OLD[start : start + length] for start, length in ranges]
        if turn == 0:
            assert file.read_at(0, 3 * MIB) == OLD
            cache.proxy.log = []
    assert cache.proxy.log == []


def test_parts_of_two_states_are_never_mixed(cache: WebCache) -> None:
    """The cache has the first two MiB of the old state, and would fetch the last one of the new state."""
    url = cache.put("replaced.bin", OLD)
    file = RemoteFile(url)
    assert file.read_at(MIB + 9, 9) == OLD[MIB + 9 : MIB + 18]
    cache.put("replaced.bin", NEW)
    if not cache.slices:  # it goes on giving the old state, all of it
        assert file.read_at(0, 3 * MIB) == OLD
        assert RemoteFile(url).identity == file.identity
        return
    assert RemoteFile(url).identity == file.identity  # as the cache has its beginning
    for start, length in ((2 * MIB + 9, 9), (2 * MIB - 9, 18)):
        with pytest.raises(StorageError, match=r"replaced\.bin: .* another snapshot"):
            file.read_at(start, length)
    assert file.read_at(MIB + 500_000, 9) == OLD[MIB + 500_000 : MIB + 500_009]
    assert not file.is_current()
    new = RemoteFile(url)
    assert new.identity != file.identity
    assert new.read([(MIB + 9, 9), (2 * MIB - 9, 18), (0, 9)]) == [
        *(NEW[MIB + 9 : MIB + 18], NEW[2 * MIB - 9 : 2 * MIB + 9], NEW[:9])
    ]
    assert new.read_at(0, 3 * MIB) == NEW


def test_a_request_over_parts_of_two_states(cache: WebCache) -> None:
    """nginx closes the connection; the next try goes past it, for the first request and for others."""
    url = cache.put("head.bin", OLD)
    assert RemoteFile(url, RemoteOptions(head=1024)).read_at(0, 9) == OLD[:9]
    cache.put("head.bin", NEW)
    file = RemoteFile(url, RemoteOptions(head=MIB + 5000))
    state = NEW if cache.slices else OLD
    assert file.read_at(0, 3 * MIB) == state
    url = cache.put("other.bin", OLD)
    assert RemoteFile(url).read_at(0, 9) == OLD[:9]
    cache.put("other.bin", NEW)
    cache.put("other.bin", OLD)  # so its ETag is that of the first part again
    assert RemoteFile(url).read_at(MIB - 9, 18) == OLD[MIB - 9 : MIB + 9]


def test_a_table_of_which_a_cache_has_parts(
    cache: WebCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error at most; then the table is what it is in the store."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    monkeypatch.setenv("AUDIOMEM_REMOTE_KEPT", "0")
    choice = random.Random(6)
    rows = [{"id": n, "body": choice.randbytes(15_000)} for n in range(150)]
    path = tmp_path / "notes.flac"
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "body BLOB"], {"protection": "none"}) as made:
        made.append(rows)
        made.vacuum()
        data = [path.read_bytes()]
        made.append([{"id": 9999, "body": b"new"}])
        made.vacuum()
    data.append(path.read_bytes())
    assert len(data[0]) > 2 * MIB
    url = cache.put("notes.flac", data[0])
    connection = am.connect(url)
    assert connection.execute("SELECT body FROM notes WHERE id = 3").fetchone() == (rows[3]["body"],)
    cache.put("notes.flac", data[1])
    last = "SELECT body FROM notes WHERE id = 149"
    if cache.slices:
        with pytest.raises(Exception, match="another snapshot"):
            connection.execute(last).fetchone()
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (151,)
    assert connection.execute(last).fetchone() == (rows[149]["body"],)
    connection.close()


def test_what_a_cache_damaged_is_fetched_past_it(cache: WebCache, tmp_path: Path) -> None:
    """There is no parity that could do it."""
    rows = [{"id": n, "body": random.Random(n).randbytes(300).hex()} for n in range(600)]
    path = tmp_path / "damaged.flac"
    options = {"protection": "none", "profile": "embedded"}
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT"], options) as made:
        made.append(rows)
        made.vacuum()
    url = cache.put("damaged.flac", path.read_bytes())
    cache.proxy.faults = ["wrong"]  # what fills the cache
    with am.open(url) as table:
        assert table.to_arrow().to_pylist() == rows
    healing = len(cache.proxy.gets())
    assert healing >= 2
    with am.open(url) as table:
        assert table.to_arrow().to_pylist() == rows
    assert len(cache.proxy.gets()) == healing  # the cache has the right bytes by now


def test_places_with_stale_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(stale.time, "monotonic", lambda: now[0])
    places = StalePlaces()
    assert not places.has("a")
    for number in range(1025):
        places.add(number)
    assert [places.has(0), places.has(1), places.has(1024)] == [False, True, True]
    now[0] += 59
    places.add(7)
    assert places.has(1)
    now[0] += 2
    assert [places.has(1), places.has(7)] == [False, True]
