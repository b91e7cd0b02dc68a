"""The contract of places of bytes, kept by objects of stores; and what a store may do to an answer."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from itertools import count
from pathlib import Path

import obstore
import pytest
from bytes.contract import ByteSourceContract
from obstore.store import S3Store

from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import (
    AudioMemError,
    InterruptError,
    MissingExtraError,
    NotAudioMemoryError,
    OptionError,
    StorageError,
)
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.machine.urls import file_name, is_url, shown
from audiomem_sql.remote import RemoteFile, RemoteOptions, memory_store
from audiomem_sql.remote.kept import Kept, assembled
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

DATA = os.urandom(1 << 20)
_NUMBERS = count()


class TestMemory(ByteSourceContract):
    """``memory://``."""

    def make(self, data: bytes) -> ByteSource:
        key = f"contract/{next(_NUMBERS)}"
        obstore.put(memory_store(), key, data)
        return RemoteFile(f"memory://{key}")

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        obstore.put(memory_store(), source.name.removeprefix("memory://"), data)
        return RemoteFile(source.name)


class TestS3(ByteSourceContract):
    """A real store."""

    @pytest.fixture(autouse=True)
    def _store(self, store: S3Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.upstream}")
        self.store = store
        self.made: dict[bytes, str] = {}

    def make(self, data: bytes) -> ByteSource:
        if data not in self.made:
            self.made[data] = put(self.store, f"contract/{next(_NUMBERS)}", data)
        return RemoteFile(self.made[data])

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        return RemoteFile(put(self.store, source.name.removeprefix(f"s3://{BUCKET}/"), data))


class TestFsspec(ByteSourceContract):
    """What fsspec reads, here a local file by a scheme of its own."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make(self, data: bytes) -> ByteSource:
        (self.folder / "bytes").write_bytes(data)
        return RemoteFile(f"local://{self.folder}/bytes")

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        (self.folder / "new").write_bytes(data)
        (self.folder / "new").replace(self.folder / "bytes")
        return RemoteFile(source.name)


@pytest.fixture
def url(store: S3Store) -> str:
    return put(store, "faults.bin", DATA)


@pytest.mark.parametrize("fault", ["503", "429", "short", "smaller", "reset", "stall"])
def test_what_passes_is_tried_again(
    proxy: FaultyProxy, url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_TIMEOUT", "0.3")
    proxy.faults = [fault]
    file = RemoteFile(url)
    assert file.size == len(DATA)
    assert file.counts.failed == 1
    proxy.faults = [fault, fault]
    assert file.read([(200_000, 50), (900_000, 50)]) == [DATA[200_000:200_050], DATA[900_000:900_050]]
    assert file.counts.failed == 3
    assert file.counts.steps == 2


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("503", "status 503"),
        ("429", "status 429"),
        ("short", "the answer was cut"),
        ("smaller", "another range"),
        ("reset", "the (connection was cut|request failed)"),
        ("stall", "no answer in time"),
    ],
)
def test_what_stays_is_named(
    proxy: FaultyProxy, url: str, fault: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_TIMEOUT", "0.3")
    monkeypatch.setenv("AUDIOMEM_REMOTE_BUDGET", "0.5")
    file = RemoteFile(url)
    proxy.always = fault
    with pytest.raises(StorageError, match=f"^s3://tables/faults.bin: cannot be read: .*{cause}"):
        file.read_at(500_000, 10)
    proxy.reset()
    assert file.read_at(500_000, 10) == DATA[500_000:500_010]


def test_time_for_failing_is_that_of_all_steps(proxy: FaultyProxy, url: str) -> None:
    """A query whose every step fails first does not wait for the whole time at each of them."""
    file = RemoteFile(url, RemoteOptions(budget=0.6, hedge=0))
    with pytest.raises(StorageError, match="status 503"):  # noqa: PT012 – which step it is, is not said
        for offset in range(200_000, 900_000, 30_000):
            proxy.faults = ["503"]
            file.read_at(offset, 10)
    proxy.faults = []
    assert file.read_at(999_000, 10) == DATA[999_000:999_010]
    proxy.faults = ["503"]
    assert file.read_at(950_000, 10) == DATA[950_000:950_010]


@pytest.mark.parametrize(("fault", "cause"), [("403", "SignatureDoesNotMatch"), ("400", "status 400")])
def test_what_is_refused_is_not_tried_again(proxy: FaultyProxy, url: str, fault: str, cause: str) -> None:
    """And what the store said of it is not repeated: there are keys and signatures in it."""
    proxy.always = fault
    with pytest.raises(StorageError, match=cause) as raised:
        RemoteFile(url)
    assert len(proxy.gets()) == 1
    told = "".join(traceback.format_exception(raised.value))
    assert "SECRET" not in told
    assert "DO-NOT-TELL" not in told


def test_what_was_replaced_is_another_snapshot(proxy: FaultyProxy, store: S3Store, url: str) -> None:
    file = RemoteFile(url)
    put(store, "faults.bin", DATA[::-1])
    assert file.read_at(100, 10) == DATA[100:110]
    for _ in range(2):
        with pytest.raises(StorageError, match=r"s3://tables/faults.bin: .* another snapshot\. Refresh"):
            file.read_at(500_000, 10)
    assert RemoteFile(url).read_at(500_000, 10) == DATA[::-1][500_000:500_010]
    obstore.delete(store, "faults.bin")
    with pytest.raises(StorageError, match="deleted since it was opened"):
        file.read_at(500_000, 10)
    with pytest.raises(StorageError, match="no such object"):
        RemoteFile(url)


def test_a_store_that_knows_no_conditions(proxy: FaultyProxy, store: S3Store, url: str) -> None:
    """The ETag of the answer tells."""
    file = RemoteFile(url)
    proxy.always = "deaf"
    assert file.read_at(300_000, 10) == DATA[300_000:300_010]
    put(store, "faults.bin", DATA[::-1])
    with pytest.raises(StorageError, match="another snapshot"):
        file.read_at(500_000, 10)
    proxy.reset()
    file = RemoteFile(url)
    proxy.always = "etag"
    with pytest.raises(StorageError, match="another snapshot"):
        file.read_at(500_000, 10)


def test_weak_tags_are_compared_here(proxy: FaultyProxy, store: S3Store, url: str) -> None:
    """A server never finds them equal."""
    proxy.always = "weak"
    file = RemoteFile(url)
    assert file.read_at(300_000, 10) == DATA[300_000:300_010]
    put(store, "faults.bin", DATA[::-1])
    with pytest.raises(StorageError, match="another snapshot"):
        file.read_at(500_000, 10)


def test_a_server_without_ranges(proxy: FaultyProxy, store: S3Store, url: str) -> None:
    """A file of up to 8 MiB is taken whole, once; a larger one is an error at once."""
    proxy.always = "whole"
    file = RemoteFile(url)
    assert file.read([(900_000, 10), (5, 5)]) == [DATA[900_000:900_010], DATA[5:10]]
    assert len(proxy.gets()) == 2
    large = put(store, "large.bin", DATA * 9)
    asked = len(proxy.gets())
    with pytest.raises(StorageError, match="gives no parts"):
        RemoteFile(large)
    assert len(proxy.gets()) == asked + 2
    proxy.always = ""
    file = RemoteFile(url)
    proxy.always = "whole"
    assert file.read([(900_000, 10), (500_000, 5)]) == [DATA[900_000:900_010], DATA[500_000:500_005]]
    put(store, "faults.bin", DATA[::-1])
    with pytest.raises(StorageError, match="another snapshot"):
        file.read_at(700_000, 10)


def test_requests_of_a_step(proxy: FaultyProxy, url: str) -> None:
    """What is near each other is one request; what was read is not asked for again."""
    file = RemoteFile(url)
    assert proxy.gets() == ["bytes=0-81919"]
    proxy.log = []
    ranges = [(200_000, 100), (208_000, 100), (500_000, 10), (100, 100), (81_914, 20), (200_050, 100)]
    assert file.read(ranges) == [DATA[start : start + length] for start, length in ranges]
    assert sorted(proxy.gets()) == ["bytes=200000-208099", "bytes=500000-500009", "bytes=81920-81933"]
    proxy.log = []
    assert file.reopen().read(ranges) == [DATA[start : start + length] for start, length in ranges]
    file.prefetch([(200_000, 10), (700_000, 10), (len(DATA) - 3, 99), (len(DATA) + 9, 1)])
    assert sorted(proxy.gets()) == [f"bytes={len(DATA) - 3}-{len(DATA) - 1}", "bytes=700000-700009"]
    assert file.read_at(700_000, 10) == DATA[700_000:700_010]
    assert len(proxy.gets()) == 2


@pytest.mark.parametrize(
    ("parallel", "asked"),
    [
        (5, ["200000-200009", "220000-220009", "260000-260009", "500000-500009", "900000-900009"]),
        (4, ["200000-220009", "260000-260009", "500000-500009", "900000-900009"]),
        (3, ["200000-260009", "500000-500009", "900000-900009"]),
        (2, ["200000-200009", "220000-220009", "260000-260009", "500000-500009", "900000-900009"]),
    ],
)
def test_a_step_is_one_trip_if_little_more_is_read(
    proxy: FaultyProxy, url: str, parallel: int, asked: list[str]
) -> None:
    """Of more ranges than are asked for at once the nearest are joined, but not over 256 KiB in all."""
    file = RemoteFile(url, RemoteOptions(parallel=parallel))
    proxy.log = []
    ranges = [(start, 10) for start in (900_000, 200_000, 260_000, 220_000, 500_000)]
    assert file.read(ranges) == [DATA[start : start + 10] for start, _ in ranges]
    assert sorted(proxy.gets()) == [f"bytes={each}" for each in asked]


def test_large_reads_are_several_requests(proxy: FaultyProxy, store: S3Store) -> None:
    url = put(store, "large.bin", DATA * 9)
    file = RemoteFile(url, RemoteOptions(kept=1 << 20))
    assert file.read_at(3, 9 << 20) == (DATA * 9)[3:]
    assert sorted(proxy.gets()) == [
        "bytes=0-81919",
        "bytes=4276224-8470527",
        "bytes=81920-4276223",
        "bytes=8470528-9437183",
    ]
    assert file.read([(0, 9 << 20)]) == [DATA * 9]


def test_a_late_answer_is_asked_for_twice(proxy: FaultyProxy, url: str) -> None:
    file = RemoteFile(url, RemoteOptions(timeout=10))
    for offset in range(100_000, 900_000, 80_000):
        file.read_at(offset, 10)
    proxy.faults = ["stall"]
    assert file.read_at(950_000, 10) == DATA[950_000:950_010]
    assert file.counts.hedged == 1
    assert file.counts.failed == 0


def test_waiting_can_be_interrupted(proxy: FaultyProxy, url: str) -> None:
    file = RemoteFile(url)
    proxy.always = "stall"
    asked = threading.Event()

    def interrupted() -> bool:
        asked.set()
        return True

    with watched(interrupted), pytest.raises(InterruptError):
        file.read_at(500_000, 10)
    assert asked.is_set()


def test_read_anew_goes_past_caches(proxy: FaultyProxy, url: str) -> None:
    file = RemoteFile(url)
    proxy.always = "wrong"
    assert file.read_at(500_000, 9) != DATA[500_000:500_009]
    assert file.read_anew([(500_000, 9)])
    assert file.read_at(500_000, 9) == DATA[500_000:500_009]
    assert not file.read_anew([(500_000, 9)])


def _child(name: str, answers: object) -> None:
    try:
        RemoteFile(name)
        answers.put("read")  # type: ignore[attr-defined]
    except StorageError as error:
        answers.put(str(error))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_says_so_and_does_not_hang(url: str) -> None:
    RemoteFile(url)
    for method, said in (("fork", "forked after its parent read from a store"), ("spawn", "read")):
        context = multiprocessing.get_context(method)
        answers = context.Queue()
        child = context.Process(target=_child, args=(url, answers))
        child.start()
        assert said in answers.get(timeout=60)
        child.join()


def test_signatures_stay_out_of_messages(proxy: FaultyProxy, url: str) -> None:
    signed = f"http://me:PASSWORD@127.0.0.1:{proxy.port}/{BUCKET}/faults.bin?X-Amz-Signature=SECRET#f"
    assert RemoteFile(signed).read_at(0, 5) == DATA[:5]
    assert RemoteFile(signed).name == f"http://127.0.0.1:{proxy.port}/{BUCKET}/faults.bin"
    assert any("X-Amz-Signature=SECRET" in path for _, path, _ in proxy.log)
    with pytest.raises(StorageError, match="no such object") as raised:
        RemoteFile(signed.replace("faults", "none"))
    told = "".join(traceback.format_exception(raised.value))
    assert "SECRET" not in told
    assert "PASSWORD" not in told


@pytest.mark.parametrize(
    ("where", "kind", "said"),
    [
        ("s3://tables", StorageError, "names no object"),
        ("s3:///key", StorageError, "names no object"),
        ("memory://none", StorageError, "no such object"),
        ("local:///none/at/all", StorageError, "no such object"),
        ("local:///tmp", StorageError, "is a folder"),
        ("nonsense://a/b", StorageError, "nothing reads URLs of this kind"),
        ("http://127.0.0.1:1/a", StorageError, "the connection was refused"),
    ],
)
def test_what_is_no_object(where: str, kind: type[AudioMemError], said: str) -> None:
    with pytest.raises(kind, match=said):
        RemoteFile(where, RemoteOptions(budget=0.2))


def test_an_empty_object(store: S3Store) -> None:
    obstore.put(memory_store(), "empty", b"")
    for where in ("memory://empty", put(store, "empty", b"")):
        with pytest.raises(NotAudioMemoryError, match="empty"):
            RemoteFile(where)


@pytest.mark.parametrize("name", ["obstore", "fsspec"])
def test_a_package_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, name, None)
    if name == "fsspec":
        monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=rf"{name}.*pip install 'audiomem-sql\[remote\]'"):
        RemoteFile("s3://a/b" if name == "obstore" else "sftp://a/b")


@pytest.mark.parametrize("value", ["x", "-1", "0", "1e99"])
def test_numbers_of_the_environment(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEAD", value)
    with pytest.raises(OptionError, match="AUDIOMEM_REMOTE_HEAD"):
        RemoteOptions.of_environment()
    monkeypatch.setenv("AUDIOMEM_REMOTE_HEAD", "4096")
    assert RemoteOptions.of_environment().head == 4096


def test_urls() -> None:
    for where in ("s3://b/k.flac", "https://h/k.flac", "S3://b/k", "git+ssh://x/y"):
        assert is_url(where)
    for where in ("k.flac", "/a/b", "c://x", "file:///k.flac", "s3:/b", Path("s3://b/k"), b"s3://b/k"):
        assert not is_url(where)
    assert shown("https://a:b@h:1/x/k.flac?s=1#f") == "https://h:1/x/k.flac"
    assert file_name("https://h/x/k.flac?a=/b.flac") == "k.flac"
    assert file_name(Path("a/k.flac")) == "k.flac"


def test_kept_parts() -> None:
    kept = Kept(100)
    kept.put(10, b"a" * 10)
    kept.put(5, b"b" * 30)
    assert kept.gaps(0, 40) == [(0, 5), (35, 40)]
    assert assembled(kept.parts(5, 35), 5, 35) == b"b" * 5 + b"a" * 10 + b"b" * 15
    kept.put(50, b"c" * 90)
    assert kept.gaps(5, 35) != []
    assert kept.gaps(50, 140) == []
    kept.forget(139, 140)
    assert kept.gaps(50, 140) == [(50, 140)]
