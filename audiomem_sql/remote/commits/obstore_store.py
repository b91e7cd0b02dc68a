"""A store of objects through ``obstore``: S3 and what speaks it, Google's and Azure's, and memory.

obstore repeats a request itself whose answer did not come. So a conditional write may be ``Refused`` although
it took place; ``audiomem_sql.remote.commits.committer`` settles that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from audiomem_sql.errors import AudioMemError, StorageError, UnsupportedError
from audiomem_sql.machine.urls import shown
from audiomem_sql.observe import hooks
from audiomem_sql.remote.commits.store import Mark, Missing, Refused, Stored, Unanswered, Upload
from audiomem_sql.remote.faults import NO_CREDENTIALS, told
from audiomem_sql.remote.forks import check_fork
from audiomem_sql.remote.stores import HTTP, client, knows, store_of

_T = TypeVar("_T")
_MANIFEST_ATTRIBUTES = {"Cache-Control": "no-store"}
_SEGMENT_ATTRIBUTES = {"Cache-Control": "public, max-age=31536000, immutable"}
_ELSEWHERE = "Write to a store with conditional writes; this one can be read."
_NAMES = "Check bucket and key."
_RIGHTS = "Check bucket and credentials (docs/REMOTE.md), and what they may do there."
_AGAIN = "Check the network and the store, and try again."
_QUERY = re.compile(r"([a-z][a-z0-9+.-]*://[^\s?\"')]+)\?[^\s\"')]+")
#: Few and short repetitions: whoever writes a manifest must know soon whether it is still the newest.
RETRIES = {
    "max_retries": 2,
    "retry_timeout": timedelta(seconds=20),
    "backoff": {
        "init_backoff": timedelta(milliseconds=50),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}


def open_store(url: str, **options: Any) -> ObstoreStore:
    """The store at ``url``, such as s3://bucket/folder; what is there has keys below it.

    options: as of obstore's own stores. Credentials come from each cloud's own chain. MissingExtraError
    without obstore; UnsupportedError for a URL of another kind.
    """
    name = shown(url)
    from_url = client().store.from_url
    try:
        store = from_url(url, **({"retry_config": RETRIES} | options))
    except Exception as error:
        raise UnsupportedError(
            f"this is no store of objects that can be opened: {_without_query(str(error)):.300}", file=name
        ) from None
    return ObstoreStore(store, name)


def table_store(url: str, timeout: float) -> tuple[ObstoreStore, str]:
    """The store in which the table at ``url`` is, with the credentials of the environment, and the key there.

    timeout: seconds of one request. UnsupportedError for a URL of a kind that obstore does not know.
    """
    scheme = urlsplit(url).scheme.lower()
    if not knows(scheme):
        raise UnsupportedError(
            f"{scheme}:// can only be read: fsspec has no conditional writes",
            file=shown(url),
            remedy=_ELSEWHERE,
        )
    if scheme in HTTP:
        folder, _, name = url.partition("#")[0].rpartition("/")
        return ObstoreStore(store_of(f"{folder}/", timeout)[0], shown(folder)), name
    store, key = store_of(url, timeout)
    made = ObstoreStore(store, shown(url))
    made.name = shown(url).removesuffix(key).removesuffix("/")
    return made, key


class ObstoreStore:
    """One of obstore's stores. name: its URL, without a query string."""

    def __init__(self, store: Any, name: str) -> None:
        self.name = name.rstrip("/")
        self._store = store

    def get(self, key: str) -> Stored:
        """As the contract says, like all of these."""
        return self._got(key, None)

    def get_if_none_match(self, key: str, mark: Mark) -> Stored | None:
        """A store without ETags answers with the object each time."""
        from obstore.exceptions import NotModifiedError

        options = {"if_none_match": mark.e_tag} if mark.e_tag else None
        try:
            return self._got(key, options)
        except NotModifiedError:
            return None

    def _got(self, key: str, options: dict[str, Any] | None) -> Stored:
        def get() -> Stored:
            import obstore

            answer = obstore.get(self._store, key, options=options)  # type: ignore[arg-type]
            meta = answer.meta
            return Stored(bytes(answer.bytes()), Mark(meta.get("e_tag"), meta.get("version")))

        return self._answer(get, "get")

    def put_if_absent(self, key: str, data: bytes) -> Mark:
        """By If-None-Match, or generation 0."""
        return self._put(key, data, "create")

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        """By If-Match, or generation."""
        # obstore takes no None for what a store does not have.
        condition = {part: value for part, value in mark._asdict().items() if value is not None}
        if not condition:
            raise UnsupportedError("the store gives objects no ETag", file=self.name)
        try:
            return self._put(key, data, condition)
        except Missing as error:
            raise Refused(error.what, file=error.file) from None

    def put_parts(self, key: str, parts: Iterable[bytes]) -> Mark:
        """As a multipart upload."""
        sizes: list[int] = []

        def counted() -> Iterator[bytes]:
            for part in parts:
                sizes.append(len(part))
                yield part

        def put() -> Mark:
            import obstore

            done = obstore.put(
                self._store, key, counted(), use_multipart=True, attributes=_SEGMENT_ATTRIBUTES
            )
            return Mark(done.get("e_tag"), done.get("version"))

        return self._answer(put, "put", sizes)

    def _put(self, key: str, data: bytes, mode: Any) -> Mark:
        attributes = _MANIFEST_ATTRIBUTES if key.endswith("/manifest") else _SEGMENT_ATTRIBUTES

        def put() -> Mark:
            import obstore

            done = obstore.put(self._store, key, data, mode=mode, attributes=attributes)
            return Mark(done.get("e_tag"), done.get("version"))

        return self._answer(put, "put", (len(data),))

    def delete(self, key: str) -> None:
        """As the contract says."""

        def delete() -> None:
            import obstore

            obstore.delete(self._store, key)

        try:
            self._answer(delete, "delete")
        except Missing:
            return

    def keys(self, prefix: str) -> list[str]:
        """As the contract says."""

        def listed() -> list[str]:
            import obstore

            return [meta["path"] for page in obstore.list(self._store, prefix) for meta in page]

        return self._answer(listed, "list")

    def uploads(self, prefix: str) -> list[Upload]:
        """Those of S3, through boto3 if it is installed; elsewhere a rule of the bucket removes them."""
        client = self._boto3()
        if client is None:
            return []
        client, bucket, folder = client
        pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=folder + prefix)
        found = [upload for page in pages for upload in page.get("Uploads", [])]
        return [Upload(each["Key"].removeprefix(folder), each["UploadId"]) for each in found]

    def abort(self, upload: Upload) -> None:
        """As the contract says."""
        client = self._boto3()
        assert client is not None
        client, bucket, folder = client
        try:
            client.abort_multipart_upload(Bucket=bucket, Key=folder + upload.key, UploadId=upload.upload_id)
        except client.exceptions.NoSuchUpload:
            raise Missing("the upload is gone", file=self.name) from None

    def _boto3(self) -> Any:
        """(client, bucket, prefix of all keys) of the same store; None where there is none."""
        config = getattr(self._store, "config", {})
        if "bucket" not in config or type(self._store).__name__ != "S3Store":
            return None
        try:
            import boto3
        except ImportError:
            return None
        client = boto3.client(
            "s3",
            endpoint_url=config.get("endpoint"),
            region_name=config.get("region"),
            aws_access_key_id=config.get("access_key_id"),
            aws_secret_access_key=config.get("secret_access_key"),
            aws_session_token=config.get("session_token"),
        )
        folder = (self._store.prefix or "").strip("/")
        return client, config["bucket"], f"{folder}/" if folder else ""

    def _answer(self, ask: Callable[[], _T], method: str, sent: Sequence[int] = ()) -> _T:
        """What ``ask`` gives, with obstore's errors as the contract has them."""
        from obstore import exceptions

        check_fork(self.name)
        began, failure, received = time.monotonic(), "", 0
        try:
            answer = ask()
            received = len(answer.data) if isinstance(answer, Stored) else 0
            return answer
        except exceptions.NotModifiedError:
            raise
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError) as error:
            raise self._error(Refused, "the condition of a write does not hold", error) from None
        except (FileNotFoundError, exceptions.NotFoundError) as error:
            there = "bucket" if "<Code>NoSuchBucket</Code>" in str(error) else "object"
            raise self._error(Missing, f"there is no such {there}", error, _NAMES) from None
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise self._error(StorageError, "access was refused", error, _RIGHTS) from None
        except (NotImplementedError, exceptions.NotSupportedError) as error:
            raise self._error(UnsupportedError, "the store cannot do this", error, _ELSEWHERE) from None
        except (exceptions.BaseError, OSError) as error:
            remedy = _RIGHTS if told(error) == NO_CREDENTIALS else _AGAIN
            failure = "Unanswered"
            raise self._error(Unanswered, "the store did not answer", error, remedy) from None
        finally:
            hooks.requested(self.name, method, began, sum(sent), received, failure)

    def _error(
        self, kind: type[AudioMemError], what: str, error: BaseException, remedy: str | None = None
    ) -> AudioMemError:
        return kind(f"{what} ({told(error)})", file=self.name, remedy=remedy)


def _without_query(text: str) -> str:
    """Signed URLs have their signature in the query string, which must not stand in a message."""
    return _QUERY.sub(r"\1", text)
