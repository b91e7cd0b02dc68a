"""Commits to a store of one's own, where the test says what the network and the others do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from simulate_remote.memory_store import MemoryStore

from audiomem_sql.errors import BusyError, LimitError, QueryError, StorageError
from audiomem_sql.remote.commits import (
    Commit,
    Committer,
    Fold,
    Footprint,
    Lease,
    Limits,
    ManifestReader,
    Mark,
    NewSegment,
    Refused,
    Retag,
    Surroundings,
    Unanswered,
    UnknownOutcomeError,
    collect,
)
from audiomem_sql.remote.commits.changes import INLINE_BYTES

KEY = "data/kb.flac"
TABLE = bytes(range(16))


class Network(MemoryStore):
    """``next_put``: what happens to the next replacement of the manifest instead of an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.next_put: list[Callable[[Callable[[], Mark]], Mark]] = []
        self.replaced = 0

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        self.replaced += 1

        def put() -> Mark:
            return MemoryStore.put_if_match(self, key, data, mark)

        return self.next_put.pop(0)(put) if self.next_put else put()


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.001


@pytest.fixture
def store() -> Network:
    store = Network()
    committer(store).create(TABLE, retention=2)
    return store


def committer(store: MemoryStore, **others: Any) -> Committer:
    clock = Clock()
    surroundings = Surroundings(clock=lambda: clock.now, sleep=clock.sleep)
    opened = Committer(store, KEY, surroundings=surroundings, **others)
    if store.objects:
        opened.refresh()
    return opened


def commit(one: Committer, **others: Any) -> Commit:
    """A small commit on what ``one`` knows."""
    manifest = one.refresh() if one.head is None else one.head.manifest
    return Commit.on(manifest, one.new_id(), 5, **({"record": b"x"} | others))


def segment(data: bytes = b"rows", **others: Any) -> NewSegment:
    return NewSegment(bytes(16), len(data), 1, lambda: [data], **others)


def lost_reply(put: Callable[[], Mark]) -> Mark:
    put()
    raise Unanswered("reset")


def not_sent(put: Callable[[], Mark]) -> Mark:
    raise Unanswered("503")


def test_a_small_commit_costs_one_request(store: Network) -> None:
    one = committer(store)
    assert [one.make(commit(one, new_rows=3)) for _ in range(3)] == [1, 2, 3]
    assert store.replaced == 3
    manifest = committer(store).refresh()
    assert [(e.version, e.time, e.first_rowid, e.new_rows) for e in manifest.inline] == [
        (1, 5, 1, 3), (2, 6, 4, 3), (3, 7, 7, 3),
    ]  # fmt: skip


def test_a_lost_race_is_numbered_again(store: Network) -> None:
    one, other = committer(store), committer(store)
    mine = commit(one, new_rows=2)
    other.make(commit(other, new_rows=5))
    assert one.make(mine) == 2
    assert one.refresh().inline[1].first_rowid == 6


@pytest.mark.parametrize("answer", [lost_reply, not_sent])
def test_an_answer_that_is_lost_is_settled(store: Network, answer: Callable[..., Mark]) -> None:
    one = committer(store)
    store.next_put = [answer]
    assert one.make(commit(one)) == 1
    assert committer(store).refresh().version == 1


def test_the_version_is_the_recorded_one(store: Network) -> None:
    one, other = committer(store), committer(store)

    def overtaken(put: Callable[[], Mark]) -> Mark:
        put()
        other.make(commit(other))
        raise Refused("its own retry came second")

    store.next_put = [overtaken]
    assert one.make(commit(one)) == 1
    assert other.refresh().version == 2


def test_changes_that_are_settled_together_have_their_versions(store: Network) -> None:
    one = committer(store)
    store.next_put = [lost_reply]
    changes = [commit(one), Retag(one.new_id(), {"a": 1}), commit(one), commit(one, record=b"y")]
    assert one.make_all(changes) == [1, 1, 2, 3]


def test_what_nobody_remembers_is_said(store: Network) -> None:
    """Others commit so often, and join what was committed, that nothing says whether it took place."""
    few = Limits(recent=2)
    one, other = committer(store, limits=few), committer(store, limits=few)

    def forgotten(put: Callable[[], Mark]) -> Mark:
        put()
        for _ in range(2):
            other.refresh()
            other.make(commit(other))
        assert other.head is not None
        commits = tuple(entry.commit for entry in other.head.manifest.inline)
        other.make(Fold(other.new_id(), (), commits, segment()))
        raise Unanswered("reset")

    store.next_put = [forgotten]
    mine = commit(one)
    with pytest.raises(UnknownOutcomeError, match=mine.commit.hex()):
        one.make(mine)
    assert other.refresh().version == 3


def test_a_commit_is_found_behind_the_recent_ones(store: Network) -> None:
    few = Limits(recent=2)
    one, other = committer(store, limits=few), committer(store, limits=few)

    def overtaken(put: Callable[[], Mark]) -> Mark:
        put()
        for _ in range(5):
            other.refresh()
            other.make(commit(other))
        raise Unanswered("reset")

    store.next_put = [overtaken]
    assert one.make(commit(one)) == 1


def test_a_store_that_stays_silent(store: Network) -> None:
    """A replacement that may still arrive is neither acknowledged nor refused."""
    one = committer(store, seconds=3)
    store.next_put = [not_sent] * 100
    with pytest.raises(UnknownOutcomeError, match=r"memory://bucket/data/kb\.flac: it is not known"):
        one.make(commit(one))


def test_others_are_always_faster(store: Network) -> None:
    one, other = committer(store, seconds=3), committer(store)

    def overtaken(put: Callable[[], Mark]) -> Mark:
        other.refresh()
        store.next_put, waiting = [], store.next_put
        other.make(commit(other))
        store.next_put = waiting
        return put()

    store.next_put = [overtaken] * 100
    with pytest.raises(BusyError, match="other writers were faster for 3 s"):
        one.make(commit(one))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (Footprint((3,)), Footprint((3, 5)), "same rows"),
        (Footprint((3,)), Footprint(None), "same rows"),
        (Footprint((), (7,)), Footprint((9,), (7,)), "same key"),
        (Footprint((), None), Footprint((), (7,)), "same key"),
        (Footprint(schema=True), Footprint(), "columns changed"),
        (Footprint(), Footprint(schema=True), "columns changed"),
        (Footprint((3,)), Footprint((4,)), ""),
        (Footprint((3,), (1,)), Footprint((), (2,)), ""),
        (Footprint(None, None), Footprint(), ""),
    ],
)
def test_what_does_not_go_together(store: Network, first: Footprint, second: Footprint, said: str) -> None:
    one, other = committer(store), committer(store)
    mine = commit(one, footprint=second)
    other.make(commit(other, footprint=first))
    if said:
        with pytest.raises(BusyError, match=said):
            one.make(mine)
    else:
        assert one.make(mine) == 2


@pytest.mark.parametrize(("rowid", "is_refused"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_rowid_that_the_other_commit_was_given(store: Network, rowid: int, is_refused: bool) -> None:
    one, other = committer(store), committer(store)
    other.make(commit(other, new_rows=1))
    one.refresh()
    mine = commit(one, footprint=Footprint((rowid,)), high_rowid=rowid)
    other.make(commit(other, new_rows=2))
    if is_refused:
        with pytest.raises(BusyError, match="a rowid of it was given"):
            one.make(mine)
    else:
        one.make(mine)
        assert one.refresh().next_rowid == max(4, rowid + 1)


def test_own_commits_are_no_race(store: Network) -> None:
    one = committer(store)
    row = Footprint((3,))
    first = commit(one, footprint=row)
    second = commit(one, footprint=row, seen=frozenset({first.commit}))
    third = commit(one, footprint=row)
    outcomes = one.make_all([first, second, third])
    assert outcomes[:2] == [1, 2]
    assert isinstance(outcomes[2], BusyError)
    assert one.refresh().version == 2


def test_more_commits_than_are_remembered(store: Network) -> None:
    few = Limits(recent=2)
    one, other = committer(store, limits=few), committer(store, limits=few)
    changes, adds = commit(one, footprint=Footprint((3,))), commit(one)
    for _ in range(3):
        other.refresh()
        other.make(commit(other))
    with pytest.raises(BusyError, match="3 commits came first"):
        one.make(changes)
    assert one.make(adds) == 4


def test_a_large_commit_is_a_segment(store: Network) -> None:
    one = committer(store)
    one.make(commit(one, record=bytes(INLINE_BYTES)))
    with pytest.raises(LimitError, match="no room"):
        one.make(commit(one))
    rows = segment(b"encoded", low_rowid=8, high_rowid=9)
    assert one.make(commit(one, encoded=lambda: rows, new_rows=2, high_rowid=9)) == 2
    (entry,) = one.refresh().segments
    assert (entry.first_version, entry.low_rowid, entry.high_rowid) == (2, 8, 11)
    assert one.reader.read(entry.name) == b"encoded"


def test_a_segment_is_uploaded_again_under_a_new_epoch(store: Network) -> None:
    one, gardener = committer(store), committer(store)

    def collected(put: Callable[[], Mark]) -> Mark:
        gardener.refresh()
        assert collect(gardener).objects == 1
        return put()

    store.next_put = [collected]
    assert one.make(commit(one, record=None, encoded=segment)) == 1
    (entry,) = one.refresh().segments
    assert entry.name.startswith("00000002-")
    assert one.reader.read(entry.name) == b"rows"


def test_removed_segments_stay_within_the_retention(store: Network) -> None:
    one = committer(store)
    for _ in range(2):
        one.make(commit(one, record=None, encoded=segment))
    assert one.head is not None
    pinned = one.head.manifest
    one.make(Fold(one.new_id(), tuple(s.name for s in pinned.segments), (), segment(b"joined")))
    for _ in range(3):
        assert collect(one).objects == 0
        assert one.reader.read(pinned.segments[0].name) == b"rows"
        one.make(commit(one))
    assert collect(one).objects == 2
    with pytest.raises(StorageError, match="no longer kept"):
        one.reader.read(pinned.segments[0].name)
    assert one.reader.read(one.refresh().segments[0].name) == b"joined"


def test_half_uploaded_objects_are_aborted(store: Network) -> None:
    one = committer(store)
    upload = store.begin("data/kb.flac.d/seg/00000001-" + "0" * 32 + ".flac")
    other = store.begin("data/other.flac.d/seg/00000001-" + "0" * 32 + ".flac")
    assert collect(one).uploads == 1
    assert upload not in store.parts
    assert other in store.parts


def test_a_merge_goes_with_commits_but_not_with_another(store: Network) -> None:
    one, other = committer(store), committer(store)
    for _ in range(3):
        one.make(commit(one))
    commits = tuple(entry.commit for entry in one.refresh().inline)
    fold = Fold(one.new_id(), (), commits[:2], segment())
    other.refresh()
    other.make(commit(other))
    assert one.make(fold) == 4
    manifest = one.refresh()
    assert [(s.first_version, s.last_version) for s in manifest.segments] == [(1, 2)]
    assert [entry.version for entry in manifest.inline] == [3, 4]
    with pytest.raises(BusyError, match="another vacuum or merge"):
        other.make(Fold(other.new_id(), (), commits[1:], segment()))


def test_a_vacuum_keeps_versions_with_tags(store: Network) -> None:
    one, other = committer(store), committer(store)
    for _ in range(3):
        one.make(commit(one))
    commits = tuple(entry.commit for entry in one.refresh().inline)
    other.refresh()
    other.make(Retag(other.new_id(), {"first": 1}))
    with pytest.raises(BusyError, match="have a tag now: first"):
        one.make(Fold(one.new_id(), (), commits, segment(), oldest=3))
    one.make(Retag(one.new_id(), {"first": None}))
    one.make(Fold(one.new_id(), (), commits, segment(), oldest=3))
    assert one.refresh().runs() == [(3, 3)]
    with pytest.raises(QueryError, match="version 2 is not kept"):
        one.make(Retag(one.new_id(), {"second": 2}))


def test_a_lease(store: Network) -> None:
    one, other = committer(store), committer(store)
    one.make(Lease(one.new_id(), one.writer))
    one.make(commit(one))
    other.refresh()
    with pytest.raises(BusyError, match=f"writer {one.writer.hex()} alone"):
        other.make(commit(other))
    collect(other)
    other.make(Lease(other.new_id(), other.writer))
    assert other.make(commit(other)) == 2
    with pytest.raises(BusyError, match=f"writer {other.writer.hex()} alone"):
        one.make(commit(one))
    other.make(Lease(other.new_id(), None))
    assert one.make(commit(one)) == 3


def test_older_segments_go_into_pages(store: Network) -> None:
    one = committer(store, limits=Limits(manifest_bytes=1500))
    for number in range(40):
        one.make(commit(one, record=None, encoded=lambda number=number: segment(b"%d" % number)))
    manifest = committer(store).refresh()
    assert len(manifest.pages) > 1
    assert [one.reader.read(s.name) for s in manifest.segments] == [b"%d" % n for n in range(40)]
    assert len(store.get("data/kb.flac.d/manifest").data) < 1500 + 200 * len(manifest.pages)
    last = manifest.pages[-1]
    inside = manifest.segments[manifest.paged - last.count : manifest.paged + 1]
    one.make(Fold(one.new_id(), tuple(s.name for s in inside), (), segment(b"joined")))
    newer = committer(store).refresh()
    assert newer.pages[: len(manifest.pages) - 1] == manifest.pages[:-1]
    assert last not in newer.pages
    assert last.name in {entry.name for entry in newer.retired}
    assert len(newer.segments) == 40 - len(inside) + 1


def test_a_page_that_is_collected_while_a_manifest_is_read(store: Network) -> None:
    one = committer(store, limits=Limits(manifest_bytes=1500))
    for _ in range(30):
        one.make(commit(one, record=None, encoded=segment))
    stale = store.get("data/kb.flac.d/manifest")
    names = tuple(s.name for s in one.refresh().segments)
    one.make(Fold(one.new_id(), names, (), segment(b"joined")))
    for _ in range(3):
        one.make(commit(one))
    collect(one)
    reader = ManifestReader(store, KEY)
    assert reader.parsed(stale).manifest.version == 33


def test_a_table_is_created_once(store: Network) -> None:
    with pytest.raises(StorageError, match="there is a table already"):
        committer(store).create(bytes(16))
    assert committer(store).create(TABLE).table == TABLE  # its own reply was lost


def test_a_creation_whose_reply_is_lost() -> None:
    class Deaf(MemoryStore):
        heard = False

        def put_if_absent(self, key: str, data: bytes) -> Mark:
            mark = super().put_if_absent(key, data)
            if not self.heard:
                self.heard = True
                raise Unanswered("reset")
            return mark

    one = committer(Deaf())
    assert one.create(TABLE).seq == 0
    assert one.make(commit(one)) == 1


def test_another_table_in_its_place(store: Network) -> None:
    one, reader = committer(store), ManifestReader(store, KEY)
    head = reader.load()
    older = dict(store.objects)
    one.make(commit(one))
    newer = reader.refresh(head)
    assert reader.refresh(newer) is newer
    store.objects = older
    with pytest.raises(StorageError, match="an older state of the table took its place"):
        reader.refresh(newer)
    with pytest.raises(StorageError, match="an older state"):
        one.make(commit(one))
    store.objects.clear()
    committer(store).create(bytes(16))
    with pytest.raises(StorageError, match="another table took its place"):
        reader.refresh(newer)


def test_a_segment_in_parts(store: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.remote.commits.committer.PARTS_ABOVE", 3)
    parts: list[Iterable[bytes]] = []
    monkeypatch.setattr(store, "put_parts", lambda key, given: parts.append(given) or store._put(key, b"!"))
    one = committer(store)
    one.make(commit(one, record=None, encoded=segment))
    assert [b"".join(given) for given in parts] == [b"rows"]
