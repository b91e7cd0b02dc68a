"""Who may ask a server of assistants over HTTP."""

from __future__ import annotations

import json
from typing import Any

from audiomem_sql.mcp.tables import Tables
from audiomem_sql.serve.access import given_token, identified
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.tokens import TokenFile


class TokensOnly:
    """An ASGI application that lets those ask another one whose tokens may do with each table what that does.

    It reads all of them, and writes where ``tables`` have writers.
    """

    def __init__(self, app: Any, tokens: TokenFile, tables: Tables) -> None:
        self._app, self._tokens, self._tables = app, tokens, tables

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve a connection."""
        if scope["type"] == "http":
            try:
                self._check(dict(scope["headers"]))
            except Problem as problem:
                await _refuse(problem, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: dict[bytes, bytes]) -> None:
        writable = bool(self._tables.writers)
        given = given_token(headers, b"", in_query=False)
        caller = identified(self._tokens, given, self._tables.served, writable=writable)
        for name in self._tables.served:
            for needed in ("read", "write") if writable else ("read",):
                caller.table(name, needed)


async def _refuse(problem: Problem, send: Any) -> None:
    body = json.dumps({"error": problem.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
