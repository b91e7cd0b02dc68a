"""What comes back of a file that has lost every catalog and all parity.

    python tests/damage/unlisted.py --data FILE.parquet

All pages but those of the data stream are random bytes, and some of these are destroyed as well.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from audiomem_sql.errors import AudioMemError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from benchmarks.__main__ import rows_of
from damage.catalogs import spans, without_catalog

SECTOR = 4096
#: Share of the sectors of the data stream that are overwritten, and of its bytes that are wrong.
DAMAGES = {
    "nothing else": (0.0, 0.0),
    "1 % of the sectors": (0.01, 0.0),
    "5 % of the sectors": (0.05, 0.0),
    "0.001 % of the bytes": (0.0, 0.00001),
    "0.1 % of the bytes": (0.0, 0.001),
}


@dataclass
class Found:
    """What came back of one file.

    rows: with all of their values. values: those that are not NULL. wrong: those of them that were not
    written.
    """

    rows: int = 0
    values: int = 0
    wrong: int = 0
    seconds: float = 0.0


def destroyed(path: Path, damage: str, rng: random.Random) -> bytes:
    """The bytes of ``path`` with every catalog lost, and ``damage`` in the data stream."""
    inside, _ = spans(path)
    data = bytearray(without_catalog(path, rng, "random"))
    first, end = inside[0][0], inside[-1][1]
    sectors, scattered = DAMAGES[damage]
    count = (end - first) // SECTOR
    for number in rng.sample(range(count), round(count * sectors)):
        at = first + number * SECTOR
        data[at : at + SECTOR] = rng.randbytes(SECTOR)
    for at in rng.sample(range(first, end), round((end - first) * scattered)):
        data[at] ^= rng.randint(1, 255)
    return bytes(data)


def read(path: Path, truth: dict[int, dict[str, Any]]) -> Found:
    """What can be had of ``path``, whose rows were ``truth`` by id; nothing where opening is refused."""
    found = Found()
    began = time.perf_counter()
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Table(path, salvage=True, on_damage="null", cache=BlockCache()) as table,
        ):
            rows = table.to_arrow().to_pylist()
    except AudioMemError:
        rows = []
    found.seconds = time.perf_counter() - began
    for row in rows:
        written = truth.get(row["id"], {})
        there = {name: value for name, value in row.items() if value is not None}
        found.rows += row == written
        found.values += len(there)
        found.wrong += sum(written.get(name) != value for name, value in there.items())
    return found


def survey(folder: Path, table: pa.Table, seeds: int) -> int:
    """Print a line for each level and damage; how many values were wrong."""
    truth = {row["id"]: row for row in table.to_pylist()}
    values = sum(value is not None for row in truth.values() for value in row.values())
    wrong = 0
    for level in ("none", "standard", "archive"):
        path = folder / f"{level}.flac"
        write_flac(table, path, primary_key="id", protection=level).close()
        whole = path.read_bytes()
        for damage in DAMAGES:
            results = []
            for seed in range(seeds):
                path.write_bytes(whole)
                path.write_bytes(destroyed(path, damage, random.Random(seed)))
                results.append(read(path, truth))
            wrong += sum(each.wrong for each in results)
            print(
                f"{level:9} {damage:21} {seeds} files: "
                f"{statistics.mean(each.rows for each in results) / len(truth):6.1%} of the rows, "
                f"{statistics.mean(each.values for each in results) / values:6.1%} of the values, "
                f"{sum(each.wrong for each in results)} wrong, "
                f"{statistics.median(each.seconds for each in results):.1f} s",
                flush=True,
            )
    return wrong


def main() -> int:
    """The command; 1 if a value came back that was not written."""
    parser = argparse.ArgumentParser(prog="python tests/damage/unlisted.py", description=__doc__)
    parser.add_argument("--data", help="Parquet file; by default the docstrings of this Python")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(survey(Path(folder), rows_of(arguments.data, None), arguments.seeds) > 0)


if __name__ == "__main__":
    sys.exit(main())
