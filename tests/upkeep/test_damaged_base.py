"""Commits to a table that is damaged beyond its level: they are kept, and nothing is invented."""

from __future__ import annotations

import os
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from cli.conftest import process
from damage.segments import spans
from samples import arrow, content, rows

from audiomem_sql.errors import DamagedFileError, DamageWarning, UpkeepWarning
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.warn_once import warned
from audiomem_sql.writing import log_limits

pytestmark = pytest.mark.damages
ROWS = 6000


def damaged(
    path: Path, protection: str = "archive", where: float = 0.3, share: float = 0.22
) -> list[dict[str, Any]]:
    """A table with a hole that is larger than its level bears; the rows that it had."""
    write_flac(arrow(rows(ROWS)), path, primary_key="id", profile="embedded", protection=protection).close()
    with Table(path) as table:
        truth = content(table)
    data = bytearray(path.read_bytes())
    length = int(len(data) * share)
    start = int((len(data) - length) * 0.3)
    data[start : start + length] = random.Random(1).randbytes(length)
    path.write_bytes(data)
    return truth


def left(path: Path) -> list[dict[str, Any]]:
    """The rows that can be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamageWarning)
        with Table(path, on_damage="skip") as table:
            return content(table)


@pytest.mark.parametrize("limit", [0, 1 << 30])
@pytest.mark.parametrize("protection", ["standard", "archive", "none"])
def test_a_small_commit(
    tmp_path: Path,
    protection: str,
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Closing leaves one file, with the rows of before as far as they can be read, and the new ones."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", limit)
    path = tmp_path / "t.flac"
    truth = damaged(path, protection)
    before = left(path)
    assert 100 < len(before) < ROWS
    sealed = path.read_bytes()
    for number in range(3):
        warned.clear()
        with Table(path) as table:
            table.append([{"id": 90_000 + number, "title": "new"}])
        assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]
        found = left(path)
        assert found[: len(before)] == before
        assert [row["id"] for row in found[len(before) :]] == [90_000 + n for n in range(number + 1)]
        if protection != "none":
            assert "damaged beyond what the parity of the file brings back" in caplog.text
            assert path.read_bytes()[1024 : len(sealed)] == sealed[1024:]  # sealed pages are as they were
        caplog.clear()
    with Table(path) as table:
        assert len(table.snapshot.segments) == 4
        assert table.get(90_001)["title"] == "new"
        assert any(problem.repair is None for problem in problems(table))
        with pytest.raises(DamagedFileError):
            content(table)
    assert all(row in truth for row in before)


def test_a_large_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is appended as well; taken back, the file is what it was."""
    monkeypatch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 256 << 10)
    path = tmp_path / "t.flac"
    damaged(path)
    before, sealed = left(path), path.read_bytes()
    warned.clear()
    with Table(path) as table:
        for kept in (False, True):
            table.begin()
            assert table.transaction is not None
            for number in range(90_000, 90_300):
                table.transaction.insert(number, [number, None, None, f"{number}" * 300, *[None] * 7])
            if kept:
                table.commit()
                continue
            with pytest.warns(DamageWarning, match=r"t\.flac: page \d+, cell \d+: is damaged beyond what"):
                table.prepare()
            table.rollback()
            assert path.read_bytes() == sealed
        assert [segment.file.header.is_appended for segment in table.snapshot.segments] == [False, True]
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]
    found = left(path)
    assert found[: len(before)] == before
    assert len(found) == len(before) + 300
    data = bytearray(path.read_bytes())
    start, stop = spans(path)[1]
    for at in range(start + 4096, stop, 8 * 4096):  # 12 % of the new segment
        data[at : at + 4096] = bytes(len(data[at : at + 4096]))
    path.write_bytes(data)
    assert left(path) == found


def test_damage_while_it_is_open(tmp_path: Path) -> None:
    """Between the announcement of the log and the fold: the log stays, and the next writer folds it."""
    path = tmp_path / "t.flac"
    damaged(path, share=0.0)
    table = Table(path)
    table.append([{"id": 90_000, "title": "new"}])
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size * 3 // 10)
        file.write(os.urandom(size // 4))
    with pytest.warns(UpkeepWarning, match="changed or replaced"):
        table.close()
    assert {entry.name for entry in tmp_path.iterdir()} == {"t.flac", "t.flac-wal"}
    assert left(path)[-1]["title"] == "new"
    with pytest.warns(DamageWarning, match="page"), Table(path) as table:
        table.append([{"id": 90_001, "title": "newer"}])
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]
    assert [row["title"] for row in left(path)[-2:]] == ["new", "newer"]


def test_many_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small deltas behind the damage are merged as ever, and the file does not grow by each of them."""
    monkeypatch.setattr(compaction, "MERGED_AT_ONCE", 4)
    path = tmp_path / "t.flac"
    damaged(path)
    before = left(path)
    for number in range(10):
        with Table(path) as table:
            table.append([{"id": 90_000 + number}])
            assert len(table.snapshot.segments) <= 5
    assert [row["id"] for row in left(path)[len(before) :]] == [90_000 + number for number in range(10)]


def test_damage_to_a_segment_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the parity of the newest: those around it are read, and what is committed later."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    path = tmp_path / "t.flac"
    write_flac(arrow(rows(2000)), path, primary_key="id", profile="embedded", protection="archive").close()
    with Table(path) as table:
        for number in (1, 2):
            table.append(arrow(rows(2000, number, 10_000 * number)))
            table.checkpoint()
        truth = {row["id"]: row for row in content(table)}
        assert table.snapshot.segments[-1].file.header.is_whole
    data = bytearray(path.read_bytes())
    start = spans(path)[1][0] + 30_000
    data[start : start + len(data) // 4] = bytes(len(data) // 4)
    path.write_bytes(data)
    before = left(path)
    assert {row["id"] // 10_000 for row in before} >= {0}
    with Table(path) as table:
        table.append([{"id": 90_000}])
    found = left(path)
    assert (found[:-1], found[-1]["id"]) == (before, 90_000)
    assert all(row == truth[row["id"]] for row in before)


def test_where_nothing_can_be_appended(tmp_path: Path) -> None:
    """Pages that are frequencies: the commit is refused, and the file stays as it is."""
    path = tmp_path / "t.flac"
    options = {"modulation": "spectrum", "band_plan": "flat"}
    write_flac(
        arrow(rows(2000)), path, primary_key="id", profile="embedded", protection="archive", **options
    ).close()
    data = bytearray(path.read_bytes())
    start = len(data) * 3 // 10
    data[start : start + len(data) // 4] = random.Random(2).randbytes(len(data) // 4)
    path.write_bytes(data)
    before = left(path)
    with Table(path) as table, pytest.raises(DamagedFileError, match="CRC-32C"):
        table.append([{"id": 90_000}])
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.flac"]
    assert path.read_bytes() == data
    assert left(path) == before


def test_what_the_commands_say(tmp_path: Path) -> None:
    path, new = tmp_path / "t.flac", tmp_path / "new.flac"
    damaged(path)
    warned.clear()
    done = process("sql", str(path), "INSERT INTO t(id) VALUES (90000)", cwd=tmp_path)
    assert done.code == 0, done.err
    shown = process("verify", str(path), cwd=tmp_path)
    assert shown.code == 1
    assert re.search(r"lost: .*of rows \d+–\d+", shown.out)
    assert "audiomem salvage" in shown.err
    refused = process("repair", str(path), cwd=tmp_path)
    assert refused.code != 0
    assert "salvage" in refused.err
    assert process("salvage", str(path), "-o", str(new), cwd=tmp_path).code == 0
    with Table(new) as table:
        assert table.get(90_000) is not None
        assert list(problems(table)) == []
    vacuumed = process("vacuum", str(path), cwd=tmp_path)
    assert vacuumed.code != 0
