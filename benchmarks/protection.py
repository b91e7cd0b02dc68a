"""What the codes survive and how fast they are.

``python -m benchmarks.protection`` prints the tables of PROTECTION.md. Damage is drawn on the true geometry
of a file (frames, headers, cells, sectors of 4 KiB that fit nowhere), and the true decoder says what comes
back. The inner code is taken to save nothing: a sector is more than it can correct.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audiomem_sql.audio.flac.frames import frame_size, header_size
from audiomem_sql.audio.flac.profiles import PROFILES
from audiomem_sql.protection.ldpc import Staircase
from audiomem_sql.protection.page_code import PageCode
from audiomem_sql.protection.parity import ParityPlan, ParityShare
from audiomem_sql.protection.parity_encoder import ParityEncoder
from audiomem_sql.protection.reed_solomon import ReedSolomon
from benchmarks.timing import once

SECTOR = 4096
CELLS = 24  # of a desktop page
METADATA = 5000  # bytes before the first frame, about
SPARE = 40  # with so many parity cells to spare, random losses come back: the table of overheads says so
RUN = 6  # cells that a row depends on: one compressed block, about
DESKTOP = PROFILES["desktop"]


@dataclass(frozen=True)
class Candidate:
    """A protection level to try: RS(255, k) in pages, a share of pages for the outer code."""

    name: str
    k: int
    share: ParityShare

    @property
    def cell_bytes(self) -> int:
        return 4 * self.k

    def pages(self, plain: int) -> tuple[int, int]:
        """(all pages, parity pages) of a file that has ``plain`` pages without protection."""
        source = -(-plain * CELLS * 1016 // (CELLS * (self.cell_bytes - 4)))
        total = self.share.total_pages(source)
        return total, total - source


CANDIDATES = (
    Candidate("standard: RS(255,223), 1/10", 223, ParityShare(1, 10)),
    Candidate("archive: RS(255,223), 1/5 + 1", 223, ParityShare(1, 5, 1)),
    Candidate("RS(255,231), 1/5 + 1", 231, ParityShare(1, 5, 1)),
    Candidate("RS(255,239), 2/9 + 1", 239, ParityShare(2, 9, 1)),
    Candidate("RS(255,247), 6/25 + 1", 247, ParityShare(6, 25, 1)),
)


class Geometry:
    """Which sectors the cells of a file lie in."""

    def __init__(self, pages: int, cell_bytes: int) -> None:
        sizes = np.array([frame_size(DESKTOP, n) for n in range(pages)])
        start = METADATA + np.concatenate([[0], np.cumsum(sizes)])
        heads = np.array([header_size(DESKTOP, n) for n in range(pages)]) + 1
        inside = DESKTOP.page_size // 256 + np.arange(CELLS) * cell_bytes
        inside = inside + (inside >= DESKTOP.page_size // 2)  # the header byte of the second subframe
        first = (start[:-1, None] + heads[:, None] + inside).reshape(-1)
        self.low, self.high = first // SECTOR, (first + cell_bytes - 1) // SECTOR
        self.sectors = -(-int(start[-1]) // SECTOR)

    def present(self, bad: np.ndarray) -> np.ndarray:
        """Whether each cell is intact when the sectors ``bad`` are not, both bool."""
        return ~(bad[self.low] | bad[self.high])


def exactly(share: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """So many of the sectors, at random."""

    def draw(rng: np.random.Generator, sectors: int) -> np.ndarray:
        bad = np.zeros(sectors, bool)
        bad[rng.choice(sectors, round(share * sectors), replace=False)] = True
        return bad

    return draw


def each(share: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Each sector by itself: small files may lose far more."""
    return lambda rng, sectors: rng.random(sectors) < share


def hole(share: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Neighbouring sectors, anywhere."""

    def draw(rng: np.random.Generator, sectors: int) -> np.ndarray:
        length = round(share * sectors)
        at = rng.integers(0, sectors - length + 1)
        bad = np.zeros(sectors, bool)
        bad[at : at + length] = True
        return bad

    return draw


@dataclass(frozen=True)
class Outcome:
    """Over all seeds: files with any loss, source cells lost, runs of cells (rows) lost.

    The last two as shares.
    """

    files: int
    cells: float
    rows: float


def survive(
    candidate: Candidate,
    plain: int,
    draw: Callable[[np.random.Generator, int], np.ndarray],
    seeds: int,
    spare: int = SPARE,
) -> Outcome:
    """Damage files of ``plain`` pages and bring back what can be.

    spare: a group that has so many more parity cells than it lost of all cells is not decoded, but taken as
    brought back; one that lost more than its parity cells as if nothing of it came back.
    """
    total, parity = candidate.pages(plain)
    geometry = Geometry(total, candidate.cell_bytes)
    plan = ParityPlan((total - parity) * CELLS, parity * CELLS)
    files, cells, runs = 0, 0.0, 0.0
    for seed in range(seeds):
        present = geometry.present(draw(np.random.default_rng(seed), geometry.sectors))
        intact = np.zeros(plan.sources, bool)
        for group in range(plan.groups):
            own = plan.sources_of(group)
            rows = plan.parities_of(group)
            both = np.concatenate([own, plan.sources + rows])
            surviving = len(rows) - int((~present[both]).sum())
            if surviving >= spare or surviving < 0:
                intact[own] = present[own] | (surviving >= spare)
                continue
            _, recovered = plan.recover(group, np.zeros((len(both), 1), np.uint8), present[both])
            intact[own] = recovered[: len(own)]
        files += not intact.all()
        cells += 1 - intact.mean()
        runs += 1 - np.lib.stride_tricks.sliding_window_view(intact, RUN).all(axis=1).mean()
    return Outcome(files, cells / seeds, runs / seeds)


def failures(sizes: list[float], seeds: int) -> None:
    """Losses by level, size and damage."""
    print(f"\n{seeds} seeds: files with a loss / share of source cells lost / share of rows lost\n")
    damages = {
        **{f"{share:.0%} of sectors": exactly(share) for share in (0.05, 0.07, 0.15, 0.16, 0.17, 0.18, 0.2)},
        "each sector 15%": each(0.15),
        "hole of 15%": hole(0.15),
        "hole of 18%": hole(0.18),
    }
    for candidate in CANDIDATES:
        for size in sizes:
            plain = max(3, round(size * 1e6 / frame_size(DESKTOP, 1000)))
            total, parity = candidate.pages(plain)
            print(
                f"{candidate.name}; {size:g} MB, {plain} → {total} pages, {parity} of parity: "
                f"{total / plain - 1:+.1%}"
            )
            for name, draw in damages.items():
                spare = plain * CELLS if name.startswith("hole") else SPARE  # holes are no random losses
                survived = survive(candidate, plain, draw, seeds, spare)
                print(
                    f"    {name:18} {survived.files:4} {survived.cells:9.2e} {survived.rows:9.2e}", flush=True
                )


def overheads(trials: int) -> None:
    """How often a staircase fails that has so many more parity cells than are lost at random."""
    print(f"\nstaircase: share of {trials} losses of all but so many as the parity that do not come back\n")
    for cells, parities in ((264, 60), (1488, 298), (4096, 410), (8192, 820), (8192, 1640)):
        code = Staircase(cells - parities, parities)
        rng = np.random.default_rng(7)
        shares = []
        for spare in (0, 1, 2, 3, 6, 10, 15, 20):
            failed = 0
            for _ in range(trials):
                present = np.ones(cells, bool)
                present[rng.choice(cells, parities - spare, replace=False)] = False
                failed += not code.decodable(present).all()
            shares.append(f"{spare}: {failed / trials:.3f}")
        print(f"{cells:5} cells, {parities:4} parity   " + "   ".join(shares), flush=True)


def speeds(runs: int) -> None:
    """MB/s, best of ``runs``, one core."""
    rng = np.random.default_rng(0)
    pages = PageCode(ReedSolomon(), 96)

    def show(label: str, size: int, work: Callable[[], object]) -> None:
        print(f"{label:58} {size / 1e6 / min(once(work) for _ in range(runs)):8.0f} MB/s", flush=True)

    for count in (1, 64):
        data = rng.integers(0, 256, (count, pages.data_bytes), np.uint8)
        stored = pages.encode(data)
        show(f"RS(255,223) encode, {count} pages at once", data.size, lambda data=data: pages.encode(data))
        for rate in (0.0, 0.02, 0.03):
            bad = stored ^ (rng.random(stored.shape) < rate).astype(np.uint8)
            show(
                f"RS decode, {rate:.0%} of bytes wrong, {count} pages",
                stored.size,
                lambda bad=bad: pages.decode(bad),
            )
    size = 892
    for cells, groups in ((8192, 1), (81920, 11)):
        plan = ParityPlan(cells * 4 // 5, cells // 5)
        sources = rng.integers(0, 256, (plan.sources, size), np.uint8)
        encoder = ParityEncoder(plan, size)
        assert plan.groups == groups
        show(
            f"staircase encode as a stream, {groups} groups",
            sources.size,
            lambda e=encoder, s=sources: e.add(0, s),
        )
    code = ParityPlan(6554, 1638).code
    cells_of = rng.integers(0, 256, (6554, size), np.uint8)
    whole = np.concatenate([cells_of, code.encode(cells_of)])
    show("staircase encode, one group at once", cells_of.size, lambda: code.encode(cells_of))
    for share in (0.02, 0.5, 0.97):
        present = np.ones(len(whole), bool)
        present[rng.choice(len(whole), int(1638 * share), replace=False)] = False
        show(
            f"staircase decode, {share:.0%} of the parity's worth lost",
            whole.size,
            lambda present=present: code.decode(whole, present),
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.protection", description=__doc__)
    parser.add_argument(
        "--sizes", type=float, nargs="+", default=[0.02, 0.2, 1, 15], help="MB without protection"
    )
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    speeds(arguments.runs)
    overheads(arguments.seeds)
    failures(arguments.sizes, arguments.seeds)


if __name__ == "__main__":
    main()
