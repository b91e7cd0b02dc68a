"""A busy store says when to come again: that is obeyed, within the time there is, and costs one request."""

from __future__ import annotations

import os
import time
from email.utils import formatdate

import pytest
from obstore.store import S3Store

from audiomem_sql.errors import StorageError
from audiomem_sql.remote import RemoteFile, RemoteOptions
from audiomem_sql.remote.patience import Patience, seconds_of
from remote.conftest import BUCKET, put
from remote.proxy import FaultyProxy

DATA = os.urandom(1 << 20)
PLACES = [(start, 10) for start in range(100_000, 1_000_000, 100_000)]
#: Requests of as little as can be: method, and Range.
_FOR_HEADERS = [("HEAD", ""), ("GET", "bytes=0-0")]


@pytest.fixture
def file(request: pytest.FixtureRequest, proxy: FaultyProxy, store: S3Store) -> RemoteFile:
    url = put(store, "busy.bin", DATA)
    if getattr(request, "param", "s3") == "http":
        url = f"http://me:PASSWORD@127.0.0.1:{proxy.port}/{BUCKET}/busy.bin?X-Amz-Signature=SECRET#f"
    opened = RemoteFile(url, RemoteOptions(budget=5, hedge=0))
    proxy.log, proxy.authorizations = [], []
    return opened


@pytest.mark.parametrize(("file", "status"), [("s3", 503), ("http", 429)], indirect=["file"])
def test_it_is_left_alone_for_so_long(proxy: FaultyProxy, file: RemoteFile, status: int) -> None:
    """Nine requests at the same time, and one that asks for how long; then each once more."""
    proxy.busy_until, proxy.busy_status = time.monotonic() + 0.9, status
    assert file.read(PLACES) == [DATA[start : start + length] for start, length in PLACES]
    asking = [each for each, (method, _, place) in enumerate(proxy.log) if (method, place) in _FOR_HEADERS]
    assert (len(asking), len(proxy.log)) == (1, 19)
    assert (file.counts.failed, file.counts.steps) == (9, 2)
    if file.name.startswith("http"):  # the signature is one of GET
        assert proxy.log[asking[0]][0] == "GET"
        assert "SECRET" in proxy.log[asking[0]][1]
        assert proxy.authorizations[asking[0]] == "Basic bWU6UEFTU1dPUkQ="


def test_what_was_not_asked_yet_waits_too(proxy: FaultyProxy, store: S3Store) -> None:
    url = put(store, "busy.bin", DATA)
    file = RemoteFile(url, RemoteOptions(budget=5, hedge=0, parallel=1))
    proxy.log, proxy.busy_until = [], time.monotonic() + 0.9
    assert file.read(PLACES) == [DATA[start : start + length] for start, length in PLACES]
    assert [method for method, _, _ in proxy.log] == ["GET", "HEAD", *["GET"] * 9]


def test_one_question_for_all_that_failed(proxy: FaultyProxy, file: RemoteFile) -> None:
    """Also if the store is not busy any more when it is asked."""
    proxy.faults = ["503"] * 9
    assert file.read(PLACES) == [DATA[start : start + length] for start, length in PLACES]
    methods = [method for method, _, _ in proxy.log]
    assert (methods.count("GET"), methods.count("HEAD")) == (18, 1)


def test_until_a_date(proxy: FaultyProxy, file: RemoteFile) -> None:
    proxy.busy_until, proxy.retry_after = time.monotonic() + 0.9, formatdate(time.time() + 2, usegmt=True)
    assert file.read_at(500_000, 10) == DATA[500_000:500_010]
    assert [method for method, _, _ in proxy.log] == ["GET", "HEAD", "GET"]


def test_not_for_longer_than_there_is_time(proxy: FaultyProxy, file: RemoteFile) -> None:
    proxy.busy_until, proxy.retry_after = time.monotonic() + 60, "3600"
    with pytest.raises(StorageError, match=r"busy\.bin: .* status 503 and asks to wait for 3600 s") as raised:
        file.read_at(500_000, 10)
    assert "SECRET" not in str(raised.value)
    assert [method for method, _, _ in proxy.log] == ["GET", "HEAD"]
    proxy.reset()
    assert file.read_at(500_000, 10) == DATA[500_000:500_010]


@pytest.mark.parametrize("told", ["", "soon"])
def test_a_store_that_does_not_say_is_not_asked_again(
    proxy: FaultyProxy, file: RemoteFile, told: str
) -> None:
    proxy.busy_until, proxy.retry_after = time.monotonic() + 0.7, told
    assert file.read_at(500_000, 10) == DATA[500_000:500_010]
    methods = [method for method, _, _ in proxy.log]
    assert methods.count("HEAD") == 1
    assert methods.count("GET") >= 3


def test_seconds_of() -> None:
    date = "Sun, 29 Nov 2026 10:00:00 GMT"
    assert seconds_of(" 7 ") == 7
    assert seconds_of("9" * 5000) == 999_999_999
    assert seconds_of("Sun, 29 Nov 2026 10:00:30 GMT", date) == 30
    assert seconds_of("Sun, 29 Nov 2026 11:00:30 +0100", date) == 30
    assert seconds_of("Sun, 29 Nov 2026 09:00:00 GMT", date) == 0
    for nonsense in ("", "x", "-3", "1.5", "²", "Sun, 99 Nov 2026 10:00:30 GMT", "Sun, 29 Nov 2026 10:00:30"):
        assert seconds_of(nonsense, date) == 0
    assert seconds_of("Sun, 29 Nov 2026 10:00:30 GMT", "x") == 0
    assert seconds_of("Mon, 01 Jan 2180 00:00:00 GMT") > 1e9


def test_what_cannot_be_asked() -> None:
    def address() -> str:
        asked.append(1)
        raise ValueError("not to be signed")

    asked: list[int] = []
    patience = Patience(address, 1.0)
    assert [patience.seconds() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert asked == [1]
    assert Patience(lambda: "http://127.0.0.1:1/x", 1.0).seconds() == 0.0
