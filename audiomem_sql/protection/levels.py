"""Protection levels: how a page is divided into cells, and which codes stand in for what is lost."""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.errors import OptionError, did_you_mean
from audiomem_sql.protection.crc32c import Crc32cCells
from audiomem_sql.protection.parity import ParityShare
from audiomem_sql.protection.reed_solomon import ReedSolomon

#: One cell for each KiB of a page, whatever the level.
PAGE_BYTES_PER_CELL = 1024


@dataclass(frozen=True, slots=True)
class Level:
    """A protection level. ``code`` is what a page header holds.

    code_word: the inner code, interleaved over the page; four of its words have the data of a cell. share:
    how many of the pages are parity. Both None: damage is found, not repaired. log_copies: how often the log
    of such a table is written; one that is written once has no parity either.
    """

    name: str
    code: int
    cell_bytes: int
    code_word: ReedSolomon | None = None
    share: ParityShare | None = None
    log_copies: int = 1
    #: The share of a file's bytes that a hole may take, wherever it is.
    hole: float = 0.0

    @property
    def cells(self) -> Crc32cCells:
        """The cell codec of this level."""
        return Crc32cCells(self.cell_bytes)


#: CRC-32C only: damage is found and never returned, not repaired. Four codewords of 255 bytes make room for a
#: cell.
NONE = Level("none", 0, 4 * 255)
#: Scattered wrong bytes, and 8 % of the file's sectors.
STANDARD = Level("standard", 1, 4 * 223, ReedSolomon(255, 223), ParityShare(1, 10, chance=3), 3, 0.05)
#: 15 % of the file's sectors, wherever they are.
ARCHIVE = Level("archive", 2, 4 * 223, ReedSolomon(255, 223), ParityShare(1, 5, 1, chance=2), 6, 0.15)

LEVELS = {level.name: level for level in (NONE, STANDARD, ARCHIVE)}


def level_named(name: str) -> Level:
    """The level called ``name``; OptionError lists those that exist."""
    try:
        return LEVELS[name.lower()]
    except KeyError:
        raise OptionError(
            f"protection level {name!r} does not exist in this version",
            remedy=f"{did_you_mean(name, LEVELS)}Use one of: {', '.join(LEVELS)}.",
        ) from None


def level_coded(code: int) -> Level | None:
    """The level whose page headers hold ``code``, or None."""
    return next((level for level in LEVELS.values() if level.code == code), None)
