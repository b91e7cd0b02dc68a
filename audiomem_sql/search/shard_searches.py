"""A process that searches shards for another one, which asks through the standard input.

It reads the version that it is asked for, and nothing else: where the folder has another state by now it says
so, and whoever asks looks by itself.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

from audiomem_sql.arrays import F32Array, F64Array, I64Array
from audiomem_sql.errors import AudioMemError
from audiomem_sql.indexes.words import Expression, Statistics, words_of
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.scan import Filter, RowFilter
from audiomem_sql.search.ranking.keyword_search import Group, matched_groups, statistics_of
from audiomem_sql.search.ranking.lists_of_processes import Choice, Offer
from audiomem_sql.search.ranking.vector_ranking import VectorRanking
from audiomem_sql.shards import ShardedSnapshot, SomeShards, sharded_files
from audiomem_sql.shards.version_bytes import Pin

#: Tables, and searches that may go on, that are remembered.
MOST_TABLES = 8
MOST_SEARCHES = 8
#: Seconds between two looks whether the process that asks is still there.
LOOK = 1.0


class ShardSearches:
    """The tables that are open here, and the searches that were begun."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, ShardedSnapshot] = OrderedDict()
        self._searches: OrderedDict[Any, Any] = OrderedDict()

    def answer(self, data: bytes) -> Any:
        """What is asked for. AudioMemError where it cannot be found."""
        (place, version, pins), numbers, asked, own = pickle.loads(data)
        kind, arguments = pickle.loads(asked)
        rows = self._rows(place, version, pins, numbers)
        answers: dict[str, Callable[..., Any]] = {
            "lists": self._lists,
            "nearest": self._nearest,
            "words": self._words,
            "scores": self._scores,
        }
        return answers[kind](rows, *arguments, *own)

    def _rows(self, place: str, version: int, pins: tuple[Pin, ...], numbers: Sequence[int]) -> SomeShards:
        """The rows of some shards at a version."""
        folder = os.path.dirname(place)
        loaded = sharded_files(folder).load(SHARED, self._tables.pop(place, None))
        assert isinstance(loaded, ShardedSnapshot)
        self._tables[place] = loaded
        while len(self._tables) > MOST_TABLES:
            self._tables.popitem(last=False)[1].close()
        snapshot = loaded.at(version)
        assert isinstance(snapshot, ShardedSnapshot)
        if snapshot.pins != pins:
            raise AudioMemError("the version is another one by now")
        return snapshot.some(numbers)

    def _kept(self, number: Any, make: Callable[[], Any]) -> Any:
        """What belongs to a search."""
        found = self._searches.pop(number, None)
        self._searches[number] = found = make() if found is None else found
        while len(self._searches) > MOST_SEARCHES:
            self._searches.popitem(last=False)
        return found

    def _nearest(
        self,
        rows: SomeShards,
        number: Any,
        column: int,
        query: F32Array,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
        k: int,
        choice: Choice | None = None,
    ) -> tuple[I64Array, F32Array]:
        """The nearest rows and their distances."""
        return self._ranking(rows, number, column, query, filters, row_filter).best(k, choice)

    def _lists(self, rows: SomeShards, number: Any, *asked: Any) -> Offer | None:
        """The lists among which a search for the nearest rows chooses."""
        return self._ranking(rows, number, *asked).offered()

    def _ranking(self, rows: SomeShards, number: Any, *asked: Any) -> VectorRanking:
        ranking: VectorRanking = self._kept(number, lambda: VectorRanking(rows, *asked))
        return ranking

    def _words(
        self, rows: SomeShards, number: Any, columns: dict[str, int], words: dict[str, str], asked: Expression
    ) -> Statistics | None:
        """The statistics of what the expression finds; None without a row."""
        said = {name: words_of(tokenizer) for name, tokenizer in words.items()}
        self._searches.pop(number, None)
        groups = self._kept(number, lambda: matched_groups(rows, columns, asked, said))
        return statistics_of(groups)

    def _scores(
        self,
        rows: SomeShards,
        number: Any,
        statistics: Statistics,
        filters: tuple[Filter, ...],
        row_filter: RowFilter | None,
    ) -> list[tuple[I64Array, F64Array, int]]:
        """The rowids and scores of what was found, and how many rows pass the filters."""
        groups: list[Group] = self._searches.pop(number)
        scored = [group.scored(statistics, filters, row_filter) for group in groups]
        return [(each.rowids, each.scores, each.rows) for each in scored]


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl-C the process that asks hears
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    asks = Connection(os.dup(0), writable=False)
    answers = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    searches = ShardSearches()
    answers.send((None, None))
    while True:
        try:
            data = asks.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer: tuple[Any, str | None] = searches.answer(data), None
        except Exception as error:  # whoever asks does it by itself, and fails as it fails here
            answer = None, f"{type(error).__name__}: {error}"
        try:
            answers.send(answer)
        except OSError:
            return


def _end_with(parent: int) -> None:
    """End with the process that asks, whatever this one does meanwhile."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(0)
