"""Tables that Spark reads and writes in batches."""

from __future__ import annotations

import datetime
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

import audiomem_sql
import audiomem_sql.spark
from audiomem_sql.errors import AudioMemError, StorageError
from audiomem_sql.spark.options import SourceOptions
from audiomem_sql.spark.writing import Writer
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import log_limits

ROWS = 200_000
DEFINITIONS = "id INTEGER PRIMARY KEY, topic TEXT, year INTEGER, body TEXT INDEXED"
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "islet", "jade")


def _frame(spark: SparkSession, rows: int = ROWS) -> DataFrame:
    body = ", ' ', ".join(f"element_at(array({', '.join(repr(word) for word in WORDS)}), "
                          f"int(pmod(hash(id, {place}), 10)) + 1)" for place in range(4))  # fmt: skip
    return (
        spark.range(1, rows + 1, numPartitions=6)
        .selectExpr(
            "id", "concat('t', id % 23) AS topic", "int(1990 + id % 40) AS year", f"concat({body}) AS body"
        )
        .selectExpr("id", "topic", "bigint(year) AS year", "body")
    )


def read(spark: SparkSession, path: Path | str, **options: Any) -> DataFrame:
    return spark.read.format("audiomem").options(**options).load(str(path))


def write(frame: DataFrame, path: Path, mode: str = "append", **options: Any) -> None:
    frame.write.format("audiomem").mode(mode).options(**options).save(str(path))


def nothing_staged(path: Path) -> bool:
    return not (path.parent / f".{path.name}.staged").exists()


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """16 shards that Spark wrote, and one file with the same rows; both with a second version."""
    folder = tmp_path_factory.mktemp("built")
    sharded, single = folder / "kb.shards", folder / "kb.flac"
    frame = _frame(spark)
    options = {"definitions": DEFINITIONS, "shards": 16, "compression_level": 3}
    write(audiomem_sql.spark.by_shard(frame, str(sharded), **options), sharded, **options)
    with Table.create(single, DEFINITIONS.split(", "), {"compression_level": 3}) as table:
        table.append(frame.toArrow())
    for path in (sharded, single):
        connection = audiomem_sql.connect(path)
        connection.execute(
            "UPDATE kb SET year = year + 1000 WHERE id % 1000 = 7; DELETE FROM kb WHERE id % 1000 = 8"
        )
        connection.close()
    assert nothing_staged(sharded)
    return sharded, single


@pytest.fixture(scope="module")
def meant(spark: SparkSession, built: tuple[Path, Path]) -> tuple[Path, Path]:
    """The first rows of both, with vectors of their texts."""
    folder = built[0].parent / "meant"
    folder.mkdir()
    sharded, single = folder / "kb.shards", folder / "kb.flac"
    columns = DEFINITIONS.replace("INDEXED", "SEMANTIC INDEXED")
    frame = _frame(spark, 3000).coalesce(1)
    write(frame, sharded, definitions=columns, shards=4, model="hashing")
    with pytest.MonkeyPatch.context() as patch:
        # the log keeps vectors of texts in whole bytes, which are rounded once more when it is folded
        patch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 0)
        with Table.create(single, columns.split(", "), {"model": "hashing"}) as table:
            table.append(frame.toArrow())
    return sharded, single


def _rows(answer: Any) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in answer)


def _questions(newest: int) -> Iterator[tuple[dict[str, Any], str]]:
    """(options of a read, the same in SQL), 32 of them."""
    choose = random.Random(19)
    for number in range(32):
        year, key, word = choose.randrange(1990, 2030), choose.randrange(1, ROWS), choose.choice(WORDS)
        other = choose.choice(WORDS)
        kind = number % 5
        if kind == 0:
            where = f"year = {year} AND id < {key % 9000}"
            yield {"filter": where}, f"SELECT * FROM kb WHERE {where}"
        elif kind == 1:
            where = f"id IN ({key}, {key + 7}) OR (topic = 't3' AND body LIKE '{word} {other}%')"
            yield {"filter": where}, f"SELECT * FROM kb WHERE {where}"
        elif kind == 2:
            where = f"id > {ROWS - key % 500} AND topic IS NOT NULL"
            version = newest - choose.randrange(0, 2)
            yield (
                {"filter": where, "version": version},
                f"SELECT * FROM kb WHERE {where} AND version = {version}",
            )
        else:
            query = f"{'keyword:' if kind == 3 else ''}{word} {other}"
            yield (
                {"match": query, "k": 7, "columns": "id,topic", "filter": f"year < {year + 5}"},
                f"SELECT id, topic, NULL FROM kb WHERE kb MATCH '{query}' AND year < {year + 5} AND k = 7",
            )


def test_questions_have_the_answers_of_one_file(spark: SparkSession, built: tuple[Path, Path]) -> None:
    sharded, single = built
    shards, one = audiomem_sql.connect(sharded), audiomem_sql.connect(single)
    with audiomem_sql.open(sharded) as table:
        newest = table.version
        assert newest == audiomem_sql.open(single).version
    found = 0
    for options, sql in _questions(newest):
        expected = _rows(one.execute(sql))
        assert _rows(shards.execute(sql)) == expected, sql
        assert _rows(read(spark, sharded, **options).collect()) == expected, sql
        found += len(expected)
    assert found > 500


def test_hybrid_questions_have_the_answers_of_one_file(spark: SparkSession, meant: tuple[Path, Path]) -> None:
    """8 of 40, of words and meaning."""
    sharded, single = meant
    shards, one = audiomem_sql.connect(sharded), audiomem_sql.connect(single)
    choose = random.Random(20)
    for _ in range(8):
        query, year = " ".join(choose.choices(WORDS, k=3)), choose.randrange(1995, 2030)
        where = f"kb MATCH 'hybrid:{query}' AND year < {year} AND k = 6"
        sql = f"SELECT id, round(distance, 4) FROM kb WHERE {where}"
        expected = _rows(one.execute(sql))
        assert len(expected) == 6
        assert _rows(shards.execute(sql)) == expected
        options = {"match": f"hybrid:{query}", "k": 6, "columns": "id", "filter": f"year < {year}"}
        found = read(spark, sharded, **options).collect()
        assert sorted((row.id, round(row.distance, 4)) for row in found) == expected


def test_counts_and_groups(spark: SparkSession, built: tuple[Path, Path]) -> None:
    sharded, single = built
    frame = read(spark, sharded)
    assert frame.filter("year = 2001").count() == read(spark, single).filter("year = 2001").count() > 0
    assert frame.count() == ROWS - ROWS // 1000  # also after a filter on the same frame
    frame.cache().count()
    frame.unpersist()
    groups = {row.topic: row["count"] for row in frame.groupBy("topic").count().collect()}
    with audiomem_sql.open(single) as table:
        topics = table.to_arrow(["topic"]).group_by("topic").aggregate([([], "count_all")])
    assert groups == dict(zip(topics["topic"].to_pylist(), topics["count_all"].to_pylist(), strict=True))
    assert read(spark, sharded, columns="id", partitions=16).rdd.getNumPartitions() >= 16


def test_every_type(spark: SparkSession, tmp_path: Path) -> None:
    vectors = ["v FLOAT[2]", "e INT8[2]", "n BIT[16]"]
    columns = ["i INTEGER", "r REAL", "t TEXT", "b BLOB", "f BOOLEAN", "w TIMESTAMP", "j JSON", *vectors]
    when = datetime.datetime(2026, 11, 1, 12, 30, 5, 123456)
    rows = {"i": -5, "r": 0.5, "t": "ä", "b": b"\0\xff", "f": True, "w": when, "j": '{"a":1}'}
    rows |= {"v": [1.0, -2.5], "e": [1, -128], "n": b"\3\xff"}
    with Table.create(tmp_path / "a.flac", columns, {"profile": "embedded"}) as table:
        table.append([rows, dict.fromkeys(rows)])
    frame = read(spark, tmp_path / "a.flac")
    first, second = frame.collect()
    expected = {**rows, "b": bytearray(rows["b"]), "n": bytearray([3, 255])}
    assert first.asDict() == expected
    assert set(second.asDict().values()) == {None}
    write(frame, tmp_path / "b.shards", definitions=",".join(columns), shards=3)
    with audiomem_sql.open(tmp_path / "a.flac") as one, audiomem_sql.open(tmp_path / "b.shards") as other:
        assert one.to_arrow().sort_by("i").to_pylist() == other.to_arrow().sort_by("i").to_pylist()


def test_overwrite_and_replace(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "kb.shards"
    write(_frame(spark, 1000), path, definitions=DEFINITIONS, shards=4)
    write(_frame(spark, 50).filter("year = 1995"), path, "overwrite", replacewhere="year = 1995")
    frame = read(spark, path)
    assert frame.count() == 1000 - 25 + _frame(spark, 50).filter("year = 1995").count()
    with pytest.raises(Exception, match="replacewhere is year = 1995"):
        write(_frame(spark, 10), path, "overwrite", replacewhere="year = 1995")
    with pytest.raises(Exception, match="there is no option replacwhere"):
        write(_frame(spark, 10), path, "overwrite", replaceWhere="year = 1995", replacWhere="x")
    with pytest.raises(Exception, match="UNIQUE constraint failed"):
        write(_frame(spark, 10), path)
    assert nothing_staged(path)
    write(_frame(spark, 10), path, "overwrite")
    assert sorted(row.id for row in read(spark, path).collect()) == list(range(1, 11))
    assert read(spark, path, version=2).count() == 1000  # the versions before are kept


def test_a_killed_task_is_repeated(spark: SparkSession, tmp_path: Path) -> None:
    path, mark = tmp_path / "kb.shards", str(tmp_path / "killed")

    def die_once(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if not os.path.exists(mark):
                open(mark, "w").close()
                os.kill(os.getpid(), signal.SIGKILL)

    frame = _frame(spark, 2000)
    write(frame.mapInArrow(die_once, frame.schema), path, definitions=DEFINITIONS, shards=4)
    assert os.path.exists(mark)
    assert sorted(row.id for row in read(spark, path).collect()) == list(range(1, 2001))
    assert nothing_staged(path)


def test_a_job_that_fails_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "kb.shards"
    write(_frame(spark, 100), path, definitions=DEFINITIONS, shards=4)

    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            if 150 in batch.column("id").to_pylist():
                raise ValueError("no more")

    frame = _frame(spark, 300).filter("id > 100")
    with pytest.raises(Exception, match="no more"):
        write(frame.mapInArrow(fail, frame.schema), path)
    assert nothing_staged(path)
    with audiomem_sql.open(path) as table:
        assert (table.version, len(table)) == (2, 100)


def test_tasks_encode(spark: SparkSession, built: tuple[Path, Path], tmp_path: Path) -> None:
    """Each shard has one segment of a write whose rows are put together by shard."""
    with audiomem_sql.open(built[0]) as table:
        assert len(table.snapshot.segments) == 16
    path = tmp_path / "kb.shards"
    options = {"definitions": DEFINITIONS, "shards": 8}
    frame = audiomem_sql.spark.by_shard(_frame(spark, 60_000), str(path), **options)
    assert 1 < frame.rdd.getNumPartitions() <= 8
    write(frame, path, **options)
    more = _frame(spark, 120_000).filter("id > 60000")
    write(audiomem_sql.spark.by_shard(more, str(path), 2), path)
    with audiomem_sql.open(path) as table:
        assert len(table) == 120_000
        assert len(table.snapshot.segments) == 16
        assert [str(problem) for problem in problems(table)] == []
    assert nothing_staged(path)
    with pytest.raises(AudioMemError, match="no column says"):
        audiomem_sql.spark.by_shard(frame, str(tmp_path / "x.shards"), definitions="body TEXT", shards=2)


def test_a_key_of_texts(spark: SparkSession, tmp_path: Path) -> None:
    """Rowids are given by the commit; rows of a shard are in one task."""
    path = tmp_path / "kb.shards"
    options = {"definitions": "code TEXT PRIMARY KEY, year INTEGER, body TEXT", "shards": 2}
    frame = _frame(spark, 20_000).selectExpr("concat('c', id) AS code", "year", "body")
    write(audiomem_sql.spark.by_shard(frame, str(path), **options), path, **options)
    connection = audiomem_sql.connect(path)
    count = "SELECT count(*), count(DISTINCT rowid), max(rowid), count(DISTINCT code) FROM kb"
    assert connection.execute(count).fetchall() == [(20_000,) * 4]
    with audiomem_sql.open(path) as table:
        assert len(table.snapshot.segments) == 2
    with pytest.raises(Exception, match="UNIQUE constraint failed: code"):
        write(frame.filter("code > 'c1'"), path)
    assert nothing_staged(path)


def test_attempts_that_run_twice(spark: SparkSession, tmp_path: Path) -> None:
    """Spark does not speculate on one machine, so both attempts are made here; one comes after the commit."""
    path = tmp_path / "kb.shards"
    options = {"path": str(path), "definitions": DEFINITIONS, "shards": "2"}
    frame = _frame(spark, 12_000)
    batches = frame.toArrow().to_batches()
    writer = Writer(SourceOptions.of(options), frame.schema, overwrite=False)
    first, second = (writer.write(iter(batches)) for _ in range(2))
    assert any(name.endswith(".segment") for name in first.names)
    writer.commit([second])
    with pytest.raises(StorageError):
        writer.write(iter(batches))
    assert nothing_staged(path)
    with audiomem_sql.open(path) as table:
        assert (table.version, len(table)) == (2, 12_000)


def test_many_queries_at_once(spark: SparkSession, meant: tuple[Path, Path]) -> None:
    path = str(meant[0])
    texts = [" ".join(random.Random(number).choices(WORDS, k=3)) for number in range(12)]
    asked = spark.createDataFrame([*enumerate(texts), (12, None)], "n INT, query STRING")
    with audiomem_sql.open(path) as table:
        expected = {n: table.search(text, 4)["id"].to_pylist() for n, text in enumerate(texts)}
    found = audiomem_sql.spark.search(asked, path, 4, columns=["id"]).orderBy("n", "answer").collect()
    assert {n: [row.id for row in found if row.n == n] for n in range(12)} == expected
    assert not [row for row in found if row.n == 12]


def test_functions(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "v.shards"
    vectors = np.random.default_rng(3).normal(size=(500, 8)).astype(np.float32)
    with Table.create(path, ["id INTEGER PRIMARY KEY", "v FLOAT[8]"], {"shards": 4}) as table:
        table.append([{"id": number, "v": vectors[number].tolist()} for number in range(500)])
        expected = [table.search(vector, 3, column="v")["id"].to_pylist() for vector in vectors[:20]]
    asked = spark.createDataFrame([(n, vectors[n].tolist()) for n in range(20)], "n INT, query array<float>")
    found = (
        audiomem_sql.spark.search(asked, str(path), 3, columns=["id"], column="v")
        .orderBy("n", "answer")
        .collect()
    )
    assert [[row.id for row in found if row.n == n] for n in range(20)] == expected
    texts = spark.createDataFrame([("a b",), (None,)], "text STRING")
    first, second = texts.select(audiomem_sql.spark.embed(texts.text, "hashing").alias("v")).collect()
    assert second.v is None
    assert sum(number * number for number in first.v) == pytest.approx(1, abs=1e-4)


def test_the_example_of_the_docs(spark: SparkSession, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/SPARK.md").read_text()
    example = "".join(part.split("```")[0] for part in page.split("```python\n")[1:])
    rows = [{"id": n, "body": f"amber birch {n}", "year": 2018 + n} for n in range(6)]
    columns = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "year INTEGER"]
    for name in ("kb.shards", "other.shards"):
        with Table.create(tmp_path / name, columns, {"shards": 2}) as table:
            table.append(rows if name == "kb.shards" else rows[:1])
    for name in ("kb.shards", "other.shards", "new.shards"):
        example = example.replace(f'"{name}"', repr(str(tmp_path / name)))  # Spark has a folder of its own
    names: dict[str, Any] = {"spark": spark}
    exec(example, names)
    assert names["frame"].count() == 3
    assert names["answers"].count() == 5
    with audiomem_sql.open(tmp_path / "other.shards") as table:
        assert sorted(table.to_arrow()["id"].to_pylist()) == [0, 3, 4, 5]
    with audiomem_sql.open(tmp_path / "new.shards") as table:
        assert sorted(table.to_arrow()["id"].to_pylist()) == [3, 4, 5]
