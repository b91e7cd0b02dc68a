"""Dask's data frames of tables, computed by Dask itself in processes and in threads."""

from __future__ import annotations

from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.errors import QueryError, SchemaError

ROWS = [{"id": n, "year": 2000 + n % 10, "title": f"Title {n}", "price": n / 4} for n in range(900)]


@pytest.fixture(params=["kb.flac", "kb.shards", "*.flac"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A table of 900 rows, in a file, in shards, or in three files."""
    name = request.param
    if name == "*.flac":
        for number in range(3):
            am.write_flac(ROWS[number::3], tmp_path / f"{number}.flac", primary_key="id").close()
    else:
        options = {"shards": 3} if name == "kb.shards" else {}
        am.write_flac(ROWS, tmp_path / name, primary_key="id", profile="embedded", **options).close()
    return str(tmp_path / name)


def test_rows_and_partitions(path: str) -> None:
    from audiomem_sql import dask

    frame = dask.read_flac(path, rows=200)
    assert frame.npartitions >= 1 + 2 * path.endswith(("kb.shards", "*.flac"))
    assert list(frame.columns) == ["id", "year", "title", "price"]
    found = frame.compute(scheduler="threads").sort_values("id")
    assert found.to_dict("records") == ROWS
    assert found.dtypes.to_dict() == frame.dtypes.to_dict()
    counts = frame.groupby("year")["price"].sum().compute(scheduler="threads").to_dict()
    assert counts == {y: sum(row["price"] for row in ROWS if row["year"] == y) for y in range(2000, 2010)}


def test_columns_and_filters(path: str) -> None:
    from audiomem_sql import dask

    frame = dask.read_flac(path, ["title", "id"], "year = ? AND id > 500", [2003])
    found = frame.compute(scheduler="threads")
    assert list(found.columns) == ["title", "id"]
    assert sorted(found["id"]) == [row["id"] for row in ROWS if row["year"] == 2003 and row["id"] > 500]
    assert len(dask.read_flac(path, where="id < 0").compute(scheduler="threads")) == 0


def test_the_version_of_when_it_was_planned(tmp_path: Path) -> None:
    from audiomem_sql import dask

    with am.write_flac(ROWS, tmp_path / "kb.flac", primary_key="id") as table:
        frame = dask.read_flac(tmp_path / "kb.flac", ["id"])
        table.append([{"id": 5000}])
        assert len(frame.compute(scheduler="threads")) == 900
        assert len(dask.read_flac(tmp_path / "kb.flac").compute(scheduler="threads")) == 901
        old = dask.read_flac(tmp_path / "kb.flac", version=table.version - 1)
        assert len(old.compute(scheduler="threads")) == 900


def test_what_is_refused(tmp_path: Path) -> None:
    from audiomem_sql import dask

    am.write_flac([{"a": 1}], tmp_path / "a.flac").close()
    am.write_flac([{"b": 1}], tmp_path / "b.flac").close()
    with pytest.raises(SchemaError, match=r"b\.flac"):
        dask.read_flac(str(tmp_path / "*.flac"))
    with pytest.raises(QueryError, match="nix"):
        dask.read_flac(tmp_path / "a.flac", where="nix = 1")
    with pytest.raises(SchemaError, match="nix"):
        dask.read_flac(tmp_path / "a.flac", ["nix"])
