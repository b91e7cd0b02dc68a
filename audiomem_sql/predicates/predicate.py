"""One condition on one column, as a planner or a parser states it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

#: The column number that stands for the rowid.
ROWID: Literal["rowid"] = "rowid"


class Op(Enum):
    """The conditions; BETWEEN is GE and LE."""

    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "IN"
    IS_NULL = "IS NULL"
    NOT_NULL = "IS NOT NULL"
    IS = "IS"
    IS_NOT = "IS NOT"
    LIKE = "LIKE"
    GLOB = "GLOB"
    TRUE = "TRUE"  # the column itself as a condition; takes no value


@dataclass(frozen=True, slots=True)
class Predicate:
    """``column OP value``.

    column: the number of the column in the schema, or ``"rowid"``; value: None, int, float, str or bytes, for IN a
    collection of these, for IS_NULL, NOT_NULL and TRUE nothing.
    """

    column: int | Literal["rowid"]
    op: Op
    value: Any = None
