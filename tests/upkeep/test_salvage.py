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
from samples import MODULATIONS

import audiomem_sql
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import DamagedFileError, DamageWarning, NotAudioMemoryError, QueryError, StorageError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

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


def make(path: Path) -> dict[int, Commit]:
    """Versions 1 and 2 in the base, 3, 4 and 5 in a delta each, 6 in the log."""
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
        log = Path(f"{path}-wal").read_bytes()
    Path(f"{path}.d/00000006.flac").unlink()
    Path(f"{path}-wal").write_bytes(log)
    return commits


def salvaged(path: Path) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        return audiomem_sql.open(path, salvage=True)


def test_a_delta_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    commits = make(path)
    whole = {number: replayed(commits, number) for number in commits}
    with audiomem_sql.open(path) as table:
        assert rows_of(table) == whole[6]
    (tmp_path / "t.flac.d" / "00000004.flac").unlink()
    with pytest.raises(DamagedFileError, match=r"version 4 is missing.* salvage=True"):
        audiomem_sql.open(path)
    with pytest.warns(DamageWarning) as told:
        table = audiomem_sql.open(path, salvage=True)
    assert [str(each.message) for each in told] == [
        f"{path}: version 4 of 1 to 6 is missing: rows that it added are not shown, and rows that it deleted "
        "may be. Restore the files from a copy, or write what is left to a new table."
    ]
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
    (tmp_path / "t.flac.d" / "00000003.flac").unlink()
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


def test_what_else_can_be_wrong(tmp_path: Path) -> None:
    """A delta that is damaged or of another table, a gap before the log, a log that is none, all deltas."""
    path, folder = tmp_path / "t.flac", tmp_path / "t.flac.d"
    commits = make(path)
    saved = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with Table.create(tmp_path / "other.flac", COLUMNS) as other:
        for _ in range(2):
            other.append([{"v": "x"}])
            other.checkpoint()
    foreign = (tmp_path / "other.flac").read_bytes()

    def left(*missing: int) -> Rows:
        return replayed({number: made for number, made in commits.items() if number not in missing}, 6)

    cases: list[tuple[dict[str, bytes | None], tuple[int, ...], str]] = [
        ({"t.flac.d/00000004.flac": saved[folder / "00000004.flac"][:300]}, (4,), "not read: .*00000004"),
        ({"t.flac.d/00000004.flac": b"music"}, (4,), "not read: .*00000004"),
        ({"t.flac.d/00000004.flac": foreign}, (4,), "belongs to another table"),
        ({"t.flac.d/00000005.flac": None}, (5,), "version 5 of 1 to 6 is missing"),
        ({f"t.flac.d/0000000{n}.flac": None for n in (4, 5)}, (4, 5), "versions 4 to 5 of 1 to 6 are"),
        ({f"t.flac.d/0000000{n}.flac": None for n in (3, 5)}, (3, 5), "versions 3 and 5 of 1 to 6 are"),
        ({f"t.flac.d/0000000{n}.flac": None for n in (3, 4, 5)}, (3, 4, 5), "versions 3 to 5 of 1 to 6"),
        ({"t.flac-wal": b"something else entirely" * 3}, (6,), "not read: .*no write-ahead log"),
    ]  # fmt: skip
    for number, (changed, missing, text) in enumerate(cases):
        case = tmp_path / f"case{number}"
        for file, data in saved.items():
            copy = case / file.relative_to(tmp_path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(data)
        for name, content in changed.items():
            if content is None:
                (case / name).unlink()
            else:
                (case / name).write_bytes(content)
        with pytest.raises(audiomem_sql.AudioMemError):
            audiomem_sql.open(case / "t.flac")
        with (
            pytest.warns(DamageWarning, match=text),
            audiomem_sql.open(case / "t.flac", salvage=True) as table,
        ):
            assert rows_of(table) == left(*missing)
    shutil.rmtree(tmp_path / "case0" / "t.flac.d")
    (tmp_path / "case0" / "t.flac").write_bytes(b"music")
    with pytest.raises(NotAudioMemoryError):
        audiomem_sql.open(tmp_path / "case0" / "t.flac", salvage=True)


@pytest.mark.parametrize("base", [None, b"music", b"", "zeroed"])
def test_without_a_base(tmp_path: Path, base: bytes | str | None) -> None:
    """The deltas and the log are read alone, and it is said that the versions before them are missing."""
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    commits = make(path)
    size = path.stat().st_size
    path.unlink()
    if base is not None:
        path.write_bytes(bytes(size) if base == "zeroed" else base)  # type: ignore[arg-type]
    left = {number: made for number, made in commits.items() if number > 2}
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(audiomem_sql.AudioMemError):
        audiomem_sql.open(path)
    with pytest.warns(DamageWarning, match="versions 1 to 2 of 1 to 6 are missing.*not read: the base: "):
        table = audiomem_sql.open(path, salvage=True)
    with table:
        assert rows_of(table) == replayed(left, 6)
        with table.checkout(4) as old:
            assert rows_of(old) == replayed(left, 4)
        for number in (1, 2):
            with pytest.raises(QueryError):
                table.at(number)
        with Table.salvaged(table, new) as made:
            assert rows_of(made) == replayed(left, 6)
    shown = process("sql", "t.flac", "SELECT count(*) AS n FROM t", "--csv", "--salvage", cwd=tmp_path)
    assert (shown.code, shown.out) == (0, f"n\n{len(replayed(left, 6))}\n")
    new.unlink()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    for file in (tmp_path / "t.flac.d").iterdir():
        file.unlink()
    with pytest.raises(audiomem_sql.AudioMemError):
        audiomem_sql.open(path, salvage=True)


def test_a_table_that_is_well(tmp_path: Path) -> None:
    """Nothing is said; it is only read all the same."""
    path = tmp_path / "t.flac"
    commits = make(path)
    with audiomem_sql.open(path, salvage=True) as table:
        assert rows_of(table) == replayed(commits, 6)
        with pytest.raises(StorageError, match="only read"):
            table.append([{"v": "x"}])


@pytest.mark.parametrize(
    ("modulation", "seed"), [*(("pcm", seed) for seed in range(12)), ("flat", 0), ("mission", 1)]
)
def test_any_deltas_missing(tmp_path: Path, modulation: str, seed: int) -> None:
    """Random commits in deltas, some merged.

    Whichever are missing, the others give what their commits alone would.
    """
    rng, path = random.Random(seed), tmp_path / "t.flac"
    rows: Rows = {}
    commits: dict[int, Commit] = {}
    with Table.create(path, COLUMNS, {"profile": "embedded", **MODULATIONS[modulation]}) as table:
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
    deltas = sorted((tmp_path / "t.flac.d").iterdir())
    lost = rng.sample(deltas, rng.randrange(1, 3))
    if deltas[-1] in lost:
        lost.remove(deltas[-1])  # of which nobody knows
    missing: set[int] = set()
    for file in lost:
        with Table(path, cache=BlockCache()) as table:
            (segment,) = [s for s in table.snapshot.segments if s.path == str(file)]
            missing |= {version.number for version in segment.catalog.versions}
    for file in lost:
        file.unlink()
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
    (tmp_path / "t.flac.d" / "00000004.flac").unlink()
    del commits[4]
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    with pytest.raises(DamagedFileError, match="version 4 is missing"):
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
