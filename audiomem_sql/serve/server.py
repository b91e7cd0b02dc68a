"""A server that runs until it is told to end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import OptionError
from audiomem_sql.serve.application import application, check_extra
from audiomem_sql.serve.settings import Settings

if TYPE_CHECKING:
    from audiomem_sql.serve.service import Service

#: Seconds in which requests that are being answered may end.
_GRACE = 10
#: Seconds between two requests of a connection.
_KEEP_ALIVE = 5.0


class Quiet(logging.Filter):
    """Leaves out what Uvicorn says of answers that were ended on purpose; the access log has them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is said."""
        from audiomem_sql.serve.streaming import AbortedError

        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        return not isinstance(error, AbortedError) and "Invalid HTTP request" not in record.getMessage()


def configured(service: Service) -> Any:
    """The configuration of Uvicorn for a service. OptionError for a certificate that cannot be used."""
    import uvicorn

    from audiomem_sql.serve.patience import PatientProtocol
    from audiomem_sql.serve.patient_socket import MESSAGE_BYTES, PatientSocket

    settings = service.settings
    protocol: Any = type("Protocol", (PatientProtocol,), {"limits": settings.limits})
    sockets: Any = type("Sockets", (PatientSocket,), {"limits": settings.limits})
    config = uvicorn.Config(
        application(service),
        host=settings.host,
        port=settings.port,
        http=protocol,
        ws=sockets,
        ws_max_size=min(MESSAGE_BYTES, settings.limits.body_bytes),
        ws_per_message_deflate=False,  # its memory is by connection
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=min(_KEEP_ALIVE, settings.limits.header_seconds),  # type: ignore[arg-type]
        timeout_graceful_shutdown=_GRACE,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise OptionError(f"the certificate or the key cannot be used: {error}") from None
    return config


def run(
    places: Sequence[str],
    settings: Settings,
    started: Callable[[str], None],
    *,
    sockets: list[Any] | None = None,
    is_replaced: bool = False,
) -> None:
    """Serve the tables in ``places`` until SIGINT or SIGTERM. started: called with the address.

    sockets: where it listens, in the place of the address. is_replaced: another process takes its place if
    it ends, so it ends when a thread of it is stuck.

    What opening the tables raises; OptionError for a certificate or an address that cannot be used.
    """
    check_extra()
    from audiomem_sql.serve.service import Service

    with Service(places, settings) as service:
        _log_to_stderr()
        server = server_of(configured(service), started)
        if is_replaced:
            service.workers.on_stuck = lambda: _give_way(server)
        try:
            with signals_end_the_server_alone():
                server.run(sockets)
        except SystemExit:
            where = f"{settings.host}:{settings.port}"
            raise OptionError(f"nothing can listen on {where}", remedy="Choose another --port.") from None


def _give_way(server: Any) -> None:
    """End the server: requests may end, but not the thread that is stuck."""
    logging.getLogger("audiomem.serve").error("a statement cannot be interrupted; this process is replaced")
    server.should_exit = True
    end = threading.Timer(_GRACE + 2.0, os._exit, (3,))
    end.daemon = True
    end.start()


@contextlib.contextmanager
def signals_end_the_server_alone() -> Iterator[None]:
    """Uvicorn sends itself the signal again that ended it; the tables are still to be closed then."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda *_: None) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def server_of(config: Any, started: Callable[[str], None]) -> Any:
    """The server, which says where it listens."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                listening = sockets or self.servers[0].sockets
                host, port = listening[0].getsockname()[:2]
                scheme = "https" if config.is_ssl else "http"
                started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")

    return Server(config)


def _log_to_stderr() -> None:
    """The access log, and what goes wrong, as lines on stderr, unless there are other handlers."""
    logging.getLogger("uvicorn.error").addFilter(Quiet())
    if logging.getLogger().handlers or os.environ.get("AUDIOMEM_SERVE_LOG") == "off":
        return
    access = logging.getLogger("audiomem.access")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    access.propagate = False
    faults = logging.StreamHandler(sys.stderr)
    faults.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    for name in ("audiomem.serve", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.addHandler(faults)
        logger.setLevel(logging.WARNING)
        logger.propagate = False
