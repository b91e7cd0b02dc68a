"""The page for people: its files, which everybody may have; what it shows comes from the other routes."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from audiomem_sql.serve.problems import Problem

router = APIRouter(include_in_schema=False)
_MEDIA_TYPES: Final = MappingProxyType(
    {
        "index.html": "text/html; charset=utf-8",
        "page.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "main.js": "text/javascript; charset=utf-8",
        "service.js": "text/javascript; charset=utf-8",
        "live.js": "text/javascript; charset=utf-8",
        "state.js": "text/javascript; charset=utf-8",
        "elements.js": "text/javascript; charset=utf-8",
        "player.js": "text/javascript; charset=utf-8",
        "sound.js": "text/javascript; charset=utf-8",
        "table.js": "text/javascript; charset=utf-8",
        "views.js": "text/javascript; charset=utf-8",
    }
)
#: Where the files are.
PAGE_PATHS: Final = ("/", *(f"/page/{name}" for name in _MEDIA_TYPES if name != "index.html"))
#: Scripts, styles and data come from this server alone, and no text becomes markup (Trusted Types).
_POLICY = "; ".join(
    (
        "default-src 'none'",
        *(f"{kind}-src 'self'" for kind in ("script", "style", "img", "connect")),
        "media-src blob:",  # of Media Source Extensions
        *(f"{what} 'none'" for what in ("base-uri", "form-action", "frame-ancestors", "trusted-types")),
        "require-trusted-types-for 'script'",
    )
)
_HEADERS: Final = MappingProxyType(
    {
        "Cache-Control": "no-cache",  # kept, and asked for again by its ETag
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)


@router.api_route("/", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return _answer(request, "index.html")


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def page_file(request: Request, name: str) -> Response:
    """A file of the page."""
    if f"/page/{name}" not in PAGE_PATHS:
        raise Problem(404, "the page has no such file")
    return _answer(request, name)


def _answer(request: Request, name: str) -> Response:
    content, tag = _file(name)
    headers = {**_HEADERS, "ETag": tag}
    known = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=_MEDIA_TYPES[name], headers=headers)


@cache
def _file(name: str) -> tuple[bytes, str]:
    """(its bytes, its ETag)."""
    content = files("audiomem_sql.serve").joinpath("page", name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'
