"""The folder of Qdrant's local mode (`QdrantClient(path=…)`): `meta.json`, and a SQLite file a collection.

Its points are pickles, which are read without running what they name (`stored_pickles`).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pickle
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from audiomem_sql.conversion.collection import Store, Wishes, rows_at_once
from audiomem_sql.conversion.read_only import ask, open_read_only
from audiomem_sql.conversion.records import RecordCollection, Records, VectorColumn
from audiomem_sql.conversion.stored_pickles import StoredObject, load
from audiomem_sql.errors import DamagedFileError

if TYPE_CHECKING:
    import apsw

META = "meta.json"
_METRICS = {"Cosine": "cosine", "Euclid": "l2", "Dot": "ip"}


@contextlib.contextmanager
def open_store(path: str, wishes: Wishes) -> Iterator[Store]:
    """The collections of the folder, aliases aside."""
    settings = _settings(path)
    with contextlib.ExitStack() as stack:
        found = []
        for name, config in settings.items():
            file = os.path.join(path, "collection", name, "storage.sqlite")
            if not os.path.exists(file):
                raise DamagedFileError(
                    f"the collection {name} has no points file",
                    file=file,
                    remedy="Open the folder once with a newer qdrant-client; before 1.1.7 it was a dbm file.",
                )
            connection = stack.enter_context(open_read_only(file))
            try:
                found.append(_collection(name, config, connection, file, wishes))
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                raise DamagedFileError(
                    f"the settings of the collection {name} do not say what its vectors are",
                    file=os.path.join(path, META),
                    remedy="Take the folder from a backup.",
                ) from error
        yield Store("Qdrant, local", found)


def _settings(path: str) -> dict[str, Any]:
    file = os.path.join(path, META)
    try:
        with open(file, encoding="utf-8") as stream:
            settings = json.load(stream)["collections"]
        return dict(settings)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFileError(
            "this says nothing of collections", file=file, remedy="Take the folder from a backup."
        ) from error


def _collection(
    name: str, config: Any, connection: apsw.Connection, file: str, wishes: Wishes
) -> RecordCollection:
    given = config.get("vectors") or {}
    named = {"vec": given} if "size" in given else dict(given)
    vectors: dict[str, VectorColumn] = {}
    notes = []
    for called, settings in named.items():
        if settings.get("multivector_config"):
            notes.append(f"{called}: several vectors a point, kept as JSON")
            continue
        distance = str(settings["distance"])
        vectors[called] = VectorColumn(int(settings["size"]), _METRICS.get(distance))
        if distance not in _METRICS:
            notes.append(f"{called}: no index, because {distance} is none of its metrics")
    if config.get("sparse_vectors"):
        notes.append(f"sparse vectors are kept as JSON: {', '.join(config['sparse_vectors'])}")
    outdated = _outdated(connection, file)
    ((count,),) = ask(connection, "SELECT count(*) FROM points")
    reader = _reader(connection, file, vectors, outdated)
    return RecordCollection(name, count - len(outdated), vectors, reader, file, wishes, tuple(notes))


def _outdated(connection: apsw.Connection, file: str) -> set[int]:
    """The rows of points that stand there twice, but for the last one: older clients wrote several keys."""
    odd: dict[str | int, list[int]] = {}
    for rowid, key in ask(connection, "SELECT rowid, id FROM points"):
        try:
            identity = _normal(load(base64.b64decode(key), file, f"point {rowid}"))
        except ValueError as error:
            raise DamagedFileError(
                "the key of a point cannot be read", file=file, place=f"point {rowid}"
            ) from error
        if _key(identity) != key:
            odd.setdefault(identity, []).append(rowid)
    found: set[int] = set()
    for identity, rowids in odd.items():
        usual = ask(connection, "SELECT rowid FROM points WHERE id = ?", (_key(identity),))
        everywhere = sorted([*rowids, *(rowid for (rowid,) in usual)])
        found.update(everywhere[:-1])
    return found


def _key(identity: str | int) -> str:
    return base64.b64encode(pickle.dumps(identity, protocol=4)).decode("ascii")


def _normal(identity: Any) -> str | int:
    """An id as Qdrant has it today: a number, or a UUID in its usual spelling."""
    if isinstance(identity, int):
        return identity
    try:
        return str(uuid.UUID(str(identity)))
    except ValueError:
        return str(identity)


def _reader(
    connection: apsw.Connection, file: str, vectors: Mapping[str, VectorColumn], outdated: set[int]
) -> Callable[[bool], Iterator[Records]]:
    at_once = rows_at_once(sum(vector.width for vector in vectors.values()))

    def read(_: bool) -> Iterator[Records]:
        rows = ask(connection, "SELECT rowid, point FROM points ORDER BY rowid")
        while some := [row for _, row in zip(range(at_once), rows, strict=False)]:
            points = [_point(value, file, rowid) for rowid, value in some if rowid not in outdated]
            given = [_vectors(point.get("vector")) for point in points]
            yield Records(
                [_normal(point["id"]) for point in points],
                [None] * len(points),
                [_metadata(point, found, vectors) for point, found in zip(points, given, strict=True)],
                {name: [found.get(name) for found in given] for name in vectors},
            )

    return read


def _point(value: bytes, file: str, rowid: int) -> dict[str, Any]:
    found = load(value, file, f"point {rowid}")
    if isinstance(found, StoredObject) and "id" in found.fields:
        return found.fields
    raise DamagedFileError("this is no point", file=file, place=f"point {rowid}")


def _vectors(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    return given if isinstance(given, dict) else {"vec": given}


def _metadata(
    point: dict[str, Any], given: dict[str, Any], vectors: Mapping[str, VectorColumn]
) -> dict[str, Any]:
    others = {name: _plain(value) for name, value in given.items() if name not in vectors}
    return {**others, **(point.get("payload") or {})}


def _plain(value: Any) -> Any:
    return value.fields if isinstance(value, StoredObject) else value
