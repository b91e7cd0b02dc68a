"""The contract of a queue of jobs, and what it remembers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from audiomem_sql.errors import OptionError
from audiomem_sql.jobs.job import Job
from audiomem_sql.jobs.records import Records


class Queue(Protocol):
    """Who has jobs done."""

    records: Records

    def submit(self, job: Job) -> Job:
        """Have a job done; that with the same input instead, if it is alive. LimitError if it is full."""
        ...

    def cancel(self, job: Job) -> Job | None:
        """Have a job end, cleanly; the job as it is then."""
        ...

    def close(self) -> None:
        """End it; what runs here is interrupted."""
        ...


def queue_at(
    url: str | None, folder: str | None, place_of: Callable[[str], str], changed: Callable[[Job], None]
) -> Queue:
    """The queue at ``url``; None: in this process.

    folder: what remembers the jobs, None for the memory. place_of: the place of the table of that name.
    changed: called with each job that went on or ended.
    """
    if url is None:
        from audiomem_sql.jobs.local import LocalQueue

        return LocalQueue(folder, place_of, changed)
    check_url(url)
    from audiomem_sql.jobs.celery_queue import CeleryQueue

    return CeleryQueue(url, folder, changed)


def check_url(url: str) -> None:
    """OptionError for what is no address of a queue."""
    if not url.startswith(("amqp://", "amqps://", "redis://", "rediss://")):
        raise OptionError("this is no address of a queue", remedy="Write amqp://host or redis://host:6379/0.")
