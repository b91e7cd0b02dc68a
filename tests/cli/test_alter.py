"""alter: columns come and go, and so do indexes of vectors."""

from __future__ import annotations

import json

import numpy as np

import audiomem_sql as am

from .conftest import Command, fails


def indexed() -> list[str]:
    """The metrics of the indexes that the segments have for the columns of now."""
    with am.open("t.flac") as table:
        schema = table.snapshot.schema
        column = schema.index("v")
        views = [view.segment.with_schema(schema) for view in table.snapshot.views]
        return [index.metric for segment in views if (index := segment.vector_index(column)) is not None]


def test_columns(audiomem: Command) -> None:
    assert audiomem("create", "t.flac", "id INTEGER PRIMARY KEY", "a TEXT").code == 0
    audiomem("sql", "t.flac", "INSERT INTO t VALUES (1, 'x')")
    assert audiomem("alter", "t.flac", "add column year INTEGER DEFAULT 2000").out == (
        "t.flac: add column year INTEGER DEFAULT 2000, version 3\n"
    )
    assert audiomem("alter", "t.flac", "rename", "column", "a", "to", "b c").code != 0
    assert audiomem("alter", "t.flac", "rename", "column", "a", "to", "b").code == 0
    assert json.loads(audiomem("sql", "t.flac", "SELECT * FROM t", "--json").out) == [
        {"id": 1, "b": "x", "year": 2000}
    ]
    assert audiomem("alter", "t.flac", "drop column b").out == 't.flac: drop column "b", version 5\n'
    with am.open("t.flac") as table:
        assert table.to_arrow().to_pylist() == [{"id": 1, "year": 2000}]
        assert table.checkout(version=2).to_arrow().to_pylist() == [{"id": 1, "a": "x"}]


def test_an_index_of_vectors(audiomem: Command) -> None:
    vectors = np.random.default_rng(3).standard_normal((300, 16)).astype(np.float32)
    with am.write_flac({"id": range(300), "v": vectors}, "t.flac", primary_key="id"):
        pass
    assert indexed() == []
    assert audiomem("alter", "t.flac", "index column v (metric=l2, codes=int8)").code == 0
    assert indexed() == []  # until the rows are written again
    done = audiomem("alter", "t.flac", "index column v (metric=ip)", "--vacuum")
    assert (done.code, done.out) == (0, 't.flac: index column "v" (metric=ip), version 4\n')
    assert indexed() == ["ip"]
    with am.open("t.flac") as table:
        found = table.search(vector=vectors[5], k=1, column="v")["id"].to_pylist()
        assert found == [int(np.argmax(vectors @ vectors[5]))]
    assert audiomem("alter", "t.flac", "unindex column v", "--vacuum").code == 0
    assert indexed() == []


def test_what_is_refused(audiomem: Command) -> None:
    assert audiomem("create", "t.flac", "id INTEGER PRIMARY KEY", "a TEXT", "v FLOAT[4]").code == 0
    for change, what in (
        ("index column nix", "there is no column nix"),
        ("index column id", "INTEGER has no index"),
        ("index column v (metric=l3)", "l3"),
        ("unindex column v", "v"),
        ("frobnicate v", "frobnicate v"),
        ("drop column id", "id"),
    ):
        fails(audiomem("alter", "t.flac", change), 1, "t.flac", what)
    fails(audiomem("alter", "t.flac"), 2, "CHANGE")
    fails(audiomem("alter", "none.flac", "drop column a"), 1, "none.flac")
    with am.open("t.flac") as table:
        assert table.version == 1
