"""The server of ``audiomem mcp``: tools and resources of the Model Context Protocol over tables."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar
from urllib.parse import quote

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp.types import ToolAnnotations
from pydantic import Field

from audiomem_sql._version import __version__
from audiomem_sql.errors import OptionError, QueryError
from audiomem_sql.mcp.admission import TokensOnly
from audiomem_sql.mcp.remembering import remember
from audiomem_sql.mcp.tables import Tables, told
from audiomem_sql.serve.server import server_of, signals_end_the_server_alone
from audiomem_sql.serve.settings import LOOPBACK, Limits
from audiomem_sql.serve.sql_guard import bound_memory
from audiomem_sql.serve.tokens import TokenFile
from audiomem_sql.serve.work import Job, Workers

_Result = TypeVar("_Result")
_INSTRUCTIONS = (
    "Tables of texts that a person keeps. `tables` says what there is, `search` finds rows by meaning and "
    "words, `read` gives a row whole with what stands around it, `sql` answers questions that count, join "
    "or compare, in SQLite's dialect. Cite the column `place` or `source` of a row where there is one."
)
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_ADDS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=False
)
#: Characters of a question and of a statement, and values beside one.
_MOST_QUERY, _MOST_SQL, _MOST_VALUES = 10_000, 100_000, 1000
_Table = Annotated[str | None, Field(description="The table; needed where there are several.")]
_Version = Annotated[str | None, Field(description="A version to look at: its number, or a tag.")]
_AsOf = Annotated[str | None, Field(description="A time to look at, such as 2026-01-31T12:00:00Z.")]


class Assistant:
    """Tools and resources over ``tables``. Work is done in threads, for a time, as long as a client waits."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        limits = tables.limits
        self._workers = Workers(limits.threads, limits.waiting, limits.waiting_seconds)

    def server(self) -> MCPServer[Any]:
        """The server. Tools that write are there only where tables may be written to."""
        server: MCPServer[Any] = MCPServer(
            "audiomem", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING"
        )
        server.add_tool(self.tables, annotations=_READS)
        server.add_tool(self.search, annotations=_READS)
        server.add_tool(self.read, annotations=_READS)
        server.add_tool(self.sql, annotations=_READS)
        if self._tables.writers:
            server.add_tool(self.remember, annotations=_ADDS)
        for name in self._tables.served:
            about = functools.partial(self._table_resource, name)
            server.resource(
                f"audiomem://{quote(name, safe='')}",
                name=name,
                description=f"Columns, counts and versions of the table {name}",
                mime_type="application/json",
            )(_named(about, "table"))
        server.resource(
            "audiomem://{table}/{key}",
            name="row",
            description="A row of a table, by its key",
            mime_type="application/json",
        )(self._row_resource)
        return server

    # -- tools; what is said of them is what assistants read -------------------------------------------------

    async def tables(self, table: _Table = None) -> list[dict[str, Any]]:
        """The tables: columns, types, which are searched by words or meaning, counts, version, tags."""
        return await self._told(lambda _: self._tables.describe(table))

    async def search(
        self,
        query: Annotated[
            str,
            Field(
                description="A question, or words. `words:…` looks for words alone.", max_length=_MOST_QUERY
            ),
        ],
        table: _Table = None,
        k: Annotated[int, Field(description="How many rows.", ge=1, le=100)] = 10,
        where: Annotated[
            str | None,
            Field(description="SQL on a row, applied before the search: year > 2020.", max_length=_MOST_SQL),
        ] = None,
        version: _Version = None,
        as_of: _AsOf = None,
        characters: Annotated[int, Field(description="Most of a text that is shown.", ge=20)] = 1000,
    ) -> dict[str, Any]:
        """The rows that answer a query, best first: key, score, values. Long texts are cut; `read` them."""
        return await self._told(
            lambda _: self._tables.search(query, table, k, where, version, as_of, characters)
        )

    async def read(
        self,
        key: Annotated[
            str, Field(description="The key of the row, as a search says it.", max_length=_MOST_QUERY)
        ],
        table: _Table = None,
        before: Annotated[int, Field(description="Rows before it.", ge=0, le=50)] = 0,
        after: Annotated[int, Field(description="Rows behind it.", ge=0, le=50)] = 0,
        version: _Version = None,
        as_of: _AsOf = None,
    ) -> dict[str, Any]:
        """A row whole, by its key, and rows around it: of the same source, or as they were added."""
        return await self._told(lambda _: self._tables.read(key, table, before, after, version, as_of))

    async def sql(
        self,
        statement: Annotated[
            str, Field(description="One SELECT, in SQLite's dialect.", max_length=_MOST_SQL)
        ],
        parameters: Annotated[
            list[str | int | float | bool | None] | None,
            Field(description="Values of its question marks.", max_length=_MOST_VALUES),
        ] = None,
        limit: Annotated[int, Field(description="Most rows.", ge=1)] = 100,
    ) -> dict[str, Any]:
        """The rows of one statement of SQL that reads the tables, within limits of time, rows and memory.

        A table may be searched: `WHERE notes MATCH 'words' AND k = 5 ORDER BY distance`; and seen as it was:
        `WHERE version = 3`.
        """
        return await self._told(lambda job: self._tables.sql(statement, parameters or [], limit, job))

    async def remember(
        self,
        text: Annotated[str, Field(description="What to keep, in words that will be searched for.")],
        table: _Table = None,
        title: Annotated[str | None, Field(description="A short name.", max_length=1000)] = None,
        metadata: Annotated[
            dict[str, Any] | None, Field(description="More values, by name; those of columns that are there.")
        ] = None,
    ) -> dict[str, Any]:
        """Append a text to a table, durably, as a version of its own."""
        return await self._told(lambda _: remember(self._tables, text, table, title, metadata))

    # -- resources -------------------------------------------------------------------------------------------

    async def _table_resource(self, name: str) -> str:
        return _shown((await self._told(lambda _: self._tables.describe(name), ResourceError))[0])

    async def _row_resource(self, table: str, key: str) -> str:
        return _shown(await self._told(lambda _: self._tables.read(key, table), ResourceError))

    async def _told(
        self, work: Callable[[Job], _Result], kind: type[ToolError] | type[ResourceError] = ToolError
    ) -> _Result:
        """``work``, in a thread; its errors as the protocol has them."""
        job = Job(self._tables.limits.statement_seconds)
        try:
            return await self._workers.run(job, lambda: work(job))
        except Exception as error:
            text = told(error, self._tables.hide)
            if text is None:
                raise
            missing = kind is ResourceError and isinstance(error, QueryError)
            raise (ResourceNotFoundError if missing else kind)(text) from None

    def close(self) -> None:
        """End the threads."""
        self._workers.close()


def _named(function: Callable[[], Awaitable[str]], name: str) -> Callable[[], Awaitable[str]]:
    async def resource() -> str:
        return await function()

    resource.__name__ = name
    return resource


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def run(
    places: Sequence[str],
    limits: Limits,
    *,
    writable: bool = False,
    address: tuple[str, int] | None = None,
    tokens: str | None = None,
    started: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve the tables in ``places`` to one client on stdin and stdout, until it goes.

    address: to any number of clients over HTTP instead, at a host of this machine and a port (0: a free one),
    until SIGINT or SIGTERM; ``started`` is called with the URL. tokens: the file of the tokens that clients
    over HTTP need; OptionError without one where tables are writable, since all of the machine can ask.
    """
    if address is None and tokens is not None:
        raise OptionError("tokens are for clients over HTTP", remedy="Add --http, or leave --tokens out.")
    if address is not None and writable and tokens is None:
        raise OptionError(
            "all programs of this machine, and pages in its browsers, can ask a server over HTTP; to write "
            "they need tokens",
            remedy="audiomem token add tokens.json NAME --write TABLE; then --tokens tokens.json",
        )
    known = None if tokens is None else TokenFile(tokens)
    tables = Tables(places, limits, writable=writable)
    before = bound_memory(limits.memory_bytes)
    try:
        if address is None:
            anyio.run(_over_stdio, tables)
        else:
            anyio.run(_over_http, tables, address, known, started)
    finally:
        tables.close()
        bound_memory(before)


@asynccontextmanager
async def _assistant(tables: Tables) -> AsyncIterator[MCPServer[Any]]:
    assistant = Assistant(tables)
    try:
        yield assistant.server()
    finally:
        assistant.close()


async def _over_stdio(tables: Tables) -> None:
    async with _assistant(tables) as server:
        await server.run_stdio_async()


async def _over_http(
    tables: Tables, address: tuple[str, int], tokens: TokenFile | None, started: Callable[[str], None]
) -> None:
    import uvicorn

    host, port = address
    if host not in LOOPBACK:
        raise QueryError(f"{host} is not of this machine alone", remedy="Listen on 127.0.0.1.")
    async with _assistant(tables) as server:
        app: Any = server.streamable_http_app(host=host)
        if tokens is not None:
            app = TokensOnly(app, tokens, tables)
        config = uvicorn.Config(app, host=host, port=port, log_level=logging.WARNING)
        with signals_end_the_server_alone():
            await server_of(config, lambda url: started(f"{url}/mcp")).serve()
