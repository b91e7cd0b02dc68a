"""Jobs in this process's charge: some threads, each of which has them done by a process of its own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from audiomem_sql.jobs.job import Job, Outcome
from audiomem_sql.jobs.records import Records

LOGGER = logging.getLogger("audiomem.jobs")
#: Jobs that run at the same time.
_THREADS = 2
#: Seconds in which a process ends cleanly, once it is told to.
_GRACE = 8.0
#: Seconds without a job after which a process is ended.
_IDLE = 60.0
#: Seconds between two looks at what other servers of the folder do.
_PAUSE = 1.0
_COMMAND = [sys.executable, "-m", "audiomem_sql.jobs.child"]


class LocalQueue:
    """See :class:`~audiomem_sql.jobs.queue.Queue`. One job that writes is worked on at a time for each table.

    Servers that use one folder keep to that together, and each may cancel what runs in another. The threads
    begin with the first job.
    """

    def __init__(
        self, folder: str | None, place_of: Callable[[str], str], changed: Callable[[Job], None]
    ) -> None:
        self.records = Records(folder)
        self._place_of = place_of
        self._changed = changed
        self._wake = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._own = threading.local()
        self._closing = False
        if self.records.waiting():
            self._begin()

    def submit(self, job: Job) -> Job:
        """Have it done when its turn comes."""
        made = self.records.add(job)
        self._begin()
        return made

    def cancel(self, job: Job) -> Job | None:
        """One that waits ends at once, one that runs in a moment."""
        with self._wake:
            now = self.records.end(job.id, Outcome("cancelled"), ("queued",))
            if now is None:  # another server may have begun it in this moment
                now = self.records.change(job.id, ("running",), cancelling=True)
                self._pass_on([job.id])
        if now is not None and now.state == "cancelled":
            self._tell(now)
        return now or self.records.get(job.id)

    def close(self) -> None:
        """End: what runs is interrupted at the next good place, what waits waits for the next server."""
        with self._wake:
            self._closing = True
            for process in self._running.values():
                _say(process, "interrupt\n")
            self._wake.notify_all()
        end = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._wake:
            for process in self._running.values():
                process.kill()
        for thread in self._threads:
            thread.join()
        self.records.close()

    def _begin(self) -> None:
        with self._wake:
            while not self._closing and len(self._threads) <= _THREADS:
                work = self._work if self._threads else self._watch
                thread = threading.Thread(target=work, name="audiomem-jobs", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._wake.notify_all()

    def _watch(self) -> None:
        """Have end what other servers say."""
        with self._wake:
            while not self._closing:
                self._wake.wait(_PAUSE if self._running else None)
                try:
                    self._pass_on(self.records.cancelling() if self._running else [])
                except Exception as error:
                    LOGGER.error("what is cancelled cannot be read: %s", error)

    def _pass_on(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            process = self._running.get(job_id)
            if process is not None:
                _say(process, f"cancel {job_id}\n")

    def _work(self) -> None:
        while not self._closing:
            try:
                job = self._next()
            except Exception as error:  # of the database: it goes on when that does
                LOGGER.error("the next job cannot be read: %s", error)
                self._rest()
                continue
            if job is not None:
                self._tell(job)
                self._record(job, self._done(job))
        self._end_process()

    def _next(self) -> Job | None:
        """A job, when there is one; None if there will be none."""
        idle = 0.0
        with self._wake:
            while not self._closing:
                job = self.records.next()
                if job is not None:
                    return job
                pause = _PAUSE if self.records.waiting() else _IDLE
                idle = 0.0 if self._wake.wait(pause) else idle + pause
                if idle >= _IDLE:
                    self._end_process()
        return None

    def _done(self, job: Job) -> Outcome:
        try:
            return self._outcome(job)
        except Exception as error:
            LOGGER.exception("%s of %s", job.kind, job.table)
            self._end_process()
            detail = "the server could not have the job done, which its log describes"
            return Outcome("failed", problem=_problem(type(error).__name__, detail))

    def _record(self, job: Job, outcome: Outcome) -> None:
        """Remember how it ended; while that cannot be, try again."""
        while True:
            try:
                ended = self.records.end(job.id, outcome)
                break
            except Exception as error:
                LOGGER.error("the end of a job cannot be remembered: %s", error)
                if self._closing:  # the next server says that it was interrupted
                    return
                self._rest()
        with self._wake:
            self._wake.notify_all()
        if ended is not None:
            self._tell(ended)

    def _tell(self, job: Job) -> None:
        try:
            self._changed(job)
        except Exception:
            LOGGER.exception("what became of %s of %s", job.kind, job.table)

    def _rest(self) -> None:
        with self._wake:
            if not self._closing:
                self._wake.wait(_PAUSE)

    def _outcome(self, job: Job) -> Outcome:
        try:
            place = self._place_of(job.table)
        except KeyError:
            return Outcome("failed", problem=_problem("OptionError", "the server has no such table any more"))
        process = self._process()
        order = {
            "id": job.id,
            "table": job.table,
            "place": place,
            "kind": job.kind,
            "arguments": dict(job.arguments or {}),
        }
        _say(process, json.dumps(order) + "\n")
        with self._wake:
            self._running[job.id] = process
            self._wake.notify_all()
            now = self.records.get(job.id)
            if self._closing or (now is not None and now.cancelling):
                _say(process, "interrupt\n" if self._closing else f"cancel {job.id}\n")
        try:
            return self._followed(job, process)
        finally:
            with self._wake:
                del self._running[job.id]

    def _process(self) -> subprocess.Popen[str]:
        """This thread's process, a new one if there is none."""
        known: subprocess.Popen[str] | None = getattr(self._own, "process", None)
        if known is not None and known.poll() is None:
            return known
        self._end_process()
        self._own.process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the server's terminal is for the server
        )
        made: subprocess.Popen[str] = self._own.process
        return made

    def _end_process(self) -> None:
        known: subprocess.Popen[str] | None = getattr(self._own, "process", None)
        if known is not None:
            self._own.process = None
            known.kill()  # it has nothing to do
            known.communicate()

    def _followed(self, job: Job, process: subprocess.Popen[str]) -> Outcome:
        """What the process says, until it ends. One that ended without a word was interrupted."""
        assert process.stdout is not None
        for line in process.stdout:
            try:
                said: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if "outcome" in said:
                return Outcome(**said["outcome"])
            self._goes(job, said)
        now = self.records.get(job.id)
        detail = "the process that did the job was ended from outside"
        if now is not None and now.cancelling:
            return Outcome("cancelled")
        return Outcome("interrupted", problem=_problem("InterruptError", detail))

    def _goes(self, job: Job, said: dict[str, Any]) -> None:
        try:
            now = self.records.change(job.id, progress=said["progress"], stage=said["stage"])
        except Exception as error:
            LOGGER.warning("the progress of a job cannot be remembered: %s", error)
            return
        if now is not None:
            self._tell(now)


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        return  # it has ended


def _problem(kind: str, detail: str) -> dict[str, str]:
    return {"kind": kind, "detail": detail}
