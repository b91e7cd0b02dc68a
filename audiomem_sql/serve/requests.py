"""What routes have in common: what they read out of a request, and those for bytes of files."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from audiomem_sql.columns.lexemes import Token, lexemes
from audiomem_sql.errors import AudioMemError, QueryError
from audiomem_sql.serve.access import Caller
from audiomem_sql.serve.formats import NAMES, Format, chosen
from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.service import Service

TableName = Annotated[str, Path(description="The name of the table.", examples=["kb"], max_length=200)]
Version = Annotated[
    str | None,
    Query(description="A version: number or tag.", examples=["3"], max_length=200),
]
AsOf = Annotated[
    str | None,
    Query(description="The newest version at a time, UTC.", examples=["2026-11-01T00:00:00Z"], max_length=60),
]
Columns = Annotated[
    str | None,
    Query(description="Columns, with commas between them; all by default.", examples=["id,title"]),
]
Where = Annotated[
    str | None,
    Query(description="A condition of SQL on one row, with ? for parameters.", examples=["year > ?"]),
]
Parameters = Annotated[
    list[str] | None,
    Query(
        alias="parameter",
        description="A value for each ?, in JSON; what is none is a text.",
        examples=[["2020"]],
        max_length=100,
    ),
]
FormatName = Annotated[
    str | None, Query(alias="format", description=f"{', '.join(NAMES)}; or Accept.", examples=["json"])
]


def service_of(request: Request) -> Service:
    """What the server has."""
    return cast(Service, request.app.state.service)


def caller_of(request: Request) -> Caller:
    """Who asks."""
    return cast(Caller, request.scope["audiomem"]["caller"])


def format_of(request: Request, name: str | None) -> Format:
    """The format of the answer."""
    return chosen(name, request.headers.get("accept"))


def check_threads(service: Service) -> None:
    """Problem 503 for a statement, or a condition, while half of the threads are stuck in others."""
    if 2 * service.workers.stuck >= service.settings.limits.threads:
        raise Problem(503, "too many statements go on although their time is over; come again later")


def limit_of(service: Service, limit: int | None) -> int:
    """The rows of a page. Problem 400 for more than there may be."""
    limits = service.settings.limits
    if limit is None:
        return min(limits.rows_default, limits.rows)
    if limit > limits.rows:
        raise Problem(400, f"limit is at most {limits.rows}; ask for the next page with after=")
    return limit


def columns_of(text: str | None) -> list[str] | None:
    """The names in ``title, "a, b"``; None for all. QueryError for none, and for what is no list of names."""
    if text is None:
        return None
    try:
        words = lexemes(text)
    except AudioMemError:
        words = []
    names = [word.value for word in words[::2]]
    commas = all(word.text == "," for word in words[1::2])
    named = all(word.token in (Token.WORD, Token.QUOTED) for word in words[::2])
    if not named or not commas or len(words) % 2 == 0:
        raise QueryError("columns is a list of names", remedy='Write columns=id,title or columns="a b".')
    return names


def parameters_of(values: Sequence[str] | None) -> list[Any]:
    """The values of parameters in a query: what is a value in JSON is that, anything else a text."""
    return [_value(text) for text in values or ()]


def bound(value: Any) -> Any:
    """A value of JSON as SQL takes it: an array is a vector, as text; ``{"base64": …}`` are bytes."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise QueryError("an integer has at most 64 bits", remedy="Pass it as a text.")
    if value is None or isinstance(value, int | float | str):
        return value
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, dict) and set(value) == {"base64"}:
        return bytes_of(value["base64"])
    raise QueryError(
        "a parameter is no value of SQL", remedy='Pass null, numbers, texts, or {"base64": "…"}.'
    )


def bytes_of(text: Any) -> bytes:
    """The bytes that a text has in base64, also in its alphabet for addresses. QueryError for others."""
    try:
        plain = text.replace("-", "+").replace("_", "/")
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (AttributeError, ValueError, TypeError, binascii.Error):
        raise QueryError("this is not base64", remedy="Encode the bytes as RFC 4648 says.") from None


def _value(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, dict) else bound(value)


def add_file_routes(
    router: APIRouter, answers: dict[int | str, dict[str, Any]], *routes: tuple[str, Callable[..., Any], str]
) -> None:
    """Answer GET and HEAD for bytes of files. answers: of all. routes: path, function and summary of each."""
    for path, function, summary in routes:
        for method in ("GET", "HEAD"):
            router.add_api_route(
                path,
                function,
                methods=[method],
                operation_id=f"{method.lower()}_{function.__name__}",
                responses=answers,
                response_class=Response,
                summary=summary,
            )
