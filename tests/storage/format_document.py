"""What docs/FORMAT.md says, for the tests that compare it with the code."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "docs" / "FORMAT.md").read_text()


def table(heading: str, number: int = 0) -> list[dict[str, str]]:
    """The rows of a table below a heading, by the names of its columns."""
    section = re.split(r"^#{1,3} ", TEXT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert section, heading
    found = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[number]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def keys(heading: str, number: int = 0) -> set[str]:
    """The keys in a table whose column ``key`` names them."""
    return {row["key"].strip("`") for row in table(heading, number)}


def reference_crc(data: bytes, start: int) -> int:
    """CRC-32C bit by bit."""
    register = start ^ 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def finalised(state: int) -> int:
    """The finaliser of splitmix64."""
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return state ^ state >> 31
