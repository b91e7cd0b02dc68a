"""Changes of tables, as they are committed: who waits for them is told, and other servers are.

What is told is only that there is something to see; it is seen in the table itself. So nothing is wrong, only
later, while Redis is away: then the tables that somebody waits for are looked at now and then.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from audiomem_sql.errors import AudioMemError, MissingExtraError, OptionError
from audiomem_sql.serve.served_table import ServedTable

LOGGER = logging.getLogger("audiomem.serve")
#: Seconds between two looks at a table that somebody waits for.
POLL = 1.0
#: Where servers tell each other.
CHANNEL = "audiomem:changes"
#: Seconds that Redis has for an answer, and until it is tried again.
_TIMEOUT = 2.0

Told = Callable[[int], None]


class Changes:
    """Changes of ``tables``; ``url``: of a Redis that carries them between servers.

    OptionError for what is no such address, MissingExtraError without the package.
    """

    def __init__(self, tables: Mapping[str, ServedTable], url: str | None = None) -> None:
        self._tables = tables
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._waiting: dict[str, list[Told]] = {}
        self._known: dict[str, int] = {}
        self._told: dict[str, int] = {}  # what the other servers know
        self._to_see: dict[tuple[str, bool], None] = {}  # tables, and whether it was committed here
        self._thread: threading.Thread | None = None
        self._closing = False
        self._redis = None if url is None else RedisChannel(url, self._heard)

    def subscribe(self, table: str, tell: Told) -> Callable[[], None]:
        """Have ``tell`` called with the newest version of a table, from a thread, after each change of it.

        Versions in between may be left out. What ends it. KeyError for a table that is not served.
        """
        version = self._tables[table].look()
        with self._lock:
            self._known[table] = max(version, self._known.get(table, 0))
            self._waiting.setdefault(table, []).append(tell)
        self._begin()

        def end() -> None:
            with self._lock, contextlib.suppress(ValueError):
                self._waiting[table].remove(tell)

        return end

    def look(self, table: str) -> None:
        """Something may have been committed here: it is looked for, and told to all who wait for it.

        Nothing for a table that is not served here.
        """
        if table in self._tables and (self._redis is not None or self._waiting.get(table)):
            self._begin()
            self._note(table, is_own=True)

    def _note(self, table: str, *, is_own: bool) -> None:
        with self._wake:
            self._to_see[table, is_own] = None
            self._wake.notify()

    def close(self) -> None:
        """Nobody is told any more."""
        with self._lock:
            self._closing = True
            thread, self._thread = self._thread, None
            self._wake.notify()
        if self._redis is not None:
            self._redis.close()
        if thread is not None:
            thread.join()

    def _heard(self, table: str | None, version: int = 0) -> None:
        """Another server told of a table; None: some may have told while nobody listened."""
        self._begin()
        for name in self._tables if table is None else (table,):
            if name in self._tables:
                with self._lock:
                    self._told[name] = max(version, self._told.get(name, 0))
                self._note(name, is_own=False)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._run, name="audiomem-changes", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        due = time.monotonic() + POLL
        while True:
            with self._wake:
                while not self._to_see and not self._closing and time.monotonic() < due:
                    self._wake.wait(due - time.monotonic())
                if self._closing and not self._to_see:
                    return
                found, self._to_see = list(self._to_see), {}
                if not found:
                    due = time.monotonic() + POLL
                    found = [(name, True) for name, waiting in self._waiting.items() if waiting]
            for table, is_own in found:
                try:
                    self._see(table, is_own=is_own)
                except Exception:  # it must not keep other changes from being seen
                    LOGGER.exception("a change of %s", table)

    def _see(self, table: str, *, is_own: bool) -> None:
        try:
            version = self._tables[table].look()
        except (AudioMemError, OSError):
            return  # whoever reads it is told
        with self._lock:
            is_told = not is_own or version <= self._told.get(table, 0)
            if not is_told:
                self._told[table] = version
            is_new = version > self._known.get(table, 0)
            self._known[table] = max(version, self._known.get(table, 0))
            waiting = list(self._waiting.get(table, ())) if is_new else []
        if self._redis is not None and not is_told:  # also what was seen before it was looked for
            self._redis.tell(table, version)
        for tell in waiting:
            try:
                tell(version)
            except Exception:  # it must not keep the others from being told
                LOGGER.exception("a change of %s", table)


class RedisChannel:
    """Tells other servers by Redis's Pub/Sub, and hears them.

    heard: called with the name of a table and its version. Its thread goes on when Redis is back; then, and
    at first, ``heard`` is called with None.
    """

    def __init__(self, url: str, heard: Callable[..., None]) -> None:
        if not url.startswith(("redis://", "rediss://")):
            raise OptionError("changes are carried by a Redis", remedy="Write --changes redis://host:6379/0.")
        try:
            import redis
        except ImportError:
            raise MissingExtraError(
                "carrying changes between servers needs the package redis",
                remedy="Install it with: pip install 'audiomem-sql[redis]'",
            ) from None
        self._errors: Any = (redis.RedisError, OSError)
        try:
            self._client = redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, health_check_interval=10
            )
        except ValueError as error:
            raise OptionError("this is no address of a Redis", remedy=str(error)) from None
        self._heard = heard
        self._name = secrets.token_hex(8)
        self._closing = threading.Event()
        self._is_there = True
        self._thread = threading.Thread(target=self._listen, name="audiomem-redis", daemon=True)
        self._thread.start()

    def tell(self, table: str, version: int) -> None:
        """Tell the others. Nothing where Redis is away: they look for themselves."""
        message = json.dumps({"server": self._name, "table": table, "version": version})
        try:
            self._client.publish(CHANNEL, message)
        except self._errors as error:
            self._away(error)

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._thread.join()
        with contextlib.suppress(*self._errors):
            self._client.close()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                with self._client.pubsub(ignore_subscribe_messages=False) as channel:
                    channel.subscribe(CHANNEL)
                    while not self._closing.is_set():
                        self._took(channel.get_message(timeout=0.2))
            except self._errors as error:
                self._away(error)
                self._closing.wait(_TIMEOUT / 2)

    def _took(self, message: Mapping[str, Any] | None) -> None:
        if message is None:
            return
        if message["type"] == "subscribe":
            if not self._is_there:
                LOGGER.warning("Redis carries changes between servers again")
            self._is_there = True
            self._heard(None)
        elif message["type"] == "message":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                said = json.loads(message["data"])
                if said["server"] != self._name and isinstance(said["table"], str):
                    self._heard(said["table"], int(said["version"]))

    def _away(self, error: Exception) -> None:
        if self._is_there:
            self._is_there = False
            LOGGER.warning("Redis is away, changes of other servers are looked for: %s", type(error).__name__)
