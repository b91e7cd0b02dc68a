"""What becomes of a row that violates a constraint."""

from __future__ import annotations

from enum import Enum


class OnConflict(Enum):
    """What becomes of a row that violates a constraint. OWN: as the constraint's ON CONFLICT says."""

    RAISE = "raise"
    IGNORE = "ignore"
    REPLACE = "replace"
    OWN = "own"


_CLAUSES = {"IGNORE": OnConflict.IGNORE, "REPLACE": OnConflict.REPLACE}


def rule_of(clause: str, on_conflict: OnConflict) -> OnConflict:
    """What ``on_conflict`` comes to at a constraint with an ON CONFLICT ``clause``."""
    return _CLAUSES.get(clause, OnConflict.RAISE) if on_conflict is OnConflict.OWN else on_conflict
