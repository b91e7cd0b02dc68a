"""How long a busy store asks to be left alone: ``Retry-After`` of a 429 or a 503 (RFC 9110 §10.2.3).

The client says of an answer that is an error its status, and keeps its headers to itself. So one request asks
for them, for all requests to an object that failed at that time. It is a HEAD request, or, because signatures
are for one method, one for the first byte.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

BUSY = (429, 503)
_LONGEST = 5.0
#: Seconds for which an answer without the header counts.
_COUNTS_FOR = 0.5


def seconds_of(retry_after: str, date: str = "") -> float:
    """Seconds from now that a ``Retry-After`` says, in seconds or as a date; 0 for what is neither.

    date: the ``Date`` of the answer, by whose clock the date is; without it, by that of this machine.
    """
    text = retry_after.strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        begin = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (parsedate_to_datetime(text) - begin).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a time zone
        return 0.0


class Patience:
    """For one object. Safe to use from several threads.

    address: gives a URL of it that ``method``, HEAD or GET, is allowed for; may raise.
    """

    def __init__(self, address: Callable[[], str], timeout: float, method: str = "HEAD") -> None:
        self._address, self._timeout, self._method = address, min(timeout, _LONGEST), method
        self._lock = threading.Lock()
        self._until = 0.0
        self._asked = -_COUNTS_FOR
        self._is_silent = False

    def seconds(self) -> float:
        """Seconds to wait from now on, after an answer that said that the store is busy."""
        with self._lock:
            now = time.monotonic()
            if now >= self._until and now - self._asked >= _COUNTS_FOR and not self._is_silent:
                self._ask()
                self._asked = time.monotonic()
            return max(0.0, self._until - time.monotonic())

    def _ask(self) -> None:
        try:
            with urllib.request.urlopen(_request(self._address(), self._method), timeout=self._timeout):
                return
        except urllib.error.HTTPError as answer:
            told = answer.headers.get("Retry-After", "") if answer.code in BUSY else ""
            date = answer.headers.get("Date", "")
            answer.close()
        except Exception:  # whatever it is, the other requests will say it
            self._is_silent = True
            return
        wait = seconds_of(told, date)
        self._until = time.monotonic() + wait
        self._is_silent = not wait


def _request(url: str, method: str) -> urllib.request.Request:
    """One for as little as can be; user and password go into a header, as the client sends them."""
    parts = urlsplit(url)
    who, _, host = parts.netloc.rpartition("@")
    headers = {"Range": "bytes=0-0"} if method == "GET" else {}
    if who:
        headers["Authorization"] = f"Basic {b64encode(unquote(who).encode()).decode()}"
    return urllib.request.Request(
        parts._replace(netloc=host, fragment="").geturl(), method=method, headers=headers
    )
