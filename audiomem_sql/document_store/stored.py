"""A document as it is stored and found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from audiomem_sql.arrays import F32Array


@dataclass(slots=True, eq=False)
class Stored:
    """A document.

    vector: float32 (n,), where it was asked for. distance: of a search by vectors or meaning. score: higher
    is better, whatever was searched; None of documents that were not searched for.
    """

    id: str | None
    text: str | None
    metadata: dict[str, Any] = field(default_factory=dict)
    vector: F32Array | None = None
    distance: float | None = None
    score: float | None = None
