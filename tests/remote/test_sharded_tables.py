"""Sharded tables in real stores: read through every door, and copied there while readers go on."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import obstore
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import (
    AudioMemError,
    BusyError,
    DamagedFileError,
    FormatVersionError,
    OptionError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.shards import ShardedSnapshot, manifest_at
from audiomem_sql.table import sharded_copies
from audiomem_sql.upkeep.verify import problems
from remote.commits.proxy import proxied
from remote.commits.servers import moto
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy
from remote.sharded_crew import ROWS, rows_of

COLUMNS = ["code TEXT PRIMARY KEY", "body TEXT INDEXED", "year INTEGER"]
KILLS = int(os.environ.get("AUDIOMEM_SHARDED_KILLS", "2"))


def made(folder: Path, name: str = "kb.shards", rows: int = 200) -> Path:
    path = folder / name
    with am.create(path, COLUMNS, shards=4, profile="embedded") as table:
        table.append([{"code": f"c{n}", "body": f"flac number {n}", "year": n} for n in range(rows)])
        table.append([{"code": "last", "body": "the end", "year": 1}])
        table.tag("both")
    return path


def put_folder(store: S3Store, folder: Path, key: str) -> str:
    """A plain copy of a folder, the manifest last."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == "manifest"):
        obstore.put(store, f"{key}/{path.name}", path.read_bytes())
    return f"s3://{BUCKET}/{key}"


def contents(table: am.Table) -> list[dict[str, object]]:
    return table.to_arrow().sort_by("code").to_pylist()


def objects(store: S3Store, key: str) -> dict[str, bytes]:
    found = [meta["path"] for page in obstore.list(store, f"{key}/") for meta in page]
    return {path.removeprefix(f"{key}/"): bytes(obstore.get(store, path).bytes()) for path in found}


@pytest.fixture(params=["s3", "http"])
def url(request: pytest.FixtureRequest, store: S3Store, proxy: FaultyProxy, tmp_path: Path) -> str:
    """A plain copy of a table, by each kind of URL; that of a web server is signed."""
    url = put_folder(store, made(tmp_path), "sharded/doors/kb.shards")
    if request.param == "s3":
        return url
    host = f"http://me:PASSWORD@127.0.0.1:{proxy.port}"
    return f"{host}/{BUCKET}/sharded/doors/kb.shards?X-Amz-Signature=SECRET"


def test_doors(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = am.open(tmp_path / "kb.shards")
    with am.open(url) as table:
        assert (table.name, len(table), table.version, table.tags) == ("kb", 201, 4, {"both": 3})
        assert table.to_arrow().equals(local.to_arrow())
        assert table.get(200) == local.get(200)
        assert len(table.checkout(2)) == 200
        assert table.search("words: flac", k=3, columns=["code"]).equals(
            local.search("words: flac", k=3, columns=["code"])
        )
        assert len(pickle.loads(pickle.dumps(table))) == 201
        assert [str(problem) for problem in problems(table)] == []
        assert "SECRET" not in repr(table)
    assert am.read_flac(url, ["year"], "code = 'c7'")["year"].tolist() == [7]
    connection = am.connect(url)
    assert connection.execute("SELECT count(*), max(year) FROM kb WHERE year < 9").fetchall() == [(10, 8)]
    with pytest.raises(Exception, match="only read") as raised:
        connection.execute("DELETE FROM kb")
    assert "SECRET" not in str(raised.value)
    connection.close()
    python, extension = duckdb.connect(), duckdb.connect(config={"allow_unsigned_extensions": True})
    am.register_duckdb(python)
    am.load(extension)
    for each in (python, extension):
        answer = each.execute(f"SELECT code FROM audiomem_scan('{url}') WHERE body = 'the end'").fetchall()
        assert answer == [("last",)]
    assert extension.execute(f"SELECT count(*) FROM '{url}'").fetchall() == [(201,)]
    shell = subprocess.run(
        [sys.executable, "-m", "audiomem_sql", "info", "--json", url], capture_output=True, text=True
    )
    assert shell.returncode == 0, shell.stderr
    assert json.loads(shell.stdout)["rows"] == 201


def test_refused_writes(store: S3Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    url = put_folder(store, made(tmp_path), "sharded/refused/kb.shards")
    before = objects(store, "sharded/refused/kb.shards")
    table = am.open(url)
    writes: list[Callable[[], object]] = [
        lambda: table.append([{"code": "x"}]),
        table.vacuum,
        lambda: table.tag("x"),
        table.repair,
        lambda: am.drop(url),
    ]
    for write in writes:
        with pytest.raises(UnsupportedError, match=r"kb\.shards: a sharded table"):
            write()
    with pytest.raises(StorageError, match="is there already"):
        am.create(url, COLUMNS, shards=2)
    with (
        am.create(tmp_path / "one.flac", COLUMNS, profile="embedded") as one,
        pytest.raises(OptionError, match=r"only sharded tables are called \.shards"),
    ):
        one.backup(f"s3://{BUCKET}/sharded/refused/new.shards")
    assert objects(store, "sharded/refused/kb.shards") == before
    assert not objects(store, "sharded/refused/new.shards")


def test_a_key_opens_one_shard(store: S3Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    url = put_folder(store, made(tmp_path), "sharded/few/kb.shards")
    with am.open(url) as table:
        assert len(table.to_arrow(where="code = 'c7'")) == 1
        assert isinstance(table.snapshot, ShardedSnapshot)
        assert sum(file.is_open for file in table.snapshot.shard_files) == 1
    asked = [path for method, path, _ in proxy.log if method == "GET"]
    assert sum("/manifest" in path for path in asked) == 1
    assert len({path for path in asked if ".flac" in path}) == 1


def _newer_format(folder: Path, other: Path) -> None:
    data = bytearray((folder / "manifest").read_bytes())
    half = len(data) // 2
    data[4:6] = (9).to_bytes(2, "little")
    copy = crc32c(bytes(data[4:half])).to_bytes(4, "little") + data[4:half]
    (folder / "manifest").write_bytes(2 * bytes(copy))


def _missing(folder: Path, other: Path) -> None:
    (folder / "shard-0002.flac").unlink()


def _foreign(folder: Path, other: Path) -> None:
    shutil.copy(other / "shard-0002.flac", folder)


def _newer_manifest(folder: Path, other: Path) -> None:
    """The shards are from before the last commit: the copy began too early."""
    before = {path.name: path.read_bytes() for path in folder.glob("*.flac")}
    with am.open(folder) as table:
        table.append([{"code": f"n{n}"} for n in range(40)])
    for name, data in before.items():
        (folder / name).write_bytes(data)


def _none(folder: Path, other: Path) -> None:
    (folder / "manifest").unlink()


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (_newer_format, FormatVersionError, "format 9"),
        (_missing, StorageError, r"shard-0002\.flac: shard 2 is missing"),
        (_foreign, DamagedFileError, r"shard-0002\.flac: another table is in the place of shard 2"),
        (_newer_manifest, DamagedFileError, r"shard-000\d\.flac: shard \d is older than the manifest"),
        (_none, StorageError, "there is no sharded table here"),
    ],
)
def test_bad_copies(
    harm: Callable[[Path, Path], None],
    error: type[AudioMemError],
    message: str,
    store: S3Store,
    proxy: FaultyProxy,
    tmp_path: Path,
) -> None:
    folder, other = made(tmp_path), made(tmp_path, "other.shards", 3)
    harm(folder, other)
    url = put_folder(store, folder, f"sharded/bad{harm.__name__}/kb.shards")
    with pytest.raises(error, match=message):
        am.open(url).to_arrow()


def test_a_plain_copy_over_an_older_one(
    store: S3Store, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the old manifest sees the old version in new shards; who has the new one, the new version."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    folder = made(tmp_path)
    url = put_folder(store, folder, "sharded/over/kb.shards")
    reader = am.open(url)
    with am.open(folder) as table:
        table.append([{"code": f"n{n}"} for n in range(40)])
    for path in folder.glob("*.flac"):
        obstore.put(store, f"sharded/over/kb.shards/{path.name}", path.read_bytes())
    assert len(reader.to_arrow()) == 201
    put_folder(store, folder, "sharded/over/kb.shards")
    assert reader.refresh()
    assert len(reader.to_arrow()) == 241


def test_copies(store: S3Store, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    key = "sharded/copies/kb.shards"
    url, folder = f"s3://{BUCKET}/{key}", made(tmp_path)
    with am.open(folder) as table:
        assert table.backup(url) == 4
        first = objects(store, key)
        reader = am.open(url)
        table.append([{"code": "one more"}])
        obstore.put(store, f"{key}/shard-0001-00000002-0123456789abcdef.flac", b"of a copy that was killed")
        obstore.put(store, f"{key}/shard-0001-00000003-0123456789abcdef.flac", b"of a copy that goes on")
        table.backup(url)
        second = objects(store, key)
        assert len(second) == len(first) + 2  # the shard with the row, and what goes on
        assert len(reader.to_arrow()) == 201
        assert reader.refresh()
        assert contents(reader) == contents(table)
        table.vacuum(retain="1")
        table.backup(url)
        shards = manifest_at(f"{url}/manifest")[0].shards
        assert all("-00000003-" in entry.file for entry in shards)
        assert am.open(url).versions == table.versions
        assert [str(problem) for problem in problems(am.open(url))] == []
    down = tmp_path / "down.shards"
    assert am.open(url).backup(down) == 5
    with am.open(down) as copy:
        assert contents(copy) == contents(am.open(folder))
        copy.append([{"code": "written in the copy"}])
        assert [str(problem) for problem in problems(copy)] == []
        copy.backup(url)
    newest = objects(store, key)
    with pytest.raises(StorageError, match="has version 6, which this copy of the table does not have"):
        am.open(folder).backup(url)
    with pytest.raises(StorageError, match="another table is there"):
        am.open(made(tmp_path, "other.shards", 3)).backup(url)
    with pytest.raises(StorageError, match="exists already"):
        am.open(url).backup(down)
    with pytest.raises(UnsupportedError, match="is not copied to an object"):
        am.open(folder).backup(f"s3://{BUCKET}/sharded/copies/kb.flac")
    with pytest.raises(StorageError, match="has version 6, which this copy of the table does not have"):
        am.open(down).backup(url, version=3)
    assert objects(store, key) == newest
    assert am.open(url).backup(f"s3://{BUCKET}/sharded/copies/again.shards") == 6
    assert contents(am.open(f"s3://{BUCKET}/sharded/copies/again.shards")) == contents(am.open(url))
    assert am.open(down).backup(f"s3://{BUCKET}/sharded/copies/early.shards", version=3) == 3
    assert contents(am.open(f"s3://{BUCKET}/sharded/copies/early.shards")) == contents(
        am.open(url, version=3)
    )


def test_a_reader_of_removed_shards(store: S3Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    url = f"s3://{BUCKET}/sharded/removed/kb.shards"
    with am.open(made(tmp_path)) as table:
        table.backup(url)
        reader = am.open(url)
        for number in range(2):
            table.append([{"code": f"{number} {n}"} for n in range(40)])
            table.backup(url)
    with pytest.raises(StorageError, match=r"shard \d was replaced: newer copies .* Refresh the table"):
        reader.to_arrow()


def test_two_copies_at_a_time(
    store: S3Store, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused, and what it put there is removed."""
    key = "sharded/race/kb.shards"
    url, folder = f"s3://{BUCKET}/{key}", made(tmp_path)
    with am.open(folder) as table:
        assert isinstance(table.snapshot, ShardedSnapshot)
        slow, fast = sharded_copies.ShardedTarget(url), sharded_copies.ShardedTarget(url)
        names = [[], []]
        for target, found in ((slow, names[0]), (fast, names[1])):
            assert target.begin(table.snapshot) == [""] * 4
            found += [target.put(n, str(folder / f"shard-{n:04d}.flac")) for n in range(4)]
        fast.commit(table.snapshot.manifest, names[1])
        with pytest.raises(BusyError, match="another copy came first"):
            slow.commit(table.snapshot.manifest, names[0])
        assert objects(store, key).keys() == {"manifest", *names[1]}
        assert contents(am.open(url)) == contents(table)


# Of the two stores the suite has one; `make sharded-stores` sets AUDIOMEM_SHARDED_KILLS, and has both.
@pytest.fixture(params=["seaweed", "moto"] if "AUDIOMEM_SHARDED_KILLS" in os.environ else ["seaweed"])
def endpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "seaweed":
        yield f"http://127.0.0.1:{request.getfixturevalue('seaweed')}"
        return
    with moto(tmp_path_factory.mktemp("moto")) as endpoint:
        yield endpoint


def test_killed_copies(
    endpoint: str, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request in ten fails or loses its answer, and who copies is killed: what is there is whole."""
    folder = tmp_path / "kb.shards"
    am.create(folder, ["code TEXT PRIMARY KEY", "n INTEGER"], shards=4, profile="embedded").close()
    url = f"s3://{BUCKET}/sharded/killed/kb.shards"
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    monkeypatch.setenv("AUDIOMEM_REMOTE_BUDGET", "20")
    script = Path(__file__).with_name("sharded_crew.py")
    acknowledged = 0
    with proxied(endpoint, rate=0.1, seed=1) as broken:
        monkeypatch.setenv("AWS_ENDPOINT_URL", broken.endpoint)
        for number in range(KILLS):
            command = [sys.executable, script, str(folder), url]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as crew:
                assert crew.stdout is not None
                for _ in range(1 + number % 2):
                    line = crew.stdout.readline().split()
                    acknowledged = int(line[1]) if line[:1] == ["copied"] else pytest.fail(" ".join(line))
                    _check_whole(url, acknowledged)
                time.sleep(0.03 * number)
                crew.kill()
            _check_whole(url, acknowledged)
        assert broken.counts["lost"]
        broken.wait_until_idle()
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with am.open(folder) as table:
        for _ in range(2):
            table.append(rows_of(table.version + 1))
            table.backup(url)
        assert contents(am.open(url)) == contents(table)


def _check_whole(url: str, acknowledged: int) -> None:
    """What is there is a version that is no older than the last one that was told, and all of it."""
    with am.open(url) as table:
        assert table.version >= acknowledged
        rows = table.to_arrow(["n"])["n"].to_pylist()
        assert sorted(rows) == [n for n in range(2, table.version + 1) for _ in range(ROWS)]
