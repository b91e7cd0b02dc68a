"""A DuckDB that reads files in bounded memory, and what its errors say of a line."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from audiomem_sql.errors import MissingExtraError

#: Bytes that DuckDB keeps in memory, and threads that read: the engine is what takes the time.
MEMORY = "64MB"
#: The same while it sorts.
SORT_MEMORY = "512MB"
THREADS = 2
#: Rows of a batch.
BATCH_ROWS = 1 << 14


@contextlib.contextmanager
def connection(what: str) -> Iterator[Any]:
    """A connection of its own, whose temporary files are gone after the block. MissingExtraError without it.

    what: is read, for the message.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError(
            f"duckdb is not installed, which reads {what}", remedy="pip install 'audiomem-sql[duckdb]'."
        ) from None
    folder = tempfile.mkdtemp(prefix="audiomem-import-")
    try:
        with duckdb.connect() as made:
            made.execute(f"SET memory_limit='{MEMORY}'")
            made.execute(f"SET threads={min(THREADS, os.cpu_count() or 1)}")
            made.execute("SET temp_directory=" + literal(folder))
            made.execute("SET TimeZone='UTC'")
            made.execute("SET enable_progress_bar=true; SET enable_progress_bar_print=false")
            made.execute("SET progress_bar_time=0")
            yield made
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def literal(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def reader(made: Any, statement: str) -> pa.RecordBatchReader:
    """The rows of a statement, batch by batch."""
    relation = made.sql(statement)
    name = "to_arrow_reader" if hasattr(relation, "to_arrow_reader") else "fetch_arrow_reader"
    return getattr(relation, name)(BATCH_ROWS)


def share_done(made: Any) -> float:
    """Which part of the files that a statement reads is read, 0 to 1."""
    percent = float(made.query_progress()) if hasattr(made, "query_progress") else 0.0
    return min(max(percent, 0.0), 100.0) / 100
