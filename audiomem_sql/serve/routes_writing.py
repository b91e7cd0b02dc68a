"""Writes: rows that are appended, and sources of text that are brought up to date."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from audiomem_sql.errors import QueryError
from audiomem_sql.ingest.ingestion import Reading
from audiomem_sql.ingest.sources import Kind
from audiomem_sql.serve import schemas
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import TableName, caller_of, service_of
from audiomem_sql.serve.table_writer import Key
from audiomem_sql.serve.written_rows import MEDIA_TYPES, rows_of

router = APIRouter(tags=["writing"])
_KINDS: dict[str, Kind] = {
    "text/plain": "text",
    "text/markdown": "markdown",
    "text/html": "html",
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/vnd.apache.parquet": "parquet",
}
_ROWS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "items": {"type": "object"}},
                "example": [{"title": "Frames", "year": 2021}],
            },
            **{name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES[1:]},
        },
    }
}
_SOURCE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {name: {"schema": {"type": "string"}} for name in _KINDS},
    }
}


@router.post(
    "/tables/{table}/rows",
    response_model=schemas.Appended,
    status_code=201,
    responses={200: {"model": schemas.Appended, "description": "They had been added before."}},
    openapi_extra=_ROWS_BODY,
    summary="Add rows",
)
async def append(
    request: Request,
    table: TableName,
    message: Annotated[str | None, Query(description="A message for the version.", max_length=1000)] = None,
    idempotency_key: Annotated[
        str | None,
        Header(description="Rows with the same key are added once, however often they come.", max_length=255),
    ] = None,
) -> Response:
    """Rows in one commit, all or none, durable when the answer comes."""
    service, caller = service_of(request), caller_of(request)
    served = caller.table(table, "write")
    content = await request.body()
    kind = request.headers.get("content-type")
    key = None if idempotency_key is None else Key.of(caller.name, idempotency_key, content)

    def write() -> tuple[int, int, bool]:
        rows, count = rows_of(kind, content, served.reader().schema)
        if not count:
            raise QueryError("there are no rows", remedy="Send at least one.")
        version, is_new = service.writers[table].append(rows, message, key)
        return version, count, is_new

    version, count, is_new = await service.workers.run(service.job(), write)
    return JSONResponse(
        {"version": version, "rows": count, "repeated": not is_new},
        201 if is_new else 200,
        {"Audiomem-Version": str(version)},
    )


@router.put(
    "/tables/{table}/sources",
    response_model=schemas.Ingested,
    openapi_extra=_SOURCE_BODY,
    summary="Bring the text of a source up to date",
)
async def ingest(
    request: Request,
    table: TableName,
    source: Annotated[
        str,
        Query(description="Its name, such as a path.", examples=["guide.md"], min_length=1, max_length=1000),
    ],
    size: Annotated[int, Query(description="Most characters in a chunk.", ge=50, le=100_000)] = 800,
    overlap: Annotated[int, Query(description="Characters that chunks have in common.", ge=0)] = 0,
) -> Any:
    """Text, Markdown, HTML, CSV, JSON Lines or Parquet in chunks; the same content again adds nothing."""
    service, caller = service_of(request), caller_of(request)
    caller.table(table, "write")
    if not source.isprintable():
        raise QueryError("the name of a source is printable", remedy="Leave control characters out.")
    media_type = request.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if media_type not in _KINDS:
        raise Problem(415, f"a source is {', '.join(_KINDS)}")
    content = await request.body()
    reading = Reading(size, overlap)
    writer = service.writers[table]
    return await service.workers.run(
        service.job(), lambda: writer.ingest(source, _KINDS[media_type], content, reading)
    )
