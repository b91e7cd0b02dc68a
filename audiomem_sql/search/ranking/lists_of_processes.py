"""Which lists of vectors each process looks through, where several search one table: those that one would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audiomem_sql.arrays import BoolArray
from audiomem_sql.indexes.vectors import ListsOffered, lists_chosen

#: Passages that each index proposes at first for each row that is wanted, and so many more.
PROPOSED, MORE_PROPOSED = 8, 64


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """The lists that one process has: of rows, and of further passages of texts that are cut."""

    firsts: ListsOffered
    further: ListsOffered


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The lists that one process looks through, bool (lists,) as they were offered.

    firsts: of segments without texts that are cut. cut, further: of the others.
    """

    firsts: BoolArray
    cut: BoolArray
    further: BoolArray


def choices(offers: Sequence[Offer], k: int, wanted: int) -> list[Choice]:
    """What each process looks through for ``k`` rows, of which indexes propose ``wanted``."""
    firsts = [offer.firsts for offer in offers]
    further = [offer.further for offer in offers]
    passages = PROPOSED * k + MORE_PROPOSED
    chosen = lists_chosen(firsts, wanted), lists_chosen(firsts, passages), lists_chosen(further, passages)
    return [Choice(*each) for each in zip(*chosen, strict=True)]
