"""What the network does to the requests of a process: they arrive, late, twice or not, or no reply comes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TypeVar

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.commits import Mark, Stored, Unanswered, Upload
from simulate_remote.memory_store import MemoryStore
from simulate_remote.scheduler import Scheduler

_T = TypeVar("_T")
#: No reply: 503 or reset before it arrived; it arrives later; it arrived and the reply is lost. A reply: it
#: arrives again later; it was sent twice, and the second answer is seen.
FAULTS = ("503", "late", "lost", "again", "repeated")


class Connection:
    """The store as one process sees it. rate: of requests that something happens to."""

    name = MemoryStore.name

    def __init__(self, store: MemoryStore, scheduler: Scheduler, rate: float) -> None:
        self._store = store
        self._scheduler = scheduler
        self._rate = rate

    def get(self, key: str) -> Stored:
        return self._ask(f"get {key}", lambda: self._store.get(key), writes=False)

    def get_if_none_match(self, key: str, mark: Mark) -> Stored | None:
        return self._ask("refresh", lambda: self._store.get_if_none_match(key, mark), writes=False)

    def put_if_absent(self, key: str, data: bytes) -> Mark:
        return self._ask(f"create {key}", lambda: self._store.put_if_absent(key, data))

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        return self._ask("replace the manifest", lambda: self._store.put_if_match(key, data, mark))

    def put_parts(self, key: str, parts: Iterable[bytes]) -> Mark:
        upload = self._ask(f"begin {key}", lambda: self._store.begin(key))
        for part in parts:  # a part that is sent again takes the place of the first: no fault is needed here
            self._scheduler.step()
            self._store.add(upload, part)
        return self._ask(f"complete {key}", lambda: self._store.complete(upload))

    def delete(self, key: str) -> None:
        self._ask(f"delete {key}", lambda: self._store.delete(key))

    def keys(self, prefix: str) -> list[str]:
        return self._ask("list", lambda: self._store.keys(prefix), writes=False)

    def uploads(self, prefix: str) -> list[Upload]:
        return self._ask("list uploads", lambda: self._store.uploads(prefix), writes=False)

    def abort(self, upload: Upload) -> None:
        self._ask(f"abort {upload.key}", lambda: self._store.abort(upload))

    def _ask(self, what: str, act: Callable[[], _T], *, writes: bool = True) -> _T:
        scheduler, chance = self._scheduler, self._scheduler.chance
        scheduler.step()
        fault = chance.choice(FAULTS) if chance.random() < self._rate else ""
        scheduler.note(f"{what} {fault}".rstrip())
        if fault == "503" or (fault and not writes):
            raise Unanswered("the store did not answer")
        if fault == "late":
            scheduler.late.append(lambda: _arrive(scheduler, what, act))
            raise Unanswered("the store did not answer")
        if fault == "repeated":
            with contextlib.suppress(StorageError):
                act()
        if fault == "lost":
            with contextlib.suppress(StorageError):
                act()
            raise Unanswered("the store did not answer")
        try:
            answer = act()
        finally:
            if fault == "again":
                scheduler.late.append(lambda: _arrive(scheduler, what, act))
        scheduler.step()
        return answer


def _arrive(scheduler: Scheduler, what: str, act: Callable[[], object]) -> None:
    scheduler.note(f"{what} arrives late")
    with contextlib.suppress(StorageError):
        act()
