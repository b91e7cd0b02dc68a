"""What protection costs while nothing is damaged: ``python -m benchmarks.damage --data FILE.parquet``.

Writing with and without parity; reading with and without the checksum of every cell. Medians of several runs
that take turns, because a shared machine is faster at one time than at another.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa

import audiomem_sql as am
from audiomem_sql.arrays import BoolArray, U8Array
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.protection.crc32c import Crc32cCells
from audiomem_sql.storage.pages.file import PagedFile
from audiomem_sql.table.table import Table
from benchmarks.__main__ import rows_of
from benchmarks.timing import once

LEVELS = ("none", "standard", "archive")
PIECES = (1 << 20, 16 << 10)


@contextmanager
def unchecked() -> Iterator[None]:
    """Cells are taken apart, and their checksums are not looked at."""

    def decode(self: Crc32cCells, cells: U8Array, seed: int, first: int) -> tuple[U8Array, BoolArray]:
        return np.ascontiguousarray(cells[:, : self.payload_bytes]), np.ones(len(cells), bool)

    with mock.patch.object(Crc32cCells, "decode", decode):
        yield


def medians(works: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Seconds of each, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            seconds[name].append(once(work))
    return {name: statistics.median(samples) for name, samples in seconds.items()}


def writing(folder: Path, table: pa.Table, runs: int) -> None:
    """`write_flac` at zstd's fastest level, by protection."""

    def write(level: str) -> None:
        am.write_flac(
            table, folder / f"{level}.flac", primary_key="id", protection=level, compression_level=1
        ).close()

    def again(level: str) -> None:
        (folder / f"{level}.flac").unlink(missing_ok=True)
        write(level)

    works: dict[str, Callable[[], object]] = {level: lambda level=level: again(level) for level in LEVELS}  # type: ignore[misc]
    seconds = medians(works, runs)
    raw = sum(column.nbytes for column in table.columns) / 1e6
    for level in LEVELS:
        size = os.path.getsize(folder / f"{level}.flac") / 1e6
        print(
            f"write_flac, {level:9} {raw / seconds[level]:6.0f} MB/s of values, "
            f"{size / seconds[level]:6.1f} MB/s of file, "
            f"{seconds[level] / seconds['none']:.2f} of the time of none",
            flush=True,
        )


def reading(folder: Path, runs: int) -> None:
    """The payload of a whole file, in pieces, and all rows of the table, with and without checksums."""
    for level in LEVELS:
        file = PagedFile.open(str(folder / f"{level}.flac"))
        pages = file.page_count if file.map is None else file.map.source
        length = pages * file.layout.payload_bytes
        for piece in PIECES:

            def read(file: PagedFile = file, piece: int = piece, length: int = length) -> None:
                for at in range(0, length, piece):
                    file.read(0, at, min(piece, length - at))

            def blindly(read: Callable[[], None] = read) -> None:
                with unchecked():
                    read()

            seconds = medians({"checked": read, "unchecked": blindly}, runs)
            print(
                f"read, {level:9} pieces of {piece >> 10:5} KiB: "
                f"{length / 1e6 / seconds['checked']:6.0f} MB/s checked, "
                f"{length / 1e6 / seconds['unchecked']:6.0f} unchecked: "
                f"{seconds['checked'] / seconds['unchecked'] - 1:+.0%} time",
                flush=True,
            )
        file.close()

        def scan(path: Path = folder / f"{level}.flac") -> None:
            with Table(path, cache=BlockCache()) as table:
                table.to_arrow()

        def scan_blindly(scan: Callable[[], None] = scan) -> None:
            with unchecked():
                scan()

        seconds = medians({"checked": scan, "unchecked": scan_blindly}, runs)
        print(
            f"all rows, {level:9} {seconds['checked'] * 1e3:.0f} ms checked, "
            f"{seconds['unchecked'] * 1e3:.0f} unchecked: "
            f"{seconds['checked'] / seconds['unchecked'] - 1:+.0%} time",
            flush=True,
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.damage", description=__doc__)
    parser.add_argument("--data", help="Parquet file; by default the docstrings of this Python")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    table = rows_of(arguments.data, None)
    with tempfile.TemporaryDirectory() as folder:
        writing(Path(folder), table, arguments.runs)
        reading(Path(folder), arguments.runs)


if __name__ == "__main__":
    main()
