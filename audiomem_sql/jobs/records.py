"""What is known of jobs, in a SQLite database in a folder of its own, so that it outlives the server.

A server has a lock of its own in the folder for as long as it runs. Where a server is gone, what ran in it
was interrupted, and is told so; what waited in it waits for whoever comes next.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import apsw

from audiomem_sql.errors import LimitError
from audiomem_sql.jobs.job import ALIVE, Job, Outcome, writes
from audiomem_sql.machine.durable import storage_error

DATABASE = "jobs.sqlite"
#: Jobs that ended and are remembered.
KEPT = 1000
#: Jobs that wait, and bytes of their arguments.
MOST_WAITING = 100
MOST_BYTES = 256 << 20
#: Bytes of the arguments of jobs that ended, of which the newest are kept, so that they are done again.
MOST_ENDED_BYTES = 256 << 20
#: Those that are read; arguments, which may be long, come last and are read for who needs them.
_COLUMNS = [field.name for field in fields(Job) if field.name != "arguments"]
_JSON = ("result", "problem", "arguments")
_NAMES = ", ".join(f"[{name}]" for name in _COLUMNS)
_ALIVE = ", ".join(f"'{state}'" for state in ALIVE)
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
        with self._changing() as database:
            alive = f"digest = ? AND state IN ({_ALIVE}) AND NOT cancelling"
            same = _select(database, alive, job.digest)
            if same:
                return replace(same[0], arguments=job.arguments)
            _check_room(database, job)
            self._put(database, job)
            _forget(database)
        return job

    def known(self, job: Job) -> None:
        """Remember a job of another server, of which perhaps a worker told already."""
        with self._changing() as database:
            self._put(database, job)
            database.execute(
                "UPDATE jobs SET created = ?, token = ? WHERE id = ? AND token IS NULL",
                (job.created, job.token, job.id),
            )
            _forget(database)

    def get(self, job_id: str) -> Job | None:
        """A job, without its arguments; None if it is not remembered."""
        with self._lock:
            found = [] if self._database is None else _select(self._database, "id = ?", job_id)
            return found[0] if found else None

    def with_arguments(self, job: Job) -> Job:
        """A job with its arguments, as far as they are kept here."""
        with self._lock:
            database = self._opened()
            text = database.execute("SELECT arguments FROM jobs WHERE id = ?", (job.id,)).get
        return replace(job, arguments=None if text is None else json.loads(text))

    def listed(self, tables: Collection[str], limit: int, state: str | None = None) -> list[Job]:
        """The newest jobs of ``tables``, at most ``limit``."""
        with self._lock:
            if self._database is None or not tables:
                return []
            marks = ", ".join("?" * len(tables))
            wanted = "" if state is None else " AND state = ?"
            more = () if state is None else (state,)
            return _select(self._database, f"[table] IN ({marks}){wanted}", *tables, *more, limit=limit)

    def next(self) -> Job | None:
        """Begin the oldest job that waits here, whose table no other that writes is working on.

        Of servers that use the folder, too; what those do that are gone by now is taken over.
        """
        if not self.waiting():
            return None
        self._adopt()
        with self._changing() as database:
            free = (
                "state = 'queued' AND owner = ? AND NOT (writing AND EXISTS (SELECT 1 FROM jobs AS other "
                "WHERE other.[table] = jobs.[table] AND other.state = 'running' AND other.writing))"
            )
            found = database.execute(
                f"SELECT id FROM jobs WHERE {free} ORDER BY created, rowid LIMIT 1", (self.owner,)
            ).get
            if found is None:
                return None
            job = self._change(
                database, found, ("queued",), state="running", started=time.time(), stage="starting"
            )
        return None if job is None else self.with_arguments(job)

    def change(self, job_id: str, states: Collection[str] = ALIVE, **changes: Any) -> Job | None:
        """Change what is known of a job that is in one of ``states``; the job, None if there is none."""
        with self._changing() as database:
            return self._change(database, job_id, states, **changes)

    def end(self, job_id: str, outcome: Outcome, states: Collection[str] = ALIVE) -> Job | None:
        """A job in one of ``states`` ended so; the job, None if there is none.

        The arguments of one that is done are forgotten: it is not done again.
        """
        changes: dict[str, Any] = {
            "state": outcome.state,
            "result": outcome.result,
            "problem": outcome.problem,
            "ended": time.time(),
            "stage": outcome.state,
            "cancelling": False,
        }
        if outcome.state == "done":
            changes |= {"progress": 1.0, "arguments": None}
        return self.change(job_id, states, **changes)

    def waiting(self) -> int:
        """How many wait for this server."""
        with self._lock:
            if self._database is None:
                return 0
            count = "SELECT count(*) FROM jobs WHERE state = 'queued' AND owner = ?"
            return int(self._database.execute(count, (self.owner,)).get)

    def cancelling(self) -> list[str]:
        """The ids of jobs that run in this server and are to end, whoever said so."""
        with self._lock:
            if self._database is None:
                return []
            told = "SELECT id FROM jobs WHERE state = 'running' AND owner = ? AND cancelling"
            return [str(row[0]) for row in self._database.execute(told, (self.owner,)).fetchall()]

    @property
    def name(self) -> str:
        """What the folder is called on queues: the same for every server that uses it."""
        with self._changing() as database:
            database.execute("INSERT OR IGNORE INTO folder_name VALUES (1, ?)", (self.owner,))
            return str(database.execute("SELECT name FROM folder_name").get)

    def close(self) -> None:
        """Close the database; what waits here waits for whoever comes next."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()
            if self._own_lock is not None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path_of(self.owner))
                os.close(self._own_lock)
                self._own_lock = None

    # -- the database ----------------------------------------------------------------------------------------

    def _opened(self) -> apsw.Connection:
        if self._database is None:
            if self.folder is not None and self._own_lock is None:
                try:
                    os.makedirs(self.folder, mode=0o700, exist_ok=True)
                    self._own_lock = _locked(self._path_of(self.owner))
                except OSError as error:
                    raise storage_error(error, self.folder) from error
            place = ":memory:" if self.folder is None else os.path.join(self.folder, DATABASE)
            database = apsw.Connection(place)
            try:
                database.set_busy_timeout(10_000)
                with _immediate(database):
                    _make(database)
            except BaseException:
                database.close()
                raise
            self._database = database
            self._adopt()
        return self._database

    @contextlib.contextmanager
    def _changing(self) -> Iterator[apsw.Connection]:
        """The database, which nobody else changes meanwhile."""
        with self._lock, _immediate(self._opened()) as database:
            yield database

    def _change(
        self, database: apsw.Connection, job_id: str, states: Collection[str], **changes: Any
    ) -> Job | None:
        said = ", ".join(f"[{name}] = ?" for name in changes)
        marks = ", ".join("?" * len(states))
        values = [_stored(name, value) for name, value in changes.items()]
        found = database.execute(
            f"UPDATE jobs SET {said} WHERE id = ? AND state IN ({marks}) RETURNING {_NAMES}",
            [*values, job_id, *states],
        ).fetchall()
        return _job(found[0]) if found else None

    def _put(self, database: apsw.Connection, job: Job) -> None:
        """Store a job, unless it is there."""
        given = {name: _stored(name, getattr(job, name)) for name in [*_COLUMNS, "arguments"]}
        given |= {"owner": self.owner, "writing": int(writes(job.kind, job.arguments or {}))}
        names, marks = ", ".join(f"[{name}]" for name in given), ", ".join("?" * len(given))
        database.execute(f"INSERT OR IGNORE INTO jobs ({names}) VALUES ({marks})", list(given.values()))

    # -- other servers ---------------------------------------------------------------------------------------

    def _adopt(self) -> None:
        """Tell the truth of jobs of servers that are gone, and take over what waited in them."""
        if self.folder is None or self._remote:
            return
        with contextlib.ExitStack() as stack, self._changing() as database:
            gone = set()
            for name in os.listdir(self.folder):
                owner = name.removesuffix(".lock")
                if owner not in (name, self.owner) and stack.enter_context(_taken(self._path_of(owner))):
                    gone.add(owner)
            for row in database.execute("SELECT DISTINCT owner FROM jobs").fetchall():
                owner = str(row[0])
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

    def _path_of(self, owner: str) -> str:
        return os.path.join(self.folder or "", f"{owner}.lock")


def listed_in(folder: str, limit: int) -> list[Job]:
    """The newest jobs that ``folder`` knows, for who only looks."""
    database = apsw.Connection(os.path.join(folder, DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        database.set_busy_timeout(10_000)
        return _select(database, "true", limit=limit)
    finally:
        database.close()


@contextlib.contextmanager
def _immediate(database: apsw.Connection) -> Iterator[apsw.Connection]:
    """A transaction that has the right to write from its beginning, so that what it reads stays so."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _make(database: apsw.Connection) -> None:
    """Make the tables that are not there."""
    columns = ", ".join(f"[{name}] {_TYPES.get(name, 'TEXT')}" for name in _COLUMNS)
    database.execute(
        f"CREATE TABLE IF NOT EXISTS jobs ({columns}, owner TEXT, writing INTEGER NOT NULL DEFAULT 1, "
        "arguments TEXT, PRIMARY KEY (id)) STRICT"
    )
    if not any(row[1] == "writing" for row in database.execute("PRAGMA table_info(jobs)").fetchall()):
        database.execute("ALTER TABLE jobs ADD COLUMN writing INTEGER NOT NULL DEFAULT 1")
    database.execute("CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, owner)")
    database.execute("CREATE TABLE IF NOT EXISTS folder_name (one INTEGER PRIMARY KEY, name TEXT) STRICT")


def _select(database: apsw.Connection, condition: str, *values: Any, limit: int = -1) -> list[Job]:
    found = database.execute(
        f"SELECT {_NAMES} FROM jobs WHERE {condition} ORDER BY created DESC, rowid DESC LIMIT ?",
        [*values, limit],
    )
    return [_job(row) for row in found.fetchall()]


def _check_room(database: apsw.Connection, job: Job) -> None:
    waiting = "FROM jobs WHERE state = 'queued'"
    count = database.execute(f"SELECT count(*) {waiting}").get
    size = database.execute(f"SELECT coalesce(sum(octet_length(arguments)), 0) {waiting}").get
    if count >= MOST_WAITING or size + len(json.dumps(job.arguments)) > MOST_BYTES:
        raise LimitError("too many jobs are waiting", remedy="Come again when some of them are done.")


def _forget(database: apsw.Connection) -> None:
    """Forget the oldest jobs that ended, and before that their arguments."""
    ended = f"FROM jobs WHERE state NOT IN ({_ALIVE})"
    database.execute(
        f"DELETE FROM jobs WHERE id IN (SELECT id {ended} ORDER BY ended DESC LIMIT -1 OFFSET ?)", (KEPT,)
    )
    sizes = f"SELECT id, sum(octet_length(arguments)) OVER (ORDER BY ended DESC, id) AS size {ended}"
    database.execute(
        f"UPDATE jobs SET arguments = NULL WHERE arguments IS NOT NULL AND id IN (SELECT id FROM ({sizes}) "
        "WHERE size > ?)",
        (MOST_ENDED_BYTES,),
    )


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


@contextlib.contextmanager
def _taken(path: str) -> Iterator[bool]:
    """Whether the lock at ``path`` is that of a server that is gone. It is ours meanwhile, and gone then."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        is_gone = _is_free(path, handle)
        yield is_gone
        if is_gone:
            os.unlink(path)
    finally:
        os.close(handle)


def _is_free(path: str, handle: int) -> bool:
    """Take the lock, if nobody has it and the file is still that at ``path``."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.stat(path).st_ino == os.fstat(handle).st_ino
    except OSError:
        return False


def _job(row: Sequence[Any]) -> Job:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name in ("result", "problem"):
        values[name] = None if values[name] is None else json.loads(values[name])
    values["cancelling"] = bool(values["cancelling"])
    return Job(**values, arguments=None)


def _stored(name: str, value: Any) -> Any:
    if name in _JSON:
        return None if value is None else json.dumps(value)
    return int(value) if isinstance(value, bool) else value


def is_alive(job: Job) -> bool:
    """Whether it is still to end."""
    return job.state in ALIVE
