"""Indexes of FAISS: a file, with texts in JSON Lines, JSON or Parquet beside it; or a folder of LangChain.

LangChain keeps the texts in a pickle, which is read without running what it names (`stored_pickles`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from audiomem_sql.conversion.collection import TEXT_NAMES, Store, Wishes, rows_at_once
from audiomem_sql.conversion.records import RecordCollection, Records, VectorColumn
from audiomem_sql.conversion.stored_pickles import StoredObject, load
from audiomem_sql.errors import DamagedFileError, DataTypeError, MissingExtraError, UnsupportedError

#: The first bytes of the indexes that FAISS writes: flat, IVF, HNSW, with ids, with transforms, quantised …
STARTS = (b"Ix", b"Iw", b"IH", b"Il", b"IL", b"Iv", b"IN", b"IS", b"IR", b"IP", b"IB", b"Im", b"If", b"IM")
SUFFIXES = (".faiss", ".index")
#: Indexes whose vectors are those that were added.
_EXACT = ("IndexFlat", "IndexFlatL2", "IndexFlatIP", "IndexIVFFlat", "IndexHNSWFlat", "IndexNSGFlat")
#: Id, text and metadata of a vector.
_Entry = tuple[Any, Any, Any]


@contextlib.contextmanager
def open_store(path: str, wishes: Wishes) -> Iterator[Store]:
    """The index in a file, or each of a folder."""
    files = [path]
    if os.path.isdir(path):
        files = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(".faiss"))
    yield Store("FAISS", [_collection(file, wishes) for file in files])


def _collection(file: str, wishes: Wishes) -> RecordCollection:
    index = _opened(file)
    notes = []
    if index.kind not in _EXACT:
        notes.append(f"{index.kind} keeps codes: the vectors are what these say, not what was added")
    pickled = os.path.splitext(file)[0] + ".pkl"
    if wishes.texts is not None:
        entries = _of_ids(_from_file(wishes.texts), index, wishes.texts)
    elif os.path.exists(pickled):
        entries = _of_langchain(pickled, index)
    else:
        entries = [(None, None, None)] * index.count
        notes.append("vectors alone; --texts FILE brings the texts, one for each vector")
    name = os.path.splitext(os.path.basename(file))[0]
    read = _reader(index, entries, file)
    vectors = {"vec": VectorColumn(index.width, index.metric)}
    return RecordCollection(name, index.count, vectors, read, file, wishes, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Index:
    """An index of a file.

    ``whole``: it, which owns the memory of ``inner``, the one in it with the vectors. ``transforms``: what
    they went through before, first to last. ``ids``: those of the vectors, None if they are counted.
    ``ordered``: whether the vectors stand in the order in which they were added; if not, their ids lead to
    them.
    """

    kind: str
    whole: Any
    inner: Any
    transforms: Sequence[Any]
    ids: Any
    ordered: bool
    metric: str | None

    @property
    def count(self) -> int:
        """How many vectors there are."""
        return int(self.inner.ntotal)

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return int(self.whole.d)

    def vectors(self, start: int, stop: int) -> Any:
        """Some of the vectors, as they were before they were transformed."""
        if self.ordered:
            found = self.inner.reconstruct_n(start, stop - start)
        else:
            found = np.stack([self.inner.reconstruct(number) for number in self.ids[start:stop].tolist()])
        for transform in reversed(self.transforms):
            found = transform.reverse_transform(found)
        return found


def _opened(file: str) -> _Index:
    try:
        import faiss
    except ImportError:
        raise MissingExtraError(
            "an index of FAISS needs faiss-cpu", file=file, remedy="pip install 'audiomem-sql[convert-faiss]'"
        ) from None
    try:
        whole: Any = faiss.read_index(file)
    except RuntimeError as error:
        raise DamagedFileError(
            f"FAISS cannot read this: {str(error).strip().splitlines()[-1]}",
            file=file,
            remedy="Check that it is an index that faiss.write_index wrote; binary ones are not read.",
        ) from error
    inner, ids, transforms = whole, None, []
    while True:
        if hasattr(inner, "id_map"):
            ids = faiss.vector_to_array(inner.id_map) if ids is None else ids
        elif isinstance(inner, faiss.IndexPreTransform):
            chain: Any = inner.chain
            transforms += [faiss.downcast_VectorTransform(chain.at(at)) for at in range(chain.size())]
        else:
            break
        inner = faiss.downcast_index(inner.index)
    ordered = True
    if hasattr(inner, "invlists"):
        try:
            if ids is None:
                ids = _ids_of_lists(faiss, inner)
                ordered = ids is None
            else:
                inner.make_direct_map()  # the ids in the lists are places in the map
        except RuntimeError as error:
            raise _gives_nothing(type(inner).__name__, file) from error
    metrics = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "ip"}
    kind = "IndexPreTransform" if transforms else type(inner).__name__
    return _Index(kind, whole, inner, transforms, ids, ordered, metrics.get(inner.metric_type))


def _ids_of_lists(faiss: Any, index: Any) -> Any:
    """The ids that an index of lists was given, in their order; None if these count from 0."""
    lists = index.invlists
    parts = [
        faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
        for number in range(index.nlist)
        if lists.list_size(number)
    ]
    ids = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
    usual = np.array_equal(ids, np.arange(len(ids))) and all((np.diff(part) > 0).all() for part in parts)
    index.set_direct_map_type(faiss.DirectMap.Array if usual else faiss.DirectMap.Hashtable)
    return None if usual else ids


def _reader(index: _Index, entries: Sequence[_Entry], file: str) -> Callable[[bool], Iterator[Records]]:
    at_once = rows_at_once(index.width)

    def read(vectors: bool) -> Iterator[Records]:
        for start in range(0, index.count, at_once):
            stop = min(index.count, start + at_once)
            some = entries[start:stop]
            numbers = range(start, stop) if index.ids is None else index.ids[start:stop].tolist()
            yield Records(
                [
                    number if entry[0] is None else entry[0]
                    for number, entry in zip(numbers, some, strict=True)
                ],
                [entry[1] for entry in some],
                [entry[2] for entry in some],
                {"vec": _vectors(index, start, stop, file) if vectors else ()},
            )

    return read


def _vectors(index: _Index, start: int, stop: int, file: str) -> Any:
    try:
        return index.vectors(start, stop)
    except RuntimeError as error:
        raise _gives_nothing(index.kind, file) from error


def _gives_nothing(kind: str, file: str) -> UnsupportedError:
    return UnsupportedError(
        f"{kind} does not give its vectors back",
        file=file,
        remedy="Write them with numpy where they were made, and convert those.",
    )


def _of_ids(entries: list[_Entry], index: _Index, file: str) -> list[_Entry]:
    """The texts in the order of the vectors: by the ids of both, where these are the same, else as they are.

    UnsupportedError where the index does not keep the order in which vectors were added, and ids differ.
    """
    _check_count(len(entries), index.count, file)
    if index.ids is None:
        return entries
    by_id = {str(entry[0]): entry for entry in entries}
    numbers = index.ids.tolist()
    if len(by_id) == len(entries) and all(str(number) in by_id for number in numbers):
        return [(number, *by_id[str(number)][1:]) for number in numbers]
    if index.ordered:
        return entries
    raise UnsupportedError(
        f"{index.kind} keeps vectors by their ids, not in the order in which they were added, and the texts "
        "have other ids",
        file=file,
        remedy='Give each text the id of its vector: {"id": 7, "text": …}.',
    )


def _check_count(count: int, wanted: int, file: str) -> None:
    if count != wanted:
        raise DataTypeError(
            f"there are {count:,} texts for {wanted:,} vectors",
            file=file,
            remedy="Each vector needs one, in the order in which they were added.",
        )


def _of_langchain(file: str, index: _Index) -> list[_Entry]:
    """Id, text and metadata of each vector: LangChain has them by what a search in the index says."""
    with open(file, "rb") as stream:
        found = load(stream, file)
    try:
        store, by_position = found
        documents = store.fields["_dict"]
        entries: list[_Entry] = []
        _check_count(len(by_position), index.count, file)
        for position in range(index.count) if index.ids is None else index.ids.tolist():
            if position not in by_position:
                raise UnsupportedError(
                    f"there is no text for the vector {position}",
                    file=file,
                    remedy="Move it away, and name a file of texts that have ids with --texts.",
                )
            identity = by_position[position]
            document: StoredObject = documents[identity]
            entries.append(
                (identity, document.fields.get("page_content"), document.fields.get("metadata") or None)
            )
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DamagedFileError(
            "this is no store of texts of LangChain",
            file=file,
            remedy="Move it away, and name a file of texts with --texts.",
        ) from error
    return entries


def _from_file(file: str) -> list[_Entry]:
    """No id, text and the other fields of each line, element or row."""
    if file.endswith((".pkl", ".pickle")):
        raise UnsupportedError(
            "a pickle can run code when it is read",
            file=file,
            remedy="Write the texts as JSON Lines or Parquet where they were made.",
        )
    try:
        if file.endswith(".parquet"):
            import pyarrow.parquet

            rows: list[Any] = pyarrow.parquet.read_table(file).to_pylist()
        else:
            with open(file, encoding="utf-8") as stream:
                rows = (
                    json.load(stream)
                    if file.endswith(".json")
                    else [json.loads(line) for line in stream if line.strip()]
                )
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(
            f"the texts cannot be read ({error})",
            file=file,
            remedy="They are JSON Lines, a JSON array or Parquet: texts, or objects with one.",
        ) from error
    if not isinstance(rows, list):
        raise DataTypeError("this is no array", file=file, remedy="Write an array of texts or of objects.")
    return [_entry(row, file, number) for number, row in enumerate(rows)]


def _entry(row: Any, file: str, number: int) -> _Entry:
    if row is None or isinstance(row, str):
        return None, row, None
    if isinstance(row, Mapping):
        name = next((name for name in row if name.lower() in TEXT_NAMES and isinstance(row[name], str)), None)
        identity = row.get("id")
        others = {key: value for key, value in row.items() if key != name and key != "id"}
        return identity, row[name] if name else None, others
    raise DataTypeError(
        "this is neither a text nor an object", file=file, place=f"row {number}", remedy="Write texts."
    )
