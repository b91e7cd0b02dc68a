"""Damaged indexes: the right rows or one of our errors, never others.

Words are found in the texts, vectors are made anew.
"""

from __future__ import annotations

import random
import warnings
from collections import Counter
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.indexes.vectors import DECODED_LISTS
from audiomem_sql.machine.block_cache import SHARED
from audiomem_sql.storage.segment import Extent
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.warn_once import warned

pytestmark = pytest.mark.damages
WORDS = ["sound", "table", "page", "cell", "frame", "sample", "segment", "version", "audio", "index"]
QUERIES = (
    "keyword: sound AND table",
    "keyword: se*",
    "semantic: page of a table",
    "audio index",
    'keyword: "page cell"',
)
Answers = dict[str, list[tuple[int, float]]]


def made(path: Path, count: int) -> None:
    rng = random.Random(3)
    rows = [{"body": f"{' '.join(rng.choices(WORDS, k=rng.randint(3, 12)))} {n}"} for n in range(count)]
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED"]
    options = {"model": "hashing", "profile": "embedded", "protection": "none"}
    with Table.create(path, columns, options) as table:
        table.append(rows)
        table.vacuum()


def asked(table: Table, query: str) -> list[tuple[int, float]]:
    results = table.search(query, k=8)
    ranked = "rank" if "rank" in results.column_names else "distance"
    return list(zip(results["id"].to_pylist(), results[ranked].to_pylist(), strict=True))


def forget() -> None:
    SHARED.clear()
    DECODED_LISTS.clear()
    warned.clear()


def place_of(path: Path, extent: Extent) -> int:
    """Where in the file the middle byte of an extent is."""
    with Table(path) as table:
        segment = table.snapshot.segments[0]
        stored = segment.file.read(segment.data_cell, extent.offset, extent.stored)
    data = path.read_bytes()
    middle = stored[len(stored) // 2 :][:24]
    assert data.count(middle) == 1
    return data.index(middle)


def spoil(path: Path, offset: int, size: int = 40) -> None:
    data = bytearray(path.read_bytes())
    data[offset : offset + size] = bytes(byte ^ 0x5A for byte in data[offset : offset + size])
    path.write_bytes(data)


@pytest.fixture
def table_path(tmp_path: Path) -> Path:
    path = tmp_path / "t.flac"
    made(path, 2500)
    return path


def extents(path: Path) -> dict[str, Extent]:
    with Table(path) as table:
        catalog = table.snapshot.segments[0].catalog
        ((_, vectors),) = catalog.vectors.items()
        ((_, words),) = catalog.keywords.items()
    pieces = words.pieces
    return {
        "header of the words": words.header,
        "postings": Extent(pieces.offset + pieces.stored // 2, 64, 64),
        "header of the vectors": vectors.header,
        "codes": vectors.lists[0],
    }


@pytest.mark.parametrize("part", ["header of the words", "postings"])
def test_words_are_found_in_the_texts(table_path: Path, part: str) -> None:
    with Table(table_path) as table:
        expected = {query: asked(table, query) for query in QUERIES if query.startswith("keyword")}
    spoil(table_path, place_of(table_path, extents(table_path)[part]))
    forget()
    with Table(table_path) as table:
        with pytest.warns(DamageWarning, match="all texts are read instead"):
            answers = {query: asked(table, query) for query in expected}
        assert answers == expected
        assert any(problem.page is not None for problem in problems(table))


@pytest.mark.parametrize("part", ["header of the vectors", "codes"])
def test_vectors_are_made_anew(table_path: Path, part: str) -> None:
    with Table(table_path) as table:
        expected = {query: asked(table, query) for query in QUERIES}
    spoil(table_path, place_of(table_path, extents(table_path)[part]))
    forget()
    with Table(table_path) as table:
        for query in QUERIES:
            if query.startswith("keyword"):
                assert asked(table, query) == expected[query]
            else:
                with pytest.raises(DamagedFileError, match="audiomem reembed") as raised:
                    asked(table, query)
                assert raised.value.file == str(table_path)
                assert raised.value.place is not None
        assert any(problem.page is not None for problem in problems(table))
        table.reembed()
        answer, before = asked(table, QUERIES[2]), expected[QUERIES[2]]
        for (_, distance), (_, was) in zip(answer, before, strict=True):
            assert abs(distance - was) < 0.02  # vectors are stored in steps, and these are newer
        table.vacuum(retain=Retention(count=1))
        assert list(problems(table)) == []
        assert len(asked(table, QUERIES[3])) == 8


def test_damage_anywhere(tmp_path: Path) -> None:
    """The right rows, or one of our errors."""
    path = tmp_path / "t.flac"
    made(path, 300)
    with Table(path) as table:
        expected = {query: asked(table, query) for query in QUERIES}
    whole = path.read_bytes()
    rng = random.Random(5)
    ends: Counter[str] = Counter()
    for _ in range(60):
        path.write_bytes(whole)
        spoil(path, rng.randrange(len(whole)), rng.choice([1, 40, 3000]))
        forget()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)
            try:
                table = Table(path)
            except DamagedFileError:
                ends["not opened"] += 1
                continue
            with table:
                for query in QUERIES:
                    try:
                        answer = asked(table, query)
                    except DamagedFileError:
                        ends["damaged"] += 1
                    else:
                        assert answer == expected[query]
                        ends["right"] += 1
    assert ends["right"] > 60
    assert ends["damaged"] > 10


def test_found_rows_that_are_lost_are_left_out_where_damage_is_passed_over(tmp_path: Path) -> None:
    rng = random.Random(4)
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": f"page {rng.randbytes(600).hex()}"} for _ in range(400)])
        table.vacuum()
        blocks = table.snapshot.segments[0].directory(1)
        assert blocks is not None
        block = Extent(int(blocks.offsets[1]), int(blocks.stored[1]), int(blocks.raw[1]))
    spoil(path, place_of(path, block))
    forget()
    with Table(path, on_damage="skip") as table:
        with pytest.warns(DamageWarning, match="left out"):
            remaining = len(table.to_arrow())
        assert 0 < remaining < 400
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DamageWarning)  # of other runs of rows than a scan tells of
            assert table.search("page", k=400).num_rows == remaining
            assert table.top("id DESC", k=400, columns=["body"]).num_rows == remaining


def test_lost_vectors_cost_no_row(table_path: Path, tmp_path: Path) -> None:
    spoil(table_path, place_of(table_path, extents(table_path)["codes"]))
    forget()
    with Table(table_path, on_damage="skip") as broken, pytest.warns(DamageWarning, match="reembed"):
        saved = Table.salvaged(broken, tmp_path / "saved.flac")
    with saved:
        assert len(saved) == 2500
        assert saved.search("semantic: page of a table", k=2500).num_rows < 2500
        saved.reembed()
        assert saved.search("semantic: page of a table", k=2500).num_rows == 2500
