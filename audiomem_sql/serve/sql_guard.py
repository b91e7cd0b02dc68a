"""What a statement of a client may do: read the tables of its connection, and compute.

SQLite's authorizer decides. Actions and tables that are not known to be harmless are refused.
"""

from __future__ import annotations

from typing import Any

import apsw

from audiomem_sql.columns.column import fold
from audiomem_sql.serve.settings import Limits

#: Functions that reach files or the process, whatever else SQLite comes with.
_REFUSED_FUNCTIONS = frozenset(
    (
        "load_extension",
        "audiomem_device",
        "fts3_tokenizer",
        "readfile",
        "writefile",
        "edit",
        "sqlite_log",
        "eval",
    )
)
#: Table functions that read no more than the tables of the connection, and tell no paths.
_FUNCTIONS = frozenset(
    (
        *("json_each", "json_tree", "jsonb_each", "jsonb_tree", "generate_series", "carray"),
        *("audiomem_snapshots", "audiomem_changes", "audiomem_explain", "audiomem_vocabulary"),
        *("audiomem_suggest", "audiomem_bands", "audiomem_knn", "audiomem_duplicates"),
        *("audiomem_clusters", "audiomem_cluster_rows", "audiomem_map"),
    )
)
#: Pragmas that only tell, each with a table function of its own.
_PRAGMAS = frozenset(("table_info", "table_xinfo"))
_PRAGMA_TABLES = frozenset(f"pragma_{name}" for name in _PRAGMAS)


class SqlGuard:
    """The authorizer of one connection, whose tables are ``tables``. refused: what it refused last."""

    def __init__(self, tables: frozenset[str]) -> None:
        self._readable = {fold(name) for name in tables} | _FUNCTIONS | _PRAGMA_TABLES
        self.refused: str | None = None

    def __call__(
        self, action: int, first: str | None, second: str | None, database: str | None, inner: str | None
    ) -> int:
        """SQLITE_OK or SQLITE_DENY."""
        if self._allows(action, first, second):
            return apsw.SQLITE_OK
        name = apsw.mapping_authorizer_function.get(action, action)
        what = str(name).removeprefix("SQLITE_").replace("_", " ")
        self.refused = " ".join(
            text for text in (what, second if action == apsw.SQLITE_FUNCTION else first) if text
        )
        return apsw.SQLITE_DENY

    def _allows(self, action: int, first: str | None, second: str | None) -> bool:
        if action in (apsw.SQLITE_SELECT, apsw.SQLITE_RECURSIVE):
            return True
        if action == apsw.SQLITE_FUNCTION:
            return second is not None and fold(second) not in _REFUSED_FUNCTIONS
        if action == apsw.SQLITE_READ:
            # rows that are counted, of a table or of a WITH, have no column
            return fold(first or "") in self._readable or (
                not second and not fold(first or "").startswith(("sqlite_", "pragma_", "audiomem_", "dbstat"))
            )
        if action == apsw.SQLITE_PRAGMA:
            return fold(first or "") in _PRAGMAS
        return False


def guard(connection: apsw.Connection, tables: frozenset[str], limits: Limits) -> SqlGuard:
    """Leave the connection, whose tables are made, nothing but to read them."""
    connection.execute("PRAGMA temp_store = MEMORY")  # else a sort could fill the disk
    connection.execute("PRAGMA query_only = ON")
    for setting, value in (
        (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
        (apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0),
        (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
        (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DDL, 0),
        (apsw.SQLITE_DBCONFIG_DQS_DML, 0),
    ):
        connection.config(setting, value)
    for limit, value in (
        (apsw.SQLITE_LIMIT_LENGTH, limits.value_bytes),
        (apsw.SQLITE_LIMIT_SQL_LENGTH, 100_000),
        (apsw.SQLITE_LIMIT_EXPR_DEPTH, 200),
        (apsw.SQLITE_LIMIT_COMPOUND_SELECT, 100),
        (apsw.SQLITE_LIMIT_ATTACHED, 0),
        (apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000),
        (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
    ):
        connection.limit(limit, value)
    made = SqlGuard(tables)
    connection.authorizer = made
    return made


def bound_memory(most: int) -> int:
    """Have SQLite take at most ``most`` bytes in this process, for all connections; what it was before."""
    set_limit: Any = apsw.hard_heap_limit
    return int(set_limit(most))
