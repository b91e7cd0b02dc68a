"""Another number of shards: the same rows and versions, while others read and write, and after kills."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from crash.forked import Writers
from typer.testing import CliRunner

from audiomem_sql.cli.main import app
from audiomem_sql.errors import BusyError, OptionError, UnsupportedError
from audiomem_sql.shards import BUCKETS, ShardedSnapshot
from audiomem_sql.table import resharding
from audiomem_sql.table.bucket_plans import balanced, halved, is_split, weighted
from audiomem_sql.table.resharding import planned, reshard
from audiomem_sql.table.table import Table
from audiomem_sql.versions import changes
from shards import resharded
from shards.sharded import check, codes, create, digests, opened, row


def test_as_few_buckets_move_as_can_be() -> None:
    rng = random.Random(1)
    table = tuple(bucket * 16 // BUCKETS for bucket in range(BUCKETS))
    assert sum(one != other for one, other in zip(table, balanced(table, 24), strict=True)) == pytest.approx(
        BUCKETS / 3, abs=8
    )
    assert balanced(table, 16) == table
    for shards in (24, 5, 1, 17, 1024, 16):
        before, table = table, balanced(table, shards)
        counts = Counter(table)
        assert set(counts) == set(range(shards))
        assert max(counts.values()) - min(counts.values()) <= 1
        if shards > max(before):  # only new shards get any
            assert all(other > max(before) or one == other for one, other in zip(before, table, strict=True))
    shuffled = [rng.randrange(7) for _ in range(BUCKETS)]
    assert set(Counter(balanced(shuffled, 8)).values()) == {512}


def test_buckets_by_weights() -> None:
    rng = random.Random(2)
    table = tuple(bucket * 4 // BUCKETS for bucket in range(BUCKETS))
    assert weighted(table, (1, 1, 1, 1)) == table
    assert Counter(weighted(table, (2, 1, 1, 1, 3))) == {0: 1024, 1: 512, 2: 512, 3: 512, 4: 1536}
    moved = sum(one != other for one, other in zip(table, weighted(table, (2, 1, 1, 1, 3)), strict=True))
    assert moved == 1536
    for _ in range(30):
        weights = [rng.choice((0, 0.1, 1, 2.5, 7)) for _ in range(rng.randint(1, 40))]
        weights[rng.randrange(len(weights))] = 1
        before, table = table, weighted(table, weights)
        counts = Counter(table)
        for shard, weight in enumerate(weights):
            assert abs(counts[shard] - BUCKETS * weight / sum(weights)) < 1
        # no shard both gives and takes
        pairs = [pair for pair in zip(before, table, strict=True) if pair[0] != pair[1]]
        assert not {one for one, _ in pairs} & {other for _, other in pairs}


def test_buckets_of_a_shard_that_is_split() -> None:
    table = tuple(bucket * 4 // BUCKETS for bucket in range(BUCKETS))
    split = halved(table, 3, 4)
    assert Counter(split) == {0: 1024, 1: 1024, 2: 1024, 3: 512, 4: 512}
    assert is_split(table, split, 3, 4)
    half = (*split[:3500], *table[3500:])
    assert is_split(half, split, 3, 4)
    assert is_split(split, split, 3, 4)
    assert not is_split(table, split, 2, 4)
    assert not is_split(table, split, 3, 3)
    assert not is_split(table, balanced(table, 5), 3, 4)
    assert not is_split((1, *half[1:]), split, 3, 4)
    assert Counter(halved(split, 3, 5))[5] == 256


def _sharded(table: Table) -> ShardedSnapshot:
    assert isinstance(table.snapshot, ShardedSnapshot)
    return table.snapshot


def _shards(table: Table) -> list[int]:
    return [shard.rows for shard in _sharded(table).shards]


def test_more_and_fewer_shards(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    with create(path, 200, 2) as table:
        table.append([row(number) for number in range(200, 260)], replace="year = 3")
        table.tag("before")
        rowids = {code: table.to_arrow(["code"], f"code = '{code}'").num_rows for code in ("c0", "c259")}
        reader = Table(path)
        expected, newest = codes(table), table.version
        assert codes(reader) == expected
    before = digests(path)
    plan = planned(path, 5)
    assert (plan.shards, plan.new) == (5, 3)
    assert 100 < plan.rows < 200
    assert digests(path) == before
    done = []
    assert reshard(path, 5, progress=lambda now, total: done.append((now, total)), most_rows=50) == plan
    assert done[-1] == (plan.buckets, plan.buckets)
    assert len(done) >= 3
    assert codes(reader) == expected
    assert reader.refresh()
    assert codes(reader) == expected
    reader.close()
    with Table(path) as table:
        assert min(_shards(table)) > 20
        assert sum(_shards(table)) == len(table) == len(expected)
        assert codes(table) == expected == codes(table, newest)
        assert codes(table, 2) == {f"c{number}" for number in range(200)}
        assert changes(table.snapshot, newest + 1, table.version) == []
        assert [version.inserted for version in table.versions[newest:]] == [0] * len(done)
        check(table)
    for code, count in rowids.items():
        with Table(path) as table:
            assert table.to_arrow(where=f"code = '{code}'").num_rows == count
            assert len(opened(table)) == 1
        with Table(path, version="before") as table:
            assert table.to_arrow(where=f"code = '{code}'").num_rows == count
            assert len(opened(table)) == 1
    reshard(path, 2)
    with Table(path) as table:
        assert _shards(table)[2:] == [0, 0, 0]
        assert codes(table) == expected == codes(table, "before")
        table.append([row(number) for number in range(300, 340)])
        table.vacuum(retain="1")
        assert len(table) == len(expected) + 40
        check(table)
    assert reshard(path, 2).buckets == 0


def test_others_write_between_the_steps(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    create(path, 150, 2).close()
    written = 150

    def write(now: int, total: int) -> None:
        nonlocal written
        with Table(path) as other:
            other.append([row(written), row(written + 1)])
        written += 2

    reshard(path, 4, progress=write, most_rows=30)
    assert written >= 156
    with Table(path) as table:
        assert codes(table) == {f"c{number}" for number in range(written)}
        check(table)


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with Writers(resharded.__file__) as served:
        yield served


def test_a_reshard_that_is_killed(tmp_path: Path, writers: Writers) -> None:
    """Killed at every point, then once more in the middle, it is resumed: nothing is lost, nothing twice."""
    made = tmp_path / "made.shards"
    create(made, 120, 2).close()
    expected = {f"c{number}" for number in range(120)}
    for point in resharded.POINTS:
        path = tmp_path / f"{point.replace(' ', '_')}.shards"
        shutil.copytree(made, path)
        for each in (point, "second manifest"):
            assert writers.start(str(path), each) == "there\n"
            writers.kill()
            with Table(path) as table:
                assert codes(table) == codes(table, 2) == expected
                assert len(table) == 120
        with Table(path) as table:
            table.append([row(500)])
        reshard(path, 4, most_rows=30)
        with Table(path) as table:
            assert codes(table) == expected | {"c500"}
            assert len(_shards(table)) == 4
            assert min(_shards(table)) > 10
            check(table)
        assert not list(path.glob(".*"))


def test_weights_and_a_split(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    create(path, 240, 2).close()
    expected = {f"c{number}" for number in range(240)}
    before = digests(path)
    plan = planned(path, weights=[1, 1, 2])
    assert (plan.shards, plan.new, plan.buckets) == (3, 1, 2048)
    assert planned(path, split=1).buckets == 1024
    assert digests(path) == before
    assert reshard(path, weights=[1, 1, 2], most_rows=50) == plan
    assert planned(path, weights=[10, 10.0, 20]).buckets == 0
    with Table(path) as table:
        rows = _shards(table)
        assert 90 < rows[2] < 150
    split = reshard(path, split=2, most_rows=50)
    assert (split.shards, split.new, split.buckets) == (4, 1, 1024)
    with Table(path) as table:
        assert _shards(table)[:2] == rows[:2]
        assert 40 < _shards(table)[3] < 80
        assert codes(table) == codes(table, 2) == expected
        check(table)
    assert planned(path, split=2).new == 1


def test_a_split_that_is_killed(tmp_path: Path, writers: Writers) -> None:
    """The same call goes on with it, and makes no second shard; so does one that says nothing else."""
    made = tmp_path / "made.shards"
    create(made, 100, 2).close()
    expected = {f"c{number}" for number in range(100)}
    for place, point in enumerate(("new shard", "target", "both shards", "second manifest")):
        path = tmp_path / f"{place}.shards"
        shutil.copytree(made, path)
        assert writers.start(str(path), f"split {point}") == "there\n"
        writers.kill()
        if place % 2:
            assert writers.start(str(path), "split target") == "there\n"
            writers.kill()
        if point == "second manifest":
            with Table(path) as table:
                assert len(_shards(table)) == 3
                continue
        reshard(path, **({"split": 0} if place < 2 else {}))
        with Table(path) as table:
            assert len(_shards(table)) == 3
            assert min(_shards(table)) > 10
            assert codes(table) == expected
            check(table)
        with pytest.raises(OptionError, match="nothing was begun"):
            reshard(path)


def test_a_split_while_something_else_was_begun(tmp_path: Path, writers: Writers) -> None:
    path = tmp_path / "t.shards"
    create(path, 100, 2).close()
    assert writers.start(str(path), "both shards") == "there\n"
    writers.kill()
    assert reshard(path, split=3).shards == 5
    with Table(path) as table:
        counts = Counter(_sharded(table).placement.shard_of_bucket)
        assert counts == {0: 1024, 1: 1024, 2: 1024, 3: 512, 4: 512}
        assert codes(table) == {f"c{number}" for number in range(100)}
        check(table)


def test_wishes_that_cannot_be(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    create(path, 20, 2).close()
    before = digests(path)
    wrong: list[dict[str, Any]] = [
        {"weights": []},
        {"weights": [0, 0]},
        {"weights": [1, -1]},
        {"weights": [1, float("nan")]},
        {"weights": [1, float("inf")]},
        {"weights": ["1"]},
        {"weights": "21"},
        {"weights": [1] * 1025},
        {"split": 2},
        {"split": -1},
        {"split": True},
        {"to": 2, "split": 1},
        {"to": 2.0},
        {},
    ]
    for wish in wrong:
        for done in (planned, reshard):
            with pytest.raises(OptionError, match=r"t\.shards"):
                done(path, **wish)
    assert digests(path) == before


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resharding, "BUSY_TIMEOUT", 0.0)
    with create(tmp_path / "t.shards", 20, 2) as table:
        Table.create(tmp_path / "one.flac", ["a TEXT"], {"profile": "embedded"}).close()
        with pytest.raises(UnsupportedError, match="has no shards"):
            reshard(tmp_path / "one.flac", 4)
        for shards in (0, 2000):
            with pytest.raises(OptionError, match=r"1 to 1,024"):
                reshard(tmp_path / "t.shards", shards)
        table.begin()
        with pytest.raises(BusyError):
            reshard(tmp_path / "t.shards", 4)
        table.rollback()


def test_shell(tmp_path: Path) -> None:
    path = str(tmp_path / "t.shards")
    create(tmp_path / "t.shards", 40, 2).close()
    result = CliRunner().invoke(app, ["reshard", path, "--to", "3", "--dry-run"])
    assert result.exit_code == 0
    assert "would move 1,365 of 4,096 buckets (33.3 %)" in result.output.replace("\n", " ")
    result = CliRunner().invoke(app, ["reshard", path, "--to", "3"])
    assert result.exit_code == 0
    assert "to have 3 shards, 1 of them new" in result.output.replace("\n", " ")
    with Table(path) as table:
        assert len(_shards(table)) == 3
        check(table)
    result = CliRunner().invoke(app, ["reshard", path, "--weights", "2,1,1", "--dry-run"])
    assert "would move 682 of 4,096 buckets" in result.output.replace("\n", " ")
    result = CliRunner().invoke(app, ["reshard", path, "--split", "1"])
    assert "to have 4 shards, 1 of them new" in result.output.replace("\n", " ")
    assert CliRunner().invoke(app, ["reshard", path, "--weights", "2,x"]).exit_code == 2
    assert CliRunner().invoke(app, ["reshard", path]).exit_code != 0
