"""A table in a real store, read through every door; and what each says of a write."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from hashlib import sha512
from pathlib import Path
from typing import Any

import duckdb
import obstore
import polars as pl
import pysqlite3
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql import dbapi
from audiomem_sql.errors import AudioMemError, NotAudioMemoryError, StorageError, UnsupportedError
from audiomem_sql.polars import scan_flac
from audiomem_sql.remote import memory_store
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "n INTEGER"]
ROWS = [
    {"id": n, "body": f"{'wave' if n % 50 else 'flac'} {sha512(bytes(n)).hexdigest()}", "n": n % 10}
    for n in range(1, 1001)
]
LAST = {"id": 1001, "body": "the end", "n": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("table") / "notes.flac"
    with am.Table.create(path, COLUMNS, {"profile": "embedded", "protection": "standard"}) as made:
        made.append(ROWS)
        made.vacuum()
        made.append([LAST])
    return path.read_bytes()


@pytest.fixture(params=["s3", "http", "memory", "fsspec"])
def url(request: pytest.FixtureRequest, table: bytes, store: S3Store, proxy: FaultyProxy) -> Iterator[str]:
    """The table, by each kind of URL; that of a web server is signed."""
    put(store, "notes.flac", table)
    obstore.put(memory_store(), "doors/notes.flac", table)
    if request.param == "fsspec":
        path = request.getfixturevalue("tmp_path") / "notes.flac"
        path.write_bytes(table)
        yield f"local://{path}"
        return
    yield {
        "s3": f"s3://{BUCKET}/notes.flac",
        "http": f"http://me:PASSWORD@127.0.0.1:{proxy.port}/{BUCKET}/notes.flac?X-Amz-Signature=SECRET",
        "memory": "memory://doors/notes.flac",
    }[request.param]


def test_python(url: str) -> None:
    with am.open(url) as table:
        assert (table.name, len(table)) == ("notes", 1001)
        assert table.get(1001) == LAST
        assert list(table.to_arrow().to_pylist()) == [*ROWS, LAST]
        found = table.search("words: flac", k=3, columns=["id"])
        assert [row["id"] for row in found.to_pylist()] == [50, 100, 150]
        assert len(table.checkout(2)) == 1000
        assert pickle.loads(pickle.dumps(table)).get(7) == ROWS[6]
        assert "1,001 rows" in table._repr_html_()
    assert len(am.open(url, version=2)) == 1000
    assert am.read_flac(url, ["id"], "id > ?", [999])["id"].tolist() == [1000, 1001]
    assert scan_flac(url).filter(pl.col("id") == 1001).collect().to_dicts() == [LAST]


@pytest.mark.parametrize("native", [True, False])
def test_sqlite(url: str, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    connection = am.connect(url)
    assert connection.execute("SELECT count(*), max(id) FROM notes WHERE n = 1").fetchall() == [(101, 1001)]
    assert len(connection.execute("SELECT id FROM notes WHERE body MATCH 'flac'").fetchall()) == 20
    assert connection.execute("SELECT count(*) FROM notes WHERE version = 2").fetchall() == [(1000,)]
    with pytest.raises(Exception, match="only read") as raised:
        connection.execute("DELETE FROM notes")
    assert "SECRET" not in str(raised.value)
    connection.close()
    assert dbapi.connect(url).execute("SELECT body FROM notes WHERE id = 1001").fetchone() == ("the end",)
    other = pysqlite3.connect(":memory:")
    am.load(other)
    other.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{url}')")
    assert other.execute("SELECT sum(n) FROM t").fetchone() == (4501,)
    other.close()


def test_duckdb(url: str) -> None:
    python = duckdb.connect()
    am.register_duckdb(python)
    extension = duckdb.connect(config={"allow_unsigned_extensions": True})
    am.load(extension)
    for connection in (python, extension):
        answer = connection.execute(f"FROM audiomem_scan('{url}') WHERE id > 1000").fetchall()
        assert answer == [(1001, "the end", 1)]
        both = connection.execute(f"SELECT count(*) FROM audiomem_scan(['{url}', '{url}'])").fetchall()
        assert both == [(2002,)]
        found = connection.execute(
            f"SELECT id FROM audiomem_search('{url}', 'words: flac', k := 2)"
        ).fetchall()
        assert found == [(50,), (100,)]
        assert len(connection.execute(f"FROM audiomem_snapshots('{url}')").fetchall()) == 3
    assert extension.execute(f"SELECT max(id) FROM '{url}'").fetchall() == [(1001,)]
    assert am.attach(python, url) == "notes"
    assert python.execute("SELECT count(*) FROM notes").fetchall() == [(1001,)]
    assert am.attach(python, url, url) == url  # a table's name, which DuckDB finds before it looks for a file
    assert python.execute(f"SELECT max(id) FROM '{url}' WHERE n = 1").fetchall() == [(1001,)]
    for connection in (python, extension):
        connection.close()


def audiomem(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("audiomem")
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def test_commands_with_urls(store: S3Store, table: bytes, tmp_path: Path) -> None:
    url = put(store, "notes.flac", table)
    for arguments, said in {
        ("info", url): "1,001 rows",
        ("sql", url, "SELECT max(id) FROM notes"): "1001",
        ("verify", url): "all well",
        ("backup", url, str(tmp_path / "copy.flac")): "1,001 rows",
        ("backup", url, str(tmp_path / "old.flac"), "--version", "2"): "1,000 rows",
    }.items():
        done = audiomem(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        assert said in done.stdout
    assert (tmp_path / "copy.flac").read_bytes() == table
    assert len(am.open(tmp_path / "old.flac")) == 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.flac", "old.flac"]
    for command, code, said in (
        ("vacuum", 1, "only read"),
        ("drop", 0, "deleted"),
        ("info", 1, "no such object"),
    ):
        done = audiomem(command, url, *(["--yes"] if command == "drop" else []))
        assert done.returncode == code, (command, done.stderr)
        assert said in done.stdout + done.stderr


def test_writes_are_one_error(url: str, tmp_path: Path) -> None:
    with am.open(url) as table:
        writes: list[Any] = [
            lambda: table.append([LAST]),
            table.vacuum,
            table.checkpoint,
            lambda: table.tag("x"),
            table.begin,
            lambda: am.write_flac([LAST], url, if_exists="append"),
            lambda: am.Table.create(url, COLUMNS),
            lambda: table.backup(url),
        ]
        for write in writes:
            with pytest.raises(
                (UnsupportedError, StorageError), match=r"only (be )?read|exists already"
            ) as raised:
                write()
            told = "".join(traceback.format_exception(raised.value)).replace(repr(url), "")
            assert "SECRET" not in re.sub(r"^    .*$", "", told, flags=re.MULTILINE)
    with am.open(url, salvage=True) as table:
        assert len(table) == 1001


def test_a_replaced_object(
    store: S3Store, table: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open table is one snapshot; a refresh, which each statement of SQL does, opens the new one."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEAD", "1024")
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    url = put(store, "replaced.flac", table)
    with am.Table.create(tmp_path / "new.flac", COLUMNS) as new:
        new.append([LAST])
    reader, connection = am.open(url), am.connect(url)
    assert not reader.refresh()
    snapshot = reader.snapshot
    assert connection.execute("SELECT count(*) FROM replaced").fetchall() == [(1001,)]
    put(store, "replaced.flac", (tmp_path / "new.flac").read_bytes())
    with pytest.raises(StorageError, match="another snapshot"):
        reader.to_arrow()
    assert connection.execute("SELECT count(*) FROM replaced").fetchall() == [(1,)]
    assert reader.refresh()
    assert reader.to_arrow().to_pylist() == [LAST]
    assert not reader.refresh()
    assert reader.snapshot is not snapshot
    connection.close()
    reader.close()


def test_looking_for_a_newer_state_is_rare(proxy: FaultyProxy, store: S3Store, table: bytes) -> None:
    with am.open(put(store, "notes.flac", table)) as reader:
        proxy.log = []
        assert not reader.refresh()
        assert proxy.log == []


def test_a_file_that_says_its_log_is_elsewhere(store: S3Store, tmp_path: Path) -> None:
    """As of any copy without its log."""
    path = tmp_path / "open.flac"
    with am.Table.create(path, COLUMNS) as open_table:
        open_table.append([LAST])
        data = path.read_bytes()
        assert Path(f"{path}-wal").exists()
    with pytest.raises(AudioMemError, match="-wal, which is not here"):
        am.open(put(store, "open.flac", data))


def test_what_is_no_table(store: S3Store, proxy: FaultyProxy) -> None:
    with pytest.raises(NotAudioMemoryError, match="//tables/text: not a FLAC file"):
        am.open(put(store, "text", b"hello"))
    with pytest.raises(StorageError, match="no such object"):
        am.open(f"s3://{BUCKET}/none.flac")
    with pytest.raises(StorageError, match="there is no such object"):
        am.connect(f"s3://{BUCKET}/none.flac")
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "DO-NOT-TELL"
