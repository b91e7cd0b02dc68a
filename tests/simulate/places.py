"""Tables of the simulation, what may be in them, and whether it is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crash.workload import Model, Rows, faults, rows_at

from audiomem_sql.errors import AudioMemError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.table.table import Table
from audiomem_sql.versions import Snapshot
from simulate.ledger import History

CACHE_BYTES = 1 << 20


class Difference(AssertionError):
    """The product did what the model forbids."""


@dataclass(slots=True)
class Place:
    """A table at a path, and the states that it may be in.

    live: what whoever opens it now sees. others: what may be there instead after a power loss: commits that
    were not acknowledged, and the state without one that was seen but never acknowledged. protection: the
    table's level. history: its moments at rest. acknowledged: the newest version that a writer was told of;
    live may be a commit of one that was killed before. foreign: it has bytes that no level protects, a tag
    behind its last frame or a cover. retired: nothing is expected of it any more.
    """

    path: Path
    live: Model
    protection: str = "none"
    history: History = field(default_factory=History)
    others: list[Model] = field(default_factory=list)
    acknowledged: int = 0
    foreign: bool = False
    retired: bool = False

    @property
    def name(self) -> str:
        """The folder's name, which is the place's."""
        return self.path.parent.name

    def acknowledge(self, model: Model) -> None:
        """A commit returned: its state is durable, and the only one.

        What commits nothing says nothing of the commit of a writer that was killed before.
        """
        if model.newest != self.live.newest:
            self.acknowledged, self.others = model.newest, []
        self.live = model

    def doubt(self, models: Sequence[Model]) -> None:
        """These may be found after a power loss, too."""
        self.others.extend(model for model in models if all(model is not other for other in self.others))


def open_table(path: Path) -> Table:
    """As a process that knows nothing opens it."""
    return Table(path, cache=BlockCache(CACHE_BYTES), busy_timeout=0)


def difference(table: Table | Snapshot, model: Model) -> str | None:
    """What differs between the newest state and the model; None if nothing does."""
    snapshot = table if isinstance(table, Snapshot) else table.snapshot
    if snapshot.version != model.newest:
        return f"version {snapshot.version}, expected {model.newest}"
    if snapshot.schema.names != model.columns[model.newest]:
        return f"columns {snapshot.schema.names}, expected {model.columns[model.newest]}"
    return rows_differ(rows_at(snapshot), model.rows)


def rows_differ(found: Rows, expected: Rows) -> str | None:
    """The first rows that differ."""
    if found == expected:
        return None
    differing = sorted(
        rowid for rowid in found.keys() | expected.keys() if found.get(rowid) != expected.get(rowid)
    )
    first = differing[0]
    return (
        f"{len(differing)} rows differ; row {first} is {_short(found.get(first))}, "
        f"expected {_short(expected.get(first))}"
    )


def _short(row: object) -> str:
    text = repr(row)
    return text if len(text) < 90 else text[:87] + "…"


def fitting(table: Table, models: Sequence[Model]) -> Model:
    """The model that the table is like; Difference if there is none.

    Of those that differ only in what a vacuum may have removed, the one that demands least.
    """
    told = {id(model): difference(table, model) for model in models}
    fit = [model for model in models if told[id(model)] is None]
    if not fit:
        raise Difference("; or ".join(dict.fromkeys(str(found) for found in told.values())))
    return max(fit, key=lambda model: model.oldest)


def check_history(table: Table, model: Model, rng: random.Random, *, whole: bool, torn: bool = True) -> None:
    """Tags, the list of versions and old versions; whole: all of them, and what verify finds."""
    if not model.tags.items() <= table.tags.items():
        raise Difference(f"tags {table.tags}, expected {model.tags}")
    kept = [version.number for version in table.versions]
    if kept != list(range(kept[0], model.newest + 1)) or kept[0] > model.oldest:
        raise Difference(f"versions {kept}, expected {model.oldest} to {model.newest}")
    for number in kept if whole else rng.sample(kept, 1):
        old = table.at(number)
        found = rows_differ(rows_at(old), model.versions[number])
        if found is None and old.schema.names != model.columns[number]:
            found = f"columns {old.schema.names}, expected {model.columns[number]}"
        if found is not None:
            raise Difference(f"version {number}: {found}")
    if whole and (problems := faults(table, torn=torn)):
        raise Difference(f"verify: {problems}")


def check_times(table: Table) -> None:
    """Commit times never fall."""
    times = [version.time for version in table.versions]
    if times != sorted(times):
        raise Difference(f"commit times fall: {times}")


def check_refusal(error: AudioMemError) -> None:
    """An error names the file, what is wrong and what to do."""
    missing = [name for name in ("file", "what", "remedy") if not getattr(error, name)]
    if missing:
        raise Difference(f"{type(error).__name__} without {' and '.join(missing)}: {error}")
