"""What is done to a table while its disk fails, and a model of the table.

The steps together come through every path that writes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from samples import MODULATIONS

from audiomem_sql.audio.flac.comments import Picture
from audiomem_sql.scan import scan
from audiomem_sql.storage.log import copies as log_copies
from audiomem_sql.storage.log import writer as log_writer
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.file_faults import ERASED
from audiomem_sql.upkeep.verify import Problem, problems
from audiomem_sql.versions import Snapshot
from audiomem_sql.writing import log_limits, placement

COLUMNS = ["id INTEGER PRIMARY KEY", "name TEXT UNIQUE", "v INTEGER", "b BLOB"]
NAMES = ("id", "name", "v", "b")
Rows = dict[int, tuple[Any, ...]]


def small_limits(patch: pytest.MonkeyPatch, *, appended: bool = False) -> None:
    """The same paths with less work: a short log, large commits that are not that large, merges soon.

    appended: new segments go to the end of the file, as they do in large ones.
    """
    patch.setattr(log_writer, "SMALL_QUANTUM", 2 << 10)
    patch.setattr(log_writer, "LARGE_QUANTUM", 4 << 10)
    patch.setattr(log_copies, "STRIP_BYTES", 4 << 10)
    patch.setattr(log_limits, "LOGGED_ROWS", 30)
    patch.setattr(log_limits, "LOGGED_COMMIT_BYTES", 4 << 10)
    patch.setattr(log_limits, "CHECKPOINT_BYTES", 6 << 10)
    patch.setattr(compaction, "MERGED_AT_ONCE", 3)
    assert compaction.COMMIT_MERGE_BYTES
    if appended:
        patch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
        patch.setattr(placement, "REWRITTEN_BYTES", 0)
        patch.setattr(placement, "REWRITTEN_PROTECTED_BYTES", 0)


def rows_at(snapshot: Snapshot) -> Rows:
    """The rows by rowid."""
    found: Rows = {}
    for batch in scan(snapshot, [0, 1, 2, 3]):
        for row in zip(*(array.to_pylist() for array in batch.arrays), strict=True):
            assert row[0] not in found
            found[row[0]] = row
    assert len(found) == snapshot.rows
    return found


@dataclass(slots=True)
class Model:
    """Every version as a plain dict, and the tags; ``oldest`` is the oldest version that must be there."""

    versions: dict[int, Rows] = field(default_factory=lambda: {1: {}})
    tags: dict[str, int] = field(default_factory=dict)
    oldest: int = 1
    newest: int = 1
    columns: dict[int, tuple[str, ...]] = field(default_factory=lambda: {1: NAMES})

    @property
    def rows(self) -> Rows:
        """The newest."""
        return self.versions[self.newest]

    def copy(self) -> Model:
        return Model(dict(self.versions), dict(self.tags), self.oldest, self.newest, dict(self.columns))

    def with_commit(
        self, rows: Rows, tag: str | None = None, columns: tuple[str, ...] | None = None
    ) -> Model:
        """The model after one more commit."""
        made = self.copy()
        made.newest += 1
        made.versions[made.newest] = rows
        made.columns[made.newest] = columns or self.columns[self.newest]
        if tag is not None:
            made.tags[tag] = made.newest - 1
        return made


def _left_by_crash(problem: Problem) -> bool:
    """A commit or a segment that was not whole, or a commit that is whole in some of its copies only.

    Also room that was taken for one, and not written to.
    """
    left = (
        "is no whole commit",
        "copies are damaged",
        "a segment that was never finished",
        "pages without a header",
        ERASED,
    )
    return any(what in problem.what for what in left)


def faults(found: Table, *, torn: bool) -> list[str]:
    """What verify finds; torn: apart from the ends of file and log, which a crash may tear."""
    return [str(problem) for problem in problems(found) if not (torn and _left_by_crash(problem))]


def check(found: Table, model: Model, *, all_versions: bool = True, torn: bool = False) -> None:
    """The table is exactly what the model says; old versions may be kept for longer, the log may be torn."""
    assert found.version == model.newest
    assert rows_at(found.snapshot) == model.rows
    assert model.tags.items() <= found.tags.items()
    kept = [version.number for version in found.versions]
    assert kept == list(range(kept[0], model.newest + 1))
    assert kept[0] <= model.oldest
    for number in kept if all_versions else kept[:1]:
        assert rows_at(found.at(number)) == model.versions[number], number
        assert found.at(number).schema.names == model.columns[number], number
    left = faults(found, torn=torn)
    assert left == [], left


Attempt = Callable[[Model], None]
Step = Callable[[Table, Model, Attempt, random.Random], Model]


def _insert(count: int, size: int = 10) -> Step:
    def step(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
        first = max(model.rows, default=0) + 1  # nothing that was deleted is the highest
        first = max(first, open_table.snapshot.high_rowid + 1)
        new = {
            rowid: (rowid, f"k{rng.random()}", rng.randint(-9, 9), rng.randbytes(size))
            for rowid in range(first, first + count)
        }
        after = model.with_commit(model.rows | new)
        attempt(after)
        open_table.append([dict(zip(["id", "name", "v", "b"], row, strict=True)) for row in new.values()])
        return after

    return step


def _change(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    """A transaction that updates, deletes and inserts again."""
    rows = dict(model.rows)
    transaction = open_table.begin()
    for rowid in rng.sample(sorted(rows), min(4, len(rows))):
        row = (rowid, rows[rowid][1], rng.randint(100, 999), None)
        transaction.update(rowid, rowid, row)
        rows[rowid] = row
    for rowid in rng.sample(sorted(rows), min(3, len(rows))):
        transaction.delete(rowid)
        del rows[rowid]
    after = model.with_commit(rows)
    attempt(after)
    open_table.commit(message="changed")
    return after


def _update(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    changed = {rowid: (*row[:2], (row[2] or 0) + 1, row[3]) for rowid, row in model.rows.items() if rowid % 2}
    if not changed:
        return model
    after = model.with_commit(model.rows | changed)
    attempt(after)
    made = open_table.update("id % 2 = 1", sql={"v": "ifnull(v, 0) + 1"})
    assert made.updated == len(changed)
    return after


def _upsert(count: int, size: int) -> Step:
    def step(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
        known = rng.sample(sorted(model.rows), min(count, len(model.rows)))
        first = max([*model.rows, open_table.snapshot.high_rowid]) + 1
        given = {rowid: (f"u{rng.random()}", rng.randbytes(size)) for rowid in [*known, first, first + 1]}
        before = {rowid: model.rows[rowid][2] if rowid in model.rows else None for rowid in given}
        new = {rowid: (rowid, name, before[rowid], data) for rowid, (name, data) in given.items()}
        after = model.with_commit(model.rows | new)
        attempt(after)
        made = open_table.upsert([{"id": row[0], "name": row[1], "b": row[3]} for row in new.values()])
        assert (made.inserted, made.updated) == (2, len(known))
        return after

    return step


def _delete(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    gone = rng.sample(sorted(model.rows), min(3, len(model.rows)))
    if not gone:
        return model
    after = model.with_commit({rowid: row for rowid, row in model.rows.items() if rowid not in gone})
    attempt(after)
    made = open_table.merge_rows([{"id": rowid} for rowid in gone], when_matched="delete")
    assert made.deleted == len(gone)
    return after


def _delete_all(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    after = model.with_commit({})
    attempt(after)
    open_table.append([], replace="id > ?", parameters=[0])
    return after


def _undone(size: int) -> Step:
    """Prepared, as by a transaction over several tables, then rolled back."""

    def step(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
        transaction = open_table.begin()
        rowid = transaction.insert(None, (None, f"undone{rng.random()}", 0, bytes(size)))
        assert rowid is not None
        row = transaction.stored_row(rowid)
        assert row is not None
        attempt(model.with_commit(model.rows | {rowid: row}))
        open_table.prepare()
        open_table.rollback()
        return model

    return step


def _tag(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    name = f"tag{model.newest}"
    after = model.with_commit(model.rows, name)
    attempt(after)
    open_table.tag(name)
    return after


def _restore(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    number = max(model.oldest, model.newest - 3)
    if model.versions[number] == model.rows:
        return model
    after = model.with_commit(model.versions[number])
    attempt(after)
    open_table.restore(number)
    return after


def _alter(change: str, columns: tuple[str, ...]) -> Step:
    def step(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
        after = model.with_commit(model.rows, columns=columns)
        attempt(after)
        open_table.alter(change)
        return after

    return step


def _checkpoint(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    open_table.checkpoint()
    return model


def _cover(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    open_table.set_cover(Picture(rng.randbytes(3000), "image/png", 1, 1))
    return model


def _merge(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
    open_table.merge()
    return model


def _vacuum(count: int | None) -> Step:
    def step(open_table: Table, model: Model, attempt: Attempt, rng: random.Random) -> Model:
        after = model.copy()
        if count is not None:
            after.oldest = min([max(model.oldest, model.newest - count + 1), *model.tags.values()])
        attempt(after)
        assert open_table.vacuum(retain=Retention(count=count), level=1) <= after.oldest
        return after

    return step


LARGE = _insert(60, 200)
SMALL = _insert(2)
ALTERED = [
    _alter("add column e TEXT DEFAULT 'x'", (*NAMES, "e")),
    _alter("rename column e to f", (*NAMES, "f")),
    _alter("drop column f", NAMES),
]
UNDONE = [_undone(10), _undone(9000)]
STEPS: dict[str, list[Step]] = {
    "by small commits": [
        SMALL, _change, _tag, _cover, _checkpoint, SMALL, UNDONE[0], SMALL, _checkpoint, _change, LARGE,
        _change, UNDONE[1], SMALL, _merge, _restore, _vacuum(4), SMALL, _checkpoint, SMALL, _checkpoint,
        _change, _checkpoint, SMALL,
        *[_insert(3, 700)] * 6, _vacuum(None),
    ],
    "by large commits": [
        _tag, UNDONE[1], _cover, LARGE, SMALL, ALTERED[0], LARGE, ALTERED[1], SMALL, ALTERED[2], _delete_all,
        _vacuum(1), UNDONE[1], LARGE, _change, LARGE, _cover, _merge,
        SMALL, _vacuum(None), LARGE, _vacuum(2),
    ],
    "by verbs": [
        *[LARGE, _update, _upsert(3, 5), _delete, _checkpoint, _upsert(40, 200), _delete, _merge] * 2,
        _update, _upsert(2, 9), SMALL, _delete, LARGE, _update,
    ],
}  # fmt: skip


def create(path: Path, protection: str = "none", modulation: str = "pcm") -> Table:
    """The table that the steps begin with."""
    options = {"profile": "embedded", "protection": protection, **MODULATIONS[modulation]}
    return Table.create(path, COLUMNS, options)
