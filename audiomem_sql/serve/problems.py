"""Errors as answers: ``application/problem+json`` (RFC 9457), with our kinds, and nothing of the disk."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from audiomem_sql import errors

MEDIA_TYPE = "application/problem+json"
#: The status of each kind of error; of one that is not here, that of what it is derived from.
_STATUS: dict[type[errors.AudioMemError], int] = {
    errors.SchemaError: 400,
    errors.DataTypeError: 400,
    errors.OptionError: 400,
    errors.QueryError: 400,
    errors.ConstraintError: 409,
    errors.LimitError: 413,
    errors.InterruptError: 503,
    errors.BusyError: 503,
    errors.UnsupportedError: 400,
    errors.MissingExtraError: 501,
    errors.DamagedFileError: 500,
    errors.StorageError: 500,
    errors.AudioMemError: 500,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: What remedies name for Python, and what does the same here.
_DOORS = {"use SQL: audiomem_sql.connect(path)": "send a statement of SQL"}
_TITLES = {
    400: "The request cannot be understood",
    401: "A token is needed",
    403: "This is not allowed",
    404: "There is no such thing",
    405: "There is no such method",
    406: "There is no such format",
    408: "The request did not come in time",
    409: "The request does not fit what is there",
    410: "This is not kept any more",
    412: "The state is another one",
    413: "This is too much",
    415: "There is no such format",
    416: "There is no such range",
    421: "This server has another name",
    422: "The key was used for something else",
    428: "A condition is needed",
    429: "These are too many requests",
    500: "The server failed",
    501: "A package is missing on the server",
    503: "The server is busy",
    504: "The work took too long",
    507: "The disk is full",
}


class Problem(Exception):
    """An answer that is an error: its status, what is wrong, further headers, and further members."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "",
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> Response:
        """The answer."""
        return problem_response(self.status, self.detail, self.kind, self.headers, self.more)

    def content(self) -> dict[str, Any]:
        """Its members."""
        return _content(self.status, self.detail, self.kind, self.more)


def problem_response(
    status: int,
    detail: str,
    kind: str = "",
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """An answer as RFC 9457 has it. kind: the name of our error. more: members of its own."""
    extra = dict(headers or {})
    if status in (429, 503, 507):
        extra.setdefault("Retry-After", "1")
    if status == 401:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="audiomem", Basic realm="audiomem"')
    extra.setdefault("Cache-Control", "no-store")
    return JSONResponse(_content(status, detail, kind, more or {}), status, extra, MEDIA_TYPE)


def _content(status: int, detail: str, kind: str, more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": f"urn:audiomem:error:{kind}" if kind else "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **more,
    }


def status_of(error: errors.AudioMemError) -> int:
    """The status of an error of ours."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


def problem_of(error: errors.AudioMemError, hide: Callable[[str], str]) -> Problem:
    """An error of ours as an answer. hide: takes paths out of a text.

    What the operating system says of the server's own files is for its log alone.
    """
    status = status_of(error)
    kind = type(error).__name__
    if _is_full(error):
        return Problem(507, "the server's disk is full; nothing was written", kind=kind)
    if isinstance(error, errors.StorageError):
        return Problem(status, "the table cannot be read or written now", kind=kind)
    text = str(error)
    for python, http in _DOORS.items():
        text = text.replace(python, http)
    return Problem(status, hide(text), kind=kind)


def _is_full(error: BaseException) -> bool:
    """Whether an error of ours comes from a disk that is full, or a file that may not be longer."""
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None or (isinstance(cause, OSError) and cause.errno in _FULL):
            break
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, errors.StorageError) and cause is not None


def install(
    app: FastAPI,
    hide: Callable[[str], str],
    note: Callable[[BaseException], None],
    routes: Sequence[BaseRoute],
) -> None:
    """Have the application, with ``routes``, answer errors so. note: is told of the server's own."""

    @app.exception_handler(Problem)
    async def of_problem(request: Request, error: Problem) -> Response:
        return error.response()

    @app.exception_handler(errors.AudioMemError)
    async def of_ours(request: Request, error: errors.AudioMemError) -> Response:
        if status_of(error) >= 500:
            note(error)
        return problem_of(error, hide).response()

    @app.exception_handler(HTTPException)
    async def of_framework(request: Request, error: HTTPException) -> Response:
        detail = {404: "there is nothing at this path", 405: "this path has no such method"}
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(sorted(_methods(request.scope, routes)))
        return problem_response(
            error.status_code, detail.get(error.status_code, str(error.detail)), headers=headers
        )

    @app.exception_handler(RequestValidationError)
    async def of_validation(request: Request, error: RequestValidationError) -> Response:
        return problem_response(400, "; ".join(said(each) for each in error.errors()[:5]))

    @app.exception_handler(Exception)
    async def of_others(request: Request, error: Exception) -> Response:
        note(error)
        return problem_response(500, "the server has a fault, which its log describes")


def _methods(scope: Scope, routes: Sequence[BaseRoute]) -> set[str]:
    """The methods that a path has, of all of its routes."""
    there = (route for route in routes if route.matches(scope)[0] is not Match.NONE)
    return {method for route in there for method in getattr(route, "methods", None) or ()}


def said(fault: Mapping[str, Any]) -> str:
    """A fault of a parameter, a body or a message, without the value."""
    place = ".".join(str(part) for part in fault.get("loc", ()) if part not in ("body", "query"))
    return f"{place}: {fault.get('msg', 'is wrong')}" if place else str(fault.get("msg", "is wrong"))
