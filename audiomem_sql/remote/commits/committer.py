"""Commits: read the manifest, change it, replace it on the condition that it is still the one that was read.

An answer that is not clear, or lost, is settled by reading the manifest again: a commit whose id is among the
recent ones took place, with the version that is recorded there. One that is not there lost its race, and is
made again on the new manifest unless the two do not go together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from audiomem_sql.errors import AudioMemError, BusyError, InFile, StorageError
from audiomem_sql.machine.thread_pool import ThreadPool
from audiomem_sql.remote.commits.changes import Change, Lease, NewEpoch, NewSegment, Uploaded
from audiomem_sql.remote.commits.dividing import Divide
from audiomem_sql.remote.commits.manifest import RECENT, RETENTION, Done, Manifest, PageEntry
from audiomem_sql.remote.commits.manifest_bytes import MANIFEST_BYTES, pack_manifest, pack_page
from audiomem_sql.remote.commits.paths import epoch_of, new_name
from audiomem_sql.remote.commits.reading import Head, ManifestReader, check_goes_on
from audiomem_sql.remote.commits.splitting import SplitChange
from audiomem_sql.remote.commits.store import Mark, Missing, ObjectStore, Refused, Unanswered
from audiomem_sql.remote.commits.waiting import Patience, Surroundings

#: Changes that are made by one replacement.
MOST_AT_ONCE = 32
#: A segment that is larger is uploaded in parts.
PARTS_ABOVE = 16 << 20
#: Segments of one change of a sharded table that are uploaded at the same time.
UPLOADS_AT_ONCE = 8

#: What became of a change: the version that it made or found, or why it was refused.
Outcome = int | AudioMemError


class UnknownOutcomeError(StorageError):
    """The store did not say whether a commit took place, and may still do it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a manifest remembers, and how large it becomes; others than the defaults are for tests."""

    recent: int = RECENT
    manifest_bytes: int = MANIFEST_BYTES


class Committer:
    """Changes one table. For one thread at a time; any number of them, anywhere, may change the same table.

    seconds: how long a change is tried. writer: 16 bytes, who it is where the table has a lease.
    """

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        *,
        seconds: float = 60,
        writer: bytes | None = None,
        surroundings: Surroundings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.store = store
        self.seconds = seconds
        self.surroundings = surroundings or Surroundings()
        self.reader = ManifestReader(store, key, surroundings=self.surroundings)
        self.writer = writer or self.new_id()
        self.limits = limits or Limits()
        self.head: Head | None = None
        self._newest: Manifest | None = None

    def accept(self, head: Head) -> Head:
        """Go on from ``head``. StorageError if it is no later state than the newest one that was seen."""
        if self._newest is not None:
            check_goes_on(self._newest, head.manifest)
        self.head, self._newest = head, head.manifest
        return head

    def new_id(self) -> bytes:
        """An id for a commit."""
        return self.surroundings.random_bytes(16)

    def create(self, table: bytes, *, retention: int = RETENTION) -> Manifest:
        """A table without versions. table: 16 bytes at random, its id. StorageError if there is one."""
        manifest = Manifest(table, recent=(Done(table, 0, 0, None),), retention=retention)
        with InFile(self.reader.where):
            data, patience = pack_manifest(manifest), Patience(self.seconds, self.surroundings)
            while True:
                try:
                    mark = self.store.put_if_absent(self.reader.paths.manifest, data)
                    return self.accept(Head(manifest, mark)).manifest
                except Refused:
                    head = self.reader.load()
                    if head.manifest.table != table:
                        raise StorageError("there is a table already", remedy="Open it.") from None
                    return self.accept(head).manifest
                except Unanswered:
                    if not patience.wait():
                        raise

    def refresh(self) -> Manifest:
        """The newest state."""
        head = self.reader.load() if self.head is None else self.reader.refresh(self.head)
        return self.accept(head).manifest

    def make(self, change: Change) -> int:
        """One change; the version that it made, or found. BusyError where another one came first."""
        (outcome,) = self.make_all([change])
        if isinstance(outcome, AudioMemError):
            raise outcome
        return outcome

    def make_all(self, changes: Sequence[Change]) -> list[Outcome]:
        """Changes that become durable together, in their order; what became of each.

        Those that are refused keep none of the others back. UnknownOutcomeError, StorageError for all.
        """
        assert len({change.commit for change in changes}) == len(changes) <= MOST_AT_ONCE
        with InFile(self.reader.where):
            attempt = _Attempt(self, changes)
            try:
                attempt.run()
            except BaseException:
                self.head = None  # whatever it knew, it has to be read again
                raise
        return [attempt.outcomes[change.commit] for change in changes]


class _Attempt:
    """The way of some changes into the manifest."""

    def __init__(self, committer: Committer, changes: Sequence[Change]) -> None:
        self.committer = committer
        self.store, self.reader = committer.store, committer.reader
        self.left = list(changes)
        self.outcomes: dict[bytes, Outcome] = {}
        #: By the id of a change, or that and more for each part of one.
        self._uploads: dict[Hashable, Uploaded] = {}
        #: The oldest manifest that a replacement of ours may have taken the place of, if that is in doubt.
        self._doubt: Manifest | None = None

    def run(self) -> None:
        """Every change has its outcome afterwards."""
        patience = Patience(self.committer.seconds, self.committer.surroundings)
        while self.left:
            head = self.committer.head or self._load()
            if self._settled(head):
                return
            newer = self._next(head, patience)
            if newer is None:
                return
            try:
                data = pack_manifest(newer)
                mark = self.store.put_if_match(self.reader.paths.manifest, data, head.mark)
            except (Refused, Unanswered) as error:
                self._lost(head, patience, error)
            else:
                self.committer.accept(Head(newer, mark))
                self._succeed(newer)

    def _load(self) -> Head:
        try:
            head = self.reader.load()
        except Unanswered as error:
            if self._doubt is None:
                raise
            raise self._unknown() from error
        return self.committer.accept(head)

    def _lost(self, head: Head, patience: Patience, error: StorageError) -> None:
        """An answer that may mean anything: the manifest must be read again."""
        self.committer.head = None
        if self._doubt is None:
            self._doubt = head.manifest
        if patience.wait():
            return
        newest = self._load()
        if self._settled(newest):
            return
        if self._in_doubt():
            raise self._unknown() from error
        seconds = self.committer.seconds
        raise BusyError(f"other writers were faster for {seconds:g} s", remedy="Try again.") from error

    def _in_doubt(self) -> bool:
        return self._doubt is not None

    def _settled(self, head: Head) -> bool:
        """Whether an earlier replacement took place after all; where it never will, no doubt is left."""
        if self._doubt is None:
            return False
        manifest, versioned = head.manifest, [c for c in self.left if c.footprint is not None]
        if any(manifest.version_of(change.commit) is not None for change in self.left):
            self._succeed(manifest)
            return True
        if manifest.seq > self._doubt.seq:  # what was to replace an earlier manifest never will
            # What makes no version does the same again, or nothing.
            if versioned and not manifest.remembers(self._doubt.seq, self._doubt.version):
                raise self._unknown()
            self._doubt = None
        return False

    def _succeed(self, manifest: Manifest) -> None:
        """All that are left took place together: one of them says what versions the others made, or found."""
        made = list(accumulate(change.footprint is not None for change in self.left))
        before = next(
            version - number
            for change, number in zip(self.left, made, strict=True)
            if (version := manifest.version_of(change.commit)) is not None
        )
        for change, number in zip(self.left, made, strict=True):
            self.outcomes[change.commit] = before + number
        self.left = []

    def _unknown(self) -> UnknownOutcomeError:
        ids = ", ".join(change.commit.hex() for change in self.left)
        return UnknownOutcomeError(
            f"it is not known whether commit {ids} took place: the store did not say",
            remedy="Look for it in the newest version before you make it again.",
        )

    def _next(self, head: Head, patience: Patience) -> Manifest | None:
        try:
            return self._built(head, patience)
        except Unanswered as error:
            if self._doubt is None:
                raise
            raise self._unknown() from error

    def _built(self, head: Head, patience: Patience) -> Manifest | None:
        """The next manifest; None if every change was refused."""
        newer = replace(head.manifest, seq=head.manifest.seq + 1)
        self._check_lease(head.manifest)
        for change in tuple(self.left):
            try:
                change.check(newer)
                newer = self._applied(change, newer, head.manifest.epoch, patience)
            except AudioMemError as error:
                if isinstance(error, Unanswered):
                    raise
                self.left.remove(change)
                self.outcomes[change.commit] = error.at(file=self.reader.where)
                continue
            done = Done(
                change.commit,
                newer.seq,
                newer.version,
                change.footprint,
                newer.next_rowid - change.new_rows,
                change.new_rows,
            )
            newer = replace(newer, recent=(*newer.recent, done)[-self.committer.limits.recent :])
        return self._paged(newer, head.manifest.epoch, patience) if self.left else None

    def _check_lease(self, manifest: Manifest) -> None:
        holder = manifest.writer
        if holder is None or holder == self.committer.writer:
            return
        if any(not isinstance(change, Lease | NewEpoch) for change in self.left):
            raise BusyError(
                f"writer {holder.hex()} alone may write to the table",
                remedy="Wait until it gives the lease back, or take it over.",
            )

    def _applied(self, change: Change, head: Manifest, epoch: int, patience: Patience) -> Manifest:
        """``head`` with the change. Its segments go to ``epoch``, which is that of the old manifest."""
        if isinstance(change, SplitChange):
            return self._applied_to_shards(change, head, epoch, patience)
        known = self._uploaded(change.commit, lambda: change.segment(head), epoch, patience)
        if isinstance(change, Divide):
            ended = self._uploaded((change.commit, "ended"), lambda: change.ended, epoch, patience)
            assert known is not None
            assert ended is not None
            return change.divided(head, known, ended)
        return change.apply(head, known)

    def _uploaded(
        self, part: Hashable, segment: Callable[[], NewSegment | None], epoch: int, patience: Patience
    ) -> Uploaded | None:
        """A segment in the store, in ``epoch``: put there before, or now. None for none."""
        known = self._uploads.get(part)
        if known is None or epoch_of(known.name) != epoch:
            made = segment() if known is None else known.made
            known = None if made is None else self._put(made, epoch, patience)
            if known is not None:
                self._uploads[part] = known
        return known

    def _applied_to_shards(
        self, change: SplitChange, head: Manifest, epoch: int, patience: Patience
    ) -> Manifest:
        """The same for a change with parts, whose segments are uploaded together."""
        numbering = change.numbering(head)

        def known(number: int) -> Uploaded | None:
            return self._uploads.get((change.commit, number, numbering))

        wanted = change.segments(head, lambda number: known(number) is not None)
        uploads: dict[int, Uploaded] = {}
        for number in change.parts(head):
            if (upload := known(number)) is not None:
                if epoch_of(upload.name) == epoch:
                    uploads[number] = upload
                else:
                    wanted[number] = upload.made
        if len(wanted) < 2:
            done = [self._put(made, epoch, patience) for made in wanted.values()]
        else:
            seconds, surroundings = self.committer.seconds, self.committer.surroundings
            with ThreadPool(min(len(wanted), UPLOADS_AT_ONCE), "uploads") as pool:
                done = list(
                    pool.map(
                        lambda made: self._put(made, epoch, Patience(seconds, surroundings)), wanted.values()
                    )
                )
        for number, upload in zip(wanted, done, strict=True):
            uploads[number] = self._uploads[change.commit, number, numbering] = upload
        return change.applied(head, uploads)

    def _put(self, made: NewSegment, epoch: int, patience: Patience) -> Uploaded:
        """Put a segment into the store, where no manifest names it yet."""

        def put(key: str) -> Mark:
            if made.size > PARTS_ABOVE:
                return self.store.put_parts(key, made.parts())
            return self.store.put_if_absent(key, b"".join(made.parts()))

        return Uploaded(made, *self._upload("flac", epoch, put, patience))

    def _upload(
        self, kind: str, epoch: int, put: Callable[[str], Mark], patience: Patience
    ) -> tuple[str, Mark]:
        """Put an object under a new name at each attempt: what an earlier one left is garbage."""
        while True:
            name = new_name(epoch, self.committer.new_id(), kind)
            try:
                return name, put(self.reader.paths.object(name))
            except (Refused, Missing, Unanswered) as error:
                if not patience.wait():
                    raise Unanswered(f"a segment could not be uploaded ({error.what})") from error

    def _paged(self, manifest: Manifest, epoch: int, patience: Patience) -> Manifest:
        """``manifest``, with its older segments in one more page if it would be too large."""
        outside = manifest.segments[manifest.paged :]
        if len(outside) < 2 or len(pack_manifest(manifest)) <= self.committer.limits.manifest_bytes:
            return manifest
        moved = outside[: (len(outside) + 1) // 2]
        data = pack_page(moved)
        name, _ = self._upload("page", epoch, lambda key: self.store.put_if_absent(key, data), patience)
        return replace(manifest, pages=(*manifest.pages, PageEntry(name, len(data), len(moved))))
