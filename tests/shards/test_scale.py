"""``benchmarks/scale.py``: its queues against closed formulas, the rest against tables that are made."""

from __future__ import annotations

import random
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.shards.buckets import BUCKETS, spread
from audiomem_sql.table.resharding import planned, reshard
from benchmarks.scale import KEPT, main
from benchmarks.scale_measured import Line, Measured, measure
from benchmarks.scale_model import (
    Cluster,
    disturbed,
    fullest,
    latencies,
    load_of_shards,
    manifest_cost,
    moving,
    rows_of_shards,
    zipf_shares,
)
from benchmarks.stores import COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "SCALE.md"
ONE = Cluster(1)


def exponential(count: int, chance: np.random.Generator) -> np.ndarray:
    """Times with the mean 1."""
    return chance.exponential(1.0, count)


def constant(count: int, chance: np.random.Generator) -> np.ndarray:
    return np.ones(count)


def test_one_queue_is_that_of_the_formula() -> None:
    took, _, _ = latencies(exponential, ONE, 1, 0.5, 50_000, 1)  # M/M/1: exponential, with 1 / (1 - load)
    assert took.mean() == pytest.approx(2, rel=0.05)
    assert np.quantile(took, 0.99) == pytest.approx(2 * np.log(100), rel=0.07)
    took, _, _ = latencies(constant, ONE, 1, 0.8, 50_000, 1)  # M/D/1, by Pollaczek and Khinchine
    assert took.mean() == pytest.approx(1 + 0.8 / (2 * 0.2), rel=0.05)


def test_copies_by_chance_and_by_the_shorter_queue() -> None:
    two = Cluster(1, copies=2)
    took, _, _ = latencies(exponential, two, 1, 0.6, 50_000, 2)  # two queues, each M/M/1
    assert took.mean() == pytest.approx(1 / (1 - 0.6), rel=0.05)
    took, _, _ = latencies(exponential, two, 1, 0.6, 50_000, 2, shorter=True)  # M/M/2, by Erlang
    assert took.mean() == pytest.approx(1 / (1 - 0.6**2), rel=0.05)


@pytest.mark.parametrize("touched", [1, 4, 32])
def test_an_idle_cluster_answers_as_the_slowest_of_its_shards(touched: int) -> None:
    took, each, asked = latencies(exponential, Cluster(64), touched, 1e-4, 20_000, 3)
    assert took.mean() == pytest.approx(sum(1 / n for n in range(1, touched + 1)), rel=0.03)
    assert each.mean() == pytest.approx(1, rel=0.03)
    assert asked == 1


def test_an_idle_cluster_with_hedged_requests() -> None:
    after = 0.7
    took, _, asked = latencies(exponential, Cluster(4, copies=2), 1, 1e-4, 50_000, 4, hedge=after)
    assert took.mean() == pytest.approx(1 - np.exp(-after) + np.exp(-after) / 2, rel=0.02)
    assert asked == pytest.approx(1 + np.exp(-after), rel=0.02)


def test_hedged_requests_are_work() -> None:
    """Where a copy is asked a second time for everything, twice the load is worked off."""
    hedged, _, asked = latencies(constant, Cluster(1, copies=2), 1, 0.4, 30_000, 5, hedge=0.0)
    assert asked == pytest.approx(2)
    plain, _, _ = latencies(constant, ONE, 1, 0.8, 30_000, 5)
    assert hedged.mean() == pytest.approx(plain.mean(), rel=0.1)
    _, _, asked = latencies(constant, Cluster(1, copies=2), 1, 0.4, 30_000, 5, hedge=0.0, budget=0.05)
    assert asked == pytest.approx(1.05, abs=0.001)


def test_some_times_are_disturbed() -> None:
    times = disturbed(constant, 0.01, 10)(100_000, np.random.default_rng(1))
    assert set(times.tolist()) == {1.0, 10.0}
    assert times.mean() == pytest.approx(1.09, rel=0.01)


@pytest.mark.parametrize(("shards", "buckets"), [(16, 4096), (1000, 4096), (1000, 65536), (1024, 4096)])
def test_rows_of_shards(shards: int, buckets: int) -> None:
    chance = np.random.default_rng(1)
    sizes = rows_of_shards(10**10, buckets, shards, chance)
    assert sizes.sum() == pytest.approx(10**10, rel=1e-4)
    most = -(-buckets // shards) / (buckets / shards) - 1
    assert fullest(sizes) == pytest.approx(most, abs=0.01)


def test_few_rows_are_counted_one_by_one() -> None:
    sizes = rows_of_shards(40_000, 4096, 16, np.random.default_rng(1))
    assert sizes.sum() == 40_000
    assert 0.005 < fullest(sizes) < 0.1  # a standard deviation is 2 %


def test_zipf() -> None:
    for exponent in (0.8, 1.0, 1.2):
        shares, rest = zipf_shares(100_000, exponent)
        less, more = zipf_shares(100_000, exponent, most=1000)
        assert rest == 0
        assert shares.sum() == pytest.approx(1)
        assert less.sum() + more == pytest.approx(1)
        assert less[0] == pytest.approx(shares[0], rel=1e-3)
    loads = load_of_shards(1000, 1.0, 4096, 100, np.random.default_rng(1))
    assert loads.sum() == pytest.approx(1)
    assert loads.max() >= zipf_shares(1000, 1.0)[0][0]


def test_a_line_goes_through_what_was_measured() -> None:
    line = Line.through([1000, 2000, 10_000], [1.1, 1.2, 2.0])
    assert line.at(0) == pytest.approx(1)
    assert line.at(1e6) == pytest.approx(101)
    assert Line.through([1, 2], [2.0, 1.0]).a_million == 0
    assert Line.through([1000, 2000], [0.001, 2.0]).base == 0
    drawn = Line(2, 0, (), (0.5, 1.0, 1.5)).drawn(0, 100_000, np.random.default_rng(1))
    assert drawn.mean() == pytest.approx(2, rel=0.01)
    assert 1 <= drawn.min() < drawn.max() <= 3


def test_moving_is_what_reshard_does(tmp_path: Path) -> None:
    measured = Measured.from_json(KEPT.read_text())
    with am.create(tmp_path / "kb.shards", ["id INTEGER PRIMARY KEY"], shards=2) as table:
        table.append(pa.table({"id": range(2000)}))
    plan = planned(tmp_path / "kb.shards", 3)
    model = moving(2, 3, 2000, BUCKETS, measured)
    assert model.share == pytest.approx(plan.buckets / BUCKETS)
    assert model.rows == pytest.approx(plan.rows, rel=0.02)
    with am.open(tmp_path / "kb.shards") as table:
        before = table.version
    reshard(tmp_path / "kb.shards", 3)
    with am.open(tmp_path / "kb.shards") as table:
        assert table.version - before == model.steps
    assert moving(1000, 1001, 1e10, BUCKETS, measured).share == pytest.approx(4 / BUCKETS)
    assert moving(1000, 1001, 1e10, 65536, measured).steps > moving(1000, 1001, 1e10, BUCKETS, measured).steps


def test_the_manifest_is_as_large_as_one_that_was_made(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "year INTEGER"]
    with am.create(tmp_path / "kb.shards", columns, shards=8) as table:
        for number in range(12):
            table.append(pa.table({"id": range(100 * number, 100 * number + 100), "year": [1999] * 100}))
        schema = table.schema
    size = (tmp_path / "kb.shards" / "manifest").stat().st_size
    model = manifest_cost(8, 12, 8, schema)
    assert model.stored == pytest.approx(size, rel=0.2)
    assert manifest_cost(8, 12, 1, schema).stored < model.stored
    assert manifest_cost(8, 300, 8, schema).most_versions == model.most_versions


def test_what_a_shard_costs_is_measured(tmp_path: Path) -> None:
    chance = random.Random(1)
    words = PAGE.read_text().split()
    bodies = [" ".join(chance.choices(words, k=40)) for _ in range(400)]
    rows = pa.table(dict.fromkeys(COLUMNS, bodies)).set_column(0, "id", pa.array(range(400)))
    vectors = np.random.default_rng(1).normal(size=(400, 384)).astype(np.float32)
    found = measure(rows, vectors, [100, 400], tmp_path, times=10)
    assert Measured.from_json(found.to_json()).to_json() == found.to_json()
    assert found.bytes_raw > found.bytes_text > 0
    assert found.bytes_vectors > 0
    assert found.files_read == 1
    assert found.files_written >= 2
    for name in ("open", "key", "scan", "words", "nearest", "read", "write", "vacuum"):
        assert getattr(found, name).at(1e6) > 0
    assert len(found.words.spread) > 10
    assert found.commit > 0


def test_the_commands_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"`python -m benchmarks\.scale( ?[^`]*)`", PAGE.read_text())
    assert len(commands) > 2
    for command in commands:
        arguments = shlex.split(command)
        if "--measure" not in arguments:
            main([*arguments, "--requests", "2000", "--versions", "1"])
    out = capsys.readouterr().out
    for name in ("measured", "balance", "latency", "moving", "manifest", "cost", "reader"):
        assert f"## {name}" in out
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])


def test_buckets_of_other_numbers() -> None:
    assert spread(16) == spread(16, BUCKETS)
    assert np.bincount(spread(3, 7)).tolist() == [3, 2, 2]
