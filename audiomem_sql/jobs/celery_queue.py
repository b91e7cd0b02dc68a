"""Jobs that workers of Celery do, told of by messages: on RabbitMQ (``amqp://``) or Redis (``redis://``).

A job is one message, acknowledged when it is done: that of a worker that is killed is delivered again. What
becomes of jobs is told to all servers, each of which has a queue of its own for that, so that each knows all
of them, and what happened while it was away.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import MissingExtraError
from audiomem_sql.jobs.job import ALIVE, Job, Outcome, QueueAwayError
from audiomem_sql.jobs.records import Records

if TYPE_CHECKING:
    from celery import Celery

LOGGER = logging.getLogger("audiomem.jobs")
TASK = "audiomem.job"
CANCEL = "audiomem_cancel"
#: Seconds after which Redis delivers a message again whose worker is not heard of.
VISIBILITY = 60
#: Milliseconds after which RabbitMQ drops the queue of a server that does not come back, and those after
#: which it takes a worker that has not acknowledged a job for dead.
_WEEK = 7 * 24 * 3600 * 1000
#: Changes that wait for a server.
_MOST_CHANGES = 10_000
_RETRY = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 0.5}


def is_redis(url: str) -> bool:
    """Whether the queue is in a Redis."""
    return url.startswith("redis")


def application(url: str, visibility: float = VISIBILITY) -> Celery:
    """Celery, told of the queue at ``url``. MissingExtraError without the extra.

    visibility: seconds as VISIBILITY.
    """
    for package in ("celery", "redis") if is_redis(url) else ("celery",):
        try:
            import_module(package)
        except ImportError:
            raise MissingExtraError(
                f"a queue of jobs needs the package {package}",
                remedy="Install it with: pip install 'audiomem-sql[queue]'",
            ) from None
    from celery import Celery
    from kombu import Queue

    app = Celery("audiomem", broker=url, set_as_current=False)
    options: dict[str, Any] = {"confirm_publish": True}
    if is_redis(url):  # what is not heard of is looked for so often, not once in 100 seconds
        sweep = {"unacked_restore_interval": min(10.0, visibility / 2), "unacked_restore_throttle": 1}
        options = {"visibility_timeout": visibility, **sweep}
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        task_compression="gzip",
        task_default_queue="audiomem.jobs",
        task_queues=[Queue("audiomem.jobs", queue_arguments={"x-consumer-timeout": _WEEK})],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={**options, "socket_timeout": 10},
        accept_content=["json"],
    )
    return app


def broken(connection: Any) -> tuple[type[Exception], ...]:
    """What is raised where the queue cannot be reached, by the library's own retries, too."""
    from kombu.exceptions import OperationalError

    return (*connection.recoverable_connection_errors, OperationalError)


def changes_exchange() -> Any:
    """Where what becomes of jobs is told."""
    from kombu import Exchange

    return Exchange("audiomem.changes", type="direct", durable=True)


def changes_queue(server: str) -> Any:
    """The queue of a server there."""
    from kombu import Queue

    return Queue(
        f"audiomem.changes.{server}",
        changes_exchange(),
        routing_key="changes",
        durable=True,
        queue_arguments={"x-expires": _WEEK, "x-max-length": _MOST_CHANGES},
    )


class CeleryQueue:
    """See :class:`~audiomem_sql.jobs.queue.Queue`. QueueAwayError where the queue cannot be reached."""

    def __init__(self, url: str, folder: str | None, changed: Callable[[Job], None]) -> None:
        self._app = application(url)
        self.records = Records(folder, remote=True)
        self._changed = changed
        self._closing = threading.Event()
        self._queue = changes_queue(self.records.name)
        self._broken = broken(self._app.connection())
        try:
            with self._app.connection() as connection:
                connection.ensure_connection(**_RETRY)
                self._queue.bind(connection.default_channel).declare()
        except self._broken as error:
            self.records.close()
            raise _away(error) from None
        self._thread = threading.Thread(target=self._listen, name="audiomem-jobs", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """Send it, and tell the other servers."""
        made = self.records.add(job)
        if made.id != job.id:
            return made
        said = {"id": job.id, "table": job.table, "kind": job.kind}
        try:
            with self._app.connection() as connection, connection.Producer() as producer:
                self._app.send_task(
                    TASK,
                    kwargs={**said, "arguments": dict(job.arguments or {})},
                    task_id=job.id,
                    producer=producer,
                    retry=True,
                    retry_policy=_RETRY,
                )
                self._announce(producer, job, said)
        except self._broken as error:
            self.records.end(job.id, Outcome("failed", problem=_problem()))
            raise _away(error) from None
        return made

    def _announce(self, producer: Any, job: Job, said: dict[str, Any]) -> None:
        """Tell the other servers. Where that fails, the worker of the job tells of it."""
        more = {"digest": job.digest, "created": job.created, "token": job.token}
        try:
            tell(producer, {"event": "queued", **said, **more})
        except self._broken as error:
            LOGGER.warning("other servers could not be told of a job: %s", type(error).__name__)

    def cancel(self, job: Job) -> Job | None:
        """Workers are told; a job that waits is cancelled by the one that gets it."""
        try:
            self._app.control.broadcast(CANCEL, arguments={"job": job.id})
        except self._broken as error:
            raise _away(error) from None
        return (
            self.records.end(job.id, Outcome("cancelled"), ("queued",))
            or self.records.change(job.id, ("running",), cancelling=True)
            or self.records.get(job.id)
        )

    def close(self) -> None:
        """Listen no more; the jobs go on in their workers."""
        self._closing.set()
        self._thread.join()
        self._app.close()
        self.records.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                with self._app.connection() as connection:
                    consumer = connection.Consumer(
                        [self._queue], callbacks=[self._took], accept=["json"], prefetch_count=100
                    )
                    with consumer:
                        while not self._closing.is_set():
                            self._drained(connection)
            except self._broken as error:
                LOGGER.warning("the queue of jobs is away: %s", type(error).__name__)
            except Exception:  # of the database: what is not acknowledged comes again
                LOGGER.exception("what becomes of jobs cannot be remembered")
            self._closing.wait(1.0)

    def _drained(self, connection: Any) -> None:
        try:
            connection.drain_events(timeout=0.2)
        except TimeoutError:
            connection.heartbeat_check()

    def _took(self, said: Any, message: Any) -> None:
        try:
            self._told(said)
        except (KeyError, TypeError, ValueError):
            LOGGER.warning("a message on the queue of jobs cannot be understood")
        message.ack()

    def _told(self, said: dict[str, Any]) -> None:
        event, more = said["event"], (said["created"], said["token"]) if said["event"] == "queued" else ()
        job = Job(said["id"], said["table"], said["kind"], None, said["digest"], *(more or (time.time(),)))
        if event == "running":
            change = {"state": "running", "progress": float(said["progress"]), "stage": str(said["stage"])}
            started = float(said["time"])
        elif event == "ended":
            outcome = Outcome(said["state"], said["result"], said["problem"])
        before = self.records.get(job.id)
        if before is None or event == "queued":
            self.records.known(job)
            before = before or job
        if event == "running":
            self._runs(before, {**change, "started": before.started or started})
        elif event == "ended":
            # one that this server ended may have been begun in that moment
            own = before.state == "cancelled" and before.started is None and outcome.state != "cancelled"
            self._tell(self.records.end(job.id, outcome, (*ALIVE, "cancelled") if own else ALIVE))

    def _runs(self, before: Job, change: dict[str, Any]) -> None:
        if before.state == "cancelled":  # when no worker was there
            self._app.control.broadcast(CANCEL, arguments={"job": before.id})
        else:
            self._tell(self.records.change(before.id, **change))

    def _tell(self, now: Job | None) -> None:
        if now is None:
            return
        try:
            self._changed(now)
        except Exception:
            LOGGER.exception("what became of %s of %s", now.kind, now.table)


def tell(producer: Any, said: dict[str, Any]) -> None:
    """Tell all servers what becomes of a job."""
    producer.publish(
        said,
        exchange=changes_exchange(),
        routing_key="changes",
        declare=[changes_exchange()],
        serializer="json",
        retry=True,
        retry_policy=_RETRY,
    )


def _away(error: Exception) -> QueueAwayError:
    LOGGER.warning("the queue of jobs cannot be reached: %s", error)
    return QueueAwayError(
        "the queue of jobs cannot be reached", remedy="Check that it runs, and its address."
    )


def _problem() -> dict[str, str]:
    return {"kind": "StorageError", "detail": "the queue of jobs could not be reached"}
