"""Tables written to in Azure (Azurite, by ETag) and at what stands for Google's store (by generation)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from cli.conftest import Command, audiomem

import audiomem_sql as am
from audiomem_sql.errors import BusyError, StorageError, UnsupportedError
from audiomem_sql.remote import clouds
from audiomem_sql.remote.commits import Refused, table_store
from audiomem_sql.versions import stored_making
from remote import cloud_servers as servers
from remote.cloud_servers import ACCOUNT, ACCOUNT_KEY, BUCKET
from remote.generations import Generations, generations

__all__ = ["audiomem"]  # a fixture
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT", "n INTEGER"]
_NUMBERS = count()


@pytest.fixture(scope="module")
def azure() -> Iterator[int]:
    with servers.azurite() as port:
        yield port


@pytest.fixture(scope="module")
def google() -> Iterator[Generations]:
    with generations() as started:
        yield started


@pytest.fixture(params=["az", "gs"])
def url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    for name in [name for name in os.environ if name.startswith((*clouds.PREFIXES, "AUDIOMEM_REMOTE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")
    monkeypatch.setenv("HOME", str(tmp_path))  # what gcloud left there is no part of a test
    scheme = request.param
    with servers.token_server("token") as machine:
        if scheme == "az":
            port = request.getfixturevalue("azure")
            monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{port}/{ACCOUNT}")
            monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
            monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
        else:  # the client signs all that it writes
            monkeypatch.setenv("GOOGLE_BASE_URL", request.getfixturevalue("google").url)
            monkeypatch.setenv("GCE_METADATA_HOST", machine.host)
        yield f"{scheme}://{BUCKET}/written/t{next(_NUMBERS)}.flac"


def test_the_conditions_of_writes(url: str) -> None:
    store, key = table_store(url, 10)
    first = store.put_if_absent(key, b"1")
    with pytest.raises(Refused):
        store.put_if_absent(key, b"2")
    second = store.put_if_match(key, b"3", first)
    with pytest.raises(Refused):
        store.put_if_match(key, b"4", first)
    assert store.get(key) == (b"3", second)
    assert store.get_if_none_match(key, second) is None
    changed = store.get_if_none_match(key, first)
    assert changed is not None
    assert changed.data == b"3"
    store.put_parts(f"{key}.d/large", [b"a" * (5 << 20), b"b" * 10])
    assert store.get(f"{key}.d/large").data[-11:] == b"a" + b"b" * 10
    assert store.keys(f"{key}.d/") == [f"{key}.d/large"]
    store.delete(key)
    with pytest.raises(Refused):
        store.put_if_match(key, b"5", second)


def test_every_door_writes(url: str, tmp_path: Path, audiomem: Command) -> None:
    name = url.rpartition("/")[2].removesuffix(".flac")
    with am.create(url, COLUMNS, profile="embedded", protection="standard") as table:
        assert table.append([{"body": f"wave {n}" * 9, "n": n} for n in range(600)]) == 2
        with am.open(url) as other:  # neither has seen what the other is about to write
            assert other.append([{"body": "y"}]) == 3
            assert table.append([{"body": "z"}]) == 4
            table.begin().delete(1)
            other.begin().delete(2)
            table.commit()
            assert other.commit() == 6
            table.begin().delete(3)
            other.begin().delete(3)
            table.commit()
            with pytest.raises(BusyError, match="both changed the same rows"):
                other.commit()
        table.tag("before")
        table.vacuum()
        assert len(table) == 599
        assert len(am.open(url, version="before")) == 599
    connection = am.connect(url)
    connection.execute(f"INSERT INTO {name}(body) VALUES ('sql')")
    assert connection.execute(f"SELECT count(*) FROM {name}").fetchone() == (600,)
    connection.close()
    (tmp_path / "a.md").write_text("# Heading\n\nText of it.\n")
    ingested = url.replace(".flac", "-docs.flac")
    done = audiomem("ingest", ingested, str(tmp_path / "a.md"), "--model", "hashing")
    assert done.code == 0, done.err
    assert len(am.read_flac(ingested)) == 1
    copied = url.replace(".flac", "-copy.flac")
    with am.open(url) as table:
        table.backup(copied)
    assert len(am.read_flac(copied)) == 600
    assert f"{url}.d/manifest" in am.drop(url)
    with pytest.raises(StorageError, match="no such object"):
        am.open(url)


def test_threads_race(url: str) -> None:
    """Nothing is lost, or there twice, and versions follow each other."""
    am.create(url, COLUMNS).close()
    versions: list[int] = []

    def write(first: int) -> None:
        with am.open(url) as table:
            for number in range(first, first + 5):
                table.busy_timeout = 30
                versions.append(table.append([{"n": number}]))

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(2, 17))
    numbers = [number for first in (0, 100, 200) for number in range(first, first + 5)]
    assert sorted(am.read_flac(url)["n"].tolist()) == numbers


def test_a_damaged_object_is_replaced_on_a_condition(url: str) -> None:
    with am.create(url, COLUMNS, profile="embedded", protection="standard") as table:
        table.append([{"body": "x" * 50, "n": n} for n in range(400)])
        table.vacuum()
        (path,) = (segment.path for segment in table.snapshot.segments)
    store, key = table_store(path, 10)
    whole = store.get(key)
    data = bytearray(whole.data)
    data[2000] ^= 0xFF
    store.put_if_match(key, bytes(data), whole.mark)
    with am.open(url) as table:
        assert sum(each.changed for each in table.repair()) == 1
        assert len(table.to_arrow()) == 400
    assert store.get(key).data == whole.data


@pytest.mark.parametrize("url", ["gs"], indirect=True)
def test_generations_are_asked_for(url: str, google: Generations, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes without a condition; a server that ignores it is refused."""
    with am.create(url, COLUMNS) as table:
        table.append([{"n": 1}])
        table.vacuum()
    key = url.removeprefix(f"gs://{BUCKET}/")
    assert not [each for each in google.unconditional if each.startswith(key)]
    stored_making._CHECKED.clear()
    monkeypatch.setattr(google, "keeps", False)
    with pytest.raises(UnsupportedError, match="does not keep the conditions of writes"):
        am.create(f"{url[:-5]}-other.flac", COLUMNS)
