"""Ray's datasets of tables, read by Ray's own workers: ``make test-ray``, which takes half a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

import audiomem_sql as am
from audiomem_sql.errors import SchemaError
from audiomem_sql.ray import read_flac

ROWS = [{"id": n, "year": 2000 + n % 10, "title": f"Title {n}"} for n in range(900)]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # those of Ray itself


@pytest.fixture(scope="module", autouse=True)
def workers() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80_000_000)
    yield
    ray.shutdown()


@pytest.mark.parametrize("name", ["kb.flac", "kb.shards"])
def test_rows_of_the_version_of_when_it_was_planned(tmp_path: Path, name: str) -> None:
    options = {"shards": 3} if name == "kb.shards" else {}
    am.write_flac(ROWS, tmp_path / name, primary_key="id", profile="embedded", **options).close()
    rows = read_flac(tmp_path / name, rows=200)
    with am.open(tmp_path / name) as table:
        table.append([{"id": 5000}])
    assert rows.schema().names == ["id", "year", "title"]
    assert sorted(rows.take_all(), key=lambda row: row["id"]) == ROWS
    some = read_flac(tmp_path / name, ["id"], "year = ?", [2003]).take_all()
    assert sorted(row["id"] for row in some) == list(range(3, 900, 10))
    assert read_flac(tmp_path / name, where="id < 0").count() == 0
    with pytest.raises(SchemaError, match="nix"):
        read_flac(tmp_path / name, ["nix"])
