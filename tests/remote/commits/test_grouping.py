"""Commits of several threads in one replacement."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from audiomem_sql.errors import BusyError, StorageError
from audiomem_sql.remote.commits import Footprint, GroupedCommits, Mark
from audiomem_sql.remote.commits.committer import MOST_AT_ONCE

from .test_committer import Network, commit, committer, store

__all__ = ["store"]


class Slow(Network):
    """Replacements wait until they may go on."""

    def __init__(self, other: Network) -> None:
        super().__init__()
        self.objects = other.objects
        self.may_go_on = threading.Event()
        self.begun = threading.Event()

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        self.begun.set()
        assert self.may_go_on.wait(60)
        return super().put_if_match(key, data, mark)


def test_threads_share_a_replacement(store: Network) -> None:
    slow = Slow(store)
    one = committer(slow)
    changes = [commit(one) for _ in range(2 * MOST_AT_ONCE)]
    with GroupedCommits(one) as grouped, ThreadPoolExecutor(len(changes)) as pool:
        tickets = [pool.submit(grouped.submit, changes[0])]
        assert slow.begun.wait(60)
        tickets += [pool.submit(grouped.submit, change) for change in changes[1:]]
        while grouped.pending < len(changes):
            pass
        slow.may_go_on.set()
        versions = sorted(ticket.result().wait() for ticket in tickets)
    assert versions == list(range(1, len(changes) + 1))
    assert slow.replaced == 3


def test_what_is_refused_is_told_to_its_thread_alone(store: Network) -> None:
    one = committer(store)
    row = Footprint((3,))
    stale = commit(one, footprint=row)
    with GroupedCommits(one) as grouped:
        assert grouped.submit(commit(one, footprint=row)).wait() == 1
        with pytest.raises(BusyError, match="same rows"):
            grouped.submit(stale)
        assert grouped.submit(commit(one)).wait() == 2


def test_asynchronous_commits_last_when_they_are_flushed(store: Network) -> None:
    slow = Slow(store)
    one = committer(slow)
    with GroupedCommits(one, durability="async", gathering=60) as grouped:
        tickets = [grouped.submit(commit(one)) for _ in range(3)]
        assert grouped.pending == 3
        assert committer(slow).refresh().version == 0
        slow.may_go_on.set()
        grouped.flush()
        assert grouped.pending == 0
        assert committer(slow).refresh().version == 3
        assert [ticket.wait() for ticket in tickets] == [1, 2, 3]
        grouped.submit(commit(one))
    assert committer(slow).refresh().version == 4
    assert slow.replaced == 2
    with pytest.raises(StorageError, match="closed"):
        grouped.submit(commit(one))


def test_nothing_lasts_behind_what_was_lost(store: Network) -> None:
    """A later commit was made by somebody who had seen the earlier one."""

    class Broken(Slow):
        def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
            self.begun.set()
            assert self.may_go_on.wait(60)
            if not self.replaced:
                self.replaced += 1
                raise StorageError("the key was taken away")
            return super().put_if_match(key, data, mark)

    broken = Broken(store)
    one = committer(broken)
    grouped = GroupedCommits(one, durability="async", gathering=0)
    first = grouped.submit(commit(one))
    assert broken.begun.wait(60)
    behind = grouped.submit(commit(one))
    broken.may_go_on.set()
    for ticket in (first, behind):
        with pytest.raises(StorageError, match="the key was taken away"):
            ticket.wait()
    with pytest.raises(StorageError, match="the key was taken away"):
        grouped.flush()
    assert committer(broken).refresh().version == 0
    grouped.submit(commit(one))
    grouped.close()
    assert committer(broken).refresh().version == 1
