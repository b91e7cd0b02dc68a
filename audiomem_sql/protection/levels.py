"""Protection levels: how the body of a page is divided into cells."""

from __future__ import annotations

from dataclasses import dataclass

from audiomem_sql.errors import OptionError
from audiomem_sql.protection.crc32c import Crc32cCells

#: One cell for each KiB of a page, whatever the level.
PAGE_BYTES_PER_CELL = 1024


@dataclass(frozen=True, slots=True)
class Level:
    """A protection level. ``code`` is what a page header holds."""

    name: str
    code: int
    cell_bytes: int

    @property
    def cells(self) -> Crc32cCells:
        """The cell codec of this level."""
        return Crc32cCells(self.cell_bytes)


#: CRC-32C only: damage is found and never returned, not repaired. Four codewords of 255 bytes make room for a cell.
NONE = Level("none", 0, 4 * 255)

LEVELS = {level.name: level for level in (NONE,)}


def level_named(name: str) -> Level:
    """The level called ``name``; OptionError lists those that exist."""
    try:
        return LEVELS[name.lower()]
    except KeyError:
        raise OptionError(
            f"protection level {name!r} does not exist in this version",
            remedy=f"Use one of: {', '.join(LEVELS)}.",
        ) from None


def level_coded(code: int) -> Level | None:
    """The level whose page headers hold ``code``, or None."""
    return next((level for level in LEVELS.values() if level.code == code), None)
