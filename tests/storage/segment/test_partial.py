"""A file of which the first bytes have arrived: the rows that are there, and never others."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha512
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from samples import COLUMNS, SCHEMA, arrow, rows

import audiomem_sql as am
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import (
    DamagedFileError,
    OptionError,
    QueryError,
    StorageError,
    TruncatedFileError,
    UnsupportedError,
)
from audiomem_sql.table.table import Table

pytestmark = pytest.mark.damages
SMALL = {"profile": "embedded"}


class Cuts:
    """Files that begin as the one at ``path``, and what it holds."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.path = path.with_name("cut.flac")
        with am.open(path) as table:
            self.rows = table.to_arrow()
            file = table.snapshot.segments[0].file
            source: Any = file.source
            self.starts = [source.sound.offset(page) for page in range(file.frame_count + 1)]

    @cached_property
    def middle(self) -> int:
        """Bytes with which some rows have arrived, and not all."""
        for size in self.starts[2:]:
            with am.open(self.keep(size), partial=True) as table:
                if 0 < len(table) < len(self.rows):
                    return size
        raise AssertionError("rows come all at once")

    def keep(self, size: int) -> Path:
        """The first ``size`` bytes."""
        self.path.write_bytes(self.data[:size])
        return self.path


LONG = parse_columns([*(column for column in COLUMNS if "FLOAT" not in column), "body TEXT"])


def filled(count: int, first: int = 1) -> pa.Table:
    """Rows with every type, and a text that takes most of the file."""
    return arrow(
        [
            {name: value for name, value in row.items() if name != "vec"}
            | {"body": None if row["id"] % 9 == 0 else 3 * sha512(b"%d" % row["id"]).hexdigest()}
            for row in rows(count, first=first)
        ],
        LONG,
    )


@pytest.fixture(scope="module", params=["none", "standard"])
def cuts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cuts:
    """A table with every type, NULLs, history, and rows that ended."""
    path = tmp_path_factory.mktemp("whole") / "t.flac"
    with Table.create(path, LONG, SMALL | {"protection": request.param}) as table:
        table.append(filled(900))
        table.begin()
        for rowid in range(100, 200, 3):
            table.transaction.delete(rowid)
        table.commit()
        table.append(filled(300, first=901))
        table.vacuum(layout="remote")
    return Cuts(path)


def parts(cuts: Cuts) -> Iterator[tuple[int, Table]]:
    """(bytes, the table in so many) for each page, and where none of it can be read yet, none."""
    for start in cuts.starts:
        for size in (start, start + 100):
            try:
                with am.open(cuts.keep(size), partial=True) as table:
                    yield size, table
            except TruncatedFileError:
                assert size < cuts.starts[len(cuts.starts) // 3]


def test_a_part_has_the_first_rows(cuts: Cuts) -> None:
    counts = []
    for size, table in parts(cuts):
        found = table.to_arrow()
        assert len(table) == len(found)
        assert found.equals(cuts.rows.slice(0, len(found))), size
        if table.arrived is None:
            assert len(found) == len(cuts.rows)
        counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == len(cuts.rows)
    assert len(set(counts)) > 2


def test_conditions_keys_and_aggregates_know_those_rows_only(cuts: Cuts) -> None:
    middle = cuts.middle
    with am.open(cuts.keep(middle), partial=True) as table:
        count = len(table)
        shown = cuts.rows.slice(0, count)
        assert 0 < count < len(cuts.rows)
        with Table.create(cuts.path.with_name("few.flac"), LONG) as few:
            few.append(shown)
            for where in (
                "n > 10",
                "body IS NULL",
                "title IS NULL",
                "n IS NULL",
                "title LIKE '%a%'",
                "x < 0 OR ok",
                "id > 700",
                "id < 0",
            ):
                assert table.to_arrow(where=where).equals(few.to_arrow(where=where)), where
        am.drop(cuts.path.with_name("few.flac"))
        ids = cuts.rows["id"].to_pylist()
        codes = cuts.rows["code"].to_pylist()
        for place in (0, count - 1, count, len(ids) - 1):
            expected = [ids[place]] if place < count else []
            for where, value in (("id = ?", ids[place]), ("code = ?", codes[place])):
                if value is not None:
                    assert table.to_arrow(["id"], where, [value])["id"].to_pylist() == expected
        assert table.snapshot.high_rowid == ids[count - 1]


def test_versions_of_a_part(cuts: Cuts) -> None:
    """An older version has the rows that it had, of those that have arrived."""
    with am.open(cuts.keep(len(cuts.data))) as whole:
        before = whole.checkout(2).to_arrow()
    with am.open(cuts.keep(cuts.middle), partial=True) as part:
        found = part.checkout(2).to_arrow()
    assert 0 < len(found) < len(before)
    assert found.equals(before.slice(0, len(found)))


def test_more_arrives_while_it_is_open(cuts: Cuts) -> None:
    middle = cuts.middle
    with am.open(cuts.keep(middle), partial=True) as table:
        before = len(table)
        assert not table.refresh()
        cuts.keep(len(cuts.data))
        assert len(table.to_arrow()) == before
        assert table.refresh()
        assert table.arrived is None
        assert table.to_arrow().equals(cuts.rows)
        with pytest.raises(UnsupportedError, match=r"cut\.flac.*opened with partial is only read"):
            table.tag("mine")


def test_what_a_part_is_not_for(cuts: Cuts) -> None:
    path = cuts.keep(cuts.middle)
    with am.open(path, partial=True) as table:
        assert table.arrived is not None
        with pytest.raises(UnsupportedError, match="only read"):
            table.tag("mine")
        with pytest.raises(StorageError, match="only a part of the table has arrived"):
            table.backup(path.with_name("copy.flac"))
        with pytest.raises(StorageError, match="only a part of the table has arrived"):
            table.stream(path.with_name("hls"))
        with pytest.raises(UnsupportedError, match="arrived in part cannot be pickled"):
            pickle.dumps(table)
    with pytest.raises(OptionError, match="exclude each other"):
        am.open(path, partial=True, salvage=True)
    with am.open(path) as table, pytest.raises(DamagedFileError, match=r"cut\.flac: page"):
        table.to_arrow()  # who does not ask for a part never gets one
    for size in (0, 3, 100, cuts.starts[0], cuts.starts[0] + 50):
        with pytest.raises(TruncatedFileError, match="the front of the table has not arrived"):
            am.open(cuts.keep(size), partial=True)


def test_segments_behind_are_missed(tmp_path: Path) -> None:
    """Their commits may have deleted what is there."""
    path = tmp_path / "t.flac"
    with Table.create(path, ["noise BLOB"], SMALL) as table:
        table.append([{"noise": os.urandom(9000)} for _ in range(950)])
    size = path.stat().st_size
    assert size > 8 << 20
    with Table(path) as table:
        table.append([{"noise": b"more"}])
    data = path.read_bytes()
    for kept in (size, size - 50_000, len(data) - 9000):
        (tmp_path / "cut.flac").write_bytes(data[:kept])
        with pytest.raises(TruncatedFileError, match=r"cut\.flac: segments behind .* have newer commits"):
            am.open(tmp_path / "cut.flac", partial=True)
    with Table(path) as table:
        table.append([{"noise": os.urandom(50_000)}])
    (tmp_path / "cut.flac").write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(UnsupportedError, match=r"cut\.flac: a table of several segments"):
        am.open(tmp_path / "cut.flac", partial=True)
    with am.open(path, partial=True) as table:
        assert (len(table), table.arrived) == (952, None)


def test_indexes_arrive_last(tmp_path: Path) -> None:
    """What is indexed can be searched by its texts or vectors; what only the index has cannot, yet."""
    path = tmp_path / "t.flac"
    columns = [
        "id INTEGER PRIMARY KEY",
        "body TEXT INDEXED (tokenize='ascii')",
        "any TEXT INDEXED",
        "note TEXT SEMANTIC",
    ]
    with Table.create(
        path, columns, {"model": "hashing", "profile": "embedded", "layout": "remote"}
    ) as table:
        table.append(
            [
                {
                    "id": n,
                    "body": f"page {n} of {n % 7}",
                    "any": f"word {n}",
                    "note": f"note {n % 50} and {n}",
                }
                for n in range(1, 1500)
            ]
        )
        table.vacuum(layout="remote")
    cuts = Cuts(path)
    states = set()
    for size in cuts.starts[len(cuts.starts) // 4 :]:
        try:
            table = am.open(cuts.keep(size), partial=True)
        except TruncatedFileError:
            continue
        with table:
            by_words = table.search("body: page", k=3, column="body") if len(table) else None
            assert by_words is None or len(by_words) == 3
            for column in ("any", "note"):
                try:
                    found = table.search("word" if column == "any" else "note", k=3, column=column)
                    states.add((column, len(found) if len(table) else 3))
                except QueryError as error:
                    states.add((column, error.what))
    missing = "the index of the column has not arrived"
    assert states == {(name, what) for name in ("any", "note") for what in (3, missing)}


def test_empty_tables_arrive_with_their_catalog(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    Table.create(path, SCHEMA, SMALL).close()
    with am.open(path, partial=True) as table:
        assert table.arrived is None
        assert table.to_arrow().equals(pa.Table.from_pylist([], table.to_arrow().schema))


def test_blocks_that_are_not_in_the_order_of_rows(tmp_path: Path) -> None:
    """With bands, rows that matter come first: those in front of them are waited for."""
    path = tmp_path / "t.flac"
    options = {"profile": "mobile", "modulation": "spectrum", "band_plan": "mission"}
    with Table.create(path, ["body TEXT", "importance REAL"], options) as table:
        table.append(
            [
                {"body": 2 * sha512(b"%d" % n).hexdigest(), "importance": n // 400 % 3 / 2}
                for n in range(1, 1600)
            ]
        )
        table.vacuum()
    cuts = Cuts(path)
    counts = set()
    for size in cuts.starts[2 : 2 * len(cuts.starts) // 3]:
        with contextlib.suppress(TruncatedFileError), am.open(cuts.keep(size), partial=True) as table:
            assert table.to_arrow().equals(cuts.rows.slice(0, len(table)))
            counts.add(len(table))
    assert 0 in counts
    assert 0 < max(counts) < len(cuts.rows)
