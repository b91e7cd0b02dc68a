"""Errors of a client of stores as ours.

What a store says may hold keys and signatures (S3 answers a wrong signature with the text that was to be
signed), and so may addresses. So nothing of it is repeated: a status, a code of S3's list, or a kind of
failure is recognised in it, and said in our words.
"""

from __future__ import annotations

import re

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.contract import NoRangesError, TransientFaultError
from audiomem_sql.remote.patience import BUSY

_STATUS = re.compile(r"status code: (\d{3})\b|status: (\d{3})\b|\bHTTP (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
#: What the client says of its settings, in the same text.
_SETTINGS = re.compile(r"retry_timeout: \S+")
_KINDS = (
    ("timed out", "no answer in time"),
    ("timeout", "no answer in time"),
    ("dns error", "the name of the host cannot be resolved"),
    ("failed to lookup", "the name of the host cannot be resolved"),
    ("connection refused", "the connection was refused"),
    ("certificate", "the certificate of the server is not accepted"),
    ("connection reset", "the connection was cut"),
    ("closed before", "the connection was cut"),
    ("incompletemessage", "the connection was cut"),
    ("broken pipe", "the connection was cut"),
    ("decoding response body", "the answer was cut"),
    ("incomplete", "the answer was cut"),
    ("range", "the server answered with another range"),
)
_CUT = ("the connection was cut", "the answer was cut", "the request failed")
#: The certificate stays what it is, and there is seldom a server where there was none.
_LASTING = ("the certificate of the server is not accepted",)
_BRIEF = ("the name of the host cannot be resolved", "the connection was refused")
#: Of requests for credentials, which are others than those for the object: of tokens, of metadata services.
_FOR_CREDENTIALS = re.compile(
    r"error: Error performing token request|'az account get-access-token' command failed"
    r"|Error performing [A-Z]+ http://[^/\s]+/latest/(?:api/token|meta-data)"
)
NO_CREDENTIALS = "there are no credentials, neither in the environment nor from a service of the cloud"
_AGAIN = "Check the network and the store, and try again."


class AnotherStateError(StorageError):
    """The object was replaced since it was opened."""


def another_snapshot(name: str) -> StorageError:
    """The error of an object that was replaced since it was opened."""
    return AnotherStateError(
        "the object was replaced since it was opened: what is there now is another snapshot",
        file=name,
        remedy="Refresh the table, or open it again, to read that.",
    )


def too_large_without_ranges(name: str, most: int) -> StorageError:
    """The error of a large object on a server that cannot give parts of it."""
    return StorageError(
        f"the server gives no parts of files (it ignores Range), and this one has more than {most >> 20} MiB",
        file=name,
        remedy="Put it on a server that supports range requests, or download it.",
    )


class NoObjectError(StorageError):
    """There is no object with this key."""


def not_there(name: str, *, opened: bool) -> StorageError:
    """The error of an object that is not there."""
    if opened:
        return StorageError("the object was deleted since it was opened", file=name, remedy="Restore it.")
    return NoObjectError("there is no such object", file=name, remedy="Check bucket and key.")


class ArchivedError(StorageError):
    """The object is in a storage class from which it must be restored before it can be read."""


def archived(name: str, file: str | None = None) -> ArchivedError:
    """The error of what ``audiomem tier`` asks for by ``name``. file: what of it cannot be read."""
    return ArchivedError(
        "is archived, and must be restored before it can be read",
        file=file or name,
        remedy=f"Ask for it: audiomem tier {name} --restore, or audiomem_sql.open(url, restore=True); "
        "it takes hours.",
    )


def refused(name: str, code: str = "") -> StorageError:
    """The error of a store that knows who asks, or does not, and does not answer."""
    if code == "InvalidObjectState":
        return archived(name)
    return StorageError(
        f"access was refused{f' ({code})' if code else ''}",
        file=name,
        remedy="Check the credentials (docs/REMOTE.md), if they may read it, and if it is archived.",
    )


def is_empty(error: BaseException) -> bool:
    """Whether the first bytes of an object were refused because it has none."""
    text = str(error)
    return "status code: 416" in text or "object was only 0 bytes" in text


def is_of_another_state(error: BaseException) -> bool:
    """Whether a range was refused because the object is not in the state that was asked for."""
    found = _STATUS.search(str(error))
    status = next(group for group in found.groups() if group) if found else ""
    return type(error).__name__ == "PreconditionError" or status in ("412", "416")


def told(error: BaseException) -> str:
    """Why the client failed, in our words: the status and the code that S3 lists, or a kind of failure."""
    text = str(error)
    if _FOR_CREDENTIALS.search(text):
        return NO_CREDENTIALS
    found, code = _STATUS.search(text), _CODE.search(text)
    if found:
        status = next(group for group in found.groups() if group)
        return f"status {status}{f', {code[1]}' if code else ''}"
    lowered = _SETTINGS.sub("", text.lower())
    return next((said for mark, said in _KINDS if mark in lowered), type(error).__name__)


def fault_of(error: BaseException, name: str, *, opened: bool) -> Exception:
    """The error to raise for one of the client: ours, or that another try may help.

    opened: the object was read before.
    """
    kind, text = type(error).__name__, str(error)
    code = _CODE.search(text)
    code_name = code[1] if code else ""
    found = _STATUS.search(text)
    status = int(next(group for group in found.groups() if group)) if found else 0
    if _FOR_CREDENTIALS.search(text):  # a 404 is not of the object
        if 400 <= status < 500 and status != 429:
            return refused(name, code_name)
        return TransientFaultError(NO_CREDENTIALS, brief=True)
    if kind in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError") or status in (401, 403):
        return refused(name, code_name)
    if isinstance(error, FileNotFoundError) or kind == "NotFoundError" or status in (404, 410):
        return not_there(name, opened=opened)
    if kind == "PreconditionError" or status == 412:
        return another_snapshot(name)
    if kind == "NotSupportedError" or "non-partial response" in text:
        return NoRangesError()
    if status == 416:
        return another_snapshot(name)
    if status in (408, 425, 429) or status >= 500:
        return TransientFaultError(f"the store answers with status {status}", busy=status in BUSY)
    if status:
        said = f" ({code_name})" if code_name else ""
        return StorageError(f"the store refuses with status {status}{said}", file=name, remedy=_AGAIN)
    lowered = _SETTINGS.sub("", text.lower())
    cause = next((said for mark, said in _KINDS if mark in lowered), "")
    if cause in _LASTING:
        return StorageError(cause, file=name)
    if cause or kind in ("GenericError", "JoinError", "ConnectionError", "TimeoutError", "OSError"):
        cause = cause or "the request failed"
        return TransientFaultError(cause, brief=cause in _BRIEF, cut=cause in _CUT)
    return StorageError(f"cannot be read: {kind}", file=name, remedy=_AGAIN)


def given_up(name: str, cause: str, seconds: float) -> StorageError:
    """The error of requests that went on failing."""
    remedy = "Check the credentials (docs/REMOTE.md)." if cause == NO_CREDENTIALS else _AGAIN
    return StorageError(f"cannot be read: {cause}, for {seconds:.1f} s", file=name, remedy=remedy)
