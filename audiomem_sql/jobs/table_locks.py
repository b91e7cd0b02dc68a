"""Locks of tables between workers, so that one that writes is worked on at a time for each table.

The broker has them: RabbitMQ as an exclusive queue, which is gone with the connection of whose it is; Redis
as a key that is over unless it is kept. Without its lock a job is still right, since the table has locks of
its own; two at a time would only wait for each other there.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from audiomem_sql.jobs.celery_queue import is_redis

#: Seconds between two attempts; and those after which a lock that is not kept is over.
_PAUSE = 0.25
_OVER = 15.0


class TableLock(Protocol):
    """A lock."""

    def take(self) -> bool:
        """Whether it is ours now."""
        ...

    def keep(self) -> None:
        """It is still wanted."""
        ...

    def give_back(self) -> None:
        """It is not."""
        ...


class RabbitLock:
    """An exclusive queue."""

    def __init__(self, app: Any, table: str) -> None:
        self._connection = app.connection_for_write(heartbeat=_OVER)
        self._name = f"audiomem.lock.{table}"

    def take(self) -> bool:
        """Declare the queue."""
        from amqp.exceptions import ResourceLocked

        channel = self._connection.channel()
        try:
            channel.queue_declare(self._name, exclusive=True, auto_delete=True)
        except ResourceLocked:
            return False
        return True

    def keep(self) -> None:
        """Send the heartbeat."""
        self._connection.heartbeat_check()

    def give_back(self) -> None:
        """Close the connection."""
        self._connection.release()


class RedisLock:
    """A key with a time."""

    def __init__(self, app: Any, table: str) -> None:
        import redis

        self._client = redis.Redis.from_url(app.conf.broker_url, socket_timeout=5)
        self._lock = self._client.lock(f"audiomem:lock:{table}", timeout=_OVER, thread_local=False)

    def take(self) -> bool:
        """Set the key unless it is there."""
        return bool(self._lock.acquire(blocking=False, token=secrets.token_hex(8)))

    def keep(self) -> None:
        """Set its time anew."""
        self._lock.reacquire()

    def give_back(self) -> None:
        """Delete it, if it is ours."""
        try:
            if self._lock.owned():
                self._lock.release()
        finally:
            self._client.close()


@contextmanager
def locked(
    app: Any, table: str, ended: Callable[[], str | None], waits: Callable[[], None]
) -> Iterator[None]:
    """Have the lock of a table meanwhile.

    ended: why it is not waited for any longer. waits: called if it is waited for.
    """
    lock: TableLock = RedisLock(app, table) if is_redis(app.conf.broker_url) else RabbitLock(app, table)
    over, told = threading.Event(), False
    keeper = threading.Thread(target=_keep, args=(lock, over), daemon=True)
    try:
        while not lock.take() and ended() is None:
            if not told:
                waits()
                told = True
            over.wait(_PAUSE)
            lock_kept = getattr(lock, "_connection", None)
            if lock_kept is not None:
                lock.keep()
        keeper.start()
        yield
    finally:
        over.set()
        if keeper.ident is not None:
            keeper.join()
        lock.give_back()


def _keep(lock: TableLock, over: threading.Event) -> None:
    while not over.wait(_OVER / 5):
        try:
            lock.keep()
        except Exception:  # it is lost: the table's own locks are left
            return
