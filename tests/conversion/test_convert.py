"""Conversions whatever the store: metadata as columns, names of files, what is left after errors."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.cli.main import run
from audiomem_sql.conversion import convert as converting
from audiomem_sql.conversion.convert import convert
from audiomem_sql.conversion.records import RecordCollection, Records, VectorColumn
from audiomem_sql.errors import (
    DamagedFileError,
    DataTypeError,
    MissingExtraError,
    OptionError,
    StorageError,
    UnsupportedError,
)

from .sources import rows_of


def table_of(metadata: list[dict[str, Any] | None], ids: list[Any] | None = None, **more: Any) -> Any:
    """The columns and rows that records become."""
    ids = list(range(len(metadata))) if ids is None else ids

    def read(_: bool) -> Iterator[Records]:
        for row, each in enumerate(metadata):  # a batch each
            yield Records([ids[row]], [None], [each], {"vec": [[float(row), 1.0]]})

    return RecordCollection("c", len(ids), {"vec": VectorColumn(2)}, read, "source", **more)


def test_metadata_become_columns_where_all_rows_agree() -> None:
    found = table_of(
        [
            {"a": 1, "b": "x", "c": 1.5, "d": True, "e": 1, "f": [1], "Id": 3, "g": None, "h": b"\x00"},
            {"a": None, "c": 2.5, "e": "one", "vec": "mine", "G": 1, "i": float("nan"), "j": 1 << 70},
            None,
        ]
    )
    assert [column.name for column in found.schema().columns] == [
        "id", "a", "b", "c", "d", "h", "metadata", "vec",
    ]  # fmt: skip
    rows = pa.concat_tables(found.batches()).to_pylist()
    assert rows[0] == {
        "id": 0, "a": 1, "b": "x", "c": 1.5, "d": True, "h": b"\x00", "vec": [0.0, 1.0],
        "metadata": json.dumps({"e": 1, "f": [1], "Id": 3, "g": None}),
    }  # fmt: skip
    assert json.loads(rows[1]["metadata"]) == {"e": "one", "vec": "mine", "G": 1, "i": "nan", "j": 1 << 70}
    assert rows[2]["metadata"] is None


def test_many_keys() -> None:
    found = table_of([{f"k{number}": number for number in range(500)}])
    assert len(found.schema()) == 203
    (batch,) = found.batches()
    assert len(json.loads(batch["metadata"][0].as_py())) == 300


def test_ids_of_two_types_are_texts() -> None:
    found = table_of([None, None], [7, "b"])
    assert [row["id"] for row in pa.concat_tables(found.batches()).to_pylist()] == ["7", "b"]
    assert table_of([], []).schema().columns[0].type.kind.name == "TEXT"


def test_a_vector_of_another_length() -> None:
    found = RecordCollection(
        "c",
        1,
        {"vec": VectorColumn(3)},
        lambda _: iter([Records(["x"], [None], [None], {"vec": [[1.0]]})]),
        "s",
    )
    with pytest.raises(DataTypeError, match="s: c, x: a vector of 1 numbers among those of 3"):
        list(found.batches())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        'CREATE VIRTUAL TABLE a USING fts5(body); CREATE VIRTUAL TABLE "b/c" USING fts5(body);'
        "INSERT INTO a VALUES ('one'), ('two'); INSERT INTO \"b/c\" VALUES ('three')"
    )
    connection.close()
    return path


def test_a_file_for_each_collection(store: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = list(convert(store, tmp_path / "out"))
    assert [(each.collection, Path(each.file or "").name, each.rows) for each in done] == [
        ("a", "a.flac", 2),
        ("b/c", "b_c.flac", 1),
    ]
    assert rows_of(tmp_path / "out" / "a.flac") == [{"id": 1, "body": "one"}, {"id": 2, "body": "two"}]
    with pytest.raises(StorageError, match=r"a\.flac: the file exists already"):
        list(convert(store, tmp_path / "out"))
    assert {each.name for each in (tmp_path / "out").iterdir()} == {"a.flac", "b_c.flac"}


def test_the_command(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "kb.flac"
    assert run(["convert", str(store), str(target), "--collection", "a", "--dry-run"]) == 0
    assert "would be made: 2 rows of a (full-text tables of SQLite), no vectors" in capsys.readouterr().out
    assert not target.exists()
    assert (
        run(["convert", str(store), str(target), "--collection", "a", "--json", "-o", "protection=none"]) == 0
    )
    (facts,) = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["file"], facts["file_bytes"]) == (2, str(target), target.stat().st_size)
    assert run(["convert", str(store), str(target), "--collection", "a"]) == 1
    assert "the file exists already" in capsys.readouterr().err
    assert run(["convert", str(store), str(tmp_path / "x.flac")]) == 2
    assert run(["convert", str(store), str(tmp_path / "x.db"), "--collection", "a"]) == 2


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("music", b"fLaC\x00", "a FLAC file"),
        ("a.parquet", b"PAR1", "a Parquet file"),
        ("a.pkl", b"\x80\x05K\x01.", "a pickle, which can run code"),
        ("a.zip", b"PK\x03\x04", "a zip archive"),
        ("a.npy", b"\x93NUMPY", "an array of numpy"),
        ("a.duckdb", b"12345678DUCK", "a database of DuckDB"),
        ("a.txt", b"text", "no store that is known"),
        ("empty", b"", "an empty file"),
    ],
)
def test_wrong_sources(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UnsupportedError, match=f"{name}: this is {words}.*Known are"):
        list(convert(tmp_path / name, tmp_path / "new.flac"))


def test_wrong_folders_and_databases(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is nothing"):
        list(convert(tmp_path / "nowhere", tmp_path / "new.flac"))
    with pytest.raises(OptionError, match="between local files"):
        list(convert("s3://bucket/a", tmp_path / "new.flac"))
    for file, words in (
        ("raft_state.json", "Qdrant server"),
        ("chroma-embeddings.parquet", "before 0.4"),
        ("x", "x"),
    ):
        folder = tmp_path / words
        folder.mkdir()
        (folder / file).write_bytes(b"")
        with pytest.raises(UnsupportedError, match=words):
            list(convert(folder, tmp_path / "new.flac"))
    apsw.Connection(str(tmp_path / "plain.db")).execute("CREATE TABLE people(name)")
    with pytest.raises(UnsupportedError, match=r"no tables of sqlite-vec.*people"):
        list(convert(tmp_path / "plain.db", tmp_path / "new.flac"))


def test_several_commits_are_one_file(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "COMMIT_BYTES", 1)
    monkeypatch.setattr("audiomem_sql.conversion.sqlite_tables.rows_at_once", lambda width: 1)
    steps: list[Any] = []
    list(convert(store, tmp_path / "kb.flac", collection="a", told=lambda *step: steps.append(step)))
    assert steps == [("a", 1, 2), ("a", 2, 2)]
    assert [row["body"] for row in rows_of(tmp_path / "kb.flac")] == ["one", "two"]
    assert {each.name for each in tmp_path.iterdir()} == {"store.db", "kb.flac"}


@pytest.mark.parametrize("kind", [pa.ArrowInvalid, KeyError, AttributeError, TypeError, sqlite3.Error])
@pytest.mark.parametrize("step", ["open", "schema", "batches"])
def test_an_error_of_what_reads_the_source(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, kind: type[Exception]
) -> None:
    def fails(*_: object) -> Any:
        raise kind("x")

    names = {"open": "full_text_tables", "schema": "SqlCollection.schema", "batches": "SqlCollection.batches"}
    place = "sqlite_file" if step == "open" else "sqlite_tables"
    monkeypatch.setattr(f"audiomem_sql.conversion.{place}.{names[step]}", fails)
    with pytest.raises(DamagedFileError, match=rf"store.db: .*{kind.__name__}: .?x"):
        list(convert(store, tmp_path / "kb.flac", collection="a"))
    assert {each.name for each in tmp_path.iterdir()} == {"store.db"}


def test_an_error_leaves_nothing(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converting, "COMMIT_BYTES", 1)

    def told(name: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(convert(store, tmp_path / "kb.flac", collection="a", told=told))
    assert {each.name for each in tmp_path.iterdir()} == {"store.db"}


def test_a_kill_leaves_no_table(store: Path, tmp_path: Path) -> None:
    """What is left is hidden beside it; the same command then works."""
    code = (
        "import sys, time\nfrom audiomem_sql.conversion import convert as c\nc.COMMIT_BYTES = 1\n"
        "def told(*step):\n    print('here', flush=True); time.sleep(60)\n"
        "list(c.convert(sys.argv[1], sys.argv[2], collection='a', told=told))\n"
    )
    target = tmp_path / "kb.flac"
    process = subprocess.Popen([sys.executable, "-c", code, store, target], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not target.exists()
    list(convert(store, target, collection="a"))
    assert len(rows_of(target)) == 2


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Vectors of 60 MB pass through batches of 8, and commits of 64 at most."""
    width = 1000
    sizes: list[int] = []

    def batches() -> Iterator[pa.Table]:
        zeros = np.zeros(2000 * width, np.float32)
        for start in range(0, 40_000, 2000):
            yield pa.table(
                {"id": range(start, start + 2000), "vec": pa.FixedSizeListArray.from_arrays(zeros, width)}
            )

    for part in converting._commits(batches()):
        sizes.append(part.nbytes)
    assert sum(sizes) >= 160_000_000
    assert max(sizes) < 2 * converting.COMMIT_BYTES


def test_words_to_search(store: Path, tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "t.db"))
    connection.execute(
        "CREATE VIRTUAL TABLE a USING fts5(code UNINDEXED, content UNINDEXED, other UNINDEXED);"
        "INSERT INTO a VALUES ('x', 'y', 'z')"
    )
    connection.close()
    assert run(["convert", str(tmp_path / "t.db"), str(tmp_path / "1.flac")]) == 0
    arguments = ["--key", "code", "--text-column", "other"]
    assert run(["convert", str(tmp_path / "t.db"), str(tmp_path / "2.flac"), *arguments]) == 0
    assert (
        am.open(tmp_path / "1.flac").schema.sql()
        == "id INTEGER PRIMARY KEY, code TEXT, content TEXT INDEXED, other TEXT"
    )
    assert am.open(tmp_path / "2.flac").schema.sql() == (
        "code TEXT PRIMARY KEY, id INTEGER, content TEXT, other TEXT INDEXED"
    )


@pytest.mark.parametrize(
    ("package", "extra", "name"),
    [
        ("chromadb", "convert-chroma", "chroma.sqlite3"),
        ("lance", "convert-lance", "a.lance/_versions"),
        ("faiss", "convert-faiss", "a.faiss"),
        ("sqlite_vec", "convert-sqlite-vec", "store.db"),
    ],
)
def test_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, extra: str, name: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "lancedb", None)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    if name == "store.db":
        with apsw.Connection(str(tmp_path / name)) as connection:
            connection.execute(
                "PRAGMA writable_schema = on; INSERT INTO sqlite_schema VALUES "
                "('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING vec0(e float[3])')"
            )
    else:
        (tmp_path / name).write_bytes(b"IxF2")
    source = tmp_path / name if name == "store.db" else tmp_path
    with pytest.raises(MissingExtraError, match=rf"pip install 'audiomem-sql\[{extra}\]'"):
        list(convert(source, tmp_path / "kb.flac"))
