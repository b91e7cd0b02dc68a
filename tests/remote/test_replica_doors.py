"""A table with copies in places of several kinds: read through every door, damaged, compared and healed."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from hashlib import sha512
from pathlib import Path
from typing import Any

import duckdb
import obstore
import pysqlite3
import pytest
from cli.conftest import Command, audiomem
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql import dbapi, warn_once
from audiomem_sql.errors import (
    DamagedFileError,
    DamageWarning,
    OptionError,
    StorageError,
    UnsupportedError,
)
from audiomem_sql.machine.block_cache import SHARED, BlockCache
from audiomem_sql.polars import scan_flac
from audiomem_sql.remote import memory_store
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

__all__ = ["audiomem"]  # a fixture
pytestmark = pytest.mark.damages
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "n INTEGER"]
ROWS = [
    {"id": n, "body": f"{'wave' if n % 50 else 'flac'} {sha512(bytes(n)).hexdigest()}", "n": n % 10}
    for n in range(1, 1501)
]
SUM = sum(row["n"] for row in ROWS)


def made(path: Path, protection: str, rows: list[dict[str, Any]] = ROWS) -> bytes:
    with am.Table.create(path, COLUMNS, {"profile": "embedded", "protection": protection}) as table:
        table.append(rows)
        table.vacuum()
    return path.read_bytes()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Without protection, so that only copies can help."""
    return made(tmp_path_factory.mktemp("table") / "kb.flac", "none")


@pytest.fixture(autouse=True)
def no_blocks_in_memory() -> Iterator[None]:
    """What one test has decoded must not spare another one its damage; what was warned of is warned again."""
    SHARED.clear()
    warn_once.warned.clear()
    yield
    SHARED.clear()


class Copies:
    """One file in a local path, in S3, at a web server and in memory."""

    def __init__(self, folder: Path, store: S3Store, proxy: FaultyProxy, data: bytes) -> None:
        self.store, self.data, self.path = store, data, folder / "kb.flac"
        self.s3, self.memory = f"s3://{BUCKET}/kb.flac", "memory://copies/kb.flac"
        self.https = f"http://me:PASSWORD@127.0.0.1:{proxy.port}/{BUCKET}/web/kb.flac?X-Amz-Signature=SECRET"
        for place in ("path", "s3", "memory", "https"):
            self.put(place, data)

    def put(self, place: str, data: bytes) -> None:
        if place == "path":
            self.path.write_bytes(data)
        elif place == "memory":
            obstore.put(memory_store(), "copies/kb.flac", data)
        else:
            put(self.store, "kb.flac" if place == "s3" else "web/kb.flac", data)

    def get(self, place: str) -> bytes:
        if place == "path":
            return self.path.read_bytes()
        store, key = {
            "memory": (memory_store(), "copies/kb.flac"),
            "s3": (self.store, "kb.flac"),
            "https": (self.store, "web/kb.flac"),
        }[place]
        return bytes(obstore.get(store, key).bytes())

    def damaged(self, first: float, last: float) -> bytes:
        """With every 2,000th byte of a part of the file wrong: a cell in two, or all."""
        data = bytearray(self.data)
        for place in range(int(first * len(data)), int(last * len(data)), 700):
            data[place] ^= 0xFF
        return bytes(data)

    def url(self, place: str) -> str:
        return str(getattr(self, place))

    @property
    def others(self) -> list[str]:
        return [self.s3, self.memory, self.https]


@pytest.fixture
def copies(tmp_path: Path, store: S3Store, proxy: FaultyProxy, table: bytes) -> Copies:
    return Copies(tmp_path, store, proxy, table)


def all_rows(*places: str, **options: Any) -> list[dict[str, Any]]:
    with am.open(places[0], replicas=list(places[1:]), **options) as opened:
        return list(opened.to_arrow().to_pylist())


@pytest.mark.parametrize("first", ["path", "s3", "memory", "https"])
def test_what_one_copy_lacks_comes_from_another(copies: Copies, first: str) -> None:
    """Three copies are damaged in other places each, and none of them can be read alone."""
    places = [first, *(each for each in ("path", "s3", "memory", "https") if each != first)]
    for number, place in enumerate(places[:3]):
        copies.put(place, copies.damaged(0.2 + 0.2 * number, 0.4 + 0.2 * number))
    with pytest.raises(DamagedFileError):
        all_rows(copies.url(first))
    SHARED.clear()
    assert all_rows(*map(copies.url, places)) == ROWS
    SHARED.clear()
    assert all_rows(*map(copies.url, places[:3])) == ROWS


def test_damaged_copies_behind_a_cache(copies: Copies, tmp_path: Path) -> None:
    for number, place in enumerate(("s3", "memory", "https")):
        copies.put(place, copies.damaged(0.2 + 0.2 * number, 0.4 + 0.2 * number))
    tiers = [f"disk:{tmp_path}/cache:50MB"]
    for _ in range(2):
        assert all_rows(*copies.others, cache=tiers) == ROWS
        SHARED.clear()
    assert all_rows(str(copies.path), *copies.others, cache=tiers) == ROWS


def test_copies_that_are_gone_or_dead(copies: Copies, proxy: FaultyProxy, tmp_path: Path) -> None:
    copies.path.unlink()
    with pytest.warns(DamageWarning, match=r"kb\.flac is left out of the replicas of .*no such file"):
        assert all_rows(str(copies.path), copies.memory) == ROWS
    dead = "http://127.0.0.1:1/kb.flac"
    cut = tmp_path / "cut.flac"
    cut.write_bytes(copies.data[:-50_000])
    with pytest.warns(DamageWarning, match="left out") as warned:
        opened = am.open(dead, replicas=[str(cut), copies.memory, copies.s3])
    assert len(warned) == 2
    with opened:
        assert list(opened.replicas.values())[2:] == ["", ""]
        assert "refused" in opened.replicas[dead]
        SHARED.clear()
        proxy.always = "503"
        assert opened.to_arrow().to_pylist() == ROWS
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1"):
        am.open(dead, replicas=["http://127.0.0.1:1/other.flac"])


def test_what_is_no_copy_is_an_error(copies: Copies, tmp_path: Path) -> None:
    newer = tmp_path / "newer.flac"
    newer.write_bytes(copies.data)
    with am.open(newer) as opened:
        opened.append([{"id": 9999, "body": "new", "n": 0}])
        opened.vacuum()
    made(tmp_path / "other.flac", "none")
    tagged = tmp_path / "longer.flac"
    tagged.write_bytes(copies.data + b"behind")
    (tmp_path / "text.flac").write_bytes(b"hello" * 1000)
    (tmp_path / "noise.flac").write_bytes(sha512(b"x").digest() * (len(copies.data) // 64))
    for name, what in {
        "newer": r"another state of the table \(version [23], and [32] there\)",
        "other": "another table",
        "longer": "holds another file",
        "text": "another file",
        "noise": "another file",
    }.items():
        for places in (
            (copies.s3, str(tmp_path / f"{name}.flac")),
            (str(tmp_path / f"{name}.flac"), copies.s3),
        ):
            if name in ("text", "noise"):
                places = (copies.s3, str(tmp_path / f"{name}.flac"))
            with pytest.raises(StorageError, match=what) as raised:
                am.open(places[0], replicas=[places[1]])
            assert "SECRET" not in str(raised.value)
    with am.open(newer) as opened:
        opened.append([{"id": 10_000, "body": "new", "n": 0}])
        with pytest.raises(UnsupportedError, match="log or deltas beside it"):
            am.open(copies.s3, replicas=[str(newer)])
    with pytest.raises(OptionError, match="named twice"):
        am.open(copies.s3, replicas=[copies.s3])


def test_copies_that_are_replaced_one_by_one(
    copies: Copies, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until all are the new state, readers stay at the old one; then they go on to the new one."""
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    newer = tmp_path / "newer.flac"
    newer.write_bytes(copies.data)
    with am.open(newer) as opened:
        opened.append([{"id": 9999, "body": "new", "n": 0}])
        opened.vacuum()
    with am.open(copies.s3, replicas=[copies.memory, str(copies.path)]) as opened:
        assert not opened.refresh()
        snapshot = opened.snapshot
        for place in ("memory", "path"):
            copies.put(place, newer.read_bytes())
            opened.refresh()
            assert opened.snapshot is snapshot
            SHARED.clear()
            assert opened.to_arrow().to_pylist() == ROWS
        copies.put("s3", newer.read_bytes())
        assert opened.refresh()
        assert len(opened) == len(ROWS) + 1


def test_python(copies: Copies) -> None:
    copies.put("s3", copies.damaged(0.3, 0.6))
    how = {"replicas": copies.others[1:]}
    with am.open(copies.s3, **how) as opened:
        assert (opened.name, len(opened), len(opened.replicas)) == ("kb", 1500, 3)
        assert "SECRET" not in repr(opened.replicas)
        assert pickle.loads(pickle.dumps(opened)).to_arrow().to_pylist() == ROWS
        assert opened.checkout(2).to_arrow().to_pylist() == ROWS
        SHARED.clear()
        assert pickle.loads(pickle.dumps(opened.dataset())).to_table().to_pylist() == ROWS
        with pytest.raises(UnsupportedError, match="with replicas is only read"):
            opened.append([{"id": 7}])
        assert [row["id"] for row in opened.search("words: flac", k=2, columns=["id"]).to_pylist()] == [
            50,
            100,
        ]
    SHARED.clear()
    assert am.read_flac(copies.s3, ["n"], **how)["n"].sum() == SUM
    SHARED.clear()
    assert scan_flac(copies.s3, **how).collect()["n"].sum() == SUM
    with am.open(copies.path) as opened, pytest.raises(UnsupportedError, match="without replicas"):
        opened.heal()


@pytest.mark.parametrize("native", [True, False])
def test_sqlite(copies: Copies, native: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUDIOMEM_EXTENSION", "on" if native else "off")
    copies.put("s3", copies.damaged(0.3, 0.6))
    copies.path.rename(tmp_path / "it's.flac")
    query = "SELECT sum(n), count(DISTINCT body) FROM kb"
    connection = am.connect(copies.s3, replicas=[tmp_path.joinpath("it's.flac").as_posix()])
    assert connection.execute(query).fetchall() == [(SUM, 1500)]
    connection.close()
    SHARED.clear()
    other = pysqlite3.connect(tmp_path / "database")
    am.load(other)
    with pytest.warns(DamageWarning, match="left out"):
        other.execute(
            f"CREATE VIRTUAL TABLE kb USING audiomem('gone.flac', replicas='{copies.memory}, it''s.flac')"
        )
    assert other.execute(query).fetchone() == (SUM, 1500)
    with pytest.raises(Exception, match="with replicas is only read"):
        other.execute("DELETE FROM kb")
    other.close()
    with pytest.raises(Exception, match=r"option replicas: .* is named twice"):
        am.connect(copies.s3, replicas=[copies.s3])
    if native:
        reader = dbapi.connect(":memory:")
        reader.execute(f"CREATE VIRTUAL TABLE kb USING audiomem('{copies.s3}', replicas='{copies.memory}')")
        assert reader.execute(query).fetchone() == (SUM, 1500)


def test_duckdb(copies: Copies) -> None:
    copies.put("s3", copies.damaged(0.3, 0.6))
    python = duckdb.connect()
    am.register_duckdb(python)
    extension = duckdb.connect(config={"allow_unsigned_extensions": True})
    am.load(extension)
    given = f"'{copies.s3}', replicas := '{copies.memory}, {copies.path}'"
    for connection in (python, extension):
        SHARED.clear()
        answer = connection.execute(f"SELECT sum(n), count(DISTINCT body) FROM audiomem_scan({given})")
        assert answer.fetchall() == [(SUM, 1500)]
        asked = f"audiomem_search('{copies.s3}', 'words: flac', k := 2, replicas := '{copies.path}')"
        found = connection.execute(f"SELECT id FROM {asked}")
        assert found.fetchall() == [(50,), (100,)]
        last = f"audiomem_top('{copies.s3}', 'id DESC', k := 1, replicas := '{copies.memory}')"
        assert connection.execute(f"SELECT id FROM {last}").fetchall() == [(1500,)]
        assert len(connection.execute(f"FROM audiomem_snapshots({given})").fetchall()) == 2
        assert connection.execute(
            f"SELECT count(*) FROM audiomem_changes('{copies.s3}', 1, 2, replicas := '{copies.memory}')"
        ).fetchall() == [(1500,)]
        with pytest.raises(Exception, match="replicas belong to one table"):
            connection.execute(f"FROM audiomem_scan(['{copies.s3}'], replicas := '{copies.memory}')")
        connection.close()


def test_commands(copies: Copies, tmp_path: Path, audiomem: Command) -> None:
    copies.put("s3", copies.damaged(0.3, 0.6))
    given = ["--replica", str(copies.path)]
    asked = audiomem("sql", copies.s3, "SELECT sum(n), count(DISTINCT body) FROM kb", *given, "--csv")
    assert asked.out.split()[-1] == f"{SUM},1500"
    assert audiomem("search", copies.s3, "words: flac", "-k", "1", *given).code == 0
    told = json.loads(audiomem("info", copies.s3, "--json", *given).out)
    assert told["replicas"] == {copies.s3: "", str(copies.path): ""}
    assert audiomem("backup", copies.s3, str(tmp_path / "copy.flac"), *given).code == 0
    with am.open(tmp_path / "copy.flac") as copy:
        assert copy.to_arrow().to_pylist() == ROWS
    verified = audiomem("verify", copies.s3, *given, "--all-replicas")
    assert verified.code == 1
    assert f"{copies.path}: all well" in verified.out
    assert f"{copies.s3}: page" in verified.out
    assert "1 of 2 copies are not whole" in verified.err
    facts = json.loads(audiomem("verify", copies.s3, *given, "--json").out)
    assert [each["ok"] for each in facts] == [False, True]
    healed = audiomem("repair", copies.s3, *given)
    assert healed.code == 0
    assert f"{copies.s3}: written anew" in healed.out
    assert f"{copies.path}: was whole" in healed.out
    assert copies.get("s3") == copies.data
    assert audiomem("verify", copies.s3, *given, "--all-replicas").code == 0
    gone = audiomem("repair", copies.s3, "--replica", "gone.flac", "--json")
    assert gone.code == 1
    assert json.loads(gone.out)[1]["fault"] == "there is no such file"
    for wrong in (("verify", copies.s3, "--all-replicas"), ("repair", copies.s3, "-o", "x", *given)):
        assert audiomem(*wrong).code == 2
    assert audiomem("sql", copies.s3, copies.s3, "SELECT 1", *given).code == 2


def test_healing_from_whole_copies(copies: Copies, proxy: FaultyProxy) -> None:
    """A local file, and objects in stores, whose attributes stay; a web server is only told."""
    damaged = copies.damaged(0.1, 0.9)
    copies.put("path", damaged[:-30_000])
    os.chmod(copies.path, 0o640)
    for place in ("memory", "https"):
        copies.put(place, damaged)
    obstore.put(copies.store, "kb.flac", damaged, attributes={"Content-Type": "audio/flac", "owner": "me"})
    whole = copies.path.with_name("whole.flac")
    whole.write_bytes(copies.data)
    with pytest.warns(DamageWarning, match="missing at the end"):
        healed = am.open(copies.s3, replicas=[str(copies.path), *copies.others[1:], str(whole)])
    done = {each.place: each for each in healed.heal()}
    healed.close()
    assert [each.changed for each in done.values()] == [True, True, True, False, False]
    assert [bool(each.fault) for each in done.values()] == [False, False, False, True, False]
    assert done[str(copies.path)].different >= 30_000
    assert 0 < done[copies.s3].different < len(damaged)
    assert [copies.get(place) == copies.data for place in ("path", "s3", "memory", "https")] == [
        *(True, True, True, False)
    ]
    assert copies.path.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in copies.path.parent.iterdir()) == ["kb.flac", "whole.flac"]
    attributes = obstore.get(copies.store, "kb.flac").attributes
    assert (attributes["Content-Type"], attributes["owner"]) == ("audio/flac", "me")


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_healing_when_no_copy_is_whole(
    copies: Copies, tmp_path: Path, protection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_KEPT", "0")
    copies.data = made(tmp_path / "made.flac", protection)
    for place, part in {"path": 0.2, "s3": 0.4, "memory": 0.6}.items():
        copies.put(place, copies.damaged(part, part + 0.2))
    places = [str(copies.path), copies.s3, copies.memory]
    with am.open(places[0], replicas=places[1:]) as opened:
        done = opened.heal()
        assert all(each.changed and not each.fault and each.different for each in done)
        SHARED.clear()
        assert opened.to_arrow().to_pylist() == ROWS
    assert len({copies.get(place) for place in ("path", "s3", "memory")}) == 1
    assert copies.get("path") == copies.data
    assert not any(each.changed for each in am.open(places[0], replicas=places[1:]).heal())


def test_healing_what_is_damaged_everywhere(copies: Copies) -> None:
    """Nothing is written."""
    damaged = copies.damaged(0.4, 0.5)
    for place in ("path", "s3"):
        copies.put(place, damaged)
    with (
        am.open(copies.path, replicas=[copies.s3]) as opened,
        pytest.raises(DamagedFileError),
    ):
        opened.heal()
    assert copies.get("path") == copies.get("s3") == damaged


@pytest.mark.parametrize("answer", ["lost", "503"])
def test_an_answer_that_does_not_come(copies: Copies, proxy: FaultyProxy, answer: str) -> None:
    """The object is what it should be although nobody said so; or it is as it was."""
    copies.put("s3", copies.damaged(0.4, 0.5))
    proxy.faults_of_puts = [answer]
    with am.open(copies.s3, replicas=[str(copies.path)]) as opened:
        done = opened.heal()
    assert done[0].changed == (answer == "lost") == (not done[0].fault)
    assert (copies.get("s3") == copies.data) == (answer == "lost")


def test_an_object_that_is_replaced_while_it_is_healed(
    copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiomem_sql.upkeep import heal, healing

    copies.put("s3", copies.damaged(0.4, 0.5))
    copies.put("path", copies.damaged(0.5, 0.6))
    original = heal._make_image

    def meanwhile(*arguments: Any) -> None:
        original(*arguments)
        copies.put("s3", b"somebody else's")
        copies.path.unlink()
        copies.put("path", copies.damaged(0.1, 0.2))

    monkeypatch.setattr(heal, "_make_image", meanwhile)
    done = healing.heal([copies.s3, str(copies.path), copies.memory])
    assert [each.changed for each in done] == [False, False, False]
    assert copies.get("s3") == b"somebody else's"
    assert "replaced" in done[1].fault
    assert copies.get("path") == copies.damaged(0.1, 0.2)


def test_cache_of_blocks_is_chosen_too(copies: Copies) -> None:
    """``cache`` may be that of decoded blocks."""
    with am.Table(copies.s3, replicas=[copies.memory], cache=BlockCache(0)) as opened:
        assert len(opened) == 1500
