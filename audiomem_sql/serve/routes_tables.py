"""Which tables there are, what they are, their versions and tags; and whether the server works."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from audiomem_sql.serve import schemas
from audiomem_sql.serve.requests import AsOf, TableName, Version, caller_of, service_of
from audiomem_sql.serve.tokens import SCOPES

router = APIRouter(tags=["tables"])
#: Nobody needs a token for these.
_OPEN: dict[str, Any] = {"security": []}


@router.get(
    "/health",
    response_model=schemas.State,
    summary="Whether the server runs",
    tags=["health"],
    openapi_extra=_OPEN,
)
async def health() -> Any:
    """It answers as long as the process does; for liveness probes."""
    return {"status": "ok"}


@router.get(
    "/ready",
    response_model=schemas.State,
    summary="Whether all tables can be read",
    tags=["health"],
    openapi_extra=_OPEN,
)
async def ready(request: Request) -> Response:
    """503 while a table cannot be read, or no thread is free; for readiness probes."""
    service = service_of(request)
    job = service.job()
    tables = list(service.tables.values())
    fine = await service.workers.run(job, lambda: all(table.is_ready() for table in tables))
    return JSONResponse({"status": "ok" if fine else "a table cannot be read"}, 200 if fine else 503)


@router.get("/tables", response_model=schemas.TableList, summary="The tables")
async def tables(request: Request) -> Any:
    """Those that the caller may read."""
    service, caller = service_of(request), caller_of(request)
    readable = caller.readable()
    summaries = await service.workers.run(service.job(), lambda: [table.summary() for table in readable])
    return {
        "tables": [
            {**each, "scopes": [scope for scope in SCOPES if caller.may(each["name"], scope)]}
            for each in summaries
        ]
    }


@router.get("/tables/{table}", response_model=schemas.TableDescription, summary="A table")
async def table(request: Request, table: TableName, version: Version = None, as_of: AsOf = None) -> Any:
    """Its columns, constraints, count of rows, tags, and the version that this is of."""
    service, served = service_of(request), caller_of(request).table(table)
    return await service.workers.run(service.job(), lambda: served.description(version, as_of))


@router.get("/tables/{table}/versions", response_model=schemas.VersionList, summary="Its versions")
async def versions(
    request: Request,
    table: TableName,
    before: Annotated[int | None, Query(description="Only older ones than this.", ge=1)] = None,
    limit: Annotated[int, Query(description="Most versions.", ge=1, le=1000)] = 100,
) -> Any:
    """The versions that are kept, newest first."""
    service, served = service_of(request), caller_of(request).table(table)
    return await service.workers.run(service.job(), lambda: served.versions(before, limit))


@router.get("/tables/{table}/tags", response_model=dict[str, int], summary="Its tags")
async def tags(request: Request, table: TableName) -> Any:
    """The version of each tag."""
    service, served = service_of(request), caller_of(request).table(table)
    return await service.workers.run(service.job(), lambda: served.reader().tags)
