"""SQLite files: sqlite-vec with its own extension as the judge, FTS5, and what is none of them."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import numpy as np
import pytest
import sqlite_vec

import audiomem_sql as am
from audiomem_sql.conversion.convert import convert
from audiomem_sql.conversion.statements import arguments_of, vec0_columns
from audiomem_sql.errors import DamagedFileError, DataTypeError, OptionError, UnsupportedError

from .sources import WIDTH, column, converted, rows_of, vectors

COUNT = 400


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Texts in one table, vectors in another, as such stores are usually made."""
    path = tmp_path / "store's #1?.db"
    with opened(path) as connection:
        connection.execute(
            "CREATE TABLE passages(number INTEGER PRIMARY KEY, body TEXT, mixed, big, year TEXT);"
            f"CREATE VIRTUAL TABLE vectors USING vec0(embedding float[{WIDTH}] distance_metric=cosine, "
            "year integer, ok boolean, +note text, chunk_size=64);"
            "CREATE VIRTUAL TABLE codes USING vec0(code text primary key, small int8[16], bits bit[16], "
            "far float[3] distance_metric=l1)"
        )
        with connection:
            for row, vector in enumerate(vectors(COUNT)):
                mixed = row if row % 2 else f"x{row}"
                connection.execute(
                    "INSERT INTO passages VALUES (?, ?, ?, ?, ?)",
                    (row, f"passage {row}", mixed, (1 << 60) + row if row else 0.5, f"of {row}"),
                )
                connection.execute(
                    "INSERT INTO vectors(rowid, embedding, year, ok, note) VALUES (?, ?, ?, ?, ?)",
                    (row, vector.tobytes(), 2000 + row, row % 2, f"note {row}"),
                )
            connection.execute(
                "INSERT INTO codes VALUES ('a', vec_int8(?), vec_bit(?), ?)",
                (bytes(range(120, 136)), b"\x01\x80", vectors(1, 3).tobytes()),
            )
    return path


def opened(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    return connection


def test_vectors_and_texts(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "kb.flac"
    done = converted(store, target, "vectors", texts="passages")
    assert (done.kind, done.rows, done.vectors) == ("sqlite-vec", COUNT, {"embedding": WIDTH})
    assert done.file_bytes == target.stat().st_size
    assert done.source_bytes == store.stat().st_size
    assert (column(target, "embedding") == vectors(COUNT)).all()

    with am.open(target) as table:
        assert table.schema.sql() == (
            "id INTEGER PRIMARY KEY, body TEXT INDEXED, mixed JSON, big JSON, passages_year TEXT, "
            f"embedding FLOAT[{WIDTH}] INDEXED(metric=cosine), year INTEGER, ok BOOLEAN, note TEXT"
        )
        assert {**table.get(7), "embedding": None} == {
            "id": 7,
            "body": "passage 7",
            "mixed": "7",
            "big": str((1 << 60) + 7),
            "passages_year": "of 7",
            "embedding": None,
            "year": 2007,
            "ok": True,
            "note": "note 7",
        }
        assert table.get(0)["mixed"] == '"x0"'
        assert table.search("words: passage 33", k=1)["id"].to_pylist() == [33]
        assert table.versions[-1].message is None or table.version == 2


def test_the_nearest_are_the_same(store: Path, tmp_path: Path) -> None:
    """sqlite-vec is the judge."""
    converted(store, tmp_path / "kb.flac", "vectors")
    theirs, ours = opened(store), am.connect(tmp_path / "kb.flac")
    for query in vectors(5):
        nearest = theirs.execute(
            "SELECT rowid, distance FROM vectors WHERE embedding MATCH ? AND k = 10 ORDER BY distance",
            (query.tobytes(),),
        ).fetchall()
        found = ours.execute(
            "SELECT id, distance FROM kb WHERE embedding MATCH ? AND k = 10 ORDER BY distance",
            (query.tobytes(),),
        ).fetchall()
        assert [row for row, _ in found] == [row for row, _ in nearest]
        assert np.allclose([far for _, far in found], [far for _, far in nearest], atol=1e-5)


def test_other_elements_and_keys(store: Path, tmp_path: Path) -> None:
    done = converted(store, tmp_path / "codes.flac", "codes")
    assert done.columns == (
        "code TEXT PRIMARY KEY, small INT8[16] INDEXED(metric=l2), bits BIT[16], far FLOAT[3]"
    )
    assert any("far" in note for note in done.notes)
    connection = am.connect(tmp_path / "codes.flac")
    assert connection.execute("SELECT * FROM codes").fetchall() == [
        ("a", bytes(range(120, 136)), b"\x01\x80", vectors(1, 3).tobytes())
    ]


def test_full_text(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE VIRTUAL TABLE pages USING fts5(id, [the title], body, kind UNINDEXED, tokenize=porter);"
        "CREATE VIRTUAL TABLE empty USING fts5(body, content='');"
        "INSERT INTO pages(rowid, id, [the title], body, kind) VALUES (5, 'i', 'Kiln', 'firing slowly', 3), "
        "(9, NULL, NULL, 'glazes', 'x')"
    )
    connection.close()
    done = converted(path, tmp_path / "kb.flac", "pages")
    assert done.columns == (
        "id INTEGER PRIMARY KEY, pages_id TEXT INDEXED, "
        '"the title" TEXT INDEXED, body TEXT INDEXED, kind JSON'
    )
    assert rows_of(tmp_path / "kb.flac") == [
        {"id": 5, "pages_id": "i", "the title": "Kiln", "body": "firing slowly", "kind": "3"},
        {"id": 9, "pages_id": None, "the title": None, "body": "glazes", "kind": '"x"'},
    ]
    with pytest.raises(UnsupportedError, match="keeps no texts"):
        list(convert(path, tmp_path / "n.flac", collection="empty"))
    assert not (tmp_path / "n.flac").exists()


def test_full_text_of_values_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "words.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE VIRTUAL TABLE p USING fts5(a, b, c); INSERT INTO p VALUES ('a', 2020, 1.5)")
    converted(path, tmp_path / "kb.flac")
    assert rows_of(tmp_path / "kb.flac") == [{"id": 1, "a": "a", "b": "2020", "c": "1.5"}]
    with am.open(tmp_path / "kb.flac") as table:
        assert table.search("words: 2020", k=1)["id"].to_pylist() == [1]
    connection.execute("INSERT INTO p(a) VALUES (x'ff00')")
    with pytest.raises(DataTypeError, match=r"words.db: p: the column a holds blobs.*CAST"):
        converted(path, tmp_path / "n.flac")
    assert not (tmp_path / "n.flac").exists()


def test_an_embedding_of_llm_that_is_no_vector(tmp_path: Path) -> None:
    path = tmp_path / "embeddings.db"
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE TABLE collections(id INTEGER PRIMARY KEY, name TEXT, model TEXT);"
        "CREATE TABLE embeddings(collection_id INTEGER, id TEXT, embedding BLOB, content, metadata);"
        "INSERT INTO collections VALUES (1, 'c', 'm');"
        "INSERT INTO embeddings VALUES (1, 'a', zeroblob(8), '', NULL), (1, 'b', zeroblob(7), '', NULL)"
    )
    with pytest.raises(DamagedFileError, match=r"embeddings.db: embeddings, b: .*four bytes"):
        converted(path, tmp_path / "n.flac")
    connection.execute("UPDATE embeddings SET embedding = NULL; UPDATE collections SET name = NULL")
    with pytest.raises(DamagedFileError, match=r"embeddings.db: .*cannot be read"):
        converted(path, tmp_path / "n.flac")


@pytest.mark.parametrize("config", [None, [], {"vectors": {"size": 3}}, {"vectors": {"a": None}}])
def test_a_folder_of_qdrant_that_says_too_little(tmp_path: Path, config: object) -> None:
    folder = tmp_path / "qdrant"
    (folder / "collection" / "c").mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"collections": {"c": config}}))
    connection = apsw.Connection(str(folder / "collection" / "c" / "storage.sqlite"))
    connection.execute("CREATE TABLE points(id TEXT PRIMARY KEY, point BLOB)")
    connection.close()
    with pytest.raises(DamagedFileError, match=r"meta.json: .*collection c"):
        converted(folder, tmp_path / "n.flac")


def test_a_store_that_somebody_has_open(store: Path, tmp_path: Path) -> None:
    """What is only in the log of the source counts, and the log stays."""
    connection = opened(store)
    connection.execute("PRAGMA journal_mode = wal").fetchall()
    connection.execute("DELETE FROM vectors WHERE rowid > 9")
    log = Path(f"{store}-wal")
    before = log.read_bytes()
    (done,) = convert(store, tmp_path / "kb.flac", collection="vectors")
    assert done.rows == 10
    assert log.read_bytes() == before


def test_what_is_wrong(store: Path, tmp_path: Path) -> None:
    target = tmp_path / "kb.flac"
    with pytest.raises(
        OptionError, match=r"no collection vector. Did you mean vectors\?.*There are vectors, codes"
    ):
        list(convert(store, target, collection="vector"))
    with pytest.raises(OptionError, match=r"2 collections: vectors, codes.*--collection"):
        list(convert(store, target))
    with pytest.raises(OptionError, match=r"there is no table passage\. Did you mean passages"):
        converted(store, target, "vectors", texts="passage")
    with pytest.raises(OptionError, match="no column bod"):
        converted(store, target, "vectors", indexed=("bod",))
    apsw.Connection(str(store)).execute("UPDATE passages SET mixed = x'00' WHERE number = 3")
    with pytest.raises(DataTypeError, match="mixed holds blobs and integer, text"):
        converted(store, target, "vectors", texts="passages")
    with open(store, "r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 60_000)
    with pytest.raises(DamagedFileError, match="integrity_check"):
        converted(store, target, "vectors")
    assert [each.name for each in tmp_path.iterdir() if "kb.flac" in each.name] == []


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("CREATE VIRTUAL TABLE a USING vec0(b float[3], c text)", ["b float[3]", "c text"]),
        ('create virtual table "using" using "vec0" ( x [int](1,2), \',\' )', ["x [int](1,2)", "','"]),
        ("CREATE VIRTUAL TABLE a USING fts5", []),
    ],
)
def test_arguments(statement: str, arguments: list[str]) -> None:
    assert arguments_of(statement) == arguments


def test_columns_of_vec0() -> None:
    found = vec0_columns(
        "CREATE VIRTUAL TABLE t USING vec0(user integer partition key, id text  PRIMARY  KEY, e FLOAT[8] "
        "distance_metric = Cosine, b bit[16], +extra text, chunk_size=8)"
    )
    assert [(each.name, each.element, each.width, each.metric, each.is_key) for each in found] == [
        ("user", None, 0, None, False),
        ("id", None, 0, None, True),
        ("e", "FLOAT", 8, "cosine", False),
        ("b", "BIT", 16, None, False),
        ("extra", None, 0, None, False),
    ]
