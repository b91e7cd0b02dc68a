"""Which session writes to a table: one for a file, for a folder of several, or for objects in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiomem_sql.errors import OptionError
from audiomem_sql.shards import ShardedFiles
from audiomem_sql.table.open_table import OpenTable
from audiomem_sql.table.session import Session
from audiomem_sql.table.sharded_session import ShardedSession

if TYPE_CHECKING:
    from audiomem_sql.table.stored_session import StoredSession

#: When an append is durable: when it returns, or some time later.
DURABILITIES = ("sync", "async")


def session_of(opened: OpenTable, busy_timeout: float, durability: str = "sync") -> Session:
    """The writing side of an open table. What writes to stores is loaded when the first one is opened.

    OptionError, and it is closed, for a durability that there is not, or not of files.
    """
    wrong = ""
    if durability not in DURABILITIES:
        wrong = f"durability is sync or async, not {durability!r}"
    elif opened.files.stored is None and durability != "sync":
        wrong = "durability=async is for tables in stores that can be written to"
    if wrong:
        opened.close()
        raise OptionError(wrong, file=opened.path)
    sharded = isinstance(opened.files, ShardedFiles)
    if opened.files.stored is None:
        return (ShardedSession if sharded else Session)(opened, busy_timeout)
    session: StoredSession
    if sharded:
        from audiomem_sql.table.stored_sharded_session import StoredShardedSession

        session = StoredShardedSession(opened, busy_timeout)
    else:
        from audiomem_sql.table.stored_session import StoredSession

        session = StoredSession(opened, busy_timeout)
    if durability == "async":
        session.defer_appends()
    return session
