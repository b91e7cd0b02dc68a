"""Rows of a table: pages of them, one by its key, and those that answer a search."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from audiomem_sql.columns.column import quote
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.errors import InFile, OptionError
from audiomem_sql.serve import schemas
from audiomem_sql.serve.formats import Format, Shape, written
from audiomem_sql.serve.pages import Cursor, Page, row_of
from audiomem_sql.serve.parts import BatchPart, Part
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import (
    AsOf,
    Columns,
    FormatName,
    Parameters,
    TableName,
    Version,
    Where,
    caller_of,
    check_threads,
    columns_of,
    format_of,
    limit_of,
    parameters_of,
    service_of,
)
from audiomem_sql.serve.search import search_parts
from audiomem_sql.serve.served_table import ServedTable, is_text, key_column
from audiomem_sql.serve.service import headers_of
from audiomem_sql.serve.streaming import Made
from audiomem_sql.serve.values import column_lists
from audiomem_sql.table.reader import TableReader

router = APIRouter(tags=["rows"])
#: Bytes of rows, in memory, at which a page of JSON ends early.
_PAGE_BYTES = 64 << 20
_MOST_ORDERED = 10_000


@router.get("/tables/{table}/rows", responses=schemas.ROWS, response_class=Response, summary="A page of rows")
async def rows(
    request: Request,
    table: TableName,
    columns: Columns = None,
    where: Where = None,
    parameter: Parameters = None,
    order: Annotated[
        str | None,
        Query(
            description="The first rows in this order; there is no next page then.", examples=["year DESC"]
        ),
    ] = None,
    limit: Annotated[int | None, Query(description="Most rows.", ge=1)] = None,
    after: Annotated[
        str | None,
        Query(description="What `next` said, for rows behind it of the same version.", max_length=200),
    ] = None,
    version: Version = None,
    as_of: AsOf = None,
    format: FormatName = None,
) -> Response:
    """Rows in the order of their rowids, all of one version, which the header Audiomem-Version names."""
    service, served = service_of(request), caller_of(request).table(table)
    form, most = format_of(request, format), limit_of(service, limit)
    chosen, parameters = columns_of(columns), parameters_of(parameter)
    if where is not None:
        check_threads(service)

    def make() -> Made:
        cursor = None if after is None else Cursor.parse(after)
        if cursor is not None and (version is not None or as_of is not None or order is not None):
            raise OptionError("after names the version and the order already", remedy="Leave the others out.")
        reader = served.reader(version if cursor is None else str(cursor.version), as_of)
        if order is not None:
            return _ordered(served, reader, form, chosen, where, parameters, order, most)
        page = Page(reader, chosen, where, parameters, None if cursor is None else cursor.rowid, most)
        return _page(served, reader, page, form)

    return service.streamed(service.job(), make)


def _page(served: ServedTable, reader: TableReader, page: Page, form: Format) -> Made:
    def parts() -> Iterator[Part]:
        count = size = 0
        for batch in page:
            yield BatchPart(batch, page.types)
            count, size = count + 1, size + batch.nbytes
            if form.pages and size >= _PAGE_BYTES:
                page.more = True  # perhaps; else the next page is empty
                break
        if not count:
            yield _nothing(page.schema, page.types)

    def behind() -> dict[str, Any]:
        more = page.more and page.last is not None
        return {"next": Cursor(reader.version, page.last or 0).text() if more else None}

    return _made(served, reader, parts(), page.schema, page.types, form, behind)


def _ordered(
    served: ServedTable,
    reader: TableReader,
    form: Format,
    columns: list[str] | None,
    where: str | None,
    parameters: list[Any],
    order: str,
    most: int,
) -> Made:
    if most > _MOST_ORDERED:
        raise Problem(400, f"limit is at most {_MOST_ORDERED} with an order")
    found = reader.top(order, most, where, parameters, columns=columns)
    types = [reader.schema[name].type for name in found.column_names]
    return _made(
        served, reader, _table_parts(found, types), found.schema, types, form, lambda: {"next": None}
    )


def _table_parts(found: pa.Table, types: list[ColumnType]) -> Iterator[Part]:
    batches = found.combine_chunks().to_batches(max_chunksize=1024)
    yield from (BatchPart(batch, types) for batch in batches)
    if not batches:
        yield _nothing(found.schema, types)


def _nothing(schema: pa.Schema, types: list[ColumnType]) -> Part:
    return BatchPart(pa.RecordBatch.from_pylist([], schema=schema), types)


def _made(
    served: ServedTable,
    reader: TableReader,
    parts: Iterator[Part],
    schema: pa.Schema,
    types: list[ColumnType],
    form: Format,
    behind: Any = dict,
) -> Made:
    before: Mapping[str, Any] = {"table": served.name, "version": reader.version}
    shape = Shape(schema.names, [str(kind) for kind in types], before, behind)
    return Made(written(parts, form.writer(shape)), headers=headers_of(form, reader.version))


@router.get("/tables/{table}/rows/{key:path}", summary="A row by its key", response_model=dict[str, Any])
async def row(
    request: Request,
    table: TableName,
    key: Annotated[
        str, Path(description="Its primary key, or its rowid without one.", examples=["1"], max_length=4096)
    ],
    columns: Columns = None,
    version: Version = None,
    as_of: AsOf = None,
) -> Response:
    """The row, 404 if there is none."""
    service, served = service_of(request), caller_of(request).table(table)
    chosen = columns_of(columns)

    def find() -> tuple[int, dict[str, Any] | None]:
        reader = served.reader(version, as_of)
        with InFile(reader.path):
            name, is_rowid = key_column(reader)
            value = key if not is_rowid and is_text(reader, name) else next(iter(parameters_of([key])))
            if is_rowid and type(value) is int:
                return reader.version, row_of(reader, chosen, value)
            page = Page(reader, chosen, f"{quote(name)} = ?", [value], None, 1)
        for batch in page:
            lists = column_lists(batch, page.types)
            return reader.version, {
                each: values[0] for each, values in zip(page.schema.names, lists, strict=True)
            }
        return reader.version, None

    number, found = await service.workers.run(service.job(), find)
    if found is None:
        raise Problem(404, "there is no such row in this version", headers={"Audiomem-Version": str(number)})
    return JSONResponse(found, headers={"Audiomem-Version": str(number), "Cache-Control": "no-store"})


@router.post(
    "/tables/{table}/search",
    responses=schemas.FOUND,
    response_class=Response,
    summary="A search",
    tags=["search"],
)
async def search(
    request: Request, table: TableName, body: schemas.SearchBody, format: FormatName = None
) -> Response:
    """The `k` rows that answer best, by meaning, by words, or both; conditions apply before the ranking."""
    return _searched(request, table, body, format)


@router.get(
    "/tables/{table}/search",
    responses=schemas.FOUND,
    response_class=Response,
    summary="A search by its address",
    tags=["search"],
)
async def search_by_address(  # noqa: PLR0913  # a parameter for each of the address
    request: Request,
    table: TableName,
    query: Annotated[
        str, Query(description="A question or words.", examples=["reset a password"], max_length=10_000)
    ],
    k: Annotated[int, Query(description="Rows.", ge=1, le=10_000)] = 10,
    where: Where = None,
    parameter: Parameters = None,
    columns: Columns = None,
    column: Annotated[str | None, Query(description="The column to search.")] = None,
    snippet: Annotated[str | None, Query(description="A column to show the matching part of.")] = None,
    version: Version = None,
    as_of: AsOf = None,
    format: FormatName = None,
) -> Response:
    """The same as POST, for what an address can say."""
    body = schemas.SearchBody(
        query=query,
        k=k,
        where=where,
        parameters=parameters_of(parameter),
        columns=columns_of(columns),
        column=column,
        snippet=snippet,
        version=version,
        as_of=as_of,
    )
    return _searched(request, table, body, format)


def _searched(request: Request, table: str, body: schemas.SearchBody, format: str | None) -> Response:
    service, served = service_of(request), caller_of(request).table(table)
    form = format_of(request, format)
    if body.where is not None:
        check_threads(service)

    def make() -> Made:
        version = None if body.version is None else str(body.version)
        reader = served.reader(version, body.as_of)
        with contextlib.ExitStack() as stack:
            stack.enter_context(InFile(reader.path))
            found, types = search_parts(reader, body)
        return _made(served, reader, _table_parts(found, types), found.schema, types, form)

    return service.streamed(service.job(), make)
