"""What processes that search shards do when they are killed, or when the table changes."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from indexes.vectors.clustered import clustered

from audiomem_sql.connections import connect
from audiomem_sql.errors import AudioMemError, InterruptError, OptionError, QueryError
from audiomem_sql.indexes.vectors import index_writing, visits
from audiomem_sql.machine.interrupts import watch
from audiomem_sql.search.ranking import processes
from audiomem_sql.search.ranking.parallel_ranking import ParallelRanking
from audiomem_sql.search.ranking.processes import (
    Session,
    Worker,
    WorkerFailedError,
    Workers,
    shares,
    workers_of,
)
from audiomem_sql.search.ranking.vector_ranking import VectorRanking
from audiomem_sql.search.shard_searches import ShardSearches
from audiomem_sql.shards import ShardedSnapshot
from audiomem_sql.table.table import Table
from shards import search_processes
from shards.search_processes import started

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "vec FLOAT[8] INDEXED"]


def _rows(first: int, count: int) -> list[dict[str, Any]]:
    vectors = np.random.default_rng(first).normal(size=(count, 8)).astype(np.float32)
    return [
        {"id": first + n, "body": f"kara{n % 5} number{first + n}", "vec": vectors[n].tolist()}
        for n in range(count)
    ]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AUDIOMEM_SEARCH_PROCESSES", "2")
    with Table.create(tmp_path / "t.shards", COLUMNS, {"profile": "embedded", "shards": 4}) as table:
        table.append(_rows(0, 300))
    return str(tmp_path / "t.shards")


def _ids(table: Table, where: str | None = None) -> list[list[int]]:
    vector = np.ones(8, np.float32)
    asked: list[dict[str, Any]] = [
        {"query": "kara1 number7", "column": "body"},
        {"query": vector, "column": "vec"},
    ]
    return [table.search(k=8, where=where, **each)["id"].to_pylist() for each in asked]


def _is_there(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_process_that_is_killed_and_the_end(path: str) -> None:
    with Table(path) as table:
        expected = _ids(table)  # while they start
        workers = started(table)
        assert len(workers) == 1
        first = workers.ids
        assert _ids(table) == expected
        assert workers.searches == 2
        for process in first:
            os.kill(process, signal.SIGKILL)
        assert _ids(table) == expected
        started(table)
        assert not {*first} & {*workers.ids}
        searches = workers.searches
        assert _ids(table) == expected
        assert workers.searches == searches + 2
        with workers.turn() as turn:  # one search at a time has them
            assert turn is not None
            assert _ids(table) == expected
        assert workers.searches == searches + 3
        second = workers.ids
    assert not any(map(_is_there, second))


def test_processes_end_with_the_one_that_asks(path: str) -> None:
    done = subprocess.run(
        [sys.executable, search_processes.__file__, path], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    ids = [int(word) for word in done.stdout.split()]
    assert len(ids) == 1
    end = time.monotonic() + 30
    while any(map(_is_there, ids)):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_version_that_is_searched(path: str) -> None:
    """It is that of the one who asks, whatever was committed since; a transaction is searched by it alone."""
    with Table(path) as table, Table(path) as other:
        workers = started(table)
        before = _ids(table)
        number = table.version
        other.append(_rows(1000, 40))
        other.checkpoint()
        transaction = other.begin()
        for rowid in before[1]:
            transaction.delete(rowid)
        own = _ids(other)
        assert not {*before[1]} & {*own[1]}
        other.commit()
        assert _ids(table) == before
        assert workers.searches == 4
        table.refresh()
        assert _ids(table) == own
        assert workers.searches == 6
        with Table(path, version=number) as old:
            started(old)
            assert _ids(old) == before


def test_lists_are_chosen_for_all_processes_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they look through what one process would: vectors, texts, and texts that are cut."""
    monkeypatch.setenv("AUDIOMEM_SEARCH_PROCESSES", "2")
    monkeypatch.setattr(index_writing, "MIN_CLUSTERED", 2000)
    options = {"profile": "embedded", "shards": 4, "model": "hashing", "passages": "on"}
    columns = ["id INTEGER PRIMARY KEY", "near FLOAT[16] INDEXED", "body TEXT SEMANTIC"]
    vectors = clustered(2400)[:, :16].copy()
    long = " ".join(f"mise{number} lose." for number in range(40))
    texts = [f"kara{n % 37} nuxu{n % 11} {long if n % 300 == 0 else ''}" for n in range(2400)]
    with Table.create(tmp_path / "t.shards", columns, options) as table:
        table.append(pa.table({"id": range(2400), "near": vectors.tolist(), "body": texts}))
        table.vacuum()
    with Table(tmp_path / "t.shards") as table:
        workers = started(table)
        snapshot = table.snapshot
        schema = snapshot.schema
        for column, query in ((schema.names.index("near"), vectors[7]), (next(iter(schema.passages)), None)):
            if query is None:
                query = np.random.default_rng(3).normal(size=schema.columns[column].type.width)
                query = (query / np.linalg.norm(query)).astype(np.float32)
            alone = VectorRanking(snapshot, column, query, (), None)
            own = ParallelRanking(snapshot, column, query, (), None)
            searches = workers.searches
            monkeypatch.setattr(visits, "LEAST_SEEN", 300)
            monkeypatch.setattr(visits, "LEAST_ALLOWED", 100)
            found = own.best(40)
            assert workers.searches == searches + 1
            expected = alone.best(40)
            assert found[0].tolist() == expected[0].tolist()
            assert np.array_equal(found[1], expected[1])
            monkeypatch.setattr(visits, "LEAST_SEEN", 50_000)
            assert alone.best(40)[0].tolist() != expected[0].tolist()


def test_another_commit_in_the_place_of_the_version(path: str) -> None:
    """As where the folder was replaced by a copy of another state: whoever asks looks by itself."""
    with Table(path) as table:
        snapshot = table.snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        asked = "nearest", (1, 2, np.ones(8, np.float32), (), None, 5)
        place, pins = (snapshot.place, snapshot.version), snapshot.pins
        rowids, _ = ShardSearches().answer(pickle.dumps(((*place, pins), [0, 1], pickle.dumps(asked), ())))
        assert len(rowids) == 5
        pins = (replace(pins[0], time=pins[0].time + 1), *pins[1:])
        with pytest.raises(AudioMemError, match="another one"):
            ShardSearches().answer(pickle.dumps(((*place, pins), [0, 1], pickle.dumps(asked), ())))
        with pytest.raises(QueryError):
            ShardSearches().answer(pickle.dumps(((place[0], 99, pins), [0, 1], pickle.dumps(asked), ())))


def test_filters_of_sql(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that a connection lets through, by functions of its own, count in every process."""
    is_ready, used = Workers.ready, []

    def waits(workers: Workers) -> bool:
        used.append(workers)
        while not is_ready(workers):
            time.sleep(0.01)
        return True

    monkeypatch.setattr(Workers, "ready", waits)
    connection = connect(path, "t")
    connection.create_scalar_function("is_mine", lambda number: number % 3 == 1)
    sql = "SELECT id FROM t WHERE t MATCH 'kara1' AND filter = 'is_mine(id) OR id = 6' LIMIT 400"
    found = sorted(row[0] for row in connection.execute(sql))
    assert found == [n for n in range(300) if n % 5 == 1 and (n % 3 == 1 or n == 6)]
    assert used[0].searches
    connection.close()


def test_a_search_that_is_interrupted(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that owes an answer is ended, so that the next search does not take it for its own."""
    with Table(path) as table:
        workers = started(table)
        expected = _ids(table)
        first = workers.ids

        def interrupted(worker: Worker) -> Any:
            raise InterruptError("interrupted")

        with monkeypatch.context() as patch:
            patch.setattr(Worker, "answer", interrupted)
            with pytest.raises(InterruptError):
                table.search("kara1", column="body")
        assert not any(map(_is_there, first))
        assert _ids(table) == expected
        started(table)
        assert _ids(table) == expected
        before = watch(lambda: True)
        time.sleep(0.1)
        try:
            with pytest.raises(InterruptError):
                table.search("kara1", column="body")
        finally:
            watch(before)


def test_only_the_process_that_ended_is_started_anew(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_SEARCH_PROCESSES", "3")
    with Table(path) as table:
        workers = started(table)
        expected, (first, second) = _ids(table), workers.ids
        os.kill(first, signal.SIGKILL)
        assert _ids(table) == expected
        assert workers.lost == 1
        started(table)
        assert workers.ids[1] == second
        with pytest.raises(WorkerFailedError):
            _ask(table, workers, "nothing", 1)  # what they cannot do
        assert (workers.ids[1], workers.lost) == (second, 1)
        with pytest.raises(WorkerFailedError):
            _ask(table, workers, "nearest", lambda: 1)  # what cannot be sent
        assert _ids(table) == expected
        assert (workers.ids[1], workers.lost) == (second, 0)


def _ask(table: Table, workers: Workers, *asked: Any) -> None:
    assert isinstance(table.snapshot, ShardedSnapshot)
    with workers.turn() as turn:
        assert turn is not None
        session = Session(table.snapshot, turn)
        session.ask(*asked)
        session.answers()


def test_processes_that_never_start(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_MAIN", "raise SystemExit(1)")
    with Table(path) as table:
        found = workers_of(table.snapshot)
        assert found is not None
        with pytest.warns(RuntimeWarning, match="searches alone"):
            _search_until(table, lambda: not found[1].ids and found[1].lost == processes.MOST_LOST)
        assert not found[1].ids
        assert len(_ids(table)[0]) == 8


def _search_until(table: Table, is_done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_done():
        assert time.monotonic() < end
        assert len(_ids(table)[0]) == 8


@pytest.mark.parametrize("chosen", ["0", "two", "-1", "1000", "²"])
def test_numbers_that_cannot_be(path: str, monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setenv("AUDIOMEM_SEARCH_PROCESSES", chosen)
    with Table(path) as table, pytest.raises(OptionError, match="AUDIOMEM_SEARCH_PROCESSES"):
        table.search("kara1", column="body")


def test_shares(path: str) -> None:
    with Table(path) as table:
        snapshot = table.snapshot
        assert isinstance(snapshot, ShardedSnapshot)
        assert [len(share) for share in shares(snapshot, 3)] == [2, 1, 1]
        assert sorted(chain(*shares(snapshot, 3))) == [0, 1, 2, 3]
