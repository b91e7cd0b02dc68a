"""``layout=remote``: where bytes stand for readers who get ranges of a file from far away."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import arrow, content, rows, same

from audiomem_sql import connect
from audiomem_sql.blocks.zones import OPEN
from audiomem_sql.cli.main import app
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import OptionError
from audiomem_sql.storage.segment import strips as module
from audiomem_sql.storage.segment.options import TableOptions
from audiomem_sql.storage.segment.strips import LEAST_STRIP_ROWS, STRIP_BYTES, Strips
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

WORDS = [
    f"{a}{b}" for a in ("sea", "fog", "tide", "reef", "gale", "moor") for b in ("side", "mark", "line", "")
]
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "source TEXT",
    "body TEXT INDEXED SEMANTIC",
    "title TEXT",
    "code TEXT UNIQUE",
    "seen TIMESTAMP",
    "n INTEGER",
]
COUNT = 9_000
SMALL = ("source", "title", "code", "seen", "n")


@pytest.fixture(scope="module")
def truth() -> pa.Table:
    dice = random.Random(5)
    bodies = [" ".join(dice.choices(WORDS, k=30)) + f" {number}" for number in range(COUNT)]
    bodies[7], bodies[4000] = "", None  # type: ignore[call-overload]
    return pa.table(
        {
            "id": np.arange(1, COUNT + 1),
            "source": dice.choices(["a.md", "b.md", None], k=COUNT),
            "body": bodies,
            "title": [" ".join(dice.choices(WORDS, k=3)) for _ in range(COUNT)],
            "code": [f"{dice.getrandbits(64):x}-{number}" for number in range(COUNT)],
            "seen": pa.array([dice.randrange(2**50) for _ in range(COUNT)], pa.timestamp("us")),
            "n": [dice.randrange(10**9) for _ in range(COUNT)],
        }
    )


def made(path: Path, truth: pa.Table, **options: Any) -> Table:
    with Table.create(path, COLUMNS, {"model": "hashing", **options}) as table:
        table.append(truth.slice(0, 8_000))
        table.append(truth.slice(8_000))
        table.vacuum(level=3)
    return Table(path)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, truth: pa.Table) -> Path:
    path = tmp_path_factory.mktemp("remote") / "t.flac"
    made(path, truth, layout="remote").close()
    return path


def test_every_row_and_index_is_as_with_the_other_layout(
    tmp_path: Path, remote: Path, truth: pa.Table
) -> None:
    with made(tmp_path / "local.flac", truth) as local, Table(remote) as table:
        assert list(problems(table)) == []
        assert same(content(table), content(local))
        for query in ("words:tideline reefmark", "tideline reefmark", "semantic:gale moorside"):
            found, expected = (each.search(query, k=20).to_pylist() for each in (table, local))
            assert [row["id"] for row in found] == [row["id"] for row in expected]
        code = truth["code"][77].as_py()
        for each in (table, local):
            assert each.to_arrow(where=f"code = '{code}'")["id"].to_pylist() == [78]


def test_a_row_is_one_strip_and_one_block_of_each_large_column(remote: Path) -> None:
    with Table(remote) as table:
        segment = table.snapshot.segments[0]
        names = table.schema.names
        directories = {name: segment.directory(names.index(name)) for name in (*SMALL, "body")}
        small = [directories[name] for name in SMALL]
        rows_of_strip = int(small[0].starts[1])
        assert rows_of_strip % 256 == 0
        assert rows_of_strip >= LEAST_STRIP_ROWS
        assert small[0].count > 2
        ends = []
        for number in range(small[0].count):
            assert {tuple(each.starts[number : number + 2]) for each in small} == {
                (number * rows_of_strip, min((number + 1) * rows_of_strip, COUNT))
            }
            begins = [int(each.offsets[number]) for each in small]
            stops = [int(each.offsets[number] + each.stored[number]) for each in small]
            assert begins[1:] == stops[:-1]  # side by side, in the order of the columns
            assert stops[-1] - begins[0] < 2 * STRIP_BYTES or rows_of_strip == LEAST_STRIP_ROWS
            ends.append((begins[0], stops[-1]))
        assert [start for start, _ in ends[1:]] == [stop for _, stop in ends[:-1]]
        body = directories["body"]
        assert int(body.raw[:-1].max()) <= 30_000
        assert int(body.raw[:-1].min()) > 26_000
        assert int(body.offsets.min()) >= ends[-1][1]


def test_what_every_reader_needs_comes_first(remote: Path) -> None:
    with Table(remote) as table:
        segment = table.snapshot.segments[0]
        catalog, names = segment.catalog, table.schema.names
        dictionary = segment.entry(names.index("body")).dictionary
        assert dictionary is not None
        assert dictionary.raw <= module.DICTIONARIES_BYTES
        headers = [index.header for index in (*catalog.keywords.values(), *catalog.vectors.values())]
        head = [dictionary, *headers]
        end = sum(extent.stored for extent in head)
        (words,) = catalog.keywords.values()
        assert words.header.offset == 0
        assert dictionary.offset == words.header.stored
        assert max(extent.offset + extent.stored for extent in head) == end
        bloom = segment.entry(names.index("code")).bloom
        assert bloom is not None
        strip = int(segment.directory(names.index("source")).offsets[0])
        assert end <= bloom.offset < strip
        last_block = int(segment.directory(names.index("body")).offsets[-1])
        assert all(words.pieces.offset > last_block for words in catalog.keywords.values())
        lists = [extent.offset for index in catalog.vectors.values() for extent in index.lists]
        assert min(lists) > last_block


def test_long_texts_have_no_bounds(remote: Path, truth: pa.Table) -> None:
    with Table(remote) as table:
        segment, names = table.snapshot.segments[0], table.schema.names
        zones = segment.directory(names.index("body")).zones
        assert zones.is_open
        assert (zones.low[0], zones.high[0]) == OPEN
        assert not segment.directory(names.index("title")).zones.is_open
        assert not segment.directory(names.index("n")).zones.is_open
        for condition in (
            "body > 'tide'",
            "body LIKE 'reef%'",
            "body IS NULL",
            "body = ''",
            "body IN ('', 'x')",
        ):
            with closing(connect(remote)) as connection:
                (count,) = connection.execute(f"SELECT count(*) FROM t WHERE {condition}").fetchone()
            native = apsw.Connection(":memory:")
            native.execute("CREATE TABLE t(body TEXT)")
            native.executemany("INSERT INTO t VALUES (?)", [(body,) for body in truth["body"].to_pylist()])
            assert native.execute(f"SELECT count(*) FROM t WHERE {condition}").fetchone() == (count,)
            native.close()


def test_a_column_of_nulls_and_a_table_without_small_columns(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "body TEXT", "nothing TEXT", "vec FLOAT[4]"]
    long = [
        {"id": number, "body": "x" * 100, "nothing": None, "vec": [1.0, 0.0, 0.0, float(number)]}
        for number in range(3000)
    ]
    for chosen in (columns, columns[:2], columns[:1]):
        path = tmp_path / f"{len(chosen)}.flac"
        given_ = [{name.split()[0]: row[name.split()[0]] for name in chosen} for row in long]
        with Table.create(path, chosen, {"layout": "remote"}) as table:
            table.append(given_)
            table.append([{**given_[0], "id": 9000}])
            table.vacuum(level=1)
            assert same(content(table), [*given_, {**given_[0], "id": 9000}])
            assert list(problems(table)) == []


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from([256, 1024, 1280]))
def test_slices_end_where_strips_do(before: int, count: int, strip_rows: int) -> None:
    slices = list(Strips(frozenset(), strip_rows).slices(before, count))
    assert [row for start, stop in slices for row in range(start, stop)] == list(range(count))
    assert all((before + stop) % strip_rows == 0 for _, stop in slices[:-1])
    assert all(stop - start <= strip_rows for start, stop in slices)


def test_dictionaries_share_a_budget(tmp_path: Path) -> None:
    dice = random.Random(3)
    texts = [" ".join(dice.choices(WORDS, k=200)) + f" {number}" for number in range(2500)]
    columns = ["id INTEGER PRIMARY KEY", *(f"t{number} TEXT" for number in range(4)), "few TEXT"]
    table = pa.table(
        {"id": range(2500), **{f"t{n}": dice.sample(texts, 2500) for n in range(4)}, "few": ["a"] * 2500}
    )
    with Table.create(
        tmp_path / "t.flac", columns, {"layout": "remote", "compression_level": 1}
    ) as made_table:
        made_table.append(table)
        made_table.checkpoint()
        segment = made_table.snapshot.segments[0]
        found = [segment.entry(number).dictionary for number in range(1, 6)]
        assert found[-1] is None
        raw = [extent.raw for extent in found[:-1] if extent is not None]
        assert len(raw) == 4
        assert all(20_000 < size <= module.DICTIONARIES_BYTES // 4 for size in raw)
        assert same(content(made_table), table.to_pylist())


def test_texts_that_no_dictionary_can_be_trained_on(tmp_path: Path) -> None:
    one = "x" * (2 << 20)
    with Table.create(
        tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT"], {"layout": "remote"}
    ) as table:
        table.append([{"id": 1, "body": one}])
        table.checkpoint()
        assert table.snapshot.segments[0].entry(1).dictionary is None
        assert content(table) == [{"id": 1, "body": one}]


def test_every_door_sets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, parse_columns(["id INTEGER PRIMARY KEY", "body TEXT"]), {}) as table:
        table.append([{"id": 1, "body": "here"}])
        assert table.options.layout == "local"
        assert "layout" not in table.options.to_catalog()
        table.vacuum(layout="remote")
        assert table.options.layout == "remote"
        with pytest.raises(OptionError, match=r"layout 'far' does not exist.*local, remote"):
            table.vacuum(layout="far")
        table.vacuum()
        assert table.options.layout == "remote"
    with connect(path) as connection:
        connection.execute("INSERT INTO t(t, rank) VALUES ('vacuum', 'local')")
    with Table(path) as table:
        assert table.options.layout == "local"
    app(["vacuum", str(path), "--for", "remote"], standalone_mode=False)
    assert "after" in capsys.readouterr().out
    with Table(path) as table:
        assert table.options.layout == "remote"
        table.transcode({"layout": "local"})
        assert table.options.layout == "local"
    with pytest.raises(OptionError, match="layout 'near'"):
        TableOptions.parse({"layout": "near"})


def test_with_bands_and_importance(tmp_path: Path) -> None:
    options = {"layout": "remote", "modulation": "spectrum", "band_plan": "mission", "profile": "embedded"}
    columns = ["id INTEGER PRIMARY KEY", "body TEXT", "importance REAL"]
    given_ = [{"id": n, "body": f"text {n} " * 20, "importance": (n // 700) % 3 / 2} for n in range(3000)]
    with Table.create(tmp_path / "t.flac", columns, options) as table:
        table.append(given_)
        table.checkpoint()
        assert same(content(table), given_)
        assert list(problems(table)) == []


def test_all_types(tmp_path: Path) -> None:
    from samples import COLUMNS as ALL

    with Table.create(tmp_path / "t.flac", ALL, {"layout": "remote"}) as table:
        table.append(arrow(rows(1500)))
        table.append(arrow(rows(700, first=5000)))
        table.vacuum(level=1)
        assert same(content(table), rows(1500) + rows(700, first=5000))
        assert list(problems(table)) == []
