"""Writers of one sharded table in a store that loses requests and replies, each cutting in on the others.

All from a seed: before a replacement of the manifest another writer may do something, and its answer may not
come. ``AUDIOMEM_SHARDED_SEEDS`` says how many seeds there are.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, BusyError
from audiomem_sql.remote.commits import Unanswered
from audiomem_sql.shards import StoredShardedSnapshot
from audiomem_sql.table.resharding import reshard
from audiomem_sql.upkeep.verify import problems

COLUMNS = ["id INTEGER PRIMARY KEY", "token TEXT UNIQUE", "body TEXT", "n INTEGER"]
SEEDS = int(os.environ.get("AUDIOMEM_SHARDED_SEEDS", "1"))
STEPS = 15 if SEEDS == 1 else 40
WRITERS = 3


class Crew:
    """The writers, what they were told, and what they tried."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.chance = random.Random(seed)
        placed = self.chance.choice([{}, {"shard_key": "token"}])
        with am.Table.create(url, COLUMNS, {"shards": 3, "profile": "embedded", **placed}) as table:
            table.append([{"token": "count", "n": 0}])
        self.tables = [am.Table(url) for _ in range(WRITERS)]
        self.busy: set[int] = set()
        self.made = 0
        self.tried: dict[str, str] = {}
        self.told: dict[str, int] = {}
        self.refused: set[str] = set()
        for number, table in enumerate(self.tables):
            self._make_unreliable(number, table)

    def _make_unreliable(self, number: int, table: Any) -> None:
        store = table._session.committer.store
        put = store.put_if_match

        def put_if_match(*arguments: Any) -> Any:
            if len(self.busy) < WRITERS and self.chance.random() < 0.4:
                self.step()
            fate = self.chance.random()
            if fate < 0.1:
                raise Unanswered("the request was lost")
            mark = put(*arguments)
            if fate < 0.25:
                raise Unanswered("the reply was lost")
            return mark

        store.put_if_match = put_if_match
        surroundings = table._session.committer.surroundings
        object.__setattr__(surroundings, "sleep", lambda seconds: None)

    def step(self) -> None:
        """Something that a writer does who does nothing else."""
        number = self.chance.choice([each for each in range(WRITERS) if each not in self.busy])
        self.busy.add(number)
        work: list[tuple[int, Callable[[Any], None]]] = [
            (6, self.append),
            (3, lambda table: self.append(table, 90_000)),
            (6, self.count),
            (3, self.rename),
            (2, self.upkeep),
            (1, self.reshard),
        ]
        try:
            (each,) = self.chance.choices([do for _, do in work], [weight for weight, _ in work])
            each(self.tables[number])
        finally:
            self.busy.remove(number)

    def token(self, kind: str) -> str:
        self.made += 1
        name = f"{kind} {self.made}"
        self.tried[name] = kind
        return name

    def append(self, table: Any, size: int = 10) -> None:
        token = self.token("append")
        rows = [
            {"token": f"{token} {n}", "body": "x" * size, "n": 0} for n in range(self.chance.randint(1, 4))
        ]
        try:
            self.told[token] = table.append([{"token": token, "n": len(rows)}, *rows], message=token)
        except BusyError:
            self.refused.add(token)

    def count(self, table: Any) -> None:
        """A row is added, and the row that all count in is one more, in one transaction."""
        token = self.token("count")
        transaction = table.begin()
        try:
            row = transaction.snapshot.stored_row(1)
            transaction.update(1, 1, [*row[:3], row[3] + 1])
            transaction.insert(None, [None, token, "", 0])
            self.told[token] = table.commit(message=token)
        except BusyError:
            table.rollback()
            self.refused.add(token)

    def rename(self, table: Any) -> None:
        """A row gets another key, and with that another shard."""
        token = self.token("rename")
        transaction = table.begin()
        try:
            found = table.to_arrow(["id", "n"], "token LIKE 'append %' AND n = 0").to_pylist()
            if found:
                rowid = self.chance.choice(found)["id"]
                old = transaction.snapshot.stored_row(rowid)
                transaction.update(rowid, rowid, [rowid, f"{token} {old[1]}", old[2], old[3]])
            self.told[token] = table.commit(message=token)
        except BusyError:
            table.rollback()
            self.refused.add(token)

    def upkeep(self, table: Any) -> None:
        try:
            self.chance.choice([table.checkpoint, table.merge, table.vacuum])()
        except BusyError:
            return

    def reshard(self, table: Any) -> None:
        try:
            reshard(self.url, self.chance.randint(2, 5), most_rows=20)
        except BusyError:
            return


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIOMEM_REMOTE_REFRESH", "0")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_writers_that_cut_in(seed: int) -> None:
    """Nothing acknowledged is lost or there twice, nothing refused is there, no count is lost."""
    crew = Crew(f"memory://races/{seed}.shards", seed)
    for _ in range(STEPS):
        crew.step()
    with am.open(crew.url) as table:
        rows = table.to_arrow().to_pylist()
        tokens = Counter(row["token"] for row in rows)
        assert set(tokens.values()) == {1}
        assert len({row["id"] for row in rows}) == len(rows) == len(table)
        heads = {token for token in tokens if len(token.split()) == 2}
        assert {token for token in crew.told if not token.startswith("rename")} == heads
        for token in heads:
            held = [row for row in rows if f"{row['token']} ".find(f"{token} ") >= 0]
            wanted = next(row["n"] for row in rows if row["token"] == token)
            assert len(held) == 1 + wanted, token
        (count,) = [row["n"] for row in rows if row["token"] == "count"]
        assert count == sum(token.startswith("count") for token in crew.told)
        said = {version.message: version.number for version in table.versions if version.message}
        for token, version in crew.told.items():
            assert token.startswith("rename") or said[token] == version
        assert not crew.refused & said.keys()
        numbers = [version.number for version in table.versions]
        assert numbers == list(range(1, table.version + 1))
        assert [str(problem) for problem in problems(table)] == []
        assert isinstance(table.snapshot, StoredShardedSnapshot)
        assert table.snapshot.head.next_rowid > max(row["id"] for row in rows)
    for each in crew.tables:
        try:
            each.close()
        except AudioMemError as error:
            raise AssertionError from error
