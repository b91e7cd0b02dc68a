"""What the bar of an ingest shows: that more is to do than reading, and which work is done now."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from audiomem_sql.cli.ingest_progress import READ, READ_TO_EMBED, IngestProgress
from audiomem_sql.cli.progress import Bar


class Shown:
    """An ingest on a bar that nobody sees, and what is on it."""

    def __init__(self) -> None:
        self.progress = Progress(console=Console(file=io.StringIO()))
        self.bar = Bar(self.progress, self.progress.add_task("looking", total=None, unit="bytes"))
        self.ingest = IngestProgress(self.bar)

    @property
    def done(self) -> float:
        return self.progress.tasks[0].completed

    @property
    def lines(self) -> list[tuple[str, float, float | None]]:
        """Each line: what it says, what is done, of what in all."""
        return [(task.description, task.completed, task.total) for task in self.progress.tasks]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    monkeypatch.setattr("audiomem_sql.cli.progress._STEP_SECONDS", 0.0)
    return Shown()


def test_what_is_read_and_not_written_is_half_done(shown: Shown) -> None:
    shown.ingest.begin(None, is_slow=False)
    shown.ingest.read(100, 400, waits=True)
    assert shown.done == READ * 100
    shown.ingest.read(100, 400, waits=False)  # it is as it was
    assert shown.done == READ * 100 + 100
    shown.ingest.commit("7 rows")
    assert shown.lines == [("writing 7 rows", READ * 100 + 100, 400)]
    shown.ingest.read(200, 400, waits=True)
    assert shown.done == 200 + READ * 200
    shown.ingest.commit("9 rows")
    shown.ingest.end()
    assert shown.lines == [("writing 9 rows", 400, 400)]


def test_a_large_source_is_shown_while_it_is_read(shown: Shown) -> None:
    shown.ingest.begin(None, is_slow=False)
    shown.ingest.reading(100, 1000)
    assert shown.done == READ * 100
    shown.ingest.reading(600, 1000)
    assert shown.done == READ * 600
    shown.ingest.read(800, 1000, waits=True)
    assert shown.done == READ * 800
    shown.ingest.commit("5 rows")
    shown.ingest.reading(100, 1000)
    assert (shown.done, shown.lines[0][2]) == (800 + READ * 100, 1000)


def test_embedding_is_most_of_the_work(shown: Shown) -> None:
    shown.ingest.begin("all-MiniLM-L6-v2 (onnx)", is_slow=True)
    shown.ingest.read(1000, 2000, waits=True)
    assert shown.done == round(READ_TO_EMBED * 1000)
    shown.ingest.commit("8 rows")
    assert shown.lines == [("loading all-MiniLM-L6-v2 (onnx)", 20, 2000)]
    shown.ingest.embed(3, 6)
    assert shown.lines == [("embedding 8 rows", 510, 2000), ("with all-MiniLM-L6-v2 (onnx)", 3, 6)]
    shown.ingest.embed(6, 6)
    shown.ingest.write()
    assert shown.lines == [("writing 8 rows", 1000, 2000)]
    shown.ingest.read(1000, 2000, waits=True)
    shown.ingest.commit("2 rows")  # the model is there by now
    assert shown.lines == [("embedding 2 rows", 1020, 2000)]
    shown.ingest.embed(0, 0)  # all texts are known
    assert shown.done == 1020
    shown.ingest.end()
    assert shown.lines == [("embedding 2 rows", 2000, 2000)]


def test_a_model_that_is_quick_to_load_is_not_waited_for(shown: Shown) -> None:
    shown.ingest.begin("hashing", is_slow=False)
    shown.ingest.read(10, 10, waits=True)
    shown.ingest.commit("1 row")
    assert shown.lines[0][0] == "embedding 1 row"
    shown.ingest.begin("all-MiniLM-L6-v2 (onnx)", is_slow=True)
    shown.ingest.commit("1 row")
    assert shown.lines[0][0] == "embedding 1 row"  # it was loaded for the texts before


def test_the_bar_never_goes_back(shown: Shown) -> None:
    """Rows that move are one commit, new ones another, for the same sources."""
    shown.ingest.begin("hashing", is_slow=False)
    shown.ingest.read(1000, 3000, waits=True)
    shown.ingest.commit("1 row")
    shown.ingest.embed(1, 1)
    shown.ingest.commit("2 rows")
    shown.ingest.embed(1, 4)
    assert shown.done == 1000
    shown.ingest.read(1000, 3000, waits=True)
    assert shown.done == 1020


def test_amounts_that_come_close_together_are_one_but_for_the_last() -> None:
    shown = Shown()
    for done in range(1001):
        shown.bar.to(done, 1000)
    assert shown.done == 1000
    assert len(shown.progress.tasks[0]._progress) < 5
