"""Who takes part: writers, readers, collectors and mergers, each a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from audiomem_sql.errors import BusyError, LimitError, QueryError, StorageError
from audiomem_sql.remote.commits import (
    Commit,
    Divide,
    Fold,
    Footprint,
    Manifest,
    ManifestReader,
    NewSegment,
    Retag,
    Unanswered,
    UnknownOutcomeError,
    collect,
)
from simulate_remote.truth import Content, check, pack_contents, unpack_contents

if TYPE_CHECKING:
    from simulate_remote.run import World

_ROWS, _KEYS = 2, 6


def segment(data: bytes, world: World, **others: Any) -> NewSegment:
    half = len(data) // 2
    return NewSegment(world.chance.randbytes(16), len(data), 1, lambda: [data[:half], data[half:]], **others)


def read_contents(reader: ManifestReader, manifest: Manifest) -> list[tuple[int, Content]]:
    """All of a version. StorageError if an object is gone."""
    found: list[tuple[int, Content]] = []
    for entry in manifest.segments:
        found += unpack_contents(reader.read(entry.name), entry.last_version)
    for record in manifest.inline:
        found += unpack_contents(record.record, record.version)
    return found


class Person:
    """A process."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.chance = world.chance

    def live(self) -> None:
        """What it does until its end; only errors that say that the store stayed away end it before."""
        try:
            for _ in range(self.chance.randint(1, 5)):
                self.act()
                self.world.scheduler.sleep(self.chance.choice((0.0, 0.1, 2.0)))
        except Unanswered:
            self.world.scheduler.note("gives up")

    def act(self) -> None:
        raise NotImplementedError


class Writer(Person):
    """Commits rows, changes of rows, keys and tags, alone and together."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.committer = world.committer()

    def act(self) -> None:
        committer = self.committer
        if committer.head is None or self.chance.random() < 0.5:
            committer.refresh()
        assert committer.head is not None
        head = committer.head.manifest
        made: list[Any] = []
        try:
            contents = read_contents(committer.reader, head)
        except Unanswered:
            raise
        except StorageError:  # what it knew is too old by now
            committer.head = None
            return
        for _ in range(self.chance.choice((1, 1, 1, 3))):
            made.append(self._change(head, contents))
        try:
            outcomes = committer.make_all(made)
        except (UnknownOutcomeError, Unanswered):
            self.world.scheduler.note("does not know what became of a commit")
            return
        except BusyError:
            outcomes = [BusyError("all")] * len(made)
        for change, outcome in zip(made, outcomes, strict=True):
            self._hear(change, outcome)

    def _hear(self, change: Any, outcome: object) -> None:
        if isinstance(outcome, int) and isinstance(change, Retag):
            self.world.tags |= {name: number for name, number in change.tags.items() if number is not None}
        elif isinstance(outcome, int):
            self.world.acknowledge(change.commit, outcome)
        elif isinstance(change, Commit):
            assert isinstance(outcome, BusyError | LimitError), outcome
            self.world.refuse(change.commit)
        else:
            assert isinstance(outcome, QueryError | BusyError), outcome

    def _change(self, head: Manifest, contents: list[tuple[int, Content]]) -> Any:
        chance, commit = self.chance, self.committer.new_id()
        kind = chance.choice(("rows", "rows", "count", "count", "key", "tag", "schema", "large"))
        if kind == "tag" and head.version:
            return Retag(commit, {commit.hex()[:6]: chance.randint(max(1, head.oldest), head.version)})
        content, footprint, rows = Content(commit), Footprint(), chance.randint(0, 3)
        if kind == "count":
            row = chance.randint(1, _ROWS)
            count = sum(other.row == row for _, other in contents) + 1
            content = Content(commit, row=row, count=count)
            footprint = Footprint.of(set(range(row, row + chance.choice((1, 1, 100)))), set())
        keys = {other.key for _, other in contents}
        if kind == "key" and (free := sorted(set(range(1, _KEYS)) - keys)):
            content = Content(commit, key=chance.choice(free))
            footprint = Footprint((), (content.key,))
        if kind == "schema" and chance.random() < 0.3:
            footprint = Footprint(schema=True)
        data = pack_contents([(0, content)])
        return Commit.on(
            head,
            commit,
            int(self.world.scheduler.now * 1e6),
            new_rows=rows,
            footprint=footprint,
            record=data if kind != "large" and chance.random() < 0.7 else None,
            encoded=lambda: segment(data.ljust(len(data)), self.world),
            high_rowid=chance.choice((0, 0, head.next_rowid + 2)) if kind == "rows" else 0,
        )


class Reader(Person):
    """Reads one version after others were made, and must see exactly that one."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.reader = world.reader()

    def act(self) -> None:
        head = self.reader.load()
        self.world.scheduler.sleep(self.chance.choice((0.0, 0.5, 5.0)))
        truth, manifest = self.world.truth, head.manifest
        try:
            contents = read_contents(self.reader, manifest)
        except Unanswered:
            raise
        except StorageError as error:
            behind = truth.head.version - manifest.version
            check(behind > manifest.retention, f"an object is gone within the retention: {error}")
            return
        seen = {content.commit: version for version, content in contents}
        expected = {
            commit: max(version, manifest.oldest)
            for commit, version in truth.versions.items()
            if version <= manifest.version
        }
        check(seen == expected and len(seen) == len(contents), "a reader saw a mix")
        self.world.scheduler.note(f"saw version {manifest.version}")
        newer = self.reader.refresh(head).manifest
        check(newer.seq >= manifest.seq, "a refresh went back")


class Collector(Person):
    """Removes garbage."""

    def act(self) -> None:
        committer = self.world.committer()
        try:
            committer.refresh()
            collected = collect(committer)
        except (UnknownOutcomeError, BusyError):
            return
        self.world.scheduler.note(f"collected {collected}")


class Merger(Person):
    """Joins segments and records, and sometimes forgets old versions."""

    def act(self) -> None:
        committer = self.world.committer()
        head = committer.refresh()
        runs = head.runs()
        if len(runs) < 2:
            return
        first = self.chance.randrange(len(runs) - 1)
        last = self.chance.randrange(first + 1, len(runs))
        low, high = runs[first][0], runs[last][1]
        joined = [s for s in head.segments if low <= s.first_version and s.last_version <= high]
        records = [e for e in head.inline if low <= e.version <= high]
        oldest = self.chance.randint(low, high) if first == 0 and self.chance.random() < 0.3 else 0
        contents: list[tuple[int, Content]] = []
        try:
            for entry in joined:
                contents += unpack_contents(committer.reader.read(entry.name), entry.last_version)
        except Unanswered:
            raise
        except StorageError:
            return
        for record in records:
            contents += unpack_contents(record.record, record.version)
        data = pack_contents([(max(version, oldest), content) for version, content in contents])
        ranges = [(s.low_rowid, s.high_rowid) for s in joined]
        ranges += [(e.first_rowid, e.first_rowid + e.new_rows - 1) for e in records]
        low_rowid, high_rowid = min(low for low, _ in ranges), max(high for _, high in ranges)
        made = segment(data, self.world, low_rowid=low_rowid, high_rowid=high_rowid)
        names, commits = tuple(s.name for s in joined), tuple(e.commit for e in records)
        change = Fold(committer.new_id(), names, commits, made, oldest)
        start = max([low, oldest, *(entry.last_version for entry in head.history)])
        if first == 0 and start < high and self.chance.random() < 0.3:  # a segment of old versions beside it
            until = self.chance.randint(start + 1, high)
            ended = segment(data, self.world, low_rowid=low_rowid, high_rowid=high_rowid)
            change = Divide(*vars(change).values(), ended=ended, until=until, time=head.time)
        try:
            committer.make(change)
        except (UnknownOutcomeError, BusyError):
            return
        self.world.scheduler.note(f"joined versions {low} to {high}")
