"""Partitions: together they have each row once, whatever happens to the files after they were planned."""

from __future__ import annotations

import pickle
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.errors import SchemaError, StorageError
from audiomem_sql.table.partitions import PartitionPlan, plan_partitions
from audiomem_sql.table.table import Table
from tests.shards.sharded import COLUMNS, create, row


def _codes(plan: PartitionPlan) -> list[str]:
    parts = pickle.loads(pickle.dumps(plan)).partitions
    return [code for part in parts for batch in part.batches(["code"]) for code in batch[0].to_pylist()]


@pytest.mark.parametrize("shards", [0, 4])
def test_each_row_is_in_one(tmp_path: Path, shards: int) -> None:
    path = tmp_path / ("kb.shards" if shards else "kb.flac")
    options = {"profile": "embedded", **({"shards": shards} if shards else {})}
    with Table.create(path, COLUMNS, options) as table:
        table.append([row(number) for number in range(3000)])
        table.append([row(number) for number in range(3000, 3005)])  # in the log
        with closing(audiomem_sql.connect(path)) as connection:
            connection.execute("DELETE FROM kb WHERE year = 3")
        table.refresh()
        expected = sorted(table.to_arrow(["code"])["code"].to_pylist())
        plan = plan_partitions(path, rows=400)
        table.append([row(number) for number in range(9000, 9100)])
        table.vacuum(retain="all")
    assert len(plan.partitions) >= 8
    assert sorted(_codes(plan)) == expected
    assert sum(part.rows for part in plan.partitions) >= len(expected)


def test_a_filter_leaves_out_shards(tmp_path: Path) -> None:
    create(tmp_path / "kb.shards", 500).close()
    plan = plan_partitions(tmp_path / "kb.shards", where="code = ?", parameters=["c7"])
    assert len({part.shard for part in plan.partitions}) == 1
    assert _codes(plan) == ["c7"]
    assert plan_partitions(tmp_path / "kb.shards", where="year > 999").partitions == ()


def test_many_files(tmp_path: Path) -> None:
    for number in range(3):
        audiomem_sql.write_flac(pa.table({"code": [f"f{number}"]}), tmp_path / f"{number}.flac").close()
    plan = plan_partitions(tmp_path / "*.flac", count=2)
    assert sorted(_codes(plan)) == ["f0", "f1", "f2"]
    assert plan.versions == tuple((str(tmp_path / f"{number}.flac"), 2) for number in range(3))
    audiomem_sql.write_flac(pa.table({"other": [1]}), tmp_path / "3.flac").close()
    with pytest.raises(SchemaError, match=r"3\.flac"):
        plan_partitions(tmp_path / "*.flac")
    with pytest.raises(StorageError, match="fits"):
        plan_partitions(tmp_path / "none-*.flac")
