"""Children that a process forked after it read from a store: a client of their own or an error, no wait."""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError
from audiomem_sql.remote import RemoteFile, RemoteOptions, memory_store, stores
from audiomem_sql.remote.commits.obstore_store import ObstoreStore
from audiomem_sql.remote.fsspec_object import FsspecObject
from audiomem_sql.remote.replicas import ReplicatedSource
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

DATA = os.urandom(1 << 20)
REFUSED = "the process was forked after its parent read from a store"
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def in_child(work: Callable[[], Any]) -> Any:
    """What ``work`` gives in a child of this process, or the text of its error; "it hangs" after 20 s."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = work()
            gc.collect()  # as it happens at any time
        except AudioMemError as error:
            answer = str(error)
        except BaseException as error:
            answer = repr(error)
        os.write(writing, pickle.dumps(answer))
        os._exit(0)
    os.close(writing)
    try:
        looking = select.poll()  # which knows numbers of files above 1,023 as well
        looking.register(reading, select.POLLIN)
        if not looking.poll(20_000):
            return "it hangs"
        return pickle.loads(os.read(reading, 1 << 16))
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.fixture
def url(store: S3Store) -> str:
    return put(store, "forked.bin", DATA)


def test_a_store_of_objects(url: str) -> None:
    file = RemoteFile(url)
    assert in_child(lambda: RemoteFile(url)).startswith(f"{url}: {REFUSED}")
    assert REFUSED in in_child(lambda: file.read_at(500_000, 10))
    assert REFUSED in in_child(lambda: file.read_anew([(5, 5)]))
    assert REFUSED in in_child(file.is_current)
    assert REFUSED in in_child(lambda: in_child(lambda: RemoteFile(url)))
    assert in_child(lambda: file.read_at(100, 10)) == DATA[100:110]  # what the parent had in memory
    assert file.read_at(500_000, 10) == DATA[500_000:500_010]


def test_a_store_in_memory() -> None:
    obstore.put(memory_store(), "forked", DATA)
    file = RemoteFile("memory://forked")
    assert REFUSED in in_child(lambda: RemoteFile("memory://forked"))
    assert REFUSED in in_child(lambda: file.read_at(500_000, 10))


def test_replicas(url: str, tmp_path: Path) -> None:
    """The error of the one, and the bytes of another that needs no client."""
    (tmp_path / "copy.bin").write_bytes(DATA)
    stored, local = RemoteFile(url), RemoteFile(f"local://{tmp_path}/copy.bin")
    both = ReplicatedSource([stored, local])
    assert REFUSED in in_child(lambda: ReplicatedSource([stored]).read([(500_000, 10)]))
    assert in_child(lambda: both.read([(500_000, 10)])) == [DATA[500_000:500_010]]


def test_a_table(store: S3Store, tmp_path: Path) -> None:
    path = tmp_path / "notes.flac"
    with am.Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT"]) as made:
        made.append([{"id": 1, "body": "one"}])
    url = put(store, "notes.flac", path.read_bytes())
    with am.open(url) as table:
        assert REFUSED in in_child(lambda: len(am.open(url)))
        assert in_child(lambda: table.get(1)) == {"id": 1, "body": "one"}  # all of it is in memory
    assert in_child(lambda: len(am.open(path))) == 1


@pytest.mark.parametrize("scheme", ["local", "http"])
def test_file_systems_of_fsspec(scheme: str, store: S3Store, proxy: FaultyProxy, tmp_path: Path) -> None:
    """They are made anew, also those that have a thread for their requests."""
    (tmp_path / "forked.bin").write_bytes(DATA)
    put(store, "forked.bin", DATA)
    url = f"local://{tmp_path}/forked.bin" if scheme == "local" else f"{proxy.url}/{BUCKET}/forked.bin"
    file = RemoteFile(url, RemoteOptions(), reader=FsspecObject(url))
    assert file.read_at(300_000, 10) == DATA[300_000:300_010]
    for _ in range(2):
        assert in_child(lambda: file.read_at(500_000, 10)) == DATA[500_000:500_010]
        again = in_child(lambda: RemoteFile(url, reader=FsspecObject(url)).read_at(700_000, 10))
        assert again == DATA[700_000:700_010]
    assert file.read_at(800_000, 10) == DATA[800_000:800_010]
    del file
    again = in_child(lambda: RemoteFile(url, reader=FsspecObject(url)).read_at(700_000, 10))
    assert again == DATA[700_000:700_010]
    file = RemoteFile(url, reader=FsspecObject(url))
    assert file.read_at(800_000, 10) == DATA[800_000:800_010]


def test_boto3(store: S3Store, proxy: FaultyProxy) -> None:
    """It makes a client for each use."""
    commits = ObstoreStore(store, f"s3://{BUCKET}")
    assert commits.uploads("forked") == []
    assert in_child(lambda: commits.uploads("forked")) == []


@pytest.mark.parametrize("held", ["clients", "kept parts"])
def test_a_lock_that_another_thread_held(url: str, held: str) -> None:
    """The thread is not there in the child, and would never let go of it."""
    file = RemoteFile(url)
    lock: AbstractContextManager[Any] = stores._lock if held == "clients" else file._opened.kept._lock
    with lock:
        answers = [in_child(lambda: RemoteFile(url)), in_child(lambda: file.read_at(100, 10))]
    known = DATA[100:110] if held == "clients" else None
    assert REFUSED in answers[0]
    assert answers[1] == known or REFUSED in answers[1]
