"""Clients of object stores, by URL: S3 and what speaks it, GCS, Azure, HTTP, and a store in memory.

Credentials come from where each cloud's own tools have them; a client is made anew when those change.
"""

from __future__ import annotations

import importlib
import os
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from audiomem_sql.errors import MissingExtraError, StorageError
from audiomem_sql.machine.urls import shown
from audiomem_sql.remote import clouds
from audiomem_sql.remote.forks import check_orphan

#: Schemes of buckets: the host names the bucket, the path the key.
BUCKETS = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
HTTP = ("http", "https")
MEMORY = "memory"
_MOST_CLIENTS = 64
_PROCESS = os.urandom(16).hex()

_clients: dict[tuple[object, ...], Any] = {}
_lock = threading.Lock()


def knows(scheme: str) -> bool:
    """Whether URLs of ``scheme`` are read by this module."""
    return scheme in (*BUCKETS, *HTTP, MEMORY)


def client() -> Any:
    """The package ``obstore``. MissingExtraError where it is not installed."""
    try:
        return importlib.import_module("obstore")
    except ImportError:
        raise MissingExtraError(
            "reading from stores needs the package obstore",
            remedy="Install it with: pip install 'audiomem-sql[remote]'",
        ) from None


def memory_store() -> Any:
    """The store of ``memory://``: one for the process, gone with it."""
    return _client((MEMORY,), lambda: client().store.MemoryStore())


def store_of(url: str, timeout: float, *, fresh: bool = False) -> tuple[Any, str]:
    """The client for ``url``, and the key of the object in it.

    fresh: one that asks caches on the way to pass the request on. StorageError for what is no such URL.
    """
    check_orphan(shown(url))
    module = client()
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme == MEMORY:
        return memory_store(), f"{parts.netloc}{parts.path}".strip("/")
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=timeout),
        "connect_timeout": timedelta(seconds=min(timeout, 5.0)),
        "allow_http": scheme == "http" or (scheme in BUCKETS and clouds.is_plain(scheme)),
    }
    if fresh:
        options["default_headers"] = {"Cache-Control": "no-cache"}
    chosen: dict[str, Any] = {
        "client_options": options,
        "retry_config": {"max_retries": 0, "retry_timeout": timedelta(seconds=timeout)},
    }
    if scheme in HTTP:
        root, key = url.partition("#")[0], ""  # a signature is in the query, which a key cannot have
    else:
        root, key = f"{scheme}://{parts.netloc}", parts.path.strip("/")
        chosen |= _profile() if scheme.startswith("s3") else clouds.settings_of(scheme, parts.netloc)
    if not parts.netloc or (scheme in BUCKETS and not key):
        raise StorageError("names no object", file=shown(url), remedy="Write scheme://bucket/key")
    environment = tuple(item for item in sorted(os.environ.items()) if item[0].startswith(clouds.PREFIXES))
    try:
        made = _client((root, fresh, timeout, environment), lambda: module.store.from_url(root, **chosen))
    except (ValueError, module.exceptions.BaseError) as error:
        raise StorageError(
            f"there is no client for it ({type(error).__name__})",
            file=shown(url),
            remedy="Check the URL, and the settings of the cloud in the environment (docs/REMOTE.md).",
        ) from None
    return made, key


def endpoint(scheme: str) -> str:
    """The server that stands for a scheme, if it is not the cloud's own; of ``memory://`` this process."""
    if scheme == MEMORY:
        return f"process {os.getpid()} {_PROCESS}"
    return clouds.endpoint(scheme) if scheme in BUCKETS else ""


def _profile() -> dict[str, Any]:
    """Credentials of a profile or of SSO, which boto3 knows how to get, if the environment names one."""
    if not os.environ.get("AWS_PROFILE") or os.environ.get("AWS_ACCESS_KEY_ID"):
        return {}
    try:
        provider = importlib.import_module("obstore.auth.boto3").Boto3CredentialProvider
        return {"credential_provider": provider()}
    except ImportError:
        raise MissingExtraError(
            "AWS_PROFILE needs the package boto3", remedy="Install it with: pip install boto3"
        ) from None


def _client(key: tuple[object, ...], make: Any) -> Any:
    """The client that was made for ``key``, or a new one."""
    with _lock:
        if key not in _clients:
            if len(_clients) >= _MOST_CLIENTS:
                _clients.pop(next(each for each in _clients if each != (MEMORY,)))
            _clients[key] = make()
        return _clients[key]
