"""What passages of long texts are worth: nDCG@10 by meaning and by both, with passages and without.

    python -m benchmarks.passages --cache FOLDER

The texts are those of the set ``answers`` of ``benchmarks.quality_sets``: as they are, five joined to one
text, in their order, so that four of five answers stand behind the beginning of a text, and both mixed: half
of them joined, the others as they are. What an answer was joined to is an answer, and the queries are the
same. Needs apt-get and the extras ``semantic`` and ``onnx``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, repeat
from pathlib import Path

import numpy as np

from audiomem_sql.table.table import Table
from benchmarks.quality_measures import bootstrap
from benchmarks.quality_sets import JudgedSet, Packages, answers
from benchmarks.retrieval import ndcg

#: Sections of a long text.
JOINED = 5
MODES = ("semantic", "hybrid")


def grouped(judged: JudgedSet, name: str, counts: Iterable[int]) -> JudgedSet:
    """The same with runs of texts joined; counts: how many each takes, as long as there are some."""
    long = JudgedSet(name)
    row_of: list[int] = []
    runs = iter(counts)
    while len(row_of) < len(judged.texts):
        run = judged.texts[len(row_of) : len(row_of) + next(runs)]
        row_of += [len(long.texts)] * len(run)
        long.texts.append("\n\n".join(run))
    for query, rows in judged.queries:
        grades: dict[int, int] = {}
        for row, grade in rows.items():
            grades[row_of[row]] = max(grade, grades.get(row_of[row], 0))
        long.queries.append((query, grades))
    return long


def joined(judged: JudgedSet, count: int = JOINED) -> JudgedSet:
    """The same with ``count`` texts in the place of one."""
    return grouped(judged, f"{judged.name}, {count} in a text", repeat(count))


def mixed(judged: JudgedSet, count: int = JOINED) -> JudgedSet:
    """The same with half of the texts joined, ``count`` to one, and the others as they are."""
    return grouped(judged, f"{judged.name}, half of them so", cycle([count, *[1] * count]))


@contextmanager
def table_of(texts: Sequence[str], passages: str) -> Iterator[Table]:
    """A table of the texts."""
    columns = ["row INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED"]
    with tempfile.TemporaryDirectory() as folder:
        options = {"model_backend": "onnx", "passages": passages}
        with Table.create(Path(folder) / "t.flac", columns, options) as table:
            table.append([{"row": row, "body": text} for row, text in enumerate(texts)])
            table.vacuum()
            yield table


def figures(judged: JudgedSet, table: Table) -> dict[str, list[float]]:
    """nDCG@10 of each query, by mode."""
    found: dict[str, list[float]] = {mode: [] for mode in MODES}
    for mode, query, grades in ((mode, *each) for mode in MODES for each in judged.queries):
        rows = table.search(f"{mode}: {query}", 10, columns=["row"])["row"].to_pylist()
        found[mode].append(ndcg(rows, grades))
    return found


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, required=True, help="where packages are kept")
    parser.add_argument("--texts", type=int, help="so many, those with the answers first")
    arguments = parser.parse_args()
    judged = answers(Packages(arguments.cache / "packages"))
    judged.texts = judged.texts[: arguments.texts]
    print("| texts | search | without passages | with | difference |\n|---|---|---|---|---|")
    for each in (joined(judged), mixed(judged), judged):
        by_passages = {}
        for passages in ("off", "on"):
            with table_of(each.texts, passages) as table:
                by_passages[passages] = figures(each, table)
        for mode in MODES:
            without, with_them = (by_passages[passages][mode] for passages in ("off", "on"))
            gain = bootstrap(with_them, without)
            print(
                f"| {each.name} ({len(each.texts):,}) | {mode} | {100 * np.mean(without):.1f} "
                f"| {100 * np.mean(with_them):.1f} | {100 * gain.mean:+.1f} "
                f"({100 * gain.low:.1f} to {100 * gain.high:.1f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
