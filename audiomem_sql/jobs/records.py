"""What is known of jobs, in a SQLite database in a folder of its own, so that it outlives the server.

A server has a lock of its own in the folder for as long as it runs. Where a server is gone, what ran in it
was interrupted, and is told so; what waited in it waits for whoever comes next.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields, replace
from typing import Any

import apsw

from audiomem_sql.errors import LimitError
from audiomem_sql.jobs.job import ALIVE, Job, Outcome
from audiomem_sql.machine.durable import storage_error

DATABASE = "jobs.sqlite"
#: Jobs that ended and are remembered.
KEPT = 1000
#: Jobs that wait, and bytes of their arguments.
MOST_WAITING = 100
MOST_BYTES = 256 << 20
_COLUMNS = [field.name for field in fields(Job)]
_JSON = ("arguments", "result", "problem")
_TYPES = {"created": "REAL", "started": "REAL", "ended": "REAL", "progress": "REAL", "cancelling": "INTEGER"}


class Records:
    """The jobs in ``folder``, which is made for the first one; None: in memory. Safe to use from threads.

    remote: somebody else works on them, who tells (:meth:`tell`) what becomes of them.
    """

    def __init__(self, folder: str | None, *, remote: bool = False) -> None:
        self.folder = folder
        self._remote = remote
        #: This server's name among those that use the folder, and on queues.
        self.owner = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._database: apsw.Connection | None = None
        self._own_lock: int | None = None
        if folder is None or os.path.isdir(folder):
            self._opened()

    # -- jobs ------------------------------------------------------------------------------------------------

    def add(self, job: Job) -> Job:
        """Remember a job that waits; that with the same input instead, if it is still to end.

        LimitError if too many are waiting.
        """
        with self._lock:
            database = self._opened()
            with database:
                alive = "digest = ? AND state IN ('queued', 'running') AND NOT cancelling"
                same = self._select(alive, job.digest)
                if not same:
                    self._check_room(database, job)
                    self._put(job)
                    self._forget()
        return same[0] if same else job

    def _check_room(self, database: apsw.Connection, job: Job) -> None:
        waiting = "FROM jobs WHERE state = 'queued'"
        count = database.execute(f"SELECT count(*) {waiting}").get
        size = database.execute(f"SELECT coalesce(sum(length(arguments)), 0) {waiting}").get
        if count >= MOST_WAITING or size + len(json.dumps(job.arguments)) > MOST_BYTES:
            raise LimitError("too many jobs are waiting", remedy="Come again when some of them are done.")

    def known(self, job: Job) -> None:
        """Remember a job of another server, unless it is remembered already."""
        with self._lock, self._opened():
            if self.get(job.id) is None:
                self._put(job)
                self._forget()

    def get(self, job_id: str) -> Job | None:
        """A job; None if it is not remembered."""
        with self._lock:
            found = self._select("id = ?", job_id) if self._database is not None else []
            return found[0] if found else None

    def listed(self, tables: Collection[str], limit: int, state: str | None = None) -> list[Job]:
        """The newest jobs of ``tables``, at most ``limit``."""
        with self._lock:
            if self._database is None or not tables:
                return []
            marks = ", ".join("?" * len(tables))
            wanted = "" if state is None else " AND state = ?"
            more = () if state is None else (state,)
            return self._select(f"[table] IN ({marks}){wanted}", *tables, *more, limit=limit)

    def next(self, busy: Collection[tuple[str, bool]], is_writing: Callable[[Job], bool]) -> Job | None:
        """Begin the oldest job that waits here, whose table no other that writes is working on."""
        with self._lock:
            if self._database is None:
                return None
            waiting = "SELECT id FROM jobs WHERE state = 'queued' AND owner = ? ORDER BY created, rowid"
            for row in self._database.execute(waiting, (self.owner,)).fetchall():
                job = self.get(str(row[0]))
                if job is not None and not (is_writing(job) and (job.table, True) in busy):
                    return self.change(job.id, state="running", started=time.time(), stage="starting")
            return None

    def change(self, job_id: str, **changes: Any) -> Job | None:
        """Change what is known of a job; the job, None if it is not remembered."""
        with self._lock:
            job = self.get(job_id)
            if job is None:
                return None
            changed = replace(job, **changes)
            said = ", ".join(f"[{name}] = ?" for name in changes)
            values = [_stored(name, getattr(changed, name)) for name in changes]
            with self._opened() as database:
                database.execute(f"UPDATE jobs SET {said} WHERE id = ?", [*values, job_id])
            return changed

    def end(self, job_id: str, outcome: Outcome) -> Job | None:
        """A job ended so. The arguments of one that is done are forgotten: it is not done again."""
        changes: dict[str, Any] = {
            "state": outcome.state,
            "result": outcome.result,
            "problem": outcome.problem,
            "ended": time.time(),
            "stage": outcome.state,
            "cancelling": False,
        }
        if outcome.state == "done":
            changes |= {"progress": 1.0, "arguments": {}}
        return self.change(job_id, **changes)

    def waiting(self) -> int:
        """How many wait."""
        with self._lock:
            if self._database is None:
                return 0
            return int(self._database.execute("SELECT count(*) FROM jobs WHERE state = 'queued'").get)

    @property
    def name(self) -> str:
        """What the folder is called on queues: the same for every server that uses it."""
        if self.folder is None:
            return self.owner
        path = os.path.join(self.folder, "name")
        with self._lock:
            self._opened()
            if not os.path.exists(path):
                with open(path, "x", encoding="ascii") as file:
                    file.write(self.owner)
            with open(path, encoding="ascii") as file:
                return file.read()

    def close(self) -> None:
        """Close the database; what waits here waits for whoever comes next."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()
            if self._own_lock is not None and self.folder is not None:
                os.unlink(self._own_path())
                os.close(self._own_lock)
                self._own_lock = None

    # -- the database ----------------------------------------------------------------------------------------

    def _opened(self) -> apsw.Connection:
        if self._database is None:
            if self.folder is not None:
                try:
                    os.makedirs(self.folder, mode=0o700, exist_ok=True)
                    self._own_lock = _locked(self._own_path())
                except OSError as error:
                    raise storage_error(error, self.folder) from error
            place = ":memory:" if self.folder is None else os.path.join(self.folder, DATABASE)
            database = apsw.Connection(place)
            database.set_busy_timeout(10_000)
            columns = ", ".join(f"[{name}] {_TYPES.get(name, 'TEXT')}" for name in _COLUMNS)
            database.execute(
                f"CREATE TABLE IF NOT EXISTS jobs ({columns}, owner TEXT, PRIMARY KEY (id)) STRICT"
            )
            self._database = database
            self._adopt()
        return self._database

    def _own_path(self) -> str:
        return os.path.join(self.folder or "", f"{self.owner}.lock")

    def _adopt(self) -> None:
        """Tell the truth of jobs of servers that are gone, and take over what waited in them."""
        if self.folder is None or self._remote:
            return
        gone = [
            name.removesuffix(".lock")
            for name in os.listdir(self.folder)
            if name.endswith(".lock") and self._is_gone(os.path.join(self.folder, name))
        ]
        with self._opened() as database:
            for owner in {row[0] for row in database.execute("SELECT DISTINCT owner FROM jobs")}:
                if owner == self.owner or (owner not in gone and os.path.exists(self._path_of(owner))):
                    continue
                database.execute(
                    "UPDATE jobs SET state = 'interrupted', stage = 'interrupted', ended = ?, cancelling = 0 "
                    "WHERE owner = ? AND state = 'running'",
                    (time.time(), owner),
                )
                database.execute(
                    "UPDATE jobs SET owner = ? WHERE owner = ? AND state = 'queued'", (self.owner, owner)
                )
        for owner in gone:
            os.unlink(self._path_of(owner))

    def _path_of(self, owner: str) -> str:
        return os.path.join(self.folder or "", f"{owner}.lock")

    def _is_gone(self, path: str) -> bool:
        if path == self._own_path():
            return False
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(handle)
        return True

    def _put(self, job: Job) -> None:
        values = [_stored(name, getattr(job, name)) for name in _COLUMNS]
        names = ", ".join(f"[{name}]" for name in _COLUMNS)
        marks = ", ".join("?" * (len(values) + 1))
        self._opened().execute(f"INSERT INTO jobs ({names}, owner) VALUES ({marks})", [*values, self.owner])

    def _select(self, condition: str, *values: Any, limit: int = -1) -> list[Job]:
        return _select(self._opened(), condition, *values, limit=limit)

    def _forget(self) -> None:
        self._opened().execute(
            "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state NOT IN ('queued', 'running') "
            "ORDER BY ended DESC LIMIT -1 OFFSET ?)",
            (KEPT,),
        )


def listed_in(folder: str, limit: int) -> list[Job]:
    """The newest jobs that ``folder`` knows, for who only looks."""
    database = apsw.Connection(os.path.join(folder, DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        database.set_busy_timeout(10_000)
        return _select(database, "true", limit=limit)
    finally:
        database.close()


def _select(database: apsw.Connection, condition: str, *values: Any, limit: int = -1) -> list[Job]:
    names = ", ".join(f"[{name}]" for name in _COLUMNS)
    found = database.execute(
        f"SELECT {names} FROM jobs WHERE {condition} ORDER BY created DESC, rowid DESC LIMIT ?",
        [*values, limit],
    )
    return [_job(row) for row in found.fetchall()]


def _locked(path: str) -> int:
    """A handle of the file at ``path``, which is made, and locked for as long as the handle is open."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            if os.stat(path).st_ino == os.fstat(handle).st_ino:
                return handle
        except FileNotFoundError:
            pass  # another server took it for that of one that is gone, in this moment
        os.close(handle)


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    values["cancelling"] = bool(values["cancelling"])
    return Job(**values)


def _stored(name: str, value: Any) -> Any:
    if name in _JSON:
        return None if value is None else json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def is_alive(job: Job) -> bool:
    """Whether it is still to end."""
    return job.state in ALIVE
