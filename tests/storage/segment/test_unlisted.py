"""Files of which every catalog is gone: what is in intact blocks comes back, and nothing else does."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.conftest import process
from damage import segments
from damage.catalogs import spans, without_catalog
from damage.unlisted import DAMAGES, survey
from fixtures.make_v1 import FOLDER
from samples import COLUMNS, MODULATIONS, arrow, content, rows, same
from sealed import Sealed

from audiomem_sql.errors import DamagedFileError, DamageWarning, QueryError
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.storage.segment import UnlistedSegment
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement

pytestmark = [pytest.mark.damages, pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")]
LEVELS = ("none", "standard", "archive")
HOWS = ("zeroed", "random", "scattered", "cut")


def saved(path: Path, **how: Any) -> Table:
    return Table(path, **{"salvage": True, "on_damage": "skip", **how})


LAYOUTS = {**MODULATIONS, "remote": {"layout": "remote"}}


def rows_of(table: Table) -> list[dict[str, Any]]:
    return content(table)


@pytest.mark.parametrize(
    ("protection", "modulation"),
    [
        *((level, "pcm") for level in LEVELS),
        ("none", "flat"),
        ("none", "mission"),
        ("standard", "mission"),
        ("archive", "flat"),
        ("none", "remote"),
        ("standard", "remote"),
    ],
)
def test_nothing_but_the_catalog_is_lost(tmp_path: Path, protection: str, modulation: str) -> None:
    """All types; the columns with their constraints, the rowids and every value are what they were."""
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    columns = [
        *COLUMNS[:-1],
        "code TEXT UNIQUE COLLATE NOCASE",
        "CHECK (n IS NULL OR n < 9e99)",
        "UNIQUE (id, code)",
    ]
    options = {"profile": "embedded", "protection": protection, **LAYOUTS[modulation]}
    with Table.create(path, columns, options) as table:
        table.append(arrow(rows(2000)))
        truth, schema = rows_of(table), table.schema
    whole = path.read_bytes()
    for seed, how in enumerate(HOWS):
        path.write_bytes(without_catalog(path, random.Random(seed), how))
        if how != "scattered" or protection == "none":  # which the inner code brings back
            with pytest.raises(DamagedFileError):
                Table(path)
        before = path.read_bytes()
        with saved(path) as broken, Table.salvaged(broken, new, {"protection": "archive"}) as made:
            assert same(rows_of(broken), truth)
            assert broken.schema == made.schema == schema
            assert same(rows_of(made), truth)
            assert list(problems(made)) == []
        assert path.read_bytes() == before
        new.unlink()
        path.write_bytes(whole)


def test_what_else_is_lost(tmp_path: Path) -> None:
    """Blocks, too: rows that miss one are left out, or have NULL there; everything else is as it was."""
    path = tmp_path / "t.flac"
    for protection in LEVELS:
        path.unlink(missing_ok=True)
        made = write_flac(
            arrow(rows(1500)), path, primary_key="id", profile="embedded", protection=protection
        )
        made.close()
        whole = path.read_bytes()
        with Table(path) as table:
            truth = {row["id"]: row for row in rows_of(table)}
        inside, _ = spans(path)
        hopeless = 0
        for seed in range(12):
            rng = random.Random(seed)
            data = bytearray(without_catalog(path, rng, HOWS[seed % 3]))
            for start, stop in rng.sample(inside, rng.randrange(1, 8)):
                if seed % 4 == 0:
                    size = min(3000, stop - start)
                    at = rng.randrange(start, stop - size + 1)
                    data[at : at + size] = rng.randbytes(size)
                else:
                    data[start:stop] = bytes(stop - start)
            if seed % 4 == 1:
                at = rng.randrange(inside[0][0], inside[-1][1])
                data[at:at] = rng.randbytes(rng.randrange(1, 9000))
            if seed % 4 == 2:
                at = rng.randrange(inside[0][0], inside[-1][1])
                del data[at : at + rng.randrange(1, 9000)]
            if seed % 4 == 3:
                data = data[
                    rng.randrange(inside[0][0], inside[1][1]) : rng.randrange(inside[-3][0], inside[-1][1])
                ]
            path.write_bytes(data)
            opened = saved_if_signposts(path)
            if opened is None:
                hopeless += 1
                path.write_bytes(whole)
                continue
            with opened as table:
                segment = table.snapshot.segments[0]
                part = {row["id"]: row for row in rows_of(table)}
                if isinstance(segment, UnlistedSegment):
                    check_lost(segment, part, truth)
                with saved(path) as other:
                    full = {row["id"]: row for row in rows_of(other)}
                assert full.items() <= truth.items()
                assert full.keys() <= part.keys()
                new = tmp_path / "new.flac"
                with Table.salvaged(table, new, {"protection": "none"}) as copy:
                    assert same(rows_of(copy), list(part.values()))
                new.unlink()
            path.write_bytes(whole)
        assert hopeless <= 3


def saved_if_signposts(path: Path) -> Table | None:
    """None where not one signpost is left, of which a small file has four."""
    try:
        return saved(path, on_damage="null")
    except DamagedFileError as error:
        if "so is every signpost" not in str(error):
            raise
        return None


def check_lost(
    segment: UnlistedSegment, part: dict[int, dict[str, Any]], truth: dict[int, dict[str, Any]]
) -> None:
    """NULL stands where the segment says so, and nowhere else; no row is missing."""
    gone = {(name, row) for name, start, stop, _ in segment.lost for row in range(start, stop)}
    assert part.keys() == truth.keys()  # consecutive rowids are in the signposts
    for row, rowid in enumerate(sorted(truth)):
        for name, value in truth[rowid].items():
            assert part[rowid][name] == (None if (name, row) in gone else value)
    for name, _, _, why in segment.lost:
        assert name in (*segment.schema.names, "created")
        assert why


def test_every_intact_block_is_found(tmp_path: Path) -> None:
    """Which values can be had is what a reader with a catalog can have of the same damage."""
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(1500)), path, primary_key="id", profile="embedded").close()
    whole = path.read_bytes()
    inside, others = spans(path)
    for seed in range(6):
        rng, data = random.Random(seed), bytearray(whole)
        for start, stop in rng.sample(inside[1:-1], 2):
            data[start:stop] = bytes(stop - start)
        path.write_bytes(data)
        with Table(path, on_damage="null") as table:
            listed = rows_of(table)
        for start, stop in others:
            data[start:stop] = bytes(stop - start)
        path.write_bytes(data)
        with saved(path, on_damage="null") as table:
            assert same(rows_of(table), listed)
        path.write_bytes(whole)


def test_damage_behind_a_frame_costs_nothing(tmp_path: Path) -> None:
    """Of every cell in turn: only blocks of which the frame itself is in it are lost, and told to be."""
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(600)), path, primary_key="id", profile="embedded").close()
    with Table(path) as table:
        truth, segment = rows_of(table), table.snapshot.segments[0]
        names = segment.schema.names
        size, per_page = segment.file.layout.cell_payload, segment.file.layout.cells
        stream = segment.file.read(segment.data_cell, 0, segment.catalog.data_bytes)
        blocks = []  # column, first row, the row behind the last, first byte, bytes of the frame, all bytes
        for column in range(1, len(segment.schema.columns)):
            directory = segment.directory(column)
            assert directory is not None
            for number in range(directory.count):
                place, stored = int(directory.offsets[number]), int(directory.stored[number])
                label = stream.find(b"AuMB\0", place) if stored else place
                frame = label - place
                while stored and stream[label + 8 : label + 16] != place.to_bytes(8, "little"):
                    label = stream.find(b"AuMB\0", label + 1)
                    frame = label - place
                span = (int(directory.starts[number]), int(directory.starts[number + 1]))
                blocks.append((names[column], *span, place, frame, stored))
        first_cell = segment.data_cell
        offsets = [segment.file.source.offset(page) for page in range(segment.file.page_count)]  # type: ignore[attr-defined]
    whole, spared = path.read_bytes(), 0
    for cell in range(len(stream) // size):
        low, high = cell * size, (cell + 1) * size
        hit = [each for each in blocks if each[3] < high and each[3] + each[5] > low]
        lost = [each for each in hit if each[3] + each[4] > low]
        if not hit or len(hit) == len(lost):
            continue
        spared += 1
        page, number = divmod(first_cell + cell, per_page)
        data = bytearray(whole)
        data[offsets[page] + 18 + 32 + number * 1020 + 400] ^= 1
        path.write_bytes(data)
        with Table(path, on_damage="null") as table:
            gone = {
                (name, row)
                for row, (found, true) in enumerate(zip(rows_of(table), truth, strict=True))
                for name in names
                if found[name] != true[name] and found[name] is None
            }
            expected = {
                (name, row)
                for name, start, stop, *_ in lost
                for row in range(start, stop)
                if truth[row][name] is not None
            }
            assert gone == expected
            told = "".join(problem.what for problem in problems(table))
            for name, *_ in hit:
                assert (f"{name} of rows" in told) == any(name == each[0] for each in lost)
    assert spared


def chain(path: Path, protection: str = "none") -> None:
    """Three segments, two with deletions, one of them of several versions, and a log."""
    options = {"profile": "embedded", "protection": protection}
    with Table.create(path, ["id INTEGER PRIMARY KEY", "v TEXT NOT NULL", "n INTEGER"], options) as table:
        table.append([{"id": n, "v": f"base {n}", "n": n} for n in range(1, 200)])
        table.checkpoint()
        table.append([{"id": 7, "v": "again", "n": 1}], replace="id IN (7, 14, 21, 63)")
        table.checkpoint()
        for n in range(3):
            table.append([{"id": 1000 + n, "v": f"many {n}", "n": n}], replace=f"id = {999 + n}")
        table.append([{"id": 5, "v": "five", "n": 5}], replace="id = 5")
        table.checkpoint()
        table.append([{"id": 2**40, "v": "logged", "n": None}], replace="id = 6")
        assert len(table.snapshot.segments) == 3
        left = {file: file.read_bytes() for file in (path, Path(f"{path}-wal"))}
    for file, data in left.items():
        file.write_bytes(data)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of a small table stay apart, and are appended."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("protection", LEVELS)
def test_several_segments(tmp_path: Path, protection: str) -> None:
    """Any of them without its catalog, or all: the newest version is what it was; no other is shown."""
    path = tmp_path / "t.flac"
    chain(path, protection)
    with Table(path) as table:
        truth, version = rows_of(table), table.version
    whole = path.read_bytes()
    for lost in ([0], [1], [2], [0, 1, 2]):
        parts = {number: without_catalog(path, random.Random(number), "random", number) for number in lost}
        data = bytearray(whole)
        for part in parts.values():
            changed = np.frombuffer(part, np.uint8) != np.frombuffer(whole, np.uint8)
            np.frombuffer(data, np.uint8)[changed] = np.frombuffer(part, np.uint8)[changed]
        path.write_bytes(data)
        with saved(path) as table, Table.salvaged(table, tmp_path / "new.flac") as new:
            assert same(rows_of(table), truth)
            assert same(rows_of(new), truth)
            assert table.version == version
            for row in truth:
                assert table.get(row["id"]) == row
            with pytest.raises(QueryError, match=r"version 2 cannot be told: the catalog of .* is lost"):
                table.at(2)
            assert all(entry.time for entry in table.versions)
        (tmp_path / "new.flac").unlink()
        path.write_bytes(whole)


def test_deletions_that_are_lost(tmp_path: Path) -> None:
    """They are said to be, and no rowid is there twice."""
    path = tmp_path / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "v TEXT"], {"profile": "embedded"}) as table:
        table.append([{"id": n, "v": f"{n}"} for n in range(1, 50)])
        table.append([], replace="id < 10")
        table.append([{"id": 20, "v": "new"}], replace="id = 20")
        table.vacuum()
        truth = rows_of(table)
        assert table.snapshot.segments[0].catalog.ended is not None
        ended = table.snapshot.segments[0].catalog.ended
    assert ended is not None
    sealed = Sealed.read(path)
    at = int(ended.blocks.offsets[0])
    sealed.data[at : at + 4] = b"lost"
    sealed.write(path)
    path.write_bytes(without_catalog(path, random.Random(0), "random"))
    with pytest.warns(DamageWarning, match="whether they were deleted: they may be there again"):
        table = saved(path)
    with table:
        found = {row["id"]: row["v"] for row in rows_of(table)}
        assert len(found) == len(rows_of(table))
        assert found == {row["id"]: row["v"] for row in truth} | {n: f"{n}" for n in range(1, 10)}
        assert found[20] == "new"


def test_files_without_labels(tmp_path: Path) -> None:
    """Those of before, and music: a clear error."""
    for name in ("small.flac", "large.flac"):
        path = tmp_path / name
        path.write_bytes(without_catalog(FOLDER / name, random.Random(0), "random"))
        with pytest.raises(
            DamagedFileError, match=rf"{name}: all catalogs are lost, and nothing that is left says"
        ):
            saved(path)


def test_meaning_and_keywords(tmp_path: Path) -> None:
    """The vectors are where they were if their index is whole; otherwise the texts come back without them."""
    path = tmp_path / "t.flac"
    rng = np.random.default_rng(0)
    with Table.create(
        path,
        ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC INDEXED", "vec FLOAT[8]"],
        {"profile": "embedded", "model": "hashing"},
    ) as table:
        table.append(
            [
                {"id": n, "body": f"row {n} of {n % 17}", "vec": rng.random(8).astype("f4").tolist()}
                for n in range(1, 400)
            ]
        )
        table.checkpoint()  # a segment searches rounded vectors
        truth = rows_of(table)
        asked = table.search("row 33", k=5).to_pylist()
    whole = path.read_bytes()
    path.write_bytes(without_catalog(path, random.Random(0), "random"))
    with saved(path) as table, Table.salvaged(table, tmp_path / "new.flac", {"protection": "none"}) as new:
        assert same(rows_of(table), truth)
        assert same(rows_of(new), truth)
        assert [row["id"] for row in new.search("row 33", k=5).to_pylist()] == [row["id"] for row in asked]
    path.write_bytes(whole)


@pytest.mark.usefixtures("apart")
def test_only_later_segments_are_left(tmp_path: Path) -> None:
    """Without their catalogs, too."""
    path = tmp_path / "t.flac"
    chain(path)
    with Table(path) as table:
        base = table.snapshot.segments[0].catalog.last_version
        made = {row["id"]: row for row in rows_of(table)}
        with table.checkout(base) as old:
            before = {row["id"] for row in old.to_arrow().to_pylist() if row == made.get(row["id"])}
    for number in (1, 2):
        with Table(path) as table:
            assert len(table.snapshot.segments) == 3
        data = without_catalog(path, random.Random(number), "random", number)
        (tmp_path / f"part{number}").write_bytes(data)
    whole = np.frombuffer(path.read_bytes(), np.uint8).copy()
    for number in (1, 2):
        part = np.frombuffer((tmp_path / f"part{number}").read_bytes(), np.uint8)
        whole = np.where(part != np.frombuffer(path.read_bytes(), np.uint8), part, whole)
    start, stop = segments.spans(path)[0]
    whole[start:stop] = 0
    path.write_bytes(whole.tobytes())
    with pytest.warns(DamageWarning, match=r"versions 1 to 2 of 1 to .* are missing.*all catalogs of t.flac"):
        table = saved(path)
    with table:
        found = {row["id"]: row for row in rows_of(table)}
    assert found == {rowid: row for rowid, row in made.items() if rowid not in before}


def test_nothing_is_left_of_any_row(tmp_path: Path) -> None:
    """A column of which all is lost: an error, and no new table, unless rows in part are wanted."""
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "v TEXT", "n REAL"], {"profile": "embedded"}) as table:
        table.append([{"id": n, "v": f"value {n}", "n": n / 3} for n in range(1, 400)])
        table.vacuum()
        entry = table.snapshot.segments[0].catalog.entries[1]
        assert entry is not None
        offsets, stored = entry.blocks.offsets.tolist(), entry.blocks.stored.tolist()
    sealed = Sealed.read(path)
    for at, size in zip(offsets, stored, strict=True):
        sealed.data[at : at + min(16, size)] = bytes(min(16, size))  # not the labels behind it
    sealed.write(path)
    path.write_bytes(without_catalog(path, random.Random(0), "random"))
    with saved(path) as broken, pytest.raises(DamagedFileError, match="not one of 399 rows can be read"):
        Table.salvaged(broken, new)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.flac"]
    done = process("salvage", "t.flac", "-o", "new.flac", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")
    assert "--partial" in done.err
    with saved(path, on_damage="null") as broken, Table.salvaged(broken, new) as table:
        assert rows_of(table) == [{"id": n, "v": None, "n": n / 3} for n in range(1, 400)]


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(300)), path, primary_key="id", profile="embedded").close()
    inside, _ = spans(path)
    data = bytearray(without_catalog(path, random.Random(0), "random"))
    data[inside[1][0] + 2000 : inside[1][0] + 2010] = bytes(10)
    path.write_bytes(data)
    done = process("salvage", "t.flac", "-o", "new.flac", cwd=tmp_path)
    assert (done.code, done.out) == (1, "")  # one block of a column is lost, and it has one
    assert "all catalogs of t.flac are lost" in done.err
    assert "not one of 300 rows can be read as a whole" in done.err
    assert not (tmp_path / "new.flac").exists()
    all_rows = process("salvage", "t.flac", "-o", "all.flac", "--partial", cwd=tmp_path)
    assert all_rows.code == 0, all_rows.err
    assert "300 of 300 rows saved" in all_rows.out
    assert "is lost, and NULL stands for it" in all_rows.err


def test_the_survey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the figures in the documentation were made with; here of a small table."""
    assert survey(tmp_path, arrow(rows(400)), 1) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * len(DAMAGES)
    assert all(
        "100.0% of the rows, 100.0% of the values, 0 wrong" in line
        for line in lines
        if "nothing else" in line
    )
