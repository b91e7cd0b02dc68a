"""The store of the simulator keeps the contract, too."""

from __future__ import annotations

import pytest
from simulate_remote.memory_store import MemoryStore

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.remote.commits import Mark, check_conditions

from .contract import ObjectStoreContract


class TestMemoryStore(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()


class Overwriting(MemoryStore):
    """A store that takes conditions for a recommendation."""

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        return self._put(key, data)


class Creating(MemoryStore):
    def put_if_absent(self, key: str, data: bytes) -> Mark:
        return self._put(key, data)


class Forgetful(MemoryStore):
    """It says that it replaced, and did not."""

    def put_if_match(self, key: str, data: bytes, mark: Mark) -> Mark:
        self.get(key)
        return mark


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Overwriting, "replaces an object that has changed"),
        (Creating, "overwrites an object that must not be there"),
        (Forgetful, "does not replace an object that is unchanged"),
    ],
)
def test_a_store_without_conditions_is_refused(kind: type[MemoryStore], said: str) -> None:
    store = kind()
    with pytest.raises(UnsupportedError, match=said) as refused:
        check_conditions(store, "kb.flac")
    assert refused.value.file == "memory://bucket/kb.flac"
    assert not store.objects
