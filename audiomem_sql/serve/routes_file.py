"""``/tables/{table}/file``: the file itself, with ranges and conditions, for readers on other machines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from audiomem_sql.serve.access import Caller
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.ranges import (
    UnsatisfiableError,
    is_listed,
    range_holds,
    ranges_of,
    status_of_conditions,
)
from audiomem_sql.serve.requests import TableName, add_file_routes, caller_of, service_of
from audiomem_sql.serve.service import Service
from audiomem_sql.serve.streaming import Made
from audiomem_sql.serve.table_file import OpenedFile, check_served, open_still, opened_file

router = APIRouter(tags=["file"])
_TYPE = "audio/flac"
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {_TYPE: {}}, "description": "The whole file."},
    206: {"content": {_TYPE: {}, "multipart/byteranges": {}}, "description": "Ranges of it."},
    304: {"description": "It is as If-None-Match says."},
    412: {"description": "It is not as If-Match says: open it anew."},
    416: {"description": "There is no such range."},
}


async def file(request: Request, table: TableName) -> Response:
    """The FLAC file: `audiomem_sql.open('https://host/tables/kb/file/kb.flac')` reads from it what it needs.

    It has a strong ETag, and takes If-Match, If-None-Match, If-Range, and one or several ranges.
    """
    return _answer(service_of(request), caller_of(request), request, table)


async def named_file(
    request: Request, table: TableName, name: Annotated[str, Path(examples=["kb.flac"])]
) -> Response:
    """The same file. Readers call a table by the end of its address."""
    caller = caller_of(request)
    served = caller.table(table, "file")
    if name not in (f"{served.name}.flac", os.path.basename(served.path_of_file)):
        raise Problem(404, f"the file is called {served.name}.flac")
    return _answer(service_of(request), caller, request, table)


add_file_routes(
    router,
    _ANSWERS,
    ("/tables/{table}/file", file, "The file of a table, with ranges"),
    ("/tables/{table}/file/{name}", named_file, "The same, with a name at the end"),
)


def _answer(service: Service, caller: Caller, request: Request, name: str) -> Response:
    table = caller.table(name, "file")
    headers = {key: request.headers[key] for key in request.headers}
    for key in ("if-match", "if-none-match", "range"):
        if len(request.headers.getlist(key)) > 1:
            headers[key] = ", ".join(request.headers.getlist(key))
    is_head = request.method == "HEAD"

    def make() -> Made:
        if_match = headers.get("if-match", "*").strip()
        if if_match != "*":  # of a reader that has it open: for it nothing is written, and nothing copied
            check_served(table)
            for path in (table.path_of_file, service.copies.known(table)):
                opened = None if path is None else open_still(path)
                if opened is not None and is_listed(if_match, opened.etag, weak=False):
                    return _made(opened, headers, is_head)
                if opened is not None:
                    opened.close()
            raise _of_another_state()
        return _made(opened_file(table, service.writers.get(name), service.copies), headers, is_head)

    return service.streamed(service.job(), make, most=0)


def _made(opened: OpenedFile, headers: Mapping[str, str], is_head: bool) -> Made:
    """The answer of an open file, which is closed with it."""
    try:
        base = {"ETag": opened.etag, "Accept-Ranges": "bytes", "Cache-Control": "no-cache"}
        status = status_of_conditions(headers, opened.etag)
        if status == 412:
            raise _of_another_state()
        if status == 304:
            return Made(_Closing(opened, iter(())), 304, base)
        try:
            ranges = (
                []
                if is_head or not range_holds(headers, opened.etag)
                else ranges_of(headers.get("range"), opened.size)
            )
        except UnsatisfiableError:
            raise Problem(
                416,
                f"the file has {opened.size} bytes, or these are too many ranges",
                headers={"Content-Range": f"bytes */{opened.size}", "ETag": opened.etag},
            ) from None
        return _ranged(opened, ranges, base, is_head)
    except BaseException:
        opened.close()
        raise


def _ranged(
    opened: OpenedFile, ranges: Sequence[tuple[int, int]], base: Mapping[str, str], is_head: bool
) -> Made:
    size = opened.size
    if len(ranges) > 1:
        boundary = os.urandom(16).hex()
        parts = [
            (
                f"\r\n--{boundary}\r\nContent-Type: {_TYPE}\r\n"
                f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n".encode(),
                (start, stop),
            )
            for start, stop in ranges
        ]
        end = f"\r\n--{boundary}--\r\n".encode()
        length = sum(len(head) + stop - start for head, (start, stop) in parts) + len(end)
        more = {"Content-Type": f"multipart/byteranges; boundary={boundary}", "Content-Length": str(length)}
        return Made(_Closing(opened, _multipart(opened, parts, end)), 206, {**base, **more})
    start, stop = ranges[0] if ranges else (0, size)
    more = {"Content-Type": _TYPE, "Content-Length": str(stop - start)}
    if ranges:
        more["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    body = iter(()) if is_head else opened.chunks([(start, stop)])
    return Made(_Closing(opened, body), 206 if ranges else 200, {**base, **more})


def _multipart(
    opened: OpenedFile, parts: Sequence[tuple[bytes, tuple[int, int]]], end: bytes
) -> Iterator[bytes]:
    for head, limits in parts:
        yield head
        yield from opened.chunks([limits])
    yield end


def _of_another_state() -> Problem:
    return Problem(412, "the file is in another state: open it anew")


class _Closing(Iterator[bytes]):
    """The parts; the file is closed with them, also if none was asked for."""

    def __init__(self, opened: OpenedFile, parts: Iterator[bytes]) -> None:
        self._opened = opened
        self._parts = parts

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
