"""Missing files: what is left is read, says what is missing, and is never written to."""

from __future__ import annotations

import json
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest
from cli.conftest import process
from damage.catalogs import without_catalog
from damage.segments import spans, without
from fixtures.make_v1 import FOLDER

import audiomem_sql
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import DamagedFileError, DamageWarning, NotAudioMemoryError, QueryError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement

pytestmark = pytest.mark.damages
COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]
Rows = dict[int, str]
#: A commit: rowids deleted, rows made.
Commit = tuple[list[int], Rows]


def commit(table: Table, deleted: list[int], made: Rows) -> Commit:
    transaction = table.begin()
    for rowid in deleted:
        transaction.delete(rowid)
    for rowid, text in made.items():
        transaction.insert(rowid, (rowid, text))
    table.commit()
    return deleted, made


def replayed(commits: dict[int, Commit], version: int) -> Rows:
    """What commits up to ``version`` make of an empty table, as far as they are there."""
    rows: Rows = {}
    for number in sorted(commits):
        if number <= version:
            deleted, made = commits[number]
            rows = {rowid: text for rowid, text in rows.items() if rowid not in deleted} | made
    return rows


def rows_of(table: Any) -> Rows:
    found = table.to_arrow().to_pylist()
    rows = {row["id"]: row["v"] for row in found}
    assert len(rows) == len(found) == len(table)
    assert all(table.get(rowid) == {"id": rowid, "v": text} for rowid, text in rows.items())
    return rows


@pytest.fixture(autouse=True)
def segments_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of a few rows would be written as one segment each time."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 32)


def make(path: Path) -> dict[int, Commit]:
    """Versions 1 and 2 in the first segment, 3, 4 and 5 in one each, 6 in a log that was left behind."""
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as table:
        commits = {2: commit(table, [], {n: f"two {n}" for n in range(1, 9)})}
        table.checkpoint()
        for number, deleted, made in (
            (3, [], {9: "three"}),
            (4, [1, 2, 3], {3: "four", 10: "four"}),
            (5, [4], {4: "five", 2: "five again"}),  # version 4 deleted row 2
        ):
            commits[number] = commit(table, deleted, made)
            table.checkpoint()
        commits[6] = commit(table, [5], {11: "six"})
        assert len(table.snapshot.segments) == 4
        left = {file: file.read_bytes() for file in (path, log_of(path))}
    for file, data in left.items():
        file.write_bytes(data)
    return commits


def log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def salvaged(path: Path) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        return audiomem_sql.open(path, salvage=True)


def test_a_segment_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    commits = make(path)
    whole = {number: replayed(commits, number) for number in commits}
    before, log = path.read_bytes(), log_of(path).read_bytes()
    with audiomem_sql.open(path) as table:
        assert rows_of(table) == whole[6]
        segment = table.snapshot.segments[2]
        lost, page = segment.catalog.segment_id.hex(), segment.file.first
    path.write_bytes(before)
    log_of(path).write_bytes(log)
    without(path, 2)
    with pytest.raises(DamagedFileError, match=r"page \d+, cell 0: CRC-32C mismatch.*audiomem salvage"):
        audiomem_sql.open(path)
    with pytest.warns(DamageWarning) as told:
        table = audiomem_sql.open(path, salvage=True)
    (message,) = [str(each.message) for each in told]
    assert message.startswith(
        f"{path}: version 4 of 1 to 6 is missing: rows that it added are not shown, and rows that it deleted "
        "may be; not read: segment "
    )
    assert message.endswith("Restore the files from a copy, or write what is left to a new table.")
    assert f"segment {lost} from page {page} on: " in message
    assert told[0].filename == __file__
    audiomem_sql.open(path, salvage=True).close()  # told once
    del commits[4]
    with table:
        assert rows_of(table) == replayed(commits, 6)
        assert rows_of(table)[1] == "two 1"
        assert rows_of(table)[2] == "five again"  # once, though nothing says that it was deleted
        assert [version.number for version in table.versions] == [1, 2, 3, 5, 6]
        for number in (2, 3, 5):
            with table.checkout(number) as old:
                assert rows_of(old) == replayed(commits, number)
        assert replayed(commits, 3) == whole[3]
        with pytest.raises(
            QueryError, match=r"version 4 is missing\. Versions 1 to 6 are there, without version 4"
        ):
            table.checkout(4)
        with pytest.raises(QueryError, match="version 7 is not kept"):
            table.at(7)
        times = {version.number: version.time for version in table.versions}
        assert table.at(as_of=render(times[3])).version == 3
        assert table.at(as_of=render(times[5])).version == 5
        with pytest.raises(QueryError, match="may be version 4, which is missing"):
            table.at(as_of=render(times[3] + 1))
        assert [p.what for p in problems(table)] == ["versions 4 to 4 are missing: no file holds them"]


def test_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    make(path)
    without(path, 1)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    table = salvaged(path)
    calls: list[Callable[[], Any]] = [
        table.begin, table.checkpoint, table.merge, table.vacuum,
        lambda: table.append([{"v": "x"}]),
        lambda: table.append([{"v": "x" * 100}] * 5000),
        lambda: table.restore(2),
        lambda: table.tag("x"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StorageError, match="opened for salvage is only read"):
            call()
    assert table.refresh() is False
    table.close()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    with audiomem_sql.write_flac(salvaged(path), tmp_path / "new.flac", primary_key="id") as new:
        assert len(new) == len(salvaged(path))


LOST = [
    ((2,), (4,), "version 4 of 1 to 6 is missing"),
    ((3,), (5,), "version 5 of 1 to 6 is missing"),
    ((2, 3), (4, 5), "versions 4 to 5 of 1 to 6 are"),
    ((1, 3), (3, 5), "versions 3 and 5 of 1 to 6 are"),
    ((1, 2, 3), (3, 4, 5), "versions 3 to 5 of 1 to 6"),
]


@pytest.mark.parametrize(("segments", "missing", "text"), LOST)
def test_segments_that_are_lost(
    tmp_path: Path, segments: tuple[int, ...], missing: tuple[int, ...], text: str
) -> None:
    path = tmp_path / "t.flac"
    commits = make(path)
    without(path, *segments)
    left = {number: made for number, made in commits.items() if number not in missing}
    with pytest.raises(audiomem_sql.AudioMemError):
        audiomem_sql.open(path)
    with pytest.warns(DamageWarning, match=text), audiomem_sql.open(path, salvage=True) as table:
        assert rows_of(table) == replayed(left, 6)


def test_what_else_can_be_wrong(tmp_path: Path) -> None:
    """The log is missing, none, or of another history; the end of the file is missing."""
    path, log = tmp_path / "t.flac", tmp_path / "t.flac-wal"
    commits = make(path)
    whole, end = path.read_bytes(), log.read_bytes()
    starts = [start for start, _ in spans(path)]
    other = tmp_path / "other.flac"
    shutil.copy(path, other)
    shutil.copy(log, log_of(other))
    with Table(other) as table:
        table.append([{"v": "x"}])
        table.checkpoint()
        table.append([{"v": "y"}])
        sibling = log_of(other).read_bytes()
    cases: list[tuple[bytes, bytes | None, int, str]] = [
        (whole, None, 5, "version 6 and those after it are in .*t.flac-wal, which is not here"),
        (whole, b"something else entirely" * 3, 5, "no write-ahead log"),
        (whole, sibling, 5, "version"),
        (whole[: starts[3]], None, 4, "the end of the file is missing.*version 5, and has versions up to 4"),
        (whole[: starts[2]], None, 3, "the end of the file is missing.*version 5, and has versions up to 3"),
        (whole[: starts[1]], None, 2, "the end of the file is missing.*version 5, and has versions up to 2"),
    ]
    for data, logged, version, text in cases:
        path.write_bytes(data)
        log.unlink(missing_ok=True)
        if logged is not None:
            log.write_bytes(logged)
        with pytest.raises(audiomem_sql.AudioMemError):
            audiomem_sql.open(path)
        with pytest.warns(DamageWarning, match=text):
            table = audiomem_sql.open(path, salvage=True)
        with table:
            found = {rowid: value for rowid, value in rows_of(table).items() if value != "y"}
            assert found == replayed(commits, version)
    path.write_bytes(whole)
    log.write_bytes(end)
    with audiomem_sql.open(path) as table:
        assert rows_of(table) == replayed(commits, 6)
    path.write_bytes(b"music")
    with pytest.raises(NotAudioMemoryError):
        audiomem_sql.open(path, salvage=True)


@pytest.mark.parametrize("how", ["lost", "catalogs"])
def test_without_the_first_segment(tmp_path: Path, how: str) -> None:
    """Those behind it and the log are read alone, and it is said that the versions before them are missing.

    Where only its catalogs are gone, its labels stand for them, and all rows are there.
    """
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    commits = make(path)
    if how == "lost":
        without(path, 0)
        left = {number: made for number, made in commits.items() if number > 2}
        text = "versions 1 to 2 of 1 to 6 are missing.*not read: segment .* from page 0 on: "
    else:
        path.write_bytes(without_catalog(path, random.Random(1), "random", 0))
        left = commits
        text = "all catalogs of t.flac from page 0 on are lost: rows are read by the labels of their blocks"
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(audiomem_sql.AudioMemError):
        audiomem_sql.open(path)
    with pytest.warns(DamageWarning, match=text):
        table = audiomem_sql.open(path, salvage=True)
    with table:
        assert rows_of(table) == replayed(left, 6)
        for number in (1, 2):
            with pytest.raises(QueryError):
                table.at(number)
        with Table.salvaged(table, new) as made:
            assert rows_of(made) == replayed(left, 6)
    shown = process("sql", "t.flac", "SELECT count(*) AS n FROM t", "--csv", "--salvage", cwd=tmp_path)
    assert (shown.code, shown.out) == (0, f"n\n{len(replayed(left, 6))}\n")
    new.unlink()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_deltas_of_version_1(tmp_path: Path) -> None:
    """Files of their own; one that is missing is told, and the other is read."""
    path, folder = tmp_path / "columns.flac", tmp_path / "columns.flac.d"
    shutil.copy(FOLDER / path.name, path)
    shutil.copytree(FOLDER / folder.name, folder)
    with audiomem_sql.open(path) as table:
        newest, (_, missing, last) = table.version, [each.catalog for each in table.snapshot.segments]
    (folder / f"{missing.last_version:08}.flac").unlink()
    with pytest.raises(DamagedFileError, match="Restore"):
        audiomem_sql.open(path)
    with salvaged(path) as table:
        assert table.version == newest == last.last_version
        assert table.snapshot.gaps == (range(missing.first_version, missing.last_version + 1),)


def test_a_table_that_is_well(tmp_path: Path) -> None:
    """Nothing is said; it is only read all the same."""
    path = tmp_path / "t.flac"
    commits = make(path)
    with audiomem_sql.open(path, salvage=True) as table:
        assert rows_of(table) == replayed(commits, 6)
        with pytest.raises(StorageError, match="only read"):
            table.append([{"v": "x"}])


@pytest.mark.parametrize("protection", ["none", "archive"])
@pytest.mark.parametrize("seed", range(6))
def test_any_segments_missing(
    tmp_path: Path, seed: int, protection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random commits in segments, appended or in files written anew, some merged.

    Whichever are missing, the others give what their commits alone would.
    """
    rng, path = random.Random(seed), tmp_path / "t.flac"
    if seed % 2 or protection == "archive":
        monkeypatch.setattr(placement, "REWRITTEN_BYTES", 0)
        monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
    rows: Rows = {}
    commits: dict[int, Commit] = {}
    with Table.create(path, COLUMNS, {"profile": "embedded", "protection": protection}) as table:
        for number in range(2, 22):
            deleted = rng.sample(sorted(rows), min(len(rows), rng.randrange(4)))
            free = [rowid for rowid in range(1, 90) if rowid not in rows or rowid in deleted]
            made = {
                rowid: f"{number}:{rowid}" for rowid in rng.sample(free, min(len(free), rng.randrange(1, 5)))
            }
            commits[number] = commit(table, deleted, made)
            rows = replayed(commits, number)
            if rng.random() < 0.5:
                table.checkpoint()
            if number == 9:
                table.merge()
        assert rows_of(table) == rows
    with Table(path, cache=BlockCache()) as table:
        catalogs = [segment.catalog for segment in table.snapshot.segments]
    numbers = range(1, len(catalogs) - 1)  # of the last one nobody else knows
    lost = rng.sample(numbers, rng.randrange(1, 3))
    missing = {version.number for number in lost for version in catalogs[number].versions}
    without(path, *lost)
    left = {number: made for number, made in commits.items() if number not in missing}
    with salvaged(path) as table:
        assert {number for gap in table.snapshot.gaps for number in gap} == missing
        for number in range(2, 22):
            if number in missing:
                with pytest.raises(QueryError):
                    table.at(number)
            else:
                with table.checkout(number) as old:
                    assert rows_of(old) == replayed(left, number), number
        assert rows_of(table) == replayed(left, 21)


def test_in_sql_and_in_the_shell(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    commits = make(path)
    without(path, 2)
    del commits[4]
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    with pytest.raises(DamagedFileError, match="CRC-32C mismatch"):
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    with pytest.raises(audiomem_sql.AudioMemError, match="salvage is on or off"):
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', salvage=perhaps)")
    with pytest.warns(DamageWarning, match="version 4 of 1 to 6 is missing"):
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', salvage=on)")
    assert dict(connection.execute("SELECT id, v FROM t").fetchall()) == replayed(commits, 6)
    assert connection.execute("SELECT count(*) FROM t WHERE version = 3").fetchall() == [(9,)]
    with pytest.raises(QueryError, match="version 4 is missing"):
        connection.execute("SELECT count(*) FROM t WHERE version = 4").fetchall()
    for statement in ("INSERT INTO t(v) VALUES (1)", "DELETE FROM t", "INSERT INTO t(t) VALUES ('vacuum')"):
        with pytest.raises(StorageError, match="only read"):
            connection.execute(statement)
    connection.close()

    query = "SELECT count(*) AS n FROM t"
    refused = process("sql", "t.flac", query, cwd=tmp_path)
    assert (refused.code, refused.out) == (1, "")
    shown = process("sql", "t.flac", query, "--csv", "--salvage", cwd=tmp_path)
    assert (shown.code, shown.out) == (0, f"n\n{len(replayed(commits, 6))}\n")
    assert shown.err.startswith(f"audiomem: warning: {path}: version 4 of 1 to 6 is missing")
    refused = process("sql", "t.flac", "DELETE FROM t", "--salvage", cwd=tmp_path)
    assert refused.code == 1
    assert "opened for salvage is only read" in refused.err
    assert process("info", "t.flac", cwd=tmp_path).code == 1
    shown = process("info", "t.flac", "--json", "--salvage", cwd=tmp_path)
    assert json.loads(shown.out)["missing"] == [[4, 4]]
    assert "versions 4" in process("info", "t.flac", "--salvage", cwd=tmp_path).out
