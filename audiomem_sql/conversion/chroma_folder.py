"""A folder of Chroma (`PersistentClient`), read by its own client from a copy: opening one may change it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from audiomem_sql.conversion.collection import Store, Wishes, rows_at_once
from audiomem_sql.conversion.read_only import open_read_only
from audiomem_sql.conversion.records import RecordCollection, Records, VectorColumn
from audiomem_sql.errors import AudioMemError, DamagedFileError, MissingExtraError, StorageError

DATABASE = "chroma.sqlite3"
_METRICS = {"cosine": "cosine", "l2": "l2", "ip": "ip"}


@contextlib.contextmanager
def open_store(path: str, wishes: Wishes) -> Iterator[Store]:
    """The collections of the folder."""
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError:
        raise MissingExtraError(
            "a folder of Chroma needs chromadb",
            file=path,
            remedy="pip install 'audiomem-sql[convert-chroma]'",
        ) from None
    folder = os.path.dirname(path) if os.path.isfile(path) else path
    with tempfile.TemporaryDirectory(prefix="audiomem-convert-") as temporary:
        copy = os.path.join(temporary, "chroma")
        _copy(folder, copy)
        try:
            client: Any = chromadb.PersistentClient(copy, Settings(anonymized_telemetry=False))
            try:
                found = [_collection(client, name, folder, wishes) for name in _names(client)]
                yield Store("Chroma", found)
            finally:
                close = getattr(client, "close", None)
                if close is not None:
                    close()
        except AudioMemError:
            raise
        except (chromadb.errors.ChromaError, ValueError, RuntimeError, KeyError) as error:
            raise DamagedFileError(
                f"Chroma cannot read this: {' '.join(str(error).split())[:300]}",
                file=folder,
                remedy="A newer folder needs a newer chromadb; one of before 0.4 is moved by chroma-migrate.",
            ) from error


def _copy(folder: str, copy: str) -> None:
    """Copy what Chroma keeps, its database as it is at one moment."""
    names = [name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))]
    sizes = [
        os.path.getsize(os.path.join(top, file))
        for name in [*names, ""]
        for top, _, files in os.walk(os.path.join(folder, name))
        for file in files
        if name or top == os.path.join(folder, "")
    ]
    needed, free = sum(sizes), shutil.disk_usage(tempfile.gettempdir()).free
    if needed * 1.1 > free:
        raise StorageError(
            f"a copy of {needed:,} bytes does not fit into {tempfile.gettempdir()}",
            file=folder,
            remedy="Set TMPDIR to a folder that has more room.",
        )
    import apsw

    os.mkdir(copy)
    for name in names:
        shutil.copytree(os.path.join(folder, name), os.path.join(copy, name))
    with open_read_only(os.path.join(folder, DATABASE)) as source:
        target = apsw.Connection(os.path.join(copy, DATABASE))
        try:
            with target.backup("main", source, "main") as backup:
                backup.step()
        finally:
            target.close()


def _names(client: Any) -> list[str]:
    """The collections, whatever the version of Chroma gives: names or objects."""
    return sorted(getattr(each, "name", each) for each in client.list_collections())


def _collection(client: Any, name: str, folder: str, wishes: Wishes) -> RecordCollection:
    collection = client.get_collection(name, embedding_function=None)
    rows = collection.count()
    metric = _metric(collection)
    width = 0
    if rows:
        (first,) = collection.get(limit=1, include=["embeddings"])["embeddings"]
        width = len(first)
    vectors = {"vec": VectorColumn(width, metric)} if width else {}
    notes = ("Chroma keeps directions where the space is cosine: its vectors have length 1",) * (
        metric == "cosine"
    )
    return RecordCollection(name, rows, vectors, _reader(collection, rows, width), folder, wishes, notes)


def _metric(collection: Any) -> str | None:
    settings = getattr(collection, "configuration_json", None) or {}
    for index in ("hnsw", "spann"):
        space = (settings.get(index) or {}).get("space")
        if space:
            return _METRICS.get(space)
    return _METRICS.get((collection.metadata or {}).get("hnsw:space", "l2"))


def _reader(collection: Any, rows: int, width: int) -> Callable[[bool], Iterator[Records]]:
    at_once = min(4096, rows_at_once(width))  # SQLite bounds how many rows Chroma can ask for

    def read(vectors: bool) -> Iterator[Records]:
        shown = ["documents", "metadatas", *(["embeddings"] if vectors and width else [])]
        for start in range(0, rows, at_once):
            some = collection.get(limit=at_once, offset=start, include=shown)
            ids = some["ids"]
            yield Records(
                ids,
                some["documents"] or [None] * len(ids),
                [_sorted(each) for each in some["metadatas"] or [None] * len(ids)],
                {"vec": some["embeddings"]} if vectors and width else {},
            )

    return read


def _sorted(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metadata by key: Chroma gives them in any order."""
    return dict(sorted((metadata or {}).items()))
