"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.tokens import SCOPES, Token, TokenFile

#: What everybody may do on a server without tokens.
_OPEN = ("read", "file")
_WRITING = ("write", "upkeep")
_LONGEST = 500
#: What stands before a token among the subprotocols of a WebSocket, since browsers set no headers there.
TOKEN_PROTOCOL = "audiomem.token."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. token: None on a server without tokens. tables: all of the server, by name."""

    token: Token | None
    tables: Mapping[str, ServedTable]
    writable: bool

    @property
    def name(self) -> str | None:
        """The name of the token, for the log."""
        return None if self.token is None else self.token.name

    def may(self, table: str, scope: str) -> bool:
        """Whether it may do ``scope`` with ``table``."""
        if scope in _WRITING and not self.writable:
            return False
        return scope in _OPEN if self.token is None else self.token.allows(table, scope)

    def readable(self) -> list[ServedTable]:
        """The tables that it may read, by name."""
        return [table for name, table in sorted(self.tables.items()) if self.may(name, "read")]

    def table(self, name: str, scope: str = "read") -> ServedTable:
        """The table ``name``, to do ``scope`` with it.

        Problem 404 for one that is not there, or that is nothing to it; 403 where it may do something else.
        """
        table = self.tables.get(name)
        if table is None or not any(self.may(name, each) for each in SCOPES):
            raise Problem(404, "there is no such table, or the token has nothing to do with it")
        if not self.may(name, scope):
            if scope in _WRITING and not self.writable:
                raise Problem(403, "this server only reads; it is started with --writable to write")
            who = "nobody" if self.token is None else "this token not"
            raise Problem(403, f"{who} may do that with the table: it needs the scope {scope}")
        return table

    @property
    def may_write(self) -> bool:
        """Whether it may write to any table."""
        return any(self.may(name, "write") for name in self.tables)


def given_token(headers: Mapping[bytes, bytes], query: bytes, *, in_query: bool) -> str | None:
    """The token of a request: Bearer (RFC 6750), or the password of Basic (RFC 7617); None without one.

    in_query: also ``?token=``, for readers of files that can say nothing but an address.
    """
    kind, _, value = headers.get(b"authorization", b"").decode("latin-1").strip().partition(" ")
    value = value.strip()
    if kind.lower() == "bearer":
        return value[:_LONGEST]
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2][:_LONGEST]
        except (binascii.Error, ValueError):
            return ""
    if kind:
        return ""
    if in_query:
        tokens = parse_qs(query.decode("latin-1"), max_num_fields=50).get("token")
        return None if not tokens else tokens[0][:_LONGEST]
    return None


def identified(
    tokens: TokenFile | None, given: str | None, tables: Mapping[str, ServedTable], *, writable: bool
) -> Caller:
    """Who gave this token. Problem 401 without one, or for one that is unknown or over."""
    if tokens is None:
        return Caller(None, tables, writable=False)
    if given is None:
        raise Problem(401, "a token is needed: Authorization: Bearer …")
    token = tokens.find(given)
    if token is None:
        raise Problem(401, "the token is unknown, or its time is over")
    return Caller(token, tables, writable)
