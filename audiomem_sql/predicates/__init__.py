"""Which rows satisfy a condition, exactly as SQLite decides it for a STRICT table with the same columns.

A parser states a :data:`Condition`: :class:`Predicate` (``column OP value``), joined by :class:`And`,
:class:`Or` and :class:`Not`. :func:`bind` makes a :class:`Bound` of a predicate and a column's type: what
decides over arrays, values and zone maps.
"""

from __future__ import annotations

from audiomem_sql.predicates.binding import TIME, bind
from audiomem_sql.predicates.bounds import Bound
from audiomem_sql.predicates.predicate import ROWID, And, Condition, Not, Op, Or, Predicate, Stored

__all__ = ["ROWID", "TIME", "And", "Bound", "Condition", "Not", "Op", "Or", "Predicate", "Stored", "bind"]
