"""A worker of Celery: does the jobs that servers send."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from celery.worker.control import control_command

from audiomem_sql.jobs.celery_queue import CANCEL, TASK, VISIBILITY, application, broken, is_redis, tell
from audiomem_sql.jobs.job import Outcome, digest_of, writes
from audiomem_sql.jobs.kinds import KINDS
from audiomem_sql.jobs.performing import perform
from audiomem_sql.jobs.table_locks import locked

LOGGER = logging.getLogger("audiomem.jobs")
#: Ids of jobs that are to end.
_CANCELLED: dict[str, None] = {}
_MOST_CANCELLED = 10_000


@control_command(name=CANCEL, args=[("job", str)])  # type: ignore[untyped-decorator]
def cancel(state: Any, job: str) -> None:
    """A job is to end."""
    _CANCELLED[job] = None
    while len(_CANCELLED) > _MOST_CANCELLED:
        _CANCELLED.pop(next(iter(_CANCELLED)))


def run(url: str, places: Mapping[str, str], threads: int, visibility: float) -> int:
    """Do jobs with the tables in ``places``, by name, until SIGTERM; the exit code.

    threads: jobs at the same time. visibility: see ``celery_queue.VISIBILITY``. A job that runs when SIGTERM
    comes is done first.
    """
    app = worker_application(url, places, visibility)
    app.worker_main(
        [
            "worker",
            "--pool=threads",
            f"--concurrency={threads}",
            "--loglevel=WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
    )
    return 0


def worker_application(url: str, places: Mapping[str, str], visibility: float) -> Any:
    """Celery, with what does jobs."""
    app = application(url, visibility)

    @app.task(name=TASK, bind=True)  # type: ignore[untyped-decorator]
    def job(self: Any, id: str, table: str, kind: str, arguments: dict[str, Any]) -> None:
        with _visible(app, self.request), app.connection_for_write() as connection:
            said = {"id": id, "table": table, "kind": kind, "digest": digest_of(table, kind, arguments)}
            _Running(app, connection, said).do(places, table, kind, arguments)

    return app


class _Running:
    """A job that is worked on in this thread."""

    def __init__(self, app: Any, connection: Any, said: Mapping[str, str]) -> None:
        self._app = app
        self._said = said  # with all that is told, since a server may not know the job yet
        self._id = said["id"]
        self._producer = connection.Producer()
        self._broken = broken(connection)

    def do(self, places: Mapping[str, str], table: str, kind: str, arguments: dict[str, Any]) -> None:
        """Do it, and tell how it went."""
        if table not in places or kind not in KINDS:
            what = "table" if kind in KINDS else "kind of job"
            problem = {"kind": "OptionError", "detail": f"the worker that got the job knows no such {what}"}
            self._end(Outcome("failed", problem=problem))
            return
        self._goes(0.0, "starting")
        lock = (
            locked(self._app, table, self._ended, lambda: self._goes(0.0, "waiting for another job"))
            if writes(kind, arguments)
            else nullcontext()
        )
        with lock:
            outcome = (
                Outcome("cancelled")
                if self._ended()
                else perform(table, places[table], kind, arguments, self._goes, self._ended)
            )
        self._end(outcome)
        _CANCELLED.pop(self._id, None)

    def _ended(self) -> str | None:
        return "cancelled" if self._id in _CANCELLED else None

    def _goes(self, part: float, stage: str) -> None:
        goes = {"event": "running", "progress": part, "stage": stage, "time": time.time()}
        try:
            tell(self._producer, {**self._said, **goes})
        except self._broken:
            LOGGER.warning("the progress of a job could not be told")

    def _end(self, outcome: Outcome) -> None:
        tell(
            self._producer,
            {
                **self._said,
                "event": "ended",
                "state": outcome.state,
                "result": outcome.result,
                "problem": outcome.problem,
            },
        )


@contextmanager
def _visible(app: Any, request: Any) -> Iterator[None]:
    """Keep Redis from delivering a job again that is worked on; RabbitMQ sees that by the connection."""
    if not is_redis(app.conf.broker_url):
        yield
        return
    tag = (request.properties or {}).get("delivery_tag")
    if tag is None:
        LOGGER.error("a message of Redis has no tag: a long job may be done twice at the same time")
        yield
        return
    import redis

    over = threading.Event()
    # servers have the usual time, and look, too, for what is not heard of
    seconds = min(app.conf.broker_transport_options["visibility_timeout"], VISIBILITY) / 4
    client = redis.Redis.from_url(app.conf.broker_url, socket_timeout=5)

    def keep() -> None:
        while not over.wait(seconds):
            try:
                client.zadd("unacked_index", {tag: time.time()}, xx=True)
            except redis.RedisError:
                LOGGER.warning("Redis is away while a job is worked on")

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        client.close()
