"""Tables in a store behind tiers of a cache: what the second reader asks for, and that it is never old."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
from functools import partial
from hashlib import sha512
from pathlib import Path
from typing import Any

import duckdb
import obstore
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.remote import RemoteFile, memory_store
from audiomem_sql.remote.tiers import CachedSource
from audiomem_sql.table.table import Table
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "n INTEGER"]


def rows(first: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "body": f"word{n % 31} {sha512(bytes(n % 999 + first)).hexdigest()}", "n": n % 10}
        for n in range(1, 3001)
    ]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two states of a table."""
    made = []
    for first in (0, 1):
        path = tmp_path_factory.mktemp("states") / "kb.flac"
        with am.Table.create(path, COLUMNS, {"protection": "none"}) as table:
            table.append(rows(first))
            table.vacuum()
        made.append(path.read_bytes())
    return made


@pytest.fixture
def tiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.delenv("AUDIOMEM_CACHE", raising=False)
    return ["memory:9MB", f"disk:{tmp_path}/cache:50MB"]


def source_of(table: am.Table) -> Any:
    return table.snapshot.segments[0].file.source.file


#: What is read of the store when a table is opened: its state, and the bytes that come along.
HEAD = ["bytes=0-81919"]


def test_a_second_reader_asks_only_for_the_state(
    states: list[bytes], store: S3Store, proxy: FaultyProxy, tiers: list[str]
) -> None:
    """Of a disk tier alone, so that nothing is left in this process; decoded blocks are not kept."""
    url = put(store, "kb.flac", states[0])
    disk = tiers[1]
    answers = []
    for warm in (False, True):
        proxy.log = []
        with am.open(url, cache=disk) as table:
            table._opened.cache = BlockCache(0)
            answers.append([table.get(2222), table.search("words: word7").to_pylist(), table.to_arrow(["n"])])
            assert (proxy.gets() == HEAD) == warm
            assert not table.refresh()
        assert isinstance(source_of(table), CachedSource)
    assert answers[0] == answers[1]
    assert answers[0][0] == rows(0)[2221]


def test_a_cache_asks_for_no_more_steps(
    states: list[bytes], store: S3Store, proxy: FaultyProxy, tiers: list[str]
) -> None:
    """What a query says in advance reaches the store; cells are read rather than pages."""
    url = put(store, "kb.flac", states[0])
    steps, sent = [], []
    for cache in ([], tiers):
        before = proxy.sent
        with Table(url, cache=cache) as table:
            table.get(2222)
            table.search("words: word7 word8", columns=["id"])
            source = source_of(table)
            assert source.prefers_short_reads
            steps.append((source._below if cache else source).counts.steps)
        sent.append(proxy.sent - before)
    assert steps[1] <= steps[0]
    assert sent[1] < 1.2 * sent[0]


@pytest.mark.parametrize("native", ["on", "off", "connect"])
def test_sqlite(
    native: str, states: list[bytes], store: S3Store, tiers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import apsw

    monkeypatch.setenv("AUDIOMEM_EXTENSION", "off" if native == "off" else "on")
    url = put(store, f"{native}.flac", states[0])
    if native == "connect":
        connection = am.connect(url, "t", cache=tiers)
    else:
        connection = apsw.Connection(":memory:")
        am.register(connection)
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}', cache='{', '.join(tiers)}')")
    assert connection.execute("SELECT sum(n) FROM t").fetchall() == [(13_500,)]
    used = {row[0]: row[1] for row in connection.execute("SELECT tier, bytes_in FROM audiomem_cache()")}
    assert used[tiers[1]] > 0
    assert os.path.isdir(tiers[1].split(":")[1])
    with pytest.raises(Exception, match="1XB"):
        connection.execute(f"CREATE VIRTUAL TABLE u USING audiomem('{url}', cache='disk:x:1XB')")
    with pytest.raises(Exception, match="is a local file, which is read without a cache"):
        connection.execute("CREATE VIRTUAL TABLE u USING audiomem('new.flac', a TEXT, cache='memory:1MB')")
    connection.close()


def test_doors_without_options_have_the_environment(
    states: list[bytes], store: S3Store, proxy: FaultyProxy, tiers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command fills the disk, DuckDB reads from it; what names its own tiers, or none, has those."""
    url = put(store, "kb.flac", states[0])
    monkeypatch.setenv("AUDIOMEM_CACHE", tiers[1])
    program = Path(sys.executable).with_name("audiomem")
    done = subprocess.run(
        [program, "sql", url, "SELECT sum(n), count(body) FROM kb"], capture_output=True, text=True
    )
    assert "13500" in done.stdout, done.stderr
    proxy.log = []
    connection = duckdb.connect()
    am.register_duckdb(connection)
    scan = f"SELECT sum(n), count(body) FROM audiomem_scan('{url}')"
    assert connection.execute(scan).fetchall() == [(13_500, 3000)]
    assert set(proxy.gets()) == set(HEAD)
    connection.close()
    with am.open(url, cache=[]) as table:
        assert isinstance(source_of(table), RemoteFile)
    before = proxy.sent
    verified = subprocess.run([program, "verify", url], capture_output=True, text=True)
    assert "all well" in verified.stdout
    assert proxy.sent - before >= len(states[0])  # the object itself
    monkeypatch.setenv("AUDIOMEM_CACHE", "disc:/x:1GB")
    with pytest.raises(OptionError, match="is no tier"):
        am.open(url)


def test_local_files_have_none(tmp_path: Path, tiers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.flac"
    am.Table.create(path, COLUMNS).close()
    with pytest.raises(OptionError, match=r"a\.flac: option cache: is a local file"):
        am.open(path, cache=tiers)
    monkeypatch.setenv("AUDIOMEM_CACHE", ",".join(tiers))
    am.open(path).close()
    am.open(path, cache=[]).close()
    assert not os.path.exists(tmp_path / "cache")


def test_a_replaced_object_has_other_blocks(
    states: list[bytes], store: S3Store, tiers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open table is one snapshot also behind tiers, and a refresh opens the new one."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEAD", "1024")
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    url = put(store, "kb.flac", states[0])
    with am.open(url, cache=tiers) as table:
        assert table.get(1) == rows(0)[0]
        assert not table.refresh()
        assert isinstance(source_of(table.checkout(2)), CachedSource)
        put(store, "kb.flac", states[1])
        with pytest.raises(StorageError, match="another snapshot"):
            table.to_arrow()
        assert table.refresh()
        assert table.to_arrow().to_pylist() == rows(1)


def test_a_wrong_byte_is_corrected_in_every_tier(
    states: list[bytes], store: S3Store, proxy: FaultyProxy, tiers: list[str]
) -> None:
    """Each answer is wrong but to requests past caches; the cells that are kept in the end are right."""
    url = put(store, "kb.flac", states[0])
    with Table(url, cache=tiers) as table:
        proxy.always = "wrong"
        assert table.to_arrow().to_pylist() == rows(0)
    proxy.always, proxy.log = "", []
    with Table(url, cache=tiers[1]) as again:
        again._opened.cache = BlockCache(0)
        assert again.to_arrow().to_pylist() == rows(0)
        assert proxy.gets() == HEAD
        assert source_of(again)._read_anew == {}


def test_signatures_and_what_cannot_be_told_apart(
    states: list[bytes], store: S3Store, proxy: FaultyProxy, tiers: list[str]
) -> None:
    """A new signature is the same object, another query another one; memory:// is of this process alone."""
    put(store, "kb.flac", states[0])
    base = f"http://127.0.0.1:{proxy.port}/{BUCKET}/kb.flac"
    identities = [
        RemoteFile(base + query).identity
        for query in ("?X-Amz-Signature=A&X-Amz-Date=1", "?X-Amz-Signature=B", "?file=1", "?file=2&sig=3")
    ]
    assert identities[0] == identities[1] == RemoteFile(base).identity
    assert len(set(identities)) == 3
    assert "file" not in repr(identities)
    obstore.put(memory_store(), "kb.flac", states[0])
    here: Any = RemoteFile("memory://kb.flac").identity
    code = (
        "import obstore, sys; from audiomem_sql.remote import *; obstore.put(memory_store(), 'kb.flac', "
        "open(sys.argv[1], 'rb').read()); print(*RemoteFile('memory://kb.flac').identity, sep='\\n')"
    )
    path = Path(tiers[1].split(":")[1]).with_name("state")
    path.write_bytes(states[0])
    other = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    server, name, chosen = other.stdout.split("\n")[:3]
    assert here[1:3] == (name, chosen)
    assert here[0] != server


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of a folder with the time of their change, to the second, and no ETag."""

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_what_has_no_lasting_identity_is_not_shared(
    states: list[bytes], tmp_path: Path, tiers: list[str]
) -> None:
    """Two states of a file with the same size and time, as after two changes within a second."""
    path, url = tmp_path / "kb.flac", ""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/kb.flac"
            for filler in (b"a", b"b"):
                path.write_bytes(states[0] + filler * 10)
                os.utime(path, (1e9, 1e9))
                with am.open(url, cache=tiers) as table:
                    assert not source_of(table)._below.has_lasting_identity
                    assert source_of(table).read_at(len(states[0]), 10) == filler * 10
        finally:
            server.shutdown()
            thread.join()
