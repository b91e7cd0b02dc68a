"""Files that are begun before their turn: the order of their rows, their errors, and how they end."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.errors import QueryError
from audiomem_sql.machine.interrupts import check_interrupt
from audiomem_sql.vtab.duckdb import files_ahead
from audiomem_sql.vtab.duckdb.files_ahead import one_after_another
from audiomem_sql.vtab.duckdb.scanning import audiomem_scan


def batch(number: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"n": [number]})


class Files:
    """Files of some batches each; ``begun``: those that are read by now."""

    def __init__(self, batches: list[int]) -> None:
        self.begun: list[int] = []
        self.made = [self._file(number, count) for number, count in enumerate(batches)]

    def _file(self, number: int, count: int) -> Callable[[], Iterator[pa.RecordBatch]]:
        def rows() -> Iterator[pa.RecordBatch]:
            self.begun.append(number)
            for place in range(count):
                yield batch(100 * number + place)

        return rows


@pytest.fixture(autouse=True)
def _two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.mark.parametrize("ahead", [True, False])
def test_rows_come_in_the_order_of_the_files(ahead: bool) -> None:
    counts = [3, 0, 1, 0, 0, 5, 2, 1, 0]
    files = Files(counts)
    found = [each["n"][0].as_py() for each in one_after_another(files.made, ahead=ahead)]
    assert found == [100 * number + place for number, count in enumerate(counts) for place in range(count)]
    assert sorted(files.begun) == list(range(len(counts)))
    assert list(one_after_another([])) == []


def test_files_that_nobody_asks_for_are_not_begun() -> None:
    files = Files([2] * 9)
    rows = one_after_another(files.made)
    next(rows)
    time.sleep(0.02)
    assert files.begun == [0]
    next(rows)
    wait_until(lambda: len(files.begun) == 3)
    time.sleep(0.02)
    assert sorted(files.begun) == [0, 1, 2]
    next(rows), next(rows)
    wait_until(lambda: len(files.begun) == 4)
    time.sleep(0.02)
    assert sorted(files.begun) == [0, 1, 2, 3]
    rows.close()
    alone = Files([2] * 3)
    rows = one_after_another(alone.made, ahead=False)
    next(rows), next(rows)
    assert alone.begun == [0]


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_an_error_comes_where_its_file_would() -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        raise QueryError("this one cannot be read")
        yield

    files = Files([2, 2, 2])
    rows = one_after_another([*files.made, broken, *files.made])
    assert [next(rows)["n"][0].as_py() for _ in range(6)] == [0, 1, 100, 101, 200, 201]
    with pytest.raises(QueryError, match="cannot be read"):
        next(rows)


def test_what_has_begun_ends_when_nobody_asks_any_more() -> None:
    running, ended = threading.Event(), threading.Event()

    def endless() -> Iterator[pa.RecordBatch]:
        running.set()
        try:
            while True:
                check_interrupt()
                time.sleep(0.001)
        finally:
            ended.set()
        yield

    rows = one_after_another([*Files([2]).made, endless, endless, endless])
    next(rows), next(rows)
    assert running.wait(20)
    rows.close()
    assert ended.wait(20)


@pytest.mark.damages
def test_a_query_over_files_in_their_order(loaded: Any) -> None:
    for number in range(5):
        rows = [{"n": 10_000 * number + place, "s": f"text {place}" * 40} for place in range(4000)]
        am.write_flac(rows, f"t{number}.flac").close()
    loaded.execute("SET preserve_insertion_order = true; SET threads = 2")
    found = [n for (n,) in loaded.execute("SELECT n FROM 't*.flac'").fetchall()]
    assert found == [10_000 * number + place for number in range(5) for place in range(4000)]
    whole = Path("t3.flac").read_bytes()
    Path("t3.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(duckdb.Error, match=r"t3\.flac"):
        loaded.execute("SELECT sum(length(s)) FROM 't*.flac'").fetchall()
    assert loaded.execute("SELECT count(*) FROM 't[0-2].flac' WHERE n % 10000 = 7").fetchone() == (3,)


def test_a_profile_that_decodes_nothing_ahead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(3):
        am.write_flac([{"n": number}], tmp_path / f"t{number}.flac", profile="embedded").close()
    monkeypatch.setattr(files_ahead, "_pool", lambda: pytest.fail("a thread was asked for"))
    source = audiomem_scan(str(tmp_path / "*.flac"), None, None, None)
    assert [each["n"][0].as_py() for each in source.batches([0])] == [0, 1, 2]
    gc.collect()
