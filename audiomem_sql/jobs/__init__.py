"""Long work on a table in the background: ingest, reembed, vacuum, scrub, reshard (docs/JOBS.md).

``kinds`` has what is done, ``performing`` does it, here (``local``, each job in a process of its own) or in
a worker of Celery (``celery_queue``, ``celery_worker``). ``records`` remembers what became of it.
"""
