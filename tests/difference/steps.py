"""What both sides are told, and what came of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

#: What statements are about. Each is counted once.
KINDS = ("query", "view", "hidden", "time", "write", "conflict", "null", "trigger", "schema")
#: What is not counted as a statement: transactions, and what is done to our side alone.
UNCOUNTED = ("transaction", "upkeep", "refused")

Bindings = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One statement, with the names of the tables in it. ``{folder}`` is where our files are.

    native: what the native side is told; None if it is not told anything. ordered: the rows have an order. rows: whose
    rows are compared afterwards. counted: whether ``changes()`` is compared. refused: what ours has to say, if it
    has to refuse it. rule: the documented difference that this step shows.
    """

    kind: str
    ours: str
    native: str | None
    bindings: Bindings = field(default_factory=dict)
    native_bindings: Bindings | None = None
    ordered: bool = False
    rows: tuple[str, ...] = ()
    counted: bool = False
    refused: str = ""
    rule: str = ""

    def __str__(self) -> str:
        text = self.ours + (f"   {self.bindings!r}" if self.bindings else "")
        if self.native is not None and (self.native != self.ours or self.native_bindings is not None):
            other = self.bindings if self.native_bindings is None else self.native_bindings
            text += f"\n      native: {self.native}" + (f"   {other!r}" if other else "")
        return f"[{self.kind}] {text}"


class Difference(AssertionError):
    """Ours did something else than the native tables."""


@dataclass
class Tally:
    """How much was compared, by kind, and which documented differences were met."""

    kinds: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    compared_rows: int = 0

    @property
    def statements(self) -> int:
        return sum(self.kinds[kind] for kind in KINDS)

    def add(self, other: Tally) -> None:
        """Those of another case, too."""
        self.kinds += other.kinds
        self.rules += other.rules
        self.failed += other.failed
        self.compared_rows += other.compared_rows

    def __str__(self) -> str:
        total = max(1, self.statements)
        lines = [f"{self.statements:,} statements"]
        lines += [
            f"  {kind:12}{self.kinds[kind]:12,}  {100 * self.kinds[kind] / total:5.1f} %"
            f"  {self.failed[kind]:10,} of them fail on both sides"
            for kind in KINDS
        ]
        lines.append(
            f"  beside them {self.kinds['transaction']:,} of transactions, {self.kinds['upkeep']:,} of upkeep, and "
            f"{self.compared_rows:,} times the rows of a table or a view"
        )
        lines.append("documented differences:")
        lines += [f"  {name:24}{count:10,}" for name, count in sorted(self.rules.items())]
        return "\n".join(lines)
