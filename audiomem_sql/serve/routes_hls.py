"""``/tables/{table}/hls``: the table as HLS, FLAC in fragmented MP4, which players play."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.ranges import UnsatisfiableError, is_listed, range_holds, ranges_of
from audiomem_sql.serve.requests import TableName, add_file_routes, caller_of, service_of
from audiomem_sql.serve.streaming import Made
from audiomem_sql.serve.streams import OpenStream, StreamPart

router = APIRouter(tags=["file"])
_TYPES: Final = {
    "m3u8": "application/vnd.apple.mpegurl",
    "json": "application/json",
    "mp4": "audio/mp4",
    "m4s": "audio/mp4",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in _TYPES.values()}, "description": "A file of the stream."},
    206: {"description": "A range of it."},
    304: {"description": "It is as If-None-Match says."},
    410: {"description": "The stream is not there any more: ask for the playlist again."},
}
_URI = re.compile(r'(URI=")([^"]+)"')

StreamName = Annotated[
    str, Path(description="index.m3u8, or a name out of it.", examples=["index.m3u8"], max_length=200)
]
StreamVersion = Annotated[str, Path(description="A version: number or tag.", examples=["3"], max_length=200)]


async def stream(request: Request, table: TableName, name: StreamName) -> Response:
    """The newest version as HLS; begin with `index.m3u8`.

    `ffmpeg -i http://host/tables/kb/hls/index.m3u8 -c copy kb.flac` makes the table of it.
    """
    return _answer(request, table, None, name)


async def stream_of_version(
    request: Request, table: TableName, version: StreamVersion, name: StreamName
) -> Response:
    """The same of a version."""
    return _answer(request, table, version, name)


add_file_routes(
    router,
    _ANSWERS,
    ("/tables/{table}/hls/{name}", stream, "A table as a stream"),
    ("/tables/{table}/hls/{version}/{name}", stream_of_version, "A version as a stream"),
)


def _answer(request: Request, table: str, version: str | None, name: str) -> Response:
    service, served = service_of(request), caller_of(request).table(table, "file")
    headers = dict(request.headers)
    token = request.query_params.get("token") if "authorization" not in headers else None
    is_head = request.method == "HEAD"

    def make() -> Made:
        stream = service.streams.of(served, version, name)
        try:
            return _made(stream)
        except BaseException:
            service.streams.release(stream)
            raise

    def _made(stream: OpenStream) -> Made:
        content = stream.cut.playlists.get(name)
        if content is not None and token is not None and name.endswith(".m3u8"):
            content = _with_token(content.decode(), token).encode()
        status, made, limits = _head(stream, name, content, headers)
        if is_head or status == 304:
            body: Iterator[bytes] = iter(())
        elif content is not None:
            body = iter([content[slice(*limits)]])
        else:
            body = stream.cut.content(name, *limits)
        return Made(StreamPart(service.streams, stream, body), status, made)

    return service.streamed(service.job(), make, most=0)


def _head(
    stream: OpenStream, name: str, content: bytes | None, asked: Mapping[str, str]
) -> tuple[int, dict[str, str], tuple[int, int]]:
    """(status, headers, which bytes) of the answer. content: of a playlist, None for a part.

    The name of a part never has another content.
    """
    if content is None:
        size, tag, cached = stream.cut.size(name) or 0, name.partition(".")[0], "max-age=31536000, immutable"
    else:
        size, tag, cached = len(content), sha256(content).hexdigest()[:32], "no-cache"
    headers = {
        "ETag": f'"{tag}"',
        "Cache-Control": f"private, {cached}",
        "Accept-Ranges": "bytes",
        "Audiomem-Version": str(stream.version),
        "Vary": "Authorization",
    }
    if is_listed(asked.get("if-none-match", ""), f'"{tag}"', weak=True):
        return 304, headers, (0, 0)
    try:
        ranges = ranges_of(asked.get("range"), size) if range_holds(asked, f'"{tag}"') else []
    except UnsatisfiableError:
        raise Problem(416, f"this has {size} bytes", headers={"Content-Range": f"bytes */{size}"}) from None
    is_part = len(ranges) == 1  # several are answered with all of it
    start, stop = ranges[0] if is_part else (0, size)
    headers |= {"Content-Type": _TYPES[name.rpartition(".")[2]], "Content-Length": str(stop - start)}
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return 206 if is_part else 200, headers, (start, stop)


def _with_token(playlist: str, token: str) -> str:
    """A playlist whose addresses have the token, for players that can say nothing but an address."""
    query = f"?token={quote(token, safe='')}"
    lines = [line if not line or line.startswith("#") else line + query for line in playlist.split("\n")]
    return _URI.sub(rf'\g<1>\g<2>{query}"', "\n".join(lines))
