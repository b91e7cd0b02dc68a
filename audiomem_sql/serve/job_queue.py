"""The queue of the jobs of a server, what is counted of them, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audiomem_sql.columns.timestamps import render
from audiomem_sql.jobs.job import ALIVE, Job
from audiomem_sql.jobs.queue import Queue, queue_at
from audiomem_sql.machine.urls import is_url
from audiomem_sql.observe import hooks
from audiomem_sql.serve.changes import Changes
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.serve.settings import Settings


def jobs_of(settings: Settings, tables: Mapping[str, ServedTable], changes: Changes) -> Queue:
    """The queue that ``settings`` name."""

    def changed(job: Job) -> None:
        changes.look(job.table)
        count(job)

    folder = settings.jobs or next(
        (f"{table.place}-jobs" for table in tables.values() if not is_url(table.place)), None
    )
    return queue_at(settings.queue, folder, lambda name: tables[name].place, changed)


def count(job: Job) -> None:
    """Count a job that ended."""
    observer = hooks.observer
    if observer is None or job.state in ALIVE or job.ended is None:
        return
    observer.add("jobs", 1, kind=job.kind, state=job.state)
    if job.started is not None:
        observer.add("job_duration", job.ended - job.started, kind=job.kind)


def shown(job: Job) -> dict[str, Any]:
    """A job as JSON: without its arguments, which may be long."""
    return {
        "id": job.id,
        "table": job.table,
        "kind": job.kind,
        "state": job.state,
        "cancelling": job.cancelling,
        "progress": round(job.progress, 4),
        "stage": job.stage,
        "created": _time(job.created),
        "started": _time(job.started),
        "ended": _time(job.ended),
        "digest": job.digest,
        "token": job.token,
        "result": job.result,
        "problem": job.problem,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else render(int(seconds * 1e6))
