"""``audiomem worker``: does the jobs of servers."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(
    files: Annotated[
        list[str], typer.Argument(help="Tables; each is called like its file.", metavar="FILE...")
    ],
    queue: Annotated[
        str, typer.Option(envvar="AUDIOMEM_QUEUE", help="Where the jobs come from: amqp://… or redis://….")
    ],
    threads: Annotated[int, typer.Option(help="Jobs at the same time.", min=1, max=64)] = 1,
    redeliver_after: Annotated[
        float, typer.Option(help="Seconds after which Redis delivers the job of a lost worker.", min=1)
    ] = 60,
) -> int:
    """Do the jobs that `audiomem serve --queue` is asked for, until SIGTERM. What runs then is done first.

    A worker that is killed leaves its job to another one, which adds nothing twice.
    """
    import logging

    from audiomem_sql.columns.table_names import table_name
    from audiomem_sql.errors import OptionError
    from audiomem_sql.jobs.celery_queue import application
    from audiomem_sql.jobs.queue import check_url
    from audiomem_sql.machine.file_names import absolute

    check_url(queue)
    application(queue)
    from audiomem_sql.jobs.celery_worker import run

    logging.basicConfig(format="%(levelname)s %(name)s %(message)s", level=logging.WARNING)
    places = {table_name(file, remedy="Make a link with another name."): absolute(file) for file in files}
    if len(places) < len(files):
        raise OptionError("two of the tables have one name", remedy="Rename one of them.")
    return run(queue, places, threads, redeliver_after)
