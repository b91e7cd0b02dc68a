"""The write-ahead log: records of commits, their copies and parity. Knows no segments.

What the rooms above use:

- ``read_log`` gives the ``LogContent`` of a log, its ``LogRecord`` s; ``check_rows`` whether they are rows of
  the table; ``has_more`` whether it has grown since; ``commits_behind`` whether what is torn was no crash;
  ``flawed_versions`` what damage it bears
- ``LogWriter``: ``create`` makes a log that continues its ``Predecessor``, ``append_group`` makes commits
  durable, ``cut`` takes them back; ``quantum_for`` says what a table's log grows by;
  ``flush_unmarked`` makes durable what a killed writer may not have flushed; ``unpack_commits`` reads what a
  record holds
"""

from __future__ import annotations

from audiomem_sql.storage.log.chain import Predecessor
from audiomem_sql.storage.log.content import LogContent
from audiomem_sql.storage.log.reader import check_rows, commits_behind, flawed_versions, has_more, read_log
from audiomem_sql.storage.log.record import LogRecord, unpack_commits
from audiomem_sql.storage.log.writer import LogWriter, flush_unmarked, quantum_for

__all__ = [
    "LogContent",
    "LogRecord",
    "LogWriter",
    "Predecessor",
    "check_rows",
    "commits_behind",
    "flawed_versions",
    "flush_unmarked",
    "has_more",
    "quantum_for",
    "read_log",
    "unpack_commits",
]
