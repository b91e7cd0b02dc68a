"""A request to an endpoint that speaks JSON over HTTP: sent again where that helps, and never without end.

No redirect is followed, so a key goes to the host that the user named and to no other. On this machine no
proxy is asked.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.machine.interrupts import apart, wait_until

#: Answers after which a request is sent again.
PASSING = (408, 425, 429, 500, 502, 503, 504)
ATTEMPTS = 5
#: Seconds that a request may last, and the longest wait that a server may ask for before the next attempt.
TIMEOUT = 60.0
LONGEST_WAIT = 120.0
FIRST_WAIT = 0.5
_REMEDY = "Check that the server runs, its address, and the name of the model."
_KEY = "Check the key: OPENAI_API_KEY, or audiomem_sql.allow_model(name, key=…)."
_REMEDIES = {401: _KEY, 403: _KEY}
_LARGEST_ANSWER = 64 << 20
_SHOWN = 200


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the answer is an error then."""


class Passing(Exception):
    """An answer after which the request is sent again. wait: seconds, as the server has them; 0 for none."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def post(url: str, key: str, content: dict[str, Any], model: str) -> Any:
    """What the endpoint at ``url`` answers to ``content``, as JSON.

    key: goes into the header; empty for none. UnsupportedError if there is no answer, or one that refuses.
    """
    failure = ""
    for attempt in range(ATTEMPTS):
        try:
            return apart(_answer, url, key, json.dumps(content).encode(), model)
        except Passing as error:
            failure = str(error)
            wait = min(LONGEST_WAIT, max(error.wait, FIRST_WAIT * 2**attempt))
        if attempt + 1 < ATTEMPTS:
            wait_until(threading.Event(), wait)
    raise refused(model, url, f"{failure}, {ATTEMPTS} times", "Try again later.")


def refused(model: str, url: str, reason: str, remedy: str) -> UnsupportedError:
    """What is raised where an endpoint gives no vectors."""
    return UnsupportedError(f"the model {model} at {url} gave no vectors: {reason}", remedy=remedy)


def _answer(url: str, key: str, data: bytes, model: str) -> Any:
    """One attempt. Passing if another may help."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "audiomem-sql"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, data, headers, method="POST")
    handlers: list[Any] = [_NoRedirects()]
    if urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1"):
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as response:
            return json.loads(_body(response))
    except urllib.error.HTTPError as error:
        with error:
            said = f"{error.code} {_said(error, key)}"
        if error.code in PASSING:
            raise Passing(said, _seconds(error.headers.get("Retry-After"))) from None
        raise refused(model, url, said, _REMEDIES.get(error.code, _REMEDY)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise Passing("no answer in time") from None
        if isinstance(reason, (ConnectionResetError, http.client.HTTPException)):
            raise Passing(f"{reason!r:.100}") from None
        raise refused(model, url, f"{reason!s:.100}", _REMEDY) from None
    except (ValueError, RecursionError):
        raise refused(model, url, "its answer is no JSON", _REMEDY) from None


def _body(response: Any) -> bytes:
    """All of an answer. TimeoutError if that takes too long, HTTPException if it is too long."""
    end = time.monotonic() + TIMEOUT
    told = response.headers.get("Content-Length", "")
    parts, size = [], 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > _LARGEST_ANSWER:
            raise http.client.HTTPException(f"its answer is longer than {_LARGEST_ANSWER >> 20} MiB")
        if time.monotonic() > end:
            raise TimeoutError
    if told.isdigit() and size < int(told):  # read1 does not tell
        raise http.client.IncompleteRead(b"", int(told) - size)
    return b"".join(parts)


def _said(error: urllib.error.HTTPError, key: str) -> str:
    """What an answer says of its error, in one line, without the key."""
    try:
        said: Any = error.read(1 << 16).decode("utf-8", "replace")
        parsed = json.loads(said)
        said = parsed.get("error", said)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (OSError, ValueError, AttributeError, RecursionError, http.client.HTTPException):
        pass
    line = " ".join(str(said).split())
    line = line.replace(key, "…") if key else line
    return "".join(character for character in line if character.isprintable())[:_SHOWN]


def _seconds(told: str | None) -> float:
    """Of Retry-After, which has seconds or a date; 0 for none, or neither."""
    try:
        seconds = float(told or 0)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(str(told)).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, min(seconds, LONGEST_WAIT))
