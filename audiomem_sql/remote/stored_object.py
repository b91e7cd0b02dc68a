"""One object of a store that obstore reads."""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.contract import MODIFIED, ObjectReader, Pin, TransientFaultError
from audiomem_sql.remote.faults import another_snapshot, fault_of, is_empty, too_large_without_ranges
from audiomem_sql.remote.stores import HTTP, client, endpoint, store_of

#: Parameters of signed addresses: S3 and what speaks it, Google, Azure (SAS), CloudFront.
_SIGNED_PREFIXES = ("x-amz-", "x-goog-")
_SIGNED = (
    *("awsaccesskeyid", "googleaccessid", "signature", "expires", "policy", "key-pair-id"),
    *("sig", "se", "sp", "sv", "sr", "st", "spr", "sip", "ske", "skt", "sks", "skv", "skoid", "sktid"),
)


class StoredObject(ObjectReader):
    """The object at ``url``; timeout: seconds of one request."""

    def __init__(self, url: str, timeout: float) -> None:
        self.name = shown(url)
        parts = urlsplit(url)
        self.place = (endpoint(parts.scheme.lower()), self.name, _chosen_by(parts))
        self._url, self._timeout = url, timeout
        self._client = client()
        self._store, self._key = store_of(url, timeout)

    def first(self, length: int) -> tuple[Pin, bytes]:
        """The first bytes and the state."""
        try:
            answer = self._client.get(self._store, self._key, options={"range": (0, length)})
            pin = _pin(answer.meta)
            data = bytes(answer.bytes())
        except Exception as error:
            if is_empty(error):
                return Pin(0, ""), b""
            raise fault_of(error, self.name, opened=False) from None
        if len(data) != min(length, pin.size):
            raise TransientFaultError("the answer was cut")
        return pin, data

    def get(self, start: int, stop: int, pin: Pin, *, fresh: bool = False) -> bytes:
        """A range of the object in the state ``pin``."""
        options: dict[str, Any] = {"range": (start, stop)}
        if pin.is_lasting:
            options["if_match"] = pin.tag
        store = store_of(self._url, self._timeout, fresh=True)[0] if fresh else self._store
        try:
            answer = self._client.get(store, self._key, options=options)
            if _pin(answer.meta) != pin:  # a server or a cache that does not know If-Match
                raise another_snapshot(self.name)
            data = bytes(answer.bytes())
        except Exception as error:
            if type(error).__module__.startswith("audiomem_sql"):
                raise
            raise fault_of(error, self.name, opened=True) from None
        if len(data) != stop - start:
            raise TransientFaultError("the answer was cut")
        return data

    def whole(self, pin: Pin | None, most: int) -> tuple[Pin, bytes]:
        """All of the object."""
        try:
            answer = self._client.get(self._store, self._key)
            found = _pin(answer.meta)
            if found.size > most:
                raise too_large_without_ranges(self.name, most)
            if pin is not None and found != pin:
                raise another_snapshot(self.name)
            data = bytes(answer.bytes())
        except Exception as error:
            if type(error).__module__.startswith("audiomem_sql"):
                raise
            raise fault_of(error, self.name, opened=pin is not None) from None
        if len(data) != found.size:
            raise TransientFaultError("the answer was cut")
        return found, data


def _pin(meta: Any) -> Pin:
    """The state that an answer says it is of."""
    tag = meta.get("e_tag") or (f"{MODIFIED}{meta['last_modified']}" if meta.get("last_modified") else "")
    return Pin(int(meta["size"]), tag)


def _chosen_by(parts: SplitResult) -> str:
    """A digest of what the query of a web address chooses the object by, such as ``?file=7``; empty without.

    Signatures do not count: the same object is signed anew every hour. The digest says nothing of a secret.
    """
    if parts.scheme.lower() not in HTTP:
        return ""
    chosen = [
        each
        for each in parse_qsl(parts.query, keep_blank_values=True)
        if not each[0].lower().startswith(_SIGNED_PREFIXES) and each[0].lower() not in _SIGNED
    ]
    return sha256(repr(sorted(chosen)).encode("utf-8", "surrogatepass")).hexdigest() if chosen else ""
