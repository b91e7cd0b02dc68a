"""``benchmarks/speed.py``: every row of its table comes, and docs/SPEED.md has them all."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import speed
from benchmarks.speed_goals import GOALS, Figure, Goal, ratio, reached, told
from benchmarks.speed_page import MARKS, fill

PAGE = Path(__file__).parents[2] / "docs" / "SPEED.md"
TEXT = "the kernel reads a page of the disk and writes what it has read to a log of its own"


def corpus(path: Path) -> Path:
    """Some rows of text, as a Parquet file."""
    words = TEXT.split()
    bodies = [" ".join(words[(row * step) % len(words)] for step in range(9, 40)) for row in range(300)]
    table = pa.table(
        {
            "id": range(1, 301),
            "source": [f"source {row % 7}" for row in range(300)],
            "title": [f"title {row}" for row in range(300)],
            "created_at": [f"2024-01-01 10:{row // 60:02}:{row % 60:02}" for row in range(300)],
            "body": bodies,
        }
    )
    pq.write_table(table, path)
    return path


def run(folder: Path, *words: str) -> dict[str, dict[str, Any]]:
    """The figures of a run over small tables."""
    data, kept, picture = corpus(folder / "rows.parquet"), folder / "speed.json", folder / "speed.png"
    sizes = ("--rows", "300", "--big", "600", "--repeat", "1")
    places = ("--folder", str(folder), "--json", str(kept), "--picture", str(picture))
    speed.main(["--data", str(data), *sizes, *places, *words])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("audiomem-speed-*"))
    figures: dict[str, dict[str, Any]] = json.loads(kept.read_text())["figures"]
    return figures


def test_every_row_comes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(tmp_path)
    assert list(figures) == [goal.row for goal in GOALS]
    for row, figure in figures.items():
        for name in ("ours", "peer_figure", "times_better"):
            value = figure[name]
            assert isinstance(value, float), row
            assert 0 < value < math.inf, row
        assert (figure["met"] is None) == (figure["goal"] == "–"), row
    printed = capsys.readouterr().out
    assert all(goal.row in printed for goal in GOALS)


def test_rows_are_chosen(tmp_path: Path) -> None:
    chosen = run(tmp_path, "--only", "range of ids", "INSERTs in")
    assert list(chosen) == ["range of ids, SQLite, first", "INSERTs in one commit"]


def test_a_row_that_there_is_not() -> None:
    with pytest.raises(SystemExit, match="no row is called 'teatime'"):
        speed.chosen(["teatime"])


def test_each_row_has_one_part_that_measures_it() -> None:
    for goal in GOALS:
        assert sum(goal.row.startswith(beginnings) for _, beginnings in speed.PARTS) == 1, goal.row


@pytest.mark.parametrize(
    ("goal", "figure", "better", "share"),
    [
        (Goal("scan", "Parquet", 0.5), Figure(20, 8), 0.4, 0.8),
        (Goal("vacuum", "zstd", 0.5, "times", "MB/s"), Figure(20, 80), 0.25, 0.5),
        (Goal("open", "DuckDB", 5, "most"), Figure(2, 14), 7, 2.5),
        (Goal("vacuum", "SQLite", 100, "least", "MB/s"), Figure(50, 25), 2, 0.5),
        (Goal("peak memory", "Parquet", None, "times", "MB"), Figure(200, 100), 0.5, math.nan),
    ],
)
def test_how_far_a_figure_is_from_its_goal(goal: Goal, figure: Figure, better: float, share: float) -> None:
    assert ratio(goal, figure) == pytest.approx(better)
    assert reached(goal, figure) == pytest.approx(share, nan_ok=True)


def rows_on(page: Path) -> dict[str, str]:
    """The goals on a page, by row."""
    table = page.read_text().partition(MARKS[0])[2].partition(MARKS[1])[0]
    return dict(re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|", table, re.MULTILINE))


def test_the_page_has_every_row_and_its_goal() -> None:
    there = rows_on(PAGE)
    assert {goal.row: there.get(goal.row) for goal in GOALS} == {goal.row: told(goal) for goal in GOALS}


def test_figures_that_were_kept_are_put_into_a_page(tmp_path: Path) -> None:
    figures = run(tmp_path, "--only", "INSERTs")
    page, again = tmp_path / "page.md", tmp_path / "again.json"
    page.write_text(f"before\n\n{MARKS[0]}\nstale figures\n{MARKS[1]}\n\nafter\n")
    speed.main(["--figures", str(tmp_path / "speed.json"), "--page", str(page), "--json", str(again)])
    assert json.loads(again.read_text())["figures"] == figures
    text = page.read_text()
    assert text.startswith("before\n\n")
    assert text.endswith("\n\nafter\n")
    assert "stale figures" not in text
    assert len(rows_on(page)) == 1 + len(GOALS)
    (line,) = (line for line in text.splitlines() if line.startswith("| INSERTs"))
    better = figures["INSERTs in one commit"]["times_better"]
    assert f"| {better:.2g} x |" in line


def test_a_page_without_a_place_for_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(SystemExit, match="has no place for the table"):
        fill(page, {}, {})
    assert page.read_text() == "nothing\n"
