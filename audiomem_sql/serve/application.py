"""The application: routes, errors, and what stands in front of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiomem_sql._version import __version__
from audiomem_sql.errors import MissingExtraError
from audiomem_sql.observe import instrument

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from audiomem_sql.serve.service import Service

_ABOUT = """Tables that are kept in FLAC files. Rows come as JSON, NDJSON, CSV, Arrow or Parquet, by `format=`
or `Accept`. Errors are `application/problem+json`. Each answer is of one version, which the header
`Audiomem-Version` names, and which `version=` asks for again."""
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The token as password, with any user."},
}


def check_extra() -> None:
    """MissingExtraError unless what serves is installed."""
    for package in ("fastapi", "pydantic", "uvicorn", "websockets"):
        try:
            import_module(package)
        except ImportError:
            raise MissingExtraError(
                f"serving tables needs the package {package}",
                remedy="Install it with: pip install 'audiomem-sql[serve]'",
            ) from None


def application(service: Service) -> ASGIApp:
    """The application that serves ``service``, with its log; MissingExtraError without the extra.

    Where the process is observed, so are its requests.
    """
    check_extra()
    from starlette.middleware.cors import CORSMiddleware

    from audiomem_sql.serve.gate import AccessLog, Gate

    app: Any = Gate(routes(service), service)
    origins = service.settings.origins
    if origins:
        app = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                "If-Match",
                "If-None-Match",
                "Range",
            ],
            expose_headers=["Audiomem-Version", "Content-Range", "ETag", "Location", "Retry-After"],
        )
    observed: ASGIApp = instrument(AccessLog(app), metrics_path=None)
    return observed


def routes(service: Service) -> FastAPI:
    """The routes alone."""
    check_extra()
    from fastapi import FastAPI

    from audiomem_sql.serve import (
        problems,
        routes_file,
        routes_hls,
        routes_jobs,
        routes_live,
        routes_page,
        routes_rows,
        routes_sound,
        routes_sql,
        routes_tables,
        routes_writing,
        schemas,
    )
    from audiomem_sql.serve.live import Live

    app = FastAPI(
        title="AudioMemory SQL",
        description=_ABOUT,
        version=__version__,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        responses=schemas.PROBLEMS,
    )
    app.state.service = service
    app.state.live = Live(service)
    modules = (
        *(routes_page, routes_tables, routes_rows, routes_sql, routes_file),
        *(routes_hls, routes_live, routes_sound),
    )
    routers = [module.router for module in modules]
    if service.settings.writable:
        routers += [routes_writing.router, routes_jobs.router]
    for router in routers:
        app.include_router(router)
    problems.install(app, service.hide, service.note, [each for router in routers for each in router.routes])
    if service.tokens is not None:
        _with_tokens(app)
    return app


def _with_tokens(app: FastAPI) -> None:
    """Have OpenAPI say that a token is needed."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        described = made()
        described.setdefault("components", {})["securitySchemes"] = _SCHEMES
        described["security"] = [{name: []} for name in _SCHEMES]
        return described

    app.openapi = openapi  # type: ignore[method-assign]
