"""Objects that only old versions use, moved to other storage classes of a real store, and asked for again."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cli.conftest import Command, audiomem

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, OptionError, StorageError, UnsupportedError
from audiomem_sql.remote import ArchivedError, archive
from audiomem_sql.remote.commits import Manifest
from audiomem_sql.remote.commits.manifest import InlineEntry, Retired
from audiomem_sql.remote.commits.manifest_bytes import pack_manifest
from audiomem_sql.remote.commits.paths import new_name
from audiomem_sql.upkeep.storage_classes import move_old, parse_age
from remote.commits.servers import moto

__all__ = ["audiomem"]  # a fixture
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as started:
        yield started


@pytest.fixture
def s3(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The store that the environment leads to, with an empty bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "DO-NOT-TELL")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    yield client
    for each in client.list_objects_v2(Bucket="tables").get("Contents", []):
        client.delete_object(Bucket="tables", Key=each["Key"])


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("table") / "kb.flac"
    with am.Table.create(path, ["id INTEGER PRIMARY KEY"], {"profile": "embedded"}) as made:
        made.append([{"id": 7}])
    return path.read_bytes()


def put(s3: Any, key: str, data: bytes = b"x", **others: Any) -> str:
    s3.put_object(Bucket="tables", Key=key, Body=data, **others)
    return f"s3://tables/{key}"


def kinds(s3: Any) -> dict[str, str]:
    found = s3.list_objects_v2(Bucket="tables").get("Contents", [])
    return {each["Key"]: each["StorageClass"] for each in found}


def test_a_folder_of_backups(s3: Any) -> None:
    """All but the newest file; what is no table file, and what belongs to a table with a manifest, stays."""
    for key in ("backups/a.flac", "backups/sub/b.flac", "backups/live.flac", "elsewhere.flac"):
        put(s3, key, ContentType="audio/flac", Metadata={"owner": "me"})
    for key in ("backups/live.flac.d/manifest", "backups/live.flac.d/seg/c.flac", "backups/notes.txt"):
        put(s3, key)
    newest = put(s3, "backups/z.flac")
    put(s3, "backups/archived.flac", StorageClass="DEEP_ARCHIVE")
    put(s3, "backups/z.flac")
    before = kinds(s3)
    later = datetime.now(UTC) + 90 * DAY
    assert move_old("s3://tables/backups/", 91 * DAY, "GLACIER", now=later) == []
    planned = move_old("s3://tables/backups/", 89 * DAY, "GLACIER", now=later, dry_run=True)
    assert kinds(s3) == before
    moved = move_old("s3://tables/backups/", 89 * DAY, "GLACIER", now=later)
    assert planned == moved
    assert [(each.url, each.before, each.fault) for each in moved] == [
        ("s3://tables/backups/a.flac", "STANDARD", ""),
        ("s3://tables/backups/sub/b.flac", "STANDARD", ""),
    ]
    after = kinds(s3)
    assert {key for key in after if after[key] != before[key]} == {"backups/a.flac", "backups/sub/b.flac"}
    assert after["backups/a.flac"] == "GLACIER"
    assert newest.endswith("z.flac")
    head = s3.head_object(Bucket="tables", Key="backups/a.flac")
    assert (head["ContentType"], head["Metadata"]) == ("audio/flac", {"owner": "me"})
    assert move_old("s3://tables/backups/", 89 * DAY, "GLACIER", now=later) == []
    put(s3, "backups/0.flac", StorageClass="STANDARD_IA")  # moved before, and so younger than it seems
    (moved,) = move_old("s3://tables/backups/", 89 * DAY, "GLACIER", now=later)
    assert moved.url == "s3://tables/backups/0.flac"


def test_a_table_with_a_manifest(s3: Any) -> None:
    """Only what was replaced before a version that is older than the limit."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    inline = tuple(
        InlineEntry(
            version,
            int((start + version * 10 * DAY).timestamp() * 1e6),
            version,
            1,
            bytes([version] * 16),
            b"\x80",
        )
        for version in range(1, 5)
    )
    names = [new_name(1, bytes([number] * 16), "flac") for number in range(4)]
    retired = tuple(Retired(name, 1, version) for version, name in enumerate(names, start=1))
    manifest = Manifest(bytes(16), 5, 2, 4, inline[-1].time, 5, inline=inline, retired=retired)
    put(s3, "kb.flac.d/manifest", pack_manifest(manifest))
    keys = [f"kb.flac.d/seg/{name}" for name in names]
    for key in keys:
        put(s3, key)
    put(s3, "kb.flac.d/seg/unknown.flac")
    now = start + 130 * DAY  # version 3 is 100 days old, version 4 90
    moved = move_old("s3://tables/kb.flac", 95 * DAY, "GLACIER", now=now)
    assert [each.url.removeprefix("s3://tables/") for each in moved] == keys[:2]
    assert [kinds(s3)[key] for key in keys] == ["GLACIER", "GLACIER", "STANDARD", "STANDARD"]
    assert move_old("s3://tables/kb.flac", 125 * DAY, "STANDARD_IA", now=now) == []
    moved = move_old("s3://tables/kb.flac", 80 * DAY, "STANDARD_IA", now=now)
    assert [each.url.removeprefix("s3://tables/") for each in moved] == keys[2:3]


def test_what_cannot_be_moved(s3: Any, table: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = put(s3, "kb.flac", table)
    cases: list[tuple[str, str, type[AudioMemError], str]] = [
        (url, "GLACIER", UnsupportedError, "is one object"),
        (str(tmp_path / "kb.flac"), "GLACIER", UnsupportedError, "local file"),
        ("gs://bucket/backups/", "GLACIER", UnsupportedError, "storage classes are changed in S3"),
        (url, "GLACIAR", OptionError, "GLACIER"),
        ("s3://nobody-has-this/backups/", "GLACIER", StorageError, "no such bucket"),
        ("s3://nobody-has-this/kb.flac", "GLACIER", StorageError, "no such object"),
        ("s3://tables/nobody.flac", "GLACIER", StorageError, "no such object"),
    ]
    for place, kind, error, what in cases:
        with pytest.raises(error, match=what) as raised:
            move_old(place, DAY, kind)
        assert raised.value.remedy
    put(s3, "lost.flac", table)
    put(s3, "lost.flac.d/seg/00000001-" + "0" * 32 + ".flac", table)
    with pytest.raises(StorageError, match=r"lost\.flac\.d/manifest, is not there"):
        move_old("s3://tables/lost.flac", DAY, "GLACIER")
    for age in ("90", "d", "-1d", "90y"):
        with pytest.raises(OptionError, match="no age"):
            parse_age(age)
    assert parse_age("2w") == 14 * DAY
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StorageError, match=r"cannot be asked .*AWS_ENDPOINT_URL"):
        archive.restore("s3://tables/kb.flac")


def test_one_that_was_replaced_meanwhile(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, "backups/a.flac")
    put(s3, "backups/b.flac", b"new")
    move = archive.Bucket.move

    def meanwhile(self: archive.Bucket, *arguments: Any) -> None:
        put(s3, "backups/a.flac", b"new")
        move(self, *arguments)

    monkeypatch.setattr(archive.Bucket, "move", meanwhile)
    (moved,) = move_old("s3://tables/backups/", timedelta(0), "GLACIER", now=datetime.now(UTC) + DAY)
    assert moved.fault == "the object was replaced meanwhile"
    assert kinds(s3)["backups/a.flac"] == "STANDARD"
    monkeypatch.setattr(archive, "MOST_BYTES", 2)
    (moved,) = move_old("s3://tables/backups/", timedelta(0), "GLACIER", now=datetime.now(UTC) + DAY)
    assert "more than one request can move" in moved.fault


def test_an_archived_table(s3: Any, url: str, table: bytes) -> None:
    """The error says what to do; asking says when to try again; then it can be read."""
    place = put(s3, "kb.flac", table, StorageClass="GLACIER")
    with pytest.raises(ArchivedError, match=r"audiomem tier s3://tables/kb\.flac --restore"):
        am.open(place)
    with pytest.raises(Exception, match="is archived, and must be restored"):
        am.connect(place)
    _restores_take_time(url)
    with pytest.raises(
        StorageError, match=r"asked for: try again after 20\d\d-\d\d-\d\d \d\d:\d\d UTC"
    ) as raised:
        am.open(place, restore=True)
    assert not isinstance(raised.value, ArchivedError)
    with pytest.raises(StorageError, match="under way: try again later"):
        am.open(place, restore=True)
    assert len(am.open(place, restore=True)) == 1
    assert archive.restore(place).state == "ready"
    assert "2" in archive.restore(place).until
    with pytest.raises(StorageError, match="no such object"):
        am.open("s3://tables/none.flac", restore=True)


def _restores_take_time(url: str) -> None:
    """A restore is under way when it is looked at for the first time, and done at the second."""
    content = {"model_name": "s3::keyrestore", "transition": {"progression": "manual", "times": 3}}
    request = urllib.request.Request(
        f"{url}/moto-api/state-manager/set-transition",
        json.dumps(content).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


def test_speeds(s3: Any) -> None:
    place = put(s3, "deep.flac", StorageClass="DEEP_ARCHIVE")
    with pytest.raises(OptionError, match="There are Standard, Bulk"):
        archive.restore(place, speed="Expedited")
    for days in (0, 3651):
        with pytest.raises(OptionError, match="days"):
            archive.restore(place, days)
    before = datetime.now(UTC)
    asked = archive.restore(place, speed="Bulk")
    again = datetime.strptime(asked.until, "%Y-%m-%d %H:%M UTC").replace(tzinfo=UTC)
    assert timedelta(hours=47.9) < again - before < timedelta(hours=48.1)
    assert archive.restore(put(s3, "new.flac")).state == "not archived"


def test_the_command(s3: Any, table: bytes, audiomem: Command) -> None:
    for key in ("backups/a.flac", "backups/b.flac"):
        put(s3, key, table)
    given = ["tier", "s3://tables/backups/", "--older-than", "0s", "--to", "GLACIER"]
    planned = audiomem(*given, "--dry-run")
    assert "a.flac" in planned.out
    assert "would be moved from STANDARD to GLACIER" in planned.out
    (moved,) = json.loads(audiomem(*given, "--json").out)
    assert (moved["url"], moved["after"]) == ("s3://tables/backups/a.flac", "GLACIER")
    assert "nothing older than 0s" in audiomem(*given).err
    read = audiomem("sql", "s3://tables/backups/a.flac", "SELECT 1")
    assert read.code == 1
    assert "--restore" in read.err
    asked = audiomem("tier", "s3://tables/backups/a.flac", "--restore")
    assert "try again after" in asked.out
    assert audiomem("tier", "s3://tables/backups/", "--to", "GLACIER").code == 2
    assert audiomem(*given, "--restore").code == 2


def test_all_of_a_table_is_asked_for_at_once(s3: Any, url: str, audiomem: Command) -> None:
    """Its old segments go where they can be read at once; what a rule of the bucket archived is asked for."""
    place = "s3://tables/kb.flac"
    with am.create(place, ["id INTEGER PRIMARY KEY"], profile="embedded") as made:
        for first in (0, 300):
            made.append([{"id": first + n} for n in range(300)])
            made.checkpoint()
        made.vacuum()
        made.append([{"id": 1000 + n} for n in range(300)])
        made.checkpoint()
    put(s3, "kb.flac2", StorageClass="GLACIER")
    later = datetime.now(UTC) + 90 * DAY
    retired = {each.url for each in move_old(place, 89 * DAY, "GLACIER", now=later, dry_run=True)}
    moved = move_old(place, 89 * DAY, "STANDARD_IA", now=later)
    assert not any(each.fault for each in moved)
    with am.open(place) as table:
        named = {segment.path for segment in table.snapshot.segments}
        assert len(table.to_arrow()) == 900
        assert table.append([{"id": 2000}]) == table.version
    assert {each.url for each in moved} == retired | named
    assert move_old(place, 91 * DAY, "GLACIER_IR", now=later) == []
    for each in sorted(named):  # as a lifecycle rule does
        key = each.removeprefix("s3://tables/")
        data = s3.get_object(Bucket="tables", Key=key)["Body"].read()
        put(s3, key, data, StorageClass="GLACIER")
    with pytest.raises(ArchivedError, match="audiomem tier"):
        am.open(place)
    _restores_take_time(url)
    with pytest.raises(StorageError, match="2 objects are archived: its restore was asked for"):
        am.open(place, restore=True)
    asked = json.loads(audiomem("tier", place, "--restore", "--json").out)
    assert {each["url"] for each in asked} == named
    assert {each["state"] for each in asked} == {"under way"}
    audiomem("tier", place, "--restore")  # each look brings it on
    assert audiomem("tier", place, "--restore").out.count("can be read until") == 2
    assert len(am.open(place)) == 901
    assert audiomem("tier", "s3://tables/backups/", "--restore").code == 2
