"""Rows that come batch by batch: the same file as of all rows at once; errors leave everything as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import audiomem_sql as am
from audiomem_sql.errors import AudioMemError, ConstraintError, DataTypeError, SchemaError
from audiomem_sql.table.table import Table

ROWS = 40_000
SQL = (
    f"SELECT i AS id, 'row ' || i AS title, i % 7 AS day, i / 3.0 AS score FROM range(1, {ROWS + 1}) AS r(i)"
)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and its bytes."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def con() -> Any:
    with duckdb.connect(config={"threads": 2}) as connection:
        yield connection


@pytest.mark.parametrize("key", [None, "id"])
def test_a_relation_is_what_its_table_is(con: Any, tmp_path: Path, key: str | None) -> None:
    relation = con.sql(SQL)
    with am.write_flac(relation, tmp_path / "a.flac", primary_key=key) as table:
        expected = con.sql(SQL).to_arrow_table()
        assert table.to_arrow().equals(expected.cast(table.schema.to_arrow()))
        assert [version.inserted for version in table.versions] == [0, ROWS]
    assert len(relation.fetchall()) == ROWS  # it can still be asked


def test_a_relation_that_was_read_before_is_written_whole(con: Any, tmp_path: Path) -> None:
    relation = con.sql(SQL)
    relation.fetchall()
    with am.write_flac(relation, tmp_path / "a.flac") as table:
        assert len(table) == ROWS


def test_a_dataset_is_what_its_table_is(tmp_path: Path) -> None:
    rows = pa.table({"id": np.arange(1, ROWS + 1), "title": [f"row {i}" for i in range(ROWS)]})
    pq.write_table(rows, tmp_path / "a.parquet", row_group_size=5_000)
    with am.write_flac(ds.dataset(tmp_path / "a.parquet"), tmp_path / "a.flac", primary_key="id") as table:
        assert table.to_arrow()["title"].to_pylist() == rows["title"].to_pylist()


def test_a_dataset_that_gives_its_rows_once_is_read_first(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 2, 3]})
    for number, source in enumerate((ds.dataset(rows), ds.dataset(rows.to_reader()))):
        with am.write_flac(source, tmp_path / f"{number}.flac") as table:
            assert len(table) == 3


def test_vectors_of_a_relation_tell_their_width(con: Any, tmp_path: Path) -> None:
    for number, vector in enumerate(("[i, 2, 3]::FLOAT[3]", "[i, 2, 3]::FLOAT[]")):
        relation = con.sql(f"SELECT i AS id, {vector} AS vec FROM range(1, 5) AS r(i)")
        with am.write_flac(relation, tmp_path / f"{number}.flac", primary_key="id") as table:
            assert table.to_arrow()["vec"].to_pylist()[1] == [2, 2, 3]


def test_categories_survive(con: Any, tmp_path: Path) -> None:
    words = pa.array([None, "cold", "warm", "cold"]).dictionary_encode()
    parts = [pa.table({"heat": words}), pa.table({"heat": pa.array(["hot", "cold"]).dictionary_encode()})]
    for number, part in enumerate(parts):
        pq.write_table(part, tmp_path / f"{number}.parquet")
    files = ds.dataset([str(tmp_path / f"{number}.parquet") for number in range(2)])
    with am.write_flac(files, tmp_path / "a.flac") as table:
        frame = table.to_pandas()
        assert frame["heat"].dtype.name == "category"
        assert frame["heat"].astype(object).tolist()[1:] == ["cold", "warm", "cold", "hot", "cold"]
    con.execute("CREATE TYPE heat AS ENUM ('cold', 'warm', 'hot')")
    with am.write_flac(con.sql("SELECT 'warm'::heat AS heat"), tmp_path / "b.flac") as table:
        assert list(table.to_pandas()["heat"].dtype.categories) == ["cold", "warm", "hot"]


def test_text_to_be_searched_by_meaning_comes_as_a_stream_too(con: Any, tmp_path: Path) -> None:
    relation = con.sql("SELECT i AS id, 'page ' || i AS body FROM range(1, 60) AS r(i)")
    with am.write_flac(relation, tmp_path / "a.flac", semantic="body", model="hashing") as table:
        assert table.search("page 17", k=1)["body"].to_pylist() == ["page 17"]


def test_a_table_of_ours_is_copied_as_a_stream(con: Any, tmp_path: Path) -> None:
    with am.write_flac(con.sql(SQL), tmp_path / "a.flac") as table:
        with am.write_flac(table.dataset(), tmp_path / "b.flac") as copied:
            assert copied.to_arrow().equals(table.to_arrow())
        am.attach(con, tmp_path / "a.flac", "a")
        with am.write_flac(con.sql("FROM a WHERE day = 3"), tmp_path / "c.flac") as chosen:
            assert set(chosen.to_arrow()["day"].to_pylist()) == {3}


@pytest.mark.parametrize("order", ["DESC", "NULLS"])
def test_keys_in_another_order_are_read_first(con: Any, tmp_path: Path, order: str) -> None:
    sql = (
        f"FROM ({SQL}) ORDER BY id DESC"
        if order == "DESC"
        else f"SELECT nullif(id, 9) AS id, title FROM ({SQL})"
    )
    with am.write_flac(con.sql(sql), tmp_path / "a.flac", primary_key="id") as table:
        assert len(table) == ROWS
        assert table.get(8)["title"] == "row 8"
        assert (table.get(9) is None) == (order == "NULLS")
        assert table.versions[-1].inserted == ROWS


def test_a_key_that_comes_late_and_twice_leaves_no_file(con: Any, tmp_path: Path) -> None:
    sql = f"SELECT CASE id WHEN {ROWS} THEN 1 ELSE id END AS id, title FROM ({SQL})"
    with pytest.raises(ConstraintError, match="UNIQUE constraint failed: id"):
        am.write_flac(con.sql(sql), tmp_path / "a.flac", primary_key="id")
    assert files_of(tmp_path) == {}


def test_an_error_far_down_names_the_row_and_leaves_the_table_as_it_was(con: Any, tmp_path: Path) -> None:
    Table.create(tmp_path / "a.flac", ["id INTEGER PRIMARY KEY", "n INTEGER NOT NULL"]).close()
    before = files_of(tmp_path)
    bad = f"SELECT i AS id, CASE WHEN i = {ROWS - 5} THEN NULL ELSE i END AS n FROM range(1, {ROWS}) AS r(i)"
    with am.open(tmp_path / "a.flac") as table:
        with pytest.raises(ConstraintError, match=rf"row {ROWS - 6}\b"):
            table.append_stream(con.sql(bad))
        with pytest.raises(DataTypeError, match=rf"row {ROWS - 6}\b"):
            table.append_stream(con.sql(bad.replace("NULL ELSE i", "'no' ELSE i::TEXT")))
        with pytest.raises(SchemaError, match="no column z"):
            table.append_stream(con.sql("SELECT 1 AS id, 2 AS n, 3 AS z"))
        assert files_of(tmp_path) == before
        assert table.append_stream(con.sql("SELECT 7 AS id, 8 AS n")) == table.version
        assert table.get(7) == {"id": 7, "n": 8}


def test_an_error_of_the_source_is_told_and_leaves_no_file(con: Any, tmp_path: Path) -> None:
    con.sql(f"COPY (SELECT i::TEXT AS id FROM range({ROWS}) AS r(i)) TO '{tmp_path}/a.csv' (HEADER)")
    with open(tmp_path / "a.csv", "a") as sink:
        sink.write("not a number\n")
    before = files_of(tmp_path)
    relation = con.sql(
        f"SELECT id FROM read_csv('{tmp_path}/a.csv', columns = {{'id': 'BIGINT'}}, header = true)"
    )
    with pytest.raises((AudioMemError, duckdb.Error), match="not a number"):
        am.write_flac(relation, tmp_path / "a.flac")
    assert files_of(tmp_path) == before


def test_no_rows_are_no_commit(con: Any, tmp_path: Path) -> None:
    with am.write_flac(con.sql(f"FROM ({SQL}) WHERE id < 0"), tmp_path / "a.flac") as table:
        assert (len(table), table.version) == (0, 1)
        assert table.schema.names == ("id", "title", "day", "score")


def test_rows_for_a_table_that_has_some_are_appended(con: Any, tmp_path: Path) -> None:
    am.write_flac(con.sql("SELECT 1 AS id, 'a' AS title"), tmp_path / "a.flac", primary_key="id").close()
    more = con.sql("SELECT 2 AS id, 'b' AS title")
    with am.write_flac(more, tmp_path / "a.flac", if_exists="append") as table:
        assert table.to_arrow()["title"].to_pylist() == ["a", "b"]


def test_two_columns_of_one_name_are_refused_and_not_renamed(con: Any, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="two columns i"):
        am.write_flac(con.sql("SELECT 1 AS i, 2 AS i"), tmp_path / "a.flac")
    assert files_of(tmp_path) == {}


MEASURE = """
import resource, sys, duckdb
import audiomem_sql as am
con = duckdb.connect(config={"threads": 2, "memory_limit": "100MB"})
sql = "SELECT i AS id, repeat(md5(i::TEXT), 30) AS body FROM range(1, %s) AS r(i)"
options = {"protection": "none", "compression_level": 1}
am.write_flac(con.sql(sql % 1_000), sys.argv[1] + "/warm.flac", **options).close()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
am.write_flac(con.sql(sql % 200_000), sys.argv[1] + "/a.flac", **options).close()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """192 MB of text, of which 48 MB are held back for the dictionaries, pass through a process."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 130
    with am.open(tmp_path / "a.flac") as table:
        assert len(table) == 199_999
    os.unlink(tmp_path / "a.flac")  # which need not be verified as well
