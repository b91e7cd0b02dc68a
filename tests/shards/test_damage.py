"""Shards that are damaged, cut, empty or missing: all of it is told; parity brings back what it can."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from damage.damages import Damage, Hole, Sectors

from audiomem_sql.cli.main import run
from audiomem_sql.errors import DamagedFileError, StorageError, UnsupportedError
from audiomem_sql.table.dropping import drop
from audiomem_sql.table.exposure import exposure
from audiomem_sql.table.scrubbing import scrub
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.writing import placement
from shards.sharded import COLUMNS, check, create, digests, row

pytestmark = pytest.mark.damages
ROWS = 2500


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table whose shards have some 30 pages each, with profile=archive."""
    path = tmp_path_factory.mktemp("made") / "t.shards"
    rng = np.random.default_rng(5)
    texts = ["".join(map(chr, line)) for line in rng.integers(97, 123, (ROWS, 40)).tolist()]
    content = pa.table({"code": [f"c{n}" for n in range(ROWS)], "year": range(ROWS), "body": texts})
    with Table.create(path, COLUMNS, {"profile": "embedded", "protection": "archive", "shards": 3}) as table:
        table.append(content)
    return path


@pytest.fixture
def folder(tmp_path: Path, protected: Path) -> Path:
    shutil.copytree(protected, tmp_path / "t.shards")
    return tmp_path / "t.shards"


def damaged(folder: Path, numbers: Sequence[int], damage: Damage) -> None:
    for number in numbers:
        path = folder / f"shard-{number:04d}.flac"
        data = np.frombuffer(path.read_bytes(), np.uint8)
        path.write_bytes(damage.apply(data, np.random.default_rng(number)).data.tobytes())


def content(folder: Path) -> list[dict[str, Any]]:
    with Table(folder) as table:
        return table.to_arrow(["code", "year", "body"]).sort_by("year").to_pylist()


@pytest.mark.parametrize("numbers", [(1,), (0, 1, 2)], ids=["one shard", "every shard"])
@pytest.mark.parametrize("damage", [Sectors(0.15), Hole(0.15, "anywhere")], ids=lambda damage: damage.name)
def test_repair_after_a_loss_of_15_percent(
    folder: Path, protected: Path, numbers: Sequence[int], damage: Damage
) -> None:
    before = digests(folder)
    damaged(folder, numbers, damage)
    assert len(set(digests(folder).items()) - set(before.items())) == len(numbers)
    with Table(folder) as table:
        found = list(problems(table))
        assert {problem.shard for problem in found} == set(numbers)
        assert all(problem.repair for problem in found)
        done = table.repair()
        assert [each.changed for each in done] == [number in numbers for number in range(3)]
        check(table)
    assert digests(folder) == before
    assert content(folder) == content(protected)


def _missing(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


def _overwritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:5000] + os.urandom(len(data) - 5000))


BEYOND: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (_missing, "is missing"),
    "empty": (_empty, "cannot be read: the file is empty"),
    "cut": (_cut, "cannot be read: "),
    "overwritten": (_overwritten, ""),
}


@pytest.mark.parametrize("name", ["missing", "empty", "overwritten"])
def test_a_shard_that_is_beyond_repair(
    folder: Path, name: str, capsys: pytest.CaptureFixture[str], protected: Path
) -> None:
    """The others are looked at and repaired; every command says which shard it is, and what to do."""
    whole = digests(folder)
    change, what = BEYOND[name]
    change(folder / "shard-0001.flac")
    damaged(folder, [2], Sectors(0.05))
    broken = digests(folder)
    assert run(["verify", str(folder), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert {problem["shard"] for problem in told["problems"]} == {1, 2}
    assert all(problem["repair"] for problem in told["problems"] if problem["shard"] == 2)
    assert any(what in p["problem"] and not p["repair"] for p in told["problems"] if p["shard"] == 1)
    assert all(f"shard-000{problem['shard']}.flac" in problem["file"] for problem in told["problems"])
    assert run(["verify", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert "shard-0001.flac: shard 1: " in out
    assert "Restore shard-0001.flac from a copy that was made after its last change" in err
    assert "`audiomem repair` makes the others what they were." in err
    assert run(["scrub", str(folder), "--rate", "1000"]) == 1
    assert f"{len(told['problems'])} problems" in capsys.readouterr().out
    assert digests(folder) == broken
    assert run(["repair", str(folder), "-o", str(folder.parent / "new.shards")]) == 1
    assert not (folder.parent / "new.shards").exists()
    capsys.readouterr()
    assert run(["repair", str(folder)]) == 1
    err = capsys.readouterr().err
    assert "shard 1 (shard-0001.flac)" in err
    assert "the other 2 are whole. Restore shard-0001.flac from a copy" in err
    after = digests(folder)
    assert {number for number in whole if after.get(number) != whole[number]} == {"shard-0001.flac"}
    shutil.copy(protected / "shard-0001.flac", folder)
    assert run(["repair", str(folder)]) == 0
    assert digests(folder) == whole


@pytest.mark.parametrize("name", ["missing", "empty", "cut"])
def test_info_tells_of_the_other_shards(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Table(folder) as table:
        rows = [shard.rows for shard in table.snapshot.shards]  # type: ignore[attr-defined]
    BEYOND[name][0](folder / "shard-0001.flac")
    assert run(["info", str(folder), "--json"]) == 1
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert facts["rows"] == ROWS
    assert facts["shards"]["count"] == 3
    assert facts["shards"]["rows"] == [rows[0], rows[2]]
    ((fault),) = facts["shards"]["faults"]
    assert (fault["shard"], Path(fault["file"]).name) == (1, "shard-0001.flac")
    assert BEYOND[name][1] in err
    for each in range(3):
        (folder / f"shard-000{each}.flac").unlink(missing_ok=True)
    assert run(["info", str(folder)]) == 1
    assert "shard 0 is missing" in capsys.readouterr().err


def test_an_open_table_shows_what_was_repaired(folder: Path) -> None:
    with Table(folder) as table:
        assert table.to_arrow(where="year = 77").num_rows == 1
        damaged(folder, [0, 1, 2], Sectors(0.1))
        table.repair()
        (folder / "shard-0000.flac").rename(folder / "away")
        (folder / "away").rename(folder / "shard-0000.flac")
        check(table)
        table.append([{"code": "new", "year": -1, "body": ""}])
        assert len(table.to_arrow()) == ROWS + 1


def test_a_repaired_copy(folder: Path, protected: Path) -> None:
    damaged(folder, [0, 2], Sectors(0.15))
    before = digests(folder)
    assert run(["repair", str(folder), "-o", str(folder.parent / "new.shards")]) == 0
    assert digests(folder) == before
    assert digests(folder.parent / "new.shards") == digests(protected)


def test_without_protection(tmp_path: Path) -> None:
    path = tmp_path / "t.shards"
    create(path, 40).close()
    with Table(path) as table, pytest.raises(UnsupportedError, match="protection none"):
        table.repair()
    (path / "shard-0002.flac").unlink()
    with Table(path) as table:
        with pytest.raises(
            DamagedFileError, match=r"shard 2 \(shard-0002.flac\) is missing; the other 3 have"
        ):
            table.repair()
        assert [str(problem) for problem in scrub(table, 1e9)] == [
            f"{path}/shard-0002.flac: shard 2: is missing"
        ]


def test_shards_whose_manifest_is_gone(tmp_path: Path) -> None:
    """They are told as such, read by their own paths, and neither written to nor dropped."""
    path = tmp_path / "t.shards"
    create(path, 40).close()
    kept = (path / "manifest").read_bytes()
    (path / "manifest").unlink()
    before = digests(path)
    with pytest.raises(
        StorageError, match=r"the manifest is missing, and .* shard-0000.flac to shard-0003.flac"
    ):
        Table(path)
    shard = path / "shard-0001.flac"
    with Table(shard) as table:
        assert 0 < len(table) < 40
        with pytest.raises(UnsupportedError, match=r"is a shard of a table.*manifest of that is missing"):
            table.append([row(99)])
    with pytest.raises(UnsupportedError, match="Restore it, or move this file"):
        drop(shard)
    assert digests(path) == before
    with pytest.raises(UnsupportedError, match="is a shard"):
        Table.create(path / "shard-0009.flac", COLUMNS, {"profile": "embedded"})
    (path / "manifest").write_bytes(kept)
    (path / "shard-0001.flac").unlink()
    with pytest.raises(UnsupportedError, match="is a shard"):
        Table.create(path / "shard-0001.flac", COLUMNS, {"profile": "embedded"})
    shutil.copy(path / "shard-0002.flac", tmp_path)
    with Table(tmp_path / "shard-0002.flac") as table:
        table.append([row(99)])


def test_what_is_exposed_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of one file: what was appended to shards, by the versions of the table; vacuum covers it."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    monkeypatch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)
    path = tmp_path / "t.shards"
    with create(path, 3000, 2, protection="archive") as table:
        table.vacuum()
    for first in (4000, 5000):
        with Table(path) as table:
            table.append([row(number) for number in range(first, first + 30)])
    assert run(["verify", str(path)]) == 0
    told = capsys.readouterr().err
    assert "versions 1 to 2, up to " in told
    assert "of the file of 2 shards, are not covered against a hole of 15 % of it" in told
    with Table(path) as table:
        found = exposure(table.snapshot)
        own = [exposure(shard) for shard in table.snapshot.shards]
        assert found is not None
        assert (found.first, found.last, found.shards) == (1, 2, 2)
        assert found.share == max(each.share for each in own if each is not None)
        table.vacuum()
        assert exposure(table.snapshot) is None
