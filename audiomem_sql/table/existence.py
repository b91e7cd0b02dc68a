"""Whether there is a table at a path or a URL."""

from __future__ import annotations

from audiomem_sql.machine.file_names import is_there
from audiomem_sql.machine.urls import is_url
from audiomem_sql.table.reader import TableReader


def table_is_there(path: str) -> bool:
    """Whether something stands at a path, or a table at a URL, which is asked for it.

    StorageError if the store does not answer, and for a path that cannot be one.
    """
    if not is_url(path):
        return is_there(path)
    from audiomem_sql.remote import NoObjectError

    try:
        TableReader(path).close()
    except NoObjectError:
        return False
    return True
