"""What the environment says of a cloud, and its client does not read by itself.

The clients read keys, tokens, service accounts and metadata services. Here are the two things beside that
which Google's and Azure's own tools read, and which server it is that a scheme leads to.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from audiomem_sql.errors import StorageError

#: Variables of credentials and servers begin with one of these: a client is made anew when one changes.
PREFIXES = ("AWS_", "AZURE_", "AZURITE_", "GOOGLE_", "GCE_", "STORAGE_EMULATOR_", "IDENTITY_", "MSI_")
_SERVERS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL", "STORAGE_EMULATOR_HOST"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT", "AZURITE_BLOB_STORAGE_URL"),
}
_ACCOUNT = ("AZURE_STORAGE_ACCOUNT_NAME",)
_CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"


def endpoint(scheme: str) -> str:
    """The server that stands for a scheme, if the environment names another than the cloud's.

    Of Azure with the account, because its containers are called alike in each.
    """
    cloud = _cloud(scheme)
    told = [_first(_SERVERS[cloud])]
    if cloud == "az":
        settings = _of_connection_string() or {}
        told = [told[0] or settings.get("endpoint", ""), _first(_ACCOUNT) or settings.get("account_name", "")]
    return " ".join(each for each in told if each)


def is_plain(scheme: str) -> bool:
    """Whether the server of a scheme is one without TLS. Only then do credentials go over an open line."""
    told = settings_of(scheme, "")
    servers = [_first(_SERVERS[_cloud(scheme)]), told.get("endpoint", ""), told.get("base_url", "")]
    return any(server.startswith("http://") for server in servers)


def settings_of(scheme: str, host: str) -> dict[str, Any]:
    """Settings of the client for a scheme, beside those that it finds itself.

    host: of the URL. ``STORAGE_EMULATOR_HOST`` counts for Google, and ``AZURE_STORAGE_CONNECTION_STRING`` for
    Azure where no account is named. StorageError for a connection string that is none.
    """
    emulator = _emulator_of(scheme)
    if emulator:
        return {"base_url": emulator, "skip_signature": True}
    if _cloud(scheme) == "az" and "@" not in host:  # else the URL names an account
        return _of_connection_string() or {}
    return {}


def _emulator_of(scheme: str) -> str:
    """The server of ``STORAGE_EMULATOR_HOST``, which asks nobody who he is."""
    host = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if _cloud(scheme) != "gs" or not host or os.environ.get("GOOGLE_BASE_URL"):
        return ""
    return (host if "://" in host else f"http://{host}").rstrip("/")


def _of_connection_string() -> dict[str, Any] | None:
    """What ``AZURE_STORAGE_CONNECTION_STRING`` says; None if there is none, or an account is named."""
    text = os.environ.get(_CONNECTION, "")
    if not text or _first(_ACCOUNT):
        return None
    fields = {}
    for name, _, value in (each.partition("=") for each in text.strip().strip(";").split(";")):
        fields[name.strip().lower()] = value.strip()
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        return {"use_emulator": True}
    server = fields.get("blobendpoint", "").rstrip("/")
    account = fields.get("accountname") or (urlsplit(server).hostname or "").partition(".")[0]
    if not account:
        raise StorageError(
            f"{_CONNECTION} is no connection string: it names no account",
            remedy="Copy it again from the keys of the storage account.",
        )
    if not server and fields.get("endpointsuffix"):
        protocol = fields.get("defaultendpointsprotocol") or "https"
        server = f"{protocol}://{account}.blob.{fields['endpointsuffix']}"
    told = {
        "account_name": account,
        "account_key": fields.get("accountkey"),
        "sas_key": (fields.get("sharedaccesssignature") or "").lstrip("?"),
        "endpoint": server,
    }
    return {name: value for name, value in told.items() if value}


def _cloud(scheme: str) -> str:
    if scheme.startswith("s3"):
        return "s3"
    return "gs" if scheme == "gs" else "az"


def _first(names: tuple[str, ...]) -> str:
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
