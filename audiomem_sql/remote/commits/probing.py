"""Whether a store keeps the conditions of writes: without them writers would undo each other's commits."""

from __future__ import annotations

import os
from collections.abc import Callable

from audiomem_sql.errors import UnsupportedError
from audiomem_sql.remote.commits.reading import ManifestReader
from audiomem_sql.remote.commits.store import Mark, ObjectStore, Refused

_REMEDY = "Write to a store with conditional writes; this one can be read."


def check_conditions(store: ObjectStore, key: str) -> None:
    """UnsupportedError unless conditional writes beside the table ``key`` are kept: six small requests.

    It leaves nothing behind, unless it is killed.
    """
    reader = ManifestReader(store, key)
    probe = f"{reader.paths.folder}probe-{os.urandom(16).hex()}"
    held: list[Mark] = []

    def write(put: Callable[[], Mark]) -> Callable[[], Mark | None]:
        def answer() -> Mark | None:
            try:
                return put()
            except Refused:
                return None

        return answer

    try:
        first = reader.answered(write(lambda: store.put_if_absent(probe, b"1")))
        if first is None:  # an attempt before it arrived, and its answer did not
            first = reader.answered(lambda: store.get(probe)).mark
        held.append(first)
        if reader.answered(write(lambda: store.put_if_absent(probe, b"2"))) is not None:
            raise _ignored("it overwrites an object that must not be there")
        # Whatever it answers: an attempt before the last one may have arrived.
        reader.answered(write(lambda: store.put_if_match(probe, b"3", first)))
        if reader.answered(lambda: store.get(probe)).data != b"3":
            raise _ignored("it does not replace an object that is unchanged")
        if reader.answered(write(lambda: store.put_if_match(probe, b"4", first))) is not None:
            raise _ignored("it replaces an object that has changed")
    except UnsupportedError as error:
        raise UnsupportedError(error.what, file=reader.where, remedy=_REMEDY) from None
    finally:
        if held:
            reader.answered(lambda: store.delete(probe))


def _ignored(what: str) -> UnsupportedError:
    return UnsupportedError(f"the store does not keep the conditions of writes: {what}", remedy=_REMEDY)
