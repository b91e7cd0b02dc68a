"""``POST /sql``: one statement that reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from audiomem_sql.serve import schemas
from audiomem_sql.serve.formats import Shape, written
from audiomem_sql.serve.parts import SqlColumns, SqlPart, limited, sql_parts
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.requests import FormatName, bound, caller_of, check_threads, format_of, service_of
from audiomem_sql.serve.service import headers_of
from audiomem_sql.serve.sql_pool import Statement
from audiomem_sql.serve.streaming import Made

router = APIRouter(tags=["sql"])


@router.post("/sql", responses=schemas.SQL, response_class=Response, summary="A statement of SQL")
async def sql(request: Request, body: schemas.SqlBody, format: FormatName = None) -> Response:
    """One statement that reads the tables that the caller may read; the hidden columns of a table are there.

    It ends when its time is over, and when the client goes.
    """
    service, tables = service_of(request), caller_of(request).readable()
    if not tables:
        raise Problem(403, "the token may read no table")
    check_threads(service)
    form = format_of(request, format)
    most = service.settings.limits.rows
    limit = most if body.limit is None else min(body.limit, most)
    job = service.job()

    def make() -> Made:
        statement = Statement(service.sql, tables, body.sql, _parameters(body.parameters), job, service.hide)
        columns = SqlColumns(statement.names, statement.declared)
        counted = _Counted(statement, limit if form.pages or body.limit is not None else None)
        parts = _closing(limited(sql_parts(counted, columns), most), statement)
        shape = Shape(columns.names, statement.declared, {}, lambda: {"truncated": counted.more})
        return Made(written(parts, form.writer(shape)), headers=headers_of(form))

    return service.streamed(job, make)


def _parameters(given: list[Any] | dict[str, Any]) -> Any:
    if isinstance(given, dict):
        return {name.lstrip(":@$"): bound(value) for name, value in given.items()}
    return [bound(value) for value in given]


class _Counted:
    """The first rows; ``more``: there was another. limit: None for all."""

    def __init__(self, statement: Statement, limit: int | None) -> None:
        self._statement = statement
        self._limit = limit
        self.more = False

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        left = self._limit
        for row in self._statement:
            if left is not None:
                if not left:
                    self.more = True
                    return
                left -= 1
            yield row


def _closing(parts: Iterator[Any], statement: Statement) -> Iterator[SqlPart]:
    try:
        yield from parts
    finally:
        statement.close()
