"""Tables in Azure and in Google's store: the same bytes, one snapshot, credentials of each cloud's chain."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import duckdb
import obstore
import pytest
from bytes.contract import ByteSourceContract

import audiomem_sql as am
from audiomem_sql.bytes import ByteSource
from audiomem_sql.errors import NotAudioMemoryError, StorageError, named
from audiomem_sql.remote import RemoteFile, clouds
from audiomem_sql.remote.contract import TransientFaultError
from audiomem_sql.remote.faults import fault_of, given_up
from remote import cloud_servers as servers
from remote.cloud_servers import ACCOUNT, ACCOUNT_KEY, BUCKET, TokenServer
from remote.proxy import FaultyProxy

DATA = os.urandom(300_000)
TOKEN = "SECRET-OF-THE-MACHINE"
WRONG_KEY = "SECRET" + ACCOUNT_KEY[6:]
_NUMBERS = count()


@dataclass
class Cloud:
    """A store behind a proxy: what its URLs begin with, and how an object is put there."""

    scheme: str
    proxy: FaultyProxy
    upload: Callable[[str, bytes], None]

    def put(self, key: str, data: bytes) -> str:
        self.upload(key, data)
        return f"{self.scheme}://{BUCKET}/{key}"

    @property
    def server(self) -> str:
        return self.proxy.url + (f"/{ACCOUNT}" if self.scheme == "az" else "")


@pytest.fixture(scope="module")
def started_azure() -> Iterator[Cloud]:
    with servers.azurite() as port:
        proxy = FaultyProxy(port)
        yield Cloud("az", proxy, lambda key, data: servers.azure_put(port, f"{BUCKET}/{key}", data))
        proxy.close()


@pytest.fixture(scope="module")
def started_google() -> Iterator[Cloud]:
    with servers.google_store() as port:
        proxy = FaultyProxy(port)
        yield Cloud("gs", proxy, lambda key, data: servers.google_put(port, key, data))
        proxy.close()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith((*clouds.PREFIXES, "AUDIOMEM_REMOTE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # what gcloud left there is no part of a test
    monkeypatch.setenv("AUDIOMEM_REMOTE_TIMEOUT", "5")
    monkeypatch.setenv("AUDIOMEM_REMOTE_BUDGET", "0.5")


@pytest.fixture
def azure(started_azure: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    started_azure.proxy.reset()
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", started_azure.server)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
    return started_azure


@pytest.fixture
def google(started_google: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    started_google.proxy.reset()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", started_google.server)
    return started_google


@pytest.fixture(params=["azure", "google"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def machine() -> Iterator[TokenServer]:
    with servers.token_server(TOKEN) as started:
        yield started


class _InCloud(ByteSourceContract):
    where: Cloud

    def make(self, data: bytes) -> ByteSource:
        return RemoteFile(self.where.put(f"contract/{next(_NUMBERS)} é", data))

    def replace(self, source: ByteSource, data: bytes) -> ByteSource:
        return RemoteFile(self.where.put(source.name.split(f"{BUCKET}/")[1], data))


class TestAzure(_InCloud):
    @pytest.fixture(autouse=True)
    def _azure(self, azure: Cloud) -> None:
        self.where = azure


class TestGoogle(_InCloud):
    @pytest.fixture(autouse=True)
    def _google(self, google: Cloud) -> None:
        self.where = google


def test_a_table(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "notes.flac"
    rows = [{"id": n, "body": f"{'wave' if n % 50 else 'flac'} {n * n}"} for n in range(1, 501)]
    with am.Table.create(
        path, ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"], {"profile": "embedded"}
    ) as made:
        made.append(rows)
        made.vacuum()
    url = cloud.put("folder/notes.flac", path.read_bytes())
    with am.open(url) as table:
        assert table.to_arrow().to_pylist() == rows
        assert [row["id"] for row in table.search("words: flac", k=2).to_pylist()] == [50, 100]
    connection = am.connect(url)
    assert connection.execute("SELECT count(*), max(id) FROM notes").fetchall() == [(500, 500)]
    connection.close()
    duck = duckdb.connect()
    am.register_duckdb(duck)
    assert duck.execute(f"SELECT body FROM audiomem_scan('{url}') WHERE id = 7").fetchall() == [("wave 49",)]
    duck.close()


def test_a_changed_object_is_another_snapshot(cloud: Cloud) -> None:
    url = cloud.put("changed.bin", DATA)
    file = RemoteFile(url)
    assert file.read_at(200_000, 10) == DATA[200_000:200_010]
    cloud.put("changed.bin", DATA[::-1])
    for fresh in (False, True):
        with pytest.raises(StorageError, match=r"changed\.bin: .* another snapshot"):
            file.read_anew([(100_000, 9)]) if fresh else file.read_at(250_000, 10)
    assert RemoteFile(url).read_at(250_000, 10) == DATA[::-1][250_000:250_010]
    assert RemoteFile(url).identity != file.identity


def test_what_is_not_there_and_what_is_empty(cloud: Cloud) -> None:
    with pytest.raises(StorageError, match=f"{cloud.scheme}://{BUCKET}/none.flac: there is no such object"):
        RemoteFile(f"{cloud.scheme}://{BUCKET}/none.flac")
    with pytest.raises(NotAudioMemoryError, match="empty"):
        RemoteFile(cloud.put("empty.flac", b""))


@pytest.mark.parametrize("fault", ["503", "429", "short", "reset"])
def test_what_passes_is_tried_again(cloud: Cloud, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_BUDGET", "5")
    file = RemoteFile(cloud.put("faults.bin", DATA))
    cloud.proxy.faults = [fault]
    assert file.read_at(200_000, 10) == DATA[200_000:200_010]
    assert file.counts.failed == 1


def _settings(how: str, server: str) -> dict[str, str]:
    named_account = {"AZURE_STORAGE_ENDPOINT": server, "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT}
    account = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};"
    told: dict[str, dict[str, str]] = {
        "key": named_account | {"AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY},
        "sas": named_account | {"AZURE_STORAGE_SAS_KEY": servers.azure_sas()},
        "string": {
            "AZURE_STORAGE_CONNECTION_STRING": f"{account}AccountKey={ACCOUNT_KEY};BlobEndpoint={server}/;"
        },
        "string with sas": {
            "AZURE_STORAGE_CONNECTION_STRING": f"{account}BlobEndpoint={server};"
            f"SharedAccessSignature={servers.azure_sas()}"
        },
        "emulator": {
            "AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true",
            "AZURITE_BLOB_STORAGE_URL": server.removesuffix(f"/{ACCOUNT}"),
        },
    }
    return told[how]


@pytest.mark.parametrize("how", ["key", "sas", "string", "string with sas", "emulator"])
def test_credentials_of_azure(started_azure: Cloud, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = started_azure.put("credentials.bin", DATA)
    for name, value in _settings(how, started_azure.server).items():
        monkeypatch.setenv(name, value)
    assert RemoteFile(url).read_at(200_000, 10) == DATA[200_000:200_010]


def test_an_account_in_the_url(azure: Cloud) -> None:
    """The container is no user: it is named, and tells one object from another."""
    azure.put("a.bin", DATA)
    file = RemoteFile(f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/a.bin")
    assert file.read_at(200_000, 10) == DATA[200_000:200_010]
    assert file.name == f"abfss://{BUCKET}@{ACCOUNT}.dfs.core.windows.net/a.bin"
    assert named("ABFS://c@h/k?sig=SECRET") == "ABFS://c@h/k"
    for where in ("abfss://me:SECRET@h/k", "https://SECRET@h/k", "abfss://SECRET:x@y@h/k", "s3://SECRET@h/k"):
        assert "SECRET" not in named(where)


def test_the_machine_has_credentials_for_google(
    started_google: Cloud, machine: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", machine.host)
    monkeypatch.setenv("GOOGLE_BASE_URL", started_google.server)
    started_google.proxy.reset()
    url = started_google.put("machine.bin", DATA)
    assert RemoteFile(url).read_at(200_000, 10) == DATA[200_000:200_010]
    assert started_google.proxy.authorizations[-1] == f"Bearer {TOKEN}"


def test_the_machine_has_credentials_for_azure(
    started_azure: Cloud, machine: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azurite takes no tokens without TLS; that it gets it is enough. And none of it is told."""
    monkeypatch.setenv("AZURE_MSI_ENDPOINT", f"{machine.url}/token")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", started_azure.server)
    started_azure.proxy.reset()
    url = started_azure.put("machine.bin", DATA)
    assert "access was refused" in _told(url)
    assert started_azure.proxy.authorizations[-1] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(("status", "said"), [(404, "access was refused"), (500, "there are no credentials")])
@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("s3://bucket/key", {"AWS_METADATA_ENDPOINT": "{}", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}),
        ("az://bucket/key", {"AZURE_MSI_ENDPOINT": "{}/token", "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT}),
    ],
)
def test_a_machine_without_credentials(
    url: str,
    settings: dict[str, str],
    status: int,
    said: str,
    machine: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A 404 is not one of the object."""
    machine.status = status
    for name, value in settings.items():
        monkeypatch.setenv(name, value.format(machine.url))
    assert f"{url}: " in _told(url)
    assert said in _told(url)
    assert machine.log


def test_no_credentials_for_google() -> None:
    """Its client asks a fixed address at last, so the words are those that it gives then."""
    words = (
        "Generic GCS error: Error performing token request: Error performing GET http://{}/token in 1ms - {}"
    )
    dead = obstore.exceptions.GenericError(words.format("metadata", "HTTP error: error sending request"))
    fault = fault_of(dead, "gs://b/k", opened=False)
    assert isinstance(fault, TransientFaultError)
    assert fault.brief
    error = given_up("gs://b/k", fault.cause, 1.0)
    assert "there are no credentials" in str(error)
    assert "Check the credentials" in str(error)
    none = obstore.exceptions.GenericError(words.format("metadata", "non-2xx status code: 404 Not Found"))
    assert "access was refused" in str(fault_of(none, "gs://b/k", opened=False))
    other = FileNotFoundError("Object at location token request not found: status code: 404")
    assert "no such object" in str(fault_of(other, "gs://b/k", opened=False))


def _told(url: str) -> str:
    """All that is told of the error of opening ``url``, which has nothing secret in it."""
    with pytest.raises(StorageError) as raised:
        RemoteFile(url)
    told = "".join(traceback.format_exception(raised.value))
    assert "SECRET" not in told
    return told


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"AZURE_STORAGE_ACCOUNT_KEY": WRONG_KEY}, "access was refused"),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "SECRET that is none"}, "there is no client"),
        (
            {"AZURE_STORAGE_ACCOUNT_KEY": "", "AZURE_STORAGE_SAS_KEY": "sv=2021&sig=SECRET"},
            "access was refused",
        ),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "", "AZURE_STORAGE_CONNECTION_STRING": "SECRET"}, "names no account"),
        (
            {
                "AZURE_STORAGE_ACCOUNT_NAME": "",
                "AZURE_STORAGE_CONNECTION_STRING": f"AccountName={ACCOUNT};AccountKey={WRONG_KEY}",
            },
            "access was refused",
        ),
        ({"AZURE_STORAGE_ACCOUNT_NAME": ""}, "there is no client"),
        ({"AZURE_STORAGE_ENDPOINT": "http://me:SECRET@127.0.0.1:1/x"}, "refused|failed"),
    ],
)
def test_wrong_credentials(
    azure: Cloud, settings: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = azure.put("a.bin", DATA)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    assert any(each in _told(url) for each in said.split("|"))


def test_a_service_account_that_is_none(
    google: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    (tmp_path / "key.json").write_text('{"private_key": "SECRET"}')
    for path in (tmp_path / "key.json", tmp_path / "none.json"):
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(path))
        assert "there is no client" in _told(f"gs://{BUCKET}/a")


def test_which_server_a_scheme_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TLS only to where the environment says so, and only for the cloud of which it does."""
    assert not any(map(clouds.is_plain, ("s3", "gs", "az")))
    monkeypatch.setenv("AZURE_ENDPOINT", "http://127.0.0.1:9/one")
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:8/")
    assert list(map(clouds.is_plain, ("s3", "s3a", "gs", "az", "abfss"))) == [False, False, True, True, True]
    assert clouds.settings_of("gs", BUCKET) == {"base_url": "http://127.0.0.1:8", "skip_signature": True}
    monkeypatch.setenv("GOOGLE_BASE_URL", "https://storage.example")
    assert clouds.settings_of("gs", BUCKET) == {}
    assert not clouds.is_plain("gs")
    assert clouds.endpoint("gs") == "https://storage.example"
    monkeypatch.delenv("AZURE_ENDPOINT")
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING", "AccountName=one;AccountKey=x;EndpointSuffix=example.net"
    )
    assert clouds.settings_of("az", BUCKET)["endpoint"] == "https://one.blob.example.net"
    assert clouds.settings_of("abfss", "c@two.blob.example.net") == {}
    assert clouds.endpoint("az") == "https://one.blob.example.net one"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "two")
    assert clouds.endpoint("az") == "two"
    assert clouds.settings_of("az", BUCKET) == {}
