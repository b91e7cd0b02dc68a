"""Storage classes of S3's objects: moving an object to another one, and asking for one that is archived.

The client of stores has no calls for it, so this is done with boto3, whose credentials and endpoint come from
where they always do.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from audiomem_sql.errors import MissingExtraError, OptionError, StorageError, UnsupportedError, did_you_mean
from audiomem_sql.machine.urls import shown

_T = TypeVar("_T")
_NAMES = "Check bucket and key."
_RIGHTS = "Check bucket and credentials (docs/REMOTE.md), and what they may do there."
_REACH = "Check the network, AWS_ENDPOINT_URL and AWS_REGION, and try again."
#: Classes that an object can be moved to.
CLASSES = (
    "STANDARD",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
)
#: Those whose objects must be restored before they can be read, and hours until they can, by speed, at most:
#: "Understanding archive retrieval options", S3 User Guide.
HOURS = {
    "GLACIER": {"Expedited": 5 / 60, "Standard": 5.0, "Bulk": 12.0},
    "DEEP_ARCHIVE": {"Standard": 12.0, "Bulk": 48.0},
}
#: What one request can copy.
MOST_BYTES = 5 * 1024**3


@dataclass(frozen=True, slots=True)
class StoredAs:
    """An object in its class. modified: when it was written, or moved, last."""

    url: str
    size: int
    storage_class: str
    modified: datetime
    tag: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of asking for an object.

    state: ``not archived``, ``asked``, ``under way`` or ``ready``. until: when it is to be tried again
    (``asked``), or how long it can be read (``ready``); in words.
    """

    url: str
    storage_class: str
    state: str
    until: str = ""


class Bucket:
    """The bucket of ``url``. UnsupportedError for what is no S3, MissingExtraError without boto3."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name, self.bucket, self.key = shown(url), parts.netloc, parts.path.lstrip("/")
        if parts.scheme.lower() not in ("s3", "s3a"):
            raise UnsupportedError(
                "storage classes are changed in S3 and in what speaks its protocol",
                file=self.name,
                remedy="Elsewhere set a lifecycle rule of the bucket, for a folder of backups.",
            )
        try:
            boto3 = importlib.import_module("boto3")
            self._errors = importlib.import_module("botocore.exceptions")
        except ImportError:
            raise MissingExtraError(
                "storage classes need the package boto3",
                remedy="Install it with: pip install 'audiomem-sql[archive]'",
            ) from None
        self._client: Any = self._asked(lambda: boto3.client("s3"))

    def url_of(self, key: str) -> str:
        """The URL of a key."""
        return f"s3://{self.bucket}/{key}"

    def below(self, prefix: str) -> Iterator[StoredAs]:
        """The objects whose keys begin with ``prefix``."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in self._asked(lambda: list(pages)):
            for each in page.get("Contents", ()):
                yield StoredAs(
                    self.url_of(each["Key"]),
                    each["Size"],
                    each.get("StorageClass", "STANDARD"),
                    each["LastModified"],
                    each["ETag"],
                )

    def look(self, key: str) -> tuple[StoredAs, str]:
        """One object, and what the store says of its restoring."""
        found = self._asked(lambda: self._client.head_object(Bucket=self.bucket, Key=key), key)
        stored = StoredAs(
            self.url_of(key),
            found["ContentLength"],
            found.get("StorageClass", "STANDARD"),
            found["LastModified"],
            found["ETag"],
        )
        return stored, found.get("Restore", "")

    def move(self, stored: StoredAs, storage_class: str) -> None:
        """Give an object another class, with its metadata, on the condition that nobody replaced it.

        UnsupportedError for one of more than 5 GiB, which needs several requests.
        """
        if stored.size > MOST_BYTES:
            raise UnsupportedError(
                f"{stored.size:,} bytes are more than one request can move",
                file=stored.url,
                remedy="Move it with the tools of the cloud.",
            )
        key = urlsplit(stored.url).path.lstrip("/")
        if self.look(key)[0].tag != stored.tag:  # not all servers know the condition of a copy
            raise StorageError("the object was replaced meanwhile", file=stored.url, remedy="Try again.")
        self._asked(
            lambda: self._client.copy_object(
                Bucket=self.bucket,
                Key=key,
                CopySource={"Bucket": self.bucket, "Key": key},
                CopySourceIfMatch=stored.tag,
                StorageClass=storage_class,
                MetadataDirective="COPY",
            ),
            key,
        )

    def restore(self, key: str, days: int, speed: str) -> Restored:
        """Ask for an archived object, to be read for ``days``. OptionError for a speed that there is not."""
        stored, told = self.look(key)
        kind = stored.storage_class
        if kind not in HOURS:
            return Restored(stored.url, kind, "not archived")
        if speed not in HOURS[kind]:
            raise OptionError(
                f"objects in {kind} are not restored at the speed {speed!r:.40}",
                remedy=f"{did_you_mean(speed, HOURS[kind])}There are {', '.join(HOURS[kind])}.",
            )
        if 'ongoing-request="false"' in told:
            return Restored(stored.url, kind, "ready", told.partition('expiry-date="')[2].rstrip('"'))
        if told:
            return Restored(stored.url, kind, "under way")
        request = {"Days": days, "GlacierJobParameters": {"Tier": speed}}
        self._asked(
            lambda: self._client.restore_object(Bucket=self.bucket, Key=key, RestoreRequest=request), key
        )
        again = datetime.now(UTC) + timedelta(hours=HOURS[kind][speed])
        return Restored(stored.url, kind, "asked", f"{again:%Y-%m-%d %H:%M} UTC")

    def _asked(self, ask: Callable[[], _T], key: str = "") -> _T:
        """What the store answers; its errors are ours, without what it says in its own words."""
        name = self.url_of(key) if key else self.name
        try:
            return ask()
        except self._errors.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))[:60]
            if code in ("404", "NoSuchKey", "NoSuchBucket"):
                there = "bucket" if code == "NoSuchBucket" else "object"
                raise StorageError(f"there is no such {there}", file=name, remedy=_NAMES) from None
            if code in ("PreconditionFailed", "412"):
                raise StorageError(
                    "the object was replaced meanwhile", file=name, remedy="Try again."
                ) from None
            raise StorageError(f"the store refuses ({code})", file=name, remedy=_RIGHTS) from None
        except self._errors.BotoCoreError as error:
            kind = type(error).__name__
            remedy = _RIGHTS if "Credential" in kind else _REACH
            raise StorageError(f"the store cannot be asked ({kind})", file=name, remedy=remedy) from None
        except ValueError:  # an endpoint that is none
            raise StorageError("the store cannot be asked: look at AWS_ENDPOINT_URL", file=name) from None


def check_days(days: int) -> None:
    """OptionError unless an object can be had for so long."""
    if not 1 <= days <= 3650:
        raise OptionError(f"{days} days are not 1 to 3650")


def restore(url: str, days: int = 7, speed: str = "Standard") -> Restored:
    """Ask for the object at ``url``; raises as ``Bucket`` and its ``restore``."""
    check_days(days)
    bucket = Bucket(url)
    return bucket.restore(bucket.key, days, speed)


def told(restored: Restored) -> str:
    """What to do now, in words."""
    if restored.state == "asked":
        return f"its restore was asked for: try again after {restored.until}"
    if restored.state == "ready":
        return f"can be read until {restored.until}"
    if restored.state == "under way":
        return "its restore is under way: try again later"
    return f"is not archived: its class is {restored.storage_class}"
