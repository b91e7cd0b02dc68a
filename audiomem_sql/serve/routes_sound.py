"""What a table sounds like, and what of it is damaged: its bands, its spectrogram, its pages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from audiomem_sql.serve import sound
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import TableName, caller_of, service_of

router = APIRouter(tags=["sound"])
_ONCE = "It is made once at a time, and kept for a while: 503 while somebody else has it made."


@router.get("/tables/{table}/bands", response_model=dict[str, Any], summary="Its frequency bands")
async def bands(request: Request, table: TableName) -> Response:
    """The bands that the table is kept in, and how well they are heard, by some pages; how it sounds."""
    service, served = service_of(request), caller_of(request).table(table)
    return _json(await service.workers.run(service.job(), lambda: sound.bands(served)))


@router.get(
    "/tables/{table}/spectrogram",
    response_class=Response,
    summary="Its spectrogram",
    description=f"Frequencies over time, as levels or as a picture. {_ONCE}",
    responses={200: {"content": {"application/json": {}, "image/png": {}}}},
)
async def spectrogram(
    request: Request,
    table: TableName,
    format: Annotated[str, Query(description="json, or png.", examples=["png"])] = "json",
) -> Response:
    """The first file of the table; a table at another address is not fetched for it."""
    service, served = service_of(request), caller_of(request).table(table)
    if format not in ("json", "png"):
        raise Problem(400, "the formats are json, png")
    looks = service.looks
    if format == "json":
        return _json(await service.workers.run(service.job(), lambda: looks.of(served, sound.spectrogram)))
    picture = await service.workers.run(service.job(), lambda: looks.of(served, sound.picture))
    return Response(picture, media_type="image/png", headers={"Cache-Control": "no-store"})


@router.get(
    "/tables/{table}/damage",
    response_model=dict[str, Any],
    summary="What is damaged",
    description=f"All of the table is read, as `audiomem verify` does. {_ONCE}",
)
async def damage(request: Request, table: TableName) -> Response:
    """What each page holds, as runs, and every fault with what repairs it."""
    service, served = service_of(request), caller_of(request).table(table)
    found = await service.workers.run(service.job(), lambda: service.looks.of(served, sound.damage))
    faults = [{**each, "fault": service.hide(each["fault"])} for each in found["faults"]]
    return _json({**found, "faults": faults})


def _json(content: Any) -> Response:
    return JSONResponse(content, headers={"Cache-Control": "no-store"})
