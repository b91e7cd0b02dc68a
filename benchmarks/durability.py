"""The yearly probability of losing a row: ``python -m benchmarks.durability``.

Repair is measured: a table of each protection is damaged at random places, in three ways, and each row is
read. How often damage and loss of a copy happen is assumed, and can be given; the formulas are in
docs/DURABILITY.md.

    python -m benchmarks.durability --trials 200
    python -m benchmarks.durability --measured none=9000,0.05,0.4 …    (as the first run printed)
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha512
from pathlib import Path

from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.table.table import Table

LEVELS = ("none", "standard", "archive")
SCRUBS = {"1 day": 1 / 365.25, "7 days": 7 / 365.25, "30 days": 30 / 365.25, "1 year": 1.0}
MOST_COPIES = 3
#: The goal: 99.999999 % of the rows are there after a year.
GOAL = 1e-8
_SECTOR = 4096
ROWS = 4000


@dataclass(frozen=True, slots=True)
class Assumed:
    """Events a year, of one copy.

    sectors: of 4 KiB that become wrong, a terabyte. small, large: holes of 5 % and of 12 % of the file. lost:
    losses of the whole copy, which is made anew ``noticed`` years later. common: the share of these losses
    that take all copies at once.
    """

    sectors: float = 10.0
    small: float = 1e-3
    large: float = 1e-4
    lost: float = 0.015
    noticed: float = 1 / 365.25
    common: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What damage costs a row of a file with one protection.

    footprint: bytes of which one wrong sector costs a given row, on average; small, large: the probability
    that a hole costs it. trials: of each kind. losses: how many of all trials lost anything.
    """

    footprint: float
    small: float
    large: float
    trials: int
    losses: tuple[int, int, int]

    def bounded(self) -> Measured:
        """With the upper end of the 95 % interval, 1 - 0.05 ** (1 / n), where nothing was lost in n trials.

        For a wrong sector that is taken as if it cost the rows of one sector.
        """
        most = 1 - 0.05 ** (1 / self.trials)
        return replace(
            self,
            footprint=self.footprint or most * _SECTOR,
            small=self.small or most,
            large=self.large or most,
        )


def damage_rate(measured: Measured, assumed: Assumed) -> float:
    """How often a year damage in one copy costs a given row."""
    return (
        assumed.sectors * measured.footprint / 1e12
        + assumed.small * measured.small
        + assumed.large * measured.large
    )


def yearly_loss(damage: float, assumed: Assumed, copies: int, scrub: float) -> float:
    """The probability that a given row is lost in all copies within a year.

    damage: see ``damage_rate``. scrub: years between two scrubs, each of which heals all copies. The last
    copy that has the row fails while it is missing in all others; or what is common takes all at once.
    """
    lost = assumed.lost * (1 - assumed.common)
    missing = min(1.0, lost * assumed.noticed + damage * scrub / 2)
    rate = copies * (lost + damage) * missing ** (copies - 1) + assumed.lost * assumed.common
    return -math.expm1(-rate)


def measure(level: str, trials: int, seed: int, folder: Path, count: int = ROWS) -> Measured:
    """Damage a table of ``count`` rows at random, ``trials`` times in each way; what a row loses."""
    path = folder / f"{level}.flac"
    texts = [sha512(bytes([n % 251, n % 13])).hexdigest() for n in range(2 * count)]
    rows = [{"id": n, "body": f"{texts[n]} {texts[-n]}", "n": n} for n in range(count)]
    columns = ["id INTEGER PRIMARY KEY", "body TEXT", "n INTEGER"]
    with Table.create(path, columns, {"protection": level}) as made:
        made.append(rows)
        made.vacuum()
    whole, chance = path.read_bytes(), random.Random(seed)
    shares, losses = [], []
    for length in (_SECTOR, len(whole) * 5 // 100, len(whole) * 12 // 100):
        lost = [_lost(path, _damaged(whole, length, chance), count) for _ in range(trials)]
        shares.append(sum(lost) / trials)
        losses.append(sum(each > 0 for each in lost))
    return Measured(shares[0] * len(whole), shares[1], shares[2], trials, (losses[0], losses[1], losses[2]))


def _damaged(whole: bytes, length: int, chance: random.Random) -> bytes:
    """A copy with random bytes in a hole that begins at a sector."""
    start = chance.randrange(0, len(whole) - length + 1, _SECTOR)
    return whole[:start] + chance.randbytes(length) + whole[start + length :]


def _lost(path: Path, data: bytes, count: int) -> float:
    """The share of the rows that cannot be read whole any more."""
    target = path.with_name("damaged.flac")
    target.write_bytes(data)
    SHARED.clear()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Table(target, on_damage="skip") as table:
                return 1 - table.to_arrow().num_rows / count
    except AudioMemError:
        return 1.0


def lines(measured: dict[str, Measured], assumed: Assumed) -> Iterator[str]:
    """The table, a line each, of Markdown."""
    yield "| protection | copies | " + " | ".join(f"scrub each {each}" for each in SCRUBS) + " |"
    yield "|---" * (2 + len(SCRUBS)) + "|"
    for level, found in measured.items():
        damage = damage_rate(found, assumed)
        for copies in range(1, MOST_COPIES + 1):
            losses = [yearly_loss(damage, assumed, copies, scrub) for scrub in SCRUBS.values()]
            cells = [f"**{loss:.1e}**" if loss <= GOAL else f"{loss:.1e}" for loss in losses]
            yield f"| {level} | {copies} | " + " | ".join(cells) + " |"


def _parsed(texts: Sequence[str]) -> dict[str, Measured]:
    """LEVEL=footprint,small,large,trials as it was printed."""
    found = {}
    for text in texts:
        level, _, numbers = text.partition("=")
        footprint, small, large, trials = map(float, numbers.split(","))
        found[level] = Measured(footprint, small, large, int(trials), (0, 0, 0))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=100, help="of each damage and protection")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--measured", nargs="*", help="what a run has measured, in the place of measuring")
    usual = Assumed()
    for name in ("sectors", "small", "large", "lost", "noticed"):
        parser.add_argument(f"--{name}", type=float, default=getattr(usual, name))
    chosen = parser.parse_args(arguments)
    if chosen.measured:
        found = _parsed(chosen.measured)
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = {level: measure(level, chosen.trials, chosen.seed, Path(folder)) for level in LEVELS}
    for level, each in found.items():
        numbers = f"{each.footprint:.0f},{each.small:.4g},{each.large:.4g},{each.trials}"
        print(f"{level}={numbers}  lost anything: {each.losses}")
    bounded = {level: each.bounded() for level, each in found.items()}
    assumed = Assumed(chosen.sectors, chosen.small, chosen.large, chosen.lost, chosen.noticed)
    for what, changed in {
        "no copy is ever lost as a whole": replace(assumed, lost=0.0),
        "copies are lost, each by itself": assumed,
        "one loss in a million takes all copies": replace(assumed, common=1e-6),
        "one loss in a hundred takes all copies": replace(assumed, common=1e-2),
    }.items():
        print(f"\n{what}; {GOAL:.0e} is the goal; {changed}\n")
        print("\n".join(lines(bounded, changed)))


if __name__ == "__main__":
    main()
