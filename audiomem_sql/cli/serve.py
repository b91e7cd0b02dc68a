"""``audiomem serve``: tables over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audiomem_sql.serve.settings import Settings

_Files = Annotated[list[str], typer.Argument(help="Tables; each is called like its file.", metavar="FILE...")]
_Host = Annotated[str, typer.Option(help="The address to listen on.")]
_Port = Annotated[int, typer.Option(help="The port; 0 for one that is free.", min=0, max=65535)]
_Tokens = Annotated[
    str | None, typer.Option(help="The file of the tokens, see `audiomem token`; without, all may read.")
]
_Writable = Annotated[bool, typer.Option("--writable", help="Tokens that may write can.")]
_Certificate = Annotated[str | None, typer.Option(help="TLS: the certificate, PEM.")]
_Key = Annotated[str | None, typer.Option(help="TLS: its key, PEM.")]
_Origins = Annotated[
    list[str] | None, typer.Option(help="Pages of this origin may ask (CORS); can be repeated.")
]
_Names = Annotated[
    list[str] | None, typer.Option(help="A name by which the server is asked; can be repeated.")
]
_Proxies = Annotated[
    list[str] | None, typer.Option(help="The address of a proxy in front, which says who asks.")
]
_Seconds = Annotated[float, typer.Option("--statement-timeout", help="Seconds of work on a request.")]
_Rows = Annotated[int, typer.Option(help="Most rows of an answer.")]
_Bytes = Annotated[int, typer.Option(help="Most bytes of an answer.")]
_Body = Annotated[int, typer.Option(help="Most bytes of the body of a request.")]
_Threads = Annotated[int | None, typer.Option(help="Requests that are worked on at once.")]
_Workers = Annotated[int, typer.Option(help="Processes that answer; one that dies is started again.", min=1)]
_Rate = Annotated[float, typer.Option(help="Requests a second of a token, or of an address; 0 for any.")]
_Metrics = Annotated[
    int | None, typer.Option(help="Metrics for Prometheus at this port of 127.0.0.1; 0 for a free one.")
]
_Queue = Annotated[
    str | None,
    typer.Option(
        envvar="AUDIOMEM_QUEUE", help="Workers do the jobs: amqp://… or redis://…; see `audiomem worker`."
    ),
]
_Jobs = Annotated[str | None, typer.Option(help="The folder that remembers jobs.", metavar="FOLDER")]
_Changes = Annotated[
    str | None,
    typer.Option(envvar="AUDIOMEM_CHANGES", help="A Redis that carries changes between servers: redis://…."),
]
_Burst = Annotated[int, typer.Option(help="Requests that may come at once under --rate.")]


def serve(  # noqa: PLR0913  # a parameter for each option of the command
    files: _Files,
    host: _Host = "127.0.0.1",
    port: _Port = 8000,
    tokens: _Tokens = None,
    writable: _Writable = False,
    certificate: _Certificate = None,
    key: _Key = None,
    origin: _Origins = None,
    allow_host: _Names = None,
    proxy: _Proxies = None,
    statement_timeout: _Seconds = 30.0,
    max_rows: _Rows = 1_000_000,
    max_bytes: _Bytes = 1 << 30,
    max_body: _Body = 16 << 20,
    threads: _Threads = None,
    workers: _Workers = 1,
    rate: _Rate = 0.0,
    burst: _Burst = 20,
    metrics_port: _Metrics = None,
    queue: _Queue = None,
    jobs: _Jobs = None,
    changes: _Changes = None,
) -> None:
    """Serve tables over HTTP: rows, search, SQL, and the files themselves for readers on other machines.

    It only reads, unless --writable says otherwise. Its log, a JSON object a line, goes to stderr.
    """
    from audiomem_sql.serve.settings import Limits, Settings

    usual = Limits()
    limits = Limits(
        statement_seconds=statement_timeout,
        rows=max_rows,
        response_bytes=max_bytes,
        body_bytes=max_body,
        threads=usual.threads if threads is None else threads,
        rate=rate,
        burst=burst,
    )
    settings = Settings(
        limits=limits,
        host=host,
        port=port,
        writable=writable,
        tokens=tokens,
        origins=tuple(origin or ()),
        hosts=tuple(name.lower() for name in allow_host or ()),
        proxies=tuple(proxy or ()),
        queue=queue,
        jobs=jobs,
        changes=changes,
        certificate=certificate,
        key=key,
    )
    _run(files, settings, workers, metrics_port)


def _run(files: list[str], settings: Settings, workers: int, metrics_port: int | None) -> None:
    """Serve, in one process or several."""
    from audiomem_sql.cli.output import note
    from audiomem_sql.serve.server import run
    from audiomem_sql.serve.supervisor import Supervisor

    if workers > 1 and settings.writable and not (settings.jobs or settings.queue):
        _check_folder(files)
    metrics = _metrics(metrics_port, workers)

    def started(address: str) -> None:
        note(f"serving at {address}; its description: {address}/openapi.json{metrics}")

    if workers > 1:
        Supervisor(files, settings, workers, metrics_port).run(started)
    else:
        run(files, settings, started)


def _check_folder(files: list[str]) -> None:
    """OptionError where several processes would each remember jobs of their own, in memory."""
    from audiomem_sql.errors import OptionError
    from audiomem_sql.machine.urls import is_url

    if all(map(is_url, files)):
        raise OptionError(
            "several processes remember jobs in a folder", remedy="Pass --jobs FOLDER, for tables at URLs."
        )


def _metrics(port: int | None, workers: int) -> str:
    """Begin to count, where one process does all; what is said of where the metrics are."""
    from audiomem_sql import observe
    from audiomem_sql.errors import OptionError

    if port is None:
        return ""
    if workers == 1:
        observe.start(port=port)
        return f"; its metrics: http://127.0.0.1:{observe.port()}/metrics"
    if not port:
        raise OptionError(
            "each process has metrics of its own, at a port that is known",
            remedy="Pass --metrics-port 9464: the ports from there on, one a process.",
        )
    return f"; its metrics: the {workers} ports of 127.0.0.1 from {port} on"
