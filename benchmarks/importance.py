"""Which rows outlive what takes the high frequencies away.

``python -m benchmarks.importance [--rows 5000] [--data …]`` prints it.

Of every thousand rows the first hundred have importance 1, the last two hundred 0, the others none. Needs
ffmpeg and sox. Prints Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pyarrow as pa

from audiomem_sql.errors import AudioMemError, DamageWarning
from audiomem_sql.table.table import Table
from benchmarks.__main__ import rows_of
from benchmarks.sound import PROCESSES, sox

MODE = {"modulation": "spectrum", "band_plan": "mission", "robustness": "broadcast", "profile": "desktop"}
LOSSES = {
    "low-pass at 15 kHz": sox("sinc", "-15000"),
    "low-pass at 12 kHz": sox("sinc", "-12000"),
    "low-pass at 8 kHz": sox("sinc", "-8000"),
    **{name: process for name, process in PROCESSES.items() if name.startswith("MP3")},
}
WEIGHTS = (1.0, *[None] * 7, 0.0, 0.0)
RUN = 100


def weight(rowid: int) -> float | None:
    """The importance of a row."""
    return WEIGHTS[(rowid - 1) // RUN % len(WEIGHTS)]


def kept(path: Path, expected: dict[int, str]) -> Counter[float | None]:
    """How many rows of each importance are read as they were; ``AssertionError`` for one that is wrong."""
    counts: Counter[float | None] = Counter()
    try:
        with Table(path, on_damage="skip") as table:
            for row in table.to_arrow().to_pylist():
                assert row["body"] == expected[row["id"]]
                counts[row["importance"]] += 1
    except AudioMemError:
        pass  # nothing of it can be read
    return counts


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="Parquet file; by default docstrings of this Python")
    parser.add_argument("--rows", type=int, default=5000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", DamageWarning)
    rows: pa.Table = rows_of(arguments.data, arguments.rows)
    bodies = dict(enumerate(rows["body"].to_pylist(), 1))
    written = Counter(weight(rowid) for rowid in bodies)
    print("| process | protection | of importance 1 | without | of importance 0 |")
    print("|---|---|---|---|---|")
    for protection in ("none", "archive"):
        with tempfile.TemporaryDirectory() as folder:
            path, heard = Path(folder) / "t.flac", Path(folder) / "heard.flac"
            columns = ["id INTEGER PRIMARY KEY", "body TEXT", "importance REAL"]
            with Table.create(path, columns, {**MODE, "protection": protection}) as table:
                table.append([{"id": n, "body": body, "importance": weight(n)} for n, body in bodies.items()])
                table.vacuum()
            for name, process in LOSSES.items():
                try:
                    process(path, heard)
                except subprocess.CalledProcessError:
                    continue
                outlived = kept(heard, bodies)
                shares = [f"{100 * outlived[value] / written[value]:.4g} %" for value in (1.0, None, 0.0)]
                print(f"| {name} | {protection} | " + " | ".join(shares) + " |", flush=True)


if __name__ == "__main__":
    main()
