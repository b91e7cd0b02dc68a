"""Jobs in this process's charge: some threads, each of which has them done by a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from audiomem_sql.jobs.job import Job, Outcome
from audiomem_sql.jobs.kinds import writes
from audiomem_sql.jobs.records import Records

#: Jobs that run at the same time.
_THREADS = 2
#: Seconds in which a process ends cleanly, once it is told to.
_GRACE = 8.0
#: Seconds without a job after which a process is ended.
_IDLE = 60.0
_COMMAND = [sys.executable, "-m", "audiomem_sql.jobs.child"]


def _is_writing(job: Job) -> bool:
    return writes(job.kind, job.arguments)


class LocalQueue:
    """See :class:`~audiomem_sql.jobs.queue.Queue`. One job that writes is worked on at a time for each table.

    The threads begin with the first job.
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
        self._busy: set[tuple[str, bool]] = set()
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
            now = self.records.get(job.id)
            if now is None or now.state not in ("queued", "running"):
                return now
            if now.state == "queued":
                now = self.records.end(job.id, Outcome("cancelled"))
            else:
                now = self.records.change(job.id, cancelling=True)
                process = self._running.get(job.id)
                if process is not None:
                    _say(process, f"cancel {job.id}\n")
        if now is not None and now.state == "cancelled":
            self._changed(now)
        return now

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
            while not self._closing and len(self._threads) < _THREADS:
                thread = threading.Thread(target=self._work, name="audiomem-jobs", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._wake.notify_all()

    def _work(self) -> None:
        while True:
            with self._wake:
                job = None
                while not self._closing:
                    job = self.records.next(self._busy, _is_writing)
                    if job is not None:
                        break
                    if not self._wake.wait(_IDLE):
                        self._end_process()
                if job is None:
                    self._end_process()
                    return
                lock = (job.table, _is_writing(job))
                self._busy.add(lock)
            try:
                self._changed(job)
                self._ended(job, self._outcome(job))
            finally:
                with self._wake:
                    self._busy.discard(lock)
                    self._wake.notify_all()

    def _ended(self, job: Job, outcome: Outcome) -> None:
        ended = self.records.end(job.id, outcome)
        if ended is not None:
            self._changed(ended)

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
            "arguments": dict(job.arguments),
        }
        _say(process, json.dumps(order) + "\n")
        with self._wake:
            self._running[job.id] = process
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
            now = self.records.change(job.id, progress=said["progress"], stage=said["stage"])
            if now is not None:
                self._changed(now)
        now = self.records.get(job.id)
        detail = "the process that did the job was ended from outside"
        if now is not None and now.cancelling:
            return Outcome("cancelled")
        return Outcome("interrupted", problem=_problem("InterruptError", detail))


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except OSError:
        return  # it has ended


def _problem(kind: str, detail: str) -> dict[str, str]:
    return {"kind": kind, "detail": detail}
