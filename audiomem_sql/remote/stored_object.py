"""One object of a store that obstore reads."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit

from audiomem_sql.machine.urls import shown
from audiomem_sql.remote.contract import MODIFIED, ObjectReader, Pin, TransientFaultError
from audiomem_sql.remote.faults import (
    another_snapshot,
    fault_of,
    is_empty,
    is_of_another_state,
    too_large_without_ranges,
)
from audiomem_sql.remote.patience import Patience
from audiomem_sql.remote.stale import stale_places
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
        self._was_cut = False
        self._patience = Patience(self._address, timeout, "GET" if self._is_on_the_web() else "HEAD")

    def first(self, length: int) -> tuple[Pin, bytes]:
        """The first bytes and the state; past caches, if these were found to have an old one lately."""
        store = self._past_caches() if self._was_cut or stale_places.has(self.place) else self._store
        try:
            return self._first(store, length)
        except TransientFaultError as fault:
            self._was_cut = self._was_cut or fault.cut
            raise

    def _fault(self, error: BaseException, *, opened: bool) -> Exception:
        """The error to raise for one of the client, with what a busy store says of when to come again."""
        fault = fault_of(error, self.name, opened=opened)
        if isinstance(fault, TransientFaultError) and fault.busy:
            fault.wait = self._patience.seconds()
        return fault

    def _is_on_the_web(self) -> bool:
        return urlsplit(self._url).scheme.lower() in HTTP

    def _address(self) -> str:
        """Where everybody may ask for the headers of the object, for a minute."""
        if self._is_on_the_web():
            return self._url
        return str(self._client.sign(self._store, "HEAD", self._key, timedelta(minutes=1)))

    def _past_caches(self) -> Any:
        return store_of(self._url, self._timeout, fresh=True)[0]

    def _first(self, store: Any, length: int) -> tuple[Pin, bytes]:
        try:
            answer = self._client.get(store, self._key, options={"range": (0, length)})
            pin = _pin(answer.meta)
            data = bytes(answer.bytes())
        except Exception as error:
            if is_empty(error):
                return Pin(0, ""), b""
            raise self._fault(error, opened=False) from None
        if len(data) != min(length, pin.size):
            raise TransientFaultError("the answer was cut", cut=True)
        return pin, data

    def get(self, start: int, stop: int, pin: Pin, *, fresh: bool = False) -> bytes:
        """A range of the object in the state ``pin``.

        An answer of another state may be that of a cache that keeps parts of files, and this one for too
        long. So it is asked for once more, past caches. If there is another state, too, the object was
        replaced, or ``pin`` is an old state that a cache still had: who opens it next must go past that.
        """
        data = None if fresh else self._range(self._store, start, stop, pin)
        if data is None:
            data = self._range(self._past_caches(), start, stop, pin)
        if data is None:
            stale_places.add(self.place)
            raise another_snapshot(self.name)
        return data

    def _range(self, store: Any, start: int, stop: int, pin: Pin) -> bytes | None:
        """Bytes of the object; None if the answer is of another state than ``pin``."""
        options: dict[str, Any] = {"range": (start, stop)}
        if pin.is_lasting:
            options["if_match"] = pin.tag
        try:
            answer = self._client.get(store, self._key, options=options)
            if _pin(answer.meta) != pin:  # a server or a cache that does not know If-Match
                return None
            data = bytes(answer.bytes())
        except Exception as error:
            if is_of_another_state(error):
                return None
            raise self._fault(error, opened=True) from None
        if len(data) != stop - start:
            raise TransientFaultError("the answer was cut", cut=True)
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
            raise self._fault(error, opened=pin is not None) from None
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
