"""Damages a store many times, reads what is left, and adds up what came back."""

from __future__ import annotations

import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from damage.comparison import Flags, Reading
from damage.damages import (
    Bytes,
    CutShort,
    Damage,
    Hole,
    Inserted,
    Removed,
    Scattered,
    Sectors,
)

SHARE = 0.15
#: The damage that `archive` is made for; the first is the one that gets the most seeds.
LOST: tuple[Damage, ...] = (
    Sectors(SHARE),
    Sectors(SHARE, zeros=True),
    Sectors(SHARE, run=16),
    Hole(SHARE, "front"),
    Hole(SHARE, "end"),
    Hole(SHARE, "anywhere"),
)
RATES = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 3e-2)
SCATTERED: tuple[Damage, ...] = tuple(Scattered(rate) for rate in RATES)
MOVED: tuple[Damage, ...] = (CutShort(), Inserted(), Removed())


class Store(Protocol):
    """Rows in files. ``data``: their bytes, uint8 (n,)."""

    name: str
    data: Bytes
    expected: pa.Table

    def read(self, folder: Path, data: Bytes) -> Reading: ...

    def rows_in(self, start: int, stop: int) -> Flags: ...


@dataclass
class Tally:
    """Of all files that one kind of damage was done to.

    whole: files of which every row came back. cut: rows with bytes that are gone; beyond: lost rows that have
    none. values: compared; wrong: not those written, without an error. foreign: errors that are not the
    store's own.
    """

    files: int = 0
    whole: int = 0
    unopened: int = 0
    rows: int = 0
    intact: int = 0
    cut: int = 0
    beyond: int = 0
    values: int = 0
    wrong: int = 0
    wrong_rows: int = 0
    least: int | None = None
    seconds: list[float] = field(default_factory=list)
    corrected: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)

    def add(self, reading: Reading, cut: Flags) -> None:
        """One more file."""
        intact = int(reading.intact.sum())
        self.files += 1
        self.whole += intact == len(reading.intact)
        self.unopened += not reading.values
        self.rows += len(reading.intact)
        self.intact += intact
        self.cut += int(cut.sum())
        self.beyond += int((~reading.intact & ~cut).sum())
        self.values += reading.values
        self.wrong += reading.wrong
        self.wrong_rows += reading.wrong_rows
        self.least = intact if self.least is None else min(self.least, intact)
        self.seconds.append(round(reading.open_s + reading.read_s, 3))
        self.corrected.update(reading.corrected)
        if reading.error:
            self.errors[reading.error.split(":")[0]] += 1
        if reading.foreign:
            self.foreign[reading.foreign[:200]] += 1

    @property
    def share(self) -> float:
        """Rows intact, of all."""
        return self.intact / self.rows if self.rows else 0.0

    def to_json(self) -> dict[str, Any]:
        """All of it, for a report; of the seconds the median and the greatest."""
        figures = {name: dict(v) if isinstance(v, Counter) else v for name, v in vars(self).items()}
        seconds = sorted(figures.pop("seconds")) or [0.0]
        return figures | {
            "share": self.share,
            "seconds_p50": seconds[len(seconds) // 2],
            "seconds_most": seconds[-1],
        }


Report = dict[str, dict[str, dict[str, Any]]]


def run(store: Store, damage: Damage, seeds: Iterable[int]) -> Tally:
    """Do one kind of damage to a store, once for each seed."""
    tally = Tally()
    for seed in seeds:
        rng = np.random.default_rng([seed, zlib.crc32(damage.name.encode())])
        damaged = damage.apply(store.data, rng)
        with tempfile.TemporaryDirectory() as folder:
            tally.add(store.read(Path(folder), damaged.data), store.rows_in(*damaged.gone))
    return tally


def run_all(
    store: Store, damages: Iterable[tuple[Damage, int]], report: Report, say: Callable[[str], None] = print
) -> None:
    """Do every kind of damage with so many seeds, and put the figures into ``report``."""
    for damage, seeds in damages:
        tally = run(store, damage, range(seeds))
        report.setdefault(store.name, {})[damage.name] = tally.to_json()
        say(
            f"{store.name:16} {damage.name:44} {tally.files:4} files, {tally.whole:4} whole, "
            f"{tally.share:9.4%} of the rows"
            + (
                f" ({tally.cut / tally.rows:.2%} cut, {tally.beyond / tally.rows:.4%} lost beyond)"
                * (tally.cut > 0)
            )
            + f", {tally.values:,} values, {tally.wrong} wrong, {max(tally.seconds):.1f} s at most"
            + (f", FOREIGN {dict(tally.foreign)}" if tally.foreign else "")
        )
