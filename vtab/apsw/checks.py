"""PRAGMA integrity_check where apsw has no place left to call our tables for it: an error, not "ok"."""

from __future__ import annotations

from typing import Any

from audiomem_sql.columns.lexemes import end_of_space, lexeme_at
from audiomem_sql.errors import UnsupportedError

_CHECKS = ("INTEGRITY_CHECK", "QUICK_CHECK")


def refuse_check(event: dict[str, Any]) -> None:
    """UnsupportedError if SQLite's trace tells that a check begins, which would pass over our tables."""
    sql = event["sql"]
    if "_check" in sql.lower() and (_is_check(sql) or (event["trigger"] and _is_check(f"-- {sql}"))):
        raise UnsupportedError(
            "PRAGMA integrity_check does not reach the audiomem tables of this connection: apsw has 33 "
            "places for such connections in a process",
            remedy="SELECT * FROM audiomem_verify('t'); or close others before this one is opened.",
        )


def _is_check(sql: str) -> bool:
    position, names = end_of_space(sql, 0), []
    for _ in range(4):  # PRAGMA, a database, a point, the name
        lexeme = lexeme_at(sql, position)
        names.append(lexeme.value.upper())
        position = end_of_space(sql, lexeme.end)
    return names[0] == "PRAGMA" and (names[1] in _CHECKS or (names[2] == "." and names[3] in _CHECKS))
