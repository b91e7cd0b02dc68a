"""What every store of objects must do: subclass ``ObjectStoreContract`` and give it a ``store``."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.commits import Mark, Missing, ObjectStore, Refused, check_conditions


class ObjectStoreContract:
    """The conformance suite. Keys are new in each test, because stores live longer."""

    @pytest.fixture
    def key(self) -> str:
        return f"tests/{os.urandom(8).hex()}/kb.flac"

    def test_what_was_written_is_read(self, store: ObjectStore, key: str) -> None:
        mark = store.put_if_absent(key, b"one")
        stored = store.get(key)
        assert stored.data == b"one"
        assert store.get_if_none_match(key, stored.mark) is None
        assert stored.mark.e_tag == mark.e_tag

    def test_an_object_is_created_once(self, store: ObjectStore, key: str) -> None:
        store.put_if_absent(key, b"one")
        with pytest.raises(Refused):
            store.put_if_absent(key, b"two")
        assert store.get(key).data == b"one"

    def test_an_object_is_replaced_only_as_it_was_read(self, store: ObjectStore, key: str) -> None:
        first = store.put_if_absent(key, b"one")
        second = store.put_if_match(key, b"two", first)
        assert second != first
        with pytest.raises(Refused):
            store.put_if_match(key, b"three", first)
        changed = store.get_if_none_match(key, first)
        assert changed is not None
        assert changed.data == b"two"
        assert store.get_if_none_match(key, second) is None
        store.put_if_match(key, b"four", changed.mark)

    def test_what_is_not_there(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(Missing):
            store.get(key)
        with pytest.raises(Missing):
            store.get_if_none_match(key, Mark('"0"'))
        with pytest.raises(Refused):
            store.put_if_match(key, b"one", Mark('"0"'))
        store.delete(key)

    def test_a_large_object_is_written_in_parts(self, store: ObjectStore, key: str) -> None:
        parts = [bytes([number]) * (3 << 20) for number in range(3)]
        mark = store.put_parts(key, parts)
        stored = store.get(key)
        assert stored.data == b"".join(parts)
        assert stored.mark.e_tag == mark.e_tag

    def test_keys_below_a_prefix(self, store: ObjectStore, key: str) -> None:
        names = [f"{key}.d/seg/{number}" for number in range(3)]
        for name in (*names, f"{key}.d/manifest"):
            store.put_if_absent(name, b"x")
        assert sorted(store.keys(f"{key}.d/seg/")) == names
        store.delete(names[1])
        assert sorted(store.keys(f"{key}.d/seg/")) == [names[0], names[2]]
        assert store.keys(f"{key}.e/") == []

    def test_one_of_many_writers_wins(self, store: ObjectStore, key: str) -> None:
        """Without this no failure of a commit says anything about the commit."""
        mark = store.put_if_absent(key, b"0")

        def write(number: int) -> int:
            try:
                store.put_if_match(key, b"%d" % (number + 1), mark)
            except StorageError:
                return 0
            return number + 1

        with ThreadPoolExecutor(8) as pool:
            (won,) = [number for number in pool.map(write, range(8)) if number]
        assert store.get(key).data == b"%d" % won

    def test_its_conditions_are_kept(self, store: ObjectStore, key: str) -> None:
        check_conditions(store, key)
        assert store.keys(f"{key}.d/") == []
