"""A table with everything in it that a scan meets, and the same rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pytest
from samples import COLUMNS, arrow, rows

from audiomem_sql.table.table import Table

#: Enough for several blocks a column.
COUNT = 6_000
#: DuckDB before 2.0 asks Arrow data for ``x > 1`` by Arrow's comparison, which is false for NaN, and has NaN above all
#: numbers in its own tables: then there is none.
NAN = float("nan") if int(duckdb.__version__.partition(".")[0]) >= 2 else None


@dataclass
class Twin:
    """A table of several segments, with a log and deleted rows, and its rows in memory."""

    table: Table
    memory: pa.Table


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    path = tmp_path_factory.mktemp("twin") / "twin.flac"
    values = rows(COUNT)
    for number, row in enumerate(values[:60]):
        row["x"] = (-0.0, NAN, None)[number % 3]
    with Table.create(path, COLUMNS, {"compression_level": 1}) as table:
        table.append(arrow(values[:4000]))
        table.append(arrow(values[4000:5900]))
        table.append(arrow(values[5900:]), replace="id IN (3, 4, 4500)")
        gone = {3, 4, 4500}
        yield Twin(table, arrow([row for row in values if row["id"] not in gone]))
