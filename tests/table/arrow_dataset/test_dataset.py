"""The Arrow dataset: whoever reads it gets what it would get of the same rows in memory."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

import audiomem_sql as am
from audiomem_sql.errors import DamagedFileError, QueryError, StorageError, UnsupportedError
from table.arrow_dataset.conftest import Twin
from table.arrow_dataset.filters import answered_by, condition, expression

#: ``AUDIOMEM_ANALYSIS_QUERIES=20000`` for longer.
QUERIES = int(os.environ.get("AUDIOMEM_ANALYSIS_QUERIES", "400"))


def test_duckdb_gives_the_answers_of_its_own_table(twin: Twin) -> None:
    with duckdb.connect() as connection:
        connection.register("ours", twin.table.dataset())
        connection.register("arrow_rows", twin.memory)
        connection.execute("CREATE TABLE own AS FROM arrow_rows")
        passed = 0
        for seed in range(QUERIES):
            rng = random.Random(seed)
            columns = rng.sample(twin.memory.column_names, rng.randrange(1, 5))
            shown = ", ".join(columns) if rng.random() < 0.8 else "count(*)"
            query = f"SELECT {shown} FROM ? WHERE {condition(rng)}"
            ours, own = (
                sorted(map(repr, connection.execute(query.replace("?", name, 1)).fetchall()))
                for name in ("ours", answered_by(query))
            )
            assert ours == own, (seed, query)
            passed += bool(own)
        assert passed > QUERIES // 3


def test_pyarrow_gives_the_answers_of_its_own_table(twin: Twin) -> None:
    ours, own = twin.table.dataset(), ds.InMemoryDataset(twin.memory)
    passed = 0
    for seed in range(QUERIES):
        rng = random.Random(seed)
        columns = rng.sample(twin.memory.column_names, rng.randrange(0, 5))
        wanted = expression(rng, twin.memory)
        try:
            same = own.to_table(columns, wanted)
        except pa.ArrowInvalid:
            continue  # such as an integer that no double holds, in a row that ours may not have looked at
        found = ours.to_table(columns, wanted)
        assert found.num_rows == same.num_rows == ours.count_rows(wanted), (seed, str(wanted))
        assert _rows(found) == _rows(same), (seed, str(wanted))
        passed += found.num_rows > 0
    assert passed > QUERIES // 3


def _rows(table: pa.Table) -> list[str]:
    return sorted(map(repr, table.to_pylist()))


def test_a_filter_reads_only_the_blocks_that_may_match(tmp_path: Path) -> None:
    rows = pa.table({"id": range(200_000), "word": [f"word {i // 1000:03}" for i in range(200_000)]})
    with am.write_flac(rows, tmp_path / "clustered.flac", primary_key="id") as table:
        (segment,) = table.snapshot.segments
        read: list[tuple[int, int]] = []
        blocks = segment._blocks
        decode = blocks._decode

        def noted(column: int, number: int, *given: Any, **how: bool) -> pa.Array:
            read.append((column, number))
            return decode(column, number, *given, **how)

        blocks._decode = noted
        with duckdb.connect() as connection:
            connection.register("dataset", table.dataset())
            assert connection.execute("SELECT count(*) FROM dataset WHERE word = 'word 077'").fetchone() == (
                1000,
            )
            some = len(set(read))
            assert connection.execute("SELECT word FROM dataset LIMIT 1").fetchall() == [("word 000",)]
            assert connection.execute("SELECT count(*) FROM dataset WHERE id < 10").fetchone() == (10,)
        directory = segment.directory(1)
        assert directory is not None
        assert 0 < some <= 3 < directory.count


def test_batches_projections_and_heads(twin: Twin) -> None:
    dataset, memory = twin.table.dataset(), twin.memory
    assert dataset.schema == memory.schema
    assert dataset.head(3, columns=["code", "id"]) == memory.select(["code", "id"]).slice(
        0, 3
    ).replace_schema_metadata(dataset.head(0, columns=["code", "id"]).schema.metadata)
    assert dataset.head(0).num_rows == 0
    assert dataset.count_rows() == dataset.to_table(columns=[]).num_rows == memory.num_rows
    doubled = dataset.to_table(columns={"double": pc.field("id") * 2, "n": pc.field("n")})
    assert doubled.column("double").to_pylist() == [2 * value for value in memory.column("id").to_pylist()]
    assert max(batch.num_rows for batch in dataset.to_batches(batch_size=100)) == 100
    assert (
        dataset.take(pa.array([5, 0]), columns=["id"]).to_pylist()
        == memory.select(["id"]).take([5, 0]).to_pylist()
    )
    narrowed = dataset.filter(pc.field("id") > 10).filter(pc.field("id") < 20)
    assert narrowed.count_rows() == 9
    assert narrowed.count_rows(pc.field("id") == 15) == 1
    assert dataset.sort_by([("id", "descending")]).head(1).column("id").to_pylist() == [
        max(memory["id"].to_pylist())
    ]
    assert pa.RecordBatchReader.from_stream(narrowed).read_all().num_rows == 9
    assert pa.table(dataset.scanner(["id"])).num_rows == memory.num_rows


def test_other_processes_open_the_same_version(twin: Twin) -> None:
    dataset = twin.table.dataset().filter(pc.field("id") <= 10)
    with pickle.loads(pickle.dumps(dataset)).table as table:
        assert table.version == dataset.version
        assert pickle.loads(pickle.dumps(dataset)).count_rows() == 8


def test_a_dataset_shows_one_version_and_a_live_one_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with am.write_flac([{"id": 1}], path, primary_key="id") as table:
        fixed, live, old = table.dataset(), table.dataset(live=True), am.dataset(table, version=1)
        batches = live.to_batches()
        table.append([{"id": 2}])
        assert fixed.count_rows() == 1
        assert old.count_rows() == 0
        assert live.count_rows() == 2
        assert sum(batch.num_rows for batch in batches) == 1, "the scan began before the commit"
        with am.dataset(path, version=2).table as reader:
            assert am.dataset(reader).count_rows() == 1
        table.alter("add column word TEXT DEFAULT 'none'")
        assert live.schema.names == ["id", "word"]


def test_a_file_that_is_replaced_gives_the_snapshot_opened(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    rows = {"id": range(50_000), "text": [f"row {i} of the first file" for i in range(50_000)]}
    with am.write_flac(pa.table(rows), path, primary_key="id") as table, am.open(path) as other:
        batches = table.dataset().to_batches(columns=["id", "text"])
        first = next(batches)
        other.append([{"id": 60_000, "text": "more"}])
        other.vacuum()
        assert first.num_rows + sum(batch.num_rows for batch in batches) == 50_000


def test_bad_input(twin: Twin, tmp_path: Path) -> None:
    dataset = twin.table.dataset()
    bad: list[Any] = [
        lambda: dataset.to_table(columns=["nothing"]),
        lambda: dataset.to_table(filter=pc.field("nothing") > 1),
        lambda: dataset.to_table(filter=pc.field("title") > 1),
        lambda: dataset.to_table(filter=pc.field("n") + 1),
        lambda: dataset.to_table(columns={"a": pc.field("nothing")}),
        lambda: dataset.to_batches(batch_size=0).__next__(),
    ]
    for call in bad:
        with pytest.raises(QueryError, match=r"twin\.flac"):
            call()
    for refused in (
        dataset.get_fragments,
        dataset.scanner().scan_batches,
        lambda: dataset.replace_schema(pa.schema([])),
    ):
        with pytest.raises(UnsupportedError, match=r"twin\.flac"):
            refused()
    with pytest.raises(StorageError):
        am.dataset(tmp_path / "missing.flac")
    with am.write_flac(pa.table({"id": range(10_000)}), tmp_path / "t.flac") as table:
        closed = table.dataset()
    with pytest.raises(StorageError, match="closed"):
        closed.to_table()


@pytest.mark.damages
def test_damage_is_an_error_in_duckdb_too(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    rows = pa.table({"id": range(20_000), "text": [f"{i * 7919 % 20_011} and more" for i in range(20_000)]})
    am.write_flac(rows, path, primary_key="id", protection="none").close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with am.open(path) as table:
        dataset = table.dataset()
        with pytest.raises(DamagedFileError):
            dataset.to_table()
        with duckdb.connect() as connection, pytest.raises(duckdb.Error, match="CRC-32C"):
            connection.sql("SELECT sum(length(text)) FROM dataset").fetchall()
