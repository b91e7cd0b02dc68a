"""``make damage``: every kind of damage, many times, beside the peers.

Exits with 1 if anything came back wrong from ours.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.__main__ import machine, repeated, rows_of
from damage.campaign import LOST, MOVED, SCATTERED, Report, run_all
from damage.ours import Ours
from damage.peers import PAR2_BLOCKS, Parquet, Sqlite, SqlitePar2
from damage.picture import draw
from damage.tables import markdown

SMALL = 1000
PARTS = ("lost", "scattered", "moved")


def overheads(folder: Path, table: Any) -> dict[str, dict[str, int]]:
    """Bytes of a file by rows and level."""
    sizes: dict[str, dict[str, int]] = {}
    for count in (SMALL, len(table)):
        for level in ("none", "standard", "archive"):
            home = folder / f"{count}-{level}"
            home.mkdir()
            store = Ours(home, table.slice(0, count), level)
            sizes.setdefault(f"{count:,}", {})[level] = len(store.data)
    return sizes


def parsed_arguments() -> argparse.Namespace:
    """What the command line says, with the defaults that follow from the number of seeds."""
    parser = argparse.ArgumentParser(prog="python tests/damage", description=__doc__)
    parser.add_argument("--data", help="Parquet file; by default the docstrings of this Python")
    parser.add_argument("--copies", type=int, default=1, help="repeat the rows so many times")
    parser.add_argument("--seeds", type=int, default=100, help="files with 15 %% of the sectors overwritten")
    parser.add_argument("--others", type=int, help="files of every other kind; a fifth of --seeds by default")
    parser.add_argument("--each-rate", type=int, help="files of each rate of scattered bytes; a twentieth")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--par2-blocks", type=int, default=PAR2_BLOCKS)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out"), help="where the results go")
    arguments = parser.parse_args()
    arguments.others = arguments.others or max(1, arguments.seeds // 5)
    arguments.each_rate = arguments.each_rate or max(1, arguments.seeds // 20)
    return arguments


def main() -> int:
    """The command."""
    arguments = parsed_arguments()
    others, rates = arguments.others, arguments.each_rate
    table = rows_of(arguments.data, None)
    if arguments.copies > 1:
        table = repeated(table, arguments.copies * len(table)).combine_chunks()
    report: Report = {}
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="audiomem-damage-") as name:
        folder = Path(name)
        sizes = overheads(folder, table)
        levels = {level: Ours(folder, table, level) for level in ("none", "standard", "archive")}
        archive = levels["archive"]
        if "lost" in arguments.parts:
            seeds = [arguments.seeds] + [others] * (len(LOST) - 1)
            run_all(archive, zip(LOST, seeds, strict=True), report, _say)
        if "moved" in arguments.parts:
            for level in ("none", "archive"):
                run_all(levels[level], [(damage, others) for damage in MOVED], report, _say)
        if "scattered" in arguments.parts:
            for store in levels.values():
                run_all(store, [(damage, rates) for damage in SCATTERED], report, _say)
            if not arguments.no_peers:
                run_all(Sqlite(folder, table), [(damage, rates) for damage in SCATTERED], report, _say)
                parquet = Parquet(folder, table)
                run_all(parquet, [(damage, rates) for damage in SCATTERED], report, _say)
                parquet.close()
                if shutil.which("par2"):
                    extra = len(archive.data) / len(levels["none"].data) - 1
                    par2 = SqlitePar2(folder, table, extra, arguments.par2_blocks)
                    print(f"par2: {par2.blocks:,} blocks, {par2.extra:.1%} more bytes", flush=True)
                    run_all(par2, [(damage, max(1, rates // 2)) for damage in SCATTERED], report, _say)
    ours = [figures for level in levels for figures in report.get(level, {}).values()]
    result = {
        "machine": machine(),
        "rows": len(table),
        "bytes": sizes,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "values_compared": sum(figures["values"] for figures in ours),
        "values_wrong": sum(figures["wrong"] for figures in ours),
        "damage": report,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "damage.json").write_text(json.dumps(result, indent=1) + "\n")
    if "scattered" in arguments.parts:
        draw(report, arguments.out / "damage.png")
    print(markdown(result))
    return int(result["values_wrong"] > 0 or any(figures["foreign"] for figures in ours))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
