"""Which rows satisfy ``column OP value``, exactly as SQLite decides it for a STRICT table with the same columns."""

from __future__ import annotations

from audiomem_sql.predicates.binding import bind
from audiomem_sql.predicates.bounds import Bound
from audiomem_sql.predicates.predicate import ROWID, Op, Predicate

__all__ = ["ROWID", "Bound", "Op", "Predicate", "bind"]
