"""A stream to a place that refuses it: one error that says why, and nothing of it stays, or it is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from cli.conftest import Command, audiomem
from obstore.store import S3Store

import audiomem_sql as am
from audiomem_sql.errors import StorageError
from audiomem_sql.remote import clouds
from audiomem_sql.upkeep import stream_target
from remote import cloud_servers as servers
from remote.cloud_servers import ACCOUNT
from remote.cloud_servers import BUCKET as CONTAINER
from remote.conftest import BUCKET
from remote.proxy import FaultyProxy

__all__ = ["audiomem"]  # a fixture


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stream") / "notes.flac"
    with am.create(made, ["id INTEGER PRIMARY KEY"], profile="embedded") as table:
        table.append([{"id": n} for n in range(5000)])
    return made


def below(store: S3Store, prefix: str) -> list[str]:
    return [meta["path"] for page in obstore.list(store, prefix) for meta in page]


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Azurite, with a token that lets nobody write."""
    for name in [name for name in os.environ if name.startswith(clouds.PREFIXES)]:
        monkeypatch.delenv(name)
    with servers.azurite() as port:
        monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", f"http://127.0.0.1:{port}/{ACCOUNT}")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
        monkeypatch.setenv("AZURE_STORAGE_SAS_KEY", servers.azure_sas())
        yield f"az://{CONTAINER}/stream"


def test_a_store_that_refuses(read_only: str, path: Path, audiomem: Command) -> None:
    done = audiomem("stream", str(path), read_only)
    assert done.code == 1
    assert len(done.err.strip().splitlines()) == 1
    assert f"{read_only}/" in done.err
    assert "access was refused" in done.err
    assert "if they may write there" in done.err
    assert "could not be removed" not in done.err


def test_a_store_that_fails_on_the_way(
    proxy: FaultyProxy, store: S3Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is removed, the playlists first; where that is not possible either, it is named."""
    where = f"s3://{BUCKET}/refused/stream"
    for done_before in (0, 1, 2, 4):
        proxy.faults_of_puts = ["none"] * done_before + ["503"]
        proxy.log.clear()
        with am.open(path) as table, pytest.raises(StorageError, match="cannot be written") as raised:
            table.stream(where, seconds=1)
        assert "could not be removed" not in raised.value.what
        assert below(store, "refused") == []
        assert not [path for method, path, _ in proxy.log if "uploads=" in path]  # parts that nobody removes
    from obstore import delete

    def refused(*_: Any) -> None:
        raise PermissionError("status code: 403")

    proxy.faults_of_puts = ["none", "none", "503"]
    monkeypatch.setattr(obstore, "delete", refused)
    with (
        am.open(path) as table,
        pytest.raises(StorageError, match=r"cannot be written.* could not be removed: [0-9]+ files"),
    ):
        table.stream(where, seconds=1)
    monkeypatch.setattr(obstore, "delete", delete)
    left = below(store, "refused")
    assert left
    assert not [each for each in left if each.endswith(".m3u8")]
    with am.open(path) as table:
        made = table.stream(where, seconds=1)
    assert len(am.read_flac(made.table)) == 5000


def test_a_full_disk(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, flush = 0, stream_target.flush

    def full(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        flush(handle)

    monkeypatch.setattr(stream_target, "flush", full)
    (tmp_path / "there").mkdir()
    for folder, stays in ((tmp_path / "new", False), (tmp_path / "there", True)):
        for left in (0, 1, 3):  # noqa: B007 (the function above has it)
            with am.open(path) as table, pytest.raises(StorageError, match="No space left") as raised:
                table.stream(folder, seconds=1)
            assert str(folder) in str(raised.value)
            assert folder.exists() == stays
            assert not stays or not list(folder.iterdir())
    unlink = os.unlink

    def stuck(name: Any, **others: Any) -> None:
        if str(name).startswith(str(tmp_path)) and str(name).endswith((".mp4", ".m4s")):
            raise OSError(errno.EROFS, "Read-only file system")
        unlink(name, **others)

    monkeypatch.setattr(os, "unlink", stuck)
    left = 2
    with (
        am.open(path) as table,
        pytest.raises(StorageError, match=r"could not be removed: 2 files"),
    ):
        table.stream(tmp_path / "new", seconds=1)
