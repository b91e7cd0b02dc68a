"""Pages of another state or table in a file: told, read as far as it goes, and never written to."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from samples import arrow, content, rows

from audiomem_sql.errors import DamagedFileError, DamageWarning
from audiomem_sql.frames.read_write import write_flac
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

pytestmark = [pytest.mark.damages, pytest.mark.filterwarnings("ignore::audiomem_sql.DamageWarning")]


@dataclass
class States:
    """A file, an older state of it and another table, as bytes that begin their frames at the same places."""

    path: Path
    old: bytes
    new: bytes
    other: bytes
    truth: dict[bytes, list[dict[str, object]]]

    def mix(self, below: bytes, above: bytes, start: float, stop: float) -> None:
        """Put ``above`` over ``below`` between two places, each a share of the shorter."""
        size = min(len(below), len(above))
        first, last = (int(size * part) // 4096 * 4096 for part in (start, stop))
        data = bytearray(below)
        data[first:last] = above[first:last]
        self.path.write_bytes(data)


@pytest.fixture(params=["none", "archive"])
def states(request: pytest.FixtureRequest, tmp_path: Path) -> States:
    path, other = tmp_path / "t.flac", tmp_path / "x.flac"
    truth = {}
    for where in (path, other):
        write_flac(
            arrow(rows(3000)), where, primary_key="id", profile="embedded", protection=request.param
        ).close()
    stranger = other.read_bytes()
    with Table(path) as table:
        table.vacuum()
        truth[path.read_bytes()] = content(table)
        old = path.read_bytes()
        table.append(arrow(rows(400, 3, 9000)))
        table.vacuum()
        truth[path.read_bytes()] = content(table)
    return States(path, old, path.read_bytes(), stranger, truth)


@pytest.mark.parametrize("above", ["old", "other"])
@pytest.mark.parametrize(("start", "stop"), [(0, 0.1), (0.45, 0.55), (0, 0.05)])
def test_pages_over_the_newest(states: States, above: str, start: float, stop: float) -> None:
    """An old front, a stranger's, pages in the middle: as far as the level allows, the newest is read."""
    states.mix(states.new, getattr(states, above), start, stop)
    truth = states.truth[states.new]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        table = Table(states.path)
    assert any("two states are mixed" in str(each.message) for each in told) == (start == 0)
    protected = table.snapshot.segments[0].file.is_protected
    before = states.path.read_bytes()
    with table:
        if protected:
            assert content(table) == truth
        else:
            # The first page in the middle has its own header, and part of another one's bytes. It is told, or
            # the one behind it, whose block may be read before.
            mixed = r"two states are mixed.* of segment .* must be"
            what = rf"CRC-32C mismatch|{mixed}" if start else mixed
            with pytest.raises(DamagedFileError, match=what):
                content(table)
        found = [problem.what for problem in problems(table)]
        assert any("two states are mixed in the file: page" in what for what in found)
        with pytest.raises(DamagedFileError, match="two states are mixed"):
            table.append([{"id": 70_000}])
        assert states.path.read_bytes() == before
        if protected:
            assert [each.changed for each in table.repair()] == [True]
            assert list(problems(table)) == []
            table.append([{"id": 70_000}])
    if protected:
        with Table(states.path) as table:
            assert len(table) == len(truth) + 1


def test_a_copy_that_was_interrupted(states: States) -> None:
    """The newest over the old, up to the middle: neither is whole, which is told, and nothing is written."""
    states.mix(states.old, states.new, 0, 0.5)
    before = states.path.read_bytes()
    with pytest.warns(DamageWarning, match="two states are mixed"):
        table = Table(states.path)
    with table:
        with pytest.raises(DamagedFileError):
            content(table)
        with pytest.raises(DamagedFileError, match="two states are mixed"):
            table.append([{"id": 70_000}])
    assert states.path.read_bytes() == before
    with Table(states.path, salvage=True, on_damage="skip") as table:
        found = content(table)
    assert all(row in states.truth[states.old] for row in found)


def test_the_end_of_the_old_one(states: States) -> None:
    """rsync --inplace, stopped near the end, over an older state."""
    states.mix(states.old, states.new, 0, 0.97)
    with Table(states.path) as table:
        if table.snapshot.segments[0].file.is_protected:
            assert content(table) in states.truth.values()
        else:
            with pytest.raises(DamagedFileError):
                content(table)
        with pytest.raises(DamagedFileError, match="two states are mixed"):
            table.append([{"id": 70_000}])
