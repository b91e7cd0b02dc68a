"""Transactions, appends, keys, commits alone and in groups.

What the rooms above use:

- ``Transaction`` holds the changes of one commit, and reads as the table will be; ``OnConflict`` says what an
  insert does about a key
- ``Commit`` is what is written; ``write_commit`` writes it as a segment: a ``PendingCommit``, as a
  ``LoggedCommit`` is one in the log
- ``Append`` is a commit of rows that arrive together; a ``Group`` of them shares a flush
- ``WriterTurn`` says which thread writes
- ``appending`` checks and numbers rows without a Python value a row; ``streaming`` does not hold them all in
  memory
- ``log_limits`` says which commits go to the log

Useful for making a commit on a snapshot. Not for who may write, which ``table.session`` decides.
"""

from __future__ import annotations

from audiomem_sql.writing.altering import altered_schema
from audiomem_sql.writing.commit import Commit, LoggedCommit, PendingCommit, write_commit
from audiomem_sql.writing.group_commit import Append, Group
from audiomem_sql.writing.on_conflict import OnConflict
from audiomem_sql.writing.transaction import Transaction
from audiomem_sql.writing.writer_turn import WriterTurn

__all__ = [
    "Append",
    "Commit",
    "Group",
    "LoggedCommit",
    "OnConflict",
    "PendingCommit",
    "Transaction",
    "WriterTurn",
    "altered_schema",
    "write_commit",
]
